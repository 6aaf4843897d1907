"""The inner loops that numpy would need many passes for, compiled by numba (cached, without the GIL).

Import this module inside functions: numba takes half a second to load.
"""

import numba
import numpy as np

TURN = 2 * np.pi


@numba.njit(cache=True, nogil=True)
def mels_of_spectra(
    spectra: np.ndarray,
    squared: bool,
    weights: np.ndarray,
    offsets: np.ndarray,
    first_bins: np.ndarray,
    mels: np.ndarray,
) -> None:
    """Fill `mels` float32 [frames, n_mels] from complex64 `spectra` [frames, bins]: of |X|, or of |X|^2.

    Sums run in order, without fast math: every processor gives the same bits. The slices spare numba its
    check for negative indices.
    """
    n_bins = (first_bins + offsets[1:] - offsets[:-1]).max()
    magnitudes = np.empty(n_bins, np.float32)
    for frame in range(spectra.shape[0]):
        spectrum = spectra[frame]
        for k in range(n_bins):
            energy = spectrum[k].real * spectrum[k].real + spectrum[k].imag * spectrum[k].imag
            magnitudes[k] = energy if squared else np.sqrt(energy)
        for band in range(len(first_bins)):
            total = np.float32(0.0)
            band_weights = weights[offsets[band] : offsets[band + 1]]
            band_magnitudes = magnitudes[first_bins[band] : first_bins[band] + len(band_weights)]
            for index in range(len(band_weights)):
                total += band_weights[index] * band_magnitudes[index]
            mels[frame, band] = total


@numba.njit(cache=True, nogil=True)
def overlap_add(frames: np.ndarray, window: np.ndarray, hop: int, signal: np.ndarray) -> None:
    """Add windowed `frames` [T, window] to `signal`, each `hop` samples after the one before."""
    for frame in range(frames.shape[0]):
        start = frame * hop
        for index in range(frames.shape[1]):
            signal[start + index] += frames[frame, index] * window[index]


@numba.njit(cache=True, nogil=True)
def accelerate(new: np.ndarray, old: np.ndarray, magnitudes: np.ndarray, alpha: float) -> None:
    """One step of fast Griffin-Lim between two projections, in place of `old`.

    `old` becomes new + alpha (new - old), scaled to `magnitudes`: the next spectrum to project.
    """
    factor, tiny = np.float32(alpha), np.float32(1e-20)
    for frame in range(new.shape[0]):
        for k in range(new.shape[1]):
            value = new[frame, k] + factor * (new[frame, k] - old[frame, k])
            size = np.sqrt(value.real * value.real + value.imag * value.imag)
            old[frame, k] = value * (magnitudes[frame, k] / (size + tiny))


@numba.njit(cache=True, nogil=True)
def integrate_phase(
    level: np.ndarray, time_step: np.ndarray, bin_step: np.ndarray, phase: np.ndarray, n_levels: int
) -> None:
    """Integrate phase gradients over `phase` float32 [T, K], loudest points first.

    `level` int32 [T, K] is the quantised log magnitude, 0..n_levels - 1; points of level 0 keep the phase that
    they come with. `time_step` and `bin_step` are the phase advances per frame and per bin. Each island starts
    from its loudest point. A bucket queue stands in for the heap of Prusa, Balazs and Sondergaard (2017):
    levels are few, so that popping the loudest costs no comparison.
    """
    heads = np.full(n_levels, -1, np.int32)
    following = np.full(level.size, -1, np.int32)
    done = np.zeros(level.shape, np.bool_)
    starts, order = _by_level(level, n_levels)
    for seed in order[starts[1] :][::-1]:
        frame, k = seed // level.shape[1], seed % level.shape[1]
        if not done[frame, k]:
            done[frame, k] = True
            heads[level[frame, k]] = seed
            _spread(level[frame, k], level, time_step, bin_step, phase, done, heads, following)


@numba.njit(cache=True, nogil=True)
def _spread(
    top: int,
    level: np.ndarray,
    time_step: np.ndarray,
    bin_step: np.ndarray,
    phase: np.ndarray,
    done: np.ndarray,
    heads: np.ndarray,
    following: np.ndarray,
) -> None:
    """Empty the queue, from level `top` on: each point gives its undone neighbours their phase and queues them.

    `heads[level]` is the newest waiting point of a level, `following[point]` the one behind it, -1 none.
    """
    n_frames, n_bins = level.shape
    while top > 0:
        point = heads[top]
        if point < 0:
            top -= 1
            continue
        heads[top] = following[point]
        frame, k = point // n_bins, point % n_bins
        for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            to_frame, to_k = frame + down, k + right
            if not (0 <= to_frame < n_frames and 0 <= to_k < n_bins):
                continue
            near = level[to_frame, to_k]
            if near == 0 or done[to_frame, to_k]:
                continue
            turned = phase[frame, k]
            turned += 0.5 * down * (time_step[frame, k] + time_step[to_frame, to_k])
            turned += 0.5 * right * (bin_step[frame, k] + bin_step[to_frame, to_k])
            phase[to_frame, to_k] = turned - TURN * np.floor(turned / TURN)  # float32 has no digits to spare
            done[to_frame, to_k] = True
            target = to_frame * n_bins + to_k
            following[target] = heads[near]
            heads[near] = target
            top = max(top, near)


@numba.njit(cache=True, nogil=True)
def _by_level(level: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
    """A counting sort: where each level starts, and the flat indices from the lowest level to the highest."""
    flat = level.ravel()
    starts = np.zeros(n_levels + 1, np.int64)
    for value in flat:
        starts[value + 1] += 1
    starts = np.cumsum(starts)
    places = starts.copy()
    order = np.empty(flat.size, np.int32)
    for index in range(flat.size):
        order[places[flat[index]]] = index
        places[flat[index]] += 1
    return starts, order
