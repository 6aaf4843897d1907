"""The demo corpus: parameters -> pieces -> **DEAM-like archives** -> download.

No public music can be shipped, so the project renders its own and packs it as DEAM is packed (see
`deam_format`). What the pieces were meant to express is known here only: everything after it learns of it through
the ratings of simulated listeners.
"""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import ParameterError
from tasks.core.files import seed_from
from tasks.demo_corpus import deam_format, rendering
from tasks.demo_corpus.composition import Curve, compose
from tasks.demo_corpus.styles import artist_name, draw_style
from tasks.download.params import CorpusParams

REGIONS = (  # valence from, to, arousal from, to, edges: what the five classes of the demo are in the plane
    (0.5, 0.94, 0.5, 0.65, 5.0),
    (0.5, 0.94, 0.65, 0.94, 2.5),
    (0.06, 0.5, 0.5, 0.94, 2.5),
    (0.06, 0.5, 0.06, 0.5, 2.5),
    (0.5, 0.94, 0.06, 0.5, 2.5),
)
EXTRA_SHARES = (0.0, 0.25, 0.25, 0.25, 0.25)  # of the songs after an artist's first five
ID_RANGES = ((2, 1000), (1001, 2000), (2001, 2058))
MP3_COMPRESSION = 0.7  # 0 (largest file) to 1; more is also faster
FULL_SONG = 1.2  # songs of the last range are longer than the excerpts
ADJECTIVES = (
    "Amber",
    "Blue",
    "Cold",
    "Distant",
    "Early",
    "Faint",
    "Glass",
    "Hollow",
    "Inner",
    "Late",
    "Paper",
    "Stone",
)
NOUNS = (
    "Harbour",
    "Lantern",
    "Meadow",
    "Orchard",
    "River",
    "Signal",
    "Station",
    "Tower",
    "Valley",
    "Window",
    "Winter",
)

Progress = Callable[[int, int, str], None]  # done, total, note


@dataclass(frozen=True)
class Song:
    """What is to be rendered."""

    song_id: int
    artist: int
    artist_seed: int  # of the style; equal seeds are equal artists
    artist_name: str
    title: str
    seconds: float
    sample_rate_hz: int
    channels: int
    cover_art: bool
    valence: float  # 0..1, mean over the song
    arousal: float
    seed: int


def render(folder: Path, params: CorpusParams, seed: int, workers: int, progress: Progress | None = None) -> None:
    """`folder` holds DEAM_audio.zip, DEAM_Annotations.zip, metadata.zip and SHA256SUMS.

    The same parameters and seed give the same bytes, whatever the number of `workers` (processes).

    Raises:
        ParameterError: more songs than DEAM's ids have room for.
    """
    songs = plan(params, seed)
    audio = _audio(songs, workers, progress)
    deam_format.write_archives(folder, [annotate(song, params) for song in songs], audio, params.swap_until_id)


def plan(params: CorpusParams, seed: int) -> list[Song]:
    """The songs of the corpus, ordered by id. Another seed or namespace: other artists and other songs."""
    n_songs = params.n_artists * params.songs_per_artist
    generator = np.random.default_rng(seed_from(seed, params.namespace, "corpus"))
    ids = draw_ids(n_songs, generator)
    artists = generator.permutation(np.arange(n_songs) % params.n_artists)  # of each id
    places = [int((artists[:index] == artist).sum()) for index, artist in enumerate(artists)]  # among the artist's
    return [
        _song(index, song_id, int(artist), place, params, seed)
        for index, (song_id, artist, place) in enumerate(zip(ids, artists, places, strict=True))
    ]


def _song(index: int, song_id: int, artist: int, place: int, params: CorpusParams, seed: int) -> Song:
    song_seed = seed_from(seed, params.namespace, "song", song_id)
    artist_seed = seed_from(seed, params.namespace, "artist", artist)
    generator = np.random.default_rng(song_seed)
    valence, arousal = _target(artist, place, params.songs_per_artist, generator)
    return Song(
        song_id=song_id,
        artist=artist,
        artist_seed=artist_seed,
        artist_name=artist_name(artist_seed),
        title=f"{generator.choice(ADJECTIVES)} {generator.choice(NOUNS)}",
        seconds=_length(song_id, params.seconds, generator),
        sample_rate_hz=sample_rate(index, params.n_artists * params.songs_per_artist),
        channels=2 if index % 16 == 4 else 1,
        cover_art=index % 10 == 3,
        valence=valence,
        arousal=arousal,
        seed=song_seed,
    )


def _length(song_id: int, seconds: float, generator: np.random.Generator) -> float:
    """Seconds of a song: as DEAM's excerpts for 45 (44.64 to 45.6); those of the last range are whole songs."""
    factor = FULL_SONG if song_id >= ID_RANGES[2][0] else 1.0
    return seconds * (factor + float(generator.uniform(-0.008, 0.0133)))


def _target(artist: int, place: int, songs_per_artist: int, generator: np.random.Generator) -> tuple[float, float]:
    """Valence and arousal (0..1), anywhere in a region, its borders included.

    Regions go round, so that each artist's first five songs cover all; then by EXTRA_SHARES.
    """
    if place < len(REGIONS):
        region = (artist * songs_per_artist + place) % len(REGIONS)
    else:
        region = int(generator.choice(len(REGIONS), p=EXTRA_SHARES))
    left, right, bottom, top, edges = REGIONS[region]
    draw = generator.beta(edges, edges, 2)
    return float(left + (right - left) * draw[0]), float(bottom + (top - bottom) * draw[1])


def draw_ids(n_songs: int, generator: np.random.Generator) -> list[int]:
    """Song ids with gaps, in DEAM's three ranges by about 42, 50 and 8 %, ascending.

    Raises:
        ParameterError: more songs than ids.
    """
    room = [last - first + 1 for first, last in ID_RANGES]
    if n_songs > sum(room):
        raise ParameterError(
            "too many songs for DEAM's ids", where="download.corpus", got=n_songs, expected=f"<= {sum(room)}"
        )
    n_last = min(room[2], math.ceil(n_songs / 12))
    n_first = min(room[0], round(0.42 * n_songs))
    n_first = max(n_first, n_songs - n_last - room[1])
    counts = (n_first, n_songs - n_first - n_last, n_last)
    ids = [
        generator.choice(np.arange(first, last + 1), count, replace=False)
        for (first, last), count in zip(ID_RANGES, counts, strict=True)
    ]
    return sorted(int(number) for number in np.concatenate(ids))


def sample_rate(index: int, n_songs: int) -> int:
    """Hz: mostly 44.1 kHz; of each hundred songs about three at 48, one at 22.05 and one at 16."""
    if n_songs < 12:
        return 48000 if index == 1 else 44100
    return {5: 48000, 17: 22050, 38: 48000, 59: 16000, 71: 48000}.get(index % 100, 44100)


def curve(song: Song, axis: str) -> Curve:
    """How valence or arousal (0..1) wanders slowly around the song's mean: +-0.03, two slow waves."""
    generator = np.random.default_rng(seed_from(song.seed, "curve", axis))
    mean = song.valence if axis == "valence" else song.arousal
    phases, periods = generator.uniform(0, 2 * np.pi, 2), generator.uniform(25, 60, 2)

    def value(time: float) -> float:
        waves = np.sin(2 * np.pi * time / periods + phases)
        return float(np.clip(mean + 0.015 * waves.sum(), 0, 1))

    return value


def waveform(song: Song) -> NDArray[np.float32]:
    """The rendered song, [C, N]."""
    style = draw_style(song.artist_seed, song.artist)
    generator = np.random.default_rng(seed_from(song.seed, "score"))
    score = compose(style, curve(song, "valence"), curve(song, "arousal"), song.seconds, generator)
    return rendering.waveform(score, style, song.sample_rate_hz, song.channels, generator)


def mp3(song: Song) -> bytes:
    """The song's MP3 file, with a cover where the song has one."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(
        file,
        waveform(song).T,
        song.sample_rate_hz,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=MP3_COMPRESSION,
    )
    tag = deam_format.cover_tag(song.title, song.artist_name, song.seed) if song.cover_art else b""
    return tag + file.getvalue()


def _audio(songs: list[Song], workers: int, progress: Progress | None) -> Iterator[tuple[int, bytes]]:
    """(id, MP3 bytes) in the order of `songs`."""
    for done, (song, data) in enumerate(zip(songs, _mapped(songs, workers), strict=True), start=1):
        if progress is not None:
            progress(done, len(songs), "")
        yield song.song_id, data


def _mapped(songs: list[Song], workers: int) -> Iterable[bytes]:
    if workers == 1:
        yield from map(mp3, songs)
        return
    # spawned, not forked: the caller may run threads
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(mp3, songs)


def annotate(song: Song, params: CorpusParams) -> deam_format.Annotation:
    """What `raters` simulated listeners say of the song.

    A rater's error on the 1..9 scale has the standard deviation `rating_std`; half its variance is the
    rater's own and shared by the rating of the whole and of each half second.
    """
    generator = np.random.default_rng(seed_from(song.seed, "raters"))
    times = np.arange(deam_format.FIRST_SAMPLE_MS, 1000 * song.seconds, deam_format.SAMPLE_STEP_MS) / 1000
    static, dynamic = {}, {}
    for axis in ("valence", "arousal"):
        value = curve(song, axis)
        own = generator.normal(0, params.rating_std * math.sqrt(0.5), params.raters)
        static[axis] = _ratings(value, song.seconds, own, params, generator)
        dynamic[axis] = _tracks(value, times, own, params, generator)
    return deam_format.Annotation(song.song_id, song.artist_name, song.title, song.seconds, static, dynamic)


def _ratings(
    value: Curve,
    seconds: float,
    own: NDArray[np.float64],
    params: CorpusParams,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Whole points 1..9, [3, raters]: the song's mean, its highest and its lowest moment."""
    track = np.array([value(time) for time in np.linspace(0, seconds, 50)])
    moments = 1 + 8 * np.array([[track.mean()], [track.max() + 0.1], [track.min() - 0.1]])
    error = own + generator.normal(0, params.rating_std * math.sqrt(0.5), (3, params.raters))
    return np.clip(np.rint(moments + error), 1, 9)


def _tracks(
    value: Curve,
    times: NDArray[np.float64],
    own: NDArray[np.float64],
    params: CorpusParams,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Mean of the raters' tracks on -1..1, one value each `times`."""
    if times.size == 0:
        return times
    truth = np.array([2 * value(time) - 1 for time in times])
    jitter = generator.normal(0, params.rating_std * math.sqrt(0.5) / 4, (params.raters, times.size))
    return np.clip(truth + own[:, None] / 4 + jitter, -1, 1).mean(axis=0)
