"""Scores as sound: score + style -> MIDI -> **waveform** -> MP3.

The instruments are those of the General MIDI sound font that the installed pretty_midi brings along (TimGM6mb,
GPL-2; docs/adr/0042), played by midirenderer in its room (a Schroeder reverberator). What an artist's recordings
have in common is more or less of that room, more or less treble, and hiss. Equal scores give equal samples.
"""

import io
import wave
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.demo_corpus.scores import PARTS, Note, Part, Score
from tasks.demo_corpus.styles import Style

Waveform = NDArray[np.float32]

RENDERED_HZ = 48000  # of midirenderer
TICKS_PER_BEAT = 960  # of the MIDI file: 0.5 ms
TAIL_SECONDS = 0.5  # played beyond the end, so that the last notes are whole
VOLUMES: dict[Part, int] = {"lead": 112, "chords": 88, "pad": 70, "bass": 88, "drums": 96}
PLACES: dict[Part, int] = {"lead": 70, "chords": 44, "pad": 84, "bass": 64, "drums": 60}  # 0 left, 127 right
VOLUME, PLACE, REVERB, CHORUS = 7, 10, 91, 93  # MIDI controllers
TREBLE_HZ = 1800.0
TREBLE_DB = 5.0  # more or less of it at the ends of the brightness cue
QUIETEST_DBFS, LOUDEST_DBFS = -22.0, -4.0  # peaks at the ends of the loudness cue


def waveform(score: Score, style: Style, rate: int, n_channels: int, generator: np.random.Generator) -> Waveform:
    """The piece as [C, N] float32, N = round(seconds * rate), with the peak its loudness asks for."""
    import soxr

    sides = played(midi(score, style), n_channels)[:, : round((score.seconds + TAIL_SECONDS) * RENDERED_HZ)]
    recorded = treble(sides, style.treble_db + TREBLE_DB * (2 * score.brightness - 1))
    mix = soxr.resample(recorded.T, RENDERED_HZ, rate).T[:, : round(score.seconds * rate)]
    peak = peak_level(score.loudness)
    mix *= peak / max(float(np.abs(mix).max()), 1e-9)
    return mix + hiss(mix.shape[1], rate, generator) * np.float32(peak * 10 ** (style.hiss_db / 20))


@cache
def sound_font() -> bytes:
    """The sound font of the installed pretty_midi."""
    return (resources.files("pretty_midi") / "TimGM6mb.sf2").read_bytes()


def midi(score: Score, style: Style) -> bytes:
    """The score as a standard MIDI file that lasts `TAIL_SECONDS` longer."""
    import pretty_midi

    song = pretty_midi.PrettyMIDI(resolution=TICKS_PER_BEAT, initial_tempo=120.0)
    song.instruments = [_track(part, score, style) for part in PARTS if score.parts[part]]
    file = io.BytesIO()
    song.write(file)
    return file.getvalue()


def _track(part: Part, score: Score, style: Style) -> Any:
    import pretty_midi

    track = pretty_midi.Instrument(program(part, style), is_drum=part == "drums", name=part)
    settings = {VOLUME: VOLUMES[part], PLACE: PLACES[part], REVERB: style.room, CHORUS: 0}
    track.control_changes = [pretty_midi.ControlChange(number, value, 0.0) for number, value in settings.items()]
    track.control_changes.append(pretty_midi.ControlChange(VOLUME, VOLUMES[part], score.seconds + TAIL_SECONDS))
    track.notes = [_message(note) for note in score.parts[part]]
    return track


def program(part: Part, style: Style) -> int:
    """General MIDI program of a part; 0, the standard kit, for the drums."""
    instruments = {"lead": style.lead, "chords": style.chords, "pad": style.pad, "bass": style.bass}
    instrument = instruments.get(part)
    return instrument.program if instrument else 0


def _message(note: Note) -> Any:
    import pretty_midi

    return pretty_midi.Note(round(note.velocity), note.pitch, note.start, note.start + note.seconds)


def played(file: bytes, n_channels: int) -> Waveform:
    """A MIDI file as [C, N] at 48 kHz; one channel is the mean of both."""
    import midirenderer

    with wave.open(io.BytesIO(midirenderer.render_wave_from(sound_font(), file))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RENDERED_HZ, 2, 2)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32)
    samples *= np.float32(1 / (32768 * (2 // n_channels)))
    left, right = samples[0::2], samples[1::2]
    return np.stack([left, right]) if n_channels == 2 else (left + right)[None]


def treble(sides: Waveform, gain_db: float) -> Waveform:
    """More or less of what lies above 1.8 kHz: a first-order shelf."""
    from scipy.signal import butter, lfilter

    rise, fall = (np.asarray(side, np.float32) for side in butter(1, TREBLE_HZ, "highpass", fs=RENDERED_HZ))
    above = lfilter(rise, fall, sides)
    above *= np.float32(10 ** (gain_db / 20) - 1)
    shelved: Waveform = sides + above
    return shelved


def peak_level(loudness: float) -> float:
    """Peak of a piece (0..1) for the loudness cue: -22 to -4 dBFS."""
    return float(10 ** ((QUIETEST_DBFS + (LOUDEST_DBFS - QUIETEST_DBFS) * loudness) / 20))


def hiss(n_samples: int, rate: int, generator: np.random.Generator) -> Waveform:
    """White noise of variance 1 [n_samples]; a stretch of 4 s again and again, which nobody hears."""
    return np.resize(generator.standard_normal(4 * rate, dtype=np.float32), n_samples)
