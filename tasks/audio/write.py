"""Waveforms as files: float32 [channels, samples] -> **WAV, MP3, Opus** -> convert, generate, report."""

import io
from pathlib import Path

import numpy as np
import soundfile
import soxr

from tasks.audio.ogg import with_serial
from tasks.core.errors import AudioError
from tasks.core.storage import replacing

FULL_SCALE = 32767 / 32768  # the highest sample of 16 bits
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OPUS_RATE = 48000
OPUS_SERIAL = 1


def resample(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """[C, N] -> [C, about N * to_hz / from_hz], by soxr at its very high quality; unchanged at equal rates."""
    if from_hz == to_hz:
        return waveform
    return np.ascontiguousarray(soxr.resample(waveform.T, from_hz, to_hz, quality="VHQ").T)


def write_wav(path: Path, waveform: np.ndarray, rate: int) -> None:
    """`path` holds [C, N] in -1..1 as 16-bit WAV. Reading gives back each multiple of 1/32768 exactly.

    Raises:
        AudioError: not [C, N], no samples, or samples that are not finite.
    """
    _check_waveform(path, waveform)
    _write(path, _pcm16(waveform), rate, "WAV", "PCM_16")


def write_listening(path: Path, waveform: np.ndarray, rate: int) -> None:
    """`path` holds [C, N] as MP3 (.mp3) or as Opus in Ogg (.ogg, .opus), small enough for a web page.

    Equal sounds give equal bytes. Opus knows 48 kHz only; the sound is resampled where needed.

    Raises:
        AudioError: another ending, or as for `write_wav`.
    """
    ending = path.suffix.lower()
    if ending not in (".mp3", ".ogg", ".opus"):
        raise AudioError("not a listening format", where=path, expected=".mp3, .ogg or .opus", got=ending)
    form, subtype = ("MP3", "MPEG_LAYER_III") if ending == ".mp3" else ("OGG", "OPUS")
    written_hz = OPUS_RATE if form == "OGG" else rate if rate in MP3_RATES else 44100
    _check_waveform(path, waveform)
    # floats: from 16-bit stereo libsndfile 1.2.2 makes an MP3 of noise
    _write(path, np.clip(resample(waveform, rate, written_hz), -1, 1), written_hz, form, subtype)


def _check_waveform(path: Path, waveform: np.ndarray) -> None:
    if waveform.ndim != 2 or not waveform.size or not np.isfinite(waveform).all():
        raise AudioError("no waveform", where=path, expected="finite samples [channels, n]", got=waveform.shape)


def _pcm16(waveform: np.ndarray) -> np.ndarray:
    """int16 [C, N], rounded, cut at full scale."""
    return np.clip(np.rint(waveform * np.float32(32768)), -32768, 32767).astype(np.int16)


def _write(path: Path, samples: np.ndarray, rate: int, form: str, subtype: str) -> None:
    """Encoded in memory first: libsndfile reports a full disk as any other fault."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, rate, format=form, subtype=subtype)
    encoded = buffer.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(with_serial(encoded, OPUS_SERIAL) if form == "OGG" else encoded)
