"""DEAM's archives as the demo needs them: annotated songs + MP3 bytes -> **zip files** -> download.

The quirks are those of the real data set (Aljanaki, Yang, Soleymani 2017): directory names with spaces and
brackets, header cells with a leading space and one with a space inside, two static files of different shape,
three metadata files with different columns and ragged rows, tabs inside cells, and valence and arousal
swapped in the static file up to a given id. Zip entries carry a fixed date: equal content, equal bytes.
"""

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.core.files import sha256, write_text
from tasks.core.storage import replacing

FIRST_SAMPLE_MS = 15000
SAMPLE_STEP_MS = 500
SONG_LEVEL = "annotations/annotations averaged per song/song_level/"
PER_SECOND = "annotations/annotations averaged per song/dynamic (per second annotations)/"
SHORT_HEADER = "song_id, valence_mean, valence_std, arousal_mean, arousal_std"
LONG_HEADER = (
    "song_id, valence_mean, valence_std, valence_ max_mean, valence_max_std, valence_min_mean, "
    "valence_min_std, arousal_mean, arousal_std, arousal_max_mean, arousal_max_std, arousal_min_mean, "
    "arousal_min_std"
)
LAST_SHORT_ID = 2000
METADATA_HEADERS = {
    2013: "song_id,file_name,Artist,Song title,start of the segment (min.sec),end of the segment (min.sec),Genre",
    2014: "Id,Artist,Album,Track,Genre,segment start,segment end",
    2015: "id,Filename,title,artist,album,genre",
}


@dataclass(frozen=True)
class Annotation:
    """One song as listeners rated it."""

    song_id: int
    artist: str
    title: str
    seconds: float
    static: Mapping[str, NDArray[np.float64]]  # axis -> [3, raters] on 1..9: mean, highest, lowest
    dynamic: Mapping[str, NDArray[np.float64]]  # axis -> means on -1..1 each half second from 15 s


def write_archives(
    folder: Path, songs: list[Annotation], audio: Iterable[tuple[int, bytes]], swap_until_id: int
) -> None:
    """The three archives and SHA256SUMS in `folder`."""
    songs = sorted(songs, key=lambda song: song.song_id)
    write_zip(folder / "DEAM_audio.zip", ((f"MEMD_audio/{song_id}.mp3", data) for song_id, data in audio))
    write_zip(folder / "DEAM_Annotations.zip", annotation_files(songs, swap_until_id).items())
    write_zip(folder / "metadata.zip", metadata_files(songs).items())
    names = ("DEAM_Annotations.zip", "DEAM_audio.zip", "metadata.zip")
    write_text(folder / "SHA256SUMS", "".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def write_zip(target: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """A zip of (name, bytes); entries dated 1980, text compressed, audio stored."""
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in members:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".mp3") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)


def annotation_files(songs: list[Annotation], swap_until_id: int) -> dict[str, bytes]:
    """Member name -> bytes of the annotation archive."""
    short = [song for song in songs if song.song_id <= LAST_SHORT_ID]
    long = [song for song in songs if song.song_id > LAST_SHORT_ID]
    files = {
        f"{SONG_LEVEL}static_annotations_averaged_songs_1_2000.csv": _static(short, SHORT_HEADER, 1, swap_until_id),
        f"{SONG_LEVEL}static_annotations_averaged_songs_2000_2058.csv": _static(long, LONG_HEADER, 3, swap_until_id),
    }
    for axis in ("arousal", "valence"):
        files[f"{PER_SECOND}{axis}.csv"] = _dynamic(songs, axis)
    return files


def _static(songs: list[Annotation], header: str, n_moments: int, swap_until_id: int) -> bytes:
    lines = [header]
    for song in songs:
        first, second = ("arousal", "valence") if song.song_id <= swap_until_id else ("valence", "arousal")
        ratings = np.concatenate([song.static[first][:n_moments], song.static[second][:n_moments]])
        cells = [f"{rating.mean():.4g},{round(rating.std(), 2):g}" for rating in ratings]
        lines.append(",".join([str(song.song_id), *cells]))
    return ("\n".join(lines) + "\n").encode()


def _dynamic(songs: list[Annotation], axis: str) -> bytes:
    """Rows of shorter songs end in empty cells."""
    n_samples = max((song.dynamic[axis].size for song in songs), default=0)
    names = [f"sample_{FIRST_SAMPLE_MS + SAMPLE_STEP_MS * i}ms" for i in range(n_samples)]
    lines = [",".join(["song_id", *names])]
    for song in songs:
        values = [f"{value:.6f}" for value in song.dynamic[axis]]
        lines.append(",".join([str(song.song_id), *values, *[""] * (n_samples - len(values))]))
    return ("\n".join(lines) + "\n").encode()


def metadata_files(songs: list[Annotation]) -> dict[str, bytes]:
    """Member name -> bytes of the metadata archive, one file a year."""
    rows: dict[int, list[str]] = {year: [] for year in METADATA_HEADERS}
    for song in songs:
        year = 2013 if song.song_id <= 1000 else 2014 if song.song_id <= LAST_SHORT_ID else 2015
        rows[year].append(_metadata_row(song, year))
    return {
        f"metadata/metadata_{year}.csv": ("\n".join([header, *rows[year]]) + "\n").encode()
        for year, header in METADATA_HEADERS.items()
    }


def _metadata_row(song: Annotation, year: int) -> str:
    file, end = f"{song.song_id}.mp3", f"{int(song.seconds // 60)}.{int(song.seconds % 60):02d}"
    if year == 2013:
        return f'{song.song_id},"\t{file}","\t{song.artist}\t","\t{song.title}\t",0.00,{end},"\tRendered\t"'
    if year == 2014:  # the row goes on past its header, as the listeners' tags do in DEAM
        return f"{song.song_id},{song.artist},n/a,{song.title},Rendered,0.00,{end},synthetic,demo"
    return f"{song.song_id},{file},{song.title},{song.artist},n/a,Rendered"


def cover_tag(title: str, artist: str, seed: int) -> bytes:
    """An ID3v2.3 tag with title, artist and a PNG cover, to stand before the MP3 frames."""
    frames = [
        _frame(b"TIT2", b"\x00" + title.encode("latin-1")),
        _frame(b"TPE1", b"\x00" + artist.encode("latin-1")),
        _frame(b"APIC", b"\x00image/png\x00\x03\x00" + cover_png(seed)),
    ]
    body = b"".join(frames)
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))  # seven bits a byte (ID3v2.3, 3.1)
    return b"ID3\x03\x00\x00" + size + body


def _frame(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "big") + b"\x00\x00" + content


def cover_png(seed: int, side: int = 256) -> bytes:
    """A square of coloured noise as PNG bytes, about 190 kB, as large as covers in DEAM are."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    lines = np.concatenate([np.zeros((side, 1), np.uint8), pixels.reshape(side, -1)], axis=1)  # filter 0
    header = side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"  # 8 bits, RGB
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 0)), (b"IEND", b"")):
        file.write(len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big"))
    return file.getvalue()
