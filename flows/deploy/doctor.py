"""`emoriff doctor`: is everything here that a run needs?"""

import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from flows.engine.run import echo
from tasks.audio.decoding import ffmpeg
from tasks.core.errors import EmoriffError
from tasks.lineage.machine import package_versions
from tasks.settings import Params, load


def examine() -> int:
    """Print a line per finding; 1 when something that the chosen profile needs is missing."""
    findings = [*machine(), *programs(), *sources()]
    for good, line in findings:
        echo(f"{'ok     ' if good else 'PROBLEM'} {line}")
    return 0 if all(good for good, _ in findings) else 1


def machine() -> list[tuple[bool, str]]:
    """Python, packages, disk, memory, processors, GPU."""
    disk, memory = shutil.disk_usage(".").free / 2**30, psutil.virtual_memory().available / 2**30
    packages = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    return [
        ((3, 11) <= sys.version_info < (3, 13), f"Python {sys.version.split()[0]} (needs 3.11 or 3.12)"),
        (True, packages),
        (disk > 5, f"disk: {disk:.1f} GiB free (the demo needs 5, the thesis run about 80)"),
        (memory > 3, f"memory: {memory:.1f} GiB available (the demo needs 3)"),
        (True, f"processors: {os.cpu_count()}"),
        (True, gpu()),
    ]


def gpu() -> str:
    """The GPU as torch sees it, and the 8-bit optimizer as it really steps."""
    import torch

    from tasks.trainer.optimizers import eight_bit_trouble

    there = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if there else "none (fine for the demo)"
    trouble = eight_bit_trouble(torch.device("cuda" if there else "cpu"))
    return f"GPU: {name}; 8-bit Adam: {f'no ({trouble}), AdamW is used' if trouble else 'steps here'}"


def programs() -> list[tuple[bool, str]]:
    """Programs beside Python."""
    return [
        (shutil.which("git") is not None, f"git: {shutil.which('git')}"),
        (True, f"ffmpeg: {ffmpeg() or 'none (needed for AAC, WMA and the like)'}"),
    ]


def sources() -> list[tuple[bool, str]]:
    """Whether what params.yaml declares can be reached."""
    try:
        params = load()
    except EmoriffError as error:
        return [(False, str(error))]
    return [(reachable(url), f"source {url}") for url in addresses(params)]


def addresses(params: Params) -> list[str]:
    """Every address that the chosen profile will ask."""
    if params.download.corpus:
        return []  # the demo renders its own files
    found = [url for source in params.download.sources for url in source.urls]
    if params.download.folder:
        found.append("file://" + params.download.folder.audio)
    if params.base.repository and not Path(params.base.repository).is_dir():
        hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        found.append(f"{hub}/{params.base.repository}/resolve/{params.base.revision or 'main'}/model_index.json")
    return found


def reachable(url: str, timeout: float = 10.0) -> bool:
    """Whether a file exists or a server answers a HEAD request without an error."""
    if url.startswith("file://"):
        return Path(url.removeprefix("file://")).exists()
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "Mozilla/5.0 (emoriff)"})
        with urllib.request.urlopen(request, timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        return error.code in (405, 403)  # it is there, though it does not answer HEAD
    except (OSError, ValueError, http.client.HTTPException):
        return False
