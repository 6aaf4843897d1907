"""Kills in short: one bucket of songs, converted in a fork, killed at random moments, and converted again.

`python -m tests.faults.buckets FOLDER N SEED` prints how many kills there were and what they broke. A fork costs
nothing to start, so that a default test run can afford some; the long run kills whole stages below DVC and Prefect.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from flows.convert import WAV, convert_songs
from tasks.convert.params import ConvertParams
from tasks.core.storage import remove_temporaries
from tasks.execution.cache import Cache, md5_of
from tasks.execution.items import Bucket, Item
from tasks.settings import load
from tests.repository import ROOT

N_SONGS, SECONDS, RATE_HZ = 5, 6.0, 22050
RAW, LOCAL = Path("raw"), Path(".emoriff")


def main() -> None:
    """Convert undisturbed, then killed."""
    folder, n_kills, draw = Path(sys.argv[1]), int(sys.argv[2]), random.Random(sys.argv[3])
    params = load(ROOT / "profiles/demo.yaml").convert
    os.chdir(folder)
    bucket = Bucket("all", convert_songs.cache_policy.keyed(convert_songs, songs(), {"params": params}))
    convert_songs.fn(bucket, params)  # the first one also loads the libraries
    fresh()
    started = time.monotonic()
    convert_songs.fn(bucket, params)
    seconds, expected = time.monotonic() - started, contents()
    broken = [what for _ in range(n_kills) for what in killed(bucket, params, draw.uniform(0, seconds), expected)]
    print(json.dumps({"kills": n_kills, "files": len(expected), "broken": broken}))


def songs() -> list[Item]:
    """Tones of different pitch and their items."""
    RAW.mkdir()
    items = []
    for song_id in range(1, N_SONGS + 1):
        tone = 0.5 * np.sin(2 * np.pi * 110 * song_id * np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ)
        source = RAW / f"{song_id}.wav"
        soundfile.write(source, tone, RATE_HZ)
        arguments = {"song_id": song_id, "source": source}
        items.append(Item(f"song {song_id}", {"source": md5_of(source)}, arguments, folder=str(WAV)))
    return items


def killed(bucket: Bucket, params: ConvertParams, seconds: float, expected: dict[str, str]) -> list[str]:
    """What a kill after that time broke: a file under its final name, or the result of the run after it."""
    fresh()
    child = os.fork()
    if not child:
        convert_songs.fn(bucket, params)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    half = [f"{name} half-written" for name, md5 in contents().items() if expected.get(name) != md5]
    remove_temporaries(WAV)
    convert_songs.fn(bucket, params)
    records = [item.id for item in bucket.items if Cache().intact(item.key) is None]
    return half + records + ([] if contents() == expected else ["other bytes after resuming"])


def fresh() -> None:
    """Nothing is converted, nothing remembered."""
    for folder in (WAV, LOCAL):
        shutil.rmtree(folder, ignore_errors=True)


def contents() -> dict[str, str]:
    """MD5 of every file that has its final name."""
    return {path.name: md5_of(path) for path in sorted(WAV.glob("[0-9]*.wav"))}


if __name__ == "__main__":
    main()
