"""What every table of the pipeline holds; docs/reference/data.md is printed from it, a test compares it with a run."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.core import layout
from tasks.evaluate import tables as evaluate
from tasks.generate import manifest
from tasks.spectrogram import render
from tasks.trainer import trackers

CLASSES = ("calm", "energetic", "happy", "sad", "tense")  # of the demo


@dataclass(frozen=True)
class Table:
    """A file of the pipeline; `columns`: name -> meaning with unit, in the file's order."""

    path: str
    what: str
    columns: dict[str, str]


def meanings(columns: Iterable[str], *texts: str) -> dict[str, str]:
    """Each column that the stage declares with its meaning, in the stage's order."""
    return dict(zip(columns, texts, strict=True))


SPECTROGRAM = {
    "song_id": "the song",
    "segment": "index of the window in the song, from 0",
    "tile": "index of the picture in the segment, from 0",
}
PLACE = {
    "artist": "artist; null: unknown",
    "split": "train, validation or test; all songs of an artist are in one",
}
AXES = {"valence": "valence, 0 (negative) to 1 (positive)", "arousal": "arousal, 0 (calm) to 1 (excited)"}
DATASET = {
    "file_name": "picture, relative to data/dataset",
    **SPECTROGRAM,
    "augmentation": "empty, or which change was made to the audio",
    "emotion": "class; it is the prompt word",
    **AXES,
    **PLACE,
    "artist": "artist; empty: unknown",
    "provenance": "dynamic: per-second annotations moved the label; song: the song's own",
    "max_value": "mel value that pixel 0 stands for; needed for the way back",
    "loudness_lufs": "loudness of the audio behind the picture (LUFS)",
}
SONGS = {
    "song_id": "the song",
    **AXES,
    "valence_std": "spread of the raters on valence (0..1 scale)",
    "arousal_std": "spread of the raters on arousal (0..1 scale)",
    "emotion": "class; null in the dead zone or when excluded",
    **PLACE,
    "part": "block of ids that was checked for the swap together",
    "swapped": "true: the published columns were exchanged and are corrected here",
    "status": "ok or excluded",
    "reason": "why it is excluded",
}

TABLES = (
    Table("data/raw", "`audio/SONG_ID.ext`, `annotations/*.csv`, `metadata/*.csv`, and `sources.json`: where each "
          "came from, its hash and licence.", {}),
    Table("data/wav/manifest.parquet", "One row a song. WAV files of 16 bits beside it. A song that cannot be used is "
          "a row with its reason; what is not known of it is null.", {
              "song_id": "the song", "file": "WAV file; null when rejected", "status": "ok or rejected",
              "reason": "what is wrong, in words", "flags": "blemishes, comma separated: clipped, truncated, ...",
              "source_file": "the file it was decoded from", "source_sha256": "its hash",
              "decoder": "libsndfile or ffmpeg", "decoder_version": "its version",
              "source_sample_rate_hz": "rate of the source (Hz)", "sample_rate_hz": "rate of the WAV (Hz)",
              "channels": "1 or 2", "n_samples": "samples of each channel", "duration_seconds": "length (s)",
              "peak_dbfs": "peak (dB of full scale)", "loudness_lufs": "integrated loudness (LUFS)",
              "sha256": "hash of the WAV"}),
    Table("data/segments/segments.parquet", "One row a window. No audio is copied.", {
        "song_id": "the song", "segment": "index in the song, from 0", "start_seconds": "start (s)",
        "length_seconds": "length (s)", "start_sample": "start (samples of the WAV)",
        "n_samples": "samples of audio inside the song", "padded": "true: the rest is silence"}),
    Table("data/labels/songs.parquet", "One row a song, also as `songs.csv`. `report.json` beside it has the swap "
          "check, counts and refused rows.", SONGS),
    Table("data/labels/segments.parquet", "One row a window.", {
        "song_id": "the song", "segment": "index in the song, from 0", **AXES, "emotion": "class; null: none",
        "provenance": "dynamic: from per-second annotations; song: the song's own label"}),
    Table("data/spectrograms/manifest.parquet", "One row a picture. Pictures are named SONG_SEGMENT_TILE.png, "
          "with -AUGMENTATION where there is one, and carry their parameters inside.", meanings(
              render.COLUMNS, "picture", *SPECTROGRAM.values(), "start in the song (s)", "columns of one step (10 ms)",
              "mel value that pixel 0 stands for", "loudness of the audio (LUFS)", "empty, or the change made",
              "hash of size and pixels, independent of compression")),
    Table("data/dataset/dataset.parquet", "One row a picture that can be trained or tested on. In `train`, "
          "`validation` and `test`, `metadata.jsonl` says the same in the Hugging Face imagefolder form. "
          "`README.md` is the data card.", DATASET),
    Table("data/dataset/excluded.parquet", "Pictures left out.", {**DATASET, "reason": "why it is left out"}),
    Table("models/NAME", "An ordinary diffusers pipeline folder in safetensors. `README.md` is the model card, "
          "`emoriff.json` says what made it.", {}),
    Table("reports/train/NAME/loss.csv", "One row per optimizer step.", meanings(
        trackers.LOSS_COLUMNS, "optimizer step", "training loss of the step", "of the U-Net",
        "loss on fixed pictures, noise and time steps; empty between validations")),
    Table("reports/train/NAME/validation.csv", "The validation loss, taken apart.", meanings(
        trackers.VALIDATION_COLUMNS, "optimizer step", "what it is taken apart by", "which one", "its loss")),
    Table("data/generated/NAME/manifest.parquet", "One row a clip. Files are EMOTION_SEED: picture, WAV, a "
          "compressed file for listening, and a JSON that says how it was made.", meanings(
              manifest.COLUMNS, "model", "the prompt word", "seed of the clip", "picture", "sound", "compressed sound",
              "JSON", "length (s)", "hash of the WAV")),
    Table("reports/metrics.json", "`experiments`: the measures of every model, with `value`, `low`, `high`, `n` clips, "
          "`n_artists` (behind real clips; null where there are none), `p` and `against` where it was tested, and "
          "`reason` where there is no interval or no value. `judge`: how good the judge is on real music. `floors`: "
          "the same distances for real clips. `settings`: what the figures rest on. "
          "The measures are explained in [explanation](../explanation.md).", {}),
    Table(layout.PREDICTIONS.as_posix(), "One row per generated clip, with what the judge says of it. There is a "
          "posterior column for each class.",
          evaluate.with_posteriors(evaluate.PREDICTIONS, CLASSES, after="arousal")),
    Table(layout.REAL_CLIPS.as_posix(), "One row per held-out real clip, on which the judge was tested.",
          evaluate.with_posteriors(evaluate.REAL_CLIPS, CLASSES, after="predicted")),
    Table(layout.KAD_MATRIX.as_posix(), "Kernel Audio Distance of generated against real clips, class by class.",
          evaluate.KAD_MATRIX),
    Table(layout.CONFUSION.as_posix(), "Classes asked for or annotated against classes predicted.",
          evaluate.CONFUSION),
    Table("reports/timings.json", "Seconds a stage, machine and versions. Not a DVC output: it differs from run to "
          "run.", {}),
)  # fmt: skip
