"""The images of segments: a song's WAV + its segments -> **PNG and manifest rows** -> dataset."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from tasks.codec.forward import encode
from tasks.codec.image import save, tiles
from tasks.codec.params import SpectrogramParams
from tasks.core.errors import AudioError
from tasks.core.files import seed_from
from tasks.segment.segments import spectrogram_name
from tasks.spectrogram import augmentation

COLUMNS = {  # of data/spectrograms/manifest.parquet
    "file": "str",
    "song_id": "int64",
    "segment": "int64",
    "tile": "int64",
    "start_seconds": "float64",
    "n_columns": "int64",
    "max_value": "float64",
    "loudness_lufs": "float64",
    "augmentation": "str",
    "pixels_sha256": "str",
}


def manifest(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The table of all spectrogram images, sorted by song, segment, tile and augmentation; columns as in COLUMNS."""
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["song_id", "segment", "tile", "augmentation"])


def render_song(
    wav: Path, segments: list[dict[str, Any]], params: SpectrogramParams, folder: Path, seed: int
) -> list[dict[str, Any]]:
    """The images of one song's segments in `folder`, and their manifest rows."""
    return [row for segment in segments for row in render_segment(wav, segment, params, folder, seed)]


def render_segment(
    wav: Path, segment: dict[str, Any], params: SpectrogramParams, folder: Path, seed: int
) -> list[dict[str, Any]]:
    """One segment's tiles as PNG in `folder`, then those of its augmented copies; a manifest row each.

    `segment` is a row of segments.parquet. Only the segment is read from the file; what a padded segment lacks
    is silence. `start_seconds` of a row is its tile's, in the song. Augmented copies are made of every segment;
    whether one is used for training only, the dataset stage decides, which knows the split.
    """
    rows = []
    for word in ["", *params.augment]:
        waveform, rate = segment_waveform(wav, segment, word, seed)
        image = encode(waveform, rate, params)
        for index, tile in enumerate(tiles(image, params)):
            name = spectrogram_name(segment["song_id"], segment["segment"], index, word)
            save(tile, folder / name)
            rows.append(
                {
                    "file": name,
                    "song_id": int(segment["song_id"]),
                    "segment": int(segment["segment"]),
                    "tile": index,
                    "start_seconds": segment["start_seconds"] + tile.first_column * params.step_ms / 1000,
                    "n_columns": tile.columns,
                    "max_value": tile.max_value,
                    "loudness_lufs": tile.loudness_lufs,
                    "augmentation": word,
                    "pixels_sha256": tile.sha256,
                }
            )
    return rows


def segment_waveform(wav: Path, segment: dict[str, Any], word: str, seed: int) -> tuple[np.ndarray, int]:
    """Float32 [C, N] of a segment or of its augmented copy `word`, N its full length, and the sample rate.

    Raises:
        AudioError: no such file, no audio, or it ends before the segment does.
    """
    change = augmentation.parse(word) if word else None
    try:
        with soundfile.SoundFile(wav) as file:
            rate, start, n_samples = file.samplerate, int(segment["start_sample"]), int(segment["n_samples"])
            if file.frames < start + n_samples:
                expected = f"{start + n_samples} samples"
                raise AudioError("segment beyond the end", where=wav, expected=expected, got=file.frames)
            n_read = int(n_samples * (change.tempo if change else 1))
            file.seek(max(0, min(start, file.frames - n_read)))  # a faster copy needs more
            waveform = file.read(n_read, dtype="float32", always_2d=True).T
    except soundfile.LibsndfileError as error:
        raise AudioError("not readable as WAV", where=wav, got=error, todo="run the convert stage again") from error
    if change:
        parts = (seed, "augment", segment["song_id"], segment["segment"], word)
        waveform = augmentation.augment(waveform, change, n_samples, seed_from(*parts))
    missing = round(segment["length_seconds"] * rate) - waveform.shape[1]
    return np.pad(waveform, ((0, 0), (0, max(0, missing)))), rate
