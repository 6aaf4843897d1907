"""The tables of the page, as plain rows for the template: results -> **tables** -> page."""

from typing import Any

import pandas as pd

from tasks.report.findings import HEADLINE, JUDGE, KINDS, best_systems, label
from tasks.report.results import REAL_FLOOR, Measure, Results
from tasks.report.training_configuration import drawn

REAL_SYSTEMS = {
    "real": "real clips",
    "codec": "real, after picture and back",
    "codec_vae": "real, after the VAE and back",
}
MAX_ROWS = 40  # of rejected files listed by name; the counts are of all


def measure_rows(results: Results) -> list[dict[str, Any]]:
    """A row per measure, the known ones first and in their order, then all others by name.

    The first column is that of the real clips, where the same was measured of them.
    """
    names = {name for found in results.measures.values() for name in found}
    names |= {name for found in results.reasons.values() for name in found}
    known = [name for name in KINDS if name in names]
    real = results.floors.get(REAL_FLOOR, {})
    return [
        {
            "name": label(name),
            "kind": KINDS.get(name),
            "main": name in KINDS,
            "real": real.get(name),
            "cells": [_cell(results, system, name) for system in results.experiments],
        }
        for name in [*known, *sorted(names - set(known))]
    ]


def _cell(results: Results, system: str, name: str) -> dict[str, Any]:
    return {
        "measure": results.measures.get(system, {}).get(name),
        "best": system in best_systems(results.measures, name),
        "reason": results.reasons.get(system, {}).get(name, ""),
    }


def accuracy_by_emotion(results: Results) -> list[tuple[str, list[Measure | None]]]:
    """A row per emotion: how often each experiment's clips of it are recognised."""
    if not any(results.by_emotion.values()):
        return []
    found = results.by_emotion
    return [
        (emotion, [found.get(system, {}).get(f"{emotion}.accuracy") for system in results.experiments])
        for emotion in results.emotions
    ]


def pairwise_comparisons(results: Results) -> list[tuple[str, list[Measure | None]]]:
    """A row per experiment: its emotion accuracy minus that of each other experiment, clip by clip."""
    if not any(results.comparisons.values()):
        return []
    found, systems = results.comparisons, results.experiments
    return [(system, [found.get(system, {}).get(f"{other}.{HEADLINE}") for other in systems]) for system in systems]


def judge_rows(results: Results) -> list[tuple[str, Measure]]:
    """How good the judge is, the known figures in their order."""
    return [(text, results.judge[name]) for name, text in JUDGE.items() if name in results.judge]


def kad_matrices(results: Results) -> list[dict[str, Any]]:
    """KAD of each generated class to each real class; the smallest of a row is marked."""
    matrices = []
    for name in results.experiments:
        table = results.kad[results.kad.experiment == name]
        if table.empty:
            continue
        largest = max(float(table.kad.max()), 1e-9)
        rows, n_nearest = [], 0
        for emotion in results.emotions:
            cells = {row.real: row for row in table[table.generated == emotion].dropna(subset=["kad"]).itertuples()}
            if not cells:
                continue
            nearest = min(cells, key=lambda real: cells[real].kad)
            n_nearest += nearest == emotion
            rows.append(
                {
                    "name": emotion,
                    "cells": [
                        {
                            "value": cells[real].kad,
                            "low": None if pd.isna(cells[real].low) else cells[real].low,
                            "high": cells[real].high,
                            "depth": round(1 - max(0.0, cells[real].kad) / largest, 3),
                            "marked": real == nearest,
                        }
                        if real in cells
                        else None
                        for real in results.emotions
                    ],
                }
            )
        matrices.append({"name": name, "rows": rows, "n_nearest": n_nearest})
    return matrices


def confusions(results: Results) -> list[dict[str, Any]]:
    """Counts of true against predicted emotions, for each system, shaded by the share of the row."""
    found = list(results.confusion.arm.unique())
    systems = [
        *(system for system in REAL_SYSTEMS if system in found),
        *(system for system in results.experiments if system in found),
    ]
    matrices = []
    for system in systems:
        table = results.confusion[results.confusion.arm == system]
        counts = table.pivot_table(index="true", columns="predicted", values="n", aggfunc="sum", fill_value=0)
        counts = counts.reindex(index=results.emotions, columns=results.emotions, fill_value=0)
        rows = [
            {
                "name": emotion,
                "cells": [
                    {"value": int(n), "depth": round(n / max(1, counts.loc[emotion].sum()), 3)}
                    for n in counts.loc[emotion]
                ],
            }
            for emotion in results.emotions
        ]
        hits = sum(int(counts.loc[emotion, emotion]) for emotion in results.emotions)
        matrices.append(
            {"name": REAL_SYSTEMS.get(system, system), "rows": rows, "hits": hits, "n": int(counts.to_numpy().sum())}
        )
    return matrices


def balance(results: Results) -> list[dict[str, Any]]:
    """Counts of each emotion from songs to what training draws, with the share of the largest for a bar."""
    train = results.dataset[results.dataset.split == "train"]
    columns = [
        ("songs", results.songs[results.songs.status == "ok"].emotion.value_counts()),
        ("segments", results.segments.emotion.value_counts()),
        ("training pictures", train.emotion.value_counts()),
        *((f"pictures drawn by {name}", pd.Series(counts)) for name, counts in drawn(results).items()),
    ]
    return [_classes(name, counts, results.emotions) for name, counts in columns if len(counts)]


def _classes(name: str, counts: pd.Series, emotions: list[str]) -> dict[str, Any]:
    counts = counts.reindex(emotions, fill_value=0)
    largest, smallest = int(counts.max()), int(counts.min())
    return {
        "name": name,
        "n": int(counts.sum()),
        "ratio": f"largest {largest / smallest:.1f} times the smallest" if smallest else "a class is empty",
        "rows": [{"name": emotion, "n": int(n), "share": round(n / largest, 3)} for emotion, n in counts.items()],
    }


def rejected(results: Results) -> dict[str, Any]:
    """What was left out, and why: files that could not be used, songs without a label, pictures not joined."""
    files = results.wav[results.wav.status == "rejected"].sort_values("song_id")
    songs = results.songs[results.songs.status == "excluded"]
    flags = results.wav[results.wav.status == "ok"]["flags"].fillna("").str.split(",").explode()
    return {
        "files": [(row.source_file, row.reason) for row in files.head(MAX_ROWS).itertuples()],
        "n_files": len(files),
        "n_read": len(results.wav),
        "songs": _by_reason(songs),
        "pictures": _by_reason(results.excluded),
        "flags": sorted((name, int(n)) for name, n in flags.value_counts().items() if name),
    }


def _by_reason(table: pd.DataFrame) -> list[tuple[str, int]]:
    return [(str(reason), int(n)) for reason, n in table.reason.value_counts().sort_index().items()]


def stage_counts(results: Results) -> list[tuple[str, int, str]]:
    """How many items each stage of the data flow held."""
    counts = [
        ("convert", int((results.wav.status == "ok").sum()), "songs as WAV"),
        ("segment", len(results.segments), "segments"),
        ("label", int((results.songs.status == "ok").sum()), "songs with an emotion"),
        ("dataset", len(results.dataset), "spectrogram pictures"),
        ("train", len(results.losses), "configurations trained"),
        ("generate", sum(len(clips) for clips in results.clips.values()), "clips generated"),
    ]
    return [row for row in counts if row[1]]


def model_rows(results: Results) -> list[dict[str, Any]]:
    """What made each model, flattened to name and value; of its base only what the base's own row does not say."""
    return [
        {"name": name, "values": list(_flat({key: value for key, value in made.items() if key != "base"}))}
        for name, made in results.models.items()
    ]


def _flat(values: Any, prefix: str = "") -> Any:
    """(dotted name, text) of nested mappings, sorted."""
    for name in sorted(values):
        value = values[name]
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
