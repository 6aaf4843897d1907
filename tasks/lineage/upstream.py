"""From an artifact back through the steps that made it: **steps** -> chain -> lineage.

What a step read is matched to what made it by hash, so a model trained on last week's data set is joined to
last week's data set, not to today's.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

from tasks.core.files import names_below
from tasks.execution.cache import md5_of
from tasks.lineage.dvc_dirs import dir_manifest, folder_md5
from tasks.lineage.history import Step

CHECKED_BYTES = 100 * 2**20  # a larger folder is not read again to answer; `dvc status` checks it


@dataclass
class Upstream:
    """The steps behind an artifact, nearest first, and which step made each input of each step."""

    steps: list[Step] = field(default_factory=list)
    makers: dict[tuple[str, str], list[Step]] = field(default_factory=dict)  # (step identity, input path)
    notes: list[str] = field(default_factory=list)


class Makers:
    """Which step made which version of a path."""

    def __init__(self, root: Path, known: list[Step]) -> None:
        self.root = root
        self.by_output: dict[str, list[Step]] = {}  # newest evidence first
        for step in known:
            for out in step.outputs:
                self.by_output.setdefault(out, []).append(step)

    def of(self, path: str, md5: str | None) -> Step | None:
        """The step that made `path` with this hash; where none is known, the newest that makes the path."""
        places = [path, *(parent.as_posix() for parent in PurePosixPath(path).parents)]
        candidates = [step for place in places for step in self.by_output.get(place, [])]
        exact = (step for step in candidates if md5 and made_md5(self.root, step, path) == md5)
        return next(exact, candidates[0] if candidates else None)

    def of_input(self, path: str, md5: str) -> list[Step]:
        """The steps behind an input: one, or several where it is a folder of outputs."""
        one = self.of(path, md5)
        if one:
            return [one]
        parts = [self.by_output[out][0] for out in self.by_output if covers(path, out)]
        return list({step.identity: step for step in parts}.values())

    def is_exact(self, step: Step, path: str, md5: str) -> bool:
        """Whether it is known to be this version, or cannot be known."""
        return made_md5(self.root, step, path) in (md5, None)


def covers(folder: Path | str, path: str) -> bool:
    """Whether `path` is `folder` or below it."""
    return path == str(folder) or path.startswith(f"{folder}/")


def upstream_of(makers: Makers, start: Step) -> Upstream:
    """Everything behind a step, breadth first."""
    found, seen = Upstream([start]), {start.identity}
    for step in found.steps:  # grows while it is walked
        for path, md5 in step.inputs.items():
            behind = makers.of_input(path, md5)
            found.makers[step.identity, path] = behind
            found.notes += [
                f"{path}: the version that {step.stage} read ({md5}) is in no record; {maker.stage} as known is shown"
                for maker in behind
                if not makers.is_exact(maker, path, md5)
            ]
            found.steps += [maker for maker in behind if maker.identity not in seen]
            seen |= {maker.identity for maker in behind}
    return found


def made_md5(root: Path, step: Step, path: str) -> str | None:
    """The hash that `path` had when the step made it; None: no manifest of its folder is at hand."""
    for out, md5 in step.outputs.items():
        if out == path:
            return md5
        if covers(out, path):
            return below(root, md5, path[len(out) + 1 :])
    return None


@lru_cache(maxsize=4096)
def below(root: Path, folder_hash: str, name: str) -> str | None:
    """The hash of a file or folder inside a folder version."""
    files = dir_manifest(root, folder_hash)
    if files is None:
        return None
    if name in files:
        return files[name]
    inside = {file[len(name) + 1 :]: md5 for file, md5 in files.items() if covers(name, file)}
    return folder_md5(inside) if inside else None


def present_md5(root: Path, path: str) -> str | None:
    """The hash of what is at `path` now; None where nothing is, or a folder too large to read in passing."""
    place = root / path
    if place.is_file():
        return md5_of(place)
    names = names_below(place)
    if not names or sum((place / name).stat().st_size for name in names) > CHECKED_BYTES:
        return None
    return folder_md5({name: md5_of(place / name) for name in names})
