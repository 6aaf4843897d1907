"""The playground: mixtures of emotions, clips with their lineage, and the page itself where Gradio is installed."""

import builtins
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tasks.apps import playground
from tasks.apps.emotion_plane import centres, mixture_at
from tasks.apps.playground import Playground
from tasks.base import demo_model
from tasks.core.errors import EmoriffError, ModelError, ParameterError
from tasks.core.seeding import drawn_from
from tasks.settings import Params

SIDE = 32
KNOWN = {"happy": (0.75, 0.6), "tense": (0.3, 0.7), "sad": (0.25, 0.3), "calm": (0.7, 0.25)}
SHARES = st.floats(0, 1)


@given(SHARES, SHARES)
def test_the_nearest_emotion_has_the_larger_share(valence: float, arousal: float) -> None:
    mixture = mixture_at((valence, arousal), KNOWN)
    distances = {name: np.hypot(valence - x, arousal - y) for name, (x, y) in KNOWN.items()}
    assert 0 <= mixture.share <= 0.5
    assert distances[mixture.first] == min(distances.values())
    assert distances[mixture.second] == sorted(distances.values())[1]


def test_a_centre_is_its_emotion_and_half_way_is_half() -> None:
    assert mixture_at((0.25, 0.3), KNOWN).text == "sad"
    assert mixture_at((0.5, 0.5), {"sad": (0.25, 0.5), "tense": (0.75, 0.5)}).text == "50 % sad, 50 % tense"
    assert mixture_at((0.1, 0.1), {"sad": (0.5, 0.5)}).text == "sad"


def test_outside_of_the_plane_and_no_labels_are_refused() -> None:
    with pytest.raises(ParameterError, match="outside"):
        mixture_at((1.2, 0.5), KNOWN)
    with pytest.raises(ParameterError, match="label stage"):
        mixture_at((0.5, 0.5), {})


def test_centres_are_means_of_labelled_songs() -> None:
    songs = pd.DataFrame({"emotion": ["sad", "sad", "sad", "calm"], "valence": [0.2, 0.4, 9.0, 0.7]})
    songs = songs.assign(arousal=[0.1, 0.3, 9.0, 0.2], status=["ok", "ok", "excluded", "ok"])
    assert centres(songs, ["sad", "happy"]) == {"sad": (pytest.approx(0.3), pytest.approx(0.2))}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with models/ours: the demo's parts, untrained."""
    from diffusers import StableDiffusionPipeline

    from tasks import settings as parameters

    demo = parameters.load(Path(__file__).parents[2] / "profiles" / "demo.yaml").base.demo
    assert demo is not None
    demo = demo.model_copy(update={"training": demo.training.model_copy(update={"resolution": SIDE})})
    with drawn_from(1, "test"):
        tokenizer = demo_model.build_tokenizer()
        parts = {
            "vae": demo_model.build_vae(demo),
            "text_encoder": demo_model.build_text_encoder(demo, tokenizer),
            "unet": demo_model.build_unet(demo),
        }
    pipeline = StableDiffusionPipeline(
        **parts,
        tokenizer=tokenizer,
        scheduler=demo_model.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    root = tmp_path_factory.mktemp("repository")
    pipeline.save_pretrained(root / "models/ours")
    songs = [{"emotion": name, "valence": x, "arousal": y, "status": "ok"} for name, (x, y) in KNOWN.items()]
    (root / "data/labels").mkdir(parents=True)
    pd.DataFrame(songs).to_parquet(root / "data/labels/songs.parquet")
    return root


@pytest.fixture
def toys(models: Path, demo_params: Params, tmp_path: Path) -> Playground:
    decode = demo_params.generate.decode.model_copy(update={"iterations": 2})
    generate = demo_params.generate.model_copy(update={"steps": 3, "decode": decode})
    return Playground(models, demo_params.model_copy(update={"generate": generate}), tmp_path)


def test_a_clip_of_an_emotion_has_picture_sound_files_and_lineage(toys: Playground) -> None:
    played = toys.of_emotion("ours", "calm", seed=2, seconds=2.0)
    assert soundfile.info(played.sound).duration == pytest.approx(2.0, abs=0.05)
    assert {path.suffix for path in played.files} == {".wav", ".ogg", ".png", ".json"}
    assert played.shown.is_file()
    assert '"seed": 2' in played.lineage


def test_a_point_at_a_centre_is_the_emotion_and_elsewhere_it_is_not(toys: Playground) -> None:
    alone, centre, between = (
        soundfile.read(played.files[0])[0]
        for played in (
            toys.of_emotion("ours", "sad", 1, 2.0),
            toys.of_point("ours", KNOWN["sad"], 1, 2.0),
            toys.of_point("ours", (0.3, 0.45), 1, 2.0),
        )
    )
    assert np.array_equal(alone, centre)
    assert not np.array_equal(alone, between)


def test_a_mixture_says_what_it_is_made_of(toys: Playground) -> None:
    played = toys.of_point("ours", (0.3, 0.45), 1, 2.0)
    facts = json.loads(played.files[3].read_text())
    assert facts["second"] == "tense"
    assert 0 < facts["share"] < 0.5


def test_no_model_unknown_emotion_and_untrained_experiment_are_named(toys: Playground, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model to play with"):
        _ = Playground(tmp_path, toys.params, tmp_path).experiments
    with pytest.raises(ParameterError, match="calm"):
        toys.of_emotion("ours", "clam", 0, 2.0)
    with pytest.raises(ModelError, match="exp9"):
        toys.of_emotion("exp9", "calm", 0, 2.0)


def test_without_gradio_the_error_says_what_to_install(toys: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name == "gradio":
            raise ImportError("No module named 'gradio'")
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.delitem(sys.modules, "gradio", raising=False)
    with pytest.raises(EmoriffError, match=r"emoriff\[play\]"):
        playground.build(toys)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("lab.example", False)],
)
def test_loopback_is_told_from_the_rest(host: str, own: bool) -> None:
    assert playground.is_loopback(host) is own


@pytest.mark.slow
def test_the_page_answers_over_http(toys: Playground) -> None:
    pytest.importorskip("gradio", reason="the optional extra `play` is not installed")
    from gradio_client import Client

    app = playground.build(toys)
    _, address, _ = app.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    try:
        client = Client(address, verbose=False)
        shown, sound, files, lineage = client.predict("ours", "calm", 3, 2.0, api_name="/play_emotion")
        assert soundfile.info(sound).duration == pytest.approx(2.0, abs=0.05)
        assert len(files) == 4
        assert Path(shown if isinstance(shown, str) else shown["path"]).is_file()
        assert '"seed": 3' in str(lineage)
        assert len(client.predict("ours", 0.3, 0.45, 3, 2.0, api_name="/play_point")) == 4
    finally:
        app.close()
