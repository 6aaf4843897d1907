"""spectrogram: data/wav + data/segments -> data/spectrograms, one item a song."""

from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pandas as pd
from prefect import flow

from flows.run import counts, run
from tasks import registry
from tasks.cache import prune
from tasks.files import digest, remove_temporaries, write_parquet
from tasks.params import Params

WAV, SEGMENTS, SPECTROGRAMS = Path("data/wav"), Path("data/segments"), Path("data/spectrograms")


@flow(name="spectrogram")
def spectrogram(params: Params) -> dict[str, int]:
    """The pictures of every segment and their manifest."""
    remove_temporaries(SPECTROGRAMS)
    songs = pd.read_parquet(WAV / "manifest.parquet").set_index("song_id")
    segments = pd.read_parquet(SEGMENTS / "segments.parquet").sort_values(["song_id", "segment"])
    items = []
    for song_id, rows in groupby(segments.to_dict("records"), key=itemgetter("song_id")):
        windows = list(rows)
        items.append(
            registry.Item(
                f"song {song_id}",
                {"wav": songs.sha256[song_id], "segments": digest(windows)},
                {
                    "wav": WAV / songs.file[song_id],
                    "segments": windows,
                    "params": params.spectrogram,
                    "folder": SPECTROGRAMS,
                    "seed": params.seed,
                },
                folder=SPECTROGRAMS.as_posix(),
            )
        )
    with registry.process_pool(params.compute.workers):
        done = run("spectrogram", items, params, [params.spectrogram.model_dump(), params.seed])
    table = pd.DataFrame([row for one in done for row in one.rows])
    order = ["song_id", "segment", "tile", "augmentation"]
    write_parquet(SPECTROGRAMS / "manifest.parquet", table.sort_values(order))
    prune(SPECTROGRAMS, [SPECTROGRAMS / "manifest.parquet", *(Path(f) for one in done for f in one.files)])
    return counts(done, pictures=len(table))
