"""download: declared sources, the demo corpus or a user's folder -> data/raw."""

from pathlib import Path

from prefect import flow

from flows.run import hashes, run
from tasks.cache import LOCAL
from tasks.files import digest
from tasks.params import Params
from tasks.registry import Item

RAW = Path("data/raw")


@flow(name="download")
def download(params: Params) -> dict[str, int]:
    """Audio, annotations and metadata below data/raw, each byte of it checked."""
    wanted = params.download
    inputs = {}
    if wanted.corpus:
        folder = LOCAL / "corpus"
        corpus = {
            "folder": folder,
            "params": wanted.corpus,
            "seed": params.seed,
            "workers": params.compute.workers,
        }
        item = Item("demo corpus", {}, corpus, outputs=(folder.as_posix(),))
        run("corpus", [item], params, [wanted.corpus.model_dump(), params.seed])
        inputs = hashes(folder)
    if wanted.folder:
        inputs = {
            "audio": digest(hashes(Path(wanted.folder.audio))),
            "labels": digest(hashes(Path(wanted.folder.labels))),
        }
    arguments = {"params": wanted, "target": RAW, "work": LOCAL / "downloads"}
    item = Item("sources", inputs, arguments, outputs=(RAW.as_posix(),))
    declared = wanted.model_dump(include={"sources", "folder", "acknowledge_noncommercial"})
    done = run("download", [item], params, declared)
    audio = sum(1 for path in (RAW / "audio").iterdir() if path.is_file())
    return {"songs": audio, "from cache": audio if done[0].cached else 0}
