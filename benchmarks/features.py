"""What the features of a clip cost: `python -m benchmarks.features`.

Least of several times, one thread, 5.12 s of noise at two sample rates (the higher one is resampled first).
"""

import os

from tasks.execution.worker import THREAD_VARIABLES

os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # before numpy is imported

import numpy as np

from benchmarks.record import Report
from benchmarks.watch import cpu_ms
from tasks.evaluate import features

REPEATS, SECONDS = 10, 5.12


def main() -> None:
    report, random = Report("features"), np.random.default_rng(1)
    for rate in (features.SAMPLE_RATE_HZ, 44100):
        wave = random.normal(scale=0.1, size=round(SECONDS * rate)).astype(np.float32)
        spent = cpu_ms(lambda wave=wave, rate=rate: features.describe(wave, rate), REPEATS)
        report.figure(f"features of a clip of {SECONDS} s, {rate} Hz", spent, "CPU ms", bar=40)
    report.save()


if __name__ == "__main__":
    main()
