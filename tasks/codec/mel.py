"""The mel filter bank and its inverse: magnitudes [bins] <-> mels, both through sparse structure.

Triangles on the HTK mel scale (O'Shaughnessy 1987: 2595 log10(1 + f / 700)), peak 1, no norm, as Riffusion
has them. Each triangle overlaps its two neighbours only, so a bin feeds at most two bands, and the Gram matrix
of the bank is tridiagonal.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tasks.codec.params import SpectrogramParams


@dataclass(frozen=True)
class MelBank:
    """Band m sums `weights[offsets[m]:offsets[m + 1]]` times the bins from `first_bins[m]` on.

    `weights` float64 [n_weights], `offsets` int64 [n_mels + 1], `first_bins` int64 [n_mels].
    """

    weights: np.ndarray
    offsets: np.ndarray
    first_bins: np.ndarray

    @property
    def n_bins(self) -> int:
        """Bins from 0 up to the last one that any band uses."""
        return int((self.first_bins + np.diff(self.offsets)).max())

    def dense(self) -> np.ndarray:
        """The same bank as a matrix, float64 [n_mels, n_bins]."""
        matrix = np.zeros((len(self.first_bins), self.n_bins))
        for band, first in enumerate(self.first_bins):
            weights = self.weights[self.offsets[band] : self.offsets[band + 1]]
            matrix[band, first : first + len(weights)] = weights
        return matrix


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Mels (HTK) of frequencies in Hz."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz, float) / 700.0)


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Frequencies in Hz of mels (HTK)."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@lru_cache(maxsize=8)
def bank(n_mels: int, min_hz: int, max_hz: int, bin_hz: float) -> MelBank:
    """The triangles between n_mels + 2 corners evenly spaced in mels from min_hz to max_hz.

    A band between two bins has no weight at all (as in torchaudio and librosa): it stays silent.
    """
    corners = mel_to_hz(np.linspace(hz_to_mel(min_hz), hz_to_mel(max_hz), n_mels + 2))
    bins = np.arange(int(np.ceil(max_hz / bin_hz)) + 1) * bin_hz
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    matrix = np.maximum(0.0, np.minimum(rising, falling))
    used = matrix > 0
    first_bins = np.where(used.any(axis=1), used.argmax(axis=1), 0)
    offsets = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return MelBank(matrix[used], offsets, first_bins)


def bank_of(params: SpectrogramParams) -> MelBank:
    """The bank that the parameters mean."""
    return bank(params.n_mels, params.min_hz, params.max_hz, 1000.0 / params.padded_ms)
