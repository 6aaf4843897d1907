"""The plain way from MP3 to data set, as a notebook has it: a loop with pydub, librosa and Pillow."""

import multiprocessing
import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import RATE, annotations, pieces, song
from benchmarks.watch import children_cpu, peak_memory
from tasks.demo_corpus import deam_format

EMOTIONS = {(True, True): "happy", (True, False): "calm", (False, True): "tense", (False, False): "sad"}


@dataclass(frozen=True)
class Plain:
    """What the plain way takes."""

    wall: float  # seconds a song
    cpu: float  # seconds a song
    peak: int  # bytes of memory


def plain_way(audio: Path, labels: Path, out: Path, results: Any) -> None:
    """What a notebook does: MP3 -> WAV -> segments -> mel pictures -> a table with the emotions.

    The same windows as ours, but one picture a window, squeezed into a square as the thesis had it. Sends wall and
    CPU seconds of all songs but the first, in which the libraries load and compile, and the peak memory.
    """
    warnings.simplefilter("ignore")
    import pandas as pd
    from pydub import AudioSegment

    table = pd.read_csv(labels, skipinitialspace=True).set_index("song_id")
    rows, started = [], (0.0, 0.0)
    for done, mp3 in enumerate(sorted(audio.glob("*.mp3"), key=lambda path: int(path.stem))):
        if done == 1:
            started = (time.perf_counter(), own_cpu())
        wav = out / f"{mp3.stem}.wav"
        AudioSegment.from_mp3(str(mp3)).set_frame_rate(RATE).export(str(wav), format="wav").close()
        whole, rating = AudioSegment.from_wav(str(wav)), table.loc[int(mp3.stem)]
        emotion = EMOTIONS[bool(rating.valence_mean >= 5), bool(rating.arousal_mean >= 5)]
        for index, start in enumerate([*range(0, len(whole) - 9999, 10000), len(whole) - 10000]):
            segment = out / f"{mp3.stem}_{index}.wav"
            whole[start : start + 10000].export(str(segment), format="wav").close()
            plain_picture(segment, segment.with_suffix(".png"))
            rows.append({"file_name": segment.with_suffix(".png").name, "text": emotion})
    pd.DataFrame(rows).to_csv(out / "metadata.csv", index=False)
    wall, cpu = time.perf_counter() - started[0], own_cpu() - started[1]
    results.put((wall, cpu, peak_memory()))


def plain_picture(segment: Path, target: Path) -> None:
    """A segment as a square picture, in Riffusion's parameters."""
    import librosa
    from PIL import Image

    waveform, rate = librosa.load(segment, sr=RATE)
    mels = librosa.feature.melspectrogram(
        y=waveform, sr=rate, n_fft=17640, win_length=4410, hop_length=441, power=1.0,
        n_mels=512, fmin=0, fmax=10000, htk=True, norm=None,
    )  # fmt: skip
    pixels = (255 - 255 * (mels / mels.max()) ** 0.25).astype(np.uint8)[::-1]
    Image.fromarray(pixels).resize((512, 512)).convert("RGB").save(target)


def own_cpu() -> float:
    """CPU seconds of this process and its ended children (ffmpeg)."""
    return time.process_time() + children_cpu()


def plain(folder: Path, first: int, n_songs: int, seconds: float) -> Plain:
    """The plain way on so many songs of the corpus (and one before), in its own process."""
    audio, out, labels = folder / "audio", folder / "out", folder / "static.csv"
    audio.mkdir(parents=True)
    out.mkdir()
    parts, listed = pieces(1), annotations(first + n_songs, seconds)
    for song_id in range(first, first + n_songs + 1):
        (audio / f"{song_id}.mp3").write_bytes(song(song_id, parts, seconds))
    tables = deam_format.annotation_files(listed, swap_until_id=0)
    labels.write_bytes(next(content for name, content in tables.items() if "songs_1_2000" in name))
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=plain_way, args=(audio, labels, out, results))
    process.start()
    process.join()
    shutil.rmtree(folder)
    if process.exitcode:
        raise SystemExit("the plain way failed")
    wall, cpu, peak = results.get()
    return Plain(wall / n_songs, cpu / n_songs, peak)
