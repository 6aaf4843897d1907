"""A small finished run for the tests of the page: real pictures, real sounds, invented figures."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from tasks.codec.image import RIFFUSION, SpectrogramImage, save
from tasks.settings import PROFILES, load
from tasks.train.params import experiment_of

EMOTIONS = ["happy", "energetic", "tense", "sad", "calm"]
CENTRES = {
    "happy": (0.72, 0.58),
    "energetic": (0.7, 0.82),
    "tense": (0.28, 0.75),
    "sad": (0.25, 0.28),
    "calm": (0.7, 0.25),
}
WITH_CLIPS = ("base", "ours")  # the other systems have figures only
ACCURACY = {"base": 0.22, "exp1": 0.19, "exp2": 0.24, "exp3": 0.21, "ours": 0.88}
RATE = 44100


def build(root: Path, n_seeds: int = 3, size: int = 512) -> Path:
    """Everything that the page reads, below `root`."""
    random = np.random.default_rng(1)
    for system in WITH_CLIPS:
        _clips(root, system, n_seeds, size, random)
    _labels(root, random)
    _measures(root, n_seeds, random)
    for system in list(ACCURACY)[1:]:
        _training(root, system, random)
    _songs(root, random)
    return root


def table(root: Path, name: str, rows: list[dict]) -> pd.DataFrame:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows)
    frame.to_parquet(path, index=False) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return frame


def tone(emotion: str, seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 150 * (2 + EMOTIONS.index(emotion))
    return (0.3 * np.sin(2 * np.pi * pitch * time) * (0.5 + 0.5 * np.sin(2 * np.pi * 2 * time))).astype(np.float32)


def _clips(root: Path, system: str, n_seeds: int, size: int, random: np.random.Generator) -> None:
    folder, rows = root / "data/generated" / system, []
    folder.mkdir(parents=True)
    for emotion in EMOTIONS:
        for seed in range(n_seeds):
            name = f"{emotion}_{seed:04d}"
            bands = np.sin(np.arange(size)[:, None] / (8 + 3 * EMOTIONS.index(emotion))) * 90
            pixels = np.clip(150 + bands + random.normal(0, 20, (size, size)), 0, 255).astype(np.uint8)
            save(SpectrogramImage(pixels, 1e6, -14.0, RIFFUSION, 512), folder / f"{name}.png")
            soundfile.write(folder / f"{name}.ogg", tone(emotion, 5.12), RATE, format="OGG", subtype="VORBIS")
            soundfile.write(folder / f"{name}.wav", tone(emotion, 5.12), RATE)
            rows.append({"experiment": system, "emotion": emotion, "seed": seed, "png": f"{name}.png"})
            rows[-1] |= {"wav": f"{name}.wav", "listening": f"{name}.ogg", "seconds": 5.12}
    table(root, f"data/generated/{system}/manifest.parquet", rows)


def _labels(root: Path, random: np.random.Generator) -> None:
    songs, pictures = [], []
    sizes = {"happy": 22, "energetic": 12, "tense": 9, "sad": 36, "calm": 15}
    for emotion, size in sizes.items():
        for _ in range(size):
            song, artist = len(songs) + 2, f"artist {len(songs) % 16}"
            split = "test" if len(songs) % 4 == 0 else "train"
            songs.append({"song_id": song, "emotion": emotion, "artist": artist, "split": split, "status": "ok"})
            songs[-1] |= {"reason": "", "swapped": song <= 40, "valence": 0.6, "arousal": 0.3}
            for segment in range(5):
                row = {"song_id": song, "segment": segment, "emotion": emotion, "artist": artist, "split": split}
                pictures.append(row | {"file_name": f"{split}/{song:05d}_{segment:03d}_0.png", "augmentation": ""})
    table(
        root,
        "data/labels/segments.parquet",
        [{k: row[k] for k in ("song_id", "segment", "emotion")} for row in pictures],
    )
    table(root, "data/dataset/dataset.parquet", pictures)
    table(
        root,
        "data/dataset/excluded.parquet",
        [{"song_id": 7, "segment": 3, "reason": "no emotion in the dead zone"}] * 4,
    )
    songs.append(songs[-1] | {"song_id": 999, "status": "excluded", "reason": "no annotation"})
    table(root, "data/labels/songs.parquet", songs)
    (root / "data/labels/report.json").write_text("{}")
    (root / "data/raw").mkdir(parents=True)
    source = {"name": "DEAM_audio.zip", "licence": "CC BY-NC", "citation": "Aljanaki et al. 2017", "sha256": "e2" * 32}
    (root / "data/raw/sources.json").write_text(json.dumps([source]))


def _measures(root: Path, n_seeds: int, random: np.random.Generator) -> None:
    predictions, kad, confusion = [], [], []
    for system, accuracy in ACCURACY.items():
        for emotion in EMOTIONS:
            for seed in range(40):
                predictions.append(_judged(system, emotion, seed, accuracy, random))
            for real in EMOTIONS:
                distance = (0.4 if real == emotion else 3.0) if system == "ours" else random.uniform(2, 5)
                kad.append({"experiment": system, "generated": emotion, "real": real, "kad": distance})
                kad[-1] |= {"low": distance * 0.8, "high": distance * 1.25, "n": 40, "reason": "", "fad": 2 * distance}
    frame = table(root, "reports/predictions.parquet", predictions)
    table(root, "reports/kad_matrix.csv", kad)
    for (system, true, predicted), part in frame.groupby(["experiment", "emotion", "predicted"]):
        confusion.append({"arm": system, "true": true, "predicted": predicted, "n": len(part)})
    confusion += [{"arm": "real", "true": emotion, "predicted": emotion, "n": 20} for emotion in EMOTIONS]
    table(root, "reports/confusion.csv", confusion)
    (root / "reports/metrics.json").write_text(json.dumps(_metrics(frame)))


def _judged(system: str, emotion: str, seed: int, accuracy: float, random: np.random.Generator) -> dict:
    heard = emotion if random.random() < accuracy else EMOTIONS[random.integers(5)]
    valence, arousal = np.clip(random.normal(CENTRES[heard], 0.08), 0, 1)
    row = {"experiment": system, "emotion": emotion, "seed": seed, "predicted": heard}
    return row | {"valence": valence, "arousal": arousal, "nearest": "00002_000_0", "nearest_ratio": 1.0}


def _metrics(predictions: pd.DataFrame) -> dict:
    experiments = {}
    for system, part in predictions.groupby("experiment"):
        share = float((part.predicted == part.emotion).mean())
        measures = {
            "emotion_accuracy": {"value": share, "low": share - 0.05, "high": share + 0.05, "n": len(part)},
            "kad": {"value": 3 * (1 - share), "low": 2.5 * (1 - share), "high": 3.6 * (1 - share), "n": len(part)},
            "noise_floor_db": {"value": -60 - 10 * share, "low": -72.0, "high": -58.0, "n": len(part)},
        }
        if system != "base":
            measures["emotion_accuracy"] |= {"p": 0.0005 if system == "ours" else 0.4, "against": "base"}
        missing = {"value": None, "low": None, "high": None, "n": 200, "reason": "no emotion has enough held-out clips"}
        parts = {"happy": {"accuracy": measures["kad"], "nearest_real": "happy"}}
        others = {other: {"emotion_accuracy": measures["emotion_accuracy"]} for other in ("base",) if other != system}
        experiments[system] = measures | {"kld": missing, "emotions": parts, "comparisons": others}
    real = {"value": 0.93, "low": 0.89, "high": 0.96, "n": 180}
    judge = {"real_test_accuracy": real, "codec_accuracy": real, "chance": real | {"value": 0.2}, "chosen": "linear"}
    floors = {"original": {"kad": real}, "codec": {}}
    return {"judge": judge, "experiments": experiments, "floors": floors, "settings": {"confidence": 0.95}}


def _training(root: Path, system: str, random: np.random.Generator) -> None:
    steps = np.arange(1, 301)
    raw = 0.3 + 0.4 * np.exp(-steps / 60) + random.normal(0, 0.08, 300)
    fixed = np.where(steps % 25 == 0, 0.31 + 0.38 * np.exp(-steps / 60), np.nan)
    columns = {"step": steps, "loss": raw, "learning_rate": 5e-4, "validation_loss": fixed}
    folder, model = root / "reports/train" / system, root / "models" / system
    folder.mkdir(parents=True)
    pd.DataFrame(columns).to_csv(folder / "loss.csv", index=False)
    model.mkdir(parents=True)
    experiment = experiment_of(load(PROFILES / "demo.yaml").train, system)
    figures = {"steps": 300, "pictures_seen": 301 * experiment.batch, "learnt_parameters": 12345, "notes": []}
    facts = {"seed": 1, "parameters": experiment.model_dump(), "figures": figures}
    (model / "emoriff.json").write_text(json.dumps(facts))


def _songs(root: Path, random: np.random.Generator) -> None:
    """Ten held-out songs as WAV, two an emotion, and a file that was rejected."""
    manifest, clips = [], []
    (root / "data/wav").mkdir(parents=True)
    for index, emotion in enumerate(EMOTIONS * 2):
        soundfile.write(root / f"data/wav/{index + 2}.wav", tone(emotion, 12), RATE)
        manifest.append({"song_id": index + 2, "source_file": f"{index + 2}.mp3", "status": "ok", "reason": ""})
        manifest[-1] |= {"flags": "cover_art" if index else "", "duration_seconds": 12.0}
        for _ in range(15):
            valence, arousal = np.clip(random.normal(CENTRES[emotion], 0.07), 0, 1)
            row = {
                "song_id": index + 2,
                "segment": 0,
                "place": 0,
                "start_seconds": 2.0,
                "emotion": emotion,
                "valence": valence,
            }
            clips.append(row | {"arousal": arousal, "predicted": emotion, "split": "test", "artist": f"artist {index}"})
            clips[-1] |= {"predicted_valence": valence, "predicted_arousal": arousal}
    broken = {"song_id": 99, "source_file": "99.mp3", "status": "rejected", "reason": "truncated: no audio frame"}
    table(root, "data/wav/manifest.parquet", [*manifest, broken | {"flags": "", "duration_seconds": 0.0}])
    table(root, "reports/real_clips.parquet", clips)
