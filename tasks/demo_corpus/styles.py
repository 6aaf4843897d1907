"""Artists: a seed -> **style** -> composition.

A style is drawn from its seed alone, so it says nothing about the emotion of a piece: a listener, or a judge,
cannot tell the one from the other. Equal seeds are equal artists with equal names, different seeds have
different names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from tasks.demo_corpus.cues import Habit, draw_habits
from tasks.demo_corpus.harmony import PERIODS, Period

Family = Literal["piano", "strings", "guitar", "wind", "mallets", "keys", "bass"]
Figure = Literal["block", "strum", "arpeggio", "alberti", "offbeat"]
Walk = Literal["root", "fifths", "walking"]

Choice = TypeVar("Choice")

CONSONANTS, VOWELS = "bdfghjklmnprstvz", "aiou"
FIGURES: tuple[Figure, ...] = ("block", "strum", "arpeggio", "alberti", "offbeat")
WALKS: tuple[Walk, ...] = ("root", "fifths", "walking")
GROOVES = ("rock", "four", "bossa", "shuffle", "folk", "march", None)
RHYTHMS = ("x..x..x.", "x.x.x.x.", "x..xx.x.", "x.xx.x.x", "x...x.x.", "x.x..xx.")  # eighths of a bar
SHAPES = ("arch", "wave", "turn", "leap")


@dataclass(frozen=True)
class Instrument:
    """One of General MIDI's sounds."""

    program: int  # General MIDI, 0..127
    family: Family
    low: int  # comfortable range, MIDI pitch
    high: int


LEADS: dict[Family, tuple[Instrument, ...]] = {
    "piano": (Instrument(0, "piano", 55, 92), Instrument(1, "piano", 55, 92), Instrument(4, "piano", 52, 88)),
    "wind": (
        Instrument(73, "wind", 62, 94),  # flute
        Instrument(71, "wind", 52, 86),  # clarinet
        Instrument(68, "wind", 60, 88),  # oboe
        Instrument(65, "wind", 54, 82),  # alto saxophone
        Instrument(56, "wind", 56, 84),  # trumpet
        Instrument(74, "wind", 62, 92),  # recorder
    ),
    "strings": (
        Instrument(40, "strings", 57, 93),  # violin
        Instrument(41, "strings", 50, 84),  # viola
        Instrument(42, "strings", 45, 78),  # cello
        Instrument(110, "strings", 57, 90),  # fiddle
    ),
    "guitar": (
        Instrument(24, "guitar", 52, 84),  # nylon
        Instrument(25, "guitar", 52, 84),  # steel
        Instrument(26, "guitar", 50, 82),  # jazz
        Instrument(27, "guitar", 52, 86),  # clean
    ),
    "mallets": (Instrument(11, "mallets", 55, 89), Instrument(12, "mallets", 53, 88)),  # vibraphone, marimba
}
CHORDS: dict[Family, tuple[Instrument, ...]] = {
    "guitar": (Instrument(24, "guitar", 45, 74), Instrument(25, "guitar", 45, 74), Instrument(26, "guitar", 45, 74)),
    "piano": (Instrument(0, "piano", 45, 76), Instrument(4, "piano", 45, 76), Instrument(5, "piano", 45, 76)),
    "strings": (Instrument(45, "strings", 45, 78), Instrument(46, "strings", 45, 80)),  # pizzicato, harp
    "keys": (Instrument(16, "keys", 45, 74), Instrument(6, "keys", 45, 78)),  # organ, harpsichord
}
PADS = (
    Instrument(42, "strings", 48, 76),  # celli
    Instrument(53, "keys", 48, 74),  # voices
    Instrument(19, "keys", 48, 74),  # church organ
    None,
    None,
    None,
)
BASSES = tuple(Instrument(program, "bass", 29, 52) for program in (32, 33, 34, 35, 43))


@dataclass(frozen=True)
class Style:
    """What makes an artist's pieces alike, whatever their emotion."""

    name: str
    lead: Instrument
    chords: Instrument
    pad: Instrument | None
    bass: Instrument
    groove: str | None  # pattern of the drums
    figure: Figure  # of the accompaniment
    rhythm: str  # of struck chords, eighths of a bar
    walk: Walk  # of the bass
    beats: int  # of a bar
    swing: float  # share of a beat by which the second eighth is late
    tempo_bpm: tuple[float, float]  # slowest and fastest pieces
    tonic: int  # of the favourite key, semitones above C
    periods: tuple[Period, ...]  # progressions of the pieces
    shapes: tuple[str, str]  # of the motifs of first and second theme
    cell: int  # which rhythms the motifs prefer
    sparing: float  # drive (0..1) below which the drums are silent
    room: int  # how much of the reverberation, 0 to 127 as MIDI controller 91
    treble_db: float  # of the recording
    hiss_db: float  # noise of the recording, below the piece's peak
    habits: Mapping[str, Habit]  # of the cues


def artist_name(seed: int) -> str:
    """A name one can say for 32 bits: two words of consonants and vowels (Wilkerson 2009, "proquints").

    >>> artist_name(0x7F000001)
    'Lusab Babad'
    """
    return f"{_word(seed >> 16 & 0xFFFF)} {_word(seed & 0xFFFF)}".title()


def _word(number: int) -> str:
    """Five letters for 16 bits, 4 for a consonant and 2 for a vowel."""
    letters = ((CONSONANTS, 12), (VOWELS, 10), (CONSONANTS, 6), (VOWELS, 4), (CONSONANTS, 0))
    return "".join(alphabet[number >> shift & len(alphabet) - 1] for alphabet, shift in letters)


def draw_style(seed: int, index: int) -> Style:
    """The style of the artist with this seed; families go round with `index`, so that a few artists have all."""
    generator = np.random.default_rng(seed)
    families = list(LEADS)
    lead = families[index % len(families)]
    others = [family for family in CHORDS if family != lead]
    chords = others[index // len(families) % len(others)]
    slowest = float(generator.uniform(58, 72))
    return Style(
        name=artist_name(seed),
        lead=_one_of(LEADS[lead], generator),
        chords=_one_of(CHORDS[chords], generator),
        pad=_one_of(PADS, generator),
        bass=_one_of(BASSES, generator),
        groove=GROOVES[index % len(GROOVES)],
        figure=_one_of(FIGURES, generator),
        rhythm=_one_of(RHYTHMS, generator),
        walk=_one_of(WALKS, generator),
        beats=int(generator.choice([4, 4, 4, 3])),
        swing=float(generator.choice([0.0, 0.0, 0.08, 0.16])),
        tempo_bpm=(slowest, slowest * float(generator.uniform(2.1, 2.4))),
        tonic=int(generator.integers(12)),
        periods=tuple(PERIODS[row] for row in generator.choice(len(PERIODS), 3, replace=False)),
        shapes=(_one_of(SHAPES, generator), _one_of(SHAPES, generator)),
        cell=int(generator.integers(12)),
        sparing=float(generator.uniform(0.35, 0.5)),
        room=int(generator.integers(10, 90)),
        treble_db=float(generator.uniform(-2, 2)),
        hiss_db=float(generator.uniform(-80, -68)),
        habits=draw_habits(generator),
    )


def _one_of(choices: tuple[Choice, ...], generator: np.random.Generator) -> Choice:
    return choices[int(generator.integers(len(choices)))]
