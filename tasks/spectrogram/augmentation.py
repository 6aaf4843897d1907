"""Changed copies of a training segment: wav -> **waveform** -> spectrogram, only for songs that are few.

A copy keeps its song's label, so only changes that leave it true are allowed:
`pitch+2` moves the pitch by semitones at the same speed. Small shifts keep the emotion; higher pitch is heard as
more tense and more energetic (Ilie and Thompson 2006), so at most two.
`stretch0.9` plays at 0.9 of the tempo at the same pitch. **It moves arousal**: faster is more aroused (Husain,
Thompson and Schellenberg 2002), so 0.9 to 1.1 only, and rather not for songs near the border of a class.
`noise40` adds white noise 40 dB below the segment's level, at least 20. It moves neither, but is heard, and
learned, as noise.
"""

import re
from dataclasses import dataclass

import numpy as np

from tasks.codec.params import AUGMENTATION
from tasks.core.errors import ParameterError


@dataclass(frozen=True)
class Augmentation:
    """`kind` pitch (semitones), stretch (tempo, 1 is unchanged) or noise (dB below the segment)."""

    kind: str
    amount: float

    @property
    def tempo(self) -> float:
        """Seconds of the song that one second of the copy holds."""
        return self.amount if self.kind == "stretch" else 1.0


def parse(text: str) -> Augmentation:
    """The augmentation that a word like `pitch-2`, `stretch0.9` or `noise40` means.

    Raises:
        ParameterError: another word, or a change that would make the label untrue.
    """
    if not re.fullmatch(AUGMENTATION, text):
        raise ParameterError(
            "no augmentation that keeps the label true",
            where="spectrogram.augment",
            expected="pitch-2 to pitch+2 (semitones), stretch0.9 to stretch1.1 (tempo), noise20 to noise999 (dB below)",
            got=text,
        )
    kind = re.split(r"[-+\d]", text)[0]
    return Augmentation(kind, float(text.removeprefix(kind)))


def augment(waveform: np.ndarray, augmentation: Augmentation, n_samples: int, seed: int) -> np.ndarray:
    """Float32 [C, n_samples] from [C, about n_samples * tempo], -1..1.

    Stretching is librosa's phase vocoder, pitch is a stretch followed by resampling (soxr).
    """
    if augmentation.kind == "noise":
        random = np.random.default_rng(seed)
        level = np.sqrt(np.mean(np.square(waveform))) * 10 ** (-augmentation.amount / 20)
        return (waveform + random.standard_normal(waveform.shape) * level).astype(np.float32)[:, :n_samples]
    import librosa

    rate = augmentation.tempo if augmentation.kind == "stretch" else 2 ** (-augmentation.amount / 12)
    changed = librosa.effects.time_stretch(waveform, rate=rate)
    if augmentation.kind == "pitch":
        import soxr

        changed = soxr.resample(changed.T, changed.shape[1] / n_samples, 1.0, quality="HQ").T
    return librosa.util.fix_length(changed, size=n_samples).astype(np.float32)
