"""Small folders of annotation files in DEAM's layout, for the tests of labels and datasets."""

from pathlib import Path

import numpy as np
import pandas as pd

SONG_LEVEL = Path("annotations/annotations averaged per song/song_level")
DYNAMIC = Path("annotations/annotations averaged per song/dynamic (per second annotations)")
STEPS = {"valence": 0.05, "arousal": 0.1}
STATIC_HEADER = "song_id, valence_mean, valence_std, arousal_mean, arousal_std"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="")
    return path


def songs(ids: list[int], seed: int = 0) -> pd.DataFrame:
    """Songs with true valence and arousal on 1..9, one decimal, and an artist for each three of them."""
    generator = np.random.default_rng(seed)
    values = np.round(generator.uniform(1.5, 8.5, (len(ids), 2)), 1)
    table = pd.DataFrame({"song_id": ids, "valence": values[:, 0], "arousal": values[:, 1]})
    table["artist"] = [f"Artist {index // 3}" for index in range(len(ids))]
    return table


def write_folder(folder: Path, table: pd.DataFrame, swap_until: int = 0, curves: bool = True) -> Path:
    """`folder` in DEAM's layout; ratings of ids up to `swap_until` have their axes exchanged."""
    rows = []
    for song in table.itertuples():
        values = (song.valence, song.arousal)
        first, second = reversed(values) if song.song_id <= swap_until else values
        rows.append(f"{song.song_id},{first},1.1,{second},0.9")
    write(
        folder / SONG_LEVEL / "static_annotations_averaged_songs_1_2000.csv", "\n".join([STATIC_HEADER, *rows]) + "\n"
    )
    if curves:
        for axis in ("valence", "arousal"):
            write(folder / DYNAMIC / f"{axis}.csv", curve_text(table, axis))
    artists = [f"{song.song_id},{song.song_id}.mp3,{song.artist},title" for song in table.itertuples()]
    write(folder / "metadata" / "metadata_2015.csv", "\n".join(["id,Filename,artist,title", *artists]) + "\n")
    return folder


def curve_text(table: pd.DataFrame, axis: str) -> str:
    """Curves from 15 to 44.5 s: the song's value on -1..1, in the first half STEPS higher, then lower."""
    times = range(15000, 45000, 500)
    lines = ["song_id, " + ", ".join(f"sample_{time}ms" for time in times)]
    for song_id, value in zip(table["song_id"], (table[axis] - 5) / 4, strict=True):
        steps = [f"{value + (STEPS[axis] if time < 30000 else -STEPS[axis]):.4f}" for time in times]
        lines.append(",".join([str(song_id), *steps]))
    return "\n".join(lines) + "\n"


def segments(ids: list[int], starts: tuple[float, ...] = (0.0, 10.0, 20.0, 30.0)) -> pd.DataFrame:
    """Windows of 10 s."""
    rows = [(song, index, start, 10.0) for song in ids for index, start in enumerate(starts)]
    return pd.DataFrame(rows, columns=["song_id", "segment", "start_seconds", "length_seconds"])
