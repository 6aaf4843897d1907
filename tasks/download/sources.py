"""What is declared, fetched and checked: sources -> **archives with the right hash** -> data/raw.

A source (tasks/settings.py: Source) is reviewed without running anything: addresses, size, hash, licence,
citation, members. Nothing gets its final name before its SHA-256 is right, and nothing is fetched twice.
"""

import hashlib
import os
import re
import urllib.parse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints

from tasks.core.errors import DownloadError, ParameterError
from tasks.core.files import sha256, write_json
from tasks.core.layout import SOURCES
from tasks.core.reading import record_in
from tasks.core.storage import replacing
from tasks.download import archives
from tasks.download.folder import take_folder
from tasks.download.http import PartialFile, Patience, PermanentError, Progress, download, fetch_text, forget
from tasks.download.params import DownloadParams, Source
from tasks.execution.cache import prune

CHUNK_BYTES = 1 << 20
SUMS = "SHA256SUMS"
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Receipt:
    """What a finished file is, and who vouches for it."""

    sha256: Annotated[str, StringConstraints(pattern=f"^{SHA256.pattern}$")]
    sha256_from: str  # "declared", "SHA256SUMS" or "recorded"
    size_bytes: int


def obtain(params: DownloadParams, target: Path, work: Path, progress: Progress | None = None) -> None:
    """`target` (data/raw) holds audio/, annotations/, metadata/ and sources.json, and nothing else.

    Args:
        params: the sources, or a user's folder.
        target: what is there already and belongs is replaced, what does not belong is removed.
        work: keeps the archives, finished and partial.
        progress: called with (done, total, note) in bytes, then in files.

    Raises:
        DownloadError, InputError, ParameterError: as for `fetch`, `archives.unpack` and `take_folder`.
    """
    folder = params.folder
    entries = [take_folder(folder, target)] if folder else _take_sources(params, target, work, progress)
    record = target / SOURCES.name
    write_json(record, {"sources": [entry for entry, _ in entries]})
    prune(target, [record, *(path for _, taken in entries for path in taken)])


def _take_sources(
    params: DownloadParams, target: Path, work: Path, progress: Progress | None
) -> list[tuple[dict[str, Any], list[Path]]]:
    if not params.sources:
        raise ParameterError(
            "nothing to download",
            where="download.sources",
            expected="sources, or a folder",
            todo="`emoriff use demo`, `emoriff use thesis` or `emoriff use folder PATH`",
        )
    for source in params.sources:
        check_acknowledged(source, params)
    entries, owners = [], dict[Path, str]()
    for source in params.sources:
        archive = fetch(source, work, params, progress)
        taken = archives.unpack(archive, source, target, params, progress)
        _check_clashes(source, taken, owners)
        entries.append((describe(source, archive, taken), taken))
    return entries


def _check_clashes(source: Source, taken: list[Path], owners: dict[Path, str]) -> None:
    for path in taken:
        if path in owners:
            raise DownloadError(
                "two sources hold a file of the same name",
                where=path,
                expected="one source for it",
                got=f"{owners[path]} and {source.name}",
                todo="make the patterns of `members` below download.sources narrower",
            )
        owners[path] = source.name


def describe(source: Source, archive: Path, taken: list[Path]) -> dict[str, Any]:
    """The source's row in sources.json: what it is, its hash and who vouches for it, what was taken."""
    receipt = read_receipt(archive)
    assert receipt, "fetch has written it"
    folders = sorted({path.parent.name for path in taken})
    return {
        "name": source.name,
        "urls": source.urls,
        "licence": source.licence,
        "citation": source.citation,
        **asdict(receipt),
        "files": {folder: sum(path.parent.name == folder for path in taken) for folder in folders},
    }


def check_acknowledged(source: Source, params: DownloadParams) -> None:
    """Refuse a source whose licence has not been acknowledged.

    Raises:
        ParameterError: says where.
    """
    if source.needs_acknowledgement and not params.acknowledge_noncommercial:
        raise ParameterError(
            "the licence of a source has not been acknowledged",
            where=f"download.sources: {source.name}",
            expected="download.acknowledge_noncommercial: true",
            got=f"false; the licence: {source.licence}",
            todo="read the licence, and set it to true in params.yaml if your use is covered",
        )


def fetch(source: Source, folder: Path, params: DownloadParams, progress: Progress | None = None) -> Path:
    """The source's file in `folder`, with the right bytes.

    Its hash is the declared one; else the one in a SHA256SUMS beside the file; else what was got is recorded,
    and later runs hold to that. A file that is there with the right hash, put there by whomever, is not
    fetched again. Mirrors are asked in order.

    Raises:
        ParameterError: the licence is not acknowledged. DownloadError: no mirror gave the right bytes.
    """
    check_acknowledged(source, params)
    final = folder / source.name
    folder.mkdir(parents=True, exist_ok=True)
    if is_fetched(source, final):
        return final
    refusals = _refuse_present(source, final)
    for url in source.urls:
        try:
            return _fetch_from(url, source, final, params, progress)
        except DownloadError as error:
            refusals.append(error)
    raise refusals[0] if len(refusals) == 1 else _no_mirror(source, refusals)


def _refuse_present(source: Source, final: Path) -> list[DownloadError]:
    """What is wrong with a file that was put there by hand, to be reported if no mirror has a better one."""
    if not final.is_file():
        return []
    wanted, origin = wanted_hash(source, final)
    got = PartialFile(sha256(final), final.stat().st_size, resumed=False)
    return [_mismatch(str(final), source, wanted, origin, got)] if wanted else []


def _no_mirror(source: Source, refusals: list[DownloadError]) -> DownloadError:
    return DownloadError(
        "no address gave the file",
        where=source.name,
        got="".join("\n    " + str(error).replace("\n", "\n    ") for error in refusals),
        todo="see each address's reason; add a mirror to `urls`, or put the file into the downloads folder by hand",
    )


def is_fetched(source: Source, final: Path) -> bool:
    """Whether the file is there with the hash that it should have."""
    if not final.is_file():
        return False
    wanted, origin = wanted_hash(source, final)
    got = sha256(final)
    if wanted != got:
        return False
    write_receipt(final, PartialFile(got, final.stat().st_size, resumed=False), origin)
    return True


def wanted_hash(source: Source, final: Path) -> tuple[str | None, str]:
    """The hash that a file already there must have, and who says so; no network is used."""
    if source.sha256:
        return source.sha256, "declared"
    for path in (local_path(url) for url in source.urls if is_local(url)):
        listed = sums_in(path.with_name(SUMS)).get(path.name)
        if listed:
            return listed, SUMS
        if path.is_file():
            return sha256(path), "recorded"
    receipt = read_receipt(final)
    return (receipt.sha256, receipt.sha256_from) if receipt else (None, "recorded")


def _fetch_from(url: str, source: Source, final: Path, params: DownloadParams, progress: Progress | None) -> Path:
    """The file under its final name, from one address.

    Pieces that fit by length and validator but not by hash are fetched once more in one go.
    """
    partial = final.with_name(final.name + ".partial")
    patience = Patience(params.retries, params.backoff_seconds, params.stall_seconds)
    wanted, origin = expected_hash(url, source, patience)
    if wanted is None and not is_local(url) and (receipt := read_receipt(final)):
        wanted = receipt.sha256  # the first one that was got
    received = _receive(url, partial, patience, source.size_bytes, progress)
    if received.resumed and not fits(received, source, wanted):
        forget(partial)
        received = _receive(url, partial, patience, source.size_bytes, progress)
    if not fits(received, source, wanted):
        forget(partial)
        raise _mismatch(url, source, wanted, origin, received)
    write_receipt(final, received, origin)
    os.replace(partial, final)
    forget(partial)
    return final


def _receive(
    url: str, partial: Path, patience: Patience, size_bytes: int | None, progress: Progress | None
) -> PartialFile:
    if is_local(url):
        return copy(url, partial, progress)
    return download(url, partial, patience, size_bytes, progress)


def fits(received: PartialFile, source: Source, wanted: str | None) -> bool:
    """Whether hash and size are the expected ones, as far as they are known."""
    return wanted in (None, received.sha256) and source.size_bytes in (None, received.size_bytes)


def _mismatch(url: str, source: Source, wanted: str | None, origin: str, received: PartialFile) -> DownloadError:
    size = "" if source.size_bytes is None else f", {source.size_bytes} bytes"
    return DownloadError(
        "not the expected bytes; nothing was kept",
        where=url,
        expected=f"SHA-256 {wanted or 'unknown'} ({origin}){size}",
        got=f"SHA-256 {received.sha256}, {received.size_bytes} bytes",
        todo="if the publisher replaced the file and you trust the new one, accept it on purpose: in params.yaml, "
        f"download.sources, {source.name}, set sha256: {received.sha256} and size_bytes: {received.size_bytes}",
    )


def expected_hash(url: str, source: Source, patience: Patience) -> tuple[str | None, str]:
    """The hash to come and who says so: "declared", "SHA256SUMS" beside the file, or none yet ("recorded").

    Raises:
        TransientError: the server does not answer at all. DownloadError: its list of hashes is too large to be one.
    """
    if source.sha256:
        return source.sha256, "declared"
    sums_url = urllib.parse.urljoin(url, SUMS)
    name = urllib.parse.unquote(url.rsplit("/", 1)[-1])
    sums = sums_in(local_path(url).with_name(SUMS)) if is_local(url) else _sums_at(sums_url, patience)
    return (sums[name], SUMS) if name in sums else (None, "recorded")


def _sums_at(url: str, patience: Patience) -> dict[str, str]:
    """The checksums that a server lists; none where it has no such file."""
    try:
        return parse_sums(fetch_text(url, patience))
    except PermanentError:
        return {}


def sums_in(path: Path) -> dict[str, str]:
    """Name -> SHA-256 of a SHA256SUMS file; empty where there is none."""
    return parse_sums(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}


def parse_sums(text: str) -> dict[str, str]:
    """Name -> SHA-256 of lines as sha256sum writes them; other lines are passed over.

    >>> parse_sums("ab" * 32 + "  x.zip\\n" + "cd" * 32 + " *y.zip\\n<html>")["y.zip"][:4]
    'cdcd'
    """
    pairs = [line.split(maxsplit=1) for line in text.splitlines()]
    return {
        pair[1].strip().removeprefix("*"): pair[0].lower()
        for pair in pairs
        if len(pair) == 2 and SHA256.fullmatch(pair[0].lower())
    }


def is_local(url: str) -> bool:
    """Whether an address is a file of this machine."""
    return url.startswith("file://")


def local_path(url: str) -> Path:
    """The path of a file:// address, absolute (file:///a/b) or relative to the current folder (file://a/b).

    >>> local_path("file://.emoriff/corpus/X%20Y.zip").as_posix()
    '.emoriff/corpus/X Y.zip'
    """
    return Path(urllib.parse.unquote(url.removeprefix("file://")))


def copy(url: str, partial: Path, progress: Progress | None) -> PartialFile:
    """A local file's bytes in `partial`, hashed as they are copied.

    Raises:
        DownloadError: there is no such file.
    """
    path = local_path(url)
    if not path.is_file():
        raise DownloadError("no such file", where=url, expected=path, got="nothing there")
    hasher, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file, replacing(partial) as temporary, temporary.open("wb") as target:
        while chunk := file.read(CHUNK_BYTES):
            target.write(chunk)
            hasher.update(chunk)
            done += len(chunk)
            if progress:
                progress(done, total, f"bytes of {path.name}")
    return PartialFile(hasher.hexdigest(), done, resumed=False)


def receipt_file(final: Path) -> Path:
    """Where it is written what a finished file's hash is and who vouches for it."""
    return final.with_name(final.name + ".received.json")


def write_receipt(final: Path, received: PartialFile, origin: str) -> None:
    """Remember the hash of a finished file."""
    write_json(receipt_file(final), asdict(Receipt(received.sha256, origin, received.size_bytes)))


def read_receipt(final: Path) -> Receipt | None:
    """The receipt of a finished file; None where there is nothing readable."""
    return record_in(receipt_file(final), Receipt)
