"""OpenLineage events of a stage: record of a **run** -> event -> **file and server**.

START, then COMPLETE or FAIL, with the facets of OpenLineage 2: inputs and outputs with their content's
version, git commit, parameters, engine, error. OPENLINEAGE_DISABLED=true turns them off.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.files import names_below
from tasks.core.layout import LOCAL
from tasks.core.messages import shown
from tasks.lineage import openlineage_spool

if TYPE_CHECKING:
    from tasks.lineage.record import Run

PRODUCER = "urn:emoriff"
finish = openlineage_spool.finish
log = logging.getLogger("emoriff.events")


def emit(root: Path, kind: str, run: "Run") -> None:
    """Report that a run started, completed or failed (`kind`: START, COMPLETE, FAIL); never fails the run."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return
    try:
        openlineage_spool.send_event(root / LOCAL / "lineage", event(root, kind, run))
    except openlineage_spool.MISTAKES as error:
        log.warning("the OpenLineage event %s of %s is lost: %s", kind, run.stage, shown(error))


def event(root: Path, kind: str, run: "Run") -> dict[str, Any]:
    """The event as OpenLineage's JSON."""
    from openlineage.client import event_v2
    from openlineage.client.serde import Serde

    event_v2.set_producer(PRODUCER)  # of the facets
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE", "emoriff")
    built = event_v2.RunEvent(
        eventTime=run.started if kind == "START" else run.ended,
        producer=PRODUCER,
        eventType=event_v2.RunState[kind],
        run=event_v2.Run(run.id, facets=run_facets(run)),
        job=event_v2.Job(namespace, run.stage, facets=job_facets(run)),
        inputs=[
            event_v2.InputDataset(namespace, path, facets=dataset_facets(md5))
            for path, md5 in sorted(run.inputs.items())
        ],
        outputs=[
            event_v2.OutputDataset(namespace, path, facets=dataset_facets(md5), outputFacets=output_facets(root / path))
            for path, md5 in sorted(run.outputs.items())
        ],
    )
    return Serde.to_dict(built)


def run_facets(run: "Run") -> dict[str, Any]:
    """Engine, parameters, what was computed, and the error of a run that failed."""
    from openlineage.client import facet_v2

    facets: dict[str, Any] = {
        "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet(
            version=run.environment.packages.get("prefect", "none"), name="prefect"
        ),
        "emoriff": facet_v2.RunFacet().with_additional_properties(
            parameters=run.parameters,
            seeds=run.seeds,
            counts=run.counts,
            python=run.environment.python,
            packages=run.environment.packages,
            uncommittedChanges=run.git.changes,
        ),
    }
    if run.error:
        facets["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(run.error, "PYTHON")
    return facets


def job_facets(run: "Run") -> dict[str, Any]:
    """What kind of job it is, and the commit of its code."""
    from openlineage.client import facet_v2

    facets: dict[str, Any] = {"jobType": facet_v2.job_type_job.JobTypeJobFacet("BATCH", "EMORIFF", jobType="TASK")}
    if run.git.commit:
        facets["sourceCodeLocation"] = facet_v2.source_code_location_job.SourceCodeLocationJobFacet(
            "git", url=f"{PRODUCER}:{run.git.commit}", version=run.git.commit, path="flows"
        )
    return facets


def dataset_facets(md5: str) -> dict[str, Any]:
    """The version of a file or folder is its DVC hash."""
    from openlineage.client import facet_v2

    return {"version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet(md5)}


def output_facets(path: Path) -> dict[str, Any]:
    """How many files and bytes an output has."""
    from openlineage.client import facet_v2

    files = [path] if path.is_file() else [path / name for name in names_below(path)]
    size = sum(file.stat().st_size for file in files)
    statistics = facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    return {"outputStatistics": statistics(size=size, fileCount=len(files))}
