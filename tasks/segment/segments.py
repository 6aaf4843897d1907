"""Where the windows of a song lie: wav manifest -> **segments** -> labels, spectrograms.

No audio is copied: a segment is a row (song, index, start, length), and everything behind reads its window
from the song's WAV. Spectrogram files carry song, segment and tile in their names; `parse_name` turns a name
back, and the dataset stage checks its table against that.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.core.errors import InputError
from tasks.core.files import write_parquet
from tasks.core.reading import parquet_of
from tasks.segment.params import SegmentParams

COLUMNS = {
    "song_id": "int64",
    "segment": "int64",
    "start_seconds": "float64",
    "length_seconds": "float64",
    "start_sample": "int64",
    "n_samples": "int64",
    "padded": "bool",
}
NAME = re.compile(r"(\d{5,})_(\d{3,})_(\d+)(?:-([A-Za-z0-9.+-]+))?\.png")


@dataclass(frozen=True)
class SpectrogramName:
    """What the file name of a spectrogram says."""

    song_id: int
    segment: int
    tile: int
    augmentation: str = ""


def write_table(manifest: Path, target: Path, params: SegmentParams) -> None:
    """`target` (data/segments/segments.parquet) holds the windows of every song of the wav manifest that is ok.

    Raises:
        InputError: the manifest lacks columns, or no song is long enough for a window.
    """
    songs = parquet_of(manifest, ["song_id", "status", "n_samples", "sample_rate_hz"])
    table = cut_songs(songs, params)
    if table.empty:
        raise InputError(
            "no song gives a segment",
            where=manifest,
            expected=f"songs of {params.length_seconds:g} s (segment.length_seconds), or segment.edge: pad",
            got=f"{len(songs)} songs, {int((songs.status == 'ok').sum())} of them usable",
            todo="shorten segment.length_seconds in params.yaml, or pad",
        )
    write_parquet(target, table)


def cut_songs(songs: pd.DataFrame, params: SegmentParams) -> pd.DataFrame:
    """The windows of all songs with status ok, sorted by song and start; columns as in COLUMNS."""
    usable = songs[songs.status == "ok"].sort_values("song_id")
    rows = [
        row
        for song in usable.itertuples()
        for row in cut(int(song.song_id), int(song.n_samples), int(song.sample_rate_hz), params)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def cut(song_id: int, n_samples: int, rate: int, params: SegmentParams) -> list[dict[str, Any]]:
    """The windows of one song of `n_samples` samples at `rate` Hz, in order of their start.

    Windows start every hop as long as they fit. What is left behind the last of them is, when it is at least
    `min_remainder_seconds` long, covered by one more window: `pad` starts it at the next hop and says how
    many samples are audio (the rest is silence), `shift` moves it back to end with the song (it then overlaps
    its predecessor), `drop` leaves it out. A song shorter than one window cannot be shifted: it is padded.
    With hop = length, `pad` and min_remainder_seconds = 0 the windows tile the song.
    """
    length, hop = round(params.length_seconds * rate), round(params.hop_seconds * rate)
    starts = list(range(0, n_samples - length + 1, hop))
    end = starts[-1] + length if starts else 0
    following = starts[-1] + hop if starts else 0
    remainder = n_samples - max(end, following)
    if params.edge != "drop" and remainder > 0 and remainder >= params.min_remainder_seconds * rate:
        starts.append(n_samples - length if params.edge == "shift" and starts else following)
    return [_row(song_id, index, start, length, n_samples, rate) for index, start in enumerate(starts)]


def _row(song_id: int, index: int, start: int, length: int, n_samples: int, rate: int) -> dict[str, Any]:
    inside = min(length, n_samples - start)
    return {
        "song_id": song_id,
        "segment": index,
        "start_seconds": start / rate,
        "length_seconds": length / rate,
        "start_sample": start,
        "n_samples": inside,
        "padded": inside < length,
    }


def spectrogram_name(song_id: int, segment: int, tile: int, augmentation: str = "") -> str:
    """The file name of a spectrogram; sorts as its parts do.

    >>> spectrogram_name(12, 3, 0, "pitch+2")
    '00012_003_0-pitch+2.png'
    """
    return f"{song_id:05d}_{segment:03d}_{tile}" + (f"-{augmentation}" if augmentation else "") + ".png"


def parse_name(name: str) -> SpectrogramName:
    """The parts of a spectrogram's file name.

    Raises:
        InputError: another name.

    >>> parse_name("00012_003_0.png")
    SpectrogramName(song_id=12, segment=3, tile=0, augmentation='')
    """
    match = NAME.fullmatch(name)
    if not match:
        raise InputError(
            "not the name of a spectrogram", expected="00012_003_0.png or 00012_003_0-pitch+2.png", got=name
        )
    song_id, segment, tile, augmentation = match.groups()
    return SpectrogramName(int(song_id), int(segment), int(tile), augmentation or "")
