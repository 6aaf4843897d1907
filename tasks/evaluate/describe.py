"""Clips of real songs and of experiments become arms: clips -> features, vectors -> judge -> **arms** -> metrics."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.core.errors import MeasureError
from tasks.evaluate import clips, judge
from tasks.evaluate.clips import Clip, Codec, Described, Map, Small
from tasks.evaluate.embeddings import Builtin, Embedding
from tasks.evaluate.judge import Judge
from tasks.evaluate.systems import Arm, Known
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
class Heard:
    """Real clips described: rows of the clip table, and what was found there, for each way they took.

    Ways: `original`, `codec`, `blurred` (training clips through a coarser codec), `codec_vae` (held-out clips).
    """

    rows: dict[str, np.ndarray]
    found: dict[str, list[Described]]
    thumbnails: np.ndarray  # of all rows, as the codec makes them

    def add(self, way: str, rows: np.ndarray, found: list[Described]) -> None:
        """Keep what was found on one more way."""
        self.rows[way], self.found[way] = rows, found


@dataclass(frozen=True)
class Ways:
    """How real clips are sent round: the codec, its coarser versions, and the VAE for `n_vae` clips."""

    codec: Codec
    blurs: list[int]
    n_vae: int
    reconstruct: clips.Reconstruct | None  # None: no VAE


def describe_real(real: pd.DataFrame, wav: Path, seconds: float, ways: Ways, embedding: Embedding, run: Map) -> Heard:
    """Real clips on every way."""
    every = np.arange(len(real))
    wanted: list[Clip] = [clips.real_clip(row, wav, seconds) for row in real.itertuples()]
    small = run(clips.small_picture, [(clip, ways.codec) for clip in wanted], "pictures of real clips")
    heard = Heard({}, {}, np.stack([clips.thumbnail(one.picture) for one in small]))
    heard.add("original", every, run(clips.describe_clip, [(clip, embedding) for clip in wanted], "real clips"))

    def back(way: str, rows: np.ndarray, pictures: list[Small], vectors: Embedding) -> None:
        jobs = [(one, ways.codec, vectors, way) for one in pictures]
        heard.add(way, rows, run(clips.describe_small, jobs, f"real clips, {way}"))

    back("codec", every, small, embedding)
    held_out = (real["split"] == HELD_OUT).to_numpy()
    if ways.blurs:
        rows = np.flatnonzero(~held_out)[::2]
        coarse = [clips.blurred(small[row], ways.blurs[k % len(ways.blurs)]) for k, row in enumerate(rows)]
        back("blurred", rows, coarse, Builtin())  # for the judge only, which needs no other vectors
    if ways.reconstruct:
        rows = evenly(np.flatnonzero(held_out), ways.n_vae)
        back("codec_vae", rows, [clips.reconstructed(small[row], ways.reconstruct) for row in rows], embedding)
    return heard


def known_pictures(every: pd.DataFrame, wav: Path, seconds: float, codec: Codec, run: Map) -> Known:
    """The pictures of every training clip, not only of those that teach the judge."""
    wanted = [(clips.real_clip(row, wav, seconds), codec) for row in every.itertuples()]
    thumbnails = run(clips.thumbnail_of_clip, wanted, "training pictures, for copies")
    return Known(clip_keys(every), every["song_id"].to_numpy(), np.stack(thumbnails))


def clip_keys(real: pd.DataFrame) -> np.ndarray:
    """Names of real clips: song, segment, place."""
    return np.array([f"{row.song_id:05d}_{row.segment:03d}_{row.place}" for row in real.itertuples()])


def evenly(rows: np.ndarray, n_rows: int) -> np.ndarray:
    """At most `n_rows` of the rows, evenly spread."""
    places = np.linspace(0, len(rows) - 1, min(n_rows, len(rows))).round().astype(int)
    return rows[places]


@dataclass(frozen=True)
class Made:
    """Clips of an experiment described, in the order of its manifest."""

    table: pd.DataFrame
    found: list[Described]
    thumbnails: np.ndarray


def describe_generated(
    table: pd.DataFrame, folder: Path, experiment: str, codec: Codec, embedding: Embedding, run: Map
) -> Made:
    """Every clip of a generated manifest."""
    wanted = [clips.generated_clip(row, folder, experiment) for row in table.itertuples()]
    found = run(clips.describe_clip, [(clip, embedding) for clip in wanted], f"clips of {experiment}")
    pictures = [(folder / name, codec) for name in table["png"]]
    return Made(table, found, np.stack(run(clips.thumbnail_of_file, pictures, f"pictures of {experiment}")))


def train_and_hear(real: pd.DataFrame, heard: Heard, seed: int) -> tuple[Judge, dict[str, Arm]]:
    """The judge of the training clips, and the arms of real clips: training, original, codec, codec_vae."""
    held_out = (real["split"] == HELD_OUT).to_numpy()
    if not held_out.any():
        raise MeasureError("no held-out real clips", where="data/labels", todo="raise label.split.test or add songs")
    training, examined = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    ears = taught(real, heard, training, seed)
    chosen = {"training": ("codec", training), "original": ("original", examined), "codec": ("codec", examined)}
    found = {
        name: real_arm(name, real, rows, [heard.found[way][row] for row in rows], heard.thumbnails, ears)
        for name, (way, rows) in chosen.items()
    }
    if "codec_vae" in heard.rows:
        rows, described = heard.rows["codec_vae"], heard.found["codec_vae"]
        found["codec_vae"] = real_arm("codec_vae", real, rows, described, heard.thumbnails, ears)
    return ears, found


def taught(real: pd.DataFrame, heard: Heard, training: np.ndarray, seed: int) -> Judge:
    """The judge of the training clips as they are, through the codec, and blurred."""
    lessons = [(training, [heard.found[way][row] for row in training]) for way in ("original", "codec")]
    if "blurred" in heard.rows:
        lessons.append((heard.rows["blurred"], heard.found["blurred"]))
    table = pd.concat([feature_table(described) for _, described in lessons], ignore_index=True)
    return judge.train_judge(table, real.iloc[np.concatenate([rows for rows, _ in lessons])], seed)


def feature_table(described: list[Described]) -> pd.DataFrame:
    """One row of features a clip."""
    return pd.DataFrame([one.features for one in described])


def vector_table(described: list[Described]) -> np.ndarray:
    """Embeddings [clips, dimensions].

    Raises:
        MeasureError: vectors of several sizes.
    """
    sizes = sorted({len(one.vector) for one in described})
    if len(sizes) != 1:
        raise MeasureError("embeddings of several sizes", expected="one size for all clips", got=sizes)
    return np.stack([one.vector for one in described])


def real_arm(
    name: str, real: pd.DataFrame, rows: np.ndarray, described: list[Described], thumbnails: np.ndarray, ears: Judge
) -> Arm:
    """An arm of these rows of the real clips; clips of one song belong together."""
    chosen, table = real.iloc[rows], feature_table(described)
    return Arm(
        name,
        clip_keys(chosen),
        chosen["emotion"].to_numpy(dtype=str),
        chosen["song_id"].to_numpy(),
        table,
        vector_table(described),
        thumbnails[rows],
        ears.hear(table),
    )


def generated_arm(name: str, made: Made, ears: Judge) -> Arm:
    """An arm of generated clips; each has a noise of its own and so stands alone."""
    keys = np.array([f"{row.emotion}_{row.seed:04d}" for row in made.table.itertuples()])
    table, emotion = feature_table(made.found), made.table["emotion"].to_numpy(dtype=str)
    return Arm(name, keys, emotion, keys, table, vector_table(made.found), made.thumbnails, ears.hear(table))
