"""The page: read by a parser, and by a browser where there is one."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tasks.codec.image import RIFFUSION, SpectrogramImage
from tasks.core.errors import InputError
from tasks.report import charts as report_charts
from tasks.report import findings, report, results
from tasks.report.media import frequency_ticks, save_in_colour
from tasks.report.svg import Axis, marker, nice_step
from tests.browser import console_errors, open_page
from tests.report_inputs import EMOTIONS, WITH_CLIPS, build

VOID = {"meta", "link", "img", "br", "input", "path", "circle", "rect", "polyline"}


class Structure(HTMLParser):
    """Start tags with attributes, ids, and whether every element is closed in order."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def values(self, tag: str, name: str) -> list[str]:
        return [str(found[name]) for this, found in self.tags if this == tag and name in found]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = build(tmp_path_factory.mktemp("run"), n_seeds=2, size=256)
    report.write_report(root, root / "reports", "demo")
    stages = {"convert": {"seconds": 12.5, "done": 5}, "generate@ours": {"seconds": 60.0, "done": 10, "clips": 200}}
    timings = {"stages": stages, "machine": {}, "versions": {"torch": "2.13"}}
    (root / "reports/timings.js").write_text(f"window.timings = {json.dumps(timings)};")
    return root


def test_page_is_well_formed_and_every_file_is_there(finished: Path) -> None:
    page = Structure(finished / "reports/index.html")
    files = page.values("img", "src") + page.values("audio", "src")
    assert not page.faults
    assert not page.open
    assert len(files) == 2 * 2 * len(EMOTIONS) * (len(WITH_CLIPS) + 1)
    assert all((finished / "reports" / name).stat().st_size > 1000 for name in files)
    assert all(alt for alt in page.values("img", "alt"))


def test_links_resolve_and_nothing_comes_from_a_network(finished: Path) -> None:
    page = Structure(finished / "reports/index.html")
    ids = {found["id"] for _, found in page.tags if "id" in found}
    assert all(link.removeprefix("#") in ids for link in page.values("a", "href"))
    addresses = [value for _, found in page.tags for name in ("src", "href") if (value := found.get(name))]
    assert not [address for address in addresses if ":" in address and address != "data:,"]
    assert not re.search(r"url\(|@import|fetch\(", (finished / "reports/index.html").read_text())


def test_same_inputs_same_bytes_and_small_enough(finished: Path, tmp_path: Path) -> None:
    report.write_report(finished, tmp_path, "demo")
    first = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert first == {name: (finished / "reports" / name).read_bytes() for name in first}
    assert sum(map(len, first.values())) < 30e6


def test_sections_stand_in_the_promised_order(finished: Path) -> None:
    page = Structure(finished / "reports/index.html")
    order = "findings experiments listen loss plane kad confusion balance rejected limitations lineage machine"
    assert " ".join(page.values("section", "id")) == order


def test_findings_tell_the_negative_result(finished: Path) -> None:
    asked, found, negative = findings.sentences(results.load(finished))
    measured = json.loads((finished / "reports/metrics.json").read_text())["experiments"]
    assert f"{measured['ours']['emotion_accuracy']['value']:.2f}".removeprefix("0.") + "\N{NO-BREAK SPACE}%" in found
    assert "p\xa0<\xa00.001 against base" in found
    assert negative.startswith("Not reached: an accuracy above the base model's: exp1")
    assert all(name in negative for name in ("exp1", "exp2", "exp3"))
    assert "ours" not in negative
    assert "4 training configurations" in asked


def test_how_musical_the_clips_are_stands_beside_real_ones(finished: Path, tmp_path: Path) -> None:
    root = shutil.copytree(finished, tmp_path / "run")
    metrics = json.loads((root / "reports/metrics.json").read_text())
    for place, notes, salience in ((metrics["experiments"]["ours"], 0.0, 4.1), (metrics["floors"]["codec"], 2.3, 19.0)):
        for name, value in (("notes_per_second", notes), ("harmonicity_db", salience)):
            place[name] = {"value": value, "low": None, "high": None, "n": 10}
    (root / "reports/metrics.json").write_text(json.dumps(metrics))
    said = findings.sentences(results.load(root))[2]
    assert "the clips of ours 0.0 (4 dB), real clips 2.3 (19 dB)" in said


def test_too_few_artists_are_said_instead_of_an_interval(finished: Path, tmp_path: Path) -> None:
    root = shutil.copytree(finished, tmp_path / "run")
    metrics = json.loads((root / "reports/metrics.json").read_text())
    few = {"value": 0.91, "low": None, "high": None, "n": 96, "n_artists": 4, "reason": "4 independent artists"}
    metrics["judge"]["real_test_accuracy"] = metrics["experiments"]["ours"]["kad"] = few
    (root / "reports/metrics.json").write_text(json.dumps(metrics))
    found = results.load(root)
    assert "91\xa0% (no interval, n\xa0=\xa096 by 4 artists)" in findings.sentences(found)[1]
    report.write_report(root, root / "reports", "demo")
    page = (root / "reports/index.html").read_text()
    assert page.count("no interval: 4 independent artists") == 2
    assert "n = 96, 4 artists" in page


def test_the_labelled_songs_are_counted_in_the_plane(finished: Path) -> None:
    charts = report_charts.planes(results.load(finished))
    assert charts[0]["note"] == "94 songs: happy 22, energetic 12, tense 9, sad 36, calm 15"
    assert charts[0]["note"] in (finished / "reports/index.html").read_text()


def test_best_is_marked_by_the_direction_of_the_measure(finished: Path) -> None:
    measures = results.load(finished).measures
    assert findings.best_systems(measures, "emotion_accuracy") == {"ours"}
    assert findings.best_systems(measures, "kad") == {"ours"}
    assert findings.best_systems(measures, "noise_floor_db") == set()


def page_of(root: Path) -> str:
    report.write_report(root, root / "reports", "demo")
    return (root / "reports/index.html").read_text()


def test_run_without_training_still_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "data/wav").mkdir(parents=True)
    wav = {"song_id": [1], "source_file": ["1.mp3"], "status": ["rejected"], "reason": ["silent"], "flags": [""]}
    pd.DataFrame(wav | {"duration_seconds": [0.0]}).to_parquet(tmp_path / "data/wav/manifest.parquet")
    text = page_of(tmp_path)
    assert "1 of 1 files could not be used" in text
    assert "reports/metrics.json" in text
    assert "Found: nothing yet" in text


def test_damaged_input_is_named(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/kad_matrix.csv").write_text("experiment,kad\nours,1\n")
    with pytest.raises(InputError, match=r"kad_matrix\.csv"):
        report.write_report(tmp_path, tmp_path / "reports", "demo")
    (tmp_path / "reports/kad_matrix.csv").unlink()
    (tmp_path / "reports/metrics.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        report.write_report(tmp_path, tmp_path / "reports", "demo")


def test_names_from_data_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "data/raw").mkdir(parents=True)
    source = {"name": "<script>alert(1)</script>", "licence": "&", "citation": "", "sha256": ""}
    (tmp_path / "data/raw/sources.json").write_text(json.dumps([source]))
    assert "<script>alert" not in page_of(tmp_path)


def test_a_folder_of_ones_own_has_no_hash_and_no_citation(tmp_path: Path) -> None:
    (tmp_path / "data/raw").mkdir(parents=True)
    source = {"name": "folder", "licence": "the user's own files", "citation": ""}
    (tmp_path / "data/raw/sources.json").write_text(json.dumps([source]))
    assert "<b>folder</b>: the user&#39;s own files</p>" in page_of(tmp_path)


def test_old_media_go(finished: Path) -> None:
    stray = finished / "reports/media/ours/angry_0000.png"
    stray.write_bytes(b"old")
    report.write_report(finished, finished / "reports", "demo")
    assert not stray.exists()


def test_loud_is_bright(tmp_path: Path) -> None:
    import numpy as np

    pixels = np.full((8, 8), 255, np.uint8)
    pixels[:4] = 0
    save_in_colour(SpectrogramImage(pixels, 1.0, None, RIFFUSION, 8), tmp_path / "shown.png")
    shown = np.asarray(Image.open(tmp_path / "shown.png").convert("L")).astype(int)
    assert shown[0].min() > shown[-1].max() + 150


def test_frequency_axis_agrees_with_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    shares = {tick.text: tick.share for tick in frequency_ticks(0, 10000)}
    top = librosa.hz_to_mel(10000, htk=True)
    assert shares["1k"] == pytest.approx(librosa.hz_to_mel(1000, htk=True) / top)
    assert shares["10k"] == pytest.approx(1)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 8), (0, 1e-4), (0, 12345), (5, 5.001)])
def test_ticks_lie_inside_the_axis_and_are_not_too_many(low: float, high: float) -> None:
    ticks = Axis(low, high, "").ticks()
    assert 2 <= len(ticks) <= 11
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert nice_step(high - low) >= (high - low) * 0.999


def test_markers_differ_for_five_emotions() -> None:
    assert len({re.sub(r"[\d.-]+", "", marker(index, 1, 1, 5)) + marker(index, 1, 1, 5) for index in range(5)}) == 5


PLAY_ALL = """
const done = arguments[arguments.length - 1];
(async () => {
  const failed = [];
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const clip of document.querySelectorAll(".clip:has(audio)")) {
    const audio = clip.querySelector("audio"), before = clip.querySelector(".cursor").style.left;
    const moved = new Promise(resolve => {
      audio.ontimeupdate = () => { if (audio.currentTime > 0.02) resolve(true); };
      setTimeout(() => resolve(false), 3000);
    });
    clip.querySelector(".player button").click();
    const played = await moved;
    await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const ok = played && clip.querySelector(".cursor").style.left !== before
      && Math.abs(audio.duration - Number(clip.dataset.seconds)) < 0.1;
    clip.querySelector(".player button").click();
    if (!ok || !audio.paused) failed.push(clip.dataset.name + " " + audio.duration + " " + audio.error?.message);
  }
  const images = [...document.images];
  images.forEach(image => image.loading = "eager");
  await Promise.all(images.map(image => image.decode().catch(() => failed.push(image.src))));
  done(failed);
})().catch(error => done(String(error)));
"""


@pytest.mark.slow
def test_browser_plays_every_clip_and_complains_about_nothing(finished: Path, tmp_path: Path) -> None:
    with open_page(finished / "reports/index.html", tmp_path) as driver:
        assert driver.execute_async_script(PLAY_ALL) == []
        assert "12.5 s" in driver.find_element("id", "timings").text
        assert "200 clips, 0.30 s a clip" in driver.find_element("id", "timings").text
        assert driver.execute_script(
            "return performance.getEntriesByType('resource').every(e => e.name.startsWith('file:'))"
        )
        assert console_errors(driver) == []


@pytest.mark.slow
def test_browser_phone_keyboard_and_theme(finished: Path, tmp_path: Path) -> None:
    with open_page(finished / "reports/index.html", tmp_path) as driver:
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
        button = driver.find_element("css selector", ".player button")
        button.send_keys(" ")
        assert button.get_attribute("aria-label").startswith("Pause real")
        driver.find_element("css selector", ".player input").send_keys("\ue014")  # arrow right
        before = driver.find_element("tag name", "html").get_attribute("data-theme")
        driver.find_element("id", "theme").send_keys("\n")
        assert driver.find_element("tag name", "html").get_attribute("data-theme") != before
