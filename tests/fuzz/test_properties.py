"""Laws of the readers for whatever text or values they get."""

import json
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks import settings as params
from tasks.codec.image import TAGS, load
from tasks.core import reading
from tasks.core.csv_tables import header, number, rows_of, song_id_of
from tasks.core.errors import EmoriffError, InputError, ParameterError
from tasks.core.reading import record_of
from tasks.download import sources
from tasks.lineage import pipeline
from tasks.lineage.record import Run
from tasks.report.results import measures_of
from tests.fuzz.readers import demo, histories

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=8), part, max_size=4)
)
few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def given_or_refused(call: Callable[[], Any]) -> Any:
    """What a call gives, or the error of ours that it raises."""
    try:
        return call()
    except EmoriffError as error:
        return error


@few
@given(st.text())
def test_any_text_is_yaml_or_refused(text):
    value = given_or_refused(lambda: reading.yaml_of(text, "here"))
    assert value.where == "here" if isinstance(value, InputError) else yaml.safe_dump(value)


@few
@given(VALUES)
def test_counting_values_is_counting_leaves(value):
    def leaves(one):
        if isinstance(one, dict):
            return 1 + sum(1 + leaves(part) for part in one.values())
        return 1 + sum(map(leaves, one)) if isinstance(one, list) else 1

    assert reading.count(value, {}) == leaves(value)


@few
@given(st.sampled_from(list(params.Params.model_fields)), VALUES)
def test_a_block_of_the_parameters_is_itself_or_refused(block, value):
    values = demo().model_dump() | {block: value}
    parsed = given_or_refused(lambda: params.parse(values, "x"))
    assert block in str(parsed) if isinstance(parsed, ParameterError) else getattr(parsed, block) == value


@few
@given(VALUES)
def test_a_dvc_lock_is_stages_or_refused(value):
    stages = given_or_refused(lambda: pipeline.parse_lock({"stages": value}))
    if isinstance(stages, InputError):
        assert "dvc.lock" in str(stages)
        return
    hashes = [md5 for stage in stages.values() for md5 in [*stage.deps.values(), *stage.outs.values()]]
    assert all(isinstance(md5, str) for md5 in hashes)


@few
@given(st.text() | VALUES.map(json.dumps))
def test_a_line_is_a_record_or_nothing(line):
    assert record_of(Run, line) is None


@few
@given(st.sampled_from(sorted(json.loads(histories()[0][".emoriff/lineage/runs.jsonl"].splitlines()[0]))), VALUES)
def test_a_record_with_another_value_has_sound_types(key, value):
    line = json.loads(histories()[0][".emoriff/lineage/runs.jsonl"].splitlines()[0])
    run = record_of(Run, json.dumps(line | {key: value}))
    assert run is None or (isinstance(run.stage, str) and isinstance(run.parameters, dict))


@few
@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_bytes(content)
    assert all(isinstance(name, str) for name in header(path))
    try:
        rows = list(rows_of(path))
    except InputError:
        return
    assert all(isinstance(cell, str) for _, row in rows for cell in row.values())


@given(st.text(max_size=12))
def test_a_song_id_is_a_whole_number_below_a_milliard(cell):
    song = song_id_of(cell)
    assert song is None or (0 <= song < 10**9 and number(cell) == song)


@few
@given(st.dictionaries(st.sampled_from([*TAGS, 11005, 11080]), st.integers(0, 70000) | st.text(max_size=4), max_size=4))
def test_any_tags_are_parameters_or_refused(tmp_path_factory, tags):
    path, exif = tmp_path_factory.getbasetemp() / "tags.png", Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    Image.new("L", (16, 8)).save(path, exif=exif)
    try:
        picture = load(path)
    except InputError:
        return
    assert 1 <= picture.columns <= 1600


@few
@given(st.text())
def test_any_text_is_a_list_of_checksums(text):
    assert all(len(value) == 64 for value in sources.parse_sums(text).values())


@few
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_figures_are_numbers_or_refused(values):
    try:
        found = measures_of(values)
    except (TypeError, ValueError, AttributeError):  # `load` tells them as an InputError
        return
    assert all(isinstance(measure.value, float) for measure in found.values())
