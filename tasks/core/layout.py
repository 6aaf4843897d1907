"""Where each artifact stands, relative to the repository; stages get their paths as arguments from flows/."""

from pathlib import Path

DATA, MODELS, REPORTS = Path("data"), Path("models"), Path("reports")

RAW = DATA / "raw"
AUDIO, ANNOTATIONS, METADATA, SOURCES = RAW / "audio", RAW / "annotations", RAW / "metadata", RAW / "sources.json"
WAV = DATA / "wav"
WAV_MANIFEST = WAV / "manifest.parquet"
SEGMENTS = DATA / "segments"
SEGMENT_TABLE = SEGMENTS / "segments.parquet"
LABELS = DATA / "labels"
SONG_LABELS, SEGMENT_LABELS, LABEL_REPORT = (
    LABELS / "songs.parquet",
    LABELS / "segments.parquet",
    LABELS / "report.json",
)
SPECTROGRAMS = DATA / "spectrograms"
SPECTROGRAM_MANIFEST = SPECTROGRAMS / "manifest.parquet"
DATASET = DATA / "dataset"
DATASET_TABLE, EXCLUDED = DATASET / "dataset.parquet", DATASET / "excluded.parquet"
BASE = MODELS / "base"
GENERATED = DATA / "generated"
TRAINING = REPORTS / "train"
METRICS, PREDICTIONS = REPORTS / "metrics.json", REPORTS / "predictions.parquet"
REAL_CLIPS, KAD_MATRIX, CONFUSION = (
    REPORTS / "real_clips.parquet",
    REPORTS / "kad_matrix.csv",
    REPORTS / "confusion.csv",
)
PAGE, MEDIA, TIMINGS = REPORTS / "index.html", REPORTS / "media", REPORTS / "timings.json"
BY_SONG = (RAW, WAV, SPECTROGRAMS, DATASET)  # folders whose files begin with the id of their song
FACTS = "emoriff.json"  # in a model's folder: what made it
LOCAL = Path(".emoriff")  # caches, records and work of this clone; not versioned


def model(experiment: str) -> Path:
    """The folder of an experiment's pipeline; of "base" too."""
    return MODELS / experiment


def generated(experiment: str) -> Path:
    """The folder of an experiment's clips."""
    return GENERATED / experiment


def training(experiment: str) -> Path:
    """The folder of an experiment's loss curves."""
    return TRAINING / experiment


def work(experiment: str) -> Path:
    """Checkpoints and the like of an experiment's training; latents and prior pictures are shared beside it."""
    return LOCAL / "work" / experiment
