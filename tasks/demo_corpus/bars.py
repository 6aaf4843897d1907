"""What is laid down before a note is written: style + expression -> **bars** -> melody, accompaniment, drums."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tasks.demo_corpus.cues import Expression
from tasks.demo_corpus.harmony import Key, Period, mode_of
from tasks.demo_corpus.styles import Style

PHRASE = 4  # bars
FORMS = ("aaba", "abab", "aabb", "abac")  # a letter is a period of eight bars
LONGEST_BAR_SECONDS = 2.7  # slower pieces have bars of two beats, so that harmony moves on
DENSITY_ENDS = (0.25, 0.5, 0.69)  # of the density cue, where the next level begins
Moment = Callable[[float], Expression]  # time (s) -> what the cues say


@dataclass(frozen=True)
class Plan:
    """What is the same throughout a piece."""

    key: Key
    beat: float  # s
    beats: int  # of a bar
    swing: float  # share of a beat by which the second eighth is late
    form: str
    level: int  # 0 (sparse) to 3 (dense)
    periods: tuple[Period, ...]


@dataclass(frozen=True)
class Bar:
    """One bar of a piece."""

    index: int
    start: float  # s
    plan: Plan
    theme: int  # 0, 1 or 2: which period of the form
    chord: int  # degree
    expression: Expression

    @property
    def place(self) -> int:
        """Of the bar in its phrase, 0 to 3."""
        return self.index % PHRASE

    @property
    def closing(self) -> bool:
        """In the consequent of its period, which ends on the tonic."""
        return self.index // PHRASE % 2 == 1

    def time(self, beats: float) -> float:
        """Seconds of a place in the bar; second eighths are late in a piece that swings."""
        late = self.plan.swing if abs(beats % 1 - 0.5) < 1e-6 else 0.0
        return self.start + (beats + late) * self.plan.beat


def draw_plan(style: Style, expression: Expression, generator: np.random.Generator) -> Plan:
    """Key, tempo, form and density of a piece for what the cues say in its middle."""
    slowest, fastest = style.tempo_bpm
    tonic = style.tonic + int(generator.choice([0, 5, 7]))  # the favourite key and its neighbours
    beat = 60 / (slowest * (fastest / slowest) ** expression.tempo)
    return Plan(
        key=Key(tonic % 12, mode_of(expression.mode)),
        beat=beat,
        beats=2 if style.beats * beat > LONGEST_BAR_SECONDS else style.beats,
        swing=style.swing,
        form=FORMS[int(generator.integers(len(FORMS)))],
        level=int(np.searchsorted(DENSITY_ENDS, expression.density, side="right")),
        periods=tuple(style.periods[row] for row in generator.permutation(len(style.periods))),
    )


def bars(plan: Plan, moment: Moment, seconds: float) -> Iterator[Bar]:
    """The bars of a piece; the last may go on after its end."""
    length = plan.beats * plan.beat
    for index in range(int(np.ceil(seconds / length))):
        theme = "abc".index(plan.form[index // (2 * PHRASE) % len(plan.form)])
        phrase = plan.periods[theme % len(plan.periods)][index // PHRASE % 2]
        middle = min((index + 0.5) * length, seconds)
        yield Bar(index, index * length, plan, theme, phrase[index % PHRASE], moment(middle))
