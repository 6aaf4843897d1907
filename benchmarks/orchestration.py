"""What orchestration costs: one changed song among many, the overhead of a full run, a no-op `dvc repro`.

    python benchmarks/orchestration.py --songs 1802 --seconds 12

Songs are tones, so that the count is DEAM's while the audio is short. Bars: a changed song under 3 % of the full
run of download to spectrogram; overhead under 5 %; a no-op `dvc repro` at most 1.5 times `dvc status`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.repository import Repository, run

NOUNS = """
import sys, time, json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
import pandas as pd
from tasks import params as parameters, registry
from tasks.audio import convert_song, song_files
from tasks.spectrogram import render_song

if __name__ == "__main__":
    params, target = parameters.load(), Path(sys.argv[1])
    started = time.time()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=registry.single_threaded) as pool:
        jobs = [pool.submit(convert_song, song_id=i, source=p, folder=target / "wav", params=params.convert)
                for i, p in song_files(Path("data/raw/audio")).items()]
        [job.result() for job in jobs]
        segments = pd.read_parquet("data/segments/segments.parquet")
        jobs = [pool.submit(render_song, wav=target / "wav" / f"{i}.wav", segments=rows.to_dict("records"),
                params=params.spectrogram, folder=target / "png", seed=params.seed)
                for i, rows in segments.groupby("song_id")]
        [job.result() for job in jobs]
    print(time.time() - started)
"""


def tone(path: Path, seconds: float, hertz: float) -> None:
    """A mono tone as MP3."""
    time_axis = np.arange(int(seconds * 44100)) / 44100
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * time_axis), 44100, format="MP3")


def timed(repository: Repository, *words: str) -> tuple[float, str]:
    """Wall seconds and output of a DVC command."""
    started = time.time()
    output = repository.dvc(*words)
    return time.time() - started, output


def main() -> None:
    """Print the three figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=1802)
    parser.add_argument("--seconds", type=float, default=12.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        songs = Path(folder) / "songs"
        songs.mkdir()
        for index in range(options.songs):
            tone(songs / f"{index + 1}.mp3", options.seconds, 100 + index)
        rows = ["song_id,valence,arousal", *(f"{i + 1},{1 + i % 8},{1 + i // 8 % 8}" for i in range(options.songs))]
        (songs / "labels.csv").write_text("\n".join(rows) + "\n")
        repository = Repository(Path(folder) / "repository")
        repository.emoriff("use", "folder", str(songs))
        measure(repository, songs, options.seconds, Path(folder))


def measure(repository: Repository, songs: Path, seconds: float, folder: Path) -> None:
    """Full run, no-op, one changed song; then the nouns alone on the same songs."""
    full, _ = timed(repository, "repro", "spectrogram")
    noop = min(timed(repository, "repro", "spectrogram")[0] for _ in range(3))
    status = min(timed(repository, "status", "spectrogram")[0] for _ in range(3))
    tone(songs / "7.mp3", seconds, 3000)
    changed, output = timed(repository, "repro", "spectrogram")
    script = folder / "nouns.py"
    script.write_text(NOUNS)
    printed = run(sys.executable, str(script), str(folder / "plain"), folder=repository.folder, PYTHONPATH=".")
    alone = float(printed.strip().split("\n")[-1])
    print("\n".join(line for line in output.split("\n") if " done" in line))
    print(f"full run, download to spectrogram  {full:8.1f} s")
    print(f"one changed song                   {changed:8.1f} s   {changed / full:.1%} of the full run (bar 3 %)")
    print(f"nouns alone, no orchestration      {alone:8.1f} s   overhead {full / alone - 1:.1%} (bar 5 %)")
    print(f"no-op dvc repro                    {noop:8.1f} s   {noop / status:.2f} times dvc status (bar 1.5)")


if __name__ == "__main__":
    main()
