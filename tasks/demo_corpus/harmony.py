"""Keys, chords and how they follow each other: mode + scale degrees -> **pitches** -> melody, accompaniment.

A pitch is a MIDI number (60 is middle C). A degree counts the steps of a mode from 0, the tonic, and goes on over
the octaves: degree 7 is the tonic an octave higher.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MODES = {  # semitones above the tonic, from dark to bright
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "ionian": (0, 2, 4, 5, 7, 9, 11),
}
MODE_ENDS = (0.1, 0.42, 0.5, 0.56)  # of the mode cue, where the next mode begins: minor below the middle
DOMINANT, LEADING, SUBTONIC = 4, 6, 6
TRIAD = (0, 2, 4)
# Periods of eight bars, a chord a bar: an antecedent that ends on the dominant, a consequent that ends on the tonic
# (Caplin 1998, chapter 4). Most go home to the tonic every other bar, so that a few seconds tell the mode.
PERIODS = (
    ((0, 3, 0, 4), (0, 3, 4, 0)),
    ((0, 5, 0, 4), (0, 5, 4, 0)),
    ((0, 4, 0, 4), (0, 3, 4, 0)),
    ((0, 6, 0, 4), (0, 6, 4, 0)),
    ((0, 2, 0, 4), (0, 2, 4, 0)),
    ((0, 0, 3, 4), (0, 0, 4, 0)),
    ((0, 1, 0, 4), (0, 1, 4, 0)),
    ((0, 3, 0, 4), (3, 0, 4, 0)),
    ((0, 5, 3, 4), (0, 3, 4, 0)),
    ((0, 0, 5, 4), (0, 5, 4, 0)),
    ((0, 6, 3, 4), (0, 6, 3, 0)),
    ((0, 4, 5, 4), (0, 4, 0, 0)),
)
Period = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Key:
    """Tonic (0..11 semitones above C) and mode."""

    tonic: int
    mode: str

    def pitch(self, degree: int, chord: int) -> int:
        """The degree's pitch in the octave of pitch 0, in the harmony of `chord` (a degree, too).

        Over the dominant the seventh step leads to the tonic, in minor too; the chord on the seventh step of major
        is the subtonic, because a diminished chord is none to stay on.
        """
        octave, step = divmod(degree, 7)
        semitones = MODES[self.mode][step]
        if step == LEADING and chord == DOMINANT:
            semitones = 11
        if step == SUBTONIC and chord == SUBTONIC:
            semitones = 10
        return 12 * octave + self.tonic + semitones


def mode_of(value: float) -> str:
    """The mode for the mode cue (0..1).

    >>> mode_of(0.3), mode_of(0.9)
    ('aeolian', 'ionian')
    """
    return list(MODES)[sum(value >= end for end in MODE_ENDS)]


def chord_pitches(key: Key, chord: int, thirds: Sequence[int] = TRIAD) -> list[int]:
    """Pitches of the chord on a degree: its triad, or other steps above its root.

    >>> chord_pitches(Key(0, "ionian"), 4)
    [7, 11, 14]
    """
    return [key.pitch(chord + third, chord) for third in thirds]


def near(pitch: float, register: float) -> int:
    """`pitch` moved by octaves to within half an octave of `register`."""
    return round(pitch + 12 * round((register - pitch) / 12))


def close_voicing(pitches: Sequence[int], register: float) -> list[int]:
    """The chord within an octave around `register`, ascending: its voices move little from chord to chord."""
    return sorted({near(pitch, register) for pitch in pitches})


def chord_degree(degree: int, chord: int) -> int:
    """The degree of the chord's triad nearest to `degree`, the lower of two.

    >>> chord_degree(3, 0), chord_degree(5, 4)
    (2, 4)
    """
    return min(range(degree - 2, degree + 3), key=lambda other: ((other - chord) % 7 not in TRIAD, abs(other - degree)))


def nearest_degree(key: Key, pitch: float, chord: int) -> int:
    """The degree whose pitch is nearest to `pitch`."""
    guess = 7 * int(pitch // 12)
    return min(range(guess - 8, guess + 9), key=lambda degree: abs(key.pitch(degree, chord) - pitch))
