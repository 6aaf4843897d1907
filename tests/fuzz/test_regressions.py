"""What fuzzing found, each in its smallest form: it is refused with a reason, or passed over."""

import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image, PngImagePlugin

from tasks import settings
from tasks.apps import listening_answers
from tasks.audio import decoding, ogg
from tasks.codec import files as codec
from tasks.codec import image
from tasks.core import reading
from tasks.core.csv_tables import rows_of
from tasks.core.errors import AudioError, ImageError, InputError, MeasureError, ModelError, ParameterError
from tasks.download import archives, http, sources
from tasks.evaluate import embeddings
from tasks.execution import cache, locks
from tasks.label import annotations
from tasks.lineage import openlineage_spool, pipeline
from tasks.lineage.record import Run
from tasks.models import emotion_conditioning, hub
from tasks.report import report, results
from tasks.trainer import checkpoints, latents
from tasks.why import changes
from tests.fuzz.readers import answers, demo, indexes, lay, read_zip, reader, zips


def refused(name: str, files: dict[str, bytes], what: str) -> None:
    """The reader of that name refuses these files."""
    from tests.fuzz.worker import outcome_of

    outcome = outcome_of(reader(name), files)
    assert outcome["kind"] == "refused", outcome
    assert what in outcome["text"]


def test_a_zip_whose_directory_points_before_its_start():
    content = zips()[0]["a.zip"]
    offset = len(content) - 6
    moved = struct.unpack("<I", content[offset : offset + 4])[0] + 1000
    refused("archives (zip)", {"a.zip": content[:offset] + struct.pack("<I", moved) + content[offset + 4 :]}, "damaged")


def test_a_zip_with_a_broken_bzip2_stream():
    refused("archives (zip)", {"a.zip": zips()[2]["a.zip"].replace(b"1AY&SY", b"1AY&SX")}, "damaged")


def test_a_member_that_would_write_to_the_terminal(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("2\x1b[2J.mp3", b"x")
        archive.writestr("a.csv", b"x")
    with pytest.raises(InputError, match="control characters"):
        read_zip(tmp_path)


def test_a_wav_of_a_thousand_channels_is_read_in_small_blocks(tmp_path):
    soundfile.write(tmp_path / "1.wav", np.zeros((20, 1000), np.float32), 44100)
    tracemalloc.start()
    decoding.decode(tmp_path / "1.wav")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20  # a block of 2**18 frames would be a GiB


def test_a_song_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_SAMPLES", 1000)
    soundfile.write(tmp_path / "1.wav", np.zeros((600, 2), np.float32), 44100)
    with pytest.raises(AudioError, match="too long"):
        decoding.decode(tmp_path / "1.wav")


def test_a_wav_header_with_frames_of_no_bytes():
    assert decoding._announced_frames("Block Align : 0\ndata : 100 (should be 50)", 2) == 100


@pytest.mark.parametrize("content", [b"OggS", b"OggS" + bytes(22) + b"\x05abc", b"OggS" + bytes(22) + b"\xff"])
def test_an_ogg_page_that_is_cut_off(content):
    with pytest.raises(ValueError, match="Ogg page"):
        ogg.with_serial(content, 1)


def test_a_table_without_a_line_has_no_rows(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"")
    assert list(rows_of(tmp_path / "a.csv")) == []
    with pytest.raises(InputError, match="columns are missing"):
        list(rows_of(tmp_path / "a.csv", ["song_id"]))


def test_a_header_that_is_another_one_when_the_whole_file_is_read(tmp_path):
    (tmp_path / "valence.csv").write_bytes(b'song_id, sample_15000ms, "x\n1,0.5,2\n')
    (tmp_path / "static.csv").write_bytes(b'song_id,valence,arousal,"x\n2,3,4\n')
    with pytest.raises(InputError):
        annotations.read_folder(tmp_path, 1, 9, 0.5)


def test_two_columns_of_one_time_and_one_of_none(tmp_path):
    (tmp_path / "static.csv").write_text("song_id,valence,arousal\n2,3,4\n")
    head = f"song_id,sample_15000ms,SAMPLE_15000ms,sample_015000ms,sample_{'9' * 5000}ms"
    (tmp_path / "valence.csv").write_text(f"{head}\n2,0.5,0.6,0.7,0.8\n")
    assert annotations.read_folder(tmp_path, 1, 9, 0.5).curves["valence"].loc[2].tolist() == [0.5]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plan.json", b"[]"),
        ("plan.json", b"[" * 100_000),
        ("key.csv", b"clip,arm\nc1,a\nc1,b\n"),
        ("key.csv", b"x\n"),
        ("answers/a.csv", b"\xff\xfe\0"),
        ("answers/a.csv", b""),
        ("answers/a.csv", ",".join(listening_answers.COLUMNS).encode() + b"\nt1,ann,0,rating,,c1,c2,valence,7,2\n"),
    ],
)
def test_answers_that_are_none(tmp_path, name, content):
    lay(answers()[0] | {name: content}, tmp_path)
    with pytest.raises(InputError):
        listening_answers.read_answers(tmp_path)


def laughs(levels: int) -> str:
    """A YAML text that stands for ten times as many values a level."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "when: 2001-99-99",
            "x: &a [*a]",
            "x: !!int 0x",
            "? [a]\n: b",
            "[" * 10**6,
            "- " * 10**6,
            laughs(12),
            "x: " + "1" * 5000,
        ),
        *("!!python/object/apply:os.getcwd []", "- a", "x", "\0", f"{'k' * 200_000}: 1"),
    ],
)
def test_parameters_that_are_no_parameters(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParameterError) as refusal:
        settings.load(tmp_path / "params.yaml")
    assert len(str(refusal.value)) < 10_000


def test_parameters_in_another_encoding(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"profile: caf\xe9\n")
    with pytest.raises(ParameterError, match="UTF-8"):
        settings.load(tmp_path / "params.yaml")


def test_references_are_fine_as_long_as_they_are_few():
    assert reading.yaml_of(laughs(3), "x")["a2"][9][9][9] == "x"


@pytest.mark.parametrize("value", [[], 3, "x", {}, {"unet": ["x"]}, {"unet": []}, {"unet": ["os", "system"]}])
def test_an_index_of_another_form(tmp_path, value):
    index = json.loads(indexes()[0]["model_index.json"])
    changed = index | value if isinstance(value, dict) and value else value
    lay(indexes()[0] | {"model_index.json": json.dumps(changed).encode()}, tmp_path)
    with pytest.raises(ModelError):
        hub.inspect(tmp_path)


@pytest.mark.parametrize(
    "text", ["[]", "{", "null", '{"rows": 1, "files": {}}', '{"rows": [], "files": {"a": "../../x"}}']
)
def test_a_damaged_record_is_a_miss_and_leads_nowhere(tmp_path, text):
    (tmp_path / "x").write_text("mine")
    store = cache.Cache(tmp_path / "local", tmp_path / "cache" / "files")
    store._execute("insert into record values ('k', ?)", (text,))
    assert store.recall("k") is None
    assert store.intact("k") is None
    assert (tmp_path / "x").read_text() == "mine"


def test_a_remembered_hash_that_is_none_is_taken_again(tmp_path):
    store = cache.Cache(tmp_path / "local")
    (tmp_path / "x").write_text("hello")
    store.md5(tmp_path / "x")
    store._execute("update state set md5 = 'nonsense'")
    assert store.md5(tmp_path / "x") == "5d41402abc4b2a76b9719d911017c592"


@pytest.mark.parametrize("line", ["[]", "3", '"x"', "null", "{}", "[" * 100_000, '{"git": [], "environment": {}}'])
def test_a_line_of_another_form_is_no_record(line):
    assert reading.record_of(Run, line) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"": 3}', b'{"": ["x"]}', b"\xff", b"[" * 100_000])
def test_songs_of_another_form_are_not_known(content):
    assert reading.record_of(dict[str, list[int]], content) is None


@pytest.mark.parametrize(
    "text", ["[]", "stages: [x]", "stages: {a: x}", "stages: {a: {deps: [x]}}", "stages: {a: {deps: [{md5: 1}]}}"]
)
def test_a_dvc_lock_of_another_form(tmp_path, text):
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(InputError):
        pipeline.locked(tmp_path)


@pytest.mark.parametrize("md5", ["../../../../etc/passwd", "1" * 5000, "a/b.dir", "..", [1], {}])
def test_a_hash_is_no_path(tmp_path, md5):
    lock = {"stages": {"a": {"cmd": "x", "outs": [{"path": "data/wav", "md5": md5}]}}}
    with pytest.raises(InputError, match="no hash"):
        pipeline.parse_lock(lock)
    line = json.loads(reader("lineage, dvc.lock").seeds()[0][".emoriff/lineage/runs.jsonl"].splitlines()[0])
    assert reading.record_of(Run, json.dumps(line)) is not None
    assert reading.record_of(Run, json.dumps(line | {"code": {"tasks/audio.py": md5}})) is None


@pytest.mark.parametrize("text", ["- x", "stages: 3", "stages: {a: {}}", "stages: {a: {foreach: 3, do: {}}}"])
def test_a_dvc_yaml_of_another_form(tmp_path, text):
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(InputError):
        pipeline.declared(tmp_path)


def test_rows_of_a_damaged_table_are_none(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1xxxxPAR1")
    (tmp_path / "a.csv").write_text("song_id\n\u00b2\n")
    assert changes.parquet_rows(tmp_path / "a.parquet") == {}
    assert changes.csv_rows(tmp_path / "a.csv") == {}
    with pytest.raises(InputError, match="Parquet"):
        reading.parquet_of(tmp_path / "a.parquet")


def png(path: Path, text: str | None = None, size: tuple[int, int] = (20, 10), **tags: int) -> Path:
    """A grey picture with a text of ours, and tags by number (t11010=...)."""
    info, exif = PngImagePlugin.PngInfo(), Image.Exif()
    if text is not None:
        info.add_text(image.TEXT_KEY, text)
    for name, value in tags.items():
        exif[int(name[1:])] = value
    Image.new("L", size, 100).save(path, pnginfo=info, exif=exif)
    return path


@pytest.mark.parametrize(
    "text",
    [
        *('{"n_columns": 0}', '{"n_columns": -5}', '{"n_columns": 10000000000}', '{"n_columns": true}', "[]", "3"),
        *('{"loudness_lufs": NaN}', '{"loudness_lufs": "x"}', "[" * 100_000, '{"top_db": {}}', '{"form": []}'),
    ],
)
def test_a_picture_with_another_text(tmp_path, text):
    with pytest.raises(ImageError):
        image.load(png(tmp_path / "p.png", text))


def test_a_picture_whose_tag_is_cut_off(tmp_path):
    content = reader("PNG with EXIF").seeds()[0]["p.png"]
    at = content.index(b"eXIf") + 4
    double = content.index(struct.pack(">HHI", 11070, 12, 1), at) + 8
    far = content[:double] + struct.pack(">I", 60_000) + content[double + 4 :]
    (tmp_path / "p.png").write_bytes(reader("PNG with EXIF").repair(far))
    with pytest.raises(ImageError, match=r"Truncated|larger than file"):
        image.load(tmp_path / "p.png")


def test_a_picture_of_one_column_is_no_sound(tmp_path):
    path = png(tmp_path / "p.png", '{"n_columns": 1}')
    with pytest.raises(ImageError, match="too small"):
        codec.decode_file([path], tmp_path / "a.wav", demo().generate.decode, 0)


def test_a_picture_that_announces_what_it_cannot_hold(tmp_path):
    content = png(tmp_path / "p.png").read_bytes()
    huge = content[:16] + struct.pack(">II", 9000, 9000) + content[24:]
    (tmp_path / "p.png").write_bytes(reader("PNG with EXIF").repair(huge))
    with pytest.raises(ImageError, match="announces 9000 x 9000"):
        image.load(tmp_path / "p.png")


def test_a_picture_of_a_format_that_runs_programs(tmp_path):
    (tmp_path / "p.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(ImageError, match="not a readable image"):
        image.load(tmp_path / "p.png")


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{"keys": np.array(["a"]), "vectors": np.ones((1, 2)), "sample_rate_hz": np.array(1), **arrays})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"PK\x03\x04", npz()[:-30], npz(keys=np.array([["a"]])), npz(keys=np.array([1.5]))),
        *(npz(sample_rate_hz=np.array("x")), npz(vectors=np.array(["x"])), npz(vectors=np.ones(1))),
    ],
)
def test_vectors_that_are_none(tmp_path, content):
    (tmp_path / "v.npz").write_bytes(content)
    with pytest.raises(MeasureError):
        embeddings.choose(str(tmp_path / "v.npz"))


def test_damaged_tensors(tmp_path):
    for name in ("latents.safetensors", "step-0000001/state.safetensors", "emotion/emotion.safetensors"):
        lay({name: struct.pack("<Q", 2**60) + b"{}"}, tmp_path)
    (tmp_path / "step-0000001/state.json").write_text("[]")
    (tmp_path / "emotion/emotion.json").write_text("[]")
    assert latents.read_cached(tmp_path / "latents.safetensors") is None
    assert checkpoints.latest(tmp_path, "f") is None
    with pytest.raises(ModelError, match="does not fit"):
        emotion_conditioning.attach(None, tmp_path)


def test_a_spool_is_not_blocked_by_what_is_no_event(tmp_path):
    sent = []
    (tmp_path / "0001-1.json").write_text("{")
    (tmp_path / "0002-1.json").write_text('{"a": 1}')
    openlineage_spool.drain(tmp_path, lambda: type("Kept", (), {"emit": lambda self, event: sent.append(event)})())
    assert sent == [{"a": 1}]
    assert [path.name for path in tmp_path.glob("*.refused")] == ["0001-1.refused"]


def test_notes_of_another_form_are_as_if_they_were_not_there(tmp_path):
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\xfe" + b"ab" * 32 + b"  a.zip\n" + b"zz" * 32 + b"  b.zip\n")
    (tmp_path / "a.zip.received.json").write_text('[{"sha256": 1}]')
    (tmp_path / "a.zip.partial.json").write_text('{"url": "http://x", "validator": 5, "total_bytes": "x"}')
    (tmp_path / "run.lock").write_text('["x"]')
    assert sources.sums_in(tmp_path / "SHA256SUMS") == {}
    assert sources.read_receipt(tmp_path / "a.zip") is None
    assert http.read_note(tmp_path / "a.zip.partial", "http://x") is None
    assert locks.holder(tmp_path / "run.lock") == "a process that has not said its name yet"


@pytest.mark.parametrize("text", ["[]", '{"experiments": []}', '{"judge": {"x": {"value": "y"}}}', "\0", "[" * 100_000])
def test_figures_of_another_form(tmp_path, text):
    lay({"reports/metrics.json": text.encode()}, tmp_path)
    with pytest.raises(InputError):
        results.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"step,loss,validation_loss\n1,x,2\n", b"\xff", b"a,b\n"])
def test_curves_of_another_form(tmp_path, content):
    lay({"reports/train/ours/loss.csv": content}, tmp_path)
    with pytest.raises(InputError):
        results.load(tmp_path)


@pytest.mark.parametrize("text", ["[]", '{"parameters": {"sampling": "balanced"}}', '{"parameters": {"prompts": 3}}'])
def test_a_model_that_says_something_else_of_itself(tmp_path, text):
    lay(
        {"models/ours/emoriff.json": text.encode(), "reports/train/ours/loss.csv": b"step,loss,validation_loss\n"},
        tmp_path,
    )
    with pytest.raises(InputError, match="another form"):
        report.context(results.load(tmp_path))


def test_the_page_of_a_folder_of_ones_own_has_a_source_without_a_hash(tmp_path):
    source = {"name": "folder", "licence": "the user's own files", "citation": ""}  # as tasks.download.folder writes it
    lay({"data/raw/sources.json": json.dumps({"sources": [source]}).encode()}, tmp_path)
    values = report.context(results.load(tmp_path)) | {"rows": {}, "profile": "folder"}
    page = report.render("report.html.j2", values)
    assert "the user&#39;s own files" in page
    assert "SHA-256" not in page


def test_a_table_of_another_form_is_told_with_its_columns(tmp_path):
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="song_id"):
        reading.parquet_of(tmp_path / "a.parquet", ["song_id"])


def test_archives_names_what_it_catches():
    assert all(issubclass(error, Exception) for error in archives.DAMAGE)
