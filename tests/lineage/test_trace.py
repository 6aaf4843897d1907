import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prov.model import ProvDocument
from rocrate.rocrate import ROCrate

from tasks.core.errors import InputError
from tasks.lineage import history, pipeline, records, song_facts
from tasks.lineage.crate import write_crate
from tasks.lineage.downstream import Downstream, downstream, show_downstream
from tasks.lineage.history import steps
from tasks.lineage.prov import prov_document, provenance
from tasks.lineage.show import show
from tasks.lineage.trace import Lineage, trace
from tasks.lineage.tree import tree
from tests import toy

CLIP = "data/generated/ours/happy_0001.wav"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy pipeline: a first version, then song 2 changed; both committed."""
    root = toy.build(tmp_path_factory.mktemp("lineage"))
    toy.make(root)
    toy.commit(root, "First")
    (root / "incoming/audio/2.mp3").unlink()
    toy.make(root)
    toy.commit(root, "Song 2 withdrawn")
    (root / "incoming/audio/4.mp3").write_text("song 4")
    annotations = root / "incoming/annotations/static.csv"
    annotations.write_text(annotations.read_text().replace("2, 5, 6", "4, 5, 6"))
    toy.make(root)
    toy.commit(root, "Song 4 instead")
    return root


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))


@pytest.fixture(scope="module")
def clip(made: Path) -> Lineage:
    return trace(made, made / CLIP)


def by_stage(found: Lineage) -> dict[str, str]:
    return {link.stage: next(iter(link.outputs.values())) for link in found.links}


def paths(found: Downstream, now: bool) -> set[str]:
    return {one.path for one in found.made if one.now == now}


def test_a_clip_leads_back_to_songs_annotations_parameters_and_code(made: Path, clip: Lineage) -> None:
    assert clip.facts == {"emotion": "happy", "seed": 1, "experiment": "ours"}
    assert clip.state == "as it was made"
    assert clip.songs == {"trained on": [4], "validated on": [1001]}
    assert list(clip.annotations) == ["data/raw/annotations/static.csv"]
    assert clip.links[0].parameters == {"generate": {"clips": 2}, "seed": 1}
    assert {link.code.commit for link in clip.links[:4]} == {toy.run(made, "git", "rev-parse", "HEAD").strip()}
    assert not any(link.code.dirty for link in clip.links)


def test_the_chain_is_that_of_dvc(made: Path, clip: Lineage) -> None:
    """Oracle: `dvc dag` names the stages before this one, dvc.lock their hashes."""
    listed = toy.dvc(made, "dag", "--dot", "generate@ours")
    ancestors = {name for name in toy.VERBS if f'"{name}"' in listed} | {"train@ours", "generate@ours"}
    assert by_stage(clip).keys() == ancestors
    assert by_stage(clip)["dataset"] == records.content_md5(made, "data/dataset")


def test_song_facts_have_source_label_and_correction(clip: Lineage) -> None:
    facts = {one["song_id"]: one for one in clip.song_facts}
    assert facts[4]["source"]["file"] == "4.mp3"
    assert facts[4]["label"]["swapped"]
    assert facts[4]["n_segments"] == facts[4]["n_pictures"] == 2


@pytest.mark.parametrize(
    ("file", "stage", "songs"),
    [
        ("data/wav/3.wav", "convert", {"made from": [3]}),
        ("data/spectrograms/01001_001_0.png", "spectrogram", {"made from": [1001]}),
        ("data/dataset/test/00003_000_0.png", "dataset", {"made from": [3]}),
        ("models/exp1", "train@exp1", {"trained on": [4], "validated on": [1001]}),
        ("models/base/model.safetensors", "base", {"trained on": [4], "validated on": [1001]}),
        ("reports/metrics.json", "evaluate", {"trained on": [4], "validated on": [1001], "judged against": [3]}),
        ("data/labels/songs.parquet", "label", {"made from": [3, 4, 1001]}),
    ],
)
def test_every_kind_of_artifact(made: Path, file: str, stage: str, songs: dict[str, list[int]]) -> None:
    found = trace(made, made / file)
    assert (found.links[0].stage, found.songs, found.state) == (stage, songs, "as it was made")


@pytest.mark.parametrize(("column", "name"), [("file", "3.wav"), ("file_name", "loud/3.wav")])
def test_a_file_of_any_stage_has_the_row_of_its_table(tmp_path: Path, column: str, name: str) -> None:
    """Lineage knows no stage by name: a new one that lists its files is described as the others are."""
    toy.write_rows(
        tmp_path / "data/mastered/manifest.parquet", [{column: name, "gain": 3}, {column: "4.wav", "gain": 4}]
    )
    assert song_facts.row_of_file(tmp_path, f"data/mastered/{name}") == {column: name, "gain": 3}
    assert song_facts.row_of_file(tmp_path, "data/mastered/5.wav") == {}


def test_what_no_stage_made_is_refused(made: Path) -> None:
    with pytest.raises(InputError, match="no stage is known that made this"):
        trace(made, made / "toy.py")
    with pytest.raises(InputError, match="not a file of this repository"):
        trace(made, Path("/etc/hosts"))


def test_an_altered_artifact_is_told(copied: Path) -> None:
    (copied / CLIP).write_text("other")
    assert trace(copied, copied / CLIP).state.startswith("changed since it was made")
    (copied / CLIP).unlink()
    assert trace(copied, copied / CLIP).state.startswith("not here now")


def test_changed_code_is_named_with_and_without_a_record(copied: Path) -> None:
    (copied / "tasks/codec/mel.py").write_text("POWER = 2\n")
    toy.make(copied)
    with records.recorded(copied, "spectrogram"):
        pass
    recorded = trace(copied, copied / "data/spectrograms/00003_000_0.png").links[0]
    shutil.rmtree(copied / ".emoriff")
    derived = trace(copied, copied / "data/spectrograms/00003_000_0.png").links[0]
    assert recorded.code.differs == derived.code.differs == ("tasks/codec/mel.py",)
    assert recorded.code.dirty
    assert recorded.run
    assert derived.code.dirty
    assert derived.run is None


def test_a_record_adds_machine_versions_and_time(copied: Path) -> None:
    with records.recorded(copied, "generate", "ours") as counts:
        counts["done"] = 2
    found = trace(copied, copied / CLIP)
    assert found.links[0].run
    assert found.links[0].run.environment.packages["pyarrow"]
    assert "generate@ours:" in tree(found)
    assert found.links[0].run.environment.host in tree(found)


def test_the_same_chain_without_dvcs_cache(made: Path, copied: Path) -> None:
    """A clone that has not pulled: hashes join as before, only listings are missing."""
    shutil.rmtree(copied / ".dvc/cache")
    assert by_stage(trace(copied, copied / CLIP)) == by_stage(trace(made, made / CLIP))


def test_history_has_every_version(made: Path) -> None:
    datasets = {step.outputs["data/dataset"] for step in steps(made) if step.stage == "dataset"}
    assert len(datasets) == 3


ROOT = Path(__file__).parents[2]
LISTED = "  stage:{command}\n    deps:\n    - path: {path}\n      hash: md5\n      md5: {md5}\n      size: 3"


def test_dvc_lock_is_read_stage_by_stage_as_a_whole(made: Path) -> None:
    for root in (made, ROOT):
        parts = history.parts((root / "dvc.lock").read_text())
        read = [pipeline.parse_lock({"stages": history.stage_of(part)}) for part in parts]
        assert {name: stage for one in read for name, stage in one.items()} == pipeline.locked(root)


@pytest.mark.parametrize(
    "path", ["data/raw", "models", "'a b/c'", '"d\\x41/e"', "false", "1.5/2", "a: b", "x/y # z", "é/f"]
)
@pytest.mark.parametrize(
    "md5", ["0" * 31 + "a", "a" * 32 + ".dir", "1" * 32, f"'{'1' * 32}'", "null", "f" * 64, "../x", "1e5"]
)
@pytest.mark.parametrize("command", ["\n    cmd: run", "", " text", "\n    cmd: |-\n      outs:\n      - path: a/b"])
def test_any_stage_is_read_as_yaml_reads_it(path: str, md5: str, command: str) -> None:
    part = LISTED.format(path=path, md5=md5, command=command)

    def stages(entries: Callable[[], dict[str, Any]]) -> Any:
        try:
            return pipeline.parse_lock({"stages": entries()})
        except InputError:
            return "refused"

    assert stages(lambda: history.stage_of(part)) == stages(lambda: pipeline.parse_yaml(part, "dvc.lock"))


def test_downstream_of_a_song_in_training(made: Path) -> None:
    found = downstream(made, 4)
    assert {one.path: one.role for one in found.made if one.now and one.path.startswith("models")} == dict.fromkeys(
        ("models/base", "models/exp1", "models/ours"), "learned from it"
    )
    assert {"data/generated/ours", "reports/metrics.json", "data/wav"} <= paths(found, True)
    assert len(found.segments) == len(found.pictures) == 2


def test_downstream_of_a_withdrawn_song_finds_the_old_models(made: Path) -> None:
    found = downstream(made, 2)
    assert not paths(found, True)
    assert {"models/base", "models/exp1", "models/ours", "data/generated/exp1"} <= paths(found, False)
    assert all(one.commit for one in found.made)
    assert "earlier runs" in show_downstream(made, "2", "tree")


def test_downstream_of_a_test_song_has_no_model(made: Path) -> None:
    found = downstream(made, 3)
    assert not [one for one in found.made if one.path.startswith("models")]
    assert "reports/metrics.json" in paths(found, True)


def test_an_unknown_song(made: Path) -> None:
    with pytest.raises(InputError, match="no such song"):
        downstream(made, 99)
    with pytest.raises(InputError, match="not a song id"):
        show_downstream(made, "abc", "tree")


def test_runs_that_were_never_committed_count(copied: Path) -> None:
    (copied / "incoming/audio/5.mp3").write_text("song 5")
    toy.make(copied)
    with records.recorded(copied, "spectrogram"):
        pass
    toy.run(copied, "git", "checkout", "dvc.lock")
    assert paths(downstream(copied, 5), False) == {"data/spectrograms"}


def test_prov_is_read_back_by_its_library(clip: Lineage, tmp_path: Path) -> None:
    document = prov_document(clip)
    assert ProvDocument.deserialize(content=provenance(clip, None), format="json") == document
    provenance(clip, tmp_path / "clip.provn")
    assert (tmp_path / "clip.provn").read_text().startswith("document")
    text = document.get_provn()
    assert "wasGeneratedBy" in text
    assert "emoriff:song/4" in text


def test_crate_is_read_back_by_its_library(made: Path, clip: Lineage, tmp_path: Path) -> None:
    target = Path(write_crate(made, clip, tmp_path / "crate"))
    crate = ROCrate(target)
    assert (target / "happy_0001.wav").read_bytes() == (made / CLIP).read_bytes()
    actions = crate.get_by_type("CreateAction")
    assert {action["name"] for action in actions} == {link.stage for link in clip.links}
    assert all(action["instrument"]["name"] == "emoriff" for action in actions)
    assert "happy_0001.wav" in {result.id for result in actions[0]["result"]}
    with pytest.raises(InputError, match="not empty"):
        write_crate(made, clip, target)


def test_no_host_name_is_published(copied: Path, tmp_path: Path) -> None:
    with records.recorded(copied, "generate", "ours"):
        pass
    found = trace(copied, copied / CLIP)
    assert found.links[0].run
    target = Path(write_crate(copied, found, tmp_path / "crate"))
    published = "".join(path.read_text() for path in target.glob("*.json"))
    assert '"host"' not in published
    assert f'"{found.links[0].run.environment.host}"' not in published


def test_forms_of_the_command(made: Path) -> None:
    assert json.loads(show(made, made / CLIP, None, "json", None))["artifact"] == CLIP
    assert "made by generate@ours" in show(made, made / CLIP, None, "tree", None)
    assert json.loads(show(made, None, "4", "json", None))["song_id"] == 4
    with pytest.raises(InputError, match="unknown form"):
        show(made, made / CLIP, None, "xml", None)
    with pytest.raises(InputError, match="nothing asked"):
        show(made, None, None, "tree", None)


@pytest.mark.parametrize("question", [["data/spectrograms/00004_000_0.png"], ["--downstream", "4"]])
def test_an_answer_does_not_wait_for_pandas(made: Path, question: list[str]) -> None:
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from flows.__main__ import main; main()"
    command = [sys.executable, "-X", "importtime", "-c", script, str(ROOT), "lineage", *question]
    told = subprocess.run(command, cwd=made, capture_output=True, text=True, check=True).stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
    assert "tasks.lineage.trace" in loaded
    assert loaded.isdisjoint({"pandas", "pyarrow.dataset", "prefect", "dvc", "torch"})
