"""Parameters have one typed home, and say what is wrong with them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.apps import profiles
from tasks.core.errors import InputError, ParameterError
from tasks.settings import PROFILES, load, parse

ROOT = Path(__file__).parents[2]


def demo() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((PROFILES / "demo.yaml").read_text())
    return values


def test_every_profile_is_valid() -> None:
    for path in PROFILES.glob("*.yaml"):
        assert parse(yaml.safe_load(path.read_text()), path).profile == path.stem


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    values = demo()
    values["segment"]["lenght_seconds"] = 10
    with pytest.raises(ParameterError, match=r"unknown key; did you mean segment\.length_seconds\?"):
        parse(values, "params.yaml")


def test_an_unknown_key_of_an_experiment_is_answered_too() -> None:
    values = demo()
    values["train"]["experiments"]["ours"]["optimizer"]["learning_rat"] = 1
    with pytest.raises(
        ParameterError, match=r"ours\.optimizer\.learning_rat: .*mean optimizer\.learning_rate\?"
    ) as told:
        parse(values, "params.yaml")
    assert len(str(told.value)) < 400


def test_a_value_out_of_range_names_key_and_value() -> None:
    values = demo()
    values["convert"]["max_rejected_share"] = 3
    with pytest.raises(ParameterError, match=r"convert\.max_rejected_share.*got 3"):
        parse(values, "params.yaml")


def test_a_missing_block_is_named() -> None:
    values = demo()
    del values["label"]
    with pytest.raises(ParameterError, match="label: Field required"):
        parse(values, "params.yaml")


def test_every_parameter_has_a_meaning() -> None:
    assert [row["key"] for row in profiles.rows() if not row["meaning"]] == []


def test_use_keeps_edited_parameters_beside_the_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("profile: mine\n")
    profiles.use_profile("demo", None, None, (1, 9))
    assert Path("params.before.yaml").read_text() == "profile: mine\n"
    Path("params.yaml").write_text("profile: mine, later\n")
    profiles.use_profile("demo", None, None, (1, 9))
    assert Path("params.before.yaml").read_text() == "profile: mine\n"
    assert Path("params.before2.yaml").read_text() == "profile: mine, later\n"
    assert Path("params.yaml").read_text() == (PROFILES / "demo.yaml").read_text()


def test_use_folder_points_at_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("songs/disc 1").mkdir(parents=True)
    Path("songs/disc 1/1.m4a").write_bytes(b"x")
    Path("songs/labels.csv").write_text("song_id,valence,arousal\n1,3,4\n")
    profiles.use_profile("folder", Path("songs"), None, (1, 5))
    folder = yaml.safe_load(Path("params.yaml").read_text())["download"]["folder"]
    assert folder == {"audio": "songs", "labels": "songs/labels.csv", "scale_min": 1, "scale_max": 5}
    assert "own files" in load(Path("params.yaml")).train.defaults.data_licence


def test_a_folder_without_audio_says_what_it_expects(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no audio in the folder"):
        profiles.folder_profile(tmp_path, None, (1, 9))


def changed(**blocks: dict[str, Any]) -> dict[str, Any]:
    values = demo()
    for name, changes in blocks.items():
        values[name] |= changes
    return values


def test_one_square_image_stands_for_a_whole_segment() -> None:
    square = {"tiling": "square"}
    assert parse(changed(spectrogram=square), "a").spectrogram.tile_columns == 1001
    assert parse(changed(spectrogram=square, segment={"length_seconds": 5.5}), "a").spectrogram.tile_columns == 551
    assert parse(demo(), "a").spectrogram.tile_columns == 512


REFUSED = {
    "stereo": ({"spectrogram": {"channel": "stereo"}}, r"spectrogram\.channel.*left, right or mix.*stereo.*encode"),
    "long clips": ({"generate": {"seconds": 10.5}}, r"generate\.seconds.*at most.*10 s.*10\.5 s.*segment"),
    "long square": (
        {"spectrogram": {"tiling": "square", "n_mels": 64}, "segment": {"length_seconds": 70.0}},
        r"segment\.length_seconds.*64 s.*70 s.*tiles",
    ),
}


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_stages_that_do_not_fit_each_other_are_refused_at_once(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=f"(?s)params.yaml.*{said}"):
        parse(changed(**changes), "params.yaml")


def test_clips_as_long_as_a_segment_are_taken() -> None:
    assert parse(changed(generate={"seconds": 10.0}), "a").generate.seconds == 10.0


def test_a_single_file_can_still_be_pictured_in_stereo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    import soundfile

    from flows.__main__ import main
    from tasks.codec import forward

    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((PROFILES / "demo.yaml").read_text())
    soundfile.write("a.wav", 0.1 * np.random.default_rng(1).normal(size=(44100, 2)), 44100)
    with pytest.raises(SystemExit) as ended:
        main(["encode", "a.wav", "a.png", "--channel", "stereo"])
    assert not ended.value.code
    assert forward.load(Path("a.png")).pixels.shape == (512, 101, 3)
