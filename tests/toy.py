"""A pipeline with the real stages, file names and tables, and toy work: `python toy.py STAGE [EXPERIMENT]`.

`build` puts it into a folder with git and DVC. Every output is a function of its inputs and parameters.
"""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

CODE = {
    "flows/convert.py": "def convert_songs(bucket):\n    return in_pool(bucket)\n",
    "flows/spectrogram.py": "def render_songs(bucket):\n    return in_pool(bucket)\n",
    "tasks/audio/decoding.py": "from tasks.audio import write\n\n\ndef gain():\n    return write.LEVEL\n",
    "tasks/audio/write.py": "LEVEL = 1\n",
    "tasks/codec/forward.py": "from tasks.codec.mel import POWER\n",
    "tasks/codec/mel.py": "POWER = 1\n",
}
PARAMS: dict[str, Any] = {
    "seed": 1,
    "source": "incoming",
    "convert": {"rate": 44100},
    "segment": {"length_seconds": 10.0},
    "label": {"threshold": 5.0},
    "spectrogram": {"power": 0.25},
    "base": {"repository": None, "revision": None},
    "train": {"experiments": {"exp1": {"steps": 5}, "ours": {"steps": 9}}},
    "generate": {"clips": 2},
}
STAGES = """
stages:
  download:
    cmd: {python} toy.py download
    deps: ["${{source}}"]
    outs: [data/raw: {{persist: true}}]
  convert:
    cmd: {python} toy.py convert
    params: [convert]
    deps: [data/raw/audio, flows/convert.py, tasks/audio]
    outs: [data/wav: {{persist: true}}]
  segment:
    cmd: {python} toy.py segment
    params: [segment]
    deps: [data/wav/manifest.parquet]
    outs: [data/segments]
  label:
    cmd: {python} toy.py label
    params: [label, seed]
    deps: [data/raw/annotations, data/segments]
    outs: [data/labels]
  spectrogram:
    cmd: {python} toy.py spectrogram
    params: [spectrogram]
    deps: [data/segments, data/wav, flows/spectrogram.py, tasks/codec]
    outs: [data/spectrograms: {{persist: true}}]
  dataset:
    cmd: {python} toy.py dataset
    deps: [data/labels, data/spectrograms]
    outs: [data/dataset]
  base:
    cmd: {python} toy.py base
    params: [base, seed]
    deps: [data/dataset]
    outs: [models/base]
  train:
    foreach: ${{train.experiments}}
    do:
      cmd: {python} toy.py train ${{key}}
      params: ["train.experiments.${{key}}", seed]
      deps: [data/dataset, models/base]
      outs: ["models/${{key}}"]
  generate:
    foreach: ${{train.experiments}}
    do:
      cmd: {python} toy.py generate ${{key}}
      params: [generate, seed]
      deps: ["models/${{key}}"]
      outs: ["data/generated/${{key}}"]
  evaluate:
    cmd: {python} toy.py evaluate
    deps: [data/generated, data/labels, data/wav]
    metrics: [reports/metrics.json: {{cache: false}}]
"""


def build(root: Path, songs: tuple[int, ...] = (2, 3, 1001)) -> Path:
    """The pipeline in `root`, committed, nothing run yet. Song 3 is in the test split, 1001 in validation."""
    files = dict(CODE)
    files |= {f"incoming/audio/{song}.mp3": f"song {song}" for song in songs}
    rows = [f"{song}, {3 + song % 5}, {4 + song % 3}" for song in songs]
    files["incoming/annotations/static.csv"] = "\n".join(["song_id, valence_mean, arousal_mean", *rows]) + "\n"
    files["params.yaml"] = yaml.safe_dump(PARAMS, sort_keys=False)
    files["dvc.yaml"] = STAGES.format(python=sys.executable)
    files["toy.py"] = Path(__file__).read_text()
    files[".gitignore"] = "/.emoriff/\n/data/\n/models/\n"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    run(root, "git", "init", "-q", "-b", "main")
    dvc(root, "init", "-q")
    dvc(root, "config", "core.analytics", "false")
    commit(root, "The pipeline")
    return root


def commit(root: Path, message: str) -> str:
    """Commit everything; the commit's hash."""
    run(root, "git", "add", ".")
    run(root, "git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "-qm", message)
    return run(root, "git", "rev-parse", "HEAD").strip()


def repro(root: Path) -> str:
    """`dvc repro`; what it printed."""
    return dvc(root, "repro")


def make(root: Path) -> None:
    """All stages in one process, then `dvc commit`: the same files and dvc.lock as `repro`, much sooner."""
    run(root, sys.executable, "toy.py", "all")
    dvc(root, "commit", "--force", "--quiet")


def dvc(root: Path, *arguments: str) -> str:
    return run(root, sys.executable, "-m", "dvc", *arguments)


def run(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def set_parameter(root: Path, key: str, value: Any) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text())
    *blocks, last = key.split(".")
    block = values
    for name in blocks:
        block = block[name]
    block[last] = value
    (root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


# What follows runs inside the toy repository.


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def read_rows(path: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return list(pq.read_table(path).to_pylist())


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def everything(params: dict[str, Any], _: str) -> None:
    for name, verb in VERBS.items():
        for experiment in params["train"]["experiments"] if name in ("train", "generate") else [""]:
            verb(params, experiment)


def emptied(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def download(params: dict[str, Any], _: str) -> None:
    emptied("data/raw")
    for source in sorted(Path(params["source"]).rglob("*.*")):
        write("data/raw/" + source.relative_to(params["source"]).as_posix(), source.read_text())


def convert(params: dict[str, Any], _: str) -> None:
    emptied("data/wav")
    rows = []
    for source in sorted(Path("data/raw/audio").iterdir()):
        write(f"data/wav/{source.stem}.wav", f"{source.read_text()} at {params['convert']['rate']}")
        wav = Path(f"data/wav/{source.stem}.wav")
        rows.append(
            {"song_id": int(source.stem), "file": wav.name, "status": "ok", "reason": "", "source_file": source.name,
             "source_sha256": sha256(source), "decoder": "toy", "decoder_version": "1", "sha256": sha256(wav)}
        )  # fmt: skip
    write_rows(Path("data/wav/manifest.parquet"), rows)


def segment(params: dict[str, Any], _: str) -> None:
    length = params["segment"]["length_seconds"]
    write_rows(
        Path("data/segments/segments.parquet"),
        [
            {"song_id": song["song_id"], "segment": number, "start_seconds": number * length, "length_seconds": length,
             "padded": False}
            for song in read_rows("data/wav/manifest.parquet") for number in range(2)
        ],
    )  # fmt: skip


def label(params: dict[str, Any], _: str) -> None:
    rows = []
    lines = Path("data/raw/annotations/static.csv").read_text().splitlines()
    for row in csv.DictReader(lines, skipinitialspace=True):
        song, valence = int(row["song_id"]), float(row["valence_mean"])
        rows.append(
            {"song_id": song, "valence": valence / 9, "arousal": float(row["arousal_mean"]) / 9,
             "swapped": song <= 1000,
             "emotion": "happy" if valence >= params["label"]["threshold"] else "sad", "artist": f"artist {song}",
             "split": {3: "test", 1001: "validation"}.get(song, "train"), "status": "ok", "reason": ""}
        )  # fmt: skip
    write_rows(Path("data/labels/songs.parquet"), rows)
    write("data/labels/report.json", json.dumps({"correction": "detect", "corrected_songs": 2}))


def spectrogram(params: dict[str, Any], _: str) -> None:
    emptied("data/spectrograms")
    rows = []
    for row in read_rows("data/segments/segments.parquet"):
        name = f"{row['song_id']:05d}_{row['segment']:03d}_0.png"
        sound = Path(f"data/wav/{row['song_id']}.wav").read_text()
        write(f"data/spectrograms/{name}", f"{sound} {row['segment']} {params['spectrogram']['power']}")
        rows.append({"file": name, "song_id": row["song_id"], "segment": row["segment"], "tile": 0, "augmentation": "",
                     "start_seconds": row["start_seconds"]})  # fmt: skip
    write_rows(Path("data/spectrograms/manifest.parquet"), rows)


def dataset(_: dict[str, Any], __: str) -> None:
    emptied("data/dataset")
    labels = {row["song_id"]: row for row in read_rows("data/labels/songs.parquet")}
    rows = []
    for row in read_rows("data/spectrograms/manifest.parquet"):
        song = labels.get(row["song_id"], {"split": "train", "emotion": None})
        name = f"{song['split']}/{row['file']}"
        write(f"data/dataset/{name}", Path(f"data/spectrograms/{row['file']}").read_text())
        rows.append({"file_name": name, "split": song["split"], "emotion": song["emotion"], **row})
    write_rows(Path("data/dataset/dataset.parquet"), rows)


def content(folder: str, pattern: str = "*") -> str:
    import hashlib

    files = sorted(path for path in Path(folder).rglob(pattern) if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def base(params: dict[str, Any], _: str) -> None:
    write("models/base/model.safetensors", f"{content('data/dataset/train')} {params['seed']}")


def train(params: dict[str, Any], name: str) -> None:
    steps = params["train"]["experiments"][name]["steps"]
    write(f"models/{name}/model.safetensors", f"{content('data/dataset/train')} {content('models/base')} {steps}")
    write(f"models/{name}/emoriff.json", json.dumps({"experiment": name, "steps": steps}))


def generate(params: dict[str, Any], name: str) -> None:
    rows = []
    for seed in range(params["generate"]["clips"]):
        stem = f"happy_{seed:04d}"
        write(f"data/generated/{name}/{stem}.wav", f"{content(f'models/{name}')} {seed}")
        write(f"data/generated/{name}/{stem}.json", json.dumps({"emotion": "happy", "seed": seed, "experiment": name}))
        rows.append({"experiment": name, "emotion": "happy", "seed": seed, "wav": f"{stem}.wav"})
    write_rows(Path(f"data/generated/{name}/manifest.parquet"), rows)


def evaluate(_: dict[str, Any], __: str) -> None:
    write("reports/metrics.json", json.dumps({"of": content("data/generated", "*.wav")}))


VERBS: dict[str, Callable[[dict[str, Any], str], None]] = {
    verb.__name__: verb
    for verb in (download, convert, segment, label, spectrogram, dataset, base, train, generate, evaluate)
}

if __name__ == "__main__":
    (VERBS | {"all": everything})[sys.argv[1]](
        yaml.safe_load(Path("params.yaml").read_text()), (sys.argv[2:] or [""])[0]
    )
