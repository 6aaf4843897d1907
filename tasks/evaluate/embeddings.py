"""Vectors in which sets of clips are compared: clips -> **embeddings** -> measures.

Three kinds, chosen by `evaluate.embedding`: `builtin` (mel, MFCC and chroma statistics, always there), the path
of a TorchScript model (VGGish, CLAP, MERT, ...), or the path of an .npz with vectors computed elsewhere.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import MeasureError

BUILTIN_GROUPS = ("mel_", "mfcc_", "chroma_")


class Embedding(Protocol):
    """What turns a clip into a vector float64 [dimensions]."""

    def vector(
        self, key: str, waveform: NDArray[np.float32], sample_rate_hz: int, features: dict[str, float]
    ) -> NDArray[np.float64]:
        """The vector of one clip; `key` names it, `features` are those of tasks.evaluate.features."""


def choose(name: str) -> Embedding:
    """The embedding of `evaluate.embedding`.

    Raises:
        MeasureError: no such file, or a file of another kind.
    """
    if name == "builtin":
        return BuiltinVectors()
    path = Path(name)
    if not path.is_file():
        raise MeasureError(
            "no such embedding",
            where=f"evaluate.embedding: {name}",
            expected="builtin, a TorchScript model or an .npz file",
            todo="write `builtin`, or put the file there",
        )
    if path.suffix == ".npz":
        StoredVectors(path).table()
        return StoredVectors(path)
    return Model(path, rate_of_model(path))


@dataclass(frozen=True)
class BuiltinVectors:
    """Mel, MFCC and chroma statistics of tasks.evaluate.features: 168 numbers that need no model."""

    def vector(
        self, key: str, waveform: NDArray[np.float32], sample_rate_hz: int, features: dict[str, float]
    ) -> NDArray[np.float64]:
        """The features of the three groups, in their order."""
        return np.array([value for name, value in features.items() if name.startswith(BUILTIN_GROUPS)])


@dataclass(frozen=True)
class WavExport:
    """Keeps every clip as FOLDER/KEY.wav for another program to embed; the vector is the built-in one."""

    folder: Path

    def vector(
        self, key: str, waveform: NDArray[np.float32], sample_rate_hz: int, features: dict[str, float]
    ) -> NDArray[np.float64]:
        """The built-in vector, after the clip was written."""
        import soundfile

        path = self.folder / f"{key}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.atleast_2d(waveform).T, sample_rate_hz, subtype="FLOAT")
        return BuiltinVectors().vector(key, waveform, sample_rate_hz, features)


@dataclass(frozen=True)
class Model:
    """A TorchScript model: float32 [1, samples] at `sample_rate_hz` -> [1, dimensions] or [1, frames, dimensions]."""

    path: Path
    sample_rate_hz: int

    def vector(
        self, key: str, waveform: NDArray[np.float32], sample_rate_hz: int, features: dict[str, float]
    ) -> NDArray[np.float64]:
        """The model's answer to the mono clip at the model's own rate, averaged over frames where it has them.

        Raises:
            MeasureError: the model fails, or answers in another shape.
        """
        import torch

        samples = self._resampled(np.atleast_2d(waveform).mean(axis=0), sample_rate_hz)
        try:
            with torch.inference_mode():
                answer = load_model(self.path)(torch.from_numpy(samples)[None])
        except RuntimeError as error:
            raise MeasureError(
                "the embedding model failed",
                where=f"{self.path} at {key}",
                expected=f"a model of float32 [1, {len(samples)}] at {self.sample_rate_hz} Hz",
                got=(str(error).strip() or type(error).__name__).splitlines()[-1],
            ) from error
        return self._flat(answer, key)

    def _resampled(self, mono: NDArray[np.floating], sample_rate_hz: int) -> NDArray[np.float32]:
        if sample_rate_hz != self.sample_rate_hz:
            import soxr

            mono = soxr.resample(mono, sample_rate_hz, self.sample_rate_hz)
        return np.ascontiguousarray(mono, dtype=np.float32)

    def _flat(self, answer: Any, key: str) -> NDArray[np.float64]:
        import torch

        if not isinstance(answer, torch.Tensor) or answer.ndim not in (2, 3) or len(answer) != 1:
            raise MeasureError(
                "the embedding model answers in another shape",
                where=f"{self.path} at {key}",
                expected="[1, dimensions] or [1, frames, dimensions]",
                got=list(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__,
            )
        vectors = np.asarray(answer[0].float(), dtype=np.float64)
        return vectors if vectors.ndim == 1 else vectors.mean(axis=0)


@cache
def load_model(path: Path) -> Any:
    """The TorchScript model of a file, on the CPU, ready to infer.

    Raises:
        MeasureError: not TorchScript.
    """
    import torch

    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise MeasureError(
            "cannot load the embedding model",
            where=path,
            expected="TorchScript, saved by torch.jit.save",
            got=(str(error).strip() or type(error).__name__).splitlines()[0],
            todo="torch.jit.trace the model and save it; nothing is downloaded here",
        ) from error


def rate_of_model(path: Path) -> int:
    """The sample rate in Hz that the model itself declares as its attribute `sample_rate_hz`.

    Raises:
        MeasureError: it declares none, so that clips could silently be embedded too fast or too slow.
    """
    rate = getattr(load_model(path), "sample_rate_hz", None)
    if isinstance(rate, int) and 1000 <= rate <= 192000:
        return rate
    raise MeasureError(
        "the embedding model does not say its sample rate",
        where=path,
        expected="a whole-number attribute sample_rate_hz of 1000 to 192000",
        got=rate,
        todo="set module.sample_rate_hz (an int) before torch.jit.script or torch.jit.trace",
    )


@dataclass(frozen=True)
class StoredVectors:
    """Vectors from an .npz: `keys` [n] names, `vectors` [n, dimensions], `sample_rate_hz` (one number, or [n]).

    Keys: `<experiment>/<emotion>_<seed, 4 digits>` and `real/<song, 5 digits>_<segment, 3>_<0 start, 1 end>`,
    the latter also with `/codec` and `/codec_vae`: the names of the files that `emoriff clips` writes.
    """

    path: Path

    def vector(
        self, key: str, waveform: NDArray[np.float32], sample_rate_hz: int, features: dict[str, float]
    ) -> NDArray[np.float64]:
        """The vector stored under the clip's key.

        Raises:
            MeasureError: there is none.
        """
        table = self.table()
        if key not in table:
            raise MeasureError(
                "no precomputed embedding of a clip",
                where=self.path,
                expected=f"key {key}",
                got=f"{len(table)} others, like {next(iter(table), 'none')}",
                todo="`emoriff clips FOLDER` writes all clips that need one, or use `builtin`",
            )
        return table[key]

    def table(self) -> dict[str, NDArray[np.float64]]:
        """Key -> vector, checked.

        Raises:
            MeasureError: arrays that are missing or do not fit each other, or several sample rates.
        """
        return read_vectors(self.path)


@cache
def read_vectors(path: Path) -> dict[str, NDArray[np.float64]]:
    """Key -> vector of an .npz (see StoredVectors)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            keys, vectors = arrays["keys"], np.asarray(arrays["vectors"], dtype=np.float64)
            rates = np.unique(np.asarray(arrays["sample_rate_hz"], dtype=np.float64))
    except Exception as error:  # numpy and zipfile tell damage in a dozen ways
        raise MeasureError(
            "cannot read precomputed embeddings",
            where=path,
            expected="arrays keys, vectors and sample_rate_hz",
            got=error,
        ) from error
    if keys.ndim != 1 or keys.dtype.kind != "U" or vectors.ndim != 2 or not len(set(keys)) == len(keys) == len(vectors):
        raise MeasureError(
            "precomputed embeddings do not fit their keys",
            where=path,
            expected="keys [n], all different, and vectors [n, dimensions]",
            got=f"keys {list(keys.shape)} {keys.dtype}, vectors {list(vectors.shape)}",
        )
    if len(rates) != 1:
        raise MeasureError(
            "precomputed embeddings of several sample rates cannot be compared",
            where=path,
            expected="one sample_rate_hz",
            got=", ".join(f"{rate:g}" for rate in rates),
            todo="compute all of them from audio of the same rate",
        )
    return dict(zip(keys.tolist(), vectors, strict=True))
