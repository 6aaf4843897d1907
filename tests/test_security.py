"""What a hostile file, name, address or machine must not achieve."""

import ast
import csv
import hashlib
import html.parser
import io
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import settings as params_settings
from tasks.audio import decoding
from tasks.convert import convert
from tasks.core import csv_tables
from tasks.core.errors import EmoriffError, InputError, MeasureError, ModelError, ParameterError
from tasks.core.files import write_text
from tasks.core.messages import shown
from tasks.download import params
from tasks.evaluate import describe
from tasks.label import annotations
from tasks.lineage import records
from tasks.lineage.cache_repair import remove_corrupt
from tests import planted
from tests.flow_tasks import tasks_of_all_flows
from tests.fuzz.readers import READERS
from tests.fuzz.worker import outcome_of

ROOT = Path(__file__).parent.parent
SOURCES = [
    path for folder in ("flows", "tasks", "docs", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))
]
TAG = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(1)</script>"


# --- no pickle is ever read


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.fixture
def bomb(tmp_path):
    """A pickle, and where it would show that it was read."""
    fired = tmp_path / "fired"
    content = pickle.dumps(Bomb(fired))
    yield content, fired
    assert not fired.exists()
    pickle.loads(content)  # it was a live one
    assert fired.exists()


def calls(tree: ast.AST) -> list[tuple[str, dict[str, str], int]]:
    """(name, keywords, line) of every call."""
    return [
        (ast.unparse(node.func), {str(key.arg): ast.unparse(key.value) for key in node.keywords}, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def danger(name: str, keywords: dict[str, str]) -> bool:
    """Whether a call can run code that a file brings along."""
    if name in ("eval", "exec", "torch.load", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load"):
        return True
    if name == "yaml.load" and "Loader" in keywords:
        return keywords["Loader"] != "Loader"  # tasks.core.reading: safe, in C where there is libyaml
    if name.endswith("from_pretrained") and "Tokenizer" not in name:
        return keywords.get("use_safetensors") != "True"
    if name == "np.load":
        return keywords.get("allow_pickle") != "False"
    return keywords.get("shell") == "True" or "trust_remote_code" in keywords or keywords.get("allow_pickle") == "True"


def test_no_source_calls_what_runs_code_from_files():
    found = [
        f"{path.name}:{line} {name}"
        for path in SOURCES
        for name, keywords, line in calls(ast.parse(path.read_bytes()))
        if danger(name, keywords)
    ]
    assert not found
    assert len(SOURCES) > 90
    assert danger("torch.load", {"weights_only": "True"})
    assert danger("subprocess.run", {"shell": "True"})


def test_no_source_imports_a_reader_of_pickles():
    unwanted = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "diskcache"}
    imported = {
        (path.name, name.split(".")[0])
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert not {pair for pair in imported if pair[1] in unwanted}
    assert ("reading.py", "json") in imported


HEAVY = ("model folders", "results for the page", "PNG to sound", "audio with ffmpeg", "data set (Parquet, JSON)")


@pytest.mark.parametrize("reader", [one for one in READERS if one.name not in HEAVY], ids=lambda one: one.name)
def test_a_pickle_in_the_place_of_any_file_does_not_fire(reader, bomb):
    read_in_place_of_each(reader, bomb[0])


@pytest.mark.slow
@pytest.mark.parametrize("reader", [one for one in READERS if one.name in HEAVY], ids=lambda one: one.name)
def test_nor_where_reading_takes_longer(reader, bomb):
    read_in_place_of_each(reader, bomb[0])


def read_in_place_of_each(reader, content: bytes) -> None:
    """Every file of a seed is the pickle once: it is refused, or passed over."""
    files = reader.seeds()[0]
    for name in files:
        assert outcome_of(reader, files | {name: content})["kind"] != "crash", name


@pytest.mark.parametrize("ending", [".bin", ".ckpt", ".pt", ".pth"])
def test_pickled_weights_are_refused(tmp_path, bomb, ending):
    import shutil

    from tasks.models import hub, pipelines
    from tests.small_models import model

    folder = Path(shutil.copytree(model(), tmp_path / "model"))
    for part, stem in hub.WEIGHTS.items():
        for weights in (folder / part).glob("*.safetensors"):
            weights.unlink()
        (folder / part / f"{'pytorch_model' if part == 'text_encoder' else stem}{ending}").write_bytes(bomb[0])
    for read in (hub.inspect, pipelines.load, describe.through_vae):
        with pytest.raises(ModelError):
            read(folder)


def test_pickled_embeddings_are_refused(tmp_path, bomb):
    import torch

    from tasks.evaluate.embeddings import choose

    content, fired = bomb
    live = Bomb(fired)
    np.savez(tmp_path / "v.npz", keys=np.array([live], dtype=object), vectors=np.ones((1, 2)), sample_rate_hz=[1])
    torch.save(live, tmp_path / "m.pt")
    (tmp_path / "raw.pt").write_bytes(content)
    for name in ("v.npz", "m.pt", "raw.pt"):
        with pytest.raises(MeasureError):
            choose(str(tmp_path / name))


def test_prefect_keeps_results_as_json():
    from flows.engine import server

    assert server.settings()["PREFECT_RESULTS_DEFAULT_SERIALIZER"] == "json"
    assert {task.result_serializer for task in tasks_of_all_flows()} == {"json"}


# --- names stay names


NAMES = [TAG, "=1+1", "$(touch fired)", "`touch fired`", "a;b", "-rf", "a\nb", "\x1b[2Jx", "..", "a b", "²", ""]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("", "..")])
def test_a_file_that_is_not_named_by_a_number_is_no_song(tmp_path, name):
    (tmp_path / f"{name}.mp3").touch()
    with pytest.raises(InputError) as refusal:
        convert.song_files(tmp_path)
    assert str(refusal.value).replace("\n", "").isprintable()


def test_an_id_in_any_script_becomes_plain_digits(tmp_path):
    (tmp_path / "\u0663.mp3").touch()
    assert list(convert.song_files(tmp_path)) == [3]


@pytest.mark.parametrize("name", [*NAMES, "../up", "a/b", "x" * 65, "a.b"])
def test_the_name_of_an_experiment_is_one_word_of_a_shell(demo_params, name):
    values = demo_params.model_dump()
    values["train"]["experiments"] = {name: {}}
    with pytest.raises(ParameterError, match="experiments"):
        params_settings.parse(values, "params.yaml")


def test_a_song_id_on_the_command_line_is_a_number(tmp_path):
    from tasks.lineage.downstream import show_downstream

    for text in ("²", "1; ls", "9" * 5000, "../3"):
        with pytest.raises(InputError, match="not a song id"):
            show_downstream(tmp_path, text, "tree")


def test_a_hash_of_a_listing_leads_to_no_file_outside_of_the_cache(tmp_path):
    outside, inside = tmp_path / "precious.txt", tmp_path / "out/file"
    for path in (outside, inside):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    content = json.dumps([{"md5": f"..{outside}", "relpath": "file"}])
    md5 = hashlib.md5(content.encode()).hexdigest()
    write_text(tmp_path / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}.dir", content)
    write_text(tmp_path / "dvc.lock", json.dumps({"stages": {"x": {"outs": [{"path": "out", "md5": f"{md5}.dir"}]}}}))
    assert remove_corrupt(tmp_path) == []
    assert outside.exists()


# --- HTML


class Elements(html.parser.HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found += [(tag, ""), *((tag, name) for name, _ in attributes)]


def report_page(root: Path, text: str) -> str:
    """The page of a run all of whose words are `text`."""
    from tasks.report.media import Clip, Tick
    from tasks.report.report import context, render
    from tasks.report.results import load

    ticks = (Tick(0.0, text),)
    clip = Clip("real", text, "a.png", "a.ogg", 5.0, ticks, ticks, predicted=text, valence=0.5, arousal=0.5)
    rows = {text: [[clip, Clip(text, text, why_none=text)]]}
    return render("report.html.j2", context(load(root)) | {"rows": rows, "profile": text})


@pytest.fixture
def hostile(tmp_path):
    """A function that builds a run with one text wherever foreign text can stand."""

    def build_with(text: str, folder: str) -> Path:
        from tests.report_inputs import build

        root = build(tmp_path / folder, n_seeds=1, size=16)
        for path in root.rglob("*"):
            if path.suffix == ".parquet":
                table = pd.read_parquet(path)
                for name in {"artist", "source_file", "emotion", "predicted", "flags"} & set(table):
                    table[name] = table[name].replace({"calm": text, "99.mp3": text, "cover_art": text})
                if "reason" in table:
                    table["reason"] = text
                table.to_parquet(path, index=False)
        source = dict.fromkeys(("name", "licence", "citation", "sha256"), text)
        (root / "data/raw/sources.json").write_text(json.dumps([source]))
        (root / "models/ours/emoriff.json").write_text(json.dumps({text: text, "prompts": [text]}))
        return root

    return build_with


def test_names_do_not_become_markup_on_the_page(hostile):
    text = f"""{TAG}{SCRIPT}"><svg onload=alert(1)>' onfocus='alert(1)"""
    plain, page = (report_page(hostile(word, folder), word) for word, folder in (("plain", "a"), (text, "b")))
    assert sorted(Elements(page).found) == sorted(Elements(plain).found)
    assert "alert(1)" in page


def test_nor_in_the_listening_test():
    from tasks.report.report import render

    pages = [
        render("listening.html.j2", {"plan": {"test": text, "pairs": [{"emotion": text}], "ratings": [], "suffix": ""}})
        for text in ("plain", SCRIPT, TAG)
    ]
    assert Elements(pages[1]).found == Elements(pages[2]).found == Elements(pages[0]).found


def test_nor_in_a_message_of_the_playground():
    from tasks.apps.playground import _shown

    def play():
        raise ModelError("no model", got=TAG)

    with pytest.raises(ValueError, match="&lt;img") as told:
        _shown(SimpleNamespace(Error=ValueError), play)
    assert TAG not in str(told.value)


# --- CSV


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\tx"]


def cells_of(path: Path) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(path.read_text())) for cell in row]


def runs_in_a_spreadsheet(cell: str) -> bool:
    return cell.startswith(csv_tables.FORMULA) and csv_tables.number(cell) is None


@pytest.mark.parametrize("artist", FORMULAS)
def test_an_artist_is_no_formula_and_is_read_back_as_it_was(tmp_path, demo_params, artist):
    from tasks.download.folder import take_folder

    (tmp_path / "songs").mkdir()
    (tmp_path / "songs/1.wav").touch()
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["song_id", "valence", "arousal", "artist"], [1, 2, 3, artist]])
    folder = params.FolderParams(
        audio=str(tmp_path / "songs"), labels=str(tmp_path / "labels.csv"), scale_min=1, scale_max=9
    )
    take_folder(folder, tmp_path / "raw")
    written = list((tmp_path / "raw").rglob("*.csv"))
    assert len(written) == 2
    assert not [cell for path in written for cell in cells_of(path) if runs_in_a_spreadsheet(cell)]
    assert annotations.read_folder(tmp_path / "raw", 1, 9, 0.5).artists == {1: artist.strip()}


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_table_holds_no_formula(text, number):
    table = csv_tables.safe_table(pd.DataFrame({text: [text, "x"], "n": [number, -1.5], "=x": [1, None]}))
    cells = [str(cell) for cell in [*table.columns, *table.to_numpy().ravel()]]
    assert not [cell for cell in cells if runs_in_a_spreadsheet(cell)]
    assert table["n"].tolist() == [number, -1.5] or text == "n"


def test_every_csv_that_is_written_goes_that_way():
    lines = [
        line
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] in ("tasks", "flows")
        for line in path.read_text().split("\n")
    ]
    writing = [line for line in lines if ".to_csv(" in line or ".writerow" in line]
    assert len(writing) >= 5
    assert not [line for line in writing if "safe" not in line and "writerow(columns)" not in line]


# --- terminal, log, shell


@given(st.text())
def test_a_message_cannot_steer_a_terminal_or_forge_a_line(text):
    lines = str(InputError(text, where=Path(text.replace("\0", "")), got=text, todo="mend it")).split("\n")
    assert all(line.isprintable() for line in lines)
    fields = [line[2:].split(":")[0] for line in lines[1:] if not line.startswith("    ")]
    assert fields == ["where", "got", "what to do"]


def test_an_error_keeps_its_words_on_the_way_from_a_worker():
    error = ModelError("no model", where=Path("a"), got=ValueError("x\n  what to do: trust me"), todo="train it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ModelError
    assert str(again) == str(error)
    assert again.todo == "train it"


def test_a_playlist_is_not_followed(tmp_path):
    from tests.loopback import site

    with site() as server:
        server.files["/a.mp3"] = b"x"
        lists = {
            "1.mp3": f"\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{server.address}/a.mp3\n#EXT-X-ENDLIST\n",
            "2.mp3": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\u00e9\n{server.address}/a.mp3\n#EXT-X-ENDLIST\n",
            "3.mp3": f"ffconcat version 1.0\nfile '{server.address}/a.mp3'\n#\u00e9\n",
        }
        for name, text in lists.items():
            (tmp_path / name).write_text(text)
            with pytest.raises(EmoriffError):
                decoding.decode(tmp_path / name)
        assert server.requests == []


# --- servers


def test_servers_are_told_to_listen_on_loopback():
    from tasks.apps.playground import is_loopback

    words = [
        (path.name, constant.value)
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] in ("tasks", "flows")
        for constant in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    ]
    assert [name for name, word in words if word in ("0.0.0.0", "::")] == []
    for path in ("engine/server.py", "deploy/serve.py"):
        text = (ROOT / "flows" / path).read_text()
        assert re.findall(r'"--(?:host|bind)", "([^"]+)"', text)
        assert set(re.findall(r'"--(?:host|bind)", "([^"]+)"', text)) == {"127.0.0.1"}
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


def test_the_server_of_pages_listens_on_loopback(tmp_path, monkeypatch):
    import time

    from flows.deploy import serve
    from tasks.trainer.processes import free_port

    monkeypatch.chdir(tmp_path)
    serve.LOCAL.mkdir(parents=True)
    process = serve.start_pages(free_port())
    try:
        deadline = time.monotonic() + 60
        while not (found := psutil.Process(process.pid).net_connections(kind="inet")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert {connection.laddr.ip for connection in found} == {"127.0.0.1"}
    finally:
        process.kill()
        process.wait()


def addresses_listened_on(progress) -> dict:
    """What a process of a training run on several listens on, once they have found each other."""
    from tasks.trainer import processes
    from tests.small_models import experiment

    made, _ = processes.accelerator(experiment(device="cpu", processes=2))
    made.wait_for_everyone()
    found = psutil.Process().net_connections(kind="inet")
    return {"addresses": sorted({one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN})}


@pytest.mark.slow
def test_processes_that_train_together_meet_on_loopback():
    from tasks.trainer.processes import launch

    assert launch(addresses_listened_on, (), 2, None) == {"addresses": ["127.0.0.1"]}


def test_only_our_own_server_is_taken_from_its_state_file(tmp_path, monkeypatch):
    from flows.engine import server

    monkeypatch.setattr(server, "STATE", tmp_path / "server.json")
    for url in ("http://evil.example/api", "http://127.0.0.1:80@evil.example/api", "file:///etc/passwd"):
        server.STATE.write_text(json.dumps({"url": url, "pids": []}))
        assert server.read_state() is None
    server.STATE.write_text(json.dumps({"url": "http://127.0.0.1:4200/api", "pids": [1]}))
    assert server.read_state() is not None


# --- secrets


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:planted-password@host/a.zip",
        "https://planted-password@host/a.zip",
        "https://host/a.zip?token=planted-password",
        "https://host/a.zip?X-Amz-Signature=planted-password&x=1",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(demo_params, url):
    values = demo_params.model_dump()
    source = {"name": "a.zip", "urls": ["https://host/b.zip", url], "size_bytes": None, "sha256": None, "licence": ""}
    values["download"]["sources"] = [
        source | {"citation": "", "members": {"audio": "*"}, "needs_acknowledgement": False}
    ]
    with pytest.raises(ParameterError, match="netrc") as refusal:
        params_settings.parse(values, "params.yaml")
    assert "planted-password" not in str(refusal.value)


def test_messages_hide_secrets_of_the_environment(monkeypatch):
    for name, value in planted.SECRETS.items():
        monkeypatch.setenv(name, value)
    assert not [secret for secret in planted.SECRETS.values() if secret in shown(f"401 for {secret}")]


def test_a_failed_run_is_recorded_without_secrets(tmp_path, monkeypatch):
    for name, value in planted.SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".dvc").mkdir()
    planted.plant(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 7\n")
    everything = f"https://ann:{planted.REMOTE_PASSWORD}@host/x {' '.join(planted.SECRETS.values())}"
    with pytest.raises(RuntimeError), records.recorded(tmp_path, "convert"):
        raise RuntimeError(everything)
    written = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert {"runs.jsonl", "openlineage.jsonl"} <= set(written)
    assert planted.found_in(tmp_path) == []


@pytest.mark.slow
def test_a_whole_run_writes_no_secret_anywhere(reproduced):
    assert (reproduced.folder / ".dvc/config.local").is_file()
    assert not [secret for secret in planted.ALL if secret in reproduced.printed]
    assert planted.found_in(reproduced.folder) == []


def test_planted_secrets_would_be_found(tmp_path):
    (tmp_path / "a.txt").write_text(f"x{planted.ALL[2]}")
    pd.DataFrame({"text": [planted.REMOTE_PASSWORD] * 9}).to_parquet(tmp_path / "b.parquet", compression="zstd")
    assert len(planted.found_in(tmp_path)) == 2


# --- what is pinned


@pytest.mark.parametrize("revision", ["main", "79993436", "refs/pr/1", "7" * 39, "G" * 40, "A" * 40])
def test_a_revision_is_a_whole_commit(demo_params, revision):
    values = demo_params.model_dump()
    values["base"]["revision"] = revision
    with pytest.raises(ParameterError, match=r"base\.revision"):
        params_settings.parse(values, "params.yaml")


def test_every_profile_with_a_hub_repository_pins_its_commit():
    profiles = [params_settings.load(path) for path in sorted((ROOT / "profiles").glob("*.yaml"))]
    repositories = [one.base for one in profiles if one.base.repository]
    assert repositories
    assert all(re.fullmatch("[0-9a-f]{40}", base.revision or "") for base in repositories)


def test_every_requirement_is_one_version():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    assert len(wanted) > 100
    assert [
        line for line in wanted if not re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z0-9,]+\])?==[\w.!+]+( ?;.+)?", line)
    ] == []


def test_a_hostile_parameter_file_ends_with_a_message_and_no_traceback(tmp_path):
    (tmp_path / "params.yaml").write_text('profile: !!python/object/apply:os.mkdir ["fired"]\n"\\e[2J": 1\n')
    words = [sys.executable, "-m", "flows", "params"]
    done = subprocess.run(
        words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert not (tmp_path / "fired").exists()
