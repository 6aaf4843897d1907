"""convert: data/raw/audio -> data/wav, one item a song."""

from pathlib import Path

from prefect import flow

from flows.run import counts, hashes, run
from tasks import registry
from tasks.audio import check_rejected, manifest, song_files
from tasks.cache import prune
from tasks.files import remove_temporaries, write_parquet
from tasks.params import Params

RAW, WAV = Path("data/raw/audio"), Path("data/wav")


@flow(name="convert")
def convert(params: Params) -> dict[str, int]:
    """A WAV a song and data/wav/manifest.parquet, rejected songs as rows with their reason."""
    remove_temporaries(WAV)
    content = hashes(RAW)
    items = [
        registry.Item(
            f"song {song_id}",
            {"source": content[source.name]},
            {"song_id": song_id, "source": source, "folder": WAV, "params": params.convert},
            folder=WAV.as_posix(),
        )
        for song_id, source in song_files(RAW).items()
    ]
    with registry.process_pool(params.compute.workers):
        done = run("convert", items, params, params.convert.model_dump(exclude={"max_rejected_share"}))
    table = manifest([row for one in done for row in one.rows])
    check_rejected(table, params.convert)
    write_parquet(WAV / "manifest.parquet", table.sort_values("song_id"))
    prune(WAV, [WAV / "manifest.parquet", *(Path(file) for one in done for file in one.files)])
    return counts(done, rejected=int((table.status == "rejected").sum()))
