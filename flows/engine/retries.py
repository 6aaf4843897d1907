"""When a second try of a task helps."""

from typing import Any

from tasks.core.errors import UnreachableError


def is_transient(_task: Any, _run: Any, state: Any) -> bool:
    """Whether a server did not answer; all else would end the same way again."""
    return isinstance(state.result(raise_on_failure=False), UnreachableError)
