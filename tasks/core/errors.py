"""The one tree of errors, and how a message is built.

EmoriffError                anything a user can act on; the command line prints it without a traceback
├── ParameterError          params.yaml or an argument: unknown key, value out of range
├── InputError              a file, archive or annotation that is not what it should be
│   ├── AudioError          no audio, truncated, silent, too short
│   └── PictureError        not a spectrogram picture
├── DownloadError           a source that cannot be fetched or does not match its hash
│   └── UnreachableError    a server that does not answer: a later try may help
├── ModelError              a base model or an experiment that cannot be used
├── TrainingError           NaN loss, out of memory
├── MeasureError            too few clips, embeddings that do not fit
├── CacheError              a cache that is full, read-only or corrupt
└── LockError               another run holds the lock

A message may quote bytes from anywhere: what could steer a terminal, forge a line of a log or give a secret away
is not in it.
"""

from functools import partial
from typing import Any, Self

from tasks.core.messages import shown


class EmoriffError(Exception):
    """What went wrong, where, expected, got, and what to do next; `str()` is the whole message."""

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        todo: str | None = None,
    ) -> None:
        self.what, self.where, self.expected, self.got, self.todo = what, where, expected, got, todo
        parts = [shown(what)]
        for name, value in (("where", where), ("expected", expected), ("got", got), ("what to do", todo)):
            if value is not None:
                parts.append(f"  {name}: {shown(value)}")
        super().__init__("\n".join(parts))

    def at(self, where: object) -> Self:
        """The same error, reported for a place."""
        return type(self)(self.what, where=where, expected=self.expected, got=self.got, todo=self.todo)

    def __reduce__(self) -> tuple[Any, ...]:
        """From a worker process it comes as text, since not all that was got can travel."""
        parts = {name: getattr(self, name) for name in ("where", "expected", "got", "todo")}
        texts = {name: value if value is None else str(value) for name, value in parts.items()}
        return partial(type(self), self.what, **texts), ()


class ParameterError(EmoriffError):
    """A key or a value of params.yaml, or an argument, that cannot be."""


class InputError(EmoriffError):
    """A file that is missing or is not what it should be."""


class AudioError(InputError):
    """Audio that cannot be used."""


class ImageError(InputError):
    """A picture that is no spectrogram."""


class DownloadError(EmoriffError):
    """A source that cannot be fetched, or whose bytes are not the declared ones."""


class UnreachableError(DownloadError):
    """A server that does not answer; a later try may help."""


class ModelError(EmoriffError):
    """A base model or an experiment that cannot be used."""


class TrainingError(EmoriffError):
    """Training that had to stop; the last good checkpoint is kept."""


class MeasureError(EmoriffError):
    """A measure that cannot be taken honestly from what there is."""


class CacheError(EmoriffError):
    """A cache that cannot be read or written."""


class LockError(EmoriffError):
    """Another run holds the lock."""
