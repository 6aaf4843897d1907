"""One clip for a person: emotion, seed, length -> **generate PROMPT** -> PNG, WAV and a file to listen to."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.codec import forward
from tasks.core.errors import ImageError, ParameterError
from tasks.core.files import seed_from
from tasks.generate import clip_writer, sampling
from tasks.settings import Params


def generate_clip(
    prompt: str,
    experiment: str,
    params: Params,
    seconds: float,
    seed: int,
    out: Path,
    to: str | None = None,
    like: Path | None = None,
    strength: float = 0.6,
) -> dict[str, Any]:
    """The manifest row of one clip, its files in `out`; as long as the stage's clips it is the stage's clip.

    Args:
        to: glide from `prompt` to this second emotion.
        like: vary this audio file or spectrogram picture; `seconds` is then its own length.
        strength: with `like`, how far from it (0..1].

    Raises:
        ParameterError: an unknown emotion, or `to` and `like` together.
        ModelError: the experiment was not trained.
    """
    if to and like:
        raise ParameterError("a glide or a variation, not both", got=f"--to {to} --like {like}", todo="leave one out")
    for emotion in filter(None, (prompt, to)):
        sampling.check_emotion(emotion, params.generate.prompts)
    model = sampling.load_pipeline(sampling.trained_model(experiment, Path("models")))
    noise_seed = seed_from(params.seed, prompt, seed)
    length = sampling.latent_length(model, seconds, params.spectrogram)
    if like:
        source = source_picture(like, model, params)
        pixels = sampling.vary(model, source[None], [prompt], [noise_seed], params.generate, strength)[0]
        seconds = (
            pixels.shape[1] / model.resolution * params.spectrogram.tile_columns * params.spectrogram.step_ms / 1000
        )
        extra = {"like": like.name, "strength": strength}
    elif to:
        pixels = sampling.interpolate(model, prompt, to, noise_seed, params.generate, length)
        extra = {"to": to}
    else:
        pixels = sampling.generate_long(model, [prompt], [noise_seed], params.generate, length)[0]
        extra = {}
    request = clip_writer.Request(experiment, f"{prompt} {to}" if to else prompt, seed, seconds, extra)
    return clip_writer.write_clip(pixels, request, params.generate, params.spectrogram, out, params.seed)


def source_picture(file: Path, model: sampling.Model, params: Params) -> NDArray[np.uint8]:
    """An audio file or a picture at the model's size, uint8 [resolution, columns], whole latents only.

    Raises:
        PictureError: it is shorter than one image.
    """
    if file.suffix.lower() == ".png":
        picture = forward.load(file)
    else:
        from tasks.audio.decoding import decode

        decoded = decode(file)
        picture = forward.encode(decoded.waveform, decoded.sample_rate_hz, params.spectrogram)
    one_image = params.spectrogram.tile_columns
    n_columns = one_image if picture.columns == one_image - 1 else picture.columns  # a clip may lack the last one
    width = round(n_columns * model.resolution / one_image)
    columns = width // model.scale * model.scale
    if columns < model.resolution:
        raise ImageError(
            "too short to vary",
            where=file,
            expected=f"at least one image of {one_image} columns",
            got=f"{picture.columns} columns",
        )
    small = forward.resized(picture, model.resolution, width).pixels
    grey = small if small.ndim == 2 else small[..., 1:].min(axis=2)  # the louder of left and right
    return np.ascontiguousarray(grey[:, :columns])
