"""Any audio file as a waveform: MP3, WAV, ... -> **samples in -1..1** -> audio.

libsndfile first: in process and three to four times faster; what it cannot read goes to ffmpeg through pydub.
Two decoders differ in their samples, so the one that was used is reported with its version.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tasks.core.errors import AudioError

BLOCK_SAMPLES = 1 << 19
MOST_SAMPLES = 1 << 29  # of a song, all channels: 100 minutes of 44.1 kHz stereo, 2 GiB as float32
END_SECONDS = 0.1  # a shortfall below this is a decoder's end effect: DEAM's MP3s lack 13 to 15 ms
LOWEST_HZ, HIGHEST_HZ = 4000, 768000  # a header that says 1 Hz would fill the memory when resampled
STREAMED_BYTES = 0x7FFF0000  # a WAV header that says more was written to a pipe: the length was unknown
FORMATS = {  # ending -> names of the format in libsndfile, in ffmpeg
    ".mp3": ("MP3", "mp3"),
    ".wav": ("WAV WAVEX RF64", "wav"),
    ".flac": ("FLAC", "flac"),
    ".ogg": ("OGG", "ogg"),
    ".opus": ("OGG", "ogg"),
    ".aiff": ("AIFF", "aiff"),
    ".m4a": ("", "m4a"),
}
NATIVE_NOISE = re.compile(r"^(Note|Warning): .*|^\[src/libmpg123.*|^main: .*")
INPUT = re.compile(r"^Input #0, (\S+), from ", re.MULTILINE)
STREAM = re.compile(r"^  +Stream #0:\d+\S*: Audio: ", re.MULTILINE)
DAMAGE = re.compile(r"error: |Trying to resync")


@dataclass(frozen=True)
class DecodedAudio:
    """A decoded file. `waveform` is float32 [channels, samples], in -1..1 but for overshoot of lossy coders."""

    waveform: np.ndarray
    sample_rate_hz: int
    decoder: str
    decoder_version: str
    flags: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()  # what the flags mean here


class UnreadableError(AudioError):
    """This decoder cannot read the file."""


def decode(path: Path) -> DecodedAudio:
    """The waveform of a file, decoded once, by content and not by its name.

    Flags: truncated (the file announces more than it holds), damaged (the decoder had to skip bytes),
    mislabelled (the content is not what the ending says), cover_art.

    Raises:
        AudioError: missing, empty, no audio, or nothing in it can be decoded.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise AudioError("empty file" if path.is_file() else "no such file", where=path)
    try:
        decoded = decode_with_soundfile(path)
    except UnreadableError as error:
        decoded = decode_with_ffmpeg(path, error)
    if not decoded.waveform.size:
        raise AudioError("no samples", where=path, got="a header without audio")
    if not LOWEST_HZ <= decoded.sample_rate_hz <= HIGHEST_HZ:
        got = f"{decoded.sample_rate_hz} Hz"
        raise AudioError("wrong header", where=path, expected=f"a rate of {LOWEST_HZ} to {HIGHEST_HZ} Hz", got=got)
    if not np.isfinite(decoded.waveform).all():
        raise AudioError("samples that are not finite numbers", where=path)
    if has_cover_art(path):
        return _flagged(decoded, "cover_art")
    return decoded


def _flagged(decoded: DecodedAudio, flag: str, remark: str = "") -> DecodedAudio:
    remarks = (*decoded.remarks, remark) if remark else decoded.remarks
    return replace(decoded, flags=(*decoded.flags, flag), remarks=remarks)


def decode_with_soundfile(path: Path) -> DecodedAudio:
    """The file as libsndfile reads it.

    Raises:
        UnreadableError: says why.
    """
    try:
        with native_stderr() as noise, soundfile.SoundFile(path) as file:
            blocks = list(_blocks(file))  # by blocks: the length in a header can be wrong or unknown
            rate, kind, frames, header = file.samplerate, file.format, file.frames, file.extra_info
    except soundfile.LibsndfileError as error:
        raise UnreadableError(f"libsndfile: {_reason(error)}", where=path) from error
    waveform = np.ascontiguousarray(np.concatenate(blocks).T) if blocks else np.zeros((1, 0), np.float32)
    decoded = DecodedAudio(waveform, rate, "libsndfile", soundfile.__libsndfile_version__)
    announced = max(frames, _announced_frames(header, waveform.shape[0]))
    if announced - waveform.shape[1] > END_SECONDS * rate:
        remark = f"announces {announced / rate:.2f} s, holds {waveform.shape[1] / rate:.2f} s"
        decoded = _flagged(decoded, "truncated", remark)
    damage = next((line for line in noise if DAMAGE.search(line)), None)
    if damage:
        decoded = _flagged(decoded, "damaged", f"decoder: {damage.split('] ')[-1]}")
    formats, _ = FORMATS.get(path.suffix.lower(), (kind, ""))
    return decoded if kind in formats.split() else _flagged(decoded, "mislabelled", f"holds {kind}")


def _reason(error: soundfile.LibsndfileError) -> str:
    """What libsndfile says; of content it cannot recognise it says that the file does not exist."""
    text = error.error_string.rstrip(".").removeprefix("Error : ")
    return "unknown format" if "does not exist" in text or "not recognised" in text else text


def _blocks(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Blocks of at most so many samples, because a header may announce a thousand channels.

    Raises:
        AudioError: more than MOST_SAMPLES.
    """
    n_frames, n_samples = max(1, BLOCK_SAMPLES // max(2, file.channels)), 0
    while len(block := file.read(n_frames, dtype="float32", always_2d=True)):
        n_samples += block.size
        if n_samples > MOST_SAMPLES:
            raise AudioError("too long", where=file.name, expected=f"at most {MOST_SAMPLES} samples in all channels")
        yield block


def _announced_frames(header: str, n_channels: int) -> int:
    """Frames that a WAV header announces when they are more than the file holds, else 0 (libsndfile's log)."""
    sizes = re.search(r"^data : (\d+) \(should be (\d+)\)", header, re.MULTILINE)
    align = re.search(r"Block Align +: (\d+)", header)
    if not sizes or int(sizes[1]) >= STREAMED_BYTES:
        return 0
    return int(sizes[1]) // max(1, int(align[1]) if align else 2 * n_channels)


def decode_with_ffmpeg(path: Path, reason: AudioError) -> DecodedAudio:
    """The file as ffmpeg reads it, through pydub.

    Args:
        path: the file.
        reason: why libsndfile could not, for the message.

    Raises:
        AudioError: no ffmpeg, no audio in the file, or it cannot be decoded.
    """
    if not ffmpeg():
        raise AudioError(
            f"{reason.what}; ffmpeg, which reads more, is not installed",
            where=path,
            todo="install ffmpeg, or convert the file to WAV, FLAC, MP3 or Ogg",
        )
    if looks_like_text(path):  # ffmpeg would play text as a screen, and fetch what a playlist names
        raise AudioError("not audio: a text file", where=path, got=_head(path, 40))
    segment, kind = _pydub_segment(path, reason)
    samples = np.array(segment.get_array_of_samples(), dtype=np.float32).reshape(-1, segment.channels).T
    waveform = np.ascontiguousarray(samples / np.float32(1 << (8 * segment.sample_width - 1)))
    decoded = DecodedAudio(waveform, segment.frame_rate, "ffmpeg", f"{ffmpeg_version()}, pydub {version('pydub')}")
    sound, expected = FORMATS.get(path.suffix.lower(), ("", ""))
    if expected not in kind:
        return _flagged(decoded, "mislabelled", f"holds {kind}")
    if sound:  # of a format that libsndfile reads, but it could not
        return _flagged(decoded, "damaged", reason.what)
    return decoded


def _pydub_segment(path: Path, reason: AudioError) -> tuple[Any, str]:
    """pydub's AudioSegment of 16-bit samples, and what ffmpeg calls the file's format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # audioop leaves the standard library in 3.13; no ffmpeg on the path
        from pydub import AudioSegment
        from pydub.exceptions import CouldntDecodeError
    AudioSegment.converter = ffmpeg()
    try:
        with _unnamed(path) as content:
            printed = _ffmpeg("-hide_banner", "-i", content)
            kind, audio = INPUT.search(printed), STREAM.search(printed)
            if kind and not audio:
                raise AudioError("not audio", where=path, got=f"{reason.what}; ffmpeg finds no audio in it")
            if not kind or not audio:
                raise ValueError(printed)
            # pydub's other way asks ffprobe, and then names the decoder; here ffmpeg chooses it, as for Riffusion
            return AudioSegment.from_file_using_temporary_files(content), kind[1]
    except (CouldntDecodeError, LookupError, ValueError) as error:
        raise AudioError("cannot be decoded", where=path, got=f"{reason.what}; ffmpeg: {_last_line(error)}") from error


@contextmanager
def _unnamed(path: Path) -> Iterator[str]:
    """The file under a name without ending: pydub trusts the header of whatever is called .wav."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "audio"
        link.symlink_to(path.resolve())
        yield str(link)


def _last_line(error: Exception) -> str:
    """The end of ffmpeg's output."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines and "Output from ffmpeg" in str(error) else "not audio"


@lru_cache
def ffmpeg() -> str | None:
    """The ffmpeg program that is pinned along with our packages; where it has none for this machine, the system's."""
    import imageio_ffmpeg

    try:
        program: str = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        return None
    return program


def _ffmpeg(*arguments: str) -> str:
    """What ffmpeg prints, on either stream."""
    done = subprocess.run([str(ffmpeg()), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode("utf-8", "replace")


@lru_cache
def ffmpeg_version() -> str:
    """As "ffmpeg 5.1.9"."""
    return " ".join(_ffmpeg("-version").split("\n")[0].split()[0:3:2])


def looks_like_text(path: Path) -> bool:
    """Whether the file begins as text does: nothing but printable characters, tabs and line ends."""
    head = _head(path, 512)
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)


def _head(path: Path, n_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(n_bytes)


def has_cover_art(path: Path) -> bool:
    """Whether the file begins with an ID3v2 tag that holds a picture (frame APIC; PIC in ID3v2.2)."""
    head = _head(path, 10)
    if len(head) < 10 or head[:3] != b"ID3":
        return False
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    tag = _head(path, 10 + size)
    return (b"PIC" if head[3] == 2 else b"APIC") in tag


_STDERR = threading.Lock()


@contextmanager
def native_stderr() -> Iterator[list[str]]:
    """Lines that the MP3 decoder writes to the process's stderr meanwhile; known when the block has ended.

    libmpg123 cannot be told to be quiet, and its lines name no file. What others write meanwhile is passed on.
    """
    lines: list[str] = []
    with _STDERR, tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            written = file.read().decode("utf-8", "replace").splitlines(keepends=True)
            lines += [line.strip() for line in written if NATIVE_NOISE.match(line)]
            others = [line for line in written if line.strip() and not NATIVE_NOISE.match(line)]
            os.write(2, "".join(others).encode())
