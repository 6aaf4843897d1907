"""The page that a person reads and listens to: everything -> **reports/index.html**.

`reports/index.html` and `reports/media/` are a folder of their own: no network, no server. What is not
deterministic (seconds, machine, versions) is not in the page: the page loads it from `timings.js` beside it.
"""

from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.files import write_text
from tasks.execution.cache import prune
from tasks.report.charts import headline, loss_charts, planes
from tasks.report.findings import best_system, p_text, sentences
from tasks.report.limitations import limitations
from tasks.report.media import collect
from tasks.report.results import Results, load
from tasks.report.svg import figure, marker
from tasks.report.tables import (
    accuracy_by_emotion,
    balance,
    confusions,
    judge_rows,
    kad_matrices,
    measure_rows,
    model_rows,
    pairwise_comparisons,
    rejected,
    stage_counts,
)
from tasks.report.training_configuration import training_configurations

RENDERED = "rendered by this project"  # the citation of the demo corpus in params.yaml
TEMPLATES = Path(__file__).parent / "templates"


def write_report(root: Path, target: Path, profile: str) -> None:
    """`target`/index.html and `target`/media, from what lies below the repository `root`; the page says `profile`.

    The same inputs give the same bytes. Files that are not there yet are named on the page.

    Raises:
        InputError: a file that is there cannot be read.
    """
    results = load(root)
    rows = collect(results, target / "media")
    used = [
        target / name
        for systems in rows.values()
        for row in systems
        for clip in row
        for name in (clip.picture, clip.sound)
        if name
    ]
    if (target / "media").is_dir():
        prune(target / "media", used)
    page = render("report.html.j2", context(results) | {"rows": rows, "profile": profile})
    write_text(target / "index.html", page)


def render(template: str, values: dict[str, Any]) -> str:
    """A template of tasks/report/templates with `values`, everything escaped; an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = figure
    environment.filters["p"] = p_text
    environment.globals["marker"] = marker
    return environment.get_template(template).render(values)


def example(results: Results) -> str:
    """The path of a clip, of the best experiment where one was judged; "" without clips."""
    system = best_system(results)
    system = system if system in results.clips else next(reversed(list(results.clips)), None)
    return "" if system is None else f"data/generated/{system}/{results.clips[system].wav.iloc[0]}"


def context(results: Results) -> dict[str, Any]:
    """All that the template shows, but for the clips.

    Raises:
        InputError: a record of a model or of the labels has another form than this version writes.
    """
    try:
        return _context(results)
    except (AttributeError, LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            "the records have another form than this version writes",
            where=results.root / "models/*/emoriff.json, data and reports",
            got=f"{type(error).__name__}: {error}",
            todo="run the stages that write them again",
        ) from error


def _context(results: Results) -> dict[str, Any]:
    return {
        "sentences": sentences(results),
        "missing": results.missing,
        "emotions": results.emotions,
        "experiments": results.experiments,
        "headline": headline(results),
        "training_configurations": training_configurations(results),
        "measures": measure_rows(results),
        "by_emotion": accuracy_by_emotion(results),
        "comparisons": pairwise_comparisons(results),
        "settings": results.settings,
        "judge": judge_rows(results),
        "losses": loss_charts(results),
        "planes": planes(results),
        "kad": kad_matrices(results),
        "confusions": confusions(results),
        "balance": balance(results),
        "rejected": rejected(results),
        "limitations": limitations(results),
        "counts": stage_counts(results),
        "example": example(results),
        "models": model_rows(results),
        "sources": results.sources,
        "rendered": bool(results.sources) and all(RENDERED in source.get("citation", "") for source in results.sources),
    }
