"""What denoising gains on known noise, and what it costs on clean pictures: `python -m benchmarks.denoise`.

Log-spectral distance in dB to the clean picture, mean over excerpts of real music (EMORIFF_REAL_DATA or
../shared/real). Grain is Gaussian in pixel values, haze steady broadband noise in magnitudes, below the maximum.
"""

import time

import numpy as np
import pandas as pd
import soundfile

from benchmarks.record import REAL, Report, real_clips
from tasks.codec import denoise, forward
from tasks.codec.image import RIFFUSION
from tasks.codec.params import DenoiseParams

METHODS = {
    "none": DenoiseParams(gate=False, gate_db=0.0, filter="none"),
    "gate 6 dB": DenoiseParams(gate=True, gate_db=6.0, filter="none"),
    "gate 12 dB": DenoiseParams(gate=True, gate_db=12.0, filter="none"),
    "median": DenoiseParams(gate=False, gate_db=0.0, filter="median"),
    "non_local": DenoiseParams(gate=False, gate_db=0.0, filter="non_local"),
    "non_local + gate 6 dB": DenoiseParams(gate=True, gate_db=6.0, filter="non_local"),
}


def clean_pictures() -> list[np.ndarray]:
    """A tile of each real clip, uint8 [512, 512]."""
    pictures = []
    for path in real_clips():
        with soundfile.SoundFile(path) as file:
            file.seek(2 * file.samplerate)
            waveform = file.read(511 * 441, dtype="float32", always_2d=True).T
            pictures.append(forward.encode(waveform, file.samplerate, RIFFUSION).pixels)
    if not pictures:
        raise SystemExit(f"no real clips: set EMORIFF_REAL_DATA (now {REAL})")
    return pictures


def with_grain(pixels: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    return np.clip(np.rint(pixels + random.normal(0, deviation, pixels.shape)), 0, 255).astype(np.uint8)


def with_haze(pixels: np.ndarray, level_db: float, random: np.random.Generator) -> np.ndarray:
    magnitudes = ((255 - pixels.astype(float)) / 255) ** 4
    noise = random.rayleigh(np.sqrt(0.5), pixels.shape) * 10 ** (level_db / 20)
    return (255 - 255 * np.minimum(np.hypot(magnitudes, noise), 1) ** 0.25).astype(np.uint8)


def distance_db(first: np.ndarray, second: np.ndarray) -> float:
    """Log-spectral distance: root mean square over the rows, mean over the columns."""
    levels = [80 * np.log10(np.maximum(255 - pixels.astype(float), 4) / 255) for pixels in (first, second)]
    return float(np.sqrt(np.square(levels[0] - levels[1]).mean(axis=0)).mean())


def main() -> None:
    random, clean = np.random.default_rng(1), clean_pictures()
    noisy = {
        "clean (cost)": clean,
        "grain 6": [with_grain(pixels, 6, random) for pixels in clean],
        "grain 12": [with_grain(pixels, 12, random) for pixels in clean],
        "haze -50 dB": [with_haze(pixels, -50, random) for pixels in clean],
        "haze -40 dB": [with_haze(pixels, -40, random) for pixels in clean],
        "haze -45, grain 8": [with_grain(with_haze(pixels, -45, random), 8, random) for pixels in clean],
    }
    rows = {}
    for method, params in METHODS.items():
        started = time.process_time()
        rows[method] = {
            name: np.mean([distance_db(denoise.denoise(a, params), b) for a, b in zip(pictures, clean, strict=True)])
            for name, pictures in noisy.items()
        }
        rows[method]["CPU s a tile"] = (time.process_time() - started) / len(clean) / len(noisy)
    report, table = Report("denoise"), pd.DataFrame(rows).T
    report.say(f"log-spectral distance to the clean picture (dB), {len(clean)} clips, smaller is better")
    report.say(table.round(2).to_string())
    best = table.iloc[1:, 1:-1].sum(axis=1).idxmin()
    gains = table.loc["none"].iloc[1:-1] - table.loc[best].iloc[1:-1]
    report.figure(f"{best}: gained on noisy pictures, mean", gains.mean(), "dB")
    report.figure(f"{best}: gained on the noise it helps least", gains.min(), "dB")
    report.figure(f"{best}: cost on clean pictures", table["clean (cost)"][best], "dB")
    report.save()


if __name__ == "__main__":
    main()
