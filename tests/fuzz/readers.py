"""What reads foreign bytes: honest seeds, the call that reads them, and what must hold of what it gives back.

A reader gets a folder with one of its seeds in it, one file of which is damaged. It may raise an `EmoriffError`;
anything else that it raises is a finding, and so is an `AssertionError` of the checks here: bytes were taken for
something that they are not.
"""

import io
import json
import math
import os
import sqlite3
import sys
import tempfile
import wave
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from tests.fuzz import mutations

ROOT = Path(__file__).parent.parent.parent
Seed = dict[str, bytes]  # file name -> content


@dataclass(frozen=True)
class Reader:
    """One reader of foreign bytes."""

    name: str
    inputs: int  # of the long run
    seeds: Callable[[], list[Seed]]
    read: Callable[[Path], Any]
    special: dict[str, Callable[[bytes, Random], bytes]] = field(default_factory=dict)  # ending -> damage to values
    repair: Callable[[bytes], bytes] | None = None  # checksums that fit the damage
    spared: tuple[str, ...] = ()  # files that are never damaged
    mebibytes: int = 768  # of address space above what the process has before it reads


JSON = {".json": mutations.json_values}
YAML = {".yaml": mutations.yaml_values, ".lock": mutations.yaml_values}
LINES = {".jsonl": mutations.json_lines_values}


def demo() -> Any:
    """The demo's parameters."""
    from tasks.settings import load

    return load(ROOT / "profiles" / "demo.yaml")


# --- archives


def zips() -> list[Seed]:
    """A stored, a deflated and a nested zip."""
    found = []
    for packed, outer in ((zipfile.ZIP_STORED, ""), (zipfile.ZIP_DEFLATED, "DEAM/audio/"), (zipfile.ZIP_BZIP2, "a b/")):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", packed) as archive:
            for name, content in (("2.mp3", b"two" * 50), ("10.MP3", bytes(200)), ("x/valence.csv", b"song_id\n2\n")):
                archive.writestr(outer + name, content)
        found.append({"a.zip": buffer.getvalue()})
    return found


def read_zip(folder: Path) -> None:
    """Nothing lies outside, and what was taken fits the archive's own checksums."""
    from tasks.download import archives
    from tasks.download.params import Source

    source = Source(
        name="a.zip", urls=["file://a.zip"], size_bytes=None, sha256=None, licence="", citation="",
        members={"audio": "*.mp3", "annotations": "*.csv"}, needs_acknowledgement=False,
    )  # fmt: skip
    taken = archives.unpack(folder / "a.zip", source, folder / "in" / "raw", demo().download)
    there = {path for path in folder.rglob("*") if path.is_file()}
    assert there == {folder / "a.zip", *taken}
    assert all(path.parent.parent == folder / "in" / "raw" for path in taken)
    assert all(path.stat().st_size < 1000 for path in taken)


# --- audio


def tone(seconds: float, channels: int, rate: int = 22050) -> np.ndarray:
    """float32 [samples, channels]."""
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([0.4 * np.sin(2 * np.pi * 330 * (1 + c) * time) for c in range(channels)], axis=1).astype(
        np.float32
    )


def encoded(form: str, subtype: str | None, channels: int = 1, seconds: float = 0.7) -> bytes:
    """A tone in a format of libsndfile."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(
        buffer, tone(seconds, channels), 22050 if subtype != "OPUS" else 48000, format=form, subtype=subtype
    )
    return buffer.getvalue()


def id3() -> bytes:
    """A tag with a cover picture, as DEAM's MP3s have it."""
    frame = b"APIC" + (200).to_bytes(4, "big") + bytes(2) + b"\0image/png\0\x03\0" + bytes(186)
    return b"ID3\x03\0\0" + bytes([0, 0, len(frame) >> 7, len(frame) & 0x7F]) + frame


def mp3s() -> list[Seed]:
    """With and without a tag, mono and stereo."""
    mono, stereo = encoded("MP3", "MPEG_LAYER_III"), encoded("MP3", "MPEG_LAYER_III", 2)
    real = [{"7.mp3": path.read_bytes()[-30_000:]} for path in real_files("deam/MEMD_audio/*.mp3")[:2]]
    return [{"7.mp3": mono}, {"7.mp3": id3() + stereo}, *real]


def wavs() -> list[Seed]:
    """PCM, float, WAVEX, and one from the standard library."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(range(256)) * 40)
    kinds = (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"))
    return [{"7.wav": encoded(*kind, channels=2, seconds=0.3)} for kind in kinds] + [{"7.wav": buffer.getvalue()}]


def oggs() -> list[Seed]:
    """Vorbis, Opus and FLAC."""
    return [
        {"7.ogg": encoded("OGG", "VORBIS")},
        {"7.ogg": encoded("OGG", "OPUS")},
        {"7.flac": encoded("FLAC", "PCM_16")},
    ]


def read_audio(folder: Path) -> None:
    """A WAV with finite samples and a row that fits it, or a row with a reason."""
    import soundfile

    from tasks.convert import convert

    params = demo().convert.model_copy(update={"sample_rate_hz": 22050, "min_seconds": 0.1})
    ((song_id, path),) = convert.song_files(folder).items()
    row = convert.convert_song(song_id, path, folder / "out", params)
    assert set(row) == set(convert.COLUMNS)
    if row["status"] == "rejected":
        raise Rejected(row["reason"])
    info = soundfile.info(folder / "out" / row["file"])
    assert (info.frames, info.channels, info.samplerate) == (row["n_samples"], row["channels"], 22050)
    assert row["peak_dbfs"] <= 0.01
    assert math.isfinite(row["loudness_lufs"])


class Rejected(Exception):
    """Refused by a row with its reason, not by an error."""


@contextmanager
def without_ffmpeg() -> Any:
    """No other programs on the path: a hundred times faster, and the reasons are our own."""
    from tasks.audio import decoding

    with mock.patch.object(decoding, "ffmpeg", return_value=None):
        yield


def read_audio_alone(folder: Path) -> None:
    """By libsndfile only."""
    with without_ffmpeg():
        read_audio(folder)


def read_ogg_pages(folder: Path) -> None:
    """Renumbered pages are as long as before, or a ValueError, as documented."""
    from tasks.audio.ogg import pages, with_serial

    content = (folder / "7.ogg").read_bytes()
    try:
        renumbered = with_serial(content, 5)
    except ValueError as error:
        raise Rejected(str(error)) from error
    assert len(renumbered) == len(content)
    assert all(page[14:18] == b"\x05\0\0\0" for page in pages(renumbered))


# --- tables


def real_files(pattern: str) -> list[Path]:
    """Files of the real data, where the machine has them."""
    return sorted(Path(os.environ.get("EMORIFF_REAL_DATA", ROOT.parent / "shared" / "real")).glob(pattern))


def annotations() -> list[Seed]:
    """DEAM's layout in small, and the first lines of the real files where they are."""
    from tests.annotation_folder import songs, write_folder

    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder), songs([2, 3, 5, 1001, 2001]))
        small = files_of(Path(folder))
    real = {}
    for path in real_files("deam/*/*.csv"):
        real[f"{path.parent.name}/{path.name}"] = b"\n".join(path.read_bytes().splitlines()[:6]) + b"\n"
    return [small, *([real] if real else [])]


def files_of(folder: Path, *endings: str) -> Seed:
    """Content of the files below a folder by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (not endings or path.suffix in endings)
    }


def read_annotations(folder: Path) -> None:
    """Ratings on the scale, curves on -1..1, every id once."""
    from tasks.label import annotations

    found = annotations.read_folder(folder, 1, 9, 0.9)
    assert found.ratings["song_id"].is_unique
    assert found.ratings[["valence", "arousal"]].stack().between(1, 9).all()
    for curve in found.curves.values():
        assert curve.index.is_unique
        assert not (curve.abs() > 1).any(axis=None)
    assert all(found.refused["reason"].str.len() > 3)


def label_tables() -> list[Seed]:
    """A user's table of labels."""
    return [
        {"labels.csv": b'song_id,valence,arousal,artist\n1,2.5,7,A\n2,5,5.5,"B, C"\n3,9,1,\n'},
        {"labels.csv": "\ufeffsong_id;arousal;valence\r\n1;2.5;7\r\n2;3;4\r\n".encode()},
    ]


def read_label_table(folder: Path) -> None:
    """Labels on DEAM's scale."""
    from tasks.download.folder import read_labels

    found = read_labels(folder / "labels.csv", 1, 9)
    assert found
    assert all(1 <= label.valence <= 9 and 1 <= label.arousal <= 9 for label in found.values())


def answers() -> list[Seed]:
    """Plan, key and two listeners' answers."""
    from tasks.apps.listening_answers import COLUMNS

    key = b"clip,arm,emotion,source,start_seconds\nc1,ours,sad,a.wav,0.0\nc2,base,sad,b.wav,0.0\n"
    rows = [
        *("t1,ann,0,pair,sad,c1,c2,,c1,3.2", "t1,ann,1,rating,,c1,,valence,7,2.0"),
        *("t1,ann,1,rating,,c1,,arousal,3,2.0", "t1,ann,1,rating,,c1,,quality,5,2.0"),
    ]
    one = "\r\n".join([",".join(COLUMNS), *rows]).encode() + b"\r\n"
    plan = {"test": "t1", "pairs": [], "ratings": [], "suffix": ".mp3"}
    return [
        {
            "plan.json": json.dumps(plan).encode(),
            "key.csv": key,
            "answers/a.csv": one,
            "answers/b.csv": one.replace(b"ann", b"bob"),
        }
    ]


def read_answers(folder: Path) -> None:
    """A summary in words."""
    from tasks.apps.listening_answers import read_answers

    assert "listener(s)" in read_answers(folder)


# --- pictures


def pngs() -> list[Seed]:
    """Mono, three channels, stereo, without tags, with a palette."""
    from PIL import Image

    from tasks.codec.image import RIFFUSION, SpectrogramImage, save

    pixels = (np.arange(32 * 24).reshape(32, 24) % 251).astype(np.uint8)
    params = RIFFUSION.model_copy(update={"n_mels": 32})
    stereo = np.stack([pixels * 0, pixels, pixels[::-1]], axis=2)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.png"
        for picture, three in (
            (SpectrogramImage(pixels, 1e6, -14.0, params), False),
            (SpectrogramImage(pixels, 1e6, None, params, 40), True),
            (SpectrogramImage(stereo, 1e6, -14.0, params), False),
        ):
            save(picture, path, three)
            found.append({"p.png": path.read_bytes()})
        for image in (Image.fromarray(pixels), Image.fromarray(pixels).convert("P"), Image.new("RGBA", (9, 9))):
            image.save(path)
            found.append({"p.png": path.read_bytes()})
    return found


def read_png(folder: Path) -> None:
    """Pixels of eight bits and parameters that can be."""
    from tasks.codec.image import load
    from tasks.trainer import images

    picture = load(folder / "p.png")
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.ndim in (2, 3)
    assert 0 <= picture.max_value < 1e20
    assert picture.columns >= 1
    assert picture.loudness_lufs is None or math.isfinite(picture.loudness_lufs)
    assert images.read_image(folder / "p.png", 32).shape == (32, 32, 3)


def read_png_as_sound(folder: Path) -> None:
    """What loads can be decoded to finite samples, or is refused."""
    from tasks.codec import files as codec
    from tasks.codec.params import DecodeParams

    codec.decode_file([folder / "p.png"], folder / "out.wav", DecodeParams(method="pghi", iterations=0), seed=0)
    assert (folder / "out.wav").stat().st_size > 44


# --- parameters


def profiles() -> list[Seed]:
    """The profiles."""
    return [{"params.yaml": path.read_bytes()} for path in sorted((ROOT / "profiles").glob("*.yaml"))]


def read_params(folder: Path) -> None:
    """Params that write themselves down and read back the same."""
    from tasks import settings

    found = settings.load(folder / "params.yaml")
    assert settings.parse(found.model_dump(), "again") == found


# --- the data set


def datasets() -> list[Seed]:
    """What the dataset stage reads, and a data set as it writes it."""
    import pandas as pd

    from tasks.label.splits import SPLITS

    names = [f"{song:05d}_000_0.png" for song in range(1, 7)]
    base = pd.DataFrame({"song_id": range(1, 7), "segment": 0})
    manifest = base.assign(tile=0, augmentation="", file=names, max_value=1e6, loudness_lufs=-14.0, start_column=0)
    emotions = ["sad", "happy"] * 3
    songs = base.assign(artist=list("abcdef"), split=[SPLITS[i % 3] for i in range(6)], status="ok", reason="")
    songs = songs.assign(emotion=emotions).drop(columns="segment")
    segments = base.assign(emotion=emotions, valence=0.5, arousal=0.5, provenance="song")
    report = {"correction": "detect", "corrected_songs": 0, "parts": [], "files": {}, "refused": [], "songs": 6,
              "scheme": "quadrants", "classes": {"sad": 3, "happy": 3}, "split": {"salt": 1}, "songs_excluded": {},
              "params": demo().label.model_dump()}  # fmt: skip
    sources = {"sources": [{"name": "a.zip", "licence": "CC0", "citation": "X", "sha256": "e2" * 32, "urls": []}]}
    found = {f"spectrograms/{name}": b"picture" for name in names}
    tables = {"spectrograms/manifest": manifest, "labels/songs": songs, "labels/segments": segments}
    found |= {f"{name}.parquet": parquet(table) for name, table in tables.items()}
    found |= {"labels/report.json": json.dumps(report).encode(), "raw/sources.json": json.dumps(sources).encode()}
    return [found]


def parquet(table: Any) -> bytes:
    """A table as Parquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def read_dataset(folder: Path) -> None:
    """metadata.jsonl and dataset.parquet say the same, and nothing else."""
    from tasks.dataset import dataset
    from tasks.dataset.params import DatasetParams
    from tasks.trainer import images

    params = DatasetParams(resolution=32, min_images_per_class=1)
    target = folder / "dataset"
    dataset.write_dataset(folder / "spectrograms", folder / "labels", folder / "raw/sources.json", target, params)
    table = images.read_table(target)
    lines = [line for path in target.glob("*/metadata.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == len(table)
    assert all((target / json.loads(line)["split"] / json.loads(line)["file_name"]).is_file() for line in lines)


# --- models


def model_folders() -> list[Seed]:
    """An untrained pipeline folder of a few thousand weights."""
    from tests.small_models import model

    return [files_of(model())]


def read_model(folder: Path) -> None:
    """A pipeline that loads, as adopted from elsewhere and as sampled from."""
    from tasks.generate import diffusion
    from tasks.models import hub

    hub.inspect(folder)
    assert diffusion.load_pipeline(folder).pipeline.unet is not None


def indexes() -> list[Seed]:
    """The index of a pipeline beside empty weights."""
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    weights = {f"{part}/model.safetensors": b"" for part in ("unet", "vae", "text_encoder")}
    return [{"model_index.json": json.dumps(index).encode(), **weights}]


def read_index(folder: Path) -> None:
    """An index that names what we know."""
    from tasks.models import hub

    assert "StableDiffusion" in hub.inspect(folder)["_class_name"]


def checkpoints() -> list[Seed]:
    """Two checkpoints and the conditioning of a model."""
    from safetensors.numpy import save

    tensors = {"model/a": np.ones((2, 3), np.float32), "optimizer/0/exp_avg": np.zeros(4, np.float32)}
    facts = {"fingerprint": "f", "step": 2, "numbers": {"optimizer/0/step": 2}}
    return [
        {
            f"step-000000{step}/{name}": content
            for step in (1, 2)
            for name, content in (("state.safetensors", save(tensors)), ("state.json", json.dumps(facts).encode()))
        }
    ]


def read_checkpoint(folder: Path) -> None:
    """The newest whole checkpoint, or none; never a torn one."""
    from tasks.trainer import checkpoints

    found = checkpoints.latest(folder, "f")
    if found is None:
        raise Rejected("starts from nothing")
    assert found[1]["fingerprint"] == "f"
    assert all(tensor.shape is not None for tensor in found[0].values())


def cached_latents() -> list[Seed]:
    """A picture and a cached file of its latents."""
    from safetensors.numpy import save

    tensors = {"mean": np.ones((4, 2, 2), np.float32), "deviation": np.ones((4, 2, 2), np.float32)}
    return [{"latents.safetensors": save(tensors)}]


def read_cached_latents(folder: Path) -> None:
    """Latents of the shape that they are to have, or nothing."""
    from tasks.trainer.latents import read_cached

    found = read_cached(folder / "latents.safetensors")
    if found is None:
        raise Rejected("made again")
    assert found[0].shape == found[1].shape


def vectors() -> list[Seed]:
    """Precomputed embeddings, packed and not."""
    arrays = {
        "keys": np.array(["ours/sad_0001", "real/00001_000_0"]),
        "vectors": np.ones((2, 3)),
        "sample_rate_hz": np.array([16000, 16000]),
    }
    found = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **arrays)
        found.append({"v.npz": buffer.getvalue()})
    return found


def read_vectors(folder: Path) -> None:
    """A vector for each key."""
    from tasks.evaluate.embeddings import choose

    table = choose(str(folder / "v.npz")).table()  # type: ignore[attr-defined]
    assert all(isinstance(key, str) and vector.ndim == 1 for key, vector in table.items())


# --- lineage


def histories() -> list[Seed]:
    """dvc.yaml, dvc.lock, params.yaml and the records of two runs."""
    from dataclasses import asdict

    from tasks.lineage.machine import Environment, GitState
    from tasks.lineage.record import Run

    run = Run(
        id="0f" * 16, stage="convert", status="complete", started="2026-01-01T00:00:00.000+00:00",
        ended="2026-01-01T00:01:00.000+00:00", git=GitState("ab" * 20, True, "cd" * 32),
        environment=Environment("3.11.2", {"numpy": "2"}, "Linux", "host", "CPU", 2, 4.0, 2, None),
        parameters={"convert": {"rate": 44100}, "seed": 7}, parameters_digest="d", seeds={"seed": 7},
        inputs={"data/raw": "1" * 32 + ".dir"}, outputs={"data/wav": "2" * 32 + ".dir"},
        code={"tasks/audio.py": "3" * 32},
    )  # fmt: skip
    lines = [json.dumps(asdict(one)) for one in (run, run)]
    lock = """schema: '2.0'
stages:
  convert:
    cmd: python -m flows convert
    deps:
    - path: data/raw
      hash: md5
      md5: 11111111111111111111111111111111.dir
    - path: tasks/audio.py
      md5: '33333333333333333333333333333333'
    params:
      params.yaml:
        convert: {rate: 44100}
        seed: 7
    outs:
    - path: data/wav
      md5: 22222222222222222222222222222222.dir
  label:
    cmd: python -m flows label
    deps:
    - path: data/wav
      md5: 22222222222222222222222222222222.dir
    outs:
    - path: data/labels
      md5: 44444444444444444444444444444444.dir
"""
    stages = """stages:
  convert:
    cmd: python -m flows convert
    params: [convert, seed]
    deps: [data/raw, tasks/audio.py]
    outs: [data/wav: {persist: true}]
  label: {cmd: python -m flows label, deps: [data/wav], outs: [data/labels]}
  train:
    foreach: ${train.experiments}
    do: {cmd: "python -m flows train ${key}", params: ["train.experiments.${key}"], deps: [data/wav],
         outs: ["models/${key}"]}
"""
    params = "seed: 7\nconvert: {rate: 44100}\ntrain: {experiments: {exp1: {steps: 5}, ours: {steps: 9}}}\n"
    report = {"correction": "detect", "corrected_songs": 1, "parts": [], "files": {}, "refused": []}
    return [
        {
            ".emoriff/lineage/runs.jsonl": "\n".join(lines).encode() + b"\n",
            ".emoriff/lineage/objects/" + "2" * 32 + ".dir.songs": b'{"": [12, 13]}',
            "dvc.lock": lock.encode(),
            "dvc.yaml": stages.encode(),
            "params.yaml": params.encode(),
            "data/wav/12.wav": b"sound",
            "data/labels/report.json": json.dumps(report).encode(),
        }
    ]


def read_history(folder: Path) -> None:
    """A tree, and what was made from a song."""
    from tasks.lineage import pipeline
    from tasks.lineage.show import show
    from tasks.lineage.trace import trace
    from tasks.lineage.tree import tree

    pipeline.declared(folder)
    found = trace(folder, folder / "data/wav/12.wav")
    assert found.artifact in tree(found)
    assert json.loads(show(folder, folder / "data/labels", None, "json", None))
    assert show(folder, None, "12", "tree", None).startswith("song 12")


# --- caches and notes


def caches() -> list[Seed]:
    """A cache with a record and a file's state."""
    from tasks.execution.cache import Cache, Record

    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.put("k", Record([{"song_id": 7, "file": "7.wav"}], {"7.wav": "5d41402abc4b2a76b9719d911017c592"}))
        cache.md5(ROOT / "README.md")
        cache._connections.database.close()
        with sqlite3.connect(Path(folder) / "cache.sqlite") as database:
            database.execute("pragma wal_checkpoint(truncate)")
        content = (Path(folder) / "cache.sqlite").read_bytes()
    return [{"cache.sqlite": content, "x.txt": b"hello"}]


def read_cache(folder: Path) -> None:
    """The record as it was put, or a miss; never another one of another form."""
    from tasks.execution.cache import Cache

    cache = Cache(folder)
    record = cache.get("k")
    assert cache.recall("k") is None  # its file is not here
    assert cache.md5(folder / "x.txt")
    cache.remember("new", [{"a": 1}], [folder / "x.txt"])
    if record is None:
        raise Rejected("a miss")
    assert isinstance(record.rows, list)
    assert all(isinstance(row, dict) for row in record.rows)
    assert all(isinstance(md5, str) for md5 in record.files.values())


def notes() -> list[Seed]:
    """The small files that tell a later run something."""
    return [
        {
            "a.zip.partial.json": b'{"url": "http://x/a.zip", "validator": "\\"e\\"", "total_bytes": 5}',
            "a.zip.received.json": b'{"sha256": "' + b"e2" * 32 + b'", "sha256_from": "declared", "size_bytes": 3}',
            "a.zip": b"abc",
            "SHA256SUMS": b"e2" * 32 + b"  a.zip\n" + b"cd" * 32 + b" *b.zip\n",
            "run.lock": b'{"pid": 1, "command": "dvc repro"}',
            "server.json": b'{"url": "http://127.0.0.1:4200/api", "pids": [1, 2]}',
            "spool/0001-1.json": b'{"eventType": "START", "run": {"runId": "x"}}',
        }
    ]


def read_notes(folder: Path) -> None:
    """Each is of its form, or as if it were not there."""
    from flows.engine import server
    from tasks.download import http, sources
    from tasks.download.params import Source
    from tasks.execution import locks
    from tasks.lineage import openlineage_spool

    partial = folder / "a.zip.partial"
    note = http.read_note(partial, "http://x/a.zip")
    assert note is None or isinstance(note.total_bytes, int | None)
    source = Source(
        name="a.zip", urls=[f"file://{folder}/a.zip"], size_bytes=None, sha256=None, licence="", citation="",
        members={"audio": "*"}, needs_acknowledgement=False,
    )  # fmt: skip
    away = source.model_copy(update={"urls": ["http://x/a.zip"]})
    for one in (source, away):
        wanted, origin = sources.wanted_hash(one, folder / "a.zip")
        assert wanted is None or len(wanted) == 64
        assert isinstance(origin, str)
        if sources.is_fetched(one, folder / "a.zip"):
            assert len(sources.describe(one, folder / "a.zip", [])["sha256"]) == 64
    assert "process" in locks.holder(folder / "run.lock")
    server.STATE = folder / "server.json"
    state = server.read_state()
    assert state is None or (isinstance(state.url, str) and all(isinstance(pid, int) for pid in state.pids))
    openlineage_spool.drain(folder / "spool", Keeping)
    assert not list((folder / "spool").glob("*.json"))


class Keeping:
    """A transport that takes everything."""

    def emit(self, event: Any) -> None:
        """Nothing is sent."""


# --- results


def results() -> list[Seed]:
    """What the page is made from, without pictures and sounds."""
    from tests.report_inputs import build

    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), n_seeds=1, size=16)
        return [files_of(Path(folder), ".json", ".csv", ".parquet")]


def read_results(folder: Path) -> None:
    """The page's tables."""
    from tasks.report import report
    from tasks.report.results import load

    assert report.context(load(folder))["emotions"]


def sidecars() -> list[Seed]:
    """A clip's sidecar, a model's facts, label's report, the sources."""
    facts = {"experiment": "ours", "emotion": "sad", "seed": 1, "parameters": {}}
    report = {"correction": "detect", "corrected_songs": 1, "parts": [], "files": {}, "refused": []}
    return [
        {
            "data/generated/ours/sad_0001.json": json.dumps(facts).encode(),
            "models/ours/emoriff.json": b'{"name": "ours", "seed": 1, "parameters": {}}',
            "models/base/emoriff.json": b'{"name": "base"}',
            "models/base/vae/config.json": b'{"sample_size": 32, "_name_or_path": "x"}',
            "data/labels/report.json": json.dumps(report).encode(),
            "data/raw/sources.json": b'{"sources": [{"name": "a", "licence": "CC0"}]}',
        }
    ]


def read_sidecars(folder: Path) -> None:
    """Each is a mapping, or refused."""
    from tasks.lineage import crate, song_facts
    from tasks.trainer import export, latents

    for name in ("data/generated/ours/sad_0001.png", "models/ours/unet/x.safetensors"):
        assert isinstance(song_facts.row_of_file(folder, name), dict)
    assert isinstance(song_facts.corrections(folder), dict)
    assert isinstance(crate.licences(folder), str)
    assert isinstance(export.base_facts(folder / "models/base"), dict)
    assert latents.vae_key(folder / "models/base/vae")


READERS = [
    Reader("archives (zip)", 3000, zips, read_zip),
    Reader("MP3", 800, mp3s, read_audio_alone),
    Reader("WAV, AIFF", 1500, wavs, read_audio_alone),
    Reader("Ogg, FLAC", 800, oggs, read_audio_alone, repair=mutations.ogg_checksums),
    Reader("audio with ffmpeg", 100, lambda: [*mp3s(), *wavs(), *oggs()], read_audio, mebibytes=1024),
    Reader("Ogg pages", 1000, lambda: oggs()[:2], read_ogg_pages),
    Reader("annotations (CSV)", 500, annotations, read_annotations),
    Reader("own labels (CSV)", 3000, label_tables, read_label_table),
    Reader("listeners' answers", 1500, answers, read_answers, JSON),
    Reader("PNG with EXIF", 3000, pngs, read_png, repair=mutations.png_checksums),
    Reader("PNG to sound", 150, pngs, read_png_as_sound, repair=mutations.png_checksums, mebibytes=1536),
    Reader("params.yaml", 2000, profiles, read_params, YAML),
    Reader("data set (Parquet, JSON)", 300, datasets, read_dataset, JSON),
    Reader("pipeline index", 1500, indexes, read_index, JSON),
    Reader("model folders", 60, model_folders, read_model, JSON, mebibytes=2048),
    Reader("checkpoints", 500, checkpoints, read_checkpoint, JSON),
    Reader("cached latents", 500, cached_latents, read_cached_latents),
    Reader("embeddings (npz)", 2000, vectors, read_vectors),
    Reader("lineage, dvc.lock", 500, histories, read_history, YAML | LINES | JSON),
    Reader("cache.sqlite", 1500, caches, read_cache),
    Reader("notes and locks", 2000, notes, read_notes, JSON),
    Reader("results for the page", 100, results, read_results, JSON),
    Reader("sidecars (JSON)", 1500, sidecars, read_sidecars, JSON),
]  # fmt: skip


def reader(name: str) -> Reader:
    """The reader of that name."""
    return next(one for one in READERS if one.name == name)


def damaged(one: Reader, seeds: list[Seed], number: int, run_seed: int) -> Seed:
    """Input `number`: a seed with one file damaged; the same numbers give the same bytes."""
    random = Random(f"{run_seed} {one.name} {number}")
    files = dict(random.choice(seeds))
    name = random.choice([name for name in files if name not in one.spared])
    special = one.special.get(Path(name).suffix)
    if special and random.random() < 0.6:
        files[name] = special(files[name], random)
        return files
    files[name] = mutations.mutate(files[name], random)
    if one.repair and random.random() < 0.7:
        files[name] = one.repair(files[name])
    return files


def lay(files: Seed, folder: Path) -> None:
    """Write the files of an input."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


if sys.platform != "linux":  # resource limits and /proc are what the bounds rest on
    READERS.clear()
