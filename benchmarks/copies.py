"""Are copies found? Clips of real songs, moved and changed, among clips of songs that were not trained on.

`python -m benchmarks.copies [FOLDER ...]` takes the audio files below the folders (default: benchmarks.record.REAL; at
least six). Clips of each song are planted unchanged, moved by 0 to 5 s, by a semitone, in gain, through the codec, and
all at once. Clips of each song against all other songs are new music. Printed: the share of planted copies found where
one new clip in a hundred is taken for a copy, and the share of new clips that evaluate's own threshold takes for
copies, which each half of the songs gives for the other half.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.record import REAL, Report
from tasks.codec import forward, inverse
from tasks.codec.params import DecodeParams
from tasks.evaluate import copies, fingerprints
from tasks.evaluate.clips import Codec, shrunk
from tasks.evaluate.fingerprints import Prints

SUFFIXES = {".mp3", ".ogg", ".wav", ".flac"}
SECONDS, FEWEST, AT_LEAST = 5.11, 6, 0.95
RATE = 44100
Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def read(path: Path) -> np.ndarray:
    """A file as mono float32 at 44.1 kHz, at most its first minute."""
    import soundfile
    import soxr

    with soundfile.SoundFile(path) as file:
        samples, rate = file.read(60 * file.samplerate, dtype="float32", always_2d=True), file.samplerate
    mono = samples.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE)


def cut(song: np.ndarray, start: float) -> np.ndarray:
    first = round(start * RATE)
    return song[first : first + round(SECONDS * RATE)]


def same(song: np.ndarray, start: float, random: np.random.Generator) -> np.ndarray:
    return cut(song, start)


def moved(song: np.ndarray, start: float, random: np.random.Generator) -> np.ndarray:
    last = len(song) / RATE - SECONDS
    return cut(song, min(start + random.uniform(0, 5), last))


def transposed(song: np.ndarray, start: float, random: np.random.Generator) -> np.ndarray:
    import librosa

    return librosa.effects.pitch_shift(cut(song, start), sr=RATE, n_steps=float(random.choice((-1, 1))))


def amplified(song: np.ndarray, start: float, random: np.random.Generator) -> np.ndarray:
    return cut(song, start) * np.float32(10 ** (random.uniform(-20, 6) / 20))


def coded(song: np.ndarray, start: float, random: np.random.Generator) -> np.ndarray:
    return through_codec(cut(song, start))


def everything(song: np.ndarray, start: float, random: np.random.Generator) -> np.ndarray:
    last = len(song) / RATE - SECONDS
    later = min(start + random.uniform(0, 5), last)
    return through_codec(amplified(transposed(song, later, random), 0.0, random))


CHANGES: dict[str, Change] = {
    "unchanged": same,
    "moved 0 to 5 s": moved,
    "a semitone up or down": transposed,
    "gain of -20 to 6 dB": amplified,
    "codec at 128 pixels": coded,
    "all of these": everything,
}


def through_codec(waveform: np.ndarray) -> np.ndarray:
    """Picture, 128 pixels, and back."""
    params = forward.RIFFUSION
    decode = DecodeParams(method="pghi", iterations=4)
    codec = Codec(params, decode, 128, seed=1)
    picture = forward.encode(waveform[None], RATE, params)
    small = shrunk(picture, codec)
    full = forward.resized(small, params.n_mels, small.columns)
    return np.atleast_2d(inverse.waveform_from_picture(full, decode, 1)).mean(axis=0)


def starts(song: np.ndarray, step_seconds: float = SECONDS) -> np.ndarray:
    """Where clips of a song begin (s)."""
    return np.arange(0, len(song) / RATE - SECONDS, step_seconds)


def planted(songs: list[np.ndarray], n_frames: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Name of a change -> fingerprints of the changed clips."""
    places = [(song, start) for song in songs for start in starts(song)]
    return {
        name: np.stack([fingerprint(change(song, start, random), n_frames) for song, start in places])
        for name, change in CHANGES.items()
    }


def fingerprint(waveform: np.ndarray, n_frames: int) -> Prints:
    return fingerprints.fingerprint(waveform, RATE)[:n_frames]


def new_music(songs: list[np.ndarray], prints: list[Prints], n_frames: int) -> np.ndarray:
    """Similarity of clips of each song, a second apart, to the other songs."""
    rows = [(fingerprint(cut(song, at), n_frames), index) for index, song in enumerate(songs) for at in starts(song, 1)]
    clips, own = np.stack([print_ for print_, _ in rows]), np.array([index for _, index in rows])
    return fingerprints.best_match(clips, prints, forbidden=own).similarity


def false_alarms(songs: list[np.ndarray], prints: list[Prints], n_frames: int) -> float:
    """Share of the clips of one half of the songs that are copies of the other half by evaluate's threshold."""
    alarms = []
    for half in (0, 1):
        chosen = [index for index in range(len(songs)) if index % 2 == half]
        places = [(index, at) for index, song in enumerate(chosen) for at in starts(songs[song])]
        keys = np.array([f"{index} {at}" for index, at in places])
        owners, begin = (np.array(values) for values in zip(*places, strict=True))
        training = copies.TrainingSongs([prints[song] for song in chosen], keys, owners, begin)
        search = copies.CopySearch.of(training, n_frames)
        others = [song for index, song in enumerate(songs) if index % 2 != half]
        new = np.stack([fingerprint(cut(song, at), n_frames) for song in others for at in starts(song, 1)])
        alarms += list(search.match(new).similarity > search.threshold)
    return float(np.mean(alarms))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[REAL])
    files = sorted(
        path for folder in parser.parse_args().folders for path in folder.rglob("*") if path.suffix in SUFFIXES
    )
    songs = [song for song in map(read, files) if len(song) > 2 * SECONDS * RATE]
    if len(songs) < FEWEST:
        raise SystemExit(f"too few songs of at least {2 * SECONDS:.0f} s: expected {FEWEST}, got {len(songs)}")
    started, random = time.process_time(), np.random.default_rng(1)
    prints = [fingerprints.fingerprint(song, RATE) for song in songs]
    n_frames = len(fingerprints.fingerprint(cut(songs[0], 0), RATE))
    new = new_music(songs, prints, n_frames)
    threshold = np.percentile(new, 99)
    report = Report("copies")
    report.say(f"{len(songs)} songs, {len(new)} clips of new music")
    for name, clips in planted(songs, n_frames, random).items():
        found = float(np.mean(fingerprints.best_match(clips, prints).similarity > threshold))
        report.figure(f"planted copies found, {name}", found, bar=AT_LEAST, at_least=True)
    report.figure("new clips taken for copies by evaluate's threshold", false_alarms(songs, prints, n_frames))
    report.figure("time", time.process_time() - started, "CPU s", bar=120)
    report.save()


if __name__ == "__main__":
    main()
