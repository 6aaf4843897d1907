"""Every clip that evaluate compares, as files: for embeddings that are computed elsewhere."""

from pathlib import Path

from tasks.evaluate import clips
from tasks.evaluate.clips import Codec, Progress
from tasks.evaluate.embeddings import WavExport
from tasks.evaluate.evaluation import choose_clips, describe_all
from tasks.settings import Params


def write_clips(folder: Path, params: Params, progress: Progress | None = None) -> int:
    """Every clip that `evaluate` compares, real ones in all conditions, as FOLDER/KEY.wav; gives their number.

    For embeddings made elsewhere: `evaluate.embedding` names their .npz (see tasks.evaluate.embeddings.StoredVectors).
    """
    codec = Codec(params.spectrogram, params.generate.decode, params.dataset.resolution, params.seed)
    data, base, experiments = Path("data"), Path("models/base"), ["base", *params.train.experiments]
    chosen = choose_clips(experiments, data, params.generate.prompts, params.evaluate)
    with clips.worker_pool(params.compute.workers, progress) as run:
        describe_all(chosen, data, base, codec, WavExport(folder), params.evaluate, run)
    return len(list(folder.rglob("*.wav")))
