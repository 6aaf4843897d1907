"""Bytes of one address on disk, resumable: address -> **partial file** -> sources.

The partial file NAME.partial lies beside a note of where it came from and of the server's validator (ETag or
Last-Modified). Only the same address with the same validator is continued (RFC 9110, Range with If-Range),
so that two versions of a file are never glued together.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import IO, TypeVar

import requests
import urllib3

from tasks.core.errors import DownloadError, UnreachableError
from tasks.core.files import write_json
from tasks.core.reading import record_in
from tasks.core.storage import free_gib

Result = TypeVar("Result")
Progress = Callable[[int, int | None, str], None]  # bytes done, bytes in all (None: unknown), note

# Some servers answer 403 to Python's own User-Agent. "identity": the hash is that of the file, not of a gzip.
HEADERS = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) emoriff", "Accept-Encoding": "identity"}
CHUNK_BYTES = 1 << 16
MOST_TEXT_BYTES = 1 << 20  # of a list of checksums
HEADWAY_BYTES = 1 << 20  # a try that brought so much does not count against the retries
TELL_SECONDS = 0.2  # between two calls of `progress`
LONGEST_WAIT_SECONDS = 600.0
BUSY = {408, 425, 429, *range(500, 600)}


class TransientError(UnreachableError):
    """Worth another try at the same address, not before `wait_seconds`."""

    wait_seconds: float = 0.0


class PermanentError(DownloadError):
    """No use to try this address again."""


@dataclass(frozen=True)
class PartialFile:
    """What lies in the partial file now."""

    sha256: str
    size_bytes: int
    resumed: bool  # pieced together from more than one answer


@dataclass(frozen=True)
class Note:
    """Where the bytes of a partial file come from."""

    url: str
    validator: str  # strong ETag or Last-Modified
    total_bytes: int | None


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    retries: int  # tries without headway after the first
    backoff_seconds: float  # first wait, doubled each time
    stall_seconds: float  # a connection without a byte for so long is given up


def download(
    url: str, partial: Path, patience: Patience, size_bytes: int | None, progress: Progress | None
) -> PartialFile:
    """All bytes of `url` in `partial`, after as many tries as `patience` allows.

    Args:
        url: http or https.
        partial: continued when its note says that it is the beginning of the same version.
        patience: tries that brought a mebibyte or more do not count.
        size_bytes: declared size; a server that announces or sends another one is refused.
        progress: called with each chunk.

    Raises:
        PermanentError: an answer that another try would not change. TransientError: the tries are used up.
    """
    return patiently(
        url,
        patience,
        lambda: attempt(url, partial, patience.stall_seconds, size_bytes, progress),
        lambda: _size(partial),
    )


def fetch_text(url: str, patience: Patience) -> str:
    """A small text file of a server.

    Raises:
        PermanentError: there is none. TransientError: the tries are used up. DownloadError: it is too large to be one.
    """

    def attempt() -> str:
        with opened(url, HEADERS, patience.stall_seconds) as answer:
            content = b"".join(islice(_chunks(answer), MOST_TEXT_BYTES // CHUNK_BYTES + 1))
        if len(content) > MOST_TEXT_BYTES:
            raise DownloadError(
                "the list of checksums is too large",
                where=url,
                expected=f"at most {MOST_TEXT_BYTES} bytes",
                got="more",
                todo="declare the file's own sha256 below download.sources in params.yaml: then no list is asked for",
            )
        return content.decode("utf-8", "replace")

    return patiently(url, patience, attempt, lambda: 0)


def patiently(url: str, patience: Patience, attempt: Callable[[], Result], size: Callable[[], int]) -> Result:
    """What `attempt` gives, tried again after each TransientError; tries that made `size` grow do not count."""
    failures = 0
    while True:
        before = size()
        try:
            return attempt()
        except TransientError as error:
            failures = 1 if size() - before >= HEADWAY_BYTES else failures + 1
            wait = max(error.wait_seconds, patience.backoff_seconds * 2 ** (failures - 1))
            if failures > patience.retries or wait > LONGEST_WAIT_SECONDS:
                raise _given_up(url, error, failures, wait) from error
            time.sleep(wait)


def _given_up(url: str, error: TransientError, failures: int, wait: float) -> TransientError:
    return TransientError(
        f"gave up after {failures} tries without headway: {error.what}",
        where=url,
        expected=error.expected,
        got=f"the server wants a wait of {wait:.0f} s" if wait > LONGEST_WAIT_SECONDS else error.got,
        todo="run the same command again later: it goes on where it stopped",
    )


def attempt(
    url: str, partial: Path, stall_seconds: float, size_bytes: int | None, progress: Progress | None
) -> PartialFile:
    """One request, continuing `partial` where that is sound.

    Raises:
        TransientError, PermanentError: as for `download`.
    """
    note = read_note(partial, url)
    offset = _size(partial) if note else 0
    if note and offset and offset == note.total_bytes:
        return _hashed(partial)
    headers = HEADERS | ({"Range": f"bytes={offset}-", "If-Range": note.validator} if note and offset else {})
    with opened(url, headers, stall_seconds) as answer:
        offset = _offset_served(answer, partial, note, offset)
        total = _total_bytes(answer, offset)
        _check_announced(answer, total, size_bytes, partial)
        if not offset:
            forget(partial)  # before the new note: old bytes never stand under it, even after kill -9
            write_note(partial, Note(url, _validator(answer), total))
        received = _receive(answer, partial, offset, total if total is not None else size_bytes, progress)
    if total is not None and received.size_bytes < total:
        raise TransientError("the connection broke off", where=url, expected=f"{total} bytes", got=received.size_bytes)
    return received


@contextmanager
def opened(url: str, headers: dict[str, str], stall_seconds: float) -> Iterator[requests.Response]:
    """The answer of a server, redirects followed; closed afterwards.

    Raises:
        TransientError: no connection, or a busy server. PermanentError: any other answer without content.
    """
    try:
        answer = requests.get(url, headers=headers, timeout=stall_seconds, stream=True)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise TransientError(f"no answer: {_short(error)}", where=url) from error
    except requests.RequestException as error:
        raise PermanentError(f"cannot be asked: {_short(error)}", where=url) from error
    with answer:
        _check_status(answer)
        yield answer


def _check_status(answer: requests.Response) -> None:
    got = f"{answer.status_code} {answer.reason}"
    if answer.status_code in BUSY:
        error = TransientError("the server is busy", where=answer.url, got=got)
        error.wait_seconds = _retry_after(answer.headers.get("Retry-After", ""))
        raise error
    if answer.status_code not in (200, 206, 416):
        raise PermanentError("the server does not give the file", where=answer.url, expected="200 OK", got=got)


def _retry_after(text: str) -> float:
    """Seconds of a Retry-After header: a number or a date; 0 for neither."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, one without a zone, or one too far
        return 0.0


def _offset_served(answer: requests.Response, partial: Path, note: Note | None, offset: int) -> int:
    """Where the answer's bytes belong: `offset` when it continues the same version, 0 when it starts anew.

    Raises:
        TransientError: it is a part of something else; the partial file is forgotten.
    """
    if answer.status_code == 200:
        return 0
    got = answer.headers.get("Content-Range", "no Content-Range")
    total = note.total_bytes if note else None
    goes_on = answer.status_code == 206 and got.startswith(f"bytes {offset}-")
    same_length = total is None or got.endswith(("/*", f"/{total}"))
    same_version = note is not None and _validator(answer) in ("", note.validator)
    if goes_on and same_length and same_version:
        return offset
    forget(partial)
    raise TransientError("the file changed on the server: starting anew", where=answer.url, got=got)


def _validator(answer: requests.Response) -> str:
    """What distinguishes two versions. A weak ETag does not promise equal bytes (RFC 9110, 8.8.1)."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")


def _total_bytes(answer: requests.Response, offset: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return offset + int(length) if length.isdecimal() and len(length) < 20 else None


def _check_announced(answer: requests.Response, total: int | None, size_bytes: int | None, partial: Path) -> None:
    if answer.headers.get("Content-Type", "").startswith("text/html") and not partial.name.endswith(".html.partial"):
        raise PermanentError(
            "the server sent a web page", where=answer.url, expected="the file itself", got="text/html"
        )
    if size_bytes is not None and total not in (None, size_bytes):
        raise PermanentError(
            "not the declared size", where=answer.url, expected=f"{size_bytes} bytes", got=f"{total} bytes"
        )
    if total is not None and total - _size(partial) > free_gib(partial.parent) * 2**30:
        raise DownloadError(
            "the disk is too small for the file",
            where=partial.parent,
            expected=f"{total / 2**30:.2f} GiB free",
            got=f"{free_gib(partial.parent):.2f} GiB",
            todo="free some space, then run the same command again",
        )


def _receive(
    answer: requests.Response, partial: Path, offset: int, total: int | None, progress: Progress | None
) -> PartialFile:
    """The bytes in the partial file, hashed as they come."""
    hasher = _hasher(partial) if offset else hashlib.sha256()
    done, started, reported = offset, time.monotonic(), 0.0
    with _writing(partial, "ab" if offset else "wb") as file:
        for chunk in _chunks(answer):
            file.write(chunk)
            hasher.update(chunk)
            done += len(chunk)
            if total is not None and done > total:
                raise PermanentError(
                    "more bytes than declared", where=answer.url, expected=total, got=f"{done} and more"
                )
            now = time.monotonic()
            if progress and (now - reported > TELL_SECONDS or done == total):
                reported, rate = now, (done - offset) / max(now - started, 1e-3) / 1e6
                progress(done, total, f"bytes of {partial.stem}, {rate:.1f} MB/s")
    return PartialFile(hasher.hexdigest(), done, resumed=offset > 0)


@contextmanager
def _writing(partial: Path, mode: str) -> Iterator[IO[bytes]]:
    try:
        with partial.open(mode) as file:
            yield file
    except OSError as error:
        raise DownloadError(
            f"cannot write: {error.strerror}",
            where=partial,
            expected=f"a writable disk with room (free here: {free_gib(partial.parent):.2f} GiB)",
            todo="free some space, then run the same command again: it goes on where it stopped",
        ) from error


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    while True:
        try:
            chunk = answer.raw.read(CHUNK_BYTES, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError(f"the connection broke off: {_short(error)}", where=answer.url) from error
        if not chunk:
            return
        yield chunk


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _hashed(partial: Path) -> PartialFile:
    return PartialFile(_hasher(partial).hexdigest(), _size(partial), resumed=True)


def _hasher(path: Path) -> "hashlib._Hash":
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def note_file(partial: Path) -> Path:
    """Where the note of a partial file is."""
    return partial.with_name(partial.name + ".json")


def read_note(partial: Path, url: str) -> Note | None:
    """The note of a partial file that can be continued from `url`; None: start anew."""
    note = record_in(note_file(partial), Note)
    return note if note and note.url == url and note.validator else None


def write_note(partial: Path, note: Note) -> None:
    """Say where the bytes of `partial` come from."""
    write_json(note_file(partial), asdict(note))


def forget(partial: Path) -> None:
    """Remove a partial file and its note."""
    partial.unlink(missing_ok=True)
    note_file(partial).unlink(missing_ok=True)
