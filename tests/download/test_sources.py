"""Sources against a real server that fails in every way; a user's folder; what lies in data/raw afterwards."""

import hashlib
import io
import json
import resource
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest

import tests.loopback as loopback
from tasks.core.errors import DownloadError, ParameterError
from tasks.download import sources
from tasks.download.params import DownloadParams, Source

CONTENT = np.random.default_rng(1).bytes(3_000_000)
OTHER = np.random.default_rng(2).bytes(3_000_000)


@pytest.fixture
def site(monkeypatch) -> Iterator[loopback.Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with loopback.site() as server:
        server.files["/x/a.zip"] = CONTENT
        yield server


@pytest.fixture
def params(demo_params) -> DownloadParams:
    quick = {"backoff_seconds": 0.01, "stall_seconds": 0.4, "retries": 2, "corpus": None}
    return demo_params.download.model_copy(update=quick)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def declared(*urls: str, content: bytes | None = CONTENT, **changes: object) -> Source:
    values = {
        "name": "a.zip",
        "urls": list(urls),
        "size_bytes": None,
        "sha256": sha256(content) if content else None,
        "licence": "CC0",
        "citation": "",
        "members": {"audio": "*.mp3"},
        "needs_acknowledgement": False,
    }
    return Source(**(values | changes))


def fetched(
    site: loopback.Site, folder: Path, params: DownloadParams, *tricks: loopback.Trick, **changes: object
) -> bytes:
    site.tricks = list(tricks)
    path = sources.fetch(declared(f"{site.address}/x/a.zip", **changes), folder, params)
    assert sorted(file.name for file in folder.iterdir()) == ["a.zip", "a.zip.received.json"]
    return path.read_bytes()


def test_a_download_is_checked_reported_and_not_fetched_again(site, tmp_path, params):
    source, steps = declared(f"{site.address}/x/a.zip", size_bytes=len(CONTENT)), []
    for _ in range(2):
        path = sources.fetch(source, tmp_path, params, lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT
    assert len(site.requests) == 1
    assert [done for done, _, _ in steps] == sorted({done for done, _, _ in steps})
    assert steps[-1][:2] == (len(CONTENT), len(CONTENT))
    assert "MB/s" in steps[-1][2]


RECOVERED = {
    "breaks off": [loopback.breaks_off(1_000_000)],
    "breaks off at once, twice": [loopback.breaks_off(0), loopback.breaks_off(0)],
    "breaks off without validator": [loopback.breaks_off(1_000_000, {})],
    "breaks off with a weak ETag": [loopback.breaks_off(1_000_000, {"ETag": 'W/"1"'})],
    "stalls": [loopback.stalls(1_000_000, 0.8)],
    "announces too much": [loopback.announces(+100)],
    "busy": [loopback.says(503), loopback.says(522)],
    "asks for patience": [loopback.says(429, {"Retry-After": "0"})],
    "asks for nonsense": [loopback.says(429, {"Retry-After": "\u00b2"})],
    "asks for the end of time": [loopback.says(429, {"Retry-After": f"Thu, 01 Jan {10**20} 00:00:00 GMT"})],
    "redirects": [loopback.says(302, {"Location": "/x/a.zip"})],
    "only browsers": [loopback.only_browsers],
    "another version after a break": [loopback.breaks_off(1_000_000), loopback.goes_on_with(OTHER, same_etag=False)],
    "other bytes after a break": [loopback.breaks_off(1_000_000), loopback.goes_on_with(OTHER, same_etag=True)],
    "shorter after a break": [loopback.breaks_off(1_000_000), loopback.says(416, {"Content-Range": "bytes */9"})],
}


@pytest.mark.parametrize("case", sorted(RECOVERED))
def test_what_a_server_does_wrong_once_is_got_over(site, tmp_path, params, case):
    assert fetched(site, tmp_path, params, *RECOVERED[case]) == CONTENT


def test_a_break_is_resumed_where_it_was(site, tmp_path, params):
    fetched(site, tmp_path, params, loopback.breaks_off(1_000_000))
    first, second = site.ranges()
    assert first is None
    assert second == "bytes=1000000-"
    assert site.requests[-1][1]["If-Range"] == f'"{hashlib.md5(CONTENT).hexdigest()}"'


def test_without_a_validator_nothing_is_resumed(site, tmp_path, params):
    fetched(site, tmp_path, params, loopback.breaks_off(1_000_000, {"ETag": 'W/"weak"'}))
    assert site.ranges() == [None, None]


def test_last_modified_will_do(site, tmp_path, params):
    fetched(site, tmp_path, params, loopback.breaks_off(1_000_000, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}))
    assert site.requests[-1][1]["If-Range"] == "Mon, 01 Jan 2024 00:00:00 GMT"


def test_a_killed_run_is_resumed_by_the_next(site, tmp_path, params):
    with pytest.raises(DownloadError, match="it goes on where it stopped"):
        fetched(site, tmp_path, params.model_copy(update={"retries": 0}), loopback.breaks_off(1_000_000))
    assert fetched(site, tmp_path, params) == CONTENT
    assert site.ranges() == [None, "bytes=1000000-"]


def test_a_new_version_between_two_runs_is_fetched_whole(site, tmp_path, params):
    with pytest.raises(DownloadError):
        fetched(site, tmp_path, params.model_copy(update={"retries": 0}), loopback.breaks_off(1_000_000))
    site.files["/x/a.zip"] = OTHER
    assert fetched(site, tmp_path, params, content=OTHER) == OTHER


def test_tries_that_make_headway_do_not_count(site, tmp_path, params):
    site.files["/x/a.zip"] = big = CONTENT * 3
    with_breaks = [loopback.breaks_off(1_200_000)] + [resumed_and_broken(1_200_000)] * 5
    assert fetched(site, tmp_path, params, *with_breaks, content=big) == big
    assert len(site.ranges()) == 7


def resumed_and_broken(n_bytes: int) -> loopback.Trick:
    def trick(handler: loopback.Handler, content: bytes) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        part = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.answer(206, {"Content-Range": part}, content[start : start + n_bytes], len(content) - start)
        handler.close_connection = True

    return trick


def test_retry_after_is_kept_to_as_seconds_or_date(site, tmp_path, params):
    for wait in ("1", format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)):
        started = time.monotonic()
        fetched(site, tmp_path / wait[:1], params, loopback.says(429, {"Retry-After": wait}))
        assert time.monotonic() - started > 0.9


FINAL = {
    "busy for ever": ([loopback.says(503)] * 3, "gave up after 3 tries"),
    "wants a day": ([loopback.says(429, {"Retry-After": "86400"})], "wants a wait of 86400 s"),
    "forbidden": ([loopback.says(403)], "403 Forbidden"),
    "web page": ([loopback.says(200, {"Content-Type": "text/html"}, b"<html>log in")], "sent a web page"),
    "announces too little": ([loopback.announces(-100)], "not the expected bytes; nothing was kept"),
    "goes round in circles": ([loopback.says(302, {"Location": "/x/a.zip"})] * 40, "cannot be asked: TooManyRedirects"),
}


@pytest.mark.parametrize("case", sorted(FINAL))
def test_what_stays_wrong_is_told_and_leaves_nothing(site, tmp_path, params, case):
    tricks, message = FINAL[case]
    with pytest.raises(DownloadError, match=message):
        fetched(site, tmp_path, params, *tricks)
    assert not (tmp_path / "a.zip").exists()


def test_a_server_that_is_not_there(tmp_path, params):
    with pytest.raises(DownloadError, match="no answer"):
        sources.fetch(declared("http://127.0.0.1:9/a.zip"), tmp_path, params)


def test_a_wrong_hash_keeps_nothing_and_says_how_to_accept_it(site, tmp_path, params):
    site.files["/x/a.zip"] = OTHER
    with pytest.raises(DownloadError) as caught:
        fetched(site, tmp_path, params)
    text = str(caught.value)
    assert sha256(CONTENT) in text.split("got:")[0]
    assert f"set sha256: {sha256(OTHER)} and size_bytes: {len(OTHER)}" in text
    assert list(tmp_path.iterdir()) == []


def test_another_size_than_declared_is_refused_before_the_bytes(site, tmp_path, params):
    with pytest.raises(DownloadError, match=r"not the declared size[\s\S]*999 bytes"):
        fetched(site, tmp_path, params, size_bytes=999)


def test_mirrors_are_asked_in_order_and_all_reasons_told(site, tmp_path, params):
    site.files["/bad/a.zip"] = OTHER
    urls = [f"{site.address}/none/a.zip", f"{site.address}/bad/a.zip"]
    with pytest.raises(DownloadError, match=r"404 Not Found[\s\S]*not the expected bytes"):
        sources.fetch(declared(*urls), tmp_path, params)
    path = sources.fetch(declared(*urls, f"{site.address}/x/a.zip"), tmp_path, params)
    assert path.read_bytes() == CONTENT


def test_a_hash_beside_the_file_is_held_to(site, tmp_path, params):
    site.files["/x/SHA256SUMS"] = f"{sha256(OTHER)}  a.zip\n".encode()
    with pytest.raises(DownloadError, match=r"SHA-256 \w+ \(SHA256SUMS\)"):
        fetched(site, tmp_path, params, content=None)
    site.files["/x/SHA256SUMS"] = b"\n" * 2**20 + f"{sha256(CONTENT)} *a.zip\n".encode()
    with pytest.raises(DownloadError, match="the list of checksums is too large"):
        fetched(site, tmp_path, params, content=None)
    site.files["/x/SHA256SUMS"] = f"{sha256(CONTENT)} *a.zip\n".encode()
    assert fetched(site, tmp_path, params, content=None) == CONTENT


def test_without_any_hash_the_first_one_is_recorded_and_kept_to(site, tmp_path, params):
    fetched(site, tmp_path, params, content=None)
    n_requests = len(site.requests)
    fetched(site, tmp_path, params, content=None)
    assert len(site.requests) == n_requests
    (tmp_path / "a.zip").write_bytes(b"rotten")
    assert fetched(site, tmp_path, params, content=None) == CONTENT
    (tmp_path / "a.zip").unlink()
    site.files["/x/a.zip"] = OTHER
    with pytest.raises(DownloadError, match=r"SHA-256 \w+ \(recorded\)"):
        fetched(site, tmp_path, params, content=None)


def test_a_file_put_there_by_hand_is_taken_or_told_of(tmp_path, params):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    nowhere = "http://127.0.0.1:9/a.zip"
    assert sources.fetch(declared(nowhere), tmp_path, params) == tmp_path / "a.zip"
    with pytest.raises(DownloadError, match=f"set sha256: {sha256(CONTENT)}"):
        sources.fetch(declared(nowhere, content=OTHER), tmp_path, params)


def test_a_licence_must_be_acknowledged(site, tmp_path, params):
    with pytest.raises(ParameterError, match="acknowledge_noncommercial: true"):
        fetched(site, tmp_path, params, needs_acknowledgement=True)
    assert site.requests == []
    agreed = params.model_copy(update={"acknowledge_noncommercial": True})
    assert fetched(site, tmp_path, agreed, needs_acknowledgement=True) == CONTENT


def test_a_full_disk_is_told_before(site, tmp_path, params, monkeypatch):
    monkeypatch.setattr("tasks.download.http.free_gib", lambda path: 0.001)
    with pytest.raises(DownloadError, match="the disk is too small"):
        fetched(site, tmp_path, params)


def test_a_disk_that_fills_up_meanwhile_is_told_and_gone_on_from(site, tmp_path, params):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(DownloadError, match=r"cannot write: File too large[\s\S]*goes on where it stopped"):
            fetched(site, tmp_path, params)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert fetched(site, tmp_path, params) == CONTENT
    assert site.ranges()[-1] is not None


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("_", ".")), content)
    return buffer.getvalue()


def obtain(params: DownloadParams, *declared_sources: Source) -> dict:
    params = params.model_copy(update={"sources": list(declared_sources)})
    sources.obtain(params, Path("raw"), Path("downloads"))
    return json.loads(Path("raw/sources.json").read_text())


def test_local_archives_become_data_raw_and_follow_their_changes(tmp_path, params, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("corpus").mkdir()
    local = declared("file://corpus/a.zip", content=None)
    for files in ({"1_mp3": b"one", "2_mp3": b"two"}, {"2_mp3": b"zwei"}):
        content = zipped(**files)
        Path("corpus/a.zip").write_bytes(content)
        Path("corpus/SHA256SUMS").write_text(f"{sha256(content)}  a.zip\n")
        record = obtain(params, local)
    assert [path.name for path in Path("raw/audio").iterdir()] == ["2.mp3"]
    assert Path("raw/audio/2.mp3").read_bytes() == b"zwei"
    (row,) = record["sources"]
    assert (row["sha256"], row["sha256_from"], row["files"]) == (sha256(content), "SHA256SUMS", {"audio": 1})
    assert str(tmp_path) not in json.dumps(record)


def test_two_sources_with_one_file_name_are_refused(tmp_path, params, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.zip").write_bytes(zipped(**{"1_mp3": b"one"}))
    pair = [declared("file://a.zip", content=None, name=name) for name in ("a.zip", "b.zip")]
    with pytest.raises(DownloadError, match=r"a\.zip and b\.zip"):
        obtain(params, *pair)


def test_a_missing_local_file_and_no_source_at_all(tmp_path, params, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DownloadError, match="no such file"):
        obtain(params, declared("file://corpus/a.zip"))
    with pytest.raises(ParameterError, match="nothing to download"):
        obtain(params)
