"""Tunes: bars + motifs -> **melody** -> score.

A phrase has four bars: a motif, the motif on the next chord, its beginning said again in short, and a cadence,
the sentence of classical form theory (Caplin 1998, chapter 3). Of two phrases the first ends open, on the
dominant, the second closed, on the tonic. A theme keeps its motif, so that it is known again when it returns.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.demo_corpus.bars import Bar
from tasks.demo_corpus.harmony import chord_degree, nearest_degree
from tasks.demo_corpus.scores import Note
from tasks.demo_corpus.styles import Style

CELLS = (  # rhythms of a motif (beats), by density
    ((2, 2), (3, 1), (4,), (1, 3)),
    ((1, 1, 2), (1.5, 0.5, 2), (2, 1, 1), (1, 1, 1, 1)),
    ((1, 0.5, 0.5, 1, 1), (0.5, 0.5, 1, 0.5, 0.5, 1), (1.5, 0.5, 1, 0.5, 0.5), (0.5, 1, 0.5, 1, 1)),
    (
        (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
        (0.5, 0.25, 0.25, 0.5, 0.5, 0.5, 0.25, 0.25, 1),
        (0.75, 0.25, 0.5, 0.5, 0.75, 0.25, 0.5, 0.5),
        (0.25, 0.25, 0.5, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5),
    ),
)
LIFT = 5.0  # semitones by which a phrase rises or falls at the ends of the contour cue


@dataclass(frozen=True)
class Motif:
    """A theme's idea."""

    rhythm: tuple[float, ...]  # beats
    steps: tuple[int, ...]  # of the scale, from the first note


def draw_motif(style: Style, theme: int, level: int, beats: int, generator: np.random.Generator) -> Motif:
    """A rhythm of the density level and a shape of the artist's; a bar of three beats takes what fits."""
    cells = CELLS[level]
    rhythm = fitting(cells[(style.cell + theme) % len(cells)], beats)
    span = int(generator.choice([2, 3, 4]))
    sign = int(generator.choice([-1, 1]))
    return Motif(rhythm, tuple(sign * step for step in shape_steps(style.shapes[theme % 2], len(rhythm), span)))


def fitting(rhythm: tuple[float, ...], beats: float) -> tuple[float, ...]:
    """The beginning of a rhythm that fills `beats`, its last note shortened where it must be.

    >>> fitting((1, 1, 2), 3)
    (1.0, 1.0, 1.0)
    """
    ends = np.minimum(np.cumsum(rhythm), beats)
    lengths = np.diff(np.concatenate([[0.0], ends]))
    return tuple(float(length) for length in lengths if length > 0)


def shape_steps(shape: str, n_notes: int, span: int) -> tuple[int, ...]:
    """Scale steps from the first note: an arch, a wave, a turn around it or leaps up and down by `span`."""
    place = np.linspace(0, 1, n_notes) if n_notes > 1 else np.zeros(1)
    curves = {
        "arch": span * np.sin(np.pi * place),
        "wave": span * np.sin(2 * np.pi * place),
        "turn": np.resize([0, 1, 0, -1], n_notes),
        "leap": np.resize([0, span, 1, span - 1], n_notes),
    }
    return tuple(int(step) for step in np.rint(curves[shape]))


def varied(motif: Motif, bar: Bar) -> Motif:
    """The motif as it stands in this bar of the phrase."""
    if bar.place < 2:
        return motif
    half = fitting(motif.rhythm, bar.plan.beats / 2)
    if bar.place == 2:
        return Motif(half + half, motif.steps[: len(half)] + tuple(step + 1 for step in motif.steps[: len(half)]))
    return Motif((*half, bar.plan.beats / 2), (*motif.steps[: len(half)], 0))


def melody(bar: Bar, motif: Motif, style: Style, generator: np.random.Generator) -> Iterator[Note]:
    """The lead's notes of a bar."""
    words = bar.expression
    share = 1.02 - 0.6 * words.detached
    onset = 0.0
    idea = varied(motif, bar)
    for length, degree in zip(idea.rhythm, degrees(bar, idea, style), strict=True):
        start, end = bar.time(onset + _shift(bar, onset, generator)), bar.time(onset + length)
        accent = 8 * (onset == 0) + 4 * (onset % 1 == 0) + 10 * np.sin(np.pi * (bar.place + 0.5) / 4)
        pitch = bar.plan.key.pitch(degree, bar.chord) + _wrong(bar, generator)
        yield Note(start, max(share * (end - start), 0.06), pitch, 44 + 56 * words.loudness + accent)
        onset += length


def degrees(bar: Bar, idea: Motif, style: Style) -> list[int]:
    """The motif on the bar's chord: notes on beats are of the chord, the last of a period is the goal."""
    target = register(bar, style)
    anchor = chord_degree(nearest_degree(bar.plan.key, target, bar.chord), bar.chord)
    onsets = np.cumsum([0.0, *idea.rhythm[:-1]])
    found = [
        chord_degree(anchor + step, bar.chord) if onset % 1 == 0 else anchor + step
        for onset, step in zip(onsets, idea.steps, strict=True)
    ]
    if bar.place == 3 and bar.closing:
        found[-1] = min((anchor + step for step in range(-4, 4)), key=lambda degree: (degree % 7 != 0, degree))
    return found


def register(bar: Bar, style: Style) -> float:
    """MIDI pitch around which the bar's melody lies: within the instrument's range, along the phrase's contour."""
    low, high = style.lead.low, style.lead.high
    middle = 0.25 * (low + (high - low) * (0.1 + 0.8 * bar.expression.register))
    middle += 0.75 * (55 + 30 * bar.expression.register)
    return float(middle + LIFT * (2 * bar.expression.contour - 1) * (bar.place / 3 - 0.5) * 2)


def _shift(bar: Bar, onset: float, generator: np.random.Generator) -> float:
    """Beats by which a note comes late where tension breaks the rhythm."""
    broken = onset > 0 and generator.random() < 0.7 * (bar.expression.tension - 0.35)
    return 0.25 * broken


def _wrong(bar: Bar, generator: np.random.Generator) -> int:
    """A semitone beside the scale, now and then, where there is tension."""
    return int(generator.random() < 0.5 * (bar.expression.tension - 0.35))
