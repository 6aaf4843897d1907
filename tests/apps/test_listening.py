"""The listening test: a fair plan, a blind folder, answers read back, and one listener in a browser."""

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tasks.apps import listening, listening_answers
from tasks.apps.listening_plan import pairs, rounds
from tasks.core.errors import InputError, MeasureError, ParameterError
from tests.browser import console_errors, open_page
from tests.report_inputs import EMOTIONS, build

SYSTEMS = ["real", "base", "exp1", "exp2", "exp3", "ours"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("run"), n_seeds=2, size=64)


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("listening") / "test one"
    listening.make(root, target, seed=1)
    return target


@given(st.integers(2, 9))
def test_each_two_systems_meet_once_and_nobody_twice_in_a_round(n_systems: int) -> None:
    found = rounds([str(system) for system in range(n_systems)])
    assert all(len(set(sum(one, ()))) == 2 * len(one) for one in found)
    met = Counter(frozenset(pair) for one in found for pair in one)
    assert len(met) == n_systems * (n_systems - 1) // 2
    assert set(met.values()) == {1}


def test_six_systems_and_five_emotions_are_wholly_balanced() -> None:
    asked = pairs(SYSTEMS, EMOTIONS)
    assert set(Counter((pair.emotion, system) for pair in asked for system in (pair.left, pair.right)).values()) == {2}
    assert set(Counter((pair.left, pair.right) for pair in asked).values()) == {1}
    assert Counter(pair.left for pair in asked) == Counter(pair.right for pair in asked)


def test_what_listeners_get_does_not_name_the_systems(folder: Path) -> None:
    given_out = [path for path in (folder / "test").rglob("*") if path.is_file()]
    plan = json.loads((folder / "plan.json").read_text())
    text = (folder / "test/index.html").read_text() + json.dumps(plan) + " ".join(path.name for path in given_out)
    assert not [word for word in ("ours", "base", "real", "exp1", "seed", "generated") if f'"{word}' in text]
    assert not [path for path in given_out if b"ours" in path.read_bytes() or b"happy_0" in path.read_bytes()]


def test_clips_are_equally_loud(folder: Path) -> None:
    from tasks.audio.loudness import loudness

    levels = []
    for path in (folder / "test/media").iterdir():
        samples, rate = soundfile.read(path, always_2d=True)
        levels.append(loudness(samples.T, rate))
    assert np.ptp(levels) < 0.5
    assert np.mean(levels) == pytest.approx(-23, abs=0.5)


def test_same_seed_same_bytes_other_seed_other_codes(root: Path, folder: Path, tmp_path: Path) -> None:
    for name, seed in (("again", 1), ("other", 2)):
        listening.make(root, tmp_path / name, seed)
    bytes_of = [(where / "test/index.html").read_bytes() for where in (folder, tmp_path / "again", tmp_path / "other")]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_full_folder_and_too_few_clips_are_refused(root: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="not empty"):
        listening.make(root, folder, 1)
    with pytest.raises(MeasureError, match="at least two systems"):
        listening.make(tmp_path, tmp_path / "new", 1)


def answers(folder: Path, listener: str, generator: np.random.Generator) -> pd.DataFrame:
    """A listener who prefers `ours` always and rates quality by the system."""
    plan, key = json.loads((folder / "plan.json").read_text()), pd.read_csv(folder / "key.csv").set_index("clip")
    rows = []
    for asked in plan["pairs"]:
        clips = [asked["left"], asked["right"]]
        best = [clip for clip in clips if key.arm[clip] == "ours"]
        rows.append({"kind": "pair", "emotion": asked["emotion"], "clip": clips[0], "other": clips[1], "scale": ""})
        rows[-1]["answer"] = best[0] if best else clips[generator.integers(2)]
    for asked in plan["ratings"]:
        for scale in listening_answers.SCALES:
            rows.append({"kind": "rating", "emotion": "", "clip": asked["clip"], "other": "", "scale": scale})
            rows[-1]["answer"] = 8 if key.arm[asked["clip"]] == "ours" else 3
    table = pd.DataFrame(rows).assign(test=plan["test"], listener=listener, order=range(len(rows)), seconds=5)
    return table[list(listening_answers.COLUMNS)]


@pytest.fixture
def answered(folder: Path, tmp_path: Path) -> Path:
    generator = np.random.default_rng(1)
    (tmp_path / "answers").mkdir()
    for name in ("plan.json", "key.csv"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    for listener in "abcdef":
        answers(folder, listener, generator).to_csv(tmp_path / f"answers/{listener}.csv", index=False)
    return tmp_path


def test_answers_become_wins_means_and_agreement(answered: Path) -> None:
    summary = listening_answers.summarise(listening_answers.read(answered))
    assert summary.n_listeners == 6
    assert summary.wins["ours"].value == summary.wins["ours"].high == 1
    assert summary.wins["ours"].low == pytest.approx(0.025 ** (1 / 6))  # six listeners agree (Clopper and Pearson)
    assert summary.pairwise["base", "real"].low < 0.5 < summary.pairwise["base", "real"].high
    assert summary.pairwise["base", "ours"].value == 0
    assert summary.ratings["ours"]["quality"].value == 8
    assert summary.agreement["quality"] == pytest.approx(1)
    assert "ours         1.00 (0.54 to 1.00" in listening.read_answers(answered)


def test_a_file_sent_twice_counts_once(answered: Path) -> None:
    before = listening_answers.read(answered)
    (answered / "answers/a (1).csv").write_bytes((answered / "answers/a.csv").read_bytes())
    assert len(listening_answers.read(answered)) == len(before)


def test_a_listener_who_starts_anew_has_other_sides_but_counts_once(answered: Path) -> None:
    before = listening_answers.read(answered)
    anew = pd.read_csv(answered / "answers/a.csv", dtype=str, keep_default_na=False)
    pair = anew.kind == "pair"
    anew.loc[pair, ["clip", "other"]] = anew.loc[pair, ["other", "clip"]].to_numpy()
    anew.to_csv(answered / "answers/a (1).csv", index=False)
    assert len(listening_answers.read(answered)) == len(before)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("test", "abc", "another test"), ("clip", "nobody", "key does not know"), ("answer", "10", "cannot be")],
)
def test_answers_that_cannot_be_are_named(answered: Path, column: str, value: str, message: str) -> None:
    path = answered / "answers/c.csv"
    pd.read_csv(path, dtype=str, keep_default_na=False).assign(**{column: value}).to_csv(path, index=False)
    with pytest.raises(InputError, match=message) as caught:
        listening_answers.read(answered)
    assert "c.csv" in str(caught.value)


def test_no_answers_and_no_test_are_told_apart(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no answers yet"):
        listening.read_answers(folder)
    with pytest.raises(InputError, match="not the folder"):
        listening.read_answers(tmp_path)


def test_alpha_of_krippendorffs_own_example() -> None:
    # Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C: interval alpha .849
    rows = ["1 2 3 3 2 1 4 1 2 n n n", "1 2 3 3 2 2 4 1 2 5 n 3", "n 3 3 3 2 3 4 2 2 5 1 n", "1 2 3 3 2 4 4 1 2 5 1 n"]
    ratings = np.array([[np.nan if cell == "n" else float(cell) for cell in row.split()] for row in rows])
    assert listening_answers.krippendorff_alpha(ratings) == pytest.approx(0.849, abs=5e-4)


@given(st.integers(0, 10_000))
def test_alpha_of_chance_is_near_zero_and_ignores_order(seed: int) -> None:
    ratings = np.random.default_rng(seed).integers(1, 10, (6, 200)).astype(float)
    alpha = listening_answers.krippendorff_alpha(ratings)
    assert abs(alpha) < 0.12
    assert listening_answers.krippendorff_alpha(ratings[::-1, ::-1]) == pytest.approx(alpha)


@pytest.mark.slow
def test_a_listener_in_a_browser(folder: Path, tmp_path: Path) -> None:
    """All by keyboard, with a reload on the way; the saved file is read back."""
    page = folder / "test/index.html"
    with open_page(page, tmp_path) as driver:
        driver.find_element("id", "listener").send_keys('Ann, "the listener"\n')
        n_pairs, n_ratings = (
            len(json.loads((folder / "plan.json").read_text())[kind]) for kind in ("pairs", "ratings")
        )
        hear = "HTMLMediaElement.prototype.play = function () { this.dispatchEvent(new Event('ended')); }"
        wait_for_real_sound(driver)
        for index in range(n_pairs):
            if index == 1:
                driver.refresh()
            driver.execute_script(hear)
            press(driver, "12")
            press(driver, "\ue012" if index % 2 else "\ue014")
        for _ in range(n_ratings):
            press(driver, " 795\ue007")
        driver.find_element("css selector", "#end [data-save]").click()
        saved = waited(tmp_path / "downloads")
        assert console_errors(driver) == []
    (folder / "answers" / saved.name).write_bytes(saved.read_bytes())
    table = listening_answers.read(folder)
    (folder / "answers" / saved.name).unlink()
    assert len(table) == n_pairs + 3 * n_ratings
    assert set(table.listener) == {'Ann, "the listener"'}
    assert set(table[table.scale == "arousal"].answer) == {"9"}
    assert 0 < (table[table.kind == "pair"].answer == table[table.kind == "pair"]["clip"]).mean() < 1


def press(driver: object, keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver, duration=0).send_keys(keys).perform()


def wait_for_real_sound(driver: object) -> None:
    """The first clip is really played: choosing opens only after two seconds of both."""
    locked = "return document.querySelector('[data-choose]').disabled"
    press(driver, "1")
    time.sleep(3)
    assert driver.execute_script(locked)
    press(driver, "2")
    until = time.time() + 20
    while driver.execute_script(locked) and time.time() < until:
        time.sleep(0.3)
    assert not driver.execute_script(locked)


def waited(folder: Path) -> Path:
    """The file that the browser saves."""
    for _ in range(100):
        if found := sorted(folder.glob("*.csv")):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"nothing saved in {folder}")
