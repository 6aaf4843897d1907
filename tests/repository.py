"""A small copy of this repository to run the pipeline in: real DVC, real Prefect, a few songs, a few steps."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
TINY: dict[str, Any] = {
    "profile": "tiny",
    "download": {"corpus": {"namespace": "toy", "n_artists": 6, "songs_per_artist": 5, "seconds": 20.0}},
    "label": {"split": {"validation": 0.2, "test": 0.3, "salt": 128}},
    "dataset": {"resolution": 32},
    "base": {"demo": {"vae_steps": 4, "training": {"steps": 3, "resolution": 32, "batch": 4}}},
    "train": {"defaults": {"resolution": 32, "validation": {"every_steps": 2}, "checkpoints": {"every_steps": 2}}},
    "generate": {"clips_per_prompt": 4, "steps": 2, "batch": 4, "decode": {"iterations": 1}},
    "evaluate": {"n_permutations": 20, "min_clips": 2, "pca_dimensions": 2},
    "compute": {"buckets": 4},
}  # fmt: skip
EXPERIMENTS = ("exp1", "ours")
EXPERIMENT = {"steps": 2, "batch": 2, "resolution": 32}


def overlaid(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`values` with `changes` laid over, block by block."""
    for key, value in changes.items():
        values[key] = overlaid(values[key], value) if isinstance(value, dict) and values.get(key) else value
    return values


def tiny_params() -> dict[str, Any]:
    """The demo profile with everything small."""
    values = overlaid(yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text()), TINY)
    wanted = values["train"]["experiments"]
    values["train"]["experiments"] = {name: overlaid(wanted[name], EXPERIMENT) for name in EXPERIMENTS}
    return values


class Repository:
    """A copy of the project with its own git, DVC cache and parameters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""  # what `emoriff repro` said
        names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", folder=ROOT).split("\n")
        for name in filter(None, names):
            if not name.startswith(("tests/", "docs/", "dvc.lock")) and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        self.set_params(tiny_params())
        run("git", "init", "-q", folder=folder)
        run("git", "config", "user.email", "test@example.org", folder=folder)
        run("git", "config", "user.name", "test", folder=folder)
        self.commit("copy")

    @classmethod
    def at(cls, folder: Path) -> "Repository":
        """One that is there already."""
        found = cls.__new__(cls)
        found.folder, found.printed = folder, ""
        run("git", "config", "user.email", "test@example.org", folder=folder)
        run("git", "config", "user.name", "test", folder=folder)
        return found

    def set_params(self, values: dict[str, Any]) -> None:
        """Write params.yaml."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def change(self, changes: dict[str, Any]) -> None:
        """Lay changes over params.yaml."""
        self.set_params(overlaid(yaml.safe_load((self.folder / "params.yaml").read_text()), changes))

    def commit(self, message: str) -> None:
        """Commit all."""
        run("git", "add", "-A", folder=self.folder)
        run("git", "commit", "-qm", message, "--allow-empty", folder=self.folder)

    def emoriff(self, *words: str, **variables: str) -> str:
        """The output of a command of ours, which must succeed."""
        return run(sys.executable, "-m", "flows", *words, folder=self.folder, **variables)

    def dvc(self, *words: str, **variables: str) -> str:
        """The output of a command of DVC, which must succeed."""
        return run(sys.executable, "-m", "dvc", *words, folder=self.folder, **variables)


def run(*words: str, folder: Path, **variables: str) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(words, cwd=folder, env=environment() | variables, capture_output=True, text=True)
    assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def environment() -> dict[str, str]:
    """This Python first on the path, no settings of the person who runs the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "EMORIFF_", "GIT_"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}
