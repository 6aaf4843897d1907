"""Clips of real songs and of experiments, described and judged: clips -> features -> **systems** -> metrics."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.core.errors import MeasureError
from tasks.evaluate import clips
from tasks.evaluate.clips import Clip, Codec, Description, Map, SmallPicture
from tasks.evaluate.copies import TrainingSongs
from tasks.evaluate.embeddings import BuiltinVectors, Embedding
from tasks.evaluate.intervals import Clusters
from tasks.evaluate.judge import Judge, train_judge
from tasks.evaluate.systems import ARTISTS, CLIPS, System
from tasks.models import hub

TRAINING, HELD_OUT = "train", "test"


def through_vae(base: Path) -> clips.Reconstruct:
    """A picture uint8 [H, W] as the base model's VAE gives it back: the mean of the posterior, decoded.

    Raises:
        MeasureError: there is no VAE. ModelError: its weights are pickled.
    """
    if not (base / "vae" / "config.json").is_file():
        raise MeasureError(
            "no VAE to send real clips through",
            where=base / "vae",
            todo="run the base stage, or set evaluate.vae_clips: 0",
        )
    from diffusers import AutoencoderKL

    from tasks.models.pixels import scaled, unscaled

    hub.refuse_pickles(base / "vae")
    vae = AutoencoderKL.from_pretrained(base / "vae", use_safetensors=True, local_files_only=True).eval()
    side = 2 ** (len(vae.config.block_out_channels) - 1)  # pixels of a latent

    def reconstruct(pixels: np.ndarray) -> np.ndarray:
        import torch

        height, width = pixels.shape
        whole = np.pad(pixels, ((0, -height % side), (0, -width % side)), mode="edge")  # whole latents only
        with torch.inference_mode():
            images = torch.from_numpy(scaled(np.repeat(whole[:, :, None], 3, axis=2))[None])
            decoded = vae.decode(vae.encode(images).latent_dist.mean).sample
        grey = decoded.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
        return unscaled(grey[0].numpy())[:height, :width, 0]

    return reconstruct


@dataclass(frozen=True)
class RealClips:
    """Real clips described: rows of the clip table, and what was found there, for each condition.

    Conditions: `original`, `codec`, `blurred` (training clips through a coarser codec), `codec_vae` (held-out clips).
    """

    rows: dict[str, np.ndarray]
    found: dict[str, list[Description]]

    def add(self, condition: str, rows: np.ndarray, found: list[Description]) -> None:
        """Add what was found in one more condition."""
        self.rows[condition], self.found[condition] = rows, found


@dataclass(frozen=True)
class Conditions:
    """What real clips go through: the codec, its coarser versions, and the VAE for `n_vae` clips."""

    codec: Codec
    blurs: list[int]
    n_vae: int
    reconstruct: clips.Reconstruct | None  # None: no VAE


def describe_real(
    real: pd.DataFrame, wav: Path, seconds: float, conditions: Conditions, embedding: Embedding, run: Map
) -> RealClips:
    """Real clips in every condition."""
    every = np.arange(len(real))
    wanted: list[Clip] = [clips.real_clip(row, wav, seconds) for row in real.itertuples()]
    small = run(clips.small_picture, [(clip, conditions.codec) for clip in wanted], "pictures of real clips")
    described = RealClips({}, {})
    described.add("original", every, run(clips.describe_clip, [(clip, embedding) for clip in wanted], "real clips"))

    def back(condition: str, rows: np.ndarray, pictures: list[SmallPicture], vectors: Embedding) -> None:
        jobs = [(one, conditions.codec, vectors, condition) for one in pictures]
        described.add(condition, rows, run(clips.describe_small, jobs, f"real clips, {condition}"))

    back("codec", every, small, embedding)
    held_out = (real["split"] == HELD_OUT).to_numpy()
    if conditions.blurs:
        rows = np.flatnonzero(~held_out)[::2]
        coarse = [clips.blurred(small[row], conditions.blurs[k % len(conditions.blurs)]) for k, row in enumerate(rows)]
        back("blurred", rows, coarse, BuiltinVectors())  # for the judge only, which needs no other vectors
    if conditions.reconstruct:
        rows = evenly(np.flatnonzero(held_out), conditions.n_vae)
        back("codec_vae", rows, [clips.reconstructed(small[row], conditions.reconstruct) for row in rows], embedding)
    return described


def training_songs(every: pd.DataFrame, wav: Path, run: Map) -> TrainingSongs:
    """The whole of every training song, and where its clips are, not only those that teach the judge."""
    songs = np.unique(every["song_id"])
    prints = run(clips.fingerprint_of_song, [wav / f"{song}.wav" for song in songs], "training songs, for copies")
    places = np.searchsorted(songs, every["song_id"].to_numpy())
    return TrainingSongs(prints, clip_keys(every), places, every["start_seconds"].to_numpy(dtype=float))


def clip_keys(real: pd.DataFrame) -> np.ndarray:
    """Names of real clips: song, segment, place."""
    return np.array([f"{row.song_id:05d}_{row.segment:03d}_{row.place}" for row in real.itertuples()])


def evenly(rows: np.ndarray, n_rows: int) -> np.ndarray:
    """At most `n_rows` of the rows, evenly spread."""
    places = np.linspace(0, len(rows) - 1, min(n_rows, len(rows))).round().astype(int)
    return rows[places]


@dataclass(frozen=True)
class GeneratedClips:
    """Clips of an experiment described, in the order of its manifest."""

    table: pd.DataFrame
    found: list[Description]


def describe_generated(
    table: pd.DataFrame, folder: Path, experiment: str, embedding: Embedding, run: Map
) -> GeneratedClips:
    """Every clip of a generated manifest."""
    wanted = [clips.generated_clip(row, folder, experiment) for row in table.itertuples()]
    found = run(clips.describe_clip, [(clip, embedding) for clip in wanted], f"clips of {experiment}")
    return GeneratedClips(table, found)


def train_and_predict(real: pd.DataFrame, described: RealClips, seed: int) -> tuple[Judge, dict[str, System]]:
    """The judge of the training clips, and the systems of real clips: training, original, codec, codec_vae."""
    held_out = (real["split"] == HELD_OUT).to_numpy()
    if not held_out.any():
        raise MeasureError("no held-out real clips", where="data/labels", todo="raise label.split.test or add songs")
    training, examined = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    judge = judge_of_training_clips(real, described, training, seed)
    chosen = {"training": ("codec", training), "original": ("original", examined), "codec": ("codec", examined)}
    found = {
        name: real_system(name, real, rows, [described.found[condition][row] for row in rows], judge)
        for name, (condition, rows) in chosen.items()
    }
    if "codec_vae" in described.rows:
        rows, found_there = described.rows["codec_vae"], described.found["codec_vae"]
        found["codec_vae"] = real_system("codec_vae", real, rows, found_there, judge)
    return judge, found


def judge_of_training_clips(real: pd.DataFrame, described: RealClips, training: np.ndarray, seed: int) -> Judge:
    """The judge of the training clips as they are, through the codec, and blurred."""
    parts = [(training, [described.found[condition][row] for row in training]) for condition in ("original", "codec")]
    if "blurred" in described.rows:
        parts.append((described.rows["blurred"], described.found["blurred"]))
    table = pd.concat([feature_table(described) for _, described in parts], ignore_index=True)
    return train_judge(table, real.iloc[np.concatenate([rows for rows, _ in parts])], seed)


def feature_table(described: list[Description]) -> pd.DataFrame:
    """One row of features per clip."""
    return pd.DataFrame([one.features for one in described])


def music_table(described: list[Description]) -> pd.DataFrame:
    """One row of tasks.evaluate.musicality per clip."""
    return pd.DataFrame([one.music for one in described])


def print_table(described: list[Description]) -> np.ndarray:
    """Fingerprints [clips, frames, bins], all as long as the shortest."""
    n_frames = min(len(one.prints) for one in described)
    return np.stack([one.prints[:n_frames] for one in described])


def vector_table(described: list[Description]) -> np.ndarray:
    """Embeddings [clips, dimensions].

    Raises:
        MeasureError: vectors of several sizes.
    """
    sizes = sorted({len(one.vector) for one in described})
    if len(sizes) != 1:
        raise MeasureError("embeddings of several sizes", expected="one size for all clips", got=sizes)
    return np.stack([one.vector for one in described])


def real_system(name: str, real: pd.DataFrame, rows: np.ndarray, described: list[Description], judge: Judge) -> System:
    """A system of these rows of the real clips; clips of one artist belong together."""
    chosen, table = real.iloc[rows], feature_table(described)
    return System(
        name,
        clip_keys(chosen),
        chosen["emotion"].to_numpy(dtype=str),
        Clusters(chosen["artist"].to_numpy(dtype=str), ARTISTS),
        chosen["song_id"].to_numpy(dtype=str),
        table,
        music_table(described),
        vector_table(described),
        print_table(described),
        judge.predict(table),
    )


def generated_system(name: str, made: GeneratedClips, judge: Judge) -> System:
    """A system of generated clips; each has a noise of its own and so stands alone."""
    keys = np.array([f"{row.emotion}_{row.seed:04d}" for row in made.table.itertuples()])
    table, emotion = feature_table(made.found), made.table["emotion"].to_numpy(dtype=str)
    return System(
        name,
        keys,
        emotion,
        Clusters(keys, CLIPS),
        keys,
        table,
        music_table(made.found),
        vector_table(made.found),
        print_table(made.found),
        judge.predict(table),
    )
