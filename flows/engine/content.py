"""The cache policy of every task: content of the inputs, parameters, code; never the path, the runner, the machine."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext

from tasks.core.files import digest
from tasks.core.params_base import key_values
from tasks.execution.cache import Cache, item_key
from tasks.execution.closure import code_digest, function_digest
from tasks.execution.items import Item


@dataclass
class Content(CachePolicy):
    """An item's key = the code of the task, of `function` and of all it calls, the item's inputs, the parameters.

    A bucket's key is that of its items. A bucket whose outputs are not all intact has none, so it runs.
    """

    function: Callable[..., Any] | None = None
    ignored: tuple[str, ...] = ()  # "params.retries": parameters that cannot change a result

    def keyed(self, task: Task[..., Any], items: list[Item], parameters: dict[str, Any]) -> list[Item]:
        """The items with their keys."""
        values = {name: key_values(value) for name, value in parameters.items()}
        for name in self.ignored:
            _drop(values, name.split("."))
        module, name = getattr(self.function, "__module__", ""), getattr(self.function, "__name__", "")
        code = [code_digest(module), function_digest(task.fn), name]
        return [replace(item, key=item_key(code, [item.id, item.inputs], values)) for item in items]

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        """The bucket's key; None: run."""
        cache, items = Cache(), inputs["bucket"].items
        if all(cache.intact(item.key) for item in items):
            return digest([task_ctx.task.name, sorted(item.key for item in items)])
        return None


def _drop(values: Any, path: list[str]) -> None:
    """Remove a dotted key; nothing where it is not."""
    for name in path[:-1]:
        values = values.get(name) if isinstance(values, dict) else None
    if isinstance(values, dict):
        values.pop(path[-1], None)
