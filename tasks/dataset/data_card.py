"""The data card: rows of the dataset + report of the labels + sources -> **README.md**.

Every figure is counted from the tables; nothing is written by hand but what a figure cannot say.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from tasks.label.splits import SPLITS

LICENCES = {"cc by-nc": "cc-by-nc-4.0", "cc-by-nc": "cc-by-nc-4.0", "cc0": "cc0-1.0", "cc by 4": "cc-by-4.0"}
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
SCHEMES = {
    "quadrants": "by the quadrant of the valence-arousal plane",
    "five": "by the quadrant of the valence-arousal plane; happy songs of high arousal are energetic",
    "clusters": "by k-means clusters of the valence-arousal plane, named by their centres",
}


def card(rows: pd.DataFrame, excluded: pd.DataFrame, report: dict[str, Any], sources: Sequence[dict[str, Any]]) -> str:
    """Markdown with YAML front matter, as the Hugging Face hub reads it.

    Args:
        rows, excluded: dataset.parquet and excluded.parquet.
        report: data/labels/report.json.
        sources: rows of data/raw/sources.json.
    """
    parts = [
        f"---\n{yaml.safe_dump(front_matter(rows, sources), sort_keys=True, allow_unicode=True)}---",
        "# Spectrograms of music by emotion",
        _what(rows),
        "## Pictures\n\n" + counts_table(rows, "file_name", "pictures"),
        "## Songs\n\n"
        + counts_table(rows, "song_id", "songs")
        + "\n\nA song whose segments differ counts in each of their classes.",
        "## Labels\n\n" + _labels(rows, report),
        "## Defects found\n\n" + _defects(report),
        "## Left out\n\n" + _left_out(excluded, report),
        "## Sources and licence\n\n" + _sources(sources),
        "## Limits\n\n" + LIMITS,
        "## Load\n\n" + LOAD,
    ]
    return "\n\n".join(parts) + "\n"


LIMITS = """The emotion is what listeners, on average, hear in a song, not what anyone feels. Songs near a border of
two classes are labelled by a hair: other listeners would put some of them into the other. Raters and songs stand
for no culture but their own. Pictures are mel spectrograms: phase and everything above their highest frequency are
gone."""

LOAD = """```python
from datasets import load_dataset

dataset = load_dataset("imagefolder", data_dir="data/dataset")
```

or `pandas.read_parquet("data/dataset/dataset.parquet")`; `file_name` is relative to this folder."""


def front_matter(rows: pd.DataFrame, sources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the hub reads: licence, size, tasks, and where the splits are."""
    return {
        "configs": [{"config_name": "default", "data_files": [_data_files(split) for split in _splits(rows)]}],
        "license": licence_id([source["licence"] for source in sources]),
        "pretty_name": "Spectrograms of music by emotion",
        "size_categories": [next((name for size, name in SIZES.items() if len(rows) < size), "n>1M")],
        "tags": ["music", "emotion", "spectrogram", "valence-arousal"],
        "task_categories": ["text-to-image", "text-to-audio", "audio-classification"],
    }


def _splits(rows: pd.DataFrame) -> list[str]:
    return [split for split in SPLITS if (rows["split"] == split).any()]


def _data_files(split: str) -> dict[str, str]:
    return {"split": split, "path": f"{split}/*"}


def licence_id(licences: Sequence[str]) -> str:
    """The hub's identifier that covers all `licences`, or "other".

    >>> licence_id(["CC0 (rendered)", "CC0 (rendered)"]), licence_id(["CC0", "CC BY-NC 4.0"]), licence_id([])
    ('cc0-1.0', 'other', 'other')
    """
    names = {
        next((name for start, name in LICENCES.items() if text.lower().startswith(start)), "other") for text in licences
    }
    return names.pop() if len(names) == 1 else "other"


def _what(rows: pd.DataFrame) -> str:
    augmented = int((rows["augmentation"] != "").sum())
    return (
        f"{len(rows):,} mel spectrogram pictures ({augmented:,} of them augmented) from {rows['song_id'].nunique():,} "
        f"songs, each with one of {rows['emotion'].nunique()} emotions. Songs are split by artist: nobody is heard "
        "in two splits. Each PNG carries in its metadata what is needed to turn it back into sound."
    )


def counts_table(rows: pd.DataFrame, column: str, noun: str) -> str:
    """Class by split, with sums; cells count different values of `column`."""
    counts = rows.pivot_table(index="emotion", columns="split", values=column, aggfunc="nunique", fill_value=0)
    counts = counts.reindex(columns=list(SPLITS), fill_value=0).sort_index()
    lines = [f"| {noun} | {' | '.join(SPLITS)} | all |", "|---|---:|---:|---:|---:|"]
    for name, row in [*counts.iterrows(), ("all", counts.sum())]:
        lines.append(f"| {name} | {' | '.join(f'{int(n):,}' for n in row)} | {int(row.sum()):,} |")
    return "\n".join(lines)


def _labels(rows: pd.DataFrame, report: dict[str, Any]) -> str:
    params = report["params"]
    text = (
        f"Valence and arousal were rated on {params['scale_min']:g} to {params['scale_max']:g} and are kept on 0 to 1. "
        f"Classes are made {SCHEMES[report['scheme']]}."
    )
    if report["scheme"] != "clusters":
        text += f" High means {params['comparison']} {params['threshold']:g}"
        text += f", energetic from {params['energetic_arousal']:g} (0 to 1)." if report["scheme"] == "five" else "."
    if params["dead_zone"]:
        text += f" Songs within {params['dead_zone']:g} points of a border have no label."
    per_second = float((rows["provenance"] == "dynamic").mean())
    return text + (
        f" {per_second:.0%} of the pictures have a label of their own segment, from per-second annotations anchored "
        "to the song's rating (`provenance: dynamic`); the others have their song's (`provenance: song`)."
    )


def _defects(report: dict[str, Any]) -> str:
    kept = "corrected" if report["correction"] == "detect" else "kept as published"
    lines = [
        "Are the columns of valence and arousal swapped? Correlations of the ratings with the mean per-second "
        f"annotations of the same songs; what is swapped was {kept} ({report['corrected_songs']:,} songs corrected).",
        "",
        "| ids | songs | compared | V with V | A with A | V with A | A with V | verdict |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for check in report["parts"]:
        names = ("valence-valence", "arousal-arousal", "valence-arousal", "arousal-valence")
        cells = [f"{check['correlations'][name]:.3f}" if check["correlations"] else "" for name in names]
        verdict = check["verdict"] + (f": {check['reason']}" if check["reason"] else "")
        cells = [check["part"], f"{check['n_songs']:,}", f"{check['n_compared']:,}", *cells, verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{len(report['refused']):,} rows of the annotation files were refused."])


def _left_out(excluded: pd.DataFrame, report: dict[str, Any]) -> str:
    counts = excluded["reason"].value_counts().sort_index()
    lines = [f"- {n:,} pictures: {reason}" for reason, n in counts.items()]
    lines += [f"- {n:,} songs: {reason}" for reason, n in report["songs_excluded"].items()]
    return "\n".join(lines) or "Nothing."


def _sources(sources: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"- {source['name']}: {source['licence']}"
        + (f"; {source['citation']}" if source.get("citation") else "")
        + (f"; SHA-256 `{source['sha256']}`" if source.get("sha256") else "")
        for source in sources
    ]
    return "\n".join(lines) or "Unknown: no record of sources was found."
