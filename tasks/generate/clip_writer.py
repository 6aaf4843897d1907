"""Generated images as files: pixels -> **PNG, WAV, MP3 or Opus, JSON** -> evaluate, report, a person.

The PNG is the image that the audio was made from, with Riffusion's tags, and what it was generated with in a
text chunk of its own: `emoriff decode` on it gives the same sound again, but for its phases.
"""

import json
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.audio import write
from tasks.codec import denoise, forward, inversion
from tasks.codec.image import SpectrogramImage
from tasks.codec.params import SpectrogramParams
from tasks.core.errors import ImageError
from tasks.core.files import seed_from, sha256, slug, write_json
from tasks.core.storage import replacing
from tasks.generate.params import GenerateParams

GENERATION_KEY = "emoriff-generation"
PEAK_DBFS = -1.0  # room for what lossy coding adds
QUIET_MAX_VALUE = 1e3  # decoded at this level first: nothing clips, so that the peak can be measured


@dataclass(frozen=True)
class Request:
    """What a clip was asked for; it travels inside the PNG."""

    experiment: str
    emotion: str
    seed: int
    seconds: float
    extra: dict[str, Any]  # of interpolations and variations; empty otherwise

    @property
    def name(self) -> str:
        """File name without suffix: happy_0003, sad-like-song_0003."""
        words = f"{self.emotion} like {Path(self.extra['like']).stem}" if "like" in self.extra else self.emotion
        return f"{slug(words)}_{self.seed:04d}"


def n_columns(seconds: float, spectrogram_params: SpectrogramParams) -> int:
    """Columns of an image of so many seconds: 512 for 5.12 s."""
    return max(2, round(1000 * seconds / spectrogram_params.step_ms))


def write_clip(
    pixels: NDArray[np.uint8],
    request: Request,
    params: GenerateParams,
    spectrogram_params: SpectrogramParams,
    folder: Path,
    stage_seed: int,
) -> dict[str, Any]:
    """The clip's files in `folder` and its row of the manifest.

    Args:
        pixels: grey uint8 [height, width] at the model's size, at least as long as `request.seconds`.
        stage_seed: with the request it seeds the phases of the audio.
    """
    image = denoised(full_size_image(pixels, request.seconds, spectrogram_params), params)
    phase_seed = seed_from(stage_seed, "phases", request.emotion, request.seed)
    image, waveform = levelled(image, params, phase_seed)
    rate, name = spectrogram_params.sample_rate_hz, request.name
    listening = f"{name}.{params.listening_format}"
    facts = generation_facts(request, params, stage_seed)
    save_image(image, folder / f"{name}.png", facts)
    write.write_wav(folder / f"{name}.wav", waveform, rate)
    write.write_listening(folder / listening, waveform, rate)
    write_json(folder / f"{name}.json", facts | {"max_value": image.max_value, "n_columns": image.columns})
    return {
        "experiment": request.experiment,
        "emotion": request.emotion,
        "seed": request.seed,
        "png": f"{name}.png",
        "wav": f"{name}.wav",
        "listening": listening,
        "sidecar": f"{name}.json",
        "seconds": waveform.shape[-1] / rate,
        "sha256": sha256(folder / f"{name}.wav"),
    }


def full_size_image(pixels: NDArray[np.uint8], seconds: float, params: SpectrogramParams) -> SpectrogramImage:
    """The model's image at the codec's size and its true number of columns, cut to `seconds`.

    As wide as it is high it stands for `tile_columns` columns of `step_ms`: a tile's, or a whole segment's.

    Raises:
        PictureError: it is shorter.
    """
    width = round(pixels.shape[1] * params.tile_columns / pixels.shape[0])  # an image is as wide as high
    wanted = n_columns(seconds, params)
    if wanted > width:
        raise ImageError("the image is too short", expected=f"{wanted} columns", got=width)
    small = SpectrogramImage(pixels, QUIET_MAX_VALUE, None, params, width)
    whole = forward.resized(small, params.n_mels, width)
    return replace(whole, pixels=np.ascontiguousarray(whole.pixels[:, :wanted]), n_columns=wanted)


def denoised(image: SpectrogramImage, params: GenerateParams) -> SpectrogramImage:
    """The image after the post-processing that the parameters ask for."""
    return replace(image, pixels=denoise.denoise(image.pixels, params.denoise))


def levelled(
    image: SpectrogramImage, params: GenerateParams, seed: int
) -> tuple[SpectrogramImage, NDArray[np.float32]]:
    """Image and waveform [channels, samples] with a peak of PEAK_DBFS, `max_value` being what that level means.

    A model's image does not say how loud it is, so all clips get the same peak.
    """
    waveform = inversion.waveform_from_image(image, params.decode, seed)
    peak = float(np.abs(waveform).max())
    if peak == 0:
        return image, waveform
    gain = 10 ** (PEAK_DBFS / 20) / peak
    exponent = 1 if image.params.form == "riffusion" else 2  # log_mel holds powers
    return replace(image, max_value=image.max_value * gain**exponent), waveform * np.float32(gain)


def generation_facts(request: Request, params: GenerateParams, stage_seed: int) -> dict[str, Any]:
    """All that made the clip beside the model's weights."""
    made_with = params.model_dump(exclude={"prompts", "clips_per_prompt", "seconds", "batch"})
    asked = {"experiment": request.experiment, "emotion": request.emotion, "seed": request.seed}
    return {**asked, "seconds": request.seconds, "stage_seed": stage_seed, "parameters": made_with, **request.extra}


def save_image(image: SpectrogramImage, path: Path, facts: dict[str, Any]) -> None:
    """A PNG with Riffusion's tags and `facts` as JSON in the text chunk GENERATION_KEY."""
    with replacing(path) as temporary:
        forward.save(image, temporary)
        text = json.dumps(facts, sort_keys=True)
        temporary.write_bytes(with_text(temporary.read_bytes(), GENERATION_KEY, text))


def with_text(png: bytes, key: str, text: str) -> bytes:
    """PNG bytes with a tEXt chunk (ASCII) right after the header, where readers look before the pixels."""
    header = 33  # signature and IHDR chunk
    body = b"tEXt" + key.encode("ascii") + b"\0" + text.encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:header] + chunk + png[header:]
