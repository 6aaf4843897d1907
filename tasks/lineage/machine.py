"""Where and by which code a run happened: git, packages, machine -> **records of runs**."""

import hashlib
import os
import platform
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tasks.core.layout import DATA, MODELS, REPORTS

# What a run rewrites itself is no change of the code.
WRITTEN_BY_RUNS = tuple(f":(exclude){path}" for path in ("dvc.lock", REPORTS, DATA, MODELS))
PACKAGES = (
    "accelerate bitsandbytes diffusers dvc librosa numpy pandas peft pillow prefect pyarrow pydub safetensors "
    "scikit-learn scipy soundfile soxr tokenizers torch transformers"
)


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out (None: no git), and the SHA-256 of what is changed on top of it."""

    commit: str | None
    dirty: bool
    changes: str | None


@dataclass(frozen=True)
class Environment:
    """What a result may depend on beside code, parameters and inputs."""

    python: str
    packages: dict[str, str]
    system: str
    host: str
    processor: str
    n_processors: int
    memory_gib: float
    n_threads: int
    gpu: str | None


def git(root: Path, *arguments: str) -> str | None:
    """What `git` prints, or None where it fails (no repository, no such commit)."""
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def git_state(root: Path) -> GitState:
    """Commit and uncommitted changes below `root`, untracked Python files included."""
    commit = git(root, "rev-parse", "HEAD")
    changed = git(root, "diff", "HEAD", "--", ".", *WRITTEN_BY_RUNS) or ""
    new = (git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.py") or "").split("\0")[:-1]
    if not commit or not (changed or new):
        return GitState(commit and commit.strip(), dirty=False, changes=None)
    content = hashlib.sha256(changed.encode())
    for name in sorted(new):
        content.update(name.encode() + b"\0" + (root / name).read_bytes())
    return GitState(commit.strip(), dirty=True, changes=content.hexdigest())


def environment() -> Environment:
    """Versions and machine of this process."""
    return Environment(
        python=sys.version.split()[0],
        packages=package_versions(),
        system=platform.platform(),
        host=socket.gethostname(),
        processor=processor(),
        n_processors=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        n_threads=int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
        gpu=gpu(),
    )


@lru_cache
def package_versions() -> dict[str, str]:
    """Versions of the installed packages that can shape a result."""
    found = {}
    for name in PACKAGES.split():
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def processor() -> str:
    """The processor's model, or its architecture where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def gpu() -> str | None:
    """The GPU's name where this process has used torch; asking would load it."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name(0) if torch and torch.cuda.is_available() else None
