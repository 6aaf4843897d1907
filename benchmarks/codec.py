"""Speed and fidelity of the spectrogram codec: `python -m benchmarks.codec [--quick] [AUDIO ...]`.

Clips: the given files, else those below EMORIFF_REAL_DATA (or ../shared/real) and every ninth song of data/wav.
Fidelity is measured round trip, audio -> picture -> audio -> picture, against Riffusion's way back written with
numpy and librosa: dense least squares for the mels, then 32 Griffin-Lim iterations with momentum 0.99 on the
17,640-point FFT. Speed is CPU time of one thread for 10 s of audio, the best of several runs, against a plain
librosa + Pillow version and against the floor: the decoder alone, and the Fourier transforms alone. That two
workers use both cores is judged by processor time too, which other work on the machine does not stretch: the one
worker's against that of the busier of two.
"""

import os

from tasks.execution.worker import THREAD_VARIABLES

os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # before numpy is imported

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import scipy.linalg
import soundfile
from PIL import Image
from scipy import fft

from benchmarks.record import REAL, Report, real_clips
from benchmarks.watch import cpu_ms, peak_memory
from tasks.codec import forward, inversion
from tasks.codec.image import RIFFUSION, SpectrogramImage
from tasks.codec.params import DecodeParams
from tasks.spectrogram import render

RATE, HOP, SEED = 44100, 441, 1
TEN_SECONDS, TILE = 10 * RATE, 511 * HOP
REFERENCE = "Riffusion (least squares)"
OURS = {
    "ours: PGHI + 8": DecodeParams(method="pghi", iterations=8),
    "ours: PGHI + 16": DecodeParams(method="pghi", iterations=16),
    "ours: PGHI + 32": DecodeParams(method="pghi", iterations=32),
    "ours: random + 32": DecodeParams(method="griffin_lim", iterations=32),
}


def clips(given: list[Path]) -> dict[str, list[Path]]:
    """Audio files to measure on, by where they come from."""
    if given:
        return {"given": given}
    found = {"real": real_clips(), "demo's": sorted(Path("data/wav").glob("*.wav"))[::9]}
    groups = {name: paths for name, paths in found.items() if paths}
    if not groups:
        raise SystemExit(f"no clips: set EMORIFF_REAL_DATA (now {REAL}), name some, or run `make repro` first")
    return groups


def excerpt(path: Path, n_samples: int) -> np.ndarray:
    """Mono int16-scale samples [N] from the middle of the file, or fewer where it is shorter."""
    waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = forward.choose_channel(forward.int16_samples(waveform.T, rate, RATE), "mix")[0]
    start = max(0, (len(samples) - n_samples) // 2)
    return samples[start : start + n_samples]


def riffusions_waveform(picture: SpectrogramImage) -> np.ndarray:
    """The reference way back: float32 [1, N]."""
    bank = librosa.filters.mel(sr=RATE, n_fft=17640, n_mels=512, fmin=0, fmax=10000, htk=True, norm=None)
    mels = forward.mels_from_image(picture)[0].T
    magnitudes = np.maximum(scipy.linalg.lstsq(bank, mels, lapack_driver="gelsy")[0], 0)
    waveform = librosa.griffinlim(
        magnitudes, n_iter=32, hop_length=HOP, win_length=4410, momentum=0.99, init="random", random_state=SEED
    )
    return (waveform * (inversion.PEAK / max(np.abs(waveform).max(), 1)))[None].astype(np.float32)


def fidelity(paths: list[Path], with_reference: bool) -> pd.DataFrame:
    """A row a method and clip."""
    methods: dict[str, Callable[[SpectrogramImage], np.ndarray]] = {
        name: lambda picture, decode=decode: inversion.waveform_from_image(picture, decode, SEED)
        for name, decode in OURS.items()
    }
    if with_reference:
        methods = {REFERENCE: riffusions_waveform} | methods
    rows = []
    for path in paths:
        original = excerpt(path, TILE)
        picture = forward.encode(original[None] / 32768, RATE, RIFFUSION)
        for name, decode in methods.items():
            started = time.process_time()
            waveform = decode(picture)
            seconds = time.process_time() - started
            measured = distances(picture, original, waveform[0])
            rows.append({"method": name, "clip": path.name, **measured, "CPU s": seconds})
    return pd.DataFrame(rows)


def distances(picture: SpectrogramImage, original: np.ndarray, waveform: np.ndarray) -> dict[str, float]:
    """How far the decoded waveform is from the picture (first two) and from the original audio (last two).

    Level is left out, by the gain that fits the mels best: both ways back scale what would clip.
    """
    again = forward.encode(waveform[None], RATE, RIFFUSION)
    before, after = forward.mels_from_image(picture), forward.mels_from_image(again)
    gain = (before * after).sum() / np.square(after).sum()
    after, waveform = after * gain, waveform * gain
    sounds = (original[: len(waveform)] / 32768, waveform)
    spectra = [decibels(sound) for sound in sounds]
    cepstra = [librosa.feature.mfcc(y=sound, sr=RATE, n_mfcc=14, n_mels=80, fmax=10000)[1:] for sound in sounds]
    return {
        "mel error dB": float(20 * np.log10(np.linalg.norm(after - before) / np.linalg.norm(before))),
        "pixel MAE": np.abs(picture.pixels.astype(int) - again.pixels).mean(),
        "log-spectral dB": np.sqrt(np.square(spectra[0] - spectra[1]).mean(axis=0)).mean(),
        "mel-cepstral": np.sqrt(2 * np.square(cepstra[0] - cepstra[1]).sum(axis=0)).mean() / 10,
    }


def decibels(waveform: np.ndarray) -> np.ndarray:
    """STFT level to 10 kHz in dB, no lower than 80 dB below the loudest."""
    magnitudes = np.abs(librosa.stft(waveform.astype(np.float32), n_fft=2048))[: 10000 * 2048 // RATE]
    return librosa.amplitude_to_db(magnitudes, ref=1.0, top_db=80)


def speed(path: Path, runs: int) -> pd.DataFrame:
    """CPU milliseconds per 10 s: ours, plain librosa + Pillow, the floor."""
    samples = excerpt(path, TEN_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        mp3, png = Path(folder) / "clip.mp3", Path(folder) / "picture.png"
        soundfile.write(mp3, samples / 32768, RATE)
        picture = forward.encode(samples[None] / 32768, RATE, RIFFUSION)
        plain = plain_pixels(samples)
        decode = cpu_ms(lambda: soundfile.read(mp3, dtype="float32"), runs)
        tile = forward.tiles(picture, RIFFUSION)[0]
        rows = {
            "ours": {
                "decode": decode,
                "pixels": cpu_ms(lambda: forward.encode(samples[None] / 32768, RATE, RIFFUSION), runs),
                "PNG": cpu_ms(lambda: forward.save(picture, png), runs),
                "back (10 s)": cpu_ms(lambda: inversion.waveform_from_image(picture, OURS["ours: PGHI + 8"], SEED), 3),
                "back (tile)": cpu_ms(lambda: inversion.waveform_from_image(tile, OURS["ours: PGHI + 8"], SEED), 3),
            },
            "plain librosa + Pillow": {
                "decode": cpu_ms(lambda: librosa.load(mp3, sr=RATE), 3),
                "pixels": cpu_ms(lambda: plain_pixels(samples), 2),
                "PNG": cpu_ms(lambda: Image.fromarray(plain).convert("RGB").save(png), 2),
            },
            "floor": {"decode": decode, "pixels": cpu_ms(lambda: transforms_alone(samples), runs), "PNG": 0.0},
        }
    table = pd.DataFrame(rows).T
    table.insert(3, "sum", table[["decode", "pixels", "PNG"]].sum(axis=1))
    return table


def plain_pixels(samples: np.ndarray) -> np.ndarray:
    """What one writes with librosa at hand: uint8 [512, T]."""
    mels = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=17640, win_length=4410, hop_length=HOP, pad_mode="reflect", power=1.0,
        n_mels=512, fmin=0, fmax=10000, htk=True, norm=None,
    )  # fmt: skip
    return (255 - 255 * (mels / mels.max()) ** 0.25).astype(np.uint8)[::-1]


def transforms_alone(samples: np.ndarray) -> None:
    """The windowed real FFTs of 10 s, in the block size that is fastest here, and nothing else."""
    for frames in forward.windowed_frames(samples, RIFFUSION):
        fft.rfft(frames, 17640)


def render_many(wav_and_count: tuple[Path, int]) -> tuple[int, float, int]:
    """Render so many segments as the stage does; this process, its CPU seconds and its peak memory (bytes) so far."""
    wav, count = wav_and_count
    row = {"song_id": 1, "start_seconds": 0.0, "length_seconds": 10.0, "start_sample": 0, "n_samples": TEN_SECONDS}
    rows = [row | {"segment": index, "padded": False} for index in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        render.render_song(wav, rows, RIFFUSION, Path(folder), SEED)
    return os.getpid(), time.process_time(), peak_memory()


def busiest(answers: list[tuple[int, float, int]], before: dict[int, float]) -> float:
    """CPU seconds of the worker that used most since `before`."""
    return max(seconds - before[process] for process, seconds, _ in answers)


def scaling(report: Report, path: Path, count: int) -> None:
    """The stage's work with one and two processes, and its memory with more segments."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "clip.wav"
        soundfile.write(wav, np.resize(excerpt(path, TEN_SECONDS), TEN_SECONDS) / 32768, RATE, subtype="PCM_16")
        walls, most = {}, {}
        for workers in (1, 2):
            with context.Pool(workers) as pool:
                ready: dict[int, float] = {}
                while len(ready) < workers:  # until each has started and compiled
                    ready |= {
                        one: seconds for one, seconds, _ in pool.map(render_many, [(wav, 2)] * workers, chunksize=1)
                    }
                started = time.perf_counter()
                answers = pool.map(render_many, [(wav, count // 16)] * 16, chunksize=1)
                walls[workers], most[workers] = time.perf_counter() - started, busiest(answers, ready)
        report.say(f"{count} segments: 1 worker {walls[1]:.2f} s, 2 workers {walls[2]:.2f} s of wall time; "
                   f"CPU s of the busier worker {most[1]:.2f}, {most[2]:.2f}")  # fmt: skip
        report.figure("rendering with 2 workers, wall time gained", walls[1] / walls[2], "times")
        report.figure("rendering with 2 workers, by the busier one's CPU time", most[1] / most[2], "times", 1.8, True)
        with context.Pool(1) as pool:
            few, many = (peak for *_, peak in pool.map(render_many, [(wav, 5), (wav, count)], chunksize=1))
        report.say(f"peak memory of a worker: {few >> 20} MiB after 5 segments, {many >> 20} after {count} more")
        report.figure(f"memory of a worker, {count} segments against 5", many / few, "times", bar=1.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", nargs="*", type=Path)
    parser.add_argument("--quick", action="store_true", help="without the reference way back, which takes 10 s a clip")
    arguments = parser.parse_args()
    groups = clips(arguments.audio)
    first = next(iter(groups.values()))[0]
    table = speed(first, runs=20)
    report = Report("codec")
    report.say(f"CPU ms for 10 s of audio, one thread ({first.name})\n{table.round(1).to_string()}")
    total = table["sum"]
    report.figure("forward / floor", total["ours"] / total["floor"], "times", bar=1.5)
    report.figure("plain librosa + Pillow / forward", total["plain librosa + Pillow"] / total["ours"], "times", 4, True)
    report.figure("back, 10 s of audio", table["back (10 s)"]["ours"] / 1000, "CPU s", bar=2)
    scaling(report, first, 80)
    for name, paths in groups.items():
        means = fidelity(paths, not arguments.quick).groupby("method", sort=False).mean(numeric_only=True)
        report.say(f"round trip, mean of {len(paths)} {name} clips of up to 5.1 s\n{means.round(2).to_string()}")
        if not arguments.quick:
            theirs, own = (means.loc[method].iloc[:4] for method in (REFERENCE, next(iter(OURS))))
            better = int((own < theirs).sum())
            report.figure(
                f"measures of the round trip, of 4, better than Riffusion's, {name} clips", better, "", 4, True
            )
    report.save()


if __name__ == "__main__":
    main()
