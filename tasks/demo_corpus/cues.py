"""How a piece tells its emotion: valence, arousal + an artist's habits -> **expression** -> composition.

Every cue reads the emotion with error. `CUES` says in which direction, after what listeners were found to hear:

    tempo, note density        rise with arousal                (Hevner 1937; Gabrielsson & Lindstrom 2010)
    mode                       the more of its steps are raised, the happier       (Temperley & Tan 2013)
    register                   higher with valence              (Hevner 1937; Juslin & Laukka 2004)
    loudness, brightness       rise with arousal                (Juslin & Laukka 2004; Eerola et al. 2013)
    detached notes             staccato: arousal, legato: calm and sad             (Juslin & Laukka 2003)
    contour                    rising: positive, falling: sad                      (Gerardi & Gerken 1995)
    tension                    dissonant, broken rhythm: negative valence at high arousal
                                                                (Gabrielsson & Lindstrom 2010)

No cue is enough: an artist shows each more or less strongly (`Habit.strength`) and has a place of their own on
its range (`Habit.offset`), as performers were found to (Juslin 2000), and each song adds an error. All of it is
drawn apart from the emotion.

Sources: K. Hevner, Am. J. Psychol. 49 (1937); G. Gerardi, L. Gerken, Music Percept. 12 (1995); P. Juslin, J. Exp.
Psychol. Hum. Percept. Perform. 26 (2000); P. Juslin, P. Laukka, Psychol. Bull. 129 (2003) and J. New Music Res. 33
(2004); A. Gabrielsson, E. Lindstrom, in Handbook of Music and Emotion (2010); T. Eerola, A. Friberg, R. Bresin,
Front. Psychol. 4 (2013); D. Temperley, D. Tan, Music Percept. 30 (2013).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

STRENGTHS = (1.05, 1.45)  # an artist's, uniform
HABIT_STD = 0.02  # of an artist's offset
ERROR_STD = 0.02  # of a song's error


@dataclass(frozen=True)
class Expression:
    """What the cues say at a moment, each 0..1."""

    tempo: float
    density: float
    loudness: float
    detached: float
    brightness: float
    mode: float  # 0: phrygian, 1: major
    register: float
    contour: float  # 0: falling, 1: rising
    tension: float

    @property
    def drive(self) -> float:
        """How much there is for percussion to do, 0..1."""
        return (self.loudness + self.density) / 2


CUES = {  # cue: its value in the middle of the plane, its change with valence and with arousal
    "tempo": (0.5, 0.15, 0.85),
    "density": (0.5, 0.0, 1.0),
    "loudness": (0.5, 0.0, 1.0),
    "detached": (0.5, 0.2, 0.8),
    "brightness": (0.5, 0.4, 0.6),
    "mode": (0.5, 1.0, 0.0),
    "register": (0.5, 0.8, 0.2),
    "contour": (0.5, 1.0, 0.0),
    "tension": (0.25, -0.9, 0.4),
}


@dataclass(frozen=True)
class Habit:
    """How an artist shows one cue."""

    strength: float
    offset: float


def draw_habits(generator: np.random.Generator) -> dict[str, Habit]:
    """An artist's habit for each cue."""
    return {name: Habit(float(generator.uniform(*STRENGTHS)), float(generator.normal(0, HABIT_STD))) for name in CUES}


def draw_errors(generator: np.random.Generator) -> dict[str, float]:
    """What a song's cues say beside its emotion."""
    return {name: float(generator.normal(0, ERROR_STD)) for name in CUES}


def express(valence: float, arousal: float, habits: Mapping[str, Habit], errors: Mapping[str, float]) -> Expression:
    """The cues of a moment whose valence and arousal (0..1) are given."""
    values = {}
    for name, (middle, by_valence, by_arousal) in CUES.items():
        change = by_valence * (valence - 0.5) + by_arousal * (arousal - 0.5)
        value = middle + habits[name].strength * change + habits[name].offset + errors[name]
        values[name] = float(np.clip(value, 0, 1))
    return Expression(**values)
