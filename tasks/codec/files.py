"""Whole files through the codec, for the command line: audio file <-> **PNG**."""

import contextlib
from pathlib import Path

from tasks.audio import write as audio_files
from tasks.audio.decoding import DecodedAudio, decode, decode_with_ffmpeg, ffmpeg
from tasks.codec import forward, inversion
from tasks.codec.params import DecodeParams, SpectrogramParams
from tasks.core.errors import AudioError, ImageError, ParameterError


def encode_file(audio: Path, png: Path, params: SpectrogramParams, tile: bool) -> list[Path]:
    """The images written: `png` for the whole file (1 + floor(N / hop) columns), or its tiles.

    Tiles are named `png` with _0, _1, ... Mono images have three equal channels, as Riffusion writes them.
    Another sample rate is resampled to the parameters'; more than two channels are mixed down to one.

    Raises:
        ParameterError: `png` does not end in .png (a lossy image would be another spectrogram).
        AudioError: no usable audio, or a waveform shorter than one window.
    """
    if png.suffix.lower() != ".png":
        raise ParameterError("unknown kind of image", where=png, expected="a name that ends in .png")
    decoded = decoded_as_riffusion(audio)
    waveform = decoded.waveform
    if len(waveform) > 2:
        waveform = waveform.mean(axis=0, keepdims=True)
    try:
        image = forward.encode(waveform, decoded.sample_rate_hz, params)
    except AudioError as error:
        raise error.at(audio) from error
    if not tile:
        forward.save(image, png, three_channels=True)
        return [png]
    written = []
    for index, part in enumerate(forward.tiles(image, params)):
        written.append(png.with_name(f"{png.stem}_{index}.png"))
        forward.save(part, written[-1], three_channels=True)
    return written


def decoded_as_riffusion(audio: Path) -> DecodedAudio:
    """The file's waveform; MP3 by ffmpeg, because Riffusion decodes so.

    libsndfile differs by one step of 16 bits here and there, and at the start of files cut out of a longer MP3.
    """
    if audio.suffix.lower() == ".mp3" and ffmpeg():
        with contextlib.suppress(AudioError):  # not what it seems: `decode` goes by content and says what is wrong
            return decode_with_ffmpeg(audio, AudioError("not decoded yet"))
    return decode(audio)


def decode_file(pngs: list[Path], audio: Path, decode: DecodeParams, seed: int) -> None:
    """The image as audio: 16-bit WAV, or MP3 or Opus by the name's ending; mono or stereo as the image is.

    Several images are the tiles of one spectrogram, in any order; where they overlap, they are cross-faded.
    """
    images = [forward.load(png) for png in pngs]
    try:
        image = images[0] if len(images) == 1 else inversion.join_tiles(images)
    except ImageError as error:
        raise error.at(", ".join(map(str, pngs))) from error
    waveform = inversion.waveform_from_image(image, decode, seed)
    write = audio_files.write_wav if audio.suffix.lower() == ".wav" else audio_files.write_listening
    write(audio, waveform, image.params.sample_rate_hz)
