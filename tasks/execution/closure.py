"""What code decides a result: module -> **import closure** -> what it compiles to -> cache keys, `emoriff why`.

grimp reads the imports from the source, nothing is imported; an import inside a function counts, because it runs
too, one below `if TYPE_CHECKING:` does not. Two texts of a module have one digest when they compile to the same
instructions: docstrings, comments, layout, annotations of functions, names of local variables, assertions, log lines
and the words of an error are not in it. Modules that decide how bytes reach the disk, and never which, are left out.
"""

import ast
import inspect
import textwrap
import threading
import types
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.files import digest

ROOT = Path(__file__).parents[2]
MEND = "correct the file: what depends on it cannot be known"
PLUMBING = (  # how, never which: tests/execution/test_closure.py holds them to it
    "tasks.execution",
    "tasks.core.errors",
    "tasks.core.layout",
    "tasks.core.params_base",
    "tasks.core.reading",
    "tasks.core.storage",
)
ROW_ERRORS = ("AudioError",)  # whose words become the reason in a row of a table, so they decide bytes
PARSING = threading.Lock()


def is_plumbing(module: str) -> bool:
    """Whether a module decides no byte of a result; a params module's values are in the key themselves."""
    inside = any(module == name or module.startswith(f"{name}.") for name in PLUMBING)
    return inside or module.endswith(".params") or module == "tasks.settings"


@lru_cache
def _graph() -> Any:
    import grimp

    try:
        return grimp.build_graph("tasks", "flows", cache_dir=None, exclude_type_checking_imports=True)
    except (SyntaxError, grimp.exceptions.SourceSyntaxError) as error:
        raise InputError("not Python", where=ROOT, got=error, todo=MEND) from error


def closure(module: str) -> list[str]:
    """The module and all that it imports of this project, directly or through others; sorted, plumbing included.

    Raises:
        InputError: a file that is not Python.
    """
    return sorted({module} | _graph().find_upstream_modules(module))


def deciding(module: str) -> list[str]:
    """The modules of the closure that can decide a byte of what `module` makes, sorted."""
    return [name for name in closure(module) if not is_plumbing(name) and name.count(".") > 1]


def modules_of_stage(stage: str) -> list[str]:
    """The modules that can decide a byte of a stage's result: the closures of what flows/STAGE.py imports; sorted."""
    entries = _graph().find_modules_directly_imported_by(f"flows.{stage}")
    return sorted(
        {name for entry in entries if entry.startswith("tasks.") and not is_plumbing(entry) for name in deciding(entry)}
    )


def packages_of_stage(stage: str) -> list[str]:
    """The packages of those modules, "tasks/core" and so on; sorted."""
    return sorted({"/".join(name.split(".")[:2]) for name in modules_of_stage(stage)})


def file_of(module: str) -> Path:
    """The source file of a module."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


@lru_cache
def code_digest(module: str, without: tuple[str, ...] = ()) -> str:
    """Digest of what `module` and its closure compile to, plumbing and the modules `without` left out."""
    names = [name for name in deciding(module) if name not in without]
    return digest([[name, source_digest(file_of(name).read_text(), file_of(name))] for name in names])


def function_digest(function: Any) -> str:
    """Digest of what one function compiles to, without what it calls."""
    return source_digest(textwrap.dedent(inspect.getsource(function)))


def tasks_digest(text: str, where: object = "") -> str:
    """Digest of the Prefect tasks of a flow's source: the rest of it runs anew each time and computes no item."""
    with PARSING:
        body = ast.parse(text, str(where)).body
    tasks = [node for node in body if isinstance(node, ast.FunctionDef) and "task" in _decorators(node)]
    return digest([source_digest(ast.unparse(node)) for node in tasks])


def source_digest(text: str, where: object = "") -> str:
    """Digest of the instructions of a module's source.

    >>> source_digest("a = 1") == source_digest("a = (1)  # the first")
    True
    >>> source_digest("a = 1") == source_digest("a = 2")
    False

    Raises:
        InputError: not Python.
    """
    return digest(_instructions(_compiled(text, where)))


def _compiled(text: str, where: object, tries: int = 3) -> types.CodeType:
    try:
        with PARSING:
            tree = _Bare().visit(ast.parse(text))
            for node in ast.walk(tree):
                vars(node).update({name: 0 if "col" in name else 1 for name in node._attributes})
            return compile(ast.fix_missing_locations(tree), "", "exec", dont_inherit=True, optimize=2)
    except SystemError:
        # Two threads that parse at once confuse CPython 3.11 (python/cpython issue 106905); one may be Prefect's.
        if tries == 0:
            raise
        return _compiled(text, where, tries - 1)
    except (SyntaxError, ValueError) as error:
        raise InputError("not Python", where=where, got=error, todo=MEND) from error


def _name(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _decorators(node: ast.FunctionDef) -> list[str]:
    return [_name(one) for one in node.decorator_list]


class _Bare(ast.NodeTransformer):
    """A syntax tree without what cannot change a result."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        node.decorator_list = [one for one in node.decorator_list if _name(one) not in ("task", "flow")]
        for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
            if one is not None:
                one.annotation = None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        return node.orelse or ast.Pass() if ast.unparse(node.test).endswith("TYPE_CHECKING") else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and ast.unparse(call.func.value) == "log"
        ):
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name.endswith("Error") and name not in ROW_ERRORS:
            node.args, node.keywords = [], []
        return self.generic_visit(node)


def _instructions(code: types.CodeType) -> list[Any]:
    """What a code object does, as JSON can hold it; local variables by their number, not their name."""
    arguments = code.co_argcount + code.co_kwonlyargcount
    arguments += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return [
        [code.co_code.hex(), code.co_exceptiontable.hex(), code.co_flags],
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_varnames[:arguments]],
        [code.co_names, len(code.co_freevars), len(code.co_cellvars)],
        [_constant(value) for value in code.co_consts],
    ]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _instructions(value)
    if isinstance(value, tuple):
        return ["tuple", *map(_constant, value)]
    if isinstance(value, frozenset):
        return ["set", *sorted(map(repr, value))]
    return repr(value)
