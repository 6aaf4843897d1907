"""A spectrogram as an image, with its parameters inside: spectrogram -> **PNG** -> spectrogram.

Riffusion's EXIF tags travel in the eXIf chunk; what Riffusion has no tag for (form, top_db, loudness, the
columns of a resized image) is a JSON text chunk named `emoriff`. Both are optional when reading: missing
values fall back to Riffusion's own, values that cannot be are an error.
"""

import hashlib
import json
import math
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ValidationError

from tasks.codec.params import MOST_STRETCH, SpectrogramParams
from tasks.core import windows
from tasks.core.errors import ImageError, ParameterError
from tasks.core.storage import replacing

TEXT_KEY = "emoriff"

# Riffusion's own values: what its images mean where a tag is missing.
RIFFUSION = SpectrogramParams(
    form="riffusion",
    sample_rate_hz=44100,
    step_ms=10,
    window_ms=100,
    padded_ms=400,
    n_mels=512,
    min_hz=0,
    max_hz=10000,
    power=0.25,
    top_db=80.0,
    channel="mix",
    tiling="tiles",
    tile_columns=512,
    augment=[],
)
RIFFUSION_MAX_VALUE = 30e6  # what Riffusion assumes of an image without the tag

FORMATS = ("PNG", "JPEG", "WEBP")  # Riffusion's images come so; no other format's reader is tried
MOST_PIXELS_A_BYTE = 8300  # deflate packs 1032 to 1, and 8 pixels of one bit are a byte
MOST_COLUMNS = 2_000_000  # of a spectrogram in tiles: more than five hours
COLOUR_SPREAD = 16.0  # pixel values; a VAE leaves 1 to 5 between the channels of a grey image

STEREO_TAG, MAX_VALUE_TAG = 11005, 11080
TAGS = {
    11000: "sample_rate_hz",
    11010: "step_ms",
    11020: "window_ms",
    11030: "padded_ms",
    11040: "n_mels",
    11050: "min_hz",
    11060: "max_hz",
    11070: "power",
}


@dataclass(frozen=True)
class SpectrogramImage:
    """Pixels and what they mean.

    `pixels` is uint8 [rows, columns] (mono) or [rows, columns, 3] (stereo: 0, left, right); 0 is the loudest
    and 255 silence; the lowest frequency is the bottom row. `max_value` is the mel value of pixel 0 (0 for
    digital silence). `loudness_lufs` is None where nobody measured it. `n_columns` is the number of
    `step_ms` columns that the image stands for; None: width times n_mels / height. `first_column` is where a
    tile begins in the spectrogram that it was cut out of.
    """

    pixels: np.ndarray
    max_value: float
    loudness_lufs: float | None
    params: SpectrogramParams
    n_columns: int | None = None
    first_column: int = 0

    @property
    def columns(self) -> int:
        """Columns of `step_ms` that the image stands for."""
        if self.n_columns is not None:
            return self.n_columns
        return max(1, round(self.pixels.shape[1] * self.params.n_mels / self.pixels.shape[0]))

    @property
    def sha256(self) -> str:
        """Hash of the size and the pixels, independent of how the PNG was compressed."""
        head = "x".join(str(side) for side in self.pixels.shape)
        return hashlib.sha256(head.encode() + np.ascontiguousarray(self.pixels).tobytes()).hexdigest()


def tiles(image: SpectrogramImage, params: SpectrogramParams) -> list[SpectrogramImage]:
    """The images that a segment becomes, from left to right.

    `tiles`: as few tiles of `tile_columns` as cover the image, evenly spread, the first at the left edge and
    the last at the right edge (1,001 columns: [0:512) and [489:1001)). An image narrower than one tile is
    padded at the right with silence. `square`: the whole segment, resized to n_mels x n_mels.
    """
    if params.tiling == "square":
        return [resized(image, params.n_mels, params.n_mels)]
    width, size = image.pixels.shape[1], params.tile_columns
    if width < size:
        missing = [(0, 0), (0, size - width)] + [(0, 0)] * (image.pixels.ndim - 2)
        padded = np.pad(image.pixels, missing, constant_values=255)
        if padded.ndim == 3:
            padded[:, :, 0] = 0  # red is no channel
        return [replace(image, pixels=padded, n_columns=size)]
    return [
        replace(image, pixels=image.pixels[:, start : start + size], n_columns=size, first_column=start)
        for start in windows.starts(width, size, overlap=0)
    ]


def resized(image: SpectrogramImage, height: int, width: int) -> SpectrogramImage:
    """The image at another size, standing for the same seconds and frequencies.

    Each axis by itself: averaged over the area where it shrinks, so that no detail folds back, and
    interpolated (Lanczos) where it grows.
    """
    rows, columns = image.pixels.shape[:2]
    pil_image = Image.fromarray(image.pixels)
    pil_image = pil_image.resize((width, rows), _resampling(columns, width))
    pil_image = pil_image.resize((width, height), _resampling(rows, height))
    return replace(image, pixels=np.asarray(pil_image), n_columns=image.columns)


def _resampling(old: int, new: int) -> Image.Resampling:
    return Image.Resampling.BOX if new < old else Image.Resampling.LANCZOS


def save(image: SpectrogramImage, path: Path, three_channels: bool = False) -> None:
    """A lossless PNG with its parameters inside; equal images give equal bytes.

    Mono is one grey channel (a third of the bytes; Riffusion's reader widens it), or with `three_channels`
    three equal ones, as Riffusion itself writes it.
    """
    pixels = image.pixels
    if three_channels and pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    with replacing(path) as temporary:
        temporary.write_bytes(_png(pixels, _exif(image), _text(image)))


def _png(pixels: np.ndarray, exif: bytes, text: str) -> bytes:
    """PNG bytes of uint8 [H, W] or [H, W, 3].

    Differences to the pixel on the left and run-length deflate: sound goes on, so this is smaller than Pillow's
    files at level 1, in a third of the time, and within 10 % of its default level's.
    """
    height, width = pixels.shape[:2]
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]
    rows = np.ones((height, 1 + pixels[0].size), np.uint8)  # each row starts with its filter type: 1, differences
    rows[:, 1:] = differences.reshape(height, -1)
    deflate = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    data = deflate.compress(rows.tobytes()) + deflate.flush()
    colour_type = 0 if pixels.ndim == 2 else 2
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"eXIf", exif), (b"tEXt", f"{TEXT_KEY}\0{text}".encode("latin-1")), (b"IDAT", data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in [*chunks, (b"IEND", b"")])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def _exif(image: SpectrogramImage) -> bytes:
    """Riffusion's tags as big-endian TIFF: whole numbers SHORT, power and max value DOUBLE."""
    exif = Image.Exif()
    for tag, name in TAGS.items():
        exif[tag] = getattr(image.params, name)
    exif[STEREO_TAG] = int(image.pixels.ndim == 3)
    exif[MAX_VALUE_TAG] = float(image.max_value)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def _text(image: SpectrogramImage) -> str:
    """What Riffusion has no tag for. Columns only of a resized image, so that others can be cropped anywhere."""
    params = image.params
    extra: dict[str, Any] = {"form": params.form, "top_db": params.top_db, "channel": params.channel}
    extra["loudness_lufs"] = image.loudness_lufs
    if image.pixels.shape[:2] != (params.n_mels, image.columns):
        extra["n_columns"] = image.columns
    if image.first_column:
        extra["first_column"] = image.first_column
    return json.dumps(extra, sort_keys=True)


def load(path: Path) -> SpectrogramImage:
    """The image of a file, ours or Riffusion's, with the parameters it was made with.

    Fallbacks: missing tags are Riffusion's values; a mono image with three nearly equal channels (a diffusion
    model's output) is their mean; three channels without a stereo tag are stereo when red is 0 throughout.

    Raises:
        PictureError: no image, 16-bit or coloured, or tags that cannot be.
    """
    pil_image = open_image(path)
    if pil_image.mode not in ("L", "RGB", "P", "RGBA", "LA", "1"):
        raise ImageError("unusual pixels", where=path, expected="8-bit grey or RGB", got=pil_image.mode)
    try:
        with warnings.catch_warnings(action="error"):  # a tag that is cut off would be left out
            exif, text = dict(pil_image.getexif()), str(pil_image.info.get(TEXT_KEY, "{}"))
        pixels = np.asarray(pil_image if pil_image.mode in ("L", "RGB") else pil_image.convert("RGB"))
    except Exception as error:  # damaged tags or palettes
        raise ImageError("not a readable image", where=path, expected="a PNG", got=error) from error
    extra = _extra_from_text(text, path)
    params, max_value = _params_from_tags(exif, extra, path)
    pixels = _channels(pixels, exif.get(STEREO_TAG), path)
    if pixels.ndim == 3:
        params = params.model_copy(update={"channel": "stereo"})
    places = {"n_columns": extra.get("n_columns"), "first_column": extra.get("first_column", 0)}
    image = SpectrogramImage(pixels, max_value, extra.get("loudness_lufs"), params, **places)
    if not 1 <= image.columns <= MOST_STRETCH * pixels.shape[1]:
        expected = f"1 to {MOST_STRETCH} times its width of {pixels.shape[1]}"
        raise ImageError("it cannot stand for so many columns", where=path, expected=expected, got=image.columns)
    return image


def open_image(path: Path) -> Image.Image:
    """The image of a file, its pixels read.

    Raises:
        PictureError: of another format, damaged, or larger than its bytes can be.
    """
    try:
        with Image.open(path, formats=FORMATS) as pil_image:
            most = MOST_PIXELS_A_BYTE * path.stat().st_size
            if pil_image.format == "PNG" and pil_image.width * pil_image.height > most:
                raise ValueError(f"it announces {pil_image.width} x {pil_image.height} pixels and cannot hold them")
            pil_image.load()
            return pil_image
    except Exception as error:  # Pillow tells damage in a dozen ways
        raise ImageError("not a readable image", where=path, expected="a PNG", got=error) from error


def _extra_from_text(text: str, path: Path) -> dict[str, Any]:
    try:
        extra = json.loads(text)
        columns, loudness = extra.get("n_columns"), extra.get("loudness_lufs")
        first = extra.get("first_column", 0)
        known = loudness is None or (isinstance(loudness, int | float) and math.isfinite(loudness))
        if not (columns is None or type(columns) is int) or not known:
            raise ValueError("n_columns or loudness_lufs is no number")
        if type(first) is not int or not 0 <= first <= MOST_COLUMNS:
            raise ValueError(f"first_column is none of 0 to {MOST_COLUMNS}")
        return extra
    except (ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ImageError("its emoriff text cannot be read", where=path, got=f"{text[:200]} ({error})") from error


def _params_from_tags(exif: dict[int, Any], extra: dict[str, Any], path: Path) -> tuple[SpectrogramParams, float]:
    """Parameters and max value of the tags, Riffusion's where a tag is missing."""
    values = RIFFUSION.model_dump() | {name: extra[name] for name in ("form", "top_db", "channel") if name in extra}
    values |= {name: exif[tag] for tag, name in TAGS.items() if tag in exif}
    try:
        params = SpectrogramParams.model_validate(values)
        max_value = float(exif.get(MAX_VALUE_TAG, RIFFUSION_MAX_VALUE))
        if not 0 <= max_value < 1e20:
            raise ParameterError("max value out of range", expected="0..1e20", got=max_value)
        if params.padded_ms > 4000 or params.n_mels > 4096:
            raise ParameterError("too large", expected="padded <= 4000 ms, <= 4096 mels", got=values)
        return params, max_value
    except (ValidationError, ParameterError, TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise ImageError(
            "its tags cannot be a spectrogram's",
            where=path,
            expected="Riffusion's tags 11000 to 11080, or none",
            got=error,
            todo="remove the EXIF data to have it read with Riffusion's default values",
        ) from error


def _channels(pixels: np.ndarray, stereo_tag: object, path: Path) -> np.ndarray:
    """[H, W] for mono, [H, W, 3] for stereo."""
    if pixels.ndim == 2:
        if stereo_tag:
            raise ImageError("tagged as stereo, but grey", where=path, expected="three channels", got="one")
        return pixels
    if stereo_tag or (stereo_tag is None and not pixels[:, :, 0].any() and pixels.any()):
        return pixels
    spread = np.ptp(pixels.astype(np.int16), axis=2).mean()
    if spread > COLOUR_SPREAD:
        raise ImageError(
            "a coloured image, no spectrogram",
            where=path,
            expected=f"three nearly equal channels (mean spread <= {COLOUR_SPREAD})",
            got=f"mean spread {spread:.1f}",
        )
    return np.rint(pixels.mean(axis=2)).astype(np.uint8)
