"""The one typed home of every knob: params.yaml -> **Params**.

The code has no second default: what params.yaml (written from profiles/ by `emoriff use`) does not say is
an error. Units stand in the names or in the field's description. Paths are relative to the repository.
"""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from tasks.block import Block, Share, did_you_mean
from tasks.errors import InputError, ParameterError, without_secrets
from tasks.experiments import ExperimentParams, TrainParams
from tasks.files import slug
from tasks.reading import yaml_of

RawFolder = Literal["audio", "annotations", "metadata"]
PROFILES = Path(__file__).parent.parent / "profiles"
MOST_ERRORS, LONGEST_KEY, LONGEST_TEXT = 40, 60, 300  # of a message
SHORT = reprlib.Repr()
SHORT.maxstring = 120


class Source(Block):
    """One archive or file of a data set, declared so that provenance is reviewed without running."""

    name: str = Field(pattern=r"^\w[\w.+ -]*$", description="file name in the folder of downloads")
    urls: list[Annotated[str, Field(pattern="^(https?|file)://.")]] = Field(
        min_length=1, description="mirrors in order: http(s)://, or file:// with a path (relative ones too)"
    )
    size_bytes: int | None = Field(ge=1, description="declared size; null: unknown")
    sha256: str | None = Field(
        pattern="^[0-9a-f]{64}$",
        description="declared hash; null: the one in a SHA256SUMS beside the file, else the first one got is kept to",
    )
    licence: str = Field(description="licence of the content")
    citation: str = Field(description="whom to cite")
    members: dict[RawFolder, str] = Field(
        min_length=1,
        description="what to take: folder of data/raw -> glob on the member's file name, at any depth; several with |",
    )
    needs_acknowledgement: bool = Field(description="its licence must be acknowledged in the params")

    @field_validator("urls")
    @classmethod
    def _without_secrets(cls, urls: list[str]) -> list[str]:
        """Parameters go into dvc.lock, records and the page, where a password would stay for ever."""
        if any(without_secrets(url) != url for url in urls):
            raise ValueError("an address holds a password or a key: put user and password into ~/.netrc")
        return urls


class CorpusParams(Block):
    """The demo corpus that the project renders itself."""

    namespace: str = Field(
        pattern=r"^[\w-]+$", description="corpora of other namespaces or seeds share no artist and no song"
    )
    n_artists: int = Field(ge=3, description="artists, each with a style")
    songs_per_artist: int = Field(ge=1, description="songs of each artist")
    seconds: float = Field(ge=5, le=600, description="length of a song (s)")
    raters: int = Field(ge=1, description="listeners whose noisy ratings are averaged")
    rating_std: float = Field(ge=0, description="standard deviation of one rating (points of the 1..9 scale)")
    swap_until_id: int = Field(ge=0, description="ids up to this one get DEAM's valence/arousal swap; 0: none")


class FolderParams(Block):
    """A user's own audio."""

    audio: str = Field(description="folder with audio files named <song_id>.<ext>")
    labels: str = Field(description="CSV with song_id, valence, arousal and optionally artist")
    scale_min: float = Field(description="lowest rating of that CSV")
    scale_max: float = Field(description="highest rating of that CSV")


class DownloadParams(Block):
    """download: sources -> data/raw."""

    sources: list[Source] = Field(description="the archives, each declared with addresses, hash, licence, citation")
    corpus: CorpusParams | None = Field(description="render the demo corpus first; null: no")
    folder: FolderParams | None = Field(description="take a user's folder instead of archives; null: no")
    watch: str = Field(description="a file or folder from outside whose change makes the download run again")
    acknowledge_noncommercial: bool = Field(description="set true after reading the licence of the source")
    retries: int = Field(ge=0, le=20, description="tries without headway after the first, each mirror")
    backoff_seconds: float = Field(ge=0, description="first wait (s), doubled each time")
    stall_seconds: float = Field(gt=0, description="give up a connection without a byte for so long (s)")
    max_unpacked_gib: float = Field(gt=0, description="refuse archives that unpack to more (GiB)")
    max_ratio: float = Field(gt=1, description="refuse members that expand more than this")


class ConvertParams(Block):
    """convert: data/raw -> data/wav."""

    sample_rate_hz: int = Field(ge=8000, le=192000, description="of the WAV files (Hz)")
    channels: Literal["keep", "mono"] = Field(description="keep mono/stereo, or mix down")
    min_seconds: float = Field(ge=0, description="shorter songs are rejected (s)")
    silence_dbfs: float = Field(le=0, description="a song whose peak is below is rejected as silent (dBFS)")
    clipped_share: Share = Field(description="flag a song with more full-scale samples than this share")
    max_rejected_share: Share = Field(description="the stage fails when more songs are rejected")


class SegmentParams(Block):
    """segment: data/wav -> data/segments."""

    length_seconds: float = Field(gt=0.5, le=600, description="a window (s)")
    hop_seconds: float = Field(ge=0.1, le=600, description="from one window's start to the next (s)")
    edge: Literal["drop", "pad", "shift"] = Field(
        description="what remains at the end: dropped, padded with silence, or a window moved back to fit"
    )
    min_remainder_seconds: float = Field(ge=0, description="a shorter remainder is dropped whatever the rule (s)")


class ClusterParams(Block):
    """Classes by k-means instead of thresholds."""

    n_clusters: int = Field(ge=2, le=16, description="clusters of the valence-arousal plane")


class SplitParams(Block):
    """Split by artist."""

    validation: Share = Field(description="share of the songs for validation")
    test: Share = Field(description="share of the songs for the test")
    salt: int | None = Field(
        ge=0, description="which of the possible splits; null: the first that is as balanced as any, see tolerance"
    )
    tolerance: float = Field(
        gt=0, le=1, description="splits whose class shares are off by no more than this count as equally balanced"
    )

    @model_validator(mode="after")
    def _leaves_training(self) -> "SplitParams":
        if self.validation + self.test >= 1:
            raise ValueError("expected validation + test < 1")
        return self


class LabelParams(Block):
    """label: annotations -> data/labels."""

    scale_min: float = Field(description="lowest possible rating of the annotation files")
    scale_max: float = Field(description="highest possible rating of the annotation files")
    max_refused_share: Share = Field(description="the stage fails when more annotations than this are refused")
    correction: Literal["detect", "published"] = Field(
        description="detect and correct the valence/arousal swap, or keep the published values"
    )
    swap_margin: float = Field(
        gt=0, le=1, description="difference of the mean correlations that decides between swapped and as named"
    )
    swap_min_songs: int = Field(ge=4, description="a part with fewer songs to compare is not decided")
    scheme: Literal["quadrants", "five", "clusters"] = Field(description="how songs get their class")
    threshold: float = Field(description="border of low and high on the file's scale")
    comparison: Literal[">=", ">"] = Field(description="a value on the border is high (>=) or low (>)")
    dead_zone: float = Field(ge=0, description="songs nearer to a border get no label (points of the scale)")
    energetic_arousal: Share = Field(description="scheme five: happy songs from here on are energetic (0..1)")
    clusters: ClusterParams
    segment_labels: Literal["dynamic", "song"] = Field(
        description="per-second annotations anchored to the song's label, or the song's label alone"
    )
    split: SplitParams

    @model_validator(mode="after")
    def _border_on_the_scale(self) -> "LabelParams":
        if not self.scale_min < self.threshold < self.scale_max:
            raise ValueError("expected scale_min < threshold < scale_max")
        return self


AUGMENTATION = r"^(pitch[+-][12]|stretch(0\.9\d*|1\.0\d*|1\.10*)|noise([2-9]|[1-9]\d)\d)$"  # that keeps a label true


class SpectrogramParams(Block):
    """spectrogram: wav + segments -> PNG. Riffusion's values unless you train another base model."""

    form: Literal["riffusion", "log_mel"] = Field(description="power-law picture, or dB with top_db")
    sample_rate_hz: int = Field(ge=8000, le=192000, description="of the audio that is pictured (Hz)")
    step_ms: int = Field(ge=1, description="one column (ms)")
    window_ms: int = Field(ge=1, description="Hann window (ms)")
    padded_ms: int = Field(ge=1, description="FFT length (ms)")
    n_mels: int = Field(ge=8, description="rows of the picture")
    min_hz: int = Field(ge=0, description="lower end of the mel bank (Hz)")
    max_hz: int = Field(ge=100, description="upper end of the mel bank (Hz)")
    power: float = Field(gt=0, le=2, description="exponent of the power law")
    top_db: float = Field(gt=0, le=200, description="form log_mel: dynamic range (dB)")
    channel: Literal["left", "right", "mix", "stereo"] = Field(description="which channel is pictured")
    tiling: Literal["tiles", "square"] = Field(
        description="two overlapping tiles a segment, or one square picture of it, resized, as the thesis had it"
    )
    tile_columns: int = Field(ge=8, description="columns of a tile")
    augment: list[Annotated[str, Field(pattern=AUGMENTATION)]] = Field(
        description="extra copies of training segments, e.g. pitch+2 (semitones), stretch0.9 (tempo; moves arousal), "
        "noise40 (dB below)"
    )

    @model_validator(mode="after")
    def _check(self) -> "SpectrogramParams":
        if len(set(self.augment)) < len(self.augment):
            raise ValueError("augment: each word once")
        if not self.step_ms <= self.window_ms <= self.padded_ms:
            raise ValueError("expected step_ms <= window_ms <= padded_ms")
        if self.max_hz * 2 > self.sample_rate_hz or self.min_hz >= self.max_hz:
            raise ValueError("expected min_hz < max_hz <= sample_rate_hz / 2")
        if any((self.sample_rate_hz * ms) % 1000 for ms in (self.step_ms, self.window_ms, self.padded_ms)):
            raise ValueError("step, window and padded length must be whole numbers of samples")
        return self


class DatasetParams(Block):
    """dataset: spectrograms + labels -> data/dataset."""

    resolution: int = Field(ge=32, description="side of the pictures that the base model knows (pixels)")
    min_images_per_class: int = Field(ge=1, description="fewer training pictures of a class stop the stage")


class DemoBaseParams(Block):
    """The demo's small Stable Diffusion, pre-trained on unlabelled spectrograms."""

    vae_channels: list[int] = Field(min_length=4, max_length=4, description="three halvings: 8 pixels a latent")
    vae_steps: int = Field(ge=1, description="training steps of the VAE")
    vae_batch: int = Field(ge=1, description="crops a step")
    vae_crop: int = Field(ge=32, multiple_of=8, description="side of the crops that the VAE learns on (pixels)")
    vae_learning_rate: float = Field(gt=0, description="peak learning rate of the VAE")
    unet_channels: list[int] = Field(min_length=1, description="attention on all levels but the first")
    text_width: int = Field(ge=8, multiple_of=8, description="width of the text encoder")
    training: ExperimentParams = Field(description="how the U-Net is pre-trained, on generic prompts")


class BaseParams(Block):
    """base: -> models/base."""

    repository: str | None = Field(description="hub repository or local folder of a pipeline; null: demo model")
    revision: str | None = Field(pattern="^[0-9a-f]{40}$", description="pinned commit of the repository")
    demo: DemoBaseParams | None = Field(description="sizes of the demo model; null with a repository")


class DecodeParams(Block):
    """Picture -> audio."""

    method: Literal["pghi", "griffin_lim"] = Field(description="first phases: gradient integration, or random")
    iterations: int = Field(ge=0, le=512, description="Griffin-Lim iterations after the first phases")


class DenoiseParams(Block):
    """Post-processing of generated pictures."""

    gate: bool = Field(description="spectral gating above an estimated noise floor")
    gate_db: float = Field(ge=0, le=60, description="attenuation below the gate (dB)")
    filter: Literal["none", "median", "non_local"] = Field(description="smoothing filter after the gate")


class GenerateParams(Block):
    """generate: models -> data/generated/EXPERIMENT."""

    prompts: list[str] = Field(min_length=1, description="the emotions asked for")
    clips_per_prompt: int = Field(ge=1, description="clips an emotion; seeds 0, 1, ...")
    seconds: float = Field(gt=0, description="length of a clip (s); one tile is 5.12 s")
    scheduler: Literal["ddim", "dpm_solver", "euler"] = Field(description="sampler")
    steps: int = Field(ge=1, le=1000, description="denoising steps")
    guidance: float = Field(ge=0, description="classifier-free guidance scale; 1: off")
    guidance_rescale: Share = Field(description="share of guidance's gain in contrast that is taken back; 0: none")
    negative_prompt: str = Field(description="what to move away from; empty: nothing")
    overlap: float = Field(ge=0, le=0.9, description="share of a tile that the next one overlaps in longer pieces")
    batch: int = Field(ge=1, description="clips denoised together")
    decode: DecodeParams
    denoise: DenoiseParams
    listening_format: Literal["mp3", "ogg"] = Field(description="MP3, or Opus in Ogg")

    @field_validator("prompts")
    @classmethod
    def _named_apart(cls, prompts: list[str]) -> list[str]:
        if "" in (names := {slug(prompt) for prompt in prompts}) or len(names) < len(prompts):
            raise ValueError(f"the letters and digits of each name its clips' files and must differ: {prompts}")
        return prompts


class EvaluateParams(Block):
    """evaluate: generated + held-out real -> reports/metrics.json."""

    embedding: str = Field(description="'builtin', a path to a TorchScript model, or a path to an .npz of arrays")
    pca_dimensions: int = Field(ge=2, le=512, description="dimensions for the Frechet distance")
    n_bootstrap: int = Field(ge=10, description="resamples for an interval")
    n_permutations: int = Field(ge=10, description="permutations for a p-value")
    confidence: Share = Field(description="of every interval")
    min_clips: int = Field(ge=2, description="a measure from fewer clips is refused")
    clips_per_training_song: int = Field(ge=1, description="real clips of each training song that teach the judge")
    clips_per_test_song: int = Field(ge=1, description="real clips of each held-out song to compare with")
    blurs: list[Annotated[int, Field(ge=2, le=16)]] = Field(
        description="every second training clip also teaches the judge with its picture so many times coarser, in turn"
    )
    vae_clips: int = Field(ge=0, description="held-out clips that also pass the base model's VAE; 0: none")
    n_raters: int = Field(ge=1, description="listeners behind each annotation, for the judge's ceiling")


class ComputeParams(Block):
    """How the work is run; enters no cache key, changes no byte of a result."""

    workers: int = Field(ge=1, le=256, description="processes or threads inside a stage")
    runner: Literal["threads", "dask"] = Field(description="this machine, or a Dask cluster")
    buckets: int = Field(ge=1, le=1024, description="cached tasks a stage (bucket = hash of the song id)")


class Params(Block):
    """The whole params.yaml, one block a stage."""

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


def parse(values: Any, where: object) -> Params:
    """Params from a mapping.

    Raises:
        ParameterError: unknown or missing key (with the nearest known one), value out of range.
    """
    if not isinstance(values, dict):
        raise ParameterError("no mapping", where=where, expected="blocks: download, convert, ...", got=type(values))
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        more = [f"and {len(details) - MOST_ERRORS} more"] if len(details) > MOST_ERRORS else []
        raise ParameterError(
            f"{error.error_count()} parameter(s) cannot be",
            where=where,
            got="\n    " + "\n    ".join([*map(_explain, details[:MOST_ERRORS]), *more]),
            todo="`emoriff params` prints every key with its range; `emoriff use demo` restores a working file",
        ) from error


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
