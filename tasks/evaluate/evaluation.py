"""Everything that is measured: data/generated + held-out real audio -> **reports/metrics.json** and tables.

The order of a run: real clips are chosen and described (as they are, through the codec, through codec and VAE),
generated clips are described, the judge learns from the training artists' clips, predicts all others, and the
systems are measured. Distances are to real held-out clips *after the codec*: what a perfect model could give at
this resolution. Beside them stand the same distances for real clips (`floors`). Emotions are compared with each
other (matrix, distances of one emotion, diversity) beside real clips that went through all that generated clips did,
the VAE included (the matched reference): what it does to every clip alike would otherwise decide which real emotion
is nearest.
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
from tasks.core.layout import CONFUSION, KAD_MATRIX, METRICS, PREDICTIONS, REAL_CLIPS
from tasks.core.reading import json_of, parquet_of
from tasks.core.storage import replacing
from tasks.evaluate import clips, describe, distances, metrics, tables
from tasks.evaluate import reference as references
from tasks.evaluate.clips import Codec, Progress
from tasks.evaluate.copies import CopySearch, TrainingSongs, copies
from tasks.evaluate.describe import HELD_OUT, TRAINING
from tasks.evaluate.embeddings import Embedding, choose
from tasks.evaluate.intervals import Inference
from tasks.evaluate.judge import Judge
from tasks.evaluate.matrix import kernel_matrix
from tasks.evaluate.params import EvaluateParams
from tasks.evaluate.reference import Reference
from tasks.evaluate.systems import System, sound
from tasks.label.params import LabelParams

INTERVALS = "Student's t, each artist (real) and each clip (generated) left out in turn; exact bounds for shares"
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
    how = Inference(params.confidence, params.n_permutations, seed)
    codec, embedding = Codec(spectrogram, decode, resolution, seed), choose(params.embedding)
    chosen = choose_clips(experiments, data, prompts, params)
    with clips.worker_pool(workers, progress) as run:
        described, made, known = describe_all(chosen, data, base, codec, embedding, params, run)
        judge, real_systems = describe.train_and_predict(chosen.real, described, seed)
        made_systems = {name: describe.generated_system(name, made[name], judge) for name in experiments}
        found = Evaluation(
            judge, real_systems, made_systems, known, chosen.real, chosen.tables, nearest={}, matrices=[]
        )
        content = measure(found, prompts, params, how)
    write_tables(target, found)
    write_json(target / METRICS.name, content)
    return content


@dataclass(frozen=True)
class ClipChoice:
    """What is compared: tables of the labels, generated clips by experiment, their length, and real clips."""

    tables: "Tables"
    generated: dict[str, pd.DataFrame]
    seconds: float
    real: pd.DataFrame  # those that teach and those that examine
    training: pd.DataFrame  # every clip of the training songs


def choose_clips(experiments: list[str], data: Path, prompts: list[str], params: EvaluateParams) -> ClipChoice:
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
    return ClipChoice(tables, generated, seconds, real, training)


def describe_all(
    chosen: ClipChoice,
    data: Path,
    base: Path,
    codec: Codec,
    embedding: Embedding,
    params: EvaluateParams,
    run: clips.Map,
) -> tuple[describe.RealClips, dict[str, describe.GeneratedClips], TrainingSongs]:
    """Real clips in all conditions, the clips of each experiment, and all training songs."""
    reconstruct = describe.through_vae(base) if params.vae_clips else None
    conditions = describe.Conditions(codec, params.blurs, params.vae_clips, reconstruct)
    described = describe.describe_real(chosen.real, data / "wav", chosen.seconds, conditions, embedding, run)
    known = describe.training_songs(chosen.training, data / "wav", run)
    made = {
        name: describe.describe_generated(table, data / "generated" / name, name, embedding, run)
        for name, table in chosen.generated.items()
    }
    return described, made, known


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
    """Refuse a system with fewer than `min_clips` clips of an emotion, or with clips nobody asked for."""
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
class Evaluation:
    """The judge, the systems, and what measuring them leaves for the tables."""

    judge: Judge
    real: dict[str, System]
    made: dict[str, System]
    known: TrainingSongs
    rows: pd.DataFrame  # of the real clips
    tables: Tables
    nearest: dict[str, pd.DataFrame]
    matrices: list[pd.DataFrame]


def measure(found: Evaluation, asked: list[str], params: EvaluateParams, how: Inference) -> dict[str, Any]:
    """metrics.json's content; `found` gets the matrices and nearest training clips of each experiment."""
    n_clips = min(len(system.keys) for system in found.made.values())
    reference = Reference.of(found.real[metrics.REFERENCE], params.pca_dimensions, n_clips)
    matched = reference
    if "codec_vae" in found.real:
        matched = Reference.of(found.real["codec_vae"], params.pca_dimensions, n_clips)
    comparable = [name for name in asked if matched.real.of(name).enough(params.min_clips)]
    held_out = found.rows[found.rows["split"] == HELD_OUT]
    intended = metrics.intended_points(found.rows[found.rows["split"] == TRAINING], asked)
    of_judge = metrics.judge_metrics(found.judge, found.real, held_out, how)
    tables = found.tables
    limits = metrics.ceilings(tables.songs, found.real["original"], params, tables.params, how)
    of_judge |= metrics.as_dicts(limits)
    n_dimensions = metrics.emotion_dimensions(found.made, matched, comparable)
    n_frames = min(system.prints.shape[1] for system in [reference.real, *found.made.values()])
    search = CopySearch.of(found.known, n_frames)
    values, matrix = {}, {}
    for name, system in found.made.items():
        values[name], found.nearest[name] = metrics.experiment_metrics(
            system, search, reference, matched, intended, comparable, how
        )
        matrix[name], values[name]["own_class_nearest"] = kernel_matrix(
            system, matched, asked, params.min_clips, n_dimensions, how
        )
        found.matrices.append(matrix[name])
    own = float(found.real["original"].hits.mean())
    described = metrics.with_comparisons(values, found.made, intended, own, how)
    for name, system in found.made.items():
        described[name]["emotions"] = metrics.emotion_metrics(system, matched, matrix[name], asked, n_dimensions, how)
    others = {name: system for name, system in found.real.items() if name != metrics.REFERENCE}
    floors = {name: references.distances(system, reference, how) for name, system in others.items()}
    floors |= {metrics.REFERENCE: copies(reference.real, search, how)[0]}
    for name, system in found.real.items():
        floors[name] |= references.music(system, reference, how) | sound(system, how)
    return {
        "judge": of_judge,
        "experiments": described,
        "floors": {name: metrics.as_dicts(of) for name, of in floors.items()},
        "settings": settings(reference, matched, params, comparable, intended)
        | {"frechet_dimensions_of_each_emotion": n_dimensions, "training_pictures": len(found.known.keys)},
    }


def settings(
    reference: Reference,
    matched: Reference,
    params: EvaluateParams,
    comparable: list[str],
    intended: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """What the figures rest on."""
    return {
        "reference": "real clips of held-out artists after the codec at the model's resolution",
        "reference_clips": len(reference.real.keys),
        "reference_artists": reference.real.n_artists,
        "reference_of_each_emotion": matched.real.name,
        "reference_clips_of_each_emotion": {
            name: int((matched.real.emotions == name).sum()) for name in sorted(set(matched.real.emotions))
        },
        "clips_of_each_arm": reference.n_clips,
        "frechet_dimensions": reference.axes.axes.shape[1],
        "embedding_dimensions": reference.axes.axes.shape[0],
        "emotions_with_distances": comparable,
        "intended": {axis: {name: round(value, 6) for name, value in of.items()} for axis, of in intended.items()},
        "confidence": params.confidence,
        "intervals": INTERVALS,
    }


def write_tables(target: Path, found: Evaluation) -> None:
    """predictions.parquet, real_clips.parquet, kad_matrix.csv and confusion.csv below `target`."""
    write_parquet(target / PREDICTIONS.name, metrics.prediction_table(found.made, found.nearest, found.judge))
    held_out = found.rows[found.rows["split"] == HELD_OUT].reset_index(drop=True)
    judged = metrics.judged_table(found.real["original"], found.judge).drop(columns=["emotion", "valence", "arousal"])
    predictions = found.real["original"].predictions
    judged["predicted_valence"], judged["predicted_arousal"] = (
        predictions.valence.round(6),
        predictions.arousal.round(6),
    )
    columns = tables.with_posteriors(tables.REAL_CLIPS, found.judge.classes, after="predicted")
    write_parquet(target / REAL_CLIPS.name, pd.concat([held_out, judged], axis=1)[list(columns)])
    names = {"original": "real", "codec": "codec", "codec_vae": "codec_vae"}
    all_systems = {names[name]: system for name, system in found.real.items() if name in names} | found.made
    write_csv(target / KAD_MATRIX.name, pd.concat(found.matrices)[list(tables.KAD_MATRIX)])
    write_csv(target / CONFUSION.name, metrics.confusion_table(all_systems, found.judge.classes))


def write_csv(target: Path, table: pd.DataFrame) -> None:
    """A CSV with the same bytes on every system."""
    with replacing(target) as temporary:
        safe_table(table).to_csv(temporary, index=False, lineterminator="\n")
