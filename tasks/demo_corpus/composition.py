"""Pieces of the demo corpus: valence and arousal over time + an artist's style -> **score** -> waveform.

Every rule below links one musical feature to perceived emotion as listeners were found to hear it:

    tempo, note density     rise with arousal             (Hevner 1937; Gabrielsson & Lindstrom 2010)
    mode                    major: positive, minor: negative valence   (Hevner 1936; Eerola et al. 2013)
    register                higher with valence           (Hevner 1937; Juslin & Laukka 2004)
    articulation            staccato: arousal, legato: calm and sad    (Juslin & Laukka 2003)
    attack, loudness        fast and loud: arousal        (Juslin & Laukka 2003)
    brightness of timbre    rises with arousal, dull: sad (Juslin & Laukka 2004; Eerola et al. 2013)
    dissonance, roughness   negative valence at high arousal           (Gabrielsson & Lindstrom 2010)
    regular or broken rhythm   happy or tense             (Gabrielsson & Lindstrom 2010)
    contour, vibrato        rising: positive; falling, with slow vibrato: sad   (Gerardi & Gerken 1995;
                            Juslin & Laukka 2003)

The style (instrument, key, rhythm, chords) is the artist's and says nothing about the emotion, so that a
listener, or a judge, cannot tell the one from the other.

Sources: K. Hevner, Am. J. Psychol. 48 (1936) and 49 (1937); G. Gerardi, L. Gerken, Music Percept. 12 (1995);
P. Juslin, P. Laukka, Psychol. Bull. 129 (2003) and J. New Music Res. 33 (2004); A. Gabrielsson, E. Lindstrom,
in Handbook of Music and Emotion (2010); T. Eerola, A. Friberg, R. Bresin, Front. Psychol. 4 (2013).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (5, 3, 0, 4), (0, 2, 3, 4), (0, 3, 0, 4))  # degrees
RHYTHMS = ("x..x..x.", "x.x.x.x.", "x..xx.x.", "x.xx.x.x", "x...x.x.", "x.x..xx.")  # eighths of a bar
BEATS = 4  # a bar

Curve = Callable[[float], float]
HitKind = Literal["kick", "snare", "hat", "tom", "clap"]


@dataclass(frozen=True)
class Style:
    """What makes an artist's pieces alike, whatever their emotion."""

    name: str
    root: int  # semitones above C, 0..11
    rhythm: str  # of the accompaniment, eighths of a bar
    progression: tuple[int, ...]  # scale degrees, one a bar
    odd: float  # level of the even partials, 0 (clarinet-like) to 1
    slope: float  # added to the fall of the partials: duller or brighter than others
    formant_hz: float  # resonance of the instrument
    decay: float  # how long a struck note rings, relative
    hiss_db: float  # noise of the recording, below the piece's peak


@dataclass(frozen=True)
class Note:
    """One tone."""

    start: float  # s
    seconds: float
    pitch: float  # MIDI number, 60 = middle C
    level: float  # linear
    slope: float  # partial n has the level n ** -slope: larger is duller
    attack: float  # s
    decay: float  # time constant of the tone's fall (s)
    vibrato_cents: float


@dataclass(frozen=True)
class Hit:
    """One stroke of percussion."""

    start: float  # s
    kind: HitKind
    level: float


@dataclass
class Score:
    """A piece."""

    seconds: float
    notes: list[Note] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    swells: list[tuple[float, float, float]] = field(default_factory=list)  # noise: start (s), length (s), level


@dataclass(frozen=True)
class Bar:
    """What the rules say for one bar."""

    start: float  # s
    beat: float  # s
    valence: float
    arousal: float
    chord: int  # scale degree
    index: int

    @property
    def scale(self) -> tuple[int, ...]:
        """Major for positive, minor for negative valence."""
        return MAJOR if self.valence >= 0.5 else MINOR

    @property
    def register(self) -> float:
        """MIDI number around which the chords lie: 41 (low) to 65."""
        return 41 + 24 * self.valence

    @property
    def slope(self) -> float:
        """Fall of the partials: 3.2 (dull) to 1.0 (bright)."""
        return 3.2 - 2.2 * self.arousal

    @property
    def tension(self) -> float:
        """0 (consonant) to 1: negative valence at high arousal."""
        return float(np.clip(4 * (0.5 - self.valence) * self.arousal, 0, 1))

    @property
    def drive(self) -> float:
        """How strong the percussion is, 0 to 1."""
        return float(np.clip((self.arousal - 0.42) / 0.45, 0, 1))

    @property
    def held(self) -> bool:
        """Legato and sustained rather than struck."""
        return self.arousal < 0.42


def draw_style(name: str, index: int, generator: np.random.Generator) -> Style:
    """An artist's style; rhythm and chords go round with `index`, so that neighbours differ."""
    return Style(
        name=name,
        root=int(generator.integers(12)),
        rhythm=RHYTHMS[index % len(RHYTHMS)],
        progression=PROGRESSIONS[int(generator.integers(len(PROGRESSIONS)))],
        odd=float(generator.choice([0.15, 0.5, 1.0])),
        slope=float(generator.uniform(-0.2, 0.2)),
        formant_hz=float(generator.uniform(500, 2500)),
        decay=float(generator.uniform(0.7, 1.4)),
        hiss_db=float(generator.uniform(-78, -66)),
    )


def tempo_bpm(valence: float, arousal: float) -> float:
    """Beats a minute: 50 (low arousal and valence) to 165."""
    return 45 + 95 * arousal + 20 * valence


def compose(style: Style, valence: Curve, arousal: Curve, seconds: float, generator: np.random.Generator) -> Score:
    """A piece of `seconds` whose features follow `valence(t)` and `arousal(t)` (0..1) from bar to bar."""
    score = Score(seconds)
    for bar in _bars(style, valence, arousal, seconds, generator):
        _add_chords(score, bar, style, generator)
        _add_melody(score, bar, style, generator)
        _add_bass(score, bar, style)
        _add_percussion(score, bar, generator)
    return score


def _bars(
    style: Style, valence: Curve, arousal: Curve, seconds: float, generator: np.random.Generator
) -> Iterator[Bar]:
    tempo = tempo_bpm(valence(seconds / 2), arousal(seconds / 2)) * generator.uniform(0.95, 1.05)
    beat = 60 / tempo
    for index, start in enumerate(np.arange(0, seconds, BEATS * beat)):
        middle = min(float(start) + BEATS * beat / 2, seconds)
        chord = style.progression[index % len(style.progression)]
        yield Bar(float(start), beat, valence(middle), arousal(middle), chord, index)


def degree_pitch(scale: tuple[int, ...], degree: int) -> int:
    """Semitones of a scale degree above the root; degrees go on over the octaves."""
    octave, step = divmod(degree, len(scale))
    return 12 * octave + scale[step]


def _near(pitch: float, register: float) -> float:
    """`pitch` moved by octaves to within half an octave of `register`."""
    return pitch + 12 * round((register - pitch) / 12)


def chord_pitches(bar: Bar, root: int, generator: np.random.Generator) -> list[float]:
    """A triad near the bar's register; with tension, neighbours a semitone and a tritone away."""
    triad = [_near(root + degree_pitch(bar.scale, bar.chord + third), bar.register) for third in (0, 2, 4)]
    extra = [triad[0] + 1.0, triad[1] + 6.0, triad[2] + 1.0]
    return triad + [pitch for pitch in extra if generator.random() < bar.tension]


def _add_chords(score: Score, bar: Bar, style: Style, generator: np.random.Generator) -> None:
    pitches = chord_pitches(bar, style.root, generator)
    if bar.held:
        times, length, attack = [bar.start], BEATS * bar.beat * 1.05, 0.35
    else:
        eighth = bar.beat / 2
        times = [bar.start + eighth * step for step, mark in enumerate(style.rhythm) if mark == "x"]
        length, attack = eighth * (1.5 - bar.arousal), 0.008
    decay = length * 3 if bar.held else 0.35 * style.decay
    for time in times:
        for pitch in pitches:
            detune = generator.normal(0, 0.04 + 0.25 * bar.tension)  # roughness
            score.notes.append(Note(time, length, pitch + detune, 0.16, bar.slope + style.slope, attack, decay, 0.0))


def notes_a_beat(arousal: float) -> float:
    """Density of the melody: a note every second beat up to four a beat."""
    return (0.5, 1.0, 2.0, 4.0)[int(np.searchsorted((0.18, 0.42, 0.7), arousal, side="right"))]


def _add_melody(score: Score, bar: Bar, style: Style, generator: np.random.Generator) -> None:
    step = bar.beat / notes_a_beat(bar.arousal)
    n_notes = round(BEATS * bar.beat / step)
    rise = np.sign(bar.valence - 0.5) * (0.6 + bar.arousal)  # contour
    degree = bar.chord + (0 if rise > 0 else 5)
    sad = float(np.clip(2 * (0.5 - bar.valence), 0, 1)) * (1 - bar.arousal)
    for index in range(n_notes):
        if bar.tension > 0.4 and generator.random() < 0.25 * bar.tension:
            continue  # broken rhythm
        degree += int(generator.integers(-1, 2)) + int(generator.random() < abs(rise) / 2) * int(rise > 0 or -1)
        register = bar.register + 12 + 4 * np.sin(np.pi * index / n_notes) * np.sign(rise)
        pitch = _near(style.root + degree_pitch(bar.scale, degree), register)
        pitch += 1.0 if generator.random() < 0.4 * bar.tension else 0.0
        length = step * (1.15 - 0.75 * bar.arousal)
        attack = 0.09 - 0.085 * bar.arousal
        decay = style.decay * (1.2 - bar.arousal)
        level = 0.3 + 0.1 * bar.arousal
        start = bar.start + index * step
        score.notes.append(Note(start, length, pitch, level, bar.slope + style.slope, attack, decay, 60 * sad))


def _add_bass(score: Score, bar: Bar, style: Style) -> None:
    if bar.held:
        return
    step = bar.beat if bar.arousal < 0.7 else bar.beat / 2
    pitch = _near(style.root + degree_pitch(bar.scale, bar.chord), 30 + 12 * bar.valence)
    for index in range(round(BEATS * bar.beat / step)):
        start = bar.start + index * step
        score.notes.append(Note(start, step * 0.7, pitch, 0.35, bar.slope + 0.3, 0.005, 0.3, 0.0))


def _add_percussion(score: Score, bar: Bar, generator: np.random.Generator) -> None:
    if bar.drive == 0:
        return
    if bar.tension > 0.4:
        _add_unrest(score, bar, generator)
        return
    eighth = bar.beat / 2
    for step in range(2 * BEATS):
        start = bar.start + step * eighth
        score.hits.append(Hit(start, "hat", bar.drive * (0.25 if step % 2 else 0.15)))
        if step % 2 == 0 and bar.drive > 0.6:
            score.hits.append(Hit(start, "kick", 0.9 * bar.drive))
        if step % 4 == 2:
            score.hits.append(Hit(start, "snare" if bar.drive > 0.6 else "clap", 0.6 * bar.drive))


def _add_unrest(score: Score, bar: Bar, generator: np.random.Generator) -> None:
    """Irregular toms and a swell of noise in place of a beat."""
    sixteenth = bar.beat / 4
    for step in range(4 * BEATS):
        if generator.random() < 0.45:
            level = bar.tension * generator.uniform(0.3, 0.9)
            score.hits.append(Hit(bar.start + step * sixteenth, "tom", level))
    score.swells.append((bar.start, BEATS * bar.beat, 0.25 * bar.tension))
