"""Disks that are full or read-only. A small tmpfs or a bind mount where we may mount, else limits and permissions."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.kills import differences, half_written
from tests.faults.table import Row, message_of, skipped
from tests.faults.undisturbed import STAGES, Running, Stage, World, artifacts, repro

FULL = {"download": (0.1, 0.6), "convert": (0.2, 0.7), "train@ours": (0.1, 0.6), "generate@ours": (0.1, 0.6)}
LIMIT_BYTES = 300_000  # of one file, where nothing can be mounted: less than a WAV of the tiny corpus
HELP = ("what to do:", "No space left on device", "Read-only file system", "File too large")  # the last three: DVC's
READ_ONLY = {"convert": ("data", ".emoriff", "."), "train@ours": ("models",), "evaluate": ("reports",)}


def rows(world: World) -> Iterator[Row]:
    """Every stage of FULL and READ_ONLY."""
    yield file_too_large(world)
    for name, shares in FULL.items():
        for share in shares:
            yield full_disk(world, name, share)
    for name, folders in READ_ONLY.items():
        for folder in folders:
            yield read_only(world, name, folder)


def full_disk(world: World, name: str, share: float) -> Row:
    """The stage on a disk with room for a share of what it adds."""
    fault, stage = f"disk full: {name}, room for {share:.0%} of what it adds", world.stages[name]
    growth = size(Path(following(world, name))) - size(Path(stage.before))
    with mounted(world.folder / "disk", "1g") as disk:
        if disk is None:
            return skipped(fault, "only root can mount a small tmpfs; see the row of the largest file")
        repository = stage.restored(disk / "repository")
        used = shutil.disk_usage(disk).used
        remount(disk, f"{used + int(share * growth)}")
        old = artifacts(repository)
        run = repro(repository, name, world.server)
        return resumed(fault, run, stage, world, old, lambda: remount(disk, "1g"))


def file_too_large(world: World) -> Row:
    """No file may grow beyond LIMIT_BYTES: what a quota or an old file system says, without root."""
    stage, fault = world.stages["convert"], f"no file larger than {LIMIT_BYTES} bytes (RLIMIT_FSIZE): convert"
    if not shutil.which("prlimit"):
        return skipped(fault, "there is no prlimit")
    repository = stage.restored(world.folder / "work")
    old = artifacts(repository)
    run = repro(repository, "convert", world.server, ("prlimit", f"--fsize={LIMIT_BYTES}"))
    return resumed(fault, run, stage, world, old, lambda: None)


def read_only(world: World, name: str, folder: str) -> Row:
    """A folder of the repository that nothing can be written to."""
    fault, stage = f"read-only {folder}: {name}", world.stages[name]
    repository = stage.restored(world.folder / "work")
    old, place = artifacts(repository), repository / folder
    place.mkdir(exist_ok=True)
    if not make_read_only(place):
        return skipped(fault, "root writes everywhere, and nothing can be mounted here")
    try:
        run = repro(repository, name, world.server)
        run.ended()
    finally:
        make_writable(place)
    return resumed(fault, run, stage, world, old, lambda: None)


def resumed(fault: str, run: Running, stage: Stage, world: World, old: dict[str, str], mend: object) -> Row:
    """The row of a run that cannot end well: its message, nothing half-written, and the run after mending."""
    code, said = run.ended(), run.said()
    broken = half_written(artifacts(run.repository), old, stage.after)
    assert callable(mend)
    mend()
    again = repro(run.repository, stage.name, world.server)
    again_code, different = again.ended(), differences(run.repository, stage)
    equal = again_code == 0 and not different
    helps = "Traceback" not in said and any(text in said for text in HELP)
    observed = f"status {code}" + ("" if helps else ", no help") + ("; half-written: " + broken[0] if broken else "")
    message = message_of(said) if equal else f"{message_of(said)} AFTERWARDS {message_of(again.said())} {different[:2]}"
    return Row(fault, "stops with a message", observed, message, equal, equal and code != 0 and helps and not broken)


def following(world: World, name: str) -> str:
    """The snapshot after the stage: that before the next one, or the undisturbed repository itself."""
    later = STAGES[STAGES.index(name) + 1 :]
    return world.stages[later[0]].before if later else str(world.folder / "undisturbed")


def size(folder: Path) -> int:
    """Bytes below a folder, in whole pages as a tmpfs counts them."""
    return sum((path.lstat().st_size + 4095) // 4096 * 4096 for path in folder.rglob("*") if not path.is_dir())


@contextmanager
def mounted(folder: Path, most: str) -> Iterator[Path | None]:
    """A tmpfs of that size, or None where it cannot be mounted."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() or command("mount", "-t", "tmpfs", "-o", f"size={most}", "emoriff-faults", str(folder)):
        yield None
        return
    try:
        yield folder
    finally:
        command("umount", "--lazy", str(folder))


def remount(disk: Path, most: str) -> None:
    """Another size for a mounted tmpfs."""
    assert command("mount", "-o", f"remount,size={most}", str(disk)) == 0


def make_read_only(folder: Path) -> bool:
    """Whether nothing can be written to the folder now: a read-only bind mount for root, else by permissions."""
    if os.geteuid():
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            path.chmod(0o555)
        return True
    if command("mount", "--bind", str(folder), str(folder)):
        return False
    return command("mount", "-o", "remount,ro,bind", str(folder)) == 0


def make_writable(folder: Path) -> None:
    """Undo `make_read_only`."""
    if os.geteuid():
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            path.chmod(0o755)
    else:
        command("umount", "--lazy", str(folder))


def command(*words: str) -> int:
    """The exit code; what it says is for nobody."""
    try:
        return subprocess.run(words, capture_output=True).returncode
    except FileNotFoundError:
        return 127
