"""How spectrogram images are made, turned back into sound and cleaned: params.yaml -> **parameters** -> codec."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.core.params_base import Block

AUGMENTATION = r"^(pitch[+-][12]|stretch(0\.9\d*|1\.0\d*|1\.10*)|noise([2-9]|[1-9]\d)\d)$"  # that keeps a label true
MOST_STRETCH = 100  # columns that one column of a resized image can stand for


class SpectrogramParams(Block):
    """spectrogram: wav + segments -> PNG. Riffusion's values unless you train another base model."""

    form: Literal["riffusion", "log_mel"] = Field(description="power-law image, or dB with top_db")
    sample_rate_hz: int = Field(ge=8000, le=192000, description="sample rate of the audio (Hz)")
    step_ms: int = Field(ge=1, description="one column (ms)")
    window_ms: int = Field(ge=1, description="Hann window (ms)")
    padded_ms: int = Field(ge=1, description="FFT length (ms)")
    n_mels: int = Field(ge=8, description="rows of the image")
    min_hz: int = Field(ge=0, description="lower end of the mel bank (Hz)")
    max_hz: int = Field(ge=100, description="upper end of the mel bank (Hz)")
    power: float = Field(gt=0, le=2, description="exponent of the power law")
    top_db: float = Field(gt=0, le=200, description="form log_mel: dynamic range (dB)")
    channel: Literal["left", "right", "mix", "stereo"] = Field(description="which channel becomes the image")
    tiling: Literal["tiles", "square"] = Field(
        description="two overlapping tiles per segment, or the whole segment resized to one square image, as the "
        "thesis had it"
    )
    tile_columns: int = Field(
        ge=8, description="columns of a tile; with tiling: square not read, an image then has those of a segment"
    )
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

    def columns_of(self, seconds: float) -> int:
        """Columns of a waveform of so many seconds, 1 + floor(samples / hop), as `tasks.codec.forward` makes them."""
        return 1 + round(seconds * self.sample_rate_hz) // (self.sample_rate_hz * self.step_ms // 1000)

    def for_segments(self, seconds: float) -> "SpectrogramParams":
        """The same with `tile_columns` as what one image stands for: with `square` the columns of a whole segment."""
        return self if self.tiling == "tiles" else self.model_copy(update={"tile_columns": self.columns_of(seconds)})


class DecodeParams(Block):
    """Image -> audio."""

    method: Literal["pghi", "griffin_lim"] = Field(description="first phases: gradient integration, or random")
    iterations: int = Field(ge=0, le=512, description="Griffin-Lim iterations after the first phases")


class DenoiseParams(Block):
    """Post-processing of generated images."""

    gate: bool = Field(description="spectral gating above an estimated noise floor")
    gate_db: float = Field(ge=0, le=60, description="attenuation below the gate (dB)")
    filter: Literal["none", "median", "non_local"] = Field(description="smoothing filter after the gate")
