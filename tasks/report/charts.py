"""The charts of the page: results -> **charts** -> page."""

from statistics import fmean as mean
from typing import Any

import pandas as pd

from tasks.report.findings import HEADLINE
from tasks.report.media import REAL
from tasks.report.results import Measure, Results
from tasks.report.svg import Axis, Bar, Cloud, Line, dot_chart, figure, line_chart, plane, span

SONGS = "labelled songs"


def headline(results: Results) -> Any:
    """The dot chart of emotion accuracy, with chance and the judge's own accuracy as lines; "" without figures."""
    bars = [
        Bar(name, found[HEADLINE].value, *_interval(found[HEADLINE]), _short(found[HEADLINE]))
        for name, found in results.measures.items()
        if HEADLINE in found
    ]
    bars.sort(key=lambda bar: results.experiments.index(bar.name))
    names = {"chance": "chance", "real_test_accuracy": "judge on real clips"}
    lines = [(text, results.judge[name].value) for name, text in names.items() if name in results.judge]
    if not bars:
        return ""
    said = "; ".join(f"{bar.name} {bar.value:.2f} ({bar.low:.2f} to {bar.high:.2f})" for bar in bars)
    return dot_chart(f"Emotion accuracy: {said}", "share of clips recognised as the emotion asked for", bars, lines)


def _interval(measure: Measure) -> tuple[float, float]:
    low = measure.value if measure.low is None else measure.low
    return low, measure.value if measure.high is None else measure.high


def _short(measure: Measure) -> str:
    return figure(measure.value) + ("" if measure.n is None else f", n = {measure.n}")


def loss_charts(results: Results) -> list[dict[str, Any]]:
    """A chart per experiment on one common loss scale: the raw loss thin, the fixed validation loss thick."""
    every = [
        value
        for table in results.losses.values()
        for name in ("loss", "validation_loss")
        for value in table[name].dropna()
    ]
    if not every:
        return []
    loss = span(
        [0.0, *pd.Series(every, dtype=float).clip(upper=pd.Series(every).quantile(0.995))], "loss", from_zero=True
    )
    charts = []
    for name, table in results.losses.items():
        fixed = table.dropna(subset=["validation_loss"])
        lines = [Line("raw", table.step, table.loss), Line("validation", fixed.step, fixed.validation_loss)]
        steps = Axis(0, max(1.0, float(table.step.max())), "optimizer step")
        note = ""
        if len(fixed):
            lowest = fixed.loc[fixed.validation_loss.idxmin()]
            last = fixed.validation_loss.iloc[-1]
            note = f"lowest validation loss {lowest.validation_loss:.3g} at step {lowest.step:.0f}, last {last:.3g}"
        charts.append({"name": name, "note": note, "svg": line_chart(f"Loss of {name}: {note}", lines, steps, loss)})
    return charts


def planes(results: Results) -> list[dict[str, Any]]:
    """Valence and arousal of the songs as labelled, of the real clips, then of what each experiment generated."""
    systems = [
        (SONGS, results.songs[results.songs.status == "ok"]),
        (REAL, results.real_clips),
        *((name, results.predictions.query("experiment == @name")) for name in results.experiments),
    ]
    charts = []
    for name, table in systems:
        if table.empty:
            continue
        clouds = [
            Cloud(emotion, index, part.valence.astype(float), part.arousal.astype(float))
            for index, emotion in enumerate(results.emotions)
            for part in [table[table.emotion == emotion].dropna(subset=["valence", "arousal"])]
        ]
        said = "; ".join(f"{c.name} {mean(c.x):.2f}, {mean(c.y):.2f}" for c in clouds if len(c.x))
        svg = plane(f"Valence and arousal of {name} clips, means: {said}", clouds)
        note = f"{sum(len(cloud.x) for cloud in clouds)} {'songs' if name == SONGS else 'clips'}"
        if name == SONGS:
            note += ": " + ", ".join(f"{cloud.name} {len(cloud.x)}" for cloud in clouds)
        charts.append({"name": name, "note": note, "svg": svg})
    return charts
