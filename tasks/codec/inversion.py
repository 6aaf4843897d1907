"""Images back to waveforms: data/generated/*.png -> **waveform** -> wav, the inversion of `tasks.codec.forward`.

1. mels to magnitudes: minimum-norm least squares through the tridiagonal Gram matrix of the bank;
2. on the coarsest grid that holds them: one bin per window length, a rate of twice the highest mel frequency;
3. first phases: phase-gradient heap integration (Prusa, Balazs and Sondergaard 2017), or random ones;
4. fast Griffin-Lim (Perraudin, Balazs and Sondergaard 2013, alpha 0.99);
5. a last inverse STFT with zero-padded spectra, straight to the full sample rate.
"""

from dataclasses import dataclass, replace
from math import ceil, gcd, lcm

import numpy as np
from scipy import fft, linalg, sparse

from tasks.codec import forward, mel
from tasks.codec.image import SpectrogramImage
from tasks.codec.params import DecodeParams, SpectrogramParams
from tasks.core.errors import ImageError

ALPHA = 0.99  # Perraudin et al. 2013: the best of those tried there
HANN_GAMMA = 0.25645  # Gaussian that is nearest to a Hann window of length 1 (Prusa et al. 2017, table 1)
LEVELS_PER_NEPER = 16  # resolution of the order in which phases are integrated
FLOOR_NEPERS = 14.0  # quieter points (-122 dB of the loudest) get random phases
PEAK = 0.98  # full scale of a 16-bit file is kept clear of


@dataclass(frozen=True)
class Grid:
    """An STFT: hop and window in samples at `rate_hz`; the FFT is as long as the window."""

    rate_hz: int
    hop: int
    window: int

    @property
    def n_bins(self) -> int:
        """Bins from 0 to half the rate."""
        return self.window // 2 + 1

    @property
    def taper(self) -> np.ndarray:
        """The periodic Hann window, float32 [window]."""
        return forward.hann(self.window)


def waveform_from_image(image: SpectrogramImage, decode: DecodeParams, seed: int) -> np.ndarray:
    """Float32 [C, N] at the image's sample rate, N = (columns - 1) * hop, at the level that max_value says.

    Where that level would clip, the whole waveform is scaled to a peak of PEAK. An image of silence is zeros.
    The same image, parameters and seed give the same samples.

    Raises:
        PictureError: fewer than two rows or columns.
    """
    if min(image.pixels.shape[:2]) < 2:
        raise ImageError("too small for a spectrogram", expected="at least 2 x 2", got=image.pixels.shape)
    random = np.random.default_rng(seed)
    params = image.params
    waveforms = []
    for mels in forward.mels_from_image(image):
        magnitudes = magnitudes_from_mels(mels, params)
        if min(magnitudes.shape) < 2:  # tags can make one column, or one frequency, of any image
            raise ImageError("too small for a sound", expected="2 columns and 2 frequencies", got=magnitudes.shape)
        spectra = estimate_phases(magnitudes, coarse_grid(params), decode, random)
        waveforms.append(full_rate_waveform(spectra, params))
    waveform = np.stack(waveforms) / np.float32(32768)
    peak = float(np.abs(waveform).max())
    return waveform * np.float32(PEAK / peak) if peak > PEAK else waveform


def coarse_grid(params: SpectrogramParams) -> Grid:
    """The lowest rate that holds max_hz and gives whole samples: 20 kHz for Riffusion's parameters."""
    unit = lcm(*(1000 // gcd(ms, 1000) for ms in (params.step_ms, params.window_ms)))
    rate = min(ceil(2 * params.max_hz / unit) * unit, params.sample_rate_hz)
    return Grid(rate, rate * params.step_ms // 1000, rate * params.window_ms // 1000)


def magnitudes_from_mels(mels: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """STFT magnitudes float32 [T, bins] on the coarse grid from mels [T, n_mels].

    x = B' (B B')^-1 S, the smallest spectrum with these mels, clipped at 0. Magnitudes are scaled to the coarse
    grid's rate. Form `log_mel`: the bank was applied to powers, so the root follows the inverse.
    """
    bank = mel.bank_of(params)
    diagonals = gram_diagonals(bank)
    coefficients = linalg.solveh_banded(diagonals, mels.T.astype(np.float64), lower=False, check_finite=False)
    grid = coarse_grid(params)
    values = np.maximum(synthesis_matrix(params, grid) @ coefficients.astype(np.float32), 0.0).T
    if params.form == "log_mel":
        values = np.sqrt(values)
    return np.ascontiguousarray(values * np.float32(grid.rate_hz / params.sample_rate_hz), np.float32)


def gram_diagonals(bank: mel.MelBank) -> np.ndarray:
    """The Gram matrix B B' as scipy's upper band form [2, n_mels]; it is tridiagonal.

    A ridge of 1e-6 of the mean diagonal lets banks with empty or equal bands be solved; on Riffusion's it
    changes the mels by less than an 8-bit step.
    """
    matrix = bank.dense()
    diagonal = np.einsum("mk,mk->m", matrix, matrix)
    beside = np.einsum("mk,mk->m", matrix[:-1], matrix[1:])
    return np.stack([np.concatenate([[0.0], beside]), diagonal + 1e-6 * diagonal.mean()])


def synthesis_matrix(params: SpectrogramParams, grid: Grid) -> sparse.csr_array:
    """B' at the frequencies of the coarse grid, float32 [bins, n_mels]; between two fine bins interpolated."""
    matrix = mel.bank_of(params).dense()
    fine = np.arange(matrix.shape[1]) * 1000.0 / params.padded_ms
    coarse = np.arange(grid.n_bins) * 1000.0 / params.window_ms
    rows = np.stack([np.interp(coarse, fine, row, right=0.0) for row in matrix], axis=1)
    return sparse.csr_array(rows.astype(np.float32))


def estimate_phases(
    magnitudes: np.ndarray, grid: Grid, decode: DecodeParams, random: np.random.Generator
) -> np.ndarray:
    """Complex64 [T, bins] with these magnitudes: first phases, then `decode.iterations` of fast Griffin-Lim."""
    from tasks.codec import kernels

    if not magnitudes.any():
        return magnitudes.astype(np.complex64)
    phases = random.random(magnitudes.shape, np.float32) * np.float32(2 * np.pi)
    if decode.method == "pghi":
        integrate(phases, magnitudes, grid)
    spectra = np.empty(magnitudes.shape, np.complex64)
    spectra.real, spectra.imag = magnitudes * np.cos(phases), magnitudes * np.sin(phases)
    previous = spectra.copy()
    for _ in range(decode.iterations):
        projected = stft(istft(spectra, grid), grid)
        previous, spectra = projected, previous
        kernels.accelerate(projected, spectra, magnitudes, ALPHA)
    return spectra


def integrate(phases: np.ndarray, magnitudes: np.ndarray, grid: Grid) -> None:
    """Phase-gradient heap integration in place of `phases`, from the magnitudes alone.

    For a Gaussian window the phase's gradient is the log magnitude's, turned by 90 degrees and scaled with
    gamma (Prusa et al. 2017, eq. 11 to 18). Times here count from the start of each window, hence the half
    turn from bin to bin. Points below the floor keep their random phase.
    """
    from tasks.codec import kernels

    gamma = HANN_GAMMA * grid.window**2
    floor = magnitudes.max() * np.float32(np.exp(-FLOOR_NEPERS))
    logarithm = np.log(np.maximum(magnitudes, floor))
    bins = np.arange(grid.n_bins)
    time_step = np.gradient(logarithm, axis=1) * np.float32(grid.hop * grid.window / gamma)
    time_step += ((2 * np.pi * grid.hop / grid.window) * bins % (2 * np.pi)).astype(np.float32)
    bin_step = np.gradient(logarithm, axis=0) * np.float32(-gamma / (grid.hop * grid.window)) - np.float32(np.pi)
    level = ((logarithm - np.log(floor)) * np.float32(LEVELS_PER_NEPER)).astype(np.int32)
    kernels.integrate_phase(level, time_step, bin_step, phases, int(level.max()) + 1)


def stft(samples: np.ndarray, grid: Grid) -> np.ndarray:
    """Complex64 [T, bins] of samples [(T - 1) * hop], the ends mirrored as in the forward transform."""
    half = grid.window // 2
    extended = np.pad(samples, (half, grid.window - half), mode="reflect")
    return fft.rfft(np.lib.stride_tricks.sliding_window_view(extended, grid.window)[:: grid.hop] * grid.taper)


def istft(spectra: np.ndarray, grid: Grid) -> np.ndarray:
    """The samples float32 [(T - 1) * hop] whose STFT is nearest to `spectra` (Griffin and Lim 1984).

    What the first and last frames say beyond the ends is folded back, because the forward transform mirrors
    there; left free, the ends come out wrong and cost 4 dB of mel error on a tile.
    """
    from tasks.codec import kernels

    length = (len(spectra) - 1) * grid.hop + grid.window
    signal, weight = np.zeros(length, np.float32), np.zeros(length, np.float32)
    kernels.overlap_add(fft.irfft(spectra, grid.window), grid.taper, grid.hop, signal)
    kernels.overlap_add(np.broadcast_to(grid.taper, (len(spectra), grid.window)), grid.taper, grid.hop, weight)
    return fold_ends(signal, grid) / np.maximum(fold_ends(weight, grid), np.float32(1e-3))


def fold_ends(extended: np.ndarray, grid: Grid) -> np.ndarray:
    """The adjoint of mirroring: half a window at each end is added to the samples that it mirrors."""
    half = grid.window // 2
    inner = extended[half : len(extended) - (grid.window - half)].copy()
    reach = min(half, len(inner) - 1)
    inner[1 : reach + 1] += extended[half - reach : half][::-1]
    inner[len(inner) - 1 - reach : -1] += extended[half + len(inner) :][:reach][::-1]
    return inner


def full_rate_waveform(spectra: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Samples float32 [(T - 1) * hop] at the parameters' rate: the spectra, zero above max_hz, need no resampler."""
    hop, window, _ = forward.sizes(params)
    full = Grid(params.sample_rate_hz, hop, window)
    padded = np.zeros((len(spectra), full.n_bins), np.complex64)
    padded[:, : spectra.shape[1]] = spectra * np.float32(params.sample_rate_hz / coarse_grid(params).rate_hz)
    return istft(padded, full)


def join_tiles(tiles: list[SpectrogramImage]) -> SpectrogramImage:
    """One wide image of the overlapping tiles of a spectrogram; overlaps are cross-faded linearly.

    The fade is of pixel levels, on the loudest tile's maximum and before any phase is chosen, so that nothing
    cancels in the overlap. Tiles of one image give that image back, pixel for pixel.

    Raises:
        PictureError: no tiles, two at one place, of different spectrograms, or columns that no tile covers.
    """
    starts = sorted(tile.first_column for tile in tiles)
    if not tiles or len({*starts}) < len(starts):
        todo = "give each tile of `emoriff encode --tile` once"
        raise ImageError("not the tiles of one spectrogram", expected="a first column each", got=starts, todo=todo)
    kinds = sorted({tile.params.model_dump_json() for tile in tiles})
    if len(kinds) > 1:
        raise ImageError("tiles of different spectrograms", expected="equal parameters", got=kinds)
    first = last = starts[0]
    for tile in sorted(tiles, key=lambda tile: tile.first_column):
        if tile.first_column > last:
            raise ImageError("a gap between tiles", expected="overlapping tiles", got=f"first columns {starts}")
        last = max(last, tile.first_column + tile.columns)
    loudest = max(tiles, key=lambda tile: tile.max_value)
    total: np.ndarray = np.zeros(1, np.float32)
    weight = np.zeros(last - first, np.float32)
    for tile in tiles:
        ramp = np.minimum(np.arange(tile.columns) + 1, tile.columns - np.arange(tile.columns))
        edges = (tile.first_column - first, last - tile.first_column - tile.columns)
        placed = np.pad(darkness_at(tile, loudest.max_value), ((0, 0), edges, (0, 0)))
        ramp = np.pad(ramp.astype(np.float32), edges)
        total, weight = total + placed * ramp[:, None], weight + ramp
    planes = np.rint(255 - total / weight[:, None]).astype(np.uint8)
    pixels = forward.pixels_from_planes(planes)
    return replace(loudest, pixels=pixels, n_columns=last - first, first_column=first)


def darkness_at(image: SpectrogramImage, max_value: float) -> np.ndarray:
    """255 - pixel, float32 [C, T, n_mels], as it would be in an image whose maximum is `max_value`."""
    params = image.params
    image = forward.full_size(image)
    darkness = 255 - forward.planes_from_pixels(image.pixels).astype(np.float32)
    if image.max_value in (0.0, max_value):
        return darkness
    ratio = image.max_value / max_value
    if params.form == "log_mel":
        return np.maximum(darkness + 255 * 10 * np.log10(ratio) / params.top_db, 0) * (darkness > 0)
    return darkness * np.float32(ratio**params.power)
