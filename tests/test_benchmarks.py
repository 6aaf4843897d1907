"""The benchmarks' own sums: bars, the table, a corpus in which every song is another."""

import json
from pathlib import Path

import pytest

from benchmarks import corpus, results, watch
from benchmarks.record import Figure
from tasks.decoding import decode


def test_a_bar_is_met_from_the_side_it_is_asked_for() -> None:
    assert Figure("a", 1.5, "times", bar=1.5).met
    assert not Figure("a", 1.51, "times", bar=1.5).met
    assert Figure("a", 4, "times", bar=4, at_least=True).met
    assert not Figure("a", 3.9, "times", bar=4, at_least=True).met
    assert Figure("a", 1).met is None


def test_the_page_shows_what_was_saved_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = [{"what": "memory", "value": 2.5, "unit": "GiB", "bar": 2.0, "at_least": False}]
    machine = {"processor": "2 x P", "memory": "24 GiB", "system": "Linux", "load": 1.0}
    one = {
        "figures": figures,
        "lines": ["peak: 2.5"],
        "command": "python -m x",
        "machine": machine,
        "versions": {"v": "1"},
    }
    (tmp_path / "load.json").write_text(json.dumps(one))
    monkeypatch.setattr(results, "SAVED", tmp_path)
    page = results.page(results.saved())
    assert "| load | memory | 2.5 GiB | at most 2 GiB | **missed** |" in page
    assert "Not run: codec, denoise, training, sampling, lineage." in page
    assert "peak: 2.5" in page


def test_songs_strung_together_decode_cleanly_and_differ(tmp_path: Path) -> None:
    parts = corpus.pieces(1, n_pieces=4)
    for index, version in ((2, 0), (3, 0), (2, 1)):
        (tmp_path / f"{index}{version}.mp3").write_bytes(corpus.song(index, parts, 10.0, version))
    decoded = [decode(path) for path in sorted(tmp_path.glob("*.mp3"))]
    assert [one.flags for one in decoded] == [(), (), ()]
    assert all(10 < one.waveform.shape[1] / one.sample_rate_hz < 10.3 for one in decoded)
    assert len({one.waveform.tobytes() for one in decoded}) == 3


@pytest.mark.parametrize(
    ("words", "role"),
    [
        ("python -m prefect server start", "server"),
        ("python -m dvc repro dataset", "dvc"),
        ("python -m flows repro dataset", "other"),
        ("/bin/sh -c python -m flows dataset", "other"),
        ("python -m flows dataset", "stage"),
    ],
)
def test_what_a_process_is_there_for(words: str, role: str) -> None:
    assert watch.role_of(words.split()) == role
