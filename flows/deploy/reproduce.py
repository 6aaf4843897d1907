"""What deployments run: `emoriff repro` by schedule, a retraining from scratch, an experiment on demand.

The stages' own flows appear beside it in Prefect's UI, because they report to the same server.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.deploy.repro import COLUMNS, cell, environment
from tasks.core.errors import EmoriffError
from tasks.core.files import sha256
from tasks.core.layout import LOCAL, MEDIA, METRICS, PAGE, REPORTS, TIMINGS
from tasks.core.messages import without_secrets
from tasks.core.reading import json_of, record_in

FAILURES = LOCAL / "failures.jsonl"


def report_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Note a failed run in .emoriff/failures.jsonl and, where EMORIFF_WEBHOOK is set, post it there."""
    record = {"flow": flow.name, "run": flow_run.name, "state": state.name}
    record["message"] = without_secrets(str(state.message))
    line = json.dumps(record | {"time": datetime.now(UTC).isoformat(timespec="seconds")})
    FAILURES.parent.mkdir(parents=True, exist_ok=True)
    with FAILURES.open("a") as file:
        file.write(line + "\n")
    address = os.environ.get("EMORIFF_WEBHOOK")
    if address:
        request = urllib.request.Request(address, line.encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()


# How a deployment's runs are cared for: finished work is kept, so a second try costs only what failed.
CARE: dict[str, Any] = {
    "retries": 1,
    "retry_delay_seconds": 300,
    "timeout_seconds": 48 * 3600,
    "on_failure": [report_failure],
    "on_crashed": [report_failure],
}


@flow(name="reproduce", **CARE)
def reproduce(targets: list[str] | None = None, fresh: bool = False) -> dict[str, Any]:
    """`emoriff repro` (of some stages only, where `targets` names them).

    `fresh` computes although the caches know the answer, and so checks that the results repeat:
    a retraining that gives other bytes shows as a changed dvc.lock.
    """
    variables = {"EMORIFF_FRESH": "1"} if fresh else {}
    force = ["--force"] if fresh else []
    before = sha256(Path("dvc.lock")) if Path("dvc.lock").is_file() else None
    command([sys.executable, "-m", "flows", "repro", *force, *(targets or [])], variables)
    after = sha256(Path("dvc.lock"))
    show_results()
    return {"dvc_lock": after, "changed": before != after}


@flow(name="experiment", **CARE)
def experiment(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """`dvc exp run` with changed parameters, e.g. {"train.experiments.ours.steps": 500}; kept under `name`."""
    options = [word for key, value in changes.items() for word in ("-S", f"{key}={json.dumps(value)}")]
    command([sys.executable, "-m", "dvc", "exp", "run", "--name", name, *options], {})
    show_results()
    return {"experiment": name, "dvc_lock": sha256(Path("dvc.lock"))}


def command(words: list[str], variables: dict[str, str]) -> None:
    """Run a program and pass its lines on; its last lines become the error when it fails.

    It is ended when this flow is, by a time-out or from the UI.
    """
    process = subprocess.Popen(
        words,
        env=environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    lines: deque[str] = deque(maxlen=40)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.append(line)
            print(line, end="", flush=True)
    except BaseException:
        process.terminate()
        raise
    if process.wait():
        raise EmoriffError(
            f"the run ended with status {process.returncode}",
            where=" ".join(words[1:]),
            got="\n" + "".join(lines),
            todo="mend what the last lines say and run it again: finished work is kept",
        )


def show_results() -> None:
    """The outcome in Prefect's UI: counts per stage, the table of measures, the page and its pictures."""
    timings = record_in(TIMINGS, dict[str, dict[str, Any]]) or {}
    rows = [{"stage": name, **values} for name, values in timings.get("stages", {}).items()]
    create_table_artifact(rows, key="stages", description="What each stage did when it ran last")
    if METRICS.is_file():
        create_markdown_artifact(markdown_table(json_of(METRICS)), key="measures")
    if PAGE.is_file():
        create_link_artifact(address(PAGE), key="report", link_text="the page with pictures and sound")
        create_markdown_artifact(pictures(MEDIA), key="pictures")


def address(file: Path) -> str:
    """Where a browser finds a file below reports: at `emoriff serve`, which sets EMORIFF_PAGES, or on this disk."""
    pages = os.environ.get("EMORIFF_PAGES")
    return f"{pages}/{file.relative_to(REPORTS).as_posix()}" if pages else file.resolve().as_uri()


def pictures(media: Path) -> str:
    """The first generated clip of every emotion and some real ones as Markdown images that link to their files."""
    lines = []
    for folder in sorted(media.iterdir()):
        shown = sorted(folder.glob("*_0000.png")) or sorted(folder.glob("*.png"))[:5]
        lines += [f"## {folder.name}", *(f"[![{file.stem}]({address(file)})]({address(file)})" for file in shown)]
    return "\n\n".join(lines)


def markdown_table(metrics: dict[str, Any]) -> str:
    """Measures of every experiment with their intervals, as Markdown."""
    lines = ["| experiment | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, measures in metrics["experiments"].items():
        found = [measures.get(key) for key in COLUMNS]
        cells = [cell(one) + (f", n = {one['n']}" if cell(one) != "-" else "") for one in found]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
