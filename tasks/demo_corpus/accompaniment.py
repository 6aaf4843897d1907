"""What lies under the tune: bars + style -> **chords, pad, bass, drums** -> score."""

from collections.abc import Iterator

import numpy as np

from tasks.demo_corpus.bars import Bar
from tasks.demo_corpus.harmony import chord_pitches, close_voicing, near
from tasks.demo_corpus.scores import Note
from tasks.demo_corpus.styles import Figure, Style

UNITS = (2.0, 1.0, 0.5, 0.5)  # beats between the onsets of the chords, by density
STEPS = (4.0, 2.0, 1.0, 0.5)  # of the bass
ORDERS: dict[Figure, tuple[int, ...]] = {"arpeggio": (0, 1, 2, 1), "alberti": (0, 2, 1, 2)}  # voices, lowest 0
STRUM_SECONDS = 0.018  # from string to string
SHELL = (0, 2)  # steps above the root that tell a chord
PAD_ENDS = 0.6  # of the cue `detached`: above it nothing is sustained
Pattern = tuple[tuple[int, str], ...]
GROOVES: dict[str, Pattern] = {  # General MIDI key and eighths of a bar; later lines enter with more drive
    "rock": ((42, "xxxxxxxx"), (36, "x...x..x"), (38, "..x...x.")),
    "four": ((36, "x.x.x.x."), (46, ".x.x.x.x"), (39, "..x...x.")),
    "bossa": ((70, "xxxxxxxx"), (37, "x..x..x."), (36, "x..xx..x")),
    "shuffle": ((51, "x.xxx.xx"), (36, "x...x..."), (38, "..x...x.")),
    "folk": ((54, "..x...x."), (36, "x...x..."), (70, "xxxxxxxx")),
    "march": ((38, "x.xxx.xx"), (36, "x...x..."), (49, "x.......")),
}
TOMS = (50, 47, 45, 41)


def voicing(bar: Bar, style: Style, generator: np.random.Generator) -> list[int]:
    """The bar's chord for the accompanying instrument; with tension a semitone or a tritone beside it."""
    pitches = chord_pitches(bar.plan.key, bar.chord)
    rub = [pitches[0] + 1, pitches[0] + 6]
    pitches += [pitch for pitch in rub if generator.random() < 0.9 * (bar.expression.tension - 0.3)]
    low, high = style.chords.low, style.chords.high
    return close_voicing(pitches, low + (high - low) * bar.expression.register)


def chords(bar: Bar, style: Style, generator: np.random.Generator) -> Iterator[Note]:
    """The accompaniment's figure."""
    pitches = voicing(bar, style, generator)
    words, unit = bar.expression, UNITS[bar.plan.level]
    seconds = unit * bar.plan.beat * (1.05 - 0.65 * words.detached)
    velocity = 34 + 50 * words.loudness
    for index, onset in enumerate(np.arange(0, bar.plan.beats, unit)):
        start, accent = bar.time(float(onset)), 6 * (onset == 0)
        for voice, pitch in enumerate(sounding(pitches, index, style, unit)):
            late = STRUM_SECONDS * voice * (style.figure == "strum")
            yield Note(start + late, seconds, pitch, velocity + accent)


def sounding(pitches: list[int], index: int, style: Style, unit: float) -> list[int]:
    """Which of the chord's pitches the figure strikes at its onset number `index`."""
    if style.figure in ORDERS:
        order = ORDERS[style.figure]
        return [pitches[order[index % len(order)] % len(pitches)]]
    if style.figure == "offbeat":
        return pitches if index % 2 or unit > 1 else []
    struck = unit > 0.5 or style.rhythm[index % len(style.rhythm)] == "x"
    return pitches if struck else []


def pad(bar: Bar, style: Style) -> Iterator[Note]:
    """Sustained root and third, where the artist has an instrument for it and the notes are not detached."""
    if style.pad is None or bar.expression.detached > PAD_ENDS:
        return
    register = style.pad.low + (style.pad.high - style.pad.low) * bar.expression.register
    seconds = 0.98 * bar.plan.beats * bar.plan.beat
    for pitch in close_voicing(chord_pitches(bar.plan.key, bar.chord, SHELL), register):
        yield Note(bar.start, seconds, pitch, 30 + 40 * bar.expression.loudness)


def bass(bar: Bar, style: Style) -> Iterator[Note]:
    """The bass line: roots, roots and fifths, or a walk through the chord."""
    thirds = {"root": (0,), "fifths": (0, 4), "walking": (0, 2, 4, 2)}[style.walk]
    words, step = bar.expression, min(STEPS[bar.plan.level], bar.plan.beats)
    for index, onset in enumerate(np.arange(0, bar.plan.beats, step)):
        pitch = bar.plan.key.pitch(bar.chord + thirds[index % len(thirds)], bar.chord)
        seconds = step * bar.plan.beat * (0.95 - 0.5 * words.detached)
        register = 36 + 14 * (words.register - 0.5)
        yield Note(bar.time(float(onset)), seconds, near(pitch, register), 46 + 50 * words.loudness)


def drums(bar: Bar, style: Style, generator: np.random.Generator) -> Iterator[Note]:
    """The artist's groove, more of it the more drive there is; a fill ends a phrase."""
    words = bar.expression
    if style.groove is None or words.drive < style.sparing:
        return
    n_lines = 1 + int((words.drive - style.sparing) / 0.12)
    strokes = [
        (step / 2, key)
        for key, line in GROOVES[style.groove][:n_lines]
        for step in range(2 * bar.plan.beats)
        if line[step] == "x"
    ]
    if bar.place == 3 and words.drive > 0.6:
        strokes = [stroke for stroke in strokes if stroke[0] < bar.plan.beats - 1] + _fill(bar.plan.beats)
    for onset, key in strokes + _unrest(bar, generator):
        accent = 10 * (onset % 1 == 0)
        yield Note(bar.time(onset), 0.1, key, 30 + 64 * words.drive + accent)


def _fill(beats: int) -> list[tuple[float, int]]:
    return [(beats - 1 + index / 4, key) for index, key in enumerate(TOMS)]


def _unrest(bar: Bar, generator: np.random.Generator) -> list[tuple[float, int]]:
    """Irregular strokes on the toms where there is tension."""
    share = 0.6 * (bar.expression.tension - 0.4)
    return [
        (step / 4, TOMS[int(generator.integers(len(TOMS)))])
        for step in range(4 * bar.plan.beats)
        if generator.random() < share
    ]
