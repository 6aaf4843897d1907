"""Labels of songs and segments: annotations + segments -> **labels** -> dataset.

Ratings are checked and corrected (`tasks.label.swap`), brought to 0..1, made to classes (`tasks.label.emotions`),
split by artist (`tasks.label.splits`), and spread over the segments of a song with the help of its per-second curves.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from tasks.core.csv_tables import safe_table
from tasks.core.errors import InputError, ParameterError
from tasks.core.files import write_json, write_parquet
from tasks.core.layout import LABEL_REPORT, RAW, SEGMENT_LABELS, SEGMENTS, SONG_LABELS
from tasks.core.messages import shown
from tasks.core.reading import parquet_of
from tasks.core.storage import replacing
from tasks.label.annotations import AXES, Annotations, artist_key, read_folder
from tasks.label.emotions import Plane, emotions_of, fit_plane, normalised
from tasks.label.params import LabelParams
from tasks.label.segment_labels import label_segments
from tasks.label.splits import SPLITS, split_by_artist
from tasks.label.swap import PartCheck, check_parts, part_of

SONG_COLUMNS = [
    *("song_id", "valence", "arousal", "valence_std", "arousal_std", "emotion"),
    *("artist", "split", "part", "swapped", "status", "reason"),
]
REFUSED_SHOWN = 20


@dataclass(frozen=True)
class Labels:
    """Tables as in data/labels and the report: checks, counts, what was refused."""

    songs: pd.DataFrame
    segments: pd.DataFrame
    report: dict[str, Any]


def write_labels(raw: Path, segments: Path, target: Path, params: LabelParams, seed: int) -> None:
    """`target` holds songs.parquet, songs.csv, segments.parquet and report.json."""
    labels = build(raw, parquet_of(segments, ["song_id", "segment", "start_seconds", "length_seconds"]), params, seed)
    write_parquet(target / SONG_LABELS.name, labels.songs)
    with replacing(target / SONG_LABELS.with_suffix(".csv").name) as temporary:
        safe_table(labels.songs).to_csv(temporary, index=False, lineterminator="\n")
    write_parquet(target / SEGMENT_LABELS.name, labels.segments)
    write_json(target / LABEL_REPORT.name, labels.report)


def build(raw: Path, segments: pd.DataFrame, params: LabelParams, seed: int) -> Labels:
    """Labels of all songs that have annotations or audio, and of all `segments`.

    Raises:
        InputError: as `read_folder`, or no song has both annotations and audio.
    """
    annotations = _read(raw, params)
    songs, plane, checks = label_songs(annotations, params, seed)
    songs = with_audio(songs, segments["song_id"])
    usable = songs["status"] == "ok"
    split = split_by_artist(
        [_group(song, artist) for song, artist in zip(songs["song_id"], songs["artist"], strict=True)],
        songs["emotion"].where(usable, None).tolist(),
        params.split,
        seed,
    )
    songs["split"] = split.names
    curves = annotations.curves if params.segment_labels == "dynamic" else None
    table = label_segments(segments, songs, curves, plane)
    report = _findings(annotations, songs, plane, checks, params) | {
        "split": {"salt": split.salt, "imbalance": split.imbalance, "songs": _per_split(songs[usable])},
        "segments": {
            "dynamic": int((table["provenance"] == "dynamic").sum()),
            "song": int((table["provenance"] == "song").sum()),
            "left_their_song": int(_left(table, songs)),
            "classes": _counts(table["emotion"], plane.names),
        },
        "songs_excluded": _reasons(songs[~usable]),
    }
    return Labels(songs[SONG_COLUMNS], table, report)


def label_songs(
    annotations: Annotations, params: LabelParams, seed: int
) -> tuple[pd.DataFrame, Plane, list[PartCheck]]:
    """Songs with their corrected values on 0..1 and their class, the plane of the classes, the checks.

    `swapped` marks rows that were corrected, `crossed` those whose published, swapped values were kept.
    """
    checks = check_parts(annotations, params)
    songs = annotations.ratings.copy()
    songs["part"] = songs["song_id"].map(part_of)
    found = songs["part"].isin({check.part for check in checks if check.verdict == "swapped"})
    songs["swapped"] = found & (params.correction == "detect")
    songs["crossed"] = found & ~songs["swapped"]
    songs = unswapped(songs, songs["swapped"])
    for axis in AXES:
        songs[axis] = normalised(songs[axis].to_numpy(dtype=float), params)
        songs[f"{axis}_std"] = (songs[f"{axis}_std"] / (params.scale_max - params.scale_min)).round(9)
    points = songs[list(AXES)].to_numpy(dtype=float)
    plane = fit_plane(points, params, seed)
    songs["emotion"] = pd.Series(emotions_of(points, plane), index=songs.index, dtype=object)
    songs["artist"] = songs["song_id"].map(annotations.artists).astype(object)
    songs["reason"] = np.where(songs["emotion"].isna(), "within the dead zone of a border", "")
    songs["status"] = np.where(songs["emotion"].isna(), "excluded", "ok")
    return songs, plane, checks


def unswapped(songs: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    """The table with valence and arousal, means and standard deviations, exchanged in `rows`."""
    songs = songs.copy()
    columns = ["valence", "valence_std", "arousal", "arousal_std"]
    crossed = ["arousal", "arousal_std", "valence", "valence_std"]
    songs.loc[rows, columns] = songs.loc[rows, crossed].to_numpy()
    return songs


def with_audio(songs: pd.DataFrame, song_ids: pd.Series) -> pd.DataFrame:
    """The songs plus a row for each with audio only; either kind without the other is excluded.

    Raises:
        InputError: nothing has both.
    """
    heard = set(song_ids.tolist())
    silent = ~songs["song_id"].isin(heard)
    if silent.all():
        raise InputError(
            "no annotation belongs to any audio",
            where=f"{SEGMENTS} and {RAW}",
            expected="audio files named <song_id>.<ext> with the ids of the annotation files",
            got=f"audio {sorted(heard)[:5]}, annotations {songs['song_id'].tolist()[:5]}",
            todo="rename the audio, or correct the column song_id",
        )
    songs = songs.copy()
    songs.loc[silent, ["status", "reason"]] = ["excluded", "no usable audio"]
    missing = sorted(heard - set(songs["song_id"]))
    empty = {"status": "excluded", "reason": "no annotation", "swapped": False, "crossed": False}
    extra = pd.DataFrame([{"song_id": song, "part": part_of(song)} | empty for song in missing])
    table = pd.concat([songs, extra]) if missing else songs
    table = table.astype({"song_id": "int64", "swapped": bool, "crossed": bool, "emotion": object, "artist": object})
    table[["emotion", "artist"]] = table[["emotion", "artist"]].where(table[["emotion", "artist"]].notna(), None)
    return table.sort_values("song_id", ignore_index=True)


def _group(song_id: int, artist: object) -> str:
    """What stays together in a split: an artist, or a song whose artist is unknown."""
    return artist_key(artist) if isinstance(artist, str) else f"song {song_id}"


def _left(table: pd.DataFrame, songs: pd.DataFrame) -> int:
    """Segments whose class is not their song's."""
    of_song = table["song_id"].map(songs.set_index("song_id")["emotion"])
    both = table["emotion"].notna() & of_song.notna()
    return int((table["emotion"][both] != of_song[both]).sum())


def _counts(emotions: pd.Series, names: tuple[str, ...]) -> dict[str, int]:
    return {name: int((emotions == name).sum()) for name in names}


def _per_split(songs: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Split -> class -> songs."""
    table = pd.crosstab(songs["split"], songs["emotion"]).reindex(list(SPLITS), fill_value=0)
    return {str(split): {str(k): int(v) for k, v in row.items()} for split, row in table.iterrows()}


def _reasons(songs: pd.DataFrame) -> dict[str, int]:
    return {str(reason): int(n) for reason, n in songs["reason"].value_counts().sort_index().items()}


def _read(folder: Path, params: LabelParams) -> Annotations:
    return read_folder(folder, params.scale_min, params.scale_max, params.max_refused_share)


def _findings(
    annotations: Annotations, songs: pd.DataFrame, plane: Plane, checks: list[PartCheck], params: LabelParams
) -> dict[str, Any]:
    """What any folder of annotations says, with or without audio."""
    rated = songs[songs["valence"].notna()]
    refused = annotations.refused.astype(object).where(annotations.refused.notna(), None)
    return {
        "params": params.model_dump(),
        "scheme": params.scheme,
        "correction": params.correction,
        "songs": len(rated),
        "classes": _counts(rated["emotion"], plane.names),
        "without_class": int(rated["emotion"].isna().sum()),
        "parts": [asdict(check) for check in checks],
        "corrected_songs": int(rated["swapped"].sum()),
        "songs_kept_swapped": int(rated["crossed"].sum()),
        "songs_with_curves": len(annotations.curves["valence"].index.intersection(annotations.curves["arousal"].index)),
        "artists": len({artist_key(artist) for artist in annotations.artists.values()}),
        "songs_without_artist": int((~rated["song_id"].isin(set(annotations.artists))).sum()),
        "artists_without_rating": len(set(annotations.artists) - set(rated["song_id"])),
        "curves_without_rating": len(_unrated(annotations)),
        "files": annotations.files,
        "refused": refused.to_dict("records"),
        "plane": {
            "threshold": plane.threshold,
            "energetic": plane.energetic,
            "dead_zone": plane.dead_zone,
            "centres": None if plane.centres is None else plane.centres.tolist(),
        },
    }


def _unrated(annotations: Annotations) -> set[int]:
    drawn = {song for axis in AXES for song in annotations.curves[axis].index}
    return drawn - set(annotations.ratings["song_id"])


def summary(folder: Path, params: LabelParams, seed: int) -> dict[str, Any]:
    """Counts per class, the swap check and what was refused, for a folder of annotation files without audio."""
    annotations = _read(folder, params)
    songs, plane, checks = label_songs(annotations, params, seed)
    return _findings(annotations, songs, plane, checks, params)


def text_of(findings: dict[str, Any]) -> str:
    """The summary as a person reads it."""
    correction = "corrected where the swap is found" if findings["correction"] == "detect" else "as published"
    lines = [f"{findings['songs']:,} songs, {findings['scheme']}, {correction}", ""]
    lines += [f"  {name:<14}{n:>6,}" for name, n in findings["classes"].items()]
    if findings["without_class"]:
        lines.append(f"  {'(dead zone)':<14}{findings['without_class']:>6,}")
    lines += ["", "Are valence and arousal swapped? Correlation of the ratings with the mean per-second curves:", ""]
    lines += ["  ids          songs  compared  V-V     A-A     V-A     A-V     decision"]
    lines += [_part_line(check) for check in findings["parts"]]
    lines += ["", "  V-A: the column named valence against the curves of arousal; A-V: the other way round.", ""]
    lines.append(f"{findings['corrected_songs']:,} songs corrected, {findings['songs_kept_swapped']:,} kept swapped.")
    lines += _refused_lines(findings["refused"])
    lines.append(f"{findings['artists']:,} artists; {findings['songs_without_artist']:,} songs without one.")
    for kind, files in findings["files"].items():
        lines.append(f"{kind} from: {', '.join(files) or 'no file'}")
    return "\n".join(map(shown, lines))


def _part_line(check: dict[str, Any]) -> str:
    names = ("valence-valence", "arousal-arousal", "valence-arousal", "arousal-valence")
    numbers = "".join(
        f"{check['correlations'][name]:<8.3f}" if check["correlations"] else f"{'-':<8}" for name in names
    )
    reason = f": {check['reason']}" if check["reason"] else ""
    if check["standard_errors"] is not None and not reason:
        reason = f" (difference {check['difference']:+.2f}, {check['standard_errors']:+.0f} standard errors)"
    return f"  {check['part']:<11}{check['n_songs']:>7,}{check['n_compared']:>10,}  {numbers}{check['verdict']}{reason}"


def _refused_lines(refused: list[dict[str, Any]]) -> list[str]:
    lines = [f"{len(refused):,} rows or files refused."]
    for row in refused[:REFUSED_SHOWN]:
        line = "" if row["line"] is None else f" line {row['line']}"
        song = "" if row["song_id"] is None else f" (song {row['song_id']})"
        lines.append(f"  {row['file']}{line}{song}: {row['reason']}")
    if len(refused) > REFUSED_SHOWN:
        lines.append(f"  and {len(refused) - REFUSED_SHOWN:,} more: --json lists them all")
    return lines


def look(folder: Path, params: LabelParams, scheme: str, published: bool, as_json: bool, seed: int) -> str:
    """What `emoriff labels FOLDER` prints: the summary under another scheme or correction, text or JSON.

    Raises:
        InputError: as `read_folder`. ParameterError: an unknown scheme.
    """
    schemes = get_args(LabelParams.model_fields["scheme"].annotation)
    if scheme not in schemes:
        raise ParameterError("no such scheme", where="--scheme", expected=", ".join(schemes), got=scheme)
    changed = {"scheme": scheme, "correction": "published" if published else "detect"}
    findings = summary(folder, LabelParams.model_validate(params.model_dump() | changed), seed)
    return json.dumps(findings, indent=1, sort_keys=True) if as_json else text_of(findings)
