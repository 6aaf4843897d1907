"""Pieces of the demo corpus: valence and arousal over time + an artist's style -> **score** -> rendering.

`cues` says how a piece shows its emotion, `styles` what is the artist's. Here the parts are written, bar by bar:
melody and accompaniment on the same chords, in phrases of four bars.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tasks.demo_corpus import accompaniment
from tasks.demo_corpus.bars import Bar, bars, draw_plan
from tasks.demo_corpus.cues import Expression, draw_errors, express
from tasks.demo_corpus.melody import Motif, draw_motif, melody
from tasks.demo_corpus.scores import PARTS, Note, Part, Score
from tasks.demo_corpus.styles import Style

N_THEMES = 3
LATE_STD = 0.008  # s, of a player's timing
VELOCITY_STD = 4.0
Curve = Callable[[float], float]


def compose(style: Style, valence: Curve, arousal: Curve, seconds: float, generator: np.random.Generator) -> Score:
    """A piece of `seconds` whose features follow `valence(t)` and `arousal(t)` (0..1), with the cues' errors."""
    errors = draw_errors(generator)

    def moment(time: float) -> Expression:
        return express(valence(time), arousal(time), style.habits, errors)

    middle = moment(seconds / 2)
    plan = draw_plan(style, middle, generator)
    motifs = [draw_motif(style, theme, plan.level, plan.beats, generator) for theme in range(N_THEMES)]
    score = Score(seconds, middle.loudness, middle.brightness)
    for bar in bars(plan, moment, seconds):
        _write(score, bar, style, motifs, generator)
    return score


def _write(score: Score, bar: Bar, style: Style, motifs: list[Motif], generator: np.random.Generator) -> None:
    written: dict[Part, list[Note]] = {
        "lead": list(melody(bar, motifs[bar.theme], style, generator)),
        "chords": list(accompaniment.chords(bar, style, generator)),
        "pad": list(accompaniment.pad(bar, style)),
        "bass": list(accompaniment.bass(bar, style)),
        "drums": list(accompaniment.drums(bar, style, generator)),
    }
    for part in PARTS:
        played = (_played(note, generator) for note in written[part])
        score.parts[part] += [note for note in played if note.start < score.seconds]


def _played(note: Note, generator: np.random.Generator) -> Note:
    """The note as a player would have it: a little early or late, a little louder or softer."""
    late, louder = generator.normal(0, LATE_STD), generator.normal(0, VELOCITY_STD)
    velocity = float(np.clip(note.velocity + louder, 1, 127))
    return replace(note, start=max(0.0, note.start + float(late)), velocity=velocity)
