"""What a finished or half-finished run left behind, as the page needs it: data, models, reports -> **results** -> page.

A run of one profile may stop before training (a folder of five clips has no experiment), so every table may be
missing: it is then empty with its columns, and `Results.missing` names the file, which the page says.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.core import layout
from tasks.core.errors import InputError
from tasks.core.reading import parquet_of
from tasks.evaluate import tables

EMOTIONS = ("happy", "energetic", "tense", "sad", "calm")  # the order of the demo; others follow by name
BASE = "base"
REAL_FLOOR = "original"  # of `floors`: held-out real clips as they are, measured like an experiment
NUMBERS = ("kad", "low", "high", "n", "step", "loss", "learning_rate", "validation_loss")  # columns of CSV files
PARTS = ("emotions", "comparisons")  # of an experiment in metrics.json, beside its measures

TABLES: dict[str, tuple[Path, Sequence[str]]] = {
    "predictions": (layout.PREDICTIONS, tuple(tables.PREDICTIONS)),
    "real_clips": (layout.REAL_CLIPS, tuple(tables.REAL_CLIPS)),
    "kad": (layout.KAD_MATRIX, tuple(tables.KAD_MATRIX)),
    "confusion": (layout.CONFUSION, tuple(tables.CONFUSION)),
    "songs": (
        layout.SONG_LABELS,
        ["song_id", "emotion", "valence", "arousal", "artist", "split", "status", "reason", "swapped"],
    ),
    "segments": (layout.SEGMENT_LABELS, ["song_id", "segment", "emotion"]),
    "dataset": (layout.DATASET_TABLE, ["file_name", "song_id", "emotion", "artist", "split", "augmentation"]),
    "excluded": (layout.EXCLUDED, ["song_id", "segment", "reason"]),
    "wav": (layout.WAV_MANIFEST, ["song_id", "source_file", "status", "reason", "flags", "duration_seconds"]),
}


@dataclass(frozen=True)
class Measure:
    """One figure with its interval, the clips and artists it rests on and, where tested, against what with which p."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    tests: tuple[tuple[str, float], ...] = ()  # (against, p)
    n_artists: int | None = None
    reason: str = ""  # why there is no interval


@dataclass(frozen=True)
class Results:
    """All that the page shows; tables as named in TABLES."""

    root: Path
    tables: Mapping[str, pd.DataFrame]
    judge: Mapping[str, Measure]
    measures: Mapping[str, Mapping[str, Measure]]  # experiment -> name -> figure
    reasons: Mapping[str, Mapping[str, str]]  # experiment -> name of a measure that was not taken -> why
    by_emotion: Mapping[str, Mapping[str, Measure]]  # experiment -> "happy.accuracy" -> figure
    comparisons: Mapping[str, Mapping[str, Measure]]  # experiment -> "base.emotion_accuracy" -> difference
    floors: Mapping[str, Mapping[str, Measure]]  # set of real clips -> name -> figure
    settings: Mapping[str, Any]  # what the figures rest on
    clips: Mapping[str, pd.DataFrame]  # experiment -> manifest of its generated clips
    losses: Mapping[str, pd.DataFrame]  # experiment -> step, loss, learning_rate, validation_loss
    models: Mapping[str, Mapping[str, Any]]  # experiment -> what made it
    sources: Sequence[Mapping[str, Any]]
    missing: tuple[str, ...]

    def __getattr__(self, name: str) -> pd.DataFrame:
        """A table by its name in TABLES."""
        if name in TABLES:
            return self.tables[name]
        raise AttributeError(name)

    @property
    def experiments(self) -> list[str]:
        """Every system that generated or was measured, the base model first."""
        names = {*self.measures, *self.clips, *self.losses}
        return sorted(names, key=lambda name: (name != BASE, name))

    @property
    def emotions(self) -> list[str]:
        """Every emotion that was asked for or labelled."""
        columns = [self.predictions.emotion, self.dataset.emotion, self.real_clips.emotion]
        columns += [clips.emotion for clips in self.clips.values()]
        names = {str(name) for column in columns for name in column.dropna()}
        return sorted(names, key=lambda name: (EMOTIONS.index(name) if name in EMOTIONS else len(EMOTIONS), name))


def load(root: Path) -> Results:
    """The results below the repository `root`.

    Raises:
        InputError: a file that is there cannot be read, or lacks a column.
    """
    try:
        return _load(root)
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        raise InputError(
            "the results have another form than this version writes",
            where=root / layout.METRICS,
            got=f"{type(error).__name__}: {error}",
            todo="run `emoriff evaluate` again",
        ) from error


def _load(root: Path) -> Results:
    missing: list[str] = []
    metrics = _json(root / layout.METRICS, {}, missing, root)
    experiments = dict(sorted(metrics.get("experiments", {}).items()))
    return Results(
        root=root,
        tables={name: _table(root / file, list(columns), missing, root) for name, (file, columns) in TABLES.items()},
        judge=measures_of(metrics.get("judge", {})),
        measures={name: measures_of(_without(values, *PARTS)) for name, values in experiments.items()},
        reasons={name: _reasons(values) for name, values in experiments.items()},
        by_emotion={name: measures_of(values.get("emotions", {})) for name, values in experiments.items()},
        comparisons={name: measures_of(values.get("comparisons", {})) for name, values in experiments.items()},
        floors={name: measures_of(values) for name, values in metrics.get("floors", {}).items()},
        settings=metrics.get("settings", {}),
        clips=_each(root / layout.GENERATED, "manifest.parquet", ["emotion", "seed", "png", "wav", "listening"]),
        losses=_each(root / layout.TRAINING, "loss.csv", ["step", "loss", "validation_loss"]),
        models={file.parent.name: read_json(file) for file in sorted(root.glob(f"{layout.MODELS}/*/{layout.FACTS}"))},
        sources=_sources(_json(root / layout.SOURCES, [], missing, root)),
        missing=tuple(missing),
    )


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("not JSON", where=file, got=error, todo="remove it and run its stage again") from error


def measures_of(values: Mapping[str, Any], prefix: str = "") -> dict[str, Measure]:
    """Every `{value, low, high, n}` and every plain number below `values`; nested names are joined by a dot."""
    found: dict[str, Measure] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and "value" not in value:
            found |= measures_of(value, f"{prefix}{name}.")
        elif (measure := _measure(value)) is not None:
            found[prefix + name] = measure
    return found


def _measure(value: Any) -> Measure | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Measure(float(value)) if math.isfinite(value) else None
    if not isinstance(value, Mapping) or value["value"] is None:
        return None
    p = value.get("p")
    return Measure(
        float(value["value"]),
        _number(value.get("low")),
        _number(value.get("high")),
        None if value.get("n") is None else int(value["n"]),
        () if p is None else ((str(value["against"]), float(p)),),
        None if value.get("n_artists") is None else int(value["n_artists"]),
        str(value.get("reason", "")),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _reasons(values: Mapping[str, Any]) -> dict[str, str]:
    """Why measures were not taken: those with a null value and a reason."""
    entries = [(name, value) for name, value in values.items() if isinstance(value, Mapping)]
    return {name: str(value.get("reason", "")) for name, value in entries if value.get("value", 0) is None}


def _table(file: Path, columns: list[str], missing: list[str], root: Path) -> pd.DataFrame:
    if not file.is_file():
        missing.append(file.relative_to(root).as_posix())
        return pd.DataFrame(columns=columns)
    return _read(file, columns)


def _read(file: Path, columns: list[str]) -> pd.DataFrame:
    if file.suffix == ".parquet":
        return parquet_of(file, columns)
    try:
        table = pd.read_csv(file)
        numbers = [name for name in NUMBERS if name in table.columns]
        table[numbers] = table[numbers].apply(pd.to_numeric)
        return table[[*columns, *(name for name in table.columns if name not in columns)]]
    except (OSError, ValueError, TypeError, LookupError, OverflowError) as error:
        expected, todo = ", ".join(columns), "run the stage that writes it again"
        raise InputError("not a readable table", where=file, expected=expected, got=error, todo=todo) from error


def _each(folder: Path, name: str, columns: list[str]) -> dict[str, pd.DataFrame]:
    return {file.parent.name: _read(file, columns) for file in sorted(folder.glob(f"*/{name}"))}


def _json(file: Path, empty: Any, missing: list[str], root: Path) -> Any:
    if file.is_file():
        return read_json(file)
    missing.append(file.relative_to(root).as_posix())
    return empty


def _sources(value: Any) -> list[Mapping[str, Any]]:
    """The declared sources, whether the file is a list of them or holds one under `sources`."""
    entries = value.get("sources", []) if isinstance(value, Mapping) else value
    return [entry for entry in entries if isinstance(entry, Mapping)]
