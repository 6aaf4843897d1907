"""Pictures and sounds of the page: generated clips and held-out real ones -> **reports/media** -> page.

Nothing is chosen by ear: of every emotion the first seeds and the first unseen songs are taken. Pictures of real
clips are made with the parameters found in the generated ones, so that all share one scale.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tasks.codec.image import RIFFUSION, SpectrogramImage, load, resized
from tasks.codec.mel import hz_to_mel
from tasks.core.layout import WAV, generated
from tasks.core.storage import replacing
from tasks.report.results import Results
from tasks.report.svg import loudness_colours

REAL = "real"
CLIPS_PER_CELL = 3  # 5 emotions x 6 systems x 3 clips: about 15 MB
PICTURE_HEIGHT, PICTURE_WIDTH = 256, 512  # pixels; a cell is a third of it wide
TICK_HZ = (0, 500, 1000, 2000, 4000, 10000, 20000)
DEFAULT_SECONDS = 5.12  # one tile of Riffusion


@dataclass(frozen=True)
class Tick:
    """A label at `share` (0..1) of an axis."""

    share: float
    text: str


@dataclass(frozen=True)
class Clip:
    """A picture with its sound, as paths relative to the page; or the reason why there is none."""

    system: str
    name: str
    picture: str = ""
    sound: str = ""
    seconds: float = 0.0
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    predicted: str = ""
    valence: float | None = None
    arousal: float | None = None
    why_none: str = ""


def collect(results: Results, media: Path) -> dict[str, list[list[Clip]]]:
    """Emotion -> rows of clips (the first seed of every system, the second, ...); writes the files below `media`."""
    like = _first_picture(results)
    rows: dict[str, list[list[Clip]]] = {}
    for emotion in results.emotions:
        columns = [list(_real_clips(results, emotion, like, media))]
        columns += [list(_generated_clips(results, system, emotion, media)) for system in results.clips]
        depth = max((len(column) for column in columns), default=0)
        systems = [REAL, *results.clips]
        rows[emotion] = [
            [
                column[index] if index < len(column) else Clip(system, "", why_none="no such clip in this run")
                for system, column in zip(systems, columns, strict=True)
            ]
            for index in range(depth)
        ]
    return rows


def _first_picture(results: Results) -> SpectrogramImage | None:
    """Any generated picture: the real ones are drawn with its parameters and its length."""
    for system, clips in results.clips.items():
        for name in clips.png:
            return load(results.root / generated(system) / name)
    return None


def _generated_clips(results: Results, system: str, emotion: str, media: Path) -> Iterator[Clip]:
    clips = results.clips[system]
    for row in clips[clips.emotion == emotion].sort_values("seed").head(CLIPS_PER_CELL).itertuples():
        folder = results.root / generated(system)
        sound = media / system / row.listening
        sound.parent.mkdir(parents=True, exist_ok=True)
        with replacing(sound) as temporary:
            shutil.copyfile(folder / row.listening, temporary)
        judged = results.predictions.query("experiment == @system and emotion == @emotion and seed == @row.seed")
        yield _clip(system, f"seed {row.seed}", load(folder / row.png), sound, media, _judgement(judged))


def _real_clips(results: Results, emotion: str, like: SpectrogramImage | None, media: Path) -> Iterator[Clip]:
    """Held-out clips, one a song."""
    clips = results.real_clips
    wanted = clips[(clips.emotion == emotion) & (clips.split == "test")].sort_values(["song_id", "start_seconds"])
    suffix = next((Path(name).suffix for table in results.clips.values() for name in table.listening), ".ogg")
    for row in wanted.drop_duplicates("song_id").head(CLIPS_PER_CELL).itertuples():
        source = results.root / WAV / f"{row.song_id}.wav"
        name = f"song {row.song_id} from {row.start_seconds:.4g} s"
        if not source.is_file():
            yield Clip(REAL, name, why_none="its WAV is not on this machine")
            continue
        sound = media / REAL / f"{row.song_id}_{row.segment}_{row.place}{suffix}"
        yield _clip(REAL, name, _cut(source, float(row.start_seconds), like, sound), sound, media, _judgement([row]))


def _cut(source: Path, start_seconds: float, like: SpectrogramImage | None, sound: Path) -> SpectrogramImage:
    """The picture of a stretch of a WAV as long as the generated clips; its sound is written to `sound`."""
    import soundfile

    from tasks.audio.write import write_listening
    from tasks.codec.forward import encode, sizes

    params = like.params if like else RIFFUSION
    seconds = like.columns * params.step_ms / 1000 if like else DEFAULT_SECONDS
    rate = soundfile.info(source).samplerate
    start, hop = round(start_seconds * rate), sizes(params)[0] * rate / params.sample_rate_hz
    n_samples = round(seconds * rate) - round(hop / 2)  # half a column less: not one column too many
    waveform, _ = soundfile.read(source, frames=n_samples, start=start, dtype="float32", always_2d=True)
    sound.parent.mkdir(parents=True, exist_ok=True)
    write_listening(sound, waveform.T, rate)
    return encode(waveform.T, rate, params)


def _judgement(rows: Any) -> dict[str, Any]:
    """What the judge (or, for real clips, the annotation) says of one clip; empty when nobody judged it."""
    found = list(rows.itertuples()) if isinstance(rows, pd.DataFrame) else rows
    return {name: getattr(found[0], name) for name in ("predicted", "valence", "arousal")} if found else {}


def _clip(system: str, name: str, picture: SpectrogramImage, sound: Path, media: Path, judged: dict[str, Any]) -> Clip:
    shown = sound.with_suffix(".png")
    save_in_colour(picture, shown)
    seconds = picture.columns * picture.params.step_ms / 1000
    return Clip(
        system,
        name,
        shown.relative_to(media.parent).as_posix(),
        sound.relative_to(media.parent).as_posix(),
        seconds,
        second_ticks(seconds),
        frequency_ticks(picture.params.min_hz, picture.params.max_hz),
        **judged,
    )


def save_in_colour(picture: SpectrogramImage, target: Path) -> None:
    """The picture at the page's size as a palette PNG: bright is loud. Stereo is shown as the mean of both."""
    pixels = resized(picture, PICTURE_HEIGHT, PICTURE_WIDTH).pixels
    if pixels.ndim == 3:
        pixels = pixels[:, :, 1:].mean(axis=2)
    image = Image.fromarray(np.asarray(pixels, np.uint8), "P")
    image.putpalette(loudness_colours())
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        image.save(temporary, format="PNG", compress_level=6)


def second_ticks(seconds: float) -> tuple[Tick, ...]:
    """Whole seconds, at most six of them.

    >>> [tick.text for tick in second_ticks(5.12)]
    ['0', '1', '2', '3', '4', '5']
    """
    step = max(1, -(-int(seconds) // 5))
    return tuple(Tick(value / seconds, str(value)) for value in range(0, int(seconds) + 1, step))


def frequency_ticks(min_hz: int, max_hz: int) -> tuple[Tick, ...]:
    """Round frequencies where they lie on a mel axis (HTK).

    >>> [(tick.text, round(tick.share, 2)) for tick in frequency_ticks(0, 10000)][:3]
    [('0', 0.0), ('500', 0.2), ('1k', 0.33)]
    """
    low, high = float(hz_to_mel(min_hz)), float(hz_to_mel(max_hz))
    shares = [((float(hz_to_mel(hz)) - low) / (high - low), hz) for hz in TICK_HZ if min_hz <= hz <= max_hz]
    kept: list[tuple[float, int]] = []
    for share, hz in shares:
        if not kept or share - kept[-1][0] > 0.12:  # closer labels would touch
            kept.append((share, hz))
    return tuple(Tick(share, f"{hz / 1000:g}k" if hz >= 1000 else str(hz)) for share, hz in kept)
