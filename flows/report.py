"""report: everything -> reports/index.html, the page a person reads and listens to."""

from pathlib import Path

from prefect import flow

from flows.evaluate import TABLES
from flows.run import counts, hashes, run
from tasks.files import digest
from tasks.params import Params
from tasks.registry import Item

REPORTS = Path("reports")
READ = (
    "data/labels",
    "data/wav/manifest.parquet",
    "data/raw/sources.json",
    "data/dataset/dataset.parquet",
    "data/dataset/excluded.parquet",
    "data/generated",
    "reports/train",
    "tasks/templates",
)


@flow(name="report")
def report(params: Params) -> dict[str, int]:
    """A folder that needs no network and no server."""
    content = {name: digest(hashes(Path(name))) for name in READ}
    content |= {"models": digest(hashes(Path("models"), "emoriff.json"))}
    content |= {name: digest(hashes(REPORTS, name)) for name in TABLES}
    arguments = {"root": Path(), "target": REPORTS, "profile": params.profile}
    outputs = ((REPORTS / "index.html").as_posix(), (REPORTS / "media").as_posix())
    item = Item("page", content, arguments, outputs=outputs)
    return counts(run("report", [item], params, params.profile))
