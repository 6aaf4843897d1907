"""The short version of `make fuzz`: a few hundred damaged files, and what makes the long one worth its time."""

import pytest

from tests.fuzz import mutations
from tests.fuzz.__main__ import Tally, table
from tests.fuzz.readers import READERS, Reader, damaged, oggs, pngs, reader
from tests.fuzz.worker import outcome_of

SLOW = ("model folders", "results for the page", "PNG to sound", "audio with ffmpeg", "data set (Parquet, JSON)")
INPUTS = 15


@pytest.mark.parametrize("one", [one for one in READERS if one.name not in SLOW], ids=lambda one: one.name)
def test_damaged_files_are_read_rightly_or_refused(one):
    seeds = one.seeds()
    assert [outcome_of(one, files)["kind"] for files in seeds] == ["read"] * len(seeds)
    outcomes = [outcome_of(one, damaged(one, seeds, number, run_seed=1)) for number in range(INPUTS)]
    assert [outcome["text"] for outcome in outcomes if outcome["kind"] == "crash"] == []


@pytest.mark.slow
@pytest.mark.parametrize("one", [one for one in READERS if one.name in SLOW], ids=lambda one: one.name)
def test_also_where_reading_takes_longer(one):
    test_damaged_files_are_read_rightly_or_refused(one)


def test_the_long_run_has_enough_inputs():
    assert sum(one.inputs for one in READERS) >= 20_000


def test_an_input_is_the_same_bytes_each_time_and_not_the_next_one():
    one = reader("own labels (CSV)")
    seeds = one.seeds()
    assert damaged(one, seeds, 5, 0) == damaged(one, seeds, 5, 0)
    assert len({str(damaged(one, seeds, number, 0)) for number in range(50)}) > 40


def test_checksums_that_fit_leave_an_honest_file_alone():
    for files in pngs():
        assert mutations.png_checksums(files["p.png"]) == files["p.png"]
    for files in oggs():
        content = next(iter(files.values()))
        assert mutations.ogg_checksums(content) == content


@pytest.mark.parametrize(
    ("error", "kind"), [(KeyError("x"), "crash"), (MemoryError(), "crash"), (AssertionError("taken for it"), "crash")]
)
def test_what_a_reader_may_not_raise_is_a_finding(error, kind):
    def read(_):
        raise error

    assert outcome_of(Reader("none", 1, list, read), {"a": b"x"})["kind"] == kind
    tally = Tally(reader("MP3"))
    tally.take({"kind": kind, "number": 3})
    assert tally.findings
    assert table([tally]).splitlines()[-1].split()[:5] == ["all", "1", "0", "0", "1"]
