"""Clips as the judge sees them: wav + segments + labels, or generated wav -> **clips** -> features, vectors.

Real clips are as long as generated ones, and some of them also go through what generated audio goes through: picture,
dataset.resolution and back (`codec`), and the VAE besides (`codec_vae`). So what decoding does to any music is not
mistaken for what the diffusion model did.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.codec.image import SpectrogramImage
from tasks.codec.params import DecodeParams, SpectrogramParams
from tasks.core.errors import AudioError, InputError, MeasureError
from tasks.core.files import seed_from
from tasks.core.reading import parquet_of
from tasks.evaluate import features, fingerprints, musicality
from tasks.evaluate.embeddings import Embedding
from tasks.evaluate.fingerprints import Prints
from tasks.execution.worker import single_threaded

Progress = Callable[[int, int, str], None]
Reconstruct = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
Map = Callable[[Callable[[Any], Any], list[Any], str], list[Any]]


@dataclass(frozen=True)
class Codec:
    """What generated audio goes through: how pictures are made, how small the model sees them, how they come back."""

    spectrogram: SpectrogramParams
    decode: DecodeParams
    resolution: int
    seed: int


@dataclass(frozen=True)
class Clip:
    """One clip of a file; `key` names it among precomputed embeddings."""

    key: str
    path: Path
    start_seconds: float
    seconds: float | None  # None: to the end of the file


@dataclass(frozen=True)
class Description:
    """Features, embedding vector, musicality and fingerprint of a clip."""

    features: dict[str, float]
    vector: NDArray[np.float64]
    music: dict[str, float]
    prints: Prints


@dataclass(frozen=True)
class SmallPicture:
    """A clip's picture at the model's resolution."""

    key: str
    picture: SpectrogramImage


def choose_real_clips(
    segments: pd.DataFrame,
    songs: pd.DataFrame,
    segment_labels: pd.DataFrame,
    seconds: float,
    per_song: dict[str, int],
) -> pd.DataFrame:
    """Real clips with their labels: up to `per_song[split]` of each labelled song, spread over its length.

    A clip lies at the start or at the end of an unpadded segment and has the segment's label. Columns: song_id,
    segment, place (0 start, 1 end), start_seconds, valence, arousal, emotion, artist, split.

    Raises:
        InputError: no labelled segment is as long as a clip.
    """
    wide = segments[~segments["padded"].astype(bool) & (segments["length_seconds"] >= seconds - 1e-6)]
    owners = songs[songs["status"] == "ok"][["song_id", "artist", "split"]]
    table = wide.merge(segment_labels, on=["song_id", "segment"]).merge(owners, on="song_id")
    table = table[table["emotion"].notna() & table["split"].isin(list(per_song))]
    if table.empty:
        raise InputError(
            "no real clips to compare with",
            where="data/segments and data/labels",
            expected=f"labelled segments of at least {seconds:g} s in {', '.join(per_song)}",
            got=f"{len(segments)} segments, {len(wide)} long enough, none labelled",
            todo="run the label stage, or make segment.length_seconds at least generate.seconds",
        )
    ends = table.assign(place=1, start_seconds=table["start_seconds"] + table["length_seconds"] - seconds)
    both = pd.concat([table.assign(place=0), ends[ends["length_seconds"] > seconds + 1e-6]])
    both = both.sort_values(["song_id", "segment", "place"]).reset_index(drop=True)
    rows = [spread(group, per_song[str(group["split"].iloc[0])]) for _, group in both.groupby("song_id")]
    columns = ["song_id", "segment", "place", "start_seconds", "valence", "arousal", "emotion", "artist", "split"]
    return pd.concat(rows)[columns].reset_index(drop=True)


def spread(table: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """At most `n_rows` rows, evenly spread over the table."""
    if len(table) <= n_rows:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, n_rows).round().astype(int)]


def real_clip(row: Any, wav: Path, seconds: float) -> Clip:
    """The clip of a row of `choose_real_clips`, in data/wav."""
    key = f"real/{row.song_id:05d}_{row.segment:03d}_{row.place}"
    return Clip(key, wav / f"{row.song_id}.wav", float(row.start_seconds), seconds)


def read_generated(folder: Path, experiment: str) -> pd.DataFrame:
    """The manifest of data/generated/<experiment>, sorted; every file it names exists.

    Raises:
        MeasureError: the experiment was not generated, or its files are incomplete.
    """
    manifest = folder / "manifest.parquet"
    if not manifest.is_file():
        others = sorted(path.parent.name for path in folder.parent.glob("*/manifest.parquet"))
        raise MeasureError(
            f"experiment {experiment!r} has no generated clips",
            where=manifest,
            got=f"generated so far: {', '.join(others) or 'none'}",
            todo=f"run `emoriff train {experiment}` and `emoriff generate {experiment}`, or correct its name",
        )
    table = parquet_of(manifest, ["emotion", "experiment", "png", "seconds", "seed", "wav"])
    table = table.sort_values(["emotion", "seed"]).reset_index(drop=True)
    missing = [name for column in ("wav", "png") for name in table[column] if not (folder / name).is_file()]
    if missing:
        raise MeasureError(
            "generated files are missing",
            where=folder / missing[0],
            expected=f"{2 * len(table)} files of the manifest",
            got=f"{2 * len(table) - len(missing)}",
            todo=f"run `emoriff generate {experiment}` again",
        )
    return table


def generated_clip(row: Any, folder: Path, experiment: str) -> Clip:
    """The clip of a row of a generated manifest."""
    return Clip(f"{experiment}/{row.emotion}_{row.seed:04d}", folder / row.wav, 0.0, None)


def read_clip(clip: Clip) -> tuple[NDArray[np.float32], int]:
    """Waveform float32 [channels, samples] and sample rate in Hz.

    Raises:
        AudioError: the file is missing, is no audio or ends before the clip.
    """
    import soundfile

    try:
        with soundfile.SoundFile(clip.path) as file:
            rate = file.samplerate
            n_samples = len(file) if clip.seconds is None else round(clip.seconds * rate)
            file.seek(min(round(clip.start_seconds * rate), len(file)))
            samples = file.read(n_samples, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise AudioError(
            "cannot read a clip", where=clip.path, got=error, todo="run the stage that writes the file"
        ) from error
    if len(samples) < n_samples - 1:
        raise AudioError(
            "file ends before the clip",
            where=f"{clip.path} from {clip.start_seconds:g} s",
            expected=f"{n_samples / rate:.2f} s",
            got=f"{len(samples) / rate:.2f} s",
            todo="data/segments does not fit data/wav: run the segment stage again",
        )
    return samples.T, rate


def describe(key: str, waveform: NDArray[np.float32], sample_rate_hz: int, embedding: Embedding) -> Description:
    """Everything that is measured of one waveform.

    Raises:
        AudioError: it cannot be described; the message names the clip.
    """
    try:
        found = features.describe(waveform, sample_rate_hz)
        music = musicality.measure(waveform, sample_rate_hz, found)
        prints = fingerprints.fingerprint(waveform, sample_rate_hz)
    except AudioError as error:
        raise error.at(key) from error
    return Description(found, embedding.vector(key, waveform, sample_rate_hz, found), music, prints)


def describe_clip(job: tuple[Clip, Embedding]) -> Description:
    """Features and vector of a clip."""
    clip, embedding = job
    return describe(clip.key, *read_clip(clip), embedding)


def small_picture(job: tuple[Clip, Codec]) -> SmallPicture:
    """The clip's picture as the base model would see it: whole columns only, at the model's resolution."""
    from tasks.codec import forward

    clip, codec = job
    picture = forward.encode(*read_clip(clip), codec.spectrogram)
    size = codec.spectrogram.tile_columns
    n_columns = max(size, picture.pixels.shape[1] // size * size)  # 5.12 s give 513 columns: one is left out
    whole = replace(picture, pixels=picture.pixels[:, :n_columns], n_columns=min(n_columns, picture.columns))
    return SmallPicture(clip.key, shrunk(whole, codec))


def shrunk(picture: SpectrogramImage, codec: Codec) -> SpectrogramImage:
    """The picture at the model's resolution, as wide as a tile is high for each tile it is long."""
    from tasks.codec import forward

    width = round(picture.columns * codec.resolution / codec.spectrogram.tile_columns)
    return forward.resized(picture, codec.resolution, width)


def blurred(small: SmallPicture, factor: int) -> SmallPicture:
    """The small picture `factor` times coarser, at its old size.

    A VAE blurs; a judge that was never trained on blur would take it for an emotion.
    """
    from tasks.codec import forward

    height, width = small.picture.pixels.shape[:2]
    coarse = forward.resized(small.picture, max(2, height // factor), max(2, width // factor))
    return replace(small, picture=forward.resized(coarse, height, width))


def fingerprint_of_song(path: Path) -> Prints:
    """The fingerprint of a whole song, as long as it is.

    Raises:
        AudioError: it cannot be read.
    """
    waveform, sample_rate_hz = read_clip(Clip(path.stem, path, 0.0, None))
    return fingerprints.fingerprint(waveform, sample_rate_hz)


def describe_small(job: tuple[SmallPicture, Codec, Embedding, str]) -> Description:
    """Features and vector of a small picture turned back into audio; `variant` completes its key."""
    from tasks.codec import forward, inversion

    small, codec, embedding, variant = job
    params = codec.spectrogram
    full = forward.resized(small.picture, params.n_mels, small.picture.columns)
    seed = seed_from(codec.seed, "evaluate", "decode", small.key)
    waveform = inversion.waveform_from_image(full, codec.decode, seed)
    return describe(f"{small.key}/{variant}", waveform, params.sample_rate_hz, embedding)


def reconstructed(small: SmallPicture, reconstruct: Reconstruct) -> SmallPicture:
    """The small picture after a round trip through the VAE.

    Raises:
        MeasureError: the reconstruction has another size.
    """
    pixels = reconstruct(small.picture.pixels)
    if pixels.shape != small.picture.pixels.shape:
        raise MeasureError(
            "reconstruction changed the picture's size",
            where=small.key,
            expected=small.picture.pixels.shape,
            got=pixels.shape,
        )
    return replace(small, picture=replace(small.picture, pixels=pixels))


@contextmanager
def worker_pool(workers: int, progress: Progress | None = None) -> Iterator[Map]:
    """`run(function, items, note)`: the results in order, from `workers` single-threaded processes.

    With one worker everything runs in this process. Neither changes a bit of a result.
    """
    import sklearn.linear_model  # noqa: F401 with scipy's BLAS: only what is loaded already is limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        if workers == 1:
            yield lambda function, items, note: collect(map(function, items), len(items), note, progress)
            return
        with ProcessPoolExecutor(workers, get_context("spawn"), single_threaded) as pool:

            def run(function: Callable[[Any], Any], items: list[Any], note: str) -> list[Any]:
                results = pool.map(function, items, chunksize=max(1, min(8, len(items) // workers)))
                return collect(results, len(items), note, progress)

            yield run


def collect(results: Any, n_items: int, note: str, progress: Progress | None) -> list[Any]:
    """The results as a list; `progress` is called for each."""
    found = []
    for result in results:
        found.append(result)
        if progress:
            progress(len(found), n_items, note)
    return found
