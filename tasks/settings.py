"""The whole of params.yaml: each stage's block, checked -> **Params**.

A stage declares its own block in tasks/STAGE/params.py. What params.yaml (written from profiles/ by `emoriff use`)
does not say is an error, but for a knob that was added later and has a default. Units stand in the names or in the
field's description. Paths are relative to the repository.
"""

import reprlib
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, create_model

from tasks.base.params import BaseParams
from tasks.codec.params import MOST_STRETCH, SpectrogramParams
from tasks.convert.params import ConvertParams
from tasks.core.errors import InputError, ParameterError
from tasks.core.messages import without_secrets
from tasks.core.params_base import Block, did_you_mean
from tasks.core.reading import yaml_of
from tasks.dataset.params import DatasetParams
from tasks.download.params import DownloadParams
from tasks.evaluate.params import EvaluateParams
from tasks.execution.params import ComputeParams
from tasks.generate.params import GenerateParams
from tasks.label.params import LabelParams
from tasks.segment.params import SegmentParams
from tasks.train.params import TrainParams

PROFILES = Path(__file__).parent.parent / "profiles"
MOST_ERRORS, LONGEST_KEY, LONGEST_TEXT = 40, 60, 300  # of a message
SHORT = reprlib.Repr()
SHORT.maxstring = 120


class Params(Block):
    """The whole of params.yaml, one block per stage."""

    profile: str = Field(description="name of the profile this file came from; shown on the page")
    seed: int = Field(ge=0, description="every random draw is seeded from it and the item's id")
    download: DownloadParams
    convert: ConvertParams
    segment: SegmentParams
    label: LabelParams
    spectrogram: SpectrogramParams
    dataset: DatasetParams
    base: BaseParams
    train: TrainParams
    generate: GenerateParams
    evaluate: EvaluateParams
    compute: ComputeParams


def added_blocks(root: Path = Path(__file__).parent) -> dict[str, type[Block]]:
    """The blocks of stages that `Params` does not name: class StageParams of tasks/STAGE/params.py, by stage."""
    found: dict[str, type[Block]] = {}
    for path in sorted(root.glob("*/params.py")):
        stage = path.parent.name
        if stage not in Params.model_fields:
            block = getattr(import_module(f"tasks.{stage}.params"), f"{stage.title().replace('_', '')}Params", None)
            found |= {stage: block} if block else {}
    return found


if ADDED := added_blocks():
    fields = {
        name: (block, block() if not any(field.is_required() for field in block.model_fields.values()) else ...)
        for name, block in ADDED.items()
    }
    Params = create_model("Params", __base__=Params, **fields)  # type: ignore[misc, call-overload]


def check_stages(params: Params, where: object) -> None:
    """Raise where the blocks, each right by itself, cannot work together: hours of training would come first.

    Raises:
        ParameterError: stereo, clips longer than a segment, a segment too long for one square image.
    """
    spectrogram, length = params.spectrogram, params.segment.length_seconds
    if spectrogram.channel == "stereo":
        raise ParameterError(
            "no model can be trained on stereo images",
            where=f"{where}, spectrogram.channel",
            expected="left, right or mix: a Stable Diffusion draws grey spectrograms",
            got="stereo",
            todo="set spectrogram.channel: mix; `emoriff encode --channel stereo` still takes single files",
        )
    if spectrogram.tiling == "square" and spectrogram.tile_columns > MOST_STRETCH * spectrogram.n_mels:
        raise ParameterError(
            "a segment is too long for one square image",
            where=f"{where}, segment.length_seconds with spectrogram.tiling: square",
            expected=f"at most {MOST_STRETCH} columns of {spectrogram.step_ms} ms in a column of the image "
            f"({MOST_STRETCH * spectrogram.n_mels * spectrogram.step_ms / 1000:g} s)",
            got=f"{length:g} s",
            todo="shorten segment.length_seconds, or set spectrogram.tiling: tiles",
        )
    longest = length + spectrogram.step_ms / 1000  # a clip ends one column before its last
    if params.generate.seconds > longest + 1e-6:
        raise ParameterError(
            "clips longer than a segment have no real clips to be compared with",
            where=f"{where}, generate.seconds",
            expected=f"at most segment.length_seconds ({length:g} s)",
            got=f"{params.generate.seconds:g} s",
            todo="shorten it, or lengthen segment.length_seconds; `emoriff generate PROMPT --seconds` makes longer "
            "pieces",
        )


def parse(values: Any, where: object) -> Params:
    """Params from a mapping.

    Raises:
        ParameterError: unknown or missing key (with the nearest known one), value out of range, stages that do not
            fit each other.
    """
    if not isinstance(values, dict):
        raise ParameterError("no mapping", where=where, expected="blocks: download, convert, ...", got=type(values))
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        more = [f"and {len(details) - MOST_ERRORS} more"] if len(details) > MOST_ERRORS else []
        raise ParameterError(
            f"{error.error_count()} parameter(s) cannot be",
            where=where,
            got="\n    " + "\n    ".join([*map(_explain, details[:MOST_ERRORS]), *more]),
            todo="`emoriff params` prints every key with its range; `emoriff use demo` restores a working file",
        ) from error
    spectrogram = params.spectrogram.for_segments(params.segment.length_seconds)
    params = params.model_copy(update={"spectrogram": spectrogram})
    check_stages(params, where)
    return params


def _explain(detail: Any) -> str:
    key = ".".join(str(part)[:LONGEST_KEY] for part in detail["loc"])
    text = f"{key}: {detail['msg'].removeprefix('Value error, ')[:LONGEST_TEXT]}"
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(key, Params)}"
    if detail["type"] != "missing" and "experiments." not in text:  # of an experiment, the message says it
        text += f" (got {_short(detail['input'])})"
    return text


def _short(value: Any) -> str:
    """A value for a message: without secrets, and short however large it is."""
    if isinstance(value, list):
        value = [without_secrets(part) if isinstance(part, str) else part for part in value[:10]]
    return SHORT.repr(without_secrets(value) if isinstance(value, str) else value)


def load(path: Path = Path("params.yaml")) -> Params:
    """Params of a file, checked."""
    try:
        values = yaml_of(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError as error:
        raise ParameterError("no parameter file", where=path, todo="run `emoriff use demo`") from error
    except UnicodeDecodeError as error:
        raise ParameterError("not text in UTF-8", where=path, got=error) from error
    except InputError as error:
        raise ParameterError(error.what, where=path, expected=error.expected, got=error.got) from error
    return parse(values, where=path)


def load_or_demo() -> Params:
    """Params of the repository we stand in, else those of the demo profile (for tools used anywhere)."""
    return load() if Path("params.yaml").is_file() else load(PROFILES / "demo.yaml")
