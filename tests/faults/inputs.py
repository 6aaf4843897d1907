"""Files that vanish or change while a stage reads or writes them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.kills import differences
from tests.faults.table import Row, message_of
from tests.faults.undisturbed import World, repro

AUDIO, WAV, PICTURES = "data/raw/audio", "data/wav", "data/spectrograms"


def rows(world: World) -> Iterator[Row]:
    """Inputs first, then outputs."""
    yield disturbed(world, "convert", "an input vanishes", AUDIO, WAV, remove, "status 1")
    yield disturbed(world, "convert", "an input changes", AUDIO, WAV, overwrite, "status 1")
    yield disturbed(world, "spectrogram", "an input changes", WAV, PICTURES, overwrite, "status 1")
    yield disturbed(world, "convert", "an output vanishes", WAV, WAV, remove, "status 1")
    yield disturbed(world, "convert", "an output changes", WAV, WAV, overwrite, "status 1")
    yield dated(world)


def remove(files: list[Path]) -> None:
    """The last file is gone."""
    files[-1].unlink()


def overwrite(files: list[Path]) -> None:
    """The last file holds the bytes of the first."""
    files[-1].write_bytes(files[0].read_bytes())


def disturbed(
    world: World, name: str, what: str, folder: str, made: str, disturb: Callable[[list[Path]], None], expected: str
) -> Row:
    """The stage while one file of `folder` is disturbed, as soon as there are some files in `made`."""
    stage = world.stages[name]
    repository = stage.restored(world.folder / "work")
    run = repro(repository, name, world.server)
    run.until(lambda: len(files(repository / made)) >= 3)
    chosen = files(repository / folder)
    kept = {path: path.read_bytes() for path in chosen}
    disturb(chosen)
    code, said = run.ended(), run.said()
    if folder != made:
        mend(kept)
    again = repro(repository, name, world.server)
    equal = again.ended() == 0 and not differences(repository, stage)
    observed = f"status {min(code, 1)}" + (", traceback" if "Traceback" in said else "")
    return Row(
        f"{name}: {what} while it runs", expected, observed, message_of(said), equal, equal and observed == expected
    )


def files(folder: Path) -> list[Path]:
    """The finished files of a folder, by name."""
    return sorted(path for path in folder.glob("[0-9]*.*") if path.is_file())


def mend(kept: dict[Path, bytes]) -> None:
    """The files as they were, under new times."""
    for path, content in kept.items():
        path.unlink(missing_ok=True)
        path.write_bytes(content)


def dated(world: World) -> Row:
    """Inputs from 1970 and from 2100: contents count, dates do not."""
    stage = world.stages["convert"]
    repository = stage.restored(world.folder / "work")
    for number, path in enumerate(files(repository / AUDIO)):
        os.utime(path, (0, 0) if number % 2 else (4102444800, 4102444800))
    code = repro(repository, "convert", world.server).ended()
    equal = code == 0 and not differences(repository, stage)
    return Row("convert: inputs dated 1970 and 2100", "status 0", f"status {code}", "", equal, equal)
