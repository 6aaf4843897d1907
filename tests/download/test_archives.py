"""Archives that are unpacked, and archives that are refused before a byte lies outside."""

import errno
import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import InputError
from tasks.download import archives
from tasks.download.params import DownloadParams, Source


@pytest.fixture
def params(demo_params) -> DownloadParams:
    return demo_params.download


def source(members: dict | None = None, name: str = "a.zip") -> Source:
    return Source(
        name=name,
        urls=["file://a.zip"],
        size_bytes=None,
        sha256=None,
        licence="CC0",
        citation="",
        members=members or {"audio": "*.mp3"},
        needs_acknowledgement=False,
    )


def make(folder: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]], packed: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w", packed) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return folder / "a.zip"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_members_are_found_by_name_at_any_depth(tmp_path, params):
    outer = "kaggle copy/DEAM_audio/MEMD_audio/"
    archive = make(
        tmp_path,
        [
            (f"{outer}2.mp3", b"two"),
            (f"{outer}10.MP3", b"ten"),
            (f"{outer}read me.txt", b"no"),
            ("__MACOSX/._2.mp3", b"clutter"),
            ("__MACOSX\\3.mp3", b"clutter"),
            (f"{outer}._10.mp3", b"clutter"),
            ("annotations/annotations averaged per song/arousal.csv", b"curves"),
            ("annotations/annotations per each rater/arousal/2.csv", b"raters"),
            ("annotations/song_level/static_annotations_averaged_songs_1_2000.csv", b"means"),
        ],
    )
    wanted = {"audio": "*.mp3", "annotations": "static_annotations_averaged_*.csv | arousal.csv"}
    taken = archives.unpack(archive, source(wanted), tmp_path / "raw", params)
    assert taken == sorted(tmp_path / "raw" / name for name in files_in(tmp_path / "raw"))
    assert files_in(tmp_path / "raw") == {
        "annotations/arousal.csv": b"curves",
        "annotations/static_annotations_averaged_songs_1_2000.csv": b"means",
        "audio/10.MP3": b"ten",
        "audio/2.mp3": b"two",
    }


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


BAD = {
    "absolute": ("/etc/1.mp3", "absolute path"),
    "drive": ("C:\\1.mp3", "absolute path"),
    "parent": ("x/../../1.mp3", "a path with .."),
    "parent, backslashes": ("x\\..\\..\\1.mp3", "a path with .."),
    "link": (special("1.mp3", stat.S_IFLNK | 0o777), "a link"),
    "device": (special("1.mp3", stat.S_IFBLK | 0o666), "a device"),
    "pipe": (special("1.mp3", stat.S_IFIFO | 0o666), "a device"),
    "twice": ("good/9.mp3", "its name occurs twice"),
    "twice but for case": ("GOOD/9.mp3", "its name occurs twice"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", sorted(BAD))
def test_a_member_that_no_honest_archive_has_refuses_all_of_it(tmp_path, params, case):
    name, reason = BAD[case]
    archive = make(tmp_path, [("good/9.mp3", b"nine"), (name, b"/etc/passwd")])
    with pytest.raises(InputError, match=reason):
        archives.unpack(archive, source(), tmp_path / "raw", params)
    assert files_in(tmp_path) == {"a.zip": archive.read_bytes()}


@given(st.lists(st.sampled_from(["..", ".", "a", "b.mp3", "/", "\\", "C:", ""]), min_size=1, max_size=6))
def test_no_name_leads_out_of_the_target(parts):
    member = zipfile.ZipInfo("x")
    member.orig_filename = member.filename = "/".join(parts)
    if not archives.suspicion(member):
        target = (Path("/raw") / member.filename.replace("\\", "/")).resolve()
        assert target.is_relative_to("/raw")


def test_encrypted_members_are_refused(tmp_path, params):
    archive = make(tmp_path, [("1.mp3", b"one")])
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # general purpose flag of the local header
    content[content.index(b"PK\1\2") + 8] |= 1  # and of the directory
    archive.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        archives.unpack(archive, source(), tmp_path / "raw", params)


def test_two_members_of_one_file_name_are_refused(tmp_path, params):
    archive = make(tmp_path, [("a/1.mp3", b"one"), ("b/1.mp3", b"another")])
    with pytest.raises(InputError, match=r"same file name[\s\S]*a/1.mp3' and 'b/1.mp3'"):
        archives.unpack(archive, source(), tmp_path / "raw", params)


def test_what_expands_too_much_is_refused(tmp_path, params):
    archive = make(tmp_path, [("1.mp3", bytes(5_000_000))], zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="at most 200 times its packed size"):
        archives.unpack(archive, source(), tmp_path / "raw", params)
    assert not (tmp_path / "raw" / "audio").exists()


def test_what_is_too_large_in_all_is_refused(tmp_path, params):
    archive = make(tmp_path, [(f"{n}.mp3", bytes(600_000)) for n in range(4)])
    small = params.model_copy(update={"max_unpacked_gib": 0.002})
    with pytest.raises(InputError, match=r"raise download\.max_unpacked_gib"):
        archives.unpack(archive, source(), tmp_path / "raw", small)
    assert not (tmp_path / "raw" / "audio").exists()


def test_a_header_that_lies_about_the_size_is_found_out(tmp_path, params):
    archive = make(tmp_path, [("1.mp3", bytes(1_000_000))], zipfile.ZIP_DEFLATED)
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = content.index(signature) + offset
        content[at : at + 4] = struct.pack("<I", 1000)  # declared: 1000 bytes
    archive.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        archives.unpack(archive, source(), tmp_path / "raw", params)
    assert files_in(tmp_path / "raw") == {}


def test_sizes_are_watched_while_writing(tmp_path):
    with pytest.raises(InputError, match="unpacks to too much"), (tmp_path / "x").open("wb") as file:
        archives._copy(io.BytesIO(bytes(100)), file, 99, lambda done: None)


def test_bytes_that_rotted_are_found_by_their_checksum(tmp_path, params):
    archive = make(tmp_path, [("1.mp3", b"one" * 100), ("2.mp3", b"two" * 100)])
    archive.write_bytes(archive.read_bytes().replace(b"twotwo", b"twutwu", 1))
    with pytest.raises(InputError, match=r"damaged[\s\S]*2.mp3"):
        archives.unpack(archive, source(), tmp_path / "raw", params)
    assert list(files_in(tmp_path / "raw")) == ["audio/1.mp3"]


def test_a_disk_that_does_not_give_the_bytes_is_not_called_damage(tmp_path, params, monkeypatch):
    archive = make(tmp_path, [("1.mp3", b"one")])

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(InputError, match="cannot be read") as refused:
        archives.unpack(tmp_path, source(), tmp_path / "raw", params)  # a folder: its bytes cannot be read either
    assert "damaged" not in str(refused.value)
    monkeypatch.setattr(archives, "_copy", fails)
    with pytest.raises(InputError, match=r"cannot be read[\s\S]*Input/output error[\s\S]*network share"):
        archives.unpack(archive, source(), tmp_path / "raw", params)


def test_a_name_that_is_too_long_is_no_trouble_of_the_archives_disk(tmp_path, params):
    archive = make(tmp_path, [("1" * 300 + ".mp3", b"one")])
    with pytest.raises(InputError, match="File name too long") as refused:
        archives.unpack(archive, source(), tmp_path / "raw", params)
    assert "cannot be read" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\3\4 cut off"])
def test_what_is_no_zip_says_what_it_is(tmp_path, params, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="not a readable zip archive"):
        archives.unpack(tmp_path / "a.zip", source(), tmp_path / "raw", params)


def test_an_archive_without_what_is_wanted_names_what_it_has(tmp_path, params):
    archive = make(tmp_path, [("x/song.wav", b"")])
    with pytest.raises(InputError, match=r"no member has the wanted name[\s\S]*got: song.wav"):
        archives.unpack(archive, source(), tmp_path / "raw", params)


def test_files_are_replaced_and_a_plain_file_is_its_own_member(tmp_path, params):
    (tmp_path / "labels.csv").write_bytes(b"new")
    (tmp_path / "raw" / "annotations").mkdir(parents=True)
    (tmp_path / "raw" / "annotations" / "labels.csv").write_bytes(b"old")
    plain = source({"annotations": "*.csv"}, "labels.csv")
    (taken,) = archives.unpack(tmp_path / "labels.csv", plain, tmp_path / "raw", params)
    assert taken.read_bytes() == b"new"
