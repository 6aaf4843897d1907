"""A blind listening test as a folder: generated and real clips -> **test page**, key -> answers.

`test/` is what listeners get: one page that needs no network, and sounds under names that tell nothing. Who made
which clip stands in `key.csv`, outside of it. All clips are set to one loudness, because louder is liked better.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.apps.listening_answers import read_answers
from tasks.apps.listening_plan import REPETITIONS, pairs
from tasks.core.csv_tables import safe_table
from tasks.core.errors import MeasureError, ParameterError
from tasks.core.files import digest, write_json, write_text
from tasks.core.layout import GENERATED, WAV, generated
from tasks.core.storage import replacing
from tasks.report.media import DEFAULT_SECONDS, REAL
from tasks.report.results import Results, load

__all__ = ["make", "read_answers"]

TARGET_LUFS = -23.0  # EBU R 128
PEAK = 10 ** (-1 / 20)  # room for lossy coding
SUFFIX = ".mp3"  # every browser plays it
log = logging.getLogger("emoriff.listening")
README = """A blind listening test.

1. Give the folder test/ to each listener (a link, a stick, a mail); they open test/index.html in a browser.
2. They send back the CSV file that the page saves. Put it into answers/.
3. emoriff listening-test --read FOLDER (this one) reports wins, means with intervals, and how far listeners agree.

Do not give key.csv to listeners: it says who made which clip.
"""


@dataclass(frozen=True)
class Sound:
    """One clip of the test: `code` is all that a listener sees of it."""

    code: str
    system: str
    emotion: str
    index: int
    source: Path
    start_seconds: float
    seconds: float | None  # None: to the end


def make(root: Path, folder: Path, seed: int) -> Path:
    """`folder` with test/index.html, test/media, key.csv, answers/ and README.txt; gives the page's path.

    Systems are the held-out real clips and every experiment with clips; the same `seed` and clips give equal bytes.

    Raises:
        ParameterError: the folder exists and is not empty.
        MeasureError: fewer than two systems have clips of every emotion.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ParameterError("the folder is not empty", where=folder, todo="name a new folder for a new test")
    results = load(root)
    sounds = choose_sounds(results, seed)
    for sound in sounds:
        _write_sound(sound, folder / "test/media" / f"{sound.code}{SUFFIX}")
    plan = plan_of(sounds, seed)
    write_json(folder / "plan.json", plan)
    _write_key(folder / "key.csv", sounds, root)
    (folder / "answers").mkdir(exist_ok=True)
    write_text(folder / "README.txt", README)
    page = folder / "test/index.html"
    from tasks.report.report import render

    write_text(page, render("listening.html.j2", {"plan": plan}))
    return page


def choose_sounds(results: Results, seed: int) -> list[Sound]:
    """The first REPETITIONS clips of every system and emotion; a system that lacks some is left out, with a warning.

    Raises:
        MeasureError: fewer than two systems remain.
    """
    systems = {
        REAL: list(_real(results, seed)),
        **{name: list(_generated(results, name, seed)) for name in results.clips},
    }
    emotions = [
        name for name in results.emotions if any(s.emotion == name for sounds in systems.values() for s in sounds)
    ]
    wanted = REPETITIONS * len(emotions)
    whole = {name: sounds for name, sounds in systems.items() if sounds and len(sounds) == wanted}
    if len(whole) < 2:
        raise MeasureError(
            "too few clips for a listening test",
            where=results.root / GENERATED,
            expected=f"at least two systems with {REPETITIONS} clips of each emotion ({', '.join(emotions) or 'none'})",
            got=", ".join(f"{name}: {len(sounds)} clips" for name, sounds in systems.items()),
            todo="run the generate stage of at least two experiments (`emoriff repro`)",
        )
    for name in sorted(set(systems) - set(whole)):
        log.warning("%s is left out of the test: it has %d of %d clips", name, len(systems[name]), wanted)
    return [sound for sounds in whole.values() for sound in sounds]


def _code(seed: int, *parts: object) -> str:
    return digest(["listening", seed, *map(str, parts)])[:10]


def _generated(results: Results, system: str, seed: int) -> Iterator[Sound]:
    table = results.clips[system].sort_values(["emotion", "seed"])
    for emotion, clips in table.groupby("emotion"):
        for index, row in enumerate(clips.head(REPETITIONS).itertuples()):
            source = results.root / generated(system) / str(row.wav)
            yield Sound(_code(seed, system, emotion, index), system, str(emotion), index, source, 0.0, None)


def _real(results: Results, seed: int) -> Iterator[Sound]:
    """Held-out clips, one per song, as long as the generated ones."""
    held_out = results.real_clips[results.real_clips.split == "test"].sort_values(["song_id", "start_seconds"])
    lengths = [float(clips.seconds.min()) for clips in results.clips.values() if "seconds" in clips]
    seconds = min(lengths, default=DEFAULT_SECONDS)
    for emotion, clips in held_out.drop_duplicates(["emotion", "song_id"]).groupby("emotion"):
        for index, row in enumerate(clips.head(REPETITIONS).itertuples()):
            source = results.root / WAV / f"{row.song_id}.wav"
            code = _code(seed, REAL, emotion, index)
            yield Sound(code, REAL, str(emotion), index, source, float(row.start_seconds), seconds)


def _write_sound(sound: Sound, target: Path) -> None:
    """The clip at TARGET_LUFS, or as loud as its peak allows."""
    import soundfile

    from tasks.audio.loudness import loudness
    from tasks.audio.write import write_listening

    rate = soundfile.info(sound.source).samplerate
    frames = -1 if sound.seconds is None else round(sound.seconds * rate)
    start = round(sound.start_seconds * rate)
    samples, _ = soundfile.read(sound.source, frames=frames, start=start, dtype="float32", always_2d=True)
    waveform = samples.T
    gain = 10 ** ((TARGET_LUFS - loudness(waveform, rate)) / 20)
    gain = min(gain, PEAK / max(float(np.abs(waveform).max()), 1e-6))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_listening(target, waveform * np.float32(gain), rate)


def plan_of(sounds: list[Sound], seed: int) -> dict[str, Any]:
    """What the page asks: pairs and ratings in a drawn order, by codes; `test` names this plan."""
    code = {(sound.system, sound.emotion, sound.index): sound.code for sound in sounds}
    systems = list(dict.fromkeys(sound.system for sound in sounds))
    emotions = list(dict.fromkeys(sound.emotion for sound in sounds))
    asked = [
        {
            "emotion": pair.emotion,
            "left": code[pair.left, pair.emotion, pair.repetition],
            "right": code[pair.right, pair.emotion, pair.repetition],
        }
        for pair in pairs(systems, emotions)
    ]
    rated = [{"clip": sound.code} for sound in sounds if sound.index == 0]
    order = np.random.default_rng(int(digest(["order", seed])[:8], 16))
    plan = {"pairs": _shuffled(asked, order), "ratings": _shuffled(rated, order), "suffix": SUFFIX}
    return {"test": digest(plan)[:12], **plan}


def _shuffled(items: list[dict[str, str]], order: np.random.Generator) -> list[dict[str, str]]:
    return [items[index] for index in order.permutation(len(items))]


def _write_key(target: Path, sounds: list[Sound], root: Path) -> None:
    rows = [
        {
            "clip": sound.code,
            "arm": sound.system,
            "emotion": sound.emotion,
            "source": sound.source.relative_to(root).as_posix(),
            "start_seconds": sound.start_seconds,
        }
        for sound in sounds
    ]
    with replacing(target) as temporary:
        safe_table(pd.DataFrame(rows)).to_csv(temporary, index=False)
