"""Archives unpacked without trust: downloaded zip -> **members by name** -> data/raw.

Members are found by their file name at any depth, so that repacked copies with outer folders work. Whatever
would write outside the target, hide something or fill the disk is refused before a byte is written, and the
sizes are watched again while writing, because a header can lie.
"""

import errno
import fnmatch
import lzma
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from tasks.core.errors import InputError
from tasks.core.storage import free_gib, replacing
from tasks.download.params import DownloadParams, RawFolder, Source

CHUNK_BYTES = 1 << 20
GIB = 2**30
CLUTTER = ("__macosx", ".ds_store", "thumbs.db", "desktop.ini")  # what file managers leave in archives

# What Python's zip reader and its decompressors raise of damaged bytes
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError)
DAMAGE += (OSError, ValueError, RuntimeError, OverflowError)  # type: ignore[assignment]

Progress = Callable[[int, int | None, str], None]


def unpack(
    archive: Path, source: Source, target: Path, params: DownloadParams, progress: Progress | None = None
) -> list[Path]:
    """The files taken, as target/FOLDER/NAME, sorted; files that were there are replaced.

    A source that is no zip by its name is itself the one member.

    Args:
        archive: what was downloaded.
        source: its `members` say which files go to which folder.
        target: data/raw.
        params: `max_unpacked_gib` and `max_ratio`, for declared and for real sizes.
        progress: called after each file.

    Raises:
        InputError: not a zip, damaged or encrypted; a member with an absolute path, "..", a link, a device,
            a name that occurs twice, or too large; a pattern that no member matches.
    """
    if not source.name.lower().endswith(".zip"):
        return _take_file(archive, source, target)
    with _opened(archive) as zipped:
        members = zipped.infolist()
        check_members(archive, members)
        chosen = choose(archive, members, source.members)
        check_sizes(archive, [member for member, _ in chosen], params, target)
        budget = int(params.max_unpacked_gib * GIB)
        for done, (member, name) in enumerate(chosen, start=1):
            budget -= _extract(archive, zipped, member, target / name, budget, params.max_ratio)
            if progress:
                progress(done, len(chosen), f"files of {source.name}")
    return sorted(target / name for _, name in chosen)


def _take_file(file: Path, source: Source, target: Path) -> list[Path]:
    name = target / _folder_of(source.name, source.members, file) / source.name
    with replacing(name) as temporary:
        shutil.copyfile(file, temporary)
    return [name]


def _folder_of(name: str, members: Mapping[RawFolder, str], where: Path) -> str:
    folders = [folder for folder, pattern in members.items() if matches(name, pattern)]
    if len(folders) != 1:
        raise InputError(
            "a file that is no archive belongs to one folder", where=where, expected=f"one of {members}", got=folders
        )
    return folders[0]


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except DAMAGE as error:
        _check_read(archive, error)
        raise InputError(
            "not a readable zip archive",
            where=archive,
            expected="a whole zip file",
            got=f"{error}; first bytes {_first_bytes(archive)!r}",
            todo="remove the file and run `emoriff download` again; if it stays so, the address serves something else",
        ) from error


def _check_read(archive: Path, error: Exception) -> None:
    """Refuse what is no damage of the archive: the disk or the network share did not give its bytes.

    Raises:
        InputError: it was an error of the system's, but for the one of an offset that damaged bytes make up.
    """
    if not isinstance(error, OSError) or error.errno in (None, errno.EINVAL):
        return
    if error.filename in (None, str(archive)):  # else it is of the file that is written
        raise InputError(
            "the archive cannot be read",
            where=archive,
            got=error,
            todo="look after the disk or the network share that holds it, then run the same command again",
        ) from error


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def matches(name: str, pattern: str) -> bool:
    """Whether a file name fits a glob, or one of several with "|" between; case does not matter."""
    return any(fnmatch.fnmatchcase(name.lower(), one.strip().lower()) for one in pattern.split("|"))


def check_members(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive with a member that no honest one has, wanted or not.

    Raises:
        InputError: names the first such member and says why.
    """
    seen: set[str] = set()
    for member in members:
        reason = suspicion(member)
        if not reason and member.filename.casefold() in seen:
            reason = "its name occurs twice"
        if reason:
            raise InputError(
                f"the archive is refused: {reason}",
                where=f"{archive}: {member.filename!r}",
                expected="plain files below the archive's own folder, each once",
                todo="take the archive from another place; this one was made badly or with bad intent",
            )
        seen.add(member.filename.casefold())


def suspicion(member: zipfile.ZipInfo) -> str:
    """Why a member is refused; empty: it is not."""
    name = member.orig_filename.replace("\\", "/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or name[1:2] == ":":
        return "absolute path"
    if ".." in PurePosixPath(name).parts:
        return "a path with .."
    if "\0" in name:
        return "a name with a null byte"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "a name with control characters"
    if stat.S_ISLNK(kind):
        return "a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or another special file"
    return "encrypted" if member.flag_bits & 0x1 else ""


def choose(
    archive: Path, members: list[zipfile.ZipInfo], wanted: Mapping[RawFolder, str]
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """(member, FOLDER/NAME below the target) of what is wanted, sorted by the second.

    Raises:
        InputError: nothing matches a pattern, or two members would get the same name.
    """
    chosen: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for folder, pattern in sorted(wanted.items()):
        found = [member for member in members if not _is_clutter(member) and matches(_name(member), pattern)]
        if not found:
            raise _nothing_found(archive, members, pattern)
        for member in found:
            name = PurePosixPath(folder, _name(member))
            if name in chosen:
                raise InputError(
                    "two members have the same file name",
                    where=archive,
                    expected=f"one {name}",
                    got=f"{chosen[name].filename!r} and {member.filename!r}",
                    todo=f"make the pattern of `members: {folder}` ({pattern}) narrower",
                )
            chosen[name] = member
    return [(chosen[name], name) for name in sorted(chosen)]


def _name(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename.replace("\\", "/")).name


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename.lower().replace("\\", "/")).parts
    return member.is_dir() or _name(member).startswith("._") or any(part in CLUTTER for part in parts)


def _nothing_found(archive: Path, members: list[zipfile.ZipInfo], pattern: str) -> InputError:
    names = sorted({_name(member) for member in members if not _is_clutter(member)})
    return InputError(
        "no member has the wanted name",
        where=archive,
        expected=pattern,
        got=", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "") or "no files",
        todo="change the pattern below download.sources in params.yaml, or take the right archive",
    )


def check_sizes(archive: Path, members: list[zipfile.ZipInfo], params: DownloadParams, target: Path) -> None:
    """Refuse what by its own header is a bomb, or does not fit on the disk.

    Raises:
        InputError: naming the limit.
    """
    for member in members:
        _check_ratio(archive, member, member.file_size, params.max_ratio)
    total = sum(member.file_size for member in members)
    target.mkdir(parents=True, exist_ok=True)
    free = free_gib(target)
    for limit, todo in (
        (params.max_unpacked_gib, "raise download.max_unpacked_gib if you trust the archive"),
        (free, "free some space, then run the same command again"),
    ):
        if total > limit * GIB:
            raise _too_large(archive, f"{limit:.3g} GiB", f"{total / GIB:.3g} GiB", todo)


def _check_ratio(archive: Path, member: zipfile.ZipInfo, n_bytes: int, max_ratio: float) -> None:
    ratio = n_bytes / max(member.compress_size, 1)
    if ratio > max_ratio:
        todo = "raise download.max_ratio if you trust the archive"
        raise _too_large(
            f"{archive}: {member.filename!r}", f"at most {max_ratio:g} times its packed size", f"{ratio:.0f}", todo
        )


def _too_large(where: object, expected: str, got: str, todo: str) -> InputError:
    return InputError("the archive unpacks to too much", where=where, expected=expected, got=got, todo=todo)


def _extract(
    archive: Path, zipped: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, budget: int, max_ratio: float
) -> int:
    """Bytes written to `target`, whole or not at all."""
    try:
        with replacing(target) as temporary, zipped.open(member) as packed, temporary.open("wb") as file:
            return _copy(packed, file, budget, lambda done: _check_ratio(archive, member, done, max_ratio))
    except DAMAGE as error:
        _check_read(archive, error)
        raise InputError(
            "a member of the archive is damaged",
            where=f"{archive}: {member.filename!r}",
            got=error,
            todo="remove the archive and run `emoriff download` again",
        ) from error


def _copy(packed: IO[bytes], file: IO[bytes], budget: int, check: Callable[[int], None]) -> int:
    done = 0
    while chunk := packed.read(CHUNK_BYTES):
        done += len(chunk)
        check(done)
        if done > budget:
            todo = "raise download.max_unpacked_gib if you trust the archive"
            raise _too_large(file.name, "at most download.max_unpacked_gib in all", f"{done} bytes and more", todo)
        file.write(chunk)
    return done
