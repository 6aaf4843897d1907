"""What code a module depends on: source -> **import closure** -> cache keys, deps of dvc.yaml, `emoriff why`.

Read from the syntax tree, nothing is imported. An import inside a function counts, because it runs too; one
below `if TYPE_CHECKING:` does not, because it never does.
"""

import ast
import threading
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import InputError

PACKAGES = ("flows", "tasks")  # the project's own code; what pip installs is known by its version


def closure(module_file: Path, root: Path, packages: tuple[str, ...] = PACKAGES) -> set[Path]:
    """The file and every file of the project that it imports, directly or through others.

    A package's `__init__.py` counts, because importing a module runs it. Paths start with `root`.

    Raises:
        InputError: a file that is not Python.
    """
    found: set[Path] = set()
    waiting = [module_file]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += direct_imports(file, root, packages)
    return found


def direct_imports(file: Path, root: Path, packages: tuple[str, ...] = PACKAGES) -> list[Path]:
    """The project's files that `file` itself imports, in the order of its lines."""
    tree = _parse(file)
    here = list(file.relative_to(root).with_suffix("").parts)
    names = (name for node in _running_nodes(tree) for name in _imported_names(node, here))
    return [path for name in [".".join(here), *names] for path in _files_of(name, root, packages)]


PARSING = threading.Lock()


def _parse(file: Path, tries: int = 5) -> ast.Module:
    try:
        with PARSING:
            return ast.parse(file.read_bytes(), filename=str(file))
    except SystemError:
        # Two threads that parse at once confuse CPython 3.11 (python/cpython issue 106905); one may be Prefect's.
        if tries == 0:
            raise
        return _parse(file, tries - 1)
    except (SyntaxError, ValueError) as error:
        raise InputError(
            "not Python", where=file, got=error, todo="mend the file: what depends on it cannot be told"
        ) from error


def _running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node` but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _running_nodes(other)
            continue
        yield child
        yield from _running_nodes(child)


def _imported_names(node: ast.AST, here: list[str]) -> list[str]:
    """Dotted names that a node may import; `from a import b` gives a and a.b, b being a module or not."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = here[: len(here) - node.level] if node.level else []
        module = ".".join([*package, *([node.module] if node.module else [])])
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module"):
        return [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return []


def _files_of(name: str, root: Path, packages: tuple[str, ...]) -> list[Path]:
    """The files that importing the dotted `name` runs: each package's `__init__.py`, then the module."""
    parts = name.split(".")
    if parts[0] not in packages:
        return []
    parents = [root.joinpath(*parts[:depth]) / "__init__.py" for depth in range(1, len(parts) + 1)]
    module = root.joinpath(*parts).with_suffix(".py")
    return [path for path in [*parents, module] if path.is_file()]
