"""A corpus of any size, cheaply: short MP3 streams -> **songs strung together from them** -> DEAM's archives."""

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from tasks.demo_corpus import deam_format

RATE, PIECE_SECONDS, POOL = 44100, 2.5, 64


@lru_cache
def pieces(seed: int, n_pieces: int = POOL) -> list[bytes]:
    """MP3 streams of 2.5 s, stereo, that can be strung together: each starts without borrowing from one before."""
    random = np.random.default_rng(seed)
    seconds = np.arange(round(PIECE_SECONDS * RATE)) / RATE
    found = []
    for _ in range(n_pieces):
        notes = sum(np.sin(2 * np.pi * random.uniform(80, 3000) * seconds) for _ in range(4)) / 8
        sides = [notes * random.uniform(0.2, 1) + random.normal(0, 0.05, len(seconds)) for _ in range(2)]
        buffer = io.BytesIO()
        samples = np.stack(sides, axis=1).astype(np.float32)
        soundfile.write(buffer, samples, RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=0.6)
        found.append(without_info(buffer.getvalue()))
    return found


def without_info(stream: bytes) -> bytes:
    """Without the first frame, which only tells the length (Layer III, MPEG 1)."""
    kbps = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[stream[2] >> 4]
    return stream[144000 * kbps // RATE + (stream[2] >> 1 & 1) :]


def song(index: int, parts: list[bytes], seconds: float, version: int = 0) -> bytes:
    """An MP3 of about so many seconds; other indices (below 2,048) and versions 0 and 1 are other songs."""
    order = np.random.default_rng((index, version)).integers(0, len(parts), max(2, round(seconds / PIECE_SECONDS)))
    order[:2] = divmod((index + 2048 * version) % len(parts) ** 2, len(parts))
    return b"".join(parts[part] for part in order)


def annotations(n_songs: int, seconds: float) -> list[deam_format.Annotation]:
    """Ratings that fill the plane, the dynamic ones round the static; 948 artists, ids from 2 as in DEAM."""
    random, n_ratings = np.random.default_rng(3), max(1, round(2 * (seconds - 15)))
    found = []
    for song_id in range(2, n_songs + 2):
        static = {axis: random.uniform(1.5, 8.5) + random.normal(0, 0.3, (3, 10)) for axis in ("valence", "arousal")}
        means = {axis: (values[0].mean() - 5) / 4 for axis, values in static.items()}
        dynamic = {axis: np.clip(mean + random.normal(0, 0.05, n_ratings), -1, 1) for axis, mean in means.items()}
        found.append(
            deam_format.Annotation(song_id, f"Artist {song_id % 948}", f"Song {song_id}", seconds, static, dynamic)
        )
    return found


def write_corpus(folder: Path, n_songs: int, seconds: float, changed: int | None = None) -> None:
    """DEAM's three archives and SHA256SUMS in `folder`; the song `changed` is another one than without it."""
    listed, parts = annotations(n_songs, seconds), pieces(1)
    audio = ((one.song_id, song(one.song_id, parts, seconds, int(one.song_id == changed))) for one in listed)
    deam_format.write_archives(folder, listed, audio, swap_until_id=1000)
