"""Everything that is measured: data/generated + held-out real audio -> **reports/metrics.json** and tables.

The order of a run: real clips are chosen and described (as they are, through the codec, through codec and VAE),
generated clips are described, the judge learns from the training artists' clips, hears all others, and the
arms are measured. Distances are to real held-out clips *after the codec*: what a perfect model could give at
this resolution. Beside them stand the same distances for real clips (`floors`). Emotions are compared with each
other (matrix, distances of one emotion, diversity) beside real clips that took all of the generated clips' way, the
VAE included: what it does to every clip alike would otherwise decide which real emotion is nearest.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from tasks.codec.params import DecodeParams, SpectrogramParams
from tasks.core.csv_tables import safe_table
from tasks.core.errors import InputError, MeasureError
from tasks.core.files import write_json, write_parquet
from tasks.core.reading import json_of, parquet_of
from tasks.core.storage import replacing
from tasks.evaluate import clips, describe, distances, metrics, systems
from tasks.evaluate.bootstrap import Resampling
from tasks.evaluate.clips import Codec, Progress
from tasks.evaluate.describe import HELD_OUT, TRAINING
from tasks.evaluate.embeddings import Embedding, choose
from tasks.evaluate.judge import Judge
from tasks.evaluate.params import EvaluateParams
from tasks.evaluate.systems import Arm, Known, Yardstick
from tasks.label.params import LabelParams

ALL = 10**6  # clips of a song


def measure_clips(
    experiments: list[str],
    data: Path,
    base: Path,
    target: Path,
    params: EvaluateParams,
    spectrogram: SpectrogramParams,
    decode: DecodeParams,
    prompts: list[str],
    resolution: int,
    seed: int,
    workers: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """metrics.json's content; `target` holds it and the tables beside it.

    Args:
        experiments: folders below `data`/generated, `base` among them.
        data: holds wav, segments, labels and generated.
        base: a diffusers pipeline; only its `vae` is used.
        target: gets metrics.json, predictions.parquet, real_clips.parquet, kad_matrix.csv and confusion.csv.
        prompts: the emotions that were asked for, each a class of the labels.
        progress: called with (clips done, clips of this step, the step).

    The same inputs give the same bytes, whatever `workers`. Raises:
        MeasureError: an unknown emotion, an experiment without clips, too few clips (with the number needed).
        InputError: labels or segments missing.
    """
    how = Resampling(params.n_bootstrap, params.n_permutations, params.confidence, seed)
    codec, embedding = Codec(spectrogram, decode, resolution, seed), choose(params.embedding)
    chosen = choose_clips(experiments, data, prompts, params)
    with clips.worker_pool(workers, progress) as run:
        heard, made, known = describe_all(chosen, data, base, codec, embedding, params, run)
        ears, real_arms = describe.train_and_hear(chosen.real, heard, seed)
        made_arms = {name: describe.generated_arm(name, made[name], ears) for name in experiments}
        found = Found(ears, real_arms, made_arms, known, chosen.real, chosen.tables, nearest={}, matrices=[])
        content = measure(found, prompts, params, how)
    write_tables(target, found)
    write_json(target / "metrics.json", content)
    return content


@dataclass(frozen=True)
class Chosen:
    """What is compared: tables of the labels, generated clips by experiment, their length, and real clips."""

    tables: "Tables"
    generated: dict[str, pd.DataFrame]
    seconds: float
    real: pd.DataFrame  # those that teach and those that examine
    training: pd.DataFrame  # every clip of the training songs


def choose_clips(experiments: list[str], data: Path, prompts: list[str], params: EvaluateParams) -> Chosen:
    """The clips of the labels and experiments below `data`; raises what `evaluate` raises."""
    tables = read_labels(data)
    generated = {name: clips.read_generated(data / "generated" / name, name) for name in experiments}
    seconds = round(float(min(table["seconds"].min() for table in generated.values())), 6)
    per_song = {TRAINING: params.clips_per_training_song, HELD_OUT: params.clips_per_test_song}
    real, training = (
        clips.choose_real_clips(tables.segments, tables.songs, tables.segment_labels, seconds, wanted)
        for wanted in (per_song, {TRAINING: ALL})
    )
    check_emotions(prompts, sorted(set(training["emotion"])))
    for table in generated.values():
        check_counts(table, prompts, params.min_clips)
    check_pairs(generated)
    n_reference = int((real["split"] == HELD_OUT).sum())
    distances.require_clips(n_reference, params.pca_dimensions + 1, "the Frechet distance: held-out real clips")
    return Chosen(tables, generated, seconds, real, training)


def describe_all(
    chosen: Chosen, data: Path, base: Path, codec: Codec, embedding: Embedding, params: EvaluateParams, run: clips.Map
) -> tuple[describe.Heard, dict[str, describe.Made], Known]:
    """Real clips on all their ways, the clips of each experiment, and all that could have been learnt by heart."""
    reconstruct = describe.through_vae(base) if params.vae_clips else None
    ways = describe.Ways(codec, params.blurs, params.vae_clips, reconstruct)
    heard = describe.describe_real(chosen.real, data / "wav", chosen.seconds, ways, embedding, run)
    known = describe.known_pictures(chosen.training, data / "wav", chosen.seconds, codec, run)
    made = {
        name: describe.describe_generated(table, data / "generated" / name, name, codec, embedding, run)
        for name, table in chosen.generated.items()
    }
    return heard, made, known


@dataclass(frozen=True)
class Tables:
    """What the earlier stages say of the real songs."""

    segments: pd.DataFrame
    songs: pd.DataFrame
    segment_labels: pd.DataFrame
    params: LabelParams


def read_labels(data: Path) -> Tables:
    """Segments and labels. A song of unknown artist counts as an artist of its own.

    Raises:
        InputError: a table is missing.
    """
    names = ("segments/segments.parquet", "labels/songs.parquet", "labels/segments.parquet")
    for name in (*names, "labels/report.json"):
        if not (data / name).is_file():
            raise InputError("nothing to compare with", where=data / name, todo="run the stages before evaluate")
    segments, songs, segment_labels = (parquet_of(data / name) for name in names)
    unknown = songs["artist"].isna()
    songs["artist"] = songs["artist"].where(~unknown, "song " + songs["song_id"].astype(str))
    columns = ["song_id", "segment", "valence", "arousal", "emotion"]
    try:
        label = LabelParams.model_validate(json_of(data / "labels/report.json").get("params"))
    except ValidationError as error:
        todo = "run the label stage again"
        raise InputError("no parameters in it", where=data / "labels/report.json", got=error, todo=todo) from error
    return Tables(segments, songs, segment_labels[columns], label)


def check_emotions(asked: list[str], known: list[str]) -> None:
    """Refuse emotions that no real clip has, with the nearest known one.

    Raises:
        MeasureError: names the first unknown one.
    """
    for emotion in asked:
        if emotion not in known:
            near = difflib.get_close_matches(emotion.lower(), known, n=1, cutoff=0.5)
            raise MeasureError(
                f"unknown emotion {emotion!r}" + (f"; did you mean {near[0]}?" if near else ""),
                where="generate.prompts",
                expected=f"classes of the real clips: {', '.join(known)}",
                got=emotion,
                todo="correct generate.prompts, or label songs with this emotion",
            )


def check_counts(table: pd.DataFrame, asked: list[str], min_clips: int) -> None:
    """Refuse an arm with fewer than `min_clips` clips of an emotion, or with clips nobody asked for."""
    name = table["experiment"].iloc[0] if len(table) else "experiment"
    check_emotions(sorted(set(table["emotion"])), asked)
    for emotion in asked:
        distances.require_clips(int((table["emotion"] == emotion).sum()), min_clips, f"{name}, {emotion}")


def check_pairs(generated: dict[str, pd.DataFrame]) -> None:
    """Refuse experiments that were not asked for the same clips: their differences are taken clip by clip.

    Raises:
        MeasureError: names a clip that only one of two experiments has.
    """
    keys = {name: set(zip(table["emotion"], table["seed"], strict=True)) for name, table in generated.items()}
    first = next(iter(keys))
    for name, own in keys.items():
        only = sorted(own ^ keys[first])
        if only:
            raise MeasureError(
                "experiments of different clips cannot be compared",
                where=f"{first} and {name}",
                expected="the same emotions and seeds in both",
                got=f"{len(only)} clips in one only, such as {only[0][0]}, seed {only[0][1]}",
                todo="run the generate stage of both with the same parameters",
            )


@dataclass(frozen=True)
class Found:
    """The judge, the arms, and what measuring them leaves for the tables."""

    ears: Judge
    real: dict[str, Arm]
    made: dict[str, Arm]
    known: Known
    rows: pd.DataFrame  # of the real clips
    tables: Tables
    nearest: dict[str, pd.DataFrame]
    matrices: list[pd.DataFrame]


def measure(found: Found, asked: list[str], params: EvaluateParams, how: Resampling) -> dict[str, Any]:
    """metrics.json's content; `found` gets the matrices and nearest training clips of each experiment."""
    reference = found.real[metrics.REFERENCE]
    n_clips = min(len(arm.keys) for arm in found.made.values())
    yardstick = Yardstick.of(reference, params.pca_dimensions, n_clips)
    alike = yardstick
    if "codec_vae" in found.real:
        alike = Yardstick.of(found.real["codec_vae"], params.pca_dimensions, n_clips)
    comparable = [name for name in asked if enough(alike.reference.of(name), params.min_clips)]
    held_out = found.rows[found.rows["split"] == HELD_OUT]
    intended = metrics.intended_points(found.rows[found.rows["split"] == TRAINING], asked)
    of_judge = metrics.judge_metrics(found.ears, found.real, held_out, how)
    tables = found.tables
    limits = metrics.ceilings(tables.songs, found.real["original"], params, tables.params, how)
    of_judge |= metrics.as_dicts(limits)
    n_dimensions = metrics.emotion_dimensions(found.made, alike, comparable)
    values, matrix = {}, {}
    for name, arm in found.made.items():
        values[name], found.nearest[name] = metrics.experiment_metrics(
            arm, found.known, yardstick, alike, intended, comparable, how
        )
        matrix[name], values[name]["own_class_nearest"] = systems.kernel_matrix(
            arm, alike, asked, params.min_clips, n_dimensions, how
        )
        found.matrices.append(matrix[name])
    own = float(found.real["original"].hits.mean())
    described = metrics.with_comparisons(values, found.made, intended, own, how)
    for name, arm in found.made.items():
        described[name]["emotions"] = metrics.emotion_metrics(arm, alike, matrix[name], asked, n_dimensions, how)
    floors = {name: systems.distances(arm, yardstick, how) for name, arm in found.real.items() if name != "codec"}
    floors |= {"codec": systems.copies(reference, found.known, how)[0]}
    return {
        "judge": of_judge,
        "experiments": described,
        "floors": {name: metrics.as_dicts(of | systems.sound(found.real[name], how)) for name, of in floors.items()},
        "settings": settings(yardstick, alike, params, comparable, intended)
        | {"frechet_dimensions_of_each_emotion": n_dimensions, "training_pictures": len(found.known.keys)},
    }


def enough(arm: Arm, min_clips: int) -> bool:
    """Can distances and diversity be taken from these real clips?"""
    return len(arm.keys) >= min_clips and len(set(arm.clusters)) >= 2


def settings(
    yardstick: Yardstick,
    alike: Yardstick,
    params: EvaluateParams,
    comparable: list[str],
    intended: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """What the figures rest on."""
    return {
        "reference": "real clips of held-out artists after the codec at the model's resolution",
        "reference_clips": len(yardstick.reference.keys),
        "reference_of_each_emotion": alike.reference.name,
        "reference_clips_of_each_emotion": {
            name: int((alike.reference.emotions == name).sum()) for name in sorted(set(alike.reference.emotions))
        },
        "clips_of_each_arm": yardstick.n_clips,
        "frechet_dimensions": yardstick.axes.axes.shape[1],
        "embedding_dimensions": yardstick.axes.axes.shape[0],
        "emotions_with_distances": comparable,
        "intended": {axis: {name: round(value, 6) for name, value in of.items()} for axis, of in intended.items()},
        "confidence": params.confidence,
        "intervals": "bootstrap over songs (real) and clips (generated)",
    }


def write_tables(target: Path, found: Found) -> None:
    """predictions.parquet, real_clips.parquet, kad_matrix.csv and confusion.csv below `target`."""
    write_parquet(target / "predictions.parquet", metrics.prediction_table(found.made, found.nearest, found.ears))
    held_out = found.rows[found.rows["split"] == HELD_OUT].reset_index(drop=True)
    heard = metrics.verdict_table(found.real["original"], found.ears).drop(columns=["emotion", "valence", "arousal"])
    verdicts = found.real["original"].verdicts
    heard["predicted_valence"], heard["predicted_arousal"] = verdicts.valence.round(6), verdicts.arousal.round(6)
    write_parquet(target / "real_clips.parquet", pd.concat([held_out, heard], axis=1))
    names = {"original": "real", "codec": "codec", "codec_vae": "codec_vae"}
    all_arms = {names[name]: arm for name, arm in found.real.items() if name in names} | found.made
    write_csv(target / "kad_matrix.csv", pd.concat(found.matrices))
    write_csv(target / "confusion.csv", metrics.confusion_table(all_arms, found.ears.classes))


def write_csv(target: Path, table: pd.DataFrame) -> None:
    """A CSV with the same bytes on every system."""
    with replacing(target) as temporary:
        safe_table(table).to_csv(temporary, index=False, lineterminator="\n")
