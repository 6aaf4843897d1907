"""How long `emoriff lineage` takes at DEAM's size: `python -m benchmarks.lineage [--songs 1802] [--versions 20]`.

Tables, dvc.lock, DVC's listings and a git history are written as a run leaves them, without the audio; then
the command itself is timed, its start included. Asked: under 2 seconds.
"""

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.record import Report
from tasks.core.files import write_json, write_parquet, write_text
from tasks.lineage.dvc_dirs import folder_md5, manifest_bytes, stored
from tasks.lineage.pipeline import read_yaml

ROOT = Path(__file__).parent.parent
SEGMENTS, TILES, EXPERIMENTS = 5, 2, ("exp1", "exp2", "exp3", "ours")
N_PACKAGES = 6  # of a stage's code beside its flow; dvc.yaml has 2 to 6
CLIP = "data/generated/ours/happy_0003.wav"


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def synthetic(root: Path, n_songs: int, n_versions: int) -> Path:
    """A repository whose data set was made `n_versions` times, each time without one song more."""
    git(root, "init", "-q")
    write_text(root / "params.yaml", (ROOT / "params.yaml").read_text())
    write_text(root / "dvc.yaml", (ROOT / "dvc.yaml").read_text())
    write_text(root / ".gitignore", "/data/\n/models/\n/.dvc/\n/.emoriff/\n")
    for version in reversed(range(n_versions)):
        songs = list(range(2, 2 + n_songs - version))
        write_text(root / "dvc.lock", yaml.dump(lock(root, songs), Dumper=yaml.CSafeDumper, sort_keys=False))
        git(root, "add", ".")
        git(root, "-c", "user.name=B", "-c", "user.email=b@example.org", "commit", "-qm", f"Version {version}")
    write_tables(root, songs)
    return root


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True)


def names(songs: list[int]) -> list[str]:
    """Spectrograms of all songs."""
    return [
        f"{song:05d}_{segment:03d}_{tile}.png" for song in songs for segment in range(SEGMENTS) for tile in range(TILES)
    ]


def split_of(song: int) -> str:
    return ("test", "validation", "train", "train", "train")[song % 5]


def lock(root: Path, songs: list[int]) -> dict[str, Any]:
    """A dvc.lock in which everything that holds songs depends on them."""
    pictures = {name: md5(name) for name in names(songs)}
    raw = {f"audio/{song}.mp3": md5(f"mp3 {song}") for song in songs} | {"annotations/static.csv": md5("static")}
    dataset = {f"{split_of(int(name[:5]))}/{name}": value for name, value in pictures.items()}
    code = {f"tasks/package{number}": md5(str(number)) + ".dir" for number in range(N_PACKAGES)}
    code["flows/stage.py"] = md5("flow")
    values = read_yaml(ROOT / "params.yaml")
    parameters = {key: values[key] for key in ("spectrogram", "generate")}
    made = {
        "data/raw": folder(root, raw),
        "data/wav": folder(
            root, {f"{song}.wav": md5(f"wav {song}") for song in songs} | {"manifest.parquet": md5(str(songs))}
        ),
        "data/segments": folder(root, {"segments.parquet": md5(f"segments {songs}")}),
        "data/labels": folder(root, {"songs.parquet": md5(f"labels {songs}")}),
        "data/spectrograms": folder(root, pictures | {"manifest.parquet": md5(f"manifest {songs}")}),
        "data/dataset": folder(root, dataset | {"dataset.parquet": md5(f"dataset {songs}")}),
        "models/base": folder(root, {"unet/weights.safetensors": md5(f"base {songs}")}),
    }
    for name in EXPERIMENTS:
        made[f"models/{name}"] = folder(root, {"unet/weights.safetensors": md5(f"{name} {songs}")})
        made[f"data/generated/{name}"] = folder(root, {"happy_0003.wav": md5(f"clip {name} {songs}")})
    made["reports/metrics.json"] = md5(f"metrics {songs}")
    inside = {"data/raw/audio": raw, "data/raw/annotations": raw}
    for path, files in inside.items():
        below = path.removeprefix("data/raw/") + "/"
        made[path] = folder_md5(
            {name.removeprefix(below): value for name, value in files.items() if name.startswith(below)}
        )
    made["data/generated"] = md5(f"all clips {songs}") + ".dir"
    stages = {
        "download": ([], ["data/raw"]),
        "convert": (["data/raw/audio"], ["data/wav"]),
        "segment": (["data/wav"], ["data/segments"]),
        "label": (["data/raw/annotations", "data/segments"], ["data/labels"]),
        "spectrogram": (["data/segments", "data/wav"], ["data/spectrograms"]),
        "dataset": (["data/labels", "data/spectrograms"], ["data/dataset"]),
        "base": (["data/dataset"], ["models/base"]),
    }
    for name in EXPERIMENTS:
        stages[f"train@{name}"] = (["data/dataset", "models/base"], [f"models/{name}"])
        stages[f"generate@{name}"] = ([f"models/{name}"], [f"data/generated/{name}"])
    stages["evaluate"] = (["data/generated", "data/labels", "data/wav"], ["reports/metrics.json"])
    entries = {
        name: {
            "cmd": f"python -m flows {name}",
            "deps": [entry(path, made.get(path) or code[path]) for path in [*deps, *code]],
            "params": {"params.yaml": {"seed": 1, **deepcopy(parameters)}},
            "outs": [entry(path, made[path]) for path in outs],
        }
        for name, (deps, outs) in stages.items()
    }
    return {"schema": "2.0", "stages": entries}


def entry(path: str, value: str) -> dict[str, Any]:
    """A dep or out as DVC writes it."""
    return {"path": path, "hash": "md5", "md5": value, "size": 1000} | ({"nfiles": 1} if value.endswith(".dir") else {})


def folder(root: Path, files: dict[str, str]) -> str:
    """Store a listing as DVC does; its hash."""
    name = folder_md5(files)
    path = stored(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest_bytes(files))
    return name


def write_tables(root: Path, songs: list[int]) -> None:
    """The tables of the last version, with the columns that lineage reads."""
    data, ids = root / "data", np.array(songs)
    sha = [md5(str(song)) * 2 for song in songs]
    write_parquet(
        data / "wav/manifest.parquet",
        pd.DataFrame(
            {"song_id": ids, "file": [f"{song}.wav" for song in songs], "status": "ok", "reason": "",
             "source_file": [f"{song}.mp3" for song in songs], "source_sha256": sha, "sha256": sha, "decoder": "d",
             "decoder_version": "1"}
        ),
    )  # fmt: skip
    labels = {"song_id": ids, "valence": 0.5, "arousal": 0.5, "emotion": "happy", "artist": "a", "swapped": ids <= 1000}
    write_parquet(data / "labels/songs.parquet", pd.DataFrame(labels | {"split": [split_of(song) for song in songs]}))
    segments = pd.DataFrame({"song_id": ids.repeat(SEGMENTS), "segment": list(range(SEGMENTS)) * len(songs)})
    segments = segments.assign(start_seconds=segments.segment * 10.0, length_seconds=10.0, padded=False)
    write_parquet(data / "segments/segments.parquet", segments)
    pictures = pd.DataFrame({"file": names(songs), "song_id": ids.repeat(SEGMENTS * TILES)})
    write_parquet(
        data / "spectrograms/manifest.parquet", pictures.assign(pixels_sha256=[md5(name) for name in pictures.file])
    )
    splits = [split_of(song) for song in pictures.song_id]
    files = [f"{split}/{name}" for split, name in zip(splits, pictures.file, strict=True)]
    write_parquet(data / "dataset/dataset.parquet", pictures.assign(file_name=files, split=splits, emotion="happy"))
    write_text(root / CLIP, "sound")
    write_json((root / CLIP).with_suffix(".json"), {"emotion": "happy", "seed": 3, "experiment": "ours"})
    write_text(root / "models/ours/unet/weights.safetensors", "weights")


QUESTIONS = {
    "clip": [CLIP],
    "clip, JSON": [CLIP, "--format", "json"],
    "clip, PROV": [CLIP, "--format", "prov"],
    "clip, RO-Crate": [CLIP, "--format", "crate", "--out", "crate{number}"],
    "model": ["models/ours"],
    "metrics": ["reports/metrics.json"],
    "spectrogram": ["data/spectrograms/00500_002_1.png"],
    "downstream of a song": ["--downstream", "502"],
    "downstream of the song withdrawn first": ["--downstream", "{last}"],
}


def seconds(root: Path, question: list[str]) -> tuple[float, float]:
    """Wall and processor time of the command, its start included (s)."""
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from flows.__main__ import main; main()"
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", script, str(ROOT), "lineage", *question]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begin, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(n_songs: int, n_versions: int, repeats: int = 3) -> dict[str, tuple[float, float]]:
    """Best wall and processor time of `repeats`, for each question."""
    with tempfile.TemporaryDirectory() as folder_name:
        root = synthetic(Path(folder_name), n_songs, n_versions)
        filled = {
            name: [[word.format(last=n_songs + 1, number=number) for word in words] for number in range(repeats)]
            for name, words in QUESTIONS.items()
        }
        return {name: min(seconds(root, question) for question in questions) for name, questions in filled.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=1802)
    parser.add_argument("--versions", type=int, default=20)
    wanted = parser.parse_args()
    report, measured = Report("lineage"), measure(wanted.songs, wanted.versions)
    report.say(f"{'':<42}wall s  processor s")
    for name, (wall, processor) in measured.items():
        report.say(f"{name:<42}{wall:6.2f}  {processor:11.2f}")
    slowest = max(processor for _, processor in measured.values())
    report.figure(f"emoriff lineage, {wanted.songs} songs, the slowest question", slowest, "CPU s", bar=2)
    report.save()


if __name__ == "__main__":
    main()
