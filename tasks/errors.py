"""The one tree of errors, and how a message is built.

EmoriffError                anything a user can act on; the command line prints it without a traceback
├── ParameterError          params.yaml or an argument: unknown key, value out of range
├── InputError              a file, archive or annotation that is not what it should be
│   ├── AudioError          no audio, truncated, silent, too short
│   └── PictureError        not a spectrogram picture
├── DownloadError           a source that cannot be fetched or does not match its hash
├── ModelError              a base model or an experiment that cannot be used
├── TrainingError           NaN loss, out of memory
├── MeasureError            too few clips, embeddings that do not fit
├── CacheError              a cache that is full, read-only or corrupt
└── LockError               another run holds the lock

A message may quote bytes from anywhere: what could steer a terminal, forge a line of a log or give a secret away
is not in it.
"""

import os
import re
from functools import partial
from pathlib import PurePath
from typing import Any, Self

LONGEST = 8000  # characters of one part of a message
SECRET = "token|auth_string|secret|passw|credential|signature|api_?key|access_?key|private_?key"
USER_INFO = re.compile(r"(?<=://)[^\s/?#@]*@")
QUERY = re.compile(rf"([?&][^=&\s#]*(?:{SECRET}|sig)[^=&\s#]*=)[^&\s#]+", re.IGNORECASE)
SECRET_VARIABLE = re.compile(SECRET, re.IGNORECASE)
SHORTEST_SECRET = 8  # characters; a shorter value of a variable would mask ordinary words


def without_secrets(text: str) -> str:
    """The text without user and password in addresses, secret parts of queries, and secrets of the environment.

    >>> without_secrets("https://ann:pw@host/a.zip?part=1&X-Amz-Signature=e2e2")
    'https://***@host/a.zip?part=1&X-Amz-Signature=***'
    """
    text = QUERY.sub(r"\1***", USER_INFO.sub("***@", text))
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and SECRET_VARIABLE.search(name):
            text = text.replace(value, "***")
    return text


def shown(value: object) -> str:
    """A value as a message shows it: cut, without secrets, control characters as escapes, later lines set in.

    >>> shown("a\\x1b[2J\\n  what to do: trust me")
    'a\\\\x1b[2J\\n      what to do: trust me'
    """
    text = str(value)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}... ({len(text)} characters)"
    if isinstance(value, PurePath):
        text = text.replace("\n", "\\n")
    lines = without_secrets(text).split("\n")
    later = [line if line.startswith("    ") else f"    {line}" for line in lines[1:]]
    return "\n".join(_escaped(line) for line in [lines[0], *later])


def _escaped(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)


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
        """The same error, told of a place."""
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


class PictureError(InputError):
    """A picture that is no spectrogram."""


class DownloadError(EmoriffError):
    """A source that cannot be fetched, or whose bytes are not the declared ones."""


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
