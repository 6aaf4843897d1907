"""The code of a step: packages by DVC's hash -> **files with their MD5** -> the commit that had them, or not.

dvc.lock names a package by one hash. Which files it had then is known from what runs kept, or from the commit whose
package has that hash.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tasks.lineage.dvc_dirs import dir_manifest, source_md5, sources_now
from tasks.lineage.history import Step, contents
from tasks.lineage.machine import git

GIT_VERSIONS = 200  # so many older versions of a path are looked through


@dataclass(frozen=True)
class Code:
    """The commit that made a step, and what its code had beside that commit."""

    commit: str | None
    dirty: bool
    differs: tuple[str, ...]  # the step's files whose content is not the commit's
    changes: str | None  # SHA-256 of all uncommitted changes, where a record has it
    evidence: str


def code_of(root: Path, step: Step) -> Code:
    """Which commit's code made a step.

    A run's record says it. Without one, the code's MD5s in dvc.lock are compared with the files of the
    commit that holds it, or of HEAD for a dvc.lock that is not committed.
    """
    if step.run:
        state = step.run.git
        differs = uncommitted(root, step, state.commit) if state.dirty else ()
        return Code(state.commit, state.dirty, differs, state.changes, "run record")
    commit = step.commit or (git(root, "rev-parse", "HEAD") or "").strip() or None
    if not commit:
        return Code(None, dirty=False, differs=(), changes=None, evidence="no git")
    differs = uncommitted(root, step, commit)
    return Code(commit, bool(differs), differs, None, f"code hashes of {step.evidence} against the commit's files")


def uncommitted(root: Path, step: Step, commit: str | None) -> tuple[str, ...]:
    """The step's code files whose content is not that of `commit`; a package whose files are not known, by its name."""
    found: list[str] = []
    for path, md5 in sorted(step.code.items()):
        there = at_commit(root, commit, path) if commit else {}
        if source_md5(path, there) == md5:
            continue
        then = files(root, path, md5)
        names = then.keys() | there.keys() if then is not None else ()
        found += [name for name in names if then and then.get(name) != there.get(name)] or [path]
    return tuple(sorted(found))


def files(root: Path, path: str, md5: str) -> dict[str, str] | None:
    """File -> MD5 of a source file, or of the files of a package with this hash; None: no run here kept them.

    A package that still has this hash is read as it stands.
    """
    if not md5.endswith(".dir"):
        return {path: md5}
    listed = dir_manifest(root, md5)
    if listed is not None:
        return {f"{path}/{name}": file_md5 for name, file_md5 in listed.items()}
    now = sources_now(root, path)
    return now if source_md5(path, now) == md5 else None


def files_in_git(root: Path, path: str, md5: str) -> dict[str, str] | None:
    """As `files`, looked for in the commits that changed the path."""
    commits = (git(root, "log", "--all", f"-{GIT_VERSIONS}", "--format=%H", "--", path) or "").split()
    versions = (at_commit(root, commit, path) for commit in commits)
    return next((version for version in versions if source_md5(path, version) == md5), None)


@lru_cache(maxsize=4096)
def at_commit(root: Path, commit: str, path: str) -> dict[str, str]:
    """File -> MD5 of a source file or package as a commit has it; {} where it has none."""
    listed = git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", path) or ""
    names = [name for name in listed.split("\0") if name]
    there = contents(root, [f"{commit}:./{name}" for name in names])
    return {name: hashlib.md5(text).hexdigest() for name, text in zip(names, there, strict=True) if text is not None}


def n_files(root: Path, step: Step, commit: str | None) -> int:
    """How many source files a step depends on; a package whose files nobody here knows counts as one."""
    n = 0
    for path, md5 in step.code.items():
        there = at_commit(root, commit, path) if commit else {}
        n += len(there if source_md5(path, there) == md5 else files(root, path, md5) or [path])
    return n
