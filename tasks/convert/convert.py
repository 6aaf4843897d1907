"""Songs as WAV files of one sample rate: data/raw/audio -> **data/wav** -> segments, spectrograms.

Every song is decoded once, here; all that follows reads the WAV. A song that cannot be used is a row of the
manifest with its reason, a song with a blemish carries flags.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.audio.decoding import DecodedAudio, decode
from tasks.audio.loudness import loudness
from tasks.audio.write import FULL_SCALE, resample, write_wav
from tasks.convert.params import ConvertParams
from tasks.core.errors import AudioError, InputError
from tasks.core.files import sha256
from tasks.core.layout import AUDIO
from tasks.core.messages import shown

COLUMNS = {  # of data/wav/manifest.parquet; what is not known of a rejected song is null
    "song_id": "int64",
    "file": "str",
    "status": "str",
    "reason": "str",
    "flags": "str",
    "source_file": "str",
    "source_sha256": "str",
    "decoder": "str",
    "decoder_version": "str",
    "source_sample_rate_hz": "Int64",
    "sample_rate_hz": "Int64",
    "channels": "Int64",
    "n_samples": "Int64",
    "duration_seconds": "float64",
    "peak_dbfs": "float64",
    "loudness_lufs": "float64",
    "sha256": "str",
}
SONG_ID = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class Song:
    """A song as it will be written: waveform float32 [C, N] in -1..1, and what is to be said of it."""

    waveform: np.ndarray
    flags: tuple[str, ...]
    remarks: tuple[str, ...]


def song_files(folder: Path) -> dict[int, Path]:
    """Song id -> audio file of data/raw/audio, by id.

    Raises:
        InputError: no files, a file whose name is no song id, or an id that occurs twice.
    """
    paths = [path for path in sorted(folder.glob("*")) if path.is_file() and not path.name.startswith(".")]
    wrong = [path.name for path in paths if not SONG_ID.fullmatch(path.stem)]
    if wrong or not paths:
        raise InputError(
            "audio files without a song id" if wrong else "no audio",
            where=folder,
            expected="files named <song_id>.<ending>, as 17.mp3",
            got=", ".join(wrong[:5]) or "an empty folder",
            todo="make download.sources.members in params.yaml narrower" if wrong else "run `emoriff download`",
        )
    found: dict[int, Path] = {}
    for path in paths:
        song_id = int(path.stem)
        if song_id in found:
            raise InputError(
                f"song {song_id} has two files", where=folder, expected="one", got=f"{found[song_id].name}, {path.name}"
            )
        found[song_id] = path
    return dict(sorted(found.items()))


def convert_song(song_id: int, source: Path, folder: Path, params: ConvertParams) -> dict[str, Any]:
    """Writes folder/<song_id>.wav; the song's row of the wav manifest. Audio that is bad raises nothing.

    The row's `status` is "ok" or "rejected" (then `file` is null and nothing is written), `reason` says why,
    or what the flags mean. peak_dbfs and loudness_lufs are those of the WAV; loudness is integrated loudness
    after ITU-R BS.1770-4, where a song shorter than its block of 0.4 s is one block, and -70 stands for less.
    """
    row = _row(song_id, source)
    try:
        decoded = decode(source)
        row |= {
            "decoder": decoded.decoder,
            "decoder_version": decoded.decoder_version,
            "source_sample_rate_hz": decoded.sample_rate_hz,
        }
        song = prepare(decoded, params)
    except AudioError as error:
        return row | {"status": "rejected", "reason": one_line(error)}
    target = folder / f"{song_id}.wav"
    write_wav(target, song.waveform, params.sample_rate_hz)
    channels, n_samples = song.waveform.shape
    return row | {
        "file": target.name,
        "status": "ok",
        "reason": "; ".join(song.remarks),
        "flags": ",".join(song.flags),
        "sample_rate_hz": params.sample_rate_hz,
        "channels": channels,
        "n_samples": n_samples,
        "duration_seconds": n_samples / params.sample_rate_hz,
        "peak_dbfs": round(peak_dbfs(song.waveform), 4),
        "loudness_lufs": round(loudness(song.waveform, params.sample_rate_hz), 4),
        "sha256": sha256(target),
    }


def _row(song_id: int, source: Path) -> dict[str, Any]:
    """A row with nothing known but the source."""
    known = {"song_id": song_id, "source_file": source.name, "source_sha256": sha256(source)}
    return dict.fromkeys(COLUMNS) | {"status": "", "reason": "", "flags": ""} | known


def one_line(error: AudioError) -> str:
    """The error without the place, which the row names anyway."""
    details = [f"{word} {value}" for word, value in (("expected", error.expected), ("got", error.got)) if value]
    return " ".join(shown("; ".join([error.what, *details])).split())


def prepare(decoded: DecodedAudio, params: ConvertParams) -> Song:
    """The song at the wanted rate and number of channels, checked.

    Flags: those of `decode`; clipped (more full-scale samples than `clipped_share`); attenuated (lossy coders
    overshoot, and resampling can: what exceeds full scale is scaled down, not cut); mixed_down (more channels
    than two).

    Raises:
        AudioError: shorter than `min_seconds`, or a peak below `silence_dbfs`.
    """
    seconds = decoded.waveform.shape[1] / decoded.sample_rate_hz
    if seconds < params.min_seconds:
        raise AudioError(
            "too short", expected=f"{params.min_seconds:g} s (convert.min_seconds)", got=f"{seconds:.2f} s"
        )
    flags, remarks = list(decoded.flags), list(decoded.remarks)
    share = float(np.mean(np.abs(decoded.waveform) >= FULL_SCALE))
    if share > params.clipped_share:
        flags.append("clipped")
        remarks.append(f"{share:.2%} of the samples at full scale")
    waveform = decoded.waveform
    if waveform.shape[0] > 2:
        flags.append("mixed_down")
        remarks.append(f"{waveform.shape[0]} channels")
    if waveform.shape[0] > 2 or params.channels == "mono":
        waveform = waveform.mean(axis=0, keepdims=True)
    waveform = resample(waveform, decoded.sample_rate_hz, params.sample_rate_hz)
    level = peak_dbfs(waveform)
    if level < params.silence_dbfs:
        limit = f"a peak of {params.silence_dbfs:g} dBFS (convert.silence_dbfs)"
        raise AudioError("silent", expected=limit, got=f"{level:.1f} dBFS")
    peak = float(np.abs(waveform).max())
    if peak > 1:
        flags.append("attenuated")
        remarks.append(f"scaled down by {level:.2f} dB")
        waveform = waveform * np.float32(FULL_SCALE / peak)
    return Song(waveform, tuple(flags), tuple(remarks))


def manifest(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The wav manifest by song id, with the same column types whether songs were rejected or not."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS).sort_values("song_id", ignore_index=True)


def peak_dbfs(waveform: np.ndarray) -> float:
    """Highest absolute sample against full scale (dB); -200 for digital silence."""
    return float(20 * np.log10(max(float(np.abs(waveform).max(initial=0.0)), 1e-10)))


def check_rejected(table: pd.DataFrame, params: ConvertParams) -> None:
    """Refuse a wav manifest in which too much is rejected.

    Raises:
        AudioError: more than `max_rejected_share`, or all; the first ones are named.
    """
    rejected = table[table.status == "rejected"]
    if len(rejected) <= params.max_rejected_share * len(table) and len(rejected) < len(table):
        return
    first = rejected.sort_values("song_id").head(5)
    raise AudioError(
        f"{len(rejected)} of {len(table)} songs cannot be used",
        where=AUDIO,
        expected=f"at most {params.max_rejected_share:.0%} (convert.max_rejected_share)",
        got="".join(f"\n    {row.source_file}: {row.reason}" for row in first.itertuples())
        + (f"\n    and {len(rejected) - 5} more" if len(rejected) > 5 else ""),
        todo="mend or remove those files, or raise convert.max_rejected_share in params.yaml",
    )
