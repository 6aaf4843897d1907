"""The whole evaluate stage on a few seconds of tones: shape of metrics.json, errors, equal bytes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from tasks import settings as parameters
from tasks.apps import export_clips
from tasks.codec import forward as spectrogram
from tasks.core.errors import AudioError, InputError, MeasureError
from tasks.evaluate import clips, describe, distances, embeddings, evaluation, judge
from tasks.evaluate.params import EvaluateParams
from tasks.generate.params import GenerateParams
from tasks.settings import Params

ROOT = Path(__file__).parents[2]
RATE = 44100
SOUNDS = {"happy": (600.0, 6.0), "calm": (250.0, 1.0)}  # Hz of the tone, its beats per second
POINTS = {"happy": (0.8, 0.6), "calm": (0.7, 0.2)}
SECONDS = 2.0


def tone(emotion: str, seconds: float, seed: int) -> np.ndarray:
    """A beating tone with a pitch and some noise of its own."""
    generator = np.random.default_rng(seed)
    hz, beats = SOUNDS[emotion]
    time = np.arange(int(seconds * RATE)) / RATE
    wave = np.sin(2 * np.pi * hz * generator.uniform(0.9, 1.1) * time) * (1 + np.sin(2 * np.pi * beats * time))
    return 0.2 * (wave + 0.02 * generator.normal(size=len(time)))


def melody(seconds: float) -> np.ndarray:
    """Four random notes per second."""
    random, time = np.random.default_rng(1), np.arange(int(seconds * RATE)) / RATE
    hz = np.repeat(220 * 2 ** (random.integers(0, 25, int(4 * seconds)) / 12), RATE // 4)
    return 0.2 * np.sin(2 * np.pi * np.cumsum(hz) / RATE)[: len(time)]


def write_real(data: Path, params: Params, n_songs: int = 14) -> None:
    """data/wav, segments and labels: six songs by three artists to learn from, eight by one artist each held out."""
    (data / "wav").mkdir(parents=True)
    songs, segments, labels = [], [], []
    for number in range(n_songs):
        song_id, emotion = number + 2, list(SOUNDS)[number % 2]
        artist = number // 2 if number < 6 else number - 3
        soundfile.write(data / "wav" / f"{song_id}.wav", tone(emotion, 4.0, song_id), RATE, subtype="PCM_16")
        valence, arousal = POINTS[emotion]
        split = "train" if artist < 3 else "test"
        songs.append((song_id, valence, arousal, 0.1, 0.1, emotion, f"artist {artist}", split, "ok"))
        for segment in range(2):
            segments.append((song_id, segment, 2.0 * segment, 2.0, False))
            labels.append((song_id, segment, valence, arousal, emotion))
    names = ["song_id", "valence", "arousal", "valence_std", "arousal_std", "emotion", "artist", "split", "status"]
    for folder in ("segments", "labels"):
        (data / folder).mkdir()
    pd.DataFrame(songs, columns=names).to_parquet(data / "labels" / "songs.parquet")
    columns = ["song_id", "segment", "valence", "arousal", "emotion"]
    pd.DataFrame(labels, columns=columns).to_parquet(data / "labels" / "segments.parquet")
    columns = ["song_id", "segment", "start_seconds", "length_seconds", "padded"]
    pd.DataFrame(segments, columns=columns).to_parquet(data / "segments" / "segments.parquet")
    report = {"params": params.label.model_copy(update={"scheme": "quadrants"}).model_dump()}
    (data / "labels" / "report.json").write_text(json.dumps(report))


def write_generated(data: Path, params: Params, name: str, right: bool, n_seeds: int = 6) -> None:
    """An experiment that follows the prompt, or one that always plays the same emotion."""
    folder = data / "generated" / name
    folder.mkdir(parents=True)
    rows = []
    for emotion in SOUNDS:
        for seed in range(n_seeds):
            wav = f"{emotion}_{seed:04d}.wav"
            wave = tone(emotion if right else "calm", SECONDS, 100 + seed)
            soundfile.write(folder / wav, wave, RATE)
            png = wav.replace("wav", "png")
            spectrogram.save(spectrogram.encode(wave[None].astype(np.float32), RATE, params.spectrogram), folder / png)
            row = {"experiment": name, "emotion": emotion, "seed": seed}
            rows.append(row | {"wav": wav, "png": png, "seconds": SECONDS})
    pd.DataFrame(rows).to_parquet(folder / "manifest.parquet")


@pytest.fixture(scope="module")
def params() -> Params:
    return parameters.load(ROOT / "profiles" / "demo.yaml")


def make_data(folder: Path, params: Params) -> Path:
    write_real(folder, params)
    for name in ("ours", "base"):
        write_generated(folder, params, name, right=name == "ours")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    return make_data(tmp_path_factory.mktemp("made") / "data", params)


@pytest.fixture
def data(tmp_path: Path, made: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def small(params: Params, **changes: object) -> EvaluateParams:
    """The evaluate block for a few clips."""
    few = {"n_permutations": 199, "pca_dimensions": 3, "min_clips": 4, "vae_clips": 0}
    few |= {"clips_per_training_song": 2, "clips_per_test_song": 2}
    return EvaluateParams.model_validate(params.evaluate.model_dump() | few | changes)


def asked(params: Params) -> GenerateParams:
    """The generate block of these clips."""
    decode = params.generate.decode.model_copy(update={"iterations": 2})
    return params.generate.model_copy(update={"decode": decode, "prompts": list(SOUNDS)})


def run(data: Path, params: Params, target: str = "reports", workers: int = 1, **changes: object) -> dict:
    """`changes` are those of the evaluate block, or `prompts` or `experiments`."""
    prompts = changes.pop("prompts", list(SOUNDS))
    experiments = changes.pop("experiments", ["base", "ours"])
    where = (experiments, data, data.parent / "base", data.parent / target)
    blocks = (small(params, **changes), params.spectrogram, asked(params).decode)
    return evaluation.measure_clips(*where, *blocks, prompts, 64, params.seed, workers)


@pytest.fixture(scope="module")
def reports(made: Path, params: Params) -> Path:
    """The reports of one run."""
    assert run(made, params) == json.loads((made.parent / "reports" / "metrics.json").read_text())
    return made.parent / "reports"


@pytest.fixture
def metrics(reports: Path) -> dict:
    return json.loads((reports / "metrics.json").read_text())


def test_a_model_that_follows_the_prompt_is_told_from_one_that_does_not(metrics):
    ours, base = (metrics["experiments"][name] for name in ("ours", "base"))
    assert ours["emotion_accuracy"]["value"] == 1
    assert ours["emotion_accuracy"]["p"] < 0.05
    assert ours["emotion_accuracy"]["against"] == "base"
    assert base["emotion_accuracy"]["value"] == 0.5
    assert base["valence_r"]["value"] == pytest.approx(0, abs=0.3)
    assert ours["own_class_nearest"]["value"] == 1
    assert ours["kad"]["value"] < base["kad"]["value"]
    assert ours["comparisons"]["base"]["emotion_accuracy"]["value"] == 0.5


def test_metrics_have_the_shape_that_others_read(metrics):
    judged = "real_test_accuracy real_test_balanced_accuracy codec_accuracy chance ceiling"
    named = "emotion_accuracy emotion_balanced_accuracy shuffled_accuracy valence_r arousal_r valence_mae arousal_mae"
    named += " accuracy_relative_to_judge fad fad_infinity kad kld diversity copies noise_floor_db spectral_flatness_db"
    named += " harmonicity_db harmonicity_db_from_real spectral_contrast_db_from_real music_distance"
    measured = [metrics["judge"][name] for name in judged.split()]
    measured += [metrics["experiments"]["ours"][name] for name in named.split()]
    for value in measured:
        assert set(value) - {"p", "against", "reason"} == {"value", "low", "high", "n", "n_artists"}
        assert "reason" in value if value["low"] is None else value["low"] <= value["value"] <= value["high"]
    assert sum(value["low"] is None for value in measured) <= 2  # of tones that are all alike
    assert [value["n_artists"] for value in measured[:5]] == [8] * 5
    assert metrics["experiments"]["ours"]["kad"]["n_artists"] == 8
    assert metrics["experiments"]["ours"]["emotion_accuracy"]["low"] < 1  # all of 12 clips are no certainty
    assert 0 <= metrics["floors"]["codec"]["copies"]["value"] < 1


def test_tables_agree_with_the_metrics(reports, metrics):
    predictions = pd.read_parquet(reports / "predictions.parquet")
    hits = (predictions["predicted"] == predictions["emotion"]).groupby(predictions["experiment"]).mean()
    assert hits["base"] == metrics["experiments"]["base"]["emotion_accuracy"]["value"]
    np.testing.assert_allclose(predictions.filter(like="posterior_").sum(axis=1), 1, atol=1e-5)
    confusion = pd.read_csv(reports / "confusion.csv")
    assert confusion.groupby("arm")["n"].sum().to_dict() == {"base": 12, "codec": 16, "ours": 12, "real": 16}
    matrix = pd.read_csv(reports / "kad_matrix.csv")
    assert list(matrix.columns[:6]) == ["experiment", "generated", "real", "kad", "low", "high"]
    assert len(matrix) == 2 * 2 * 2
    frechet = matrix[matrix["experiment"] == "ours"].pivot(index="generated", columns="real", values="fad")
    assert (frechet.idxmin(axis=1) == frechet.index).all()
    for emotion, values in metrics["experiments"]["ours"]["emotions"].items():
        assert values["fad"]["value"] == frechet.loc[emotion, emotion]
        assert values["fad_infinity"]["n"] == values["fad"]["n"] == 6


def test_the_training_artists_teach_and_the_others_examine(metrics):
    assert metrics["judge"]["n_training_songs"] == 6
    assert set(metrics["judge"]["accuracy_of_each_test_artist"]) == {f"artist {number}" for number in range(3, 11)}


def test_another_run_with_another_number_of_workers_gives_the_same_bytes(reports, data, params):
    run(data, params, "again", workers=2)
    for file in sorted(reports.iterdir()):
        assert file.read_bytes() == (data.parent / "again" / file.name).read_bytes(), file.name


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"min_clips": 7}, "at least 7"),
        ({"pca_dimensions": 16}, "at least 17"),
        ({"prompts": ["hapy", "calm"]}, "did you mean happy"),
        ({"prompts": ["happy"]}, "unknown emotion 'calm'"),
        ({"experiments": ["exp9"]}, "generated so far: base, ours"),
        ({"embedding": "absent.pt"}, "no such embedding"),
        ({"vae_clips": 2}, "no VAE"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_is_needed(data, params, changes, told):
    with pytest.raises(MeasureError, match=told):
        run(data, params, **changes)
    assert not (data.parent / "reports" / "metrics.json").exists()


def test_experiments_of_different_seeds_are_not_compared(data, params):
    manifest = data / "generated" / "ours" / "manifest.parquet"
    table = pd.read_parquet(manifest)
    table.assign(seed=table["seed"] + 1).to_parquet(manifest)
    with pytest.raises(MeasureError, match="the same emotions and seeds"):
        run(data, params)


def test_missing_labels_and_lost_audio_are_named(data, params):
    (data / "generated" / "ours" / "calm_0003.wav").unlink()
    with pytest.raises(MeasureError, match=r"calm_0003\.wav"):
        run(data, params)
    (data / "labels" / "songs.parquet").unlink()
    with pytest.raises(InputError, match=r"songs\.parquet"):
        run(data, params)


def test_a_song_shorter_than_its_segments_is_an_error_that_names_it(data, params):
    soundfile.write(data / "wav" / "2.wav", tone("happy", 1.5, 2), RATE)
    with pytest.raises(AudioError, match=r"2\.wav"):
        run(data, params)


def test_written_clips_are_what_precomputed_vectors_need_and_a_missing_one_is_named(data, params, monkeypatch):
    monkeypatch.chdir(data.parent)
    train = params.train.model_copy(update={"experiments": {"ours": params.train.experiments["ours"]}})
    changes = {"train": train, "evaluate": small(params), "generate": asked(params)}
    n_clips = export_clips.write_clips(data.parent / "clips", params.model_copy(update=changes))
    files = sorted((data.parent / "clips").rglob("*.wav"))
    assert len(files) == n_clips == 2 * 12 + 2 * 28  # generated, and real ones on two ways
    keys = [file.relative_to(data.parent / "clips").with_suffix("").as_posix() for file in files]
    vectors = np.stack([np.abs(soundfile.read(file)[0])[: 5 * 4410].reshape(5, -1).mean(axis=1) for file in files])
    file = data.parent / "vectors.npz"
    np.savez(file, keys=keys, vectors=vectors, sample_rate_hz=RATE)
    metrics = run(data, params, embedding=str(file))
    assert metrics["settings"]["embedding_dimensions"] == 5
    np.savez(data.parent / "fewer.npz", keys=keys[1:], vectors=vectors[1:], sample_rate_hz=RATE)
    with pytest.raises(MeasureError, match="base/calm_0000"):
        embeddings.choose(str(data.parent / "fewer.npz")).vector("base/calm_0000", np.zeros((1, RATE)), RATE, {})


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"keys": ["a"], "vectors": np.ones((2, 3)), "sample_rate_hz": 16000}, "do not fit"),
        ({"keys": ["a", "b"], "vectors": np.ones((2, 3)), "sample_rate_hz": [16000, 44100]}, "16000, 44100"),
        ({"keys": ["a", "b"], "vectors": np.ones((2, 3))}, "sample_rate_hz"),
    ],
)
def test_unfit_precomputed_vectors_are_refused(tmp_path, arrays, told):
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(MeasureError, match=told):
        embeddings.choose(str(tmp_path / "other.npz"))


def saved_model(path: Path, sample_rate_hz: int | None, dimensions: int) -> Path:
    """A TorchScript model: statistics of the waveform, `dimensions` numbers."""
    import torch

    class Statistics(torch.nn.Module):
        sample_rate_hz: int

        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            frames = waveform[:, : waveform.shape[1] // 100 * 100].reshape(1, -1, 100)
            return torch.stack([frames.std(2), frames.abs().mean(2), frames.amax(2)], dim=2)

    module = Statistics()
    if sample_rate_hz is not None:
        module.sample_rate_hz = sample_rate_hz
    torch.jit.save(torch.jit.script(module), str(path))
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torch_model_hears_at_its_own_rate_and_is_averaged_over_frames(tmp_path):
    embedding = embeddings.choose(str(saved_model(tmp_path / "model.pt", 16000, 3)))
    vector = embedding.vector("x", tone("calm", 1.0, 1).astype(np.float32)[None], RATE, {})
    assert embedding.sample_rate_hz == 16000
    assert vector.shape == (3,)
    assert vector[1] == pytest.approx(np.abs(tone("calm", 1.0, 1)).mean(), rel=0.02)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torch_model_without_a_sample_rate_or_that_is_none_is_refused(tmp_path):
    import torch

    torch.jit.save(torch.jit.trace(torch.nn.Identity(), torch.ones(1, 8)), str(tmp_path / "silent.pt"))
    with pytest.raises(MeasureError, match="sample rate"):
        embeddings.choose(str(tmp_path / "silent.pt"))
    (tmp_path / "text.pt").write_text("no model")
    with pytest.raises(MeasureError, match="TorchScript"):
        embeddings.choose(str(tmp_path / "text.pt"))


def test_a_torch_model_that_answers_no_array_is_refused(tmp_path):
    import torch

    class Pair(torch.nn.Module):
        sample_rate_hz: int

        def __init__(self):
            super().__init__()
            self.sample_rate_hz = 16000

        def forward(self, samples):
            return samples, samples

    torch.jit.save(torch.jit.script(Pair()), str(tmp_path / "pair.pt"))
    with pytest.raises(MeasureError, match="tuple"):
        embeddings.choose(str(tmp_path / "pair.pt")).vector("a", np.zeros(16000, np.float32), 16000, {})


def test_vectors_of_several_sizes_are_refused():
    described = [clips.Description({}, np.zeros(size), {}, np.zeros((1, 1))) for size in (3, 4)]
    with pytest.raises(MeasureError, match=r"several sizes(.|\n)*\[3, 4\]"):
        describe.vector_table(described)


def test_real_clips_are_spread_and_none_is_longer_than_its_segment():
    segments = pd.DataFrame({"song_id": 2, "segment": range(4), "start_seconds": [0.0, 10, 20, 30]})
    segments = segments.assign(length_seconds=10.0, padded=[False, False, False, True])
    labels = segments[["song_id", "segment"]].assign(valence=0.5, arousal=0.5, emotion="calm")
    songs = pd.DataFrame({"song_id": [2], "artist": "a", "split": "train", "status": "ok"})
    found = clips.choose_real_clips(segments, songs, labels, 5.0, {"train": 3})
    assert found["start_seconds"].tolist() == [0.0, 10.0, 25.0]
    with pytest.raises(InputError, match="11 s"):
        clips.choose_real_clips(segments, songs, labels, 11.0, {"train": 3})


def test_it_runs_on_real_music(real_data, params):
    """Five clips show that features, judge and distances run on real audio; they allow no conclusion."""
    emotion = {"2": "sad", "3": "sad", "4": "happy", "5": "calm", "7": "happy"}
    files = sorted((real_data / "deam" / "MEMD_audio").glob("*.mp3"))
    codec = clips.Codec(params.spectrogram, params.generate.decode, 128, seed=1)
    wanted = [clips.Clip(file.stem, file, start, 5.11) for file in files for start in (15.0, 30.0)]
    plain = [clips.describe_clip((clip, embeddings.BuiltinVectors())) for clip in wanted]
    small = [clips.small_picture((clip, codec)) for clip in wanted]
    back = [clips.describe_small((one, codec, embeddings.BuiltinVectors(), "codec")) for one in small]
    labels = pd.DataFrame({"artist": clip.path.stem, "emotion": emotion[clip.path.stem]} for clip in wanted)
    ears = judge.train_judge(describe.feature_table(plain), labels.assign(valence=0.5, arousal=0.5), seed=1)
    assert set(ears.predict(describe.feature_table(back)).predicted) <= set(emotion.values())
    vectors = [describe.vector_table(described) for described in (plain, back)]
    space = distances.Space.fitted(vectors[0])
    distance = distances.kernel_distance(
        space(vectors[0]), space(vectors[1]), distances.median_distance(space(vectors[0]))
    )
    assert -100 < distance < 100


def test_a_clip_taken_from_a_training_song_is_followed_to_its_place(data, params):
    """The first generated clip is a training song's own, of a part that did not teach the judge; the others are new."""
    manifest = pd.read_parquet(data / "generated" / "ours" / "manifest.parquet")
    wave = melody(4.0)
    soundfile.write(data / "wav" / "2.wav", wave, RATE)
    soundfile.write(data / "generated" / "ours" / manifest["wav"].iloc[0], wave[int(SECONDS * RATE) :], RATE)
    run(data, params, clips_per_training_song=1)
    found = pd.read_parquet(data.parent / "reports" / "predictions.parquet").set_index(
        ["experiment", "emotion", "seed"]
    )
    copied = found.loc[("ours", manifest["emotion"].iloc[0], manifest["seed"].iloc[0])]
    assert copied["nearest"] == "00002_001_0"
