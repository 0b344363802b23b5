"""Places in stores that only a file names: nothing is sent there, and the sentence says what to do."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fakes import FakeEncoder, write_photos
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from reco_assist.archive import Archive
from reco_assist.archive.decoding import DecodePool
from reco_assist.archive.doctor import examine_archive
from reco_assist.archive.table import Row
from reco_assist.errors import ImageError, InputError
from reco_assist.images import (
    STORES_VARIABLE,
    absolute,
    address,
    allow_stores,
    is_there,
    list_images,
    places,
    read_bytes,
)
from reco_assist.runs import list_targets
from reco_assist.runs.distributed import Segmenting
from reco_assist.segmenter.targets import load

pytestmark = pytest.mark.slow

FORGED = "s3://bucket?endpoint_override={host}&scheme=http/a.jpg"
MALFORMED = [
    "s3://bucket?endpoint_override=127.0.0.1:9&scheme=http/a.jpg",
    "s3://key:secret@bucket/a.jpg",
    "s3://key@bucket/a.jpg",
    "s3://bucket#x/a.jpg",
    "s3://bucket%3Fscheme=http/a.jpg",
    "gs://name:secret@bucket/a.jpg",
    "abfs://account:key@host/a.jpg",
    "hdfs://user@host:9/a.jpg",
    "s3://bucket&scheme=http/a.jpg",
    "s3:///a b?c/a.jpg",
]


@contextmanager
def listening():
    """A server of a stranger, and the requests that reached it."""
    requests: list[str] = []

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_error(403)

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    monkeypatch.setattr(places, "_allowed", set())
    monkeypatch.setattr(places, "_noted", {})
    monkeypatch.delenv(STORES_VARIABLE, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "THE-USERS-KEY",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    real = places._store
    real.cache_clear()
    yield
    real.cache_clear()


def archive_of(folder: Path, *stored: str) -> Archive:
    """An archive whose last images are said to lie elsewhere."""
    photos = write_photos(folder / "photos", 4)
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    archive.add(photos)
    entries = list(archive.images())[-len(stored) :]
    rows = [Row(one.content_hash, place, one.bytes, 1) for one, place in zip(entries, stored, strict=True)]
    archive._table.relocate(rows)
    return Archive.open(archive.path, encoder=FakeEncoder())


@pytest.mark.parametrize("form", [FORGED, "s3://bucket/a.jpg", "s3://bucket/x.tar#a.jpg"])
def test_nothing_is_sent_where_only_an_archive_leads(tmp_path, monkeypatch, form):
    with listening() as (host, requests):
        if form != FORGED:  # the user's own server, which a stranger may name objects of
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}")
        archive = archive_of(tmp_path, form.format(host=host))
        found = examine_archive(archive.path) + examine_archive(archive.path, repair=True)
        assert found, "what was not looked for is said"
        (place,) = [one.path for one in archive.images() if "bucket" in str(one.path)]
        assert not is_there(place)
        with pytest.raises(ImageError, match="store"):
            read_bytes(place)
        targets = [one for one in list_targets(archive.path, out=tmp_path / "out") if one.path == place]
        (skipped,) = load(targets, 32)
        assert "store" in skipped.reason
        with DecodePool(side=32, workers=1) as pool, pytest.raises(ImageError, match="store"):
            pool.submit(lambda process, path: process().hash(path), place).result()
        with pytest.raises(InputError):
            list(list_images([place.parent]))
        command = [sys.executable, "-m", "reco_assist.cli", "doctor", str(archive.path)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
        assert done.returncode == 1, done.stderr
        archive.add(tmp_path / "photos")
        assert not requests


def test_doctor_says_what_to_set_and_drops_nothing(tmp_path):
    archive = archive_of(tmp_path, "s3://bucket/a.jpg", "gs://other/b.jpg")
    (found,) = examine_archive(archive.path, repair=True)
    assert found.what.startswith("2 of 4 images lie in stores that only the archive names")
    assert f"{STORES_VARIABLE}=gs://other,s3://bucket" in found.cure
    assert len(Archive.open(archive.path)) == 4


def test_what_lies_in_an_unnamed_store_stays_where_the_archive_says(tmp_path):
    """Copies here are duplicates of it, as they would be if the store had been asked."""
    archive = archive_of(tmp_path, "s3://bucket/a.jpg")
    report = archive.add(tmp_path / "photos")
    assert (report.moved, report.duplicates) == (0, 1)
    assert "s3:/bucket/a.jpg" in {str(one.path).replace("//", "/") for one in archive.images()}


@pytest.mark.parametrize("place", MALFORMED)
def test_a_store_is_a_name_and_nothing_else(monkeypatch, place):
    monkeypatch.setattr(places, "_store", lambda root: pytest.fail(f"{root} was opened"))
    for read in (
        lambda: read_bytes(Path(place)),
        lambda: absolute(place),
        lambda: allow_stores(place),
        lambda: list(list_images([Path(place)])),
    ):
        with pytest.raises(InputError) as refused:
            read()
        assert len(str(refused.value)) < 300
        assert "\n" not in str(refused.value)
    monkeypatch.setenv(STORES_VARIABLE, place)
    with pytest.raises(InputError, match=STORES_VARIABLE) as refused:
        read_bytes(Path("s3:/bucket/a.jpg"))
    assert len(str(refused.value)) < 300
    assert "secret" not in str(refused.value)


@pytest.fixture
def folder_store(tmp_path, monkeypatch):
    """Folders that take the place of buckets."""
    opened = []

    def store(root):
        opened.append(root)
        return SubTreeFileSystem(str(tmp_path), LocalFileSystem()), root.partition("://")[2]

    monkeypatch.setattr(places, "_store", store)
    for name in ("bucket", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"x")
    return opened


@pytest.mark.parametrize("how", ["variable", "several", "add", "targets", "command line"])
def test_a_store_is_named_once(tmp_path, monkeypatch, folder_store, how):
    place = Path("s3://bucket/a.jpg")
    with pytest.raises(ImageError, match=f"set {STORES_VARIABLE}=s3://bucket"):
        read_bytes(place)
    if how == "variable":
        monkeypatch.setenv(STORES_VARIABLE, "s3://bucket")
    elif how == "several":
        monkeypatch.setenv(STORES_VARIABLE, "gs://x, s3://bucket/photos")
    elif how == "add":
        Archive.create(tmp_path / "x.reco", encoder=FakeEncoder()).add("s3://bucket/a.jpg")
    elif how == "targets":
        assert len(list_targets(Path("s3://bucket"), out=tmp_path / "out")) == 1
    else:
        from reco_assist.cli.app import _allow_stores

        _allow_stores(["segment", "x", "--images=s3://bucket/photos", "--url", "http://other"])
    assert read_bytes(place) == b"x"
    with pytest.raises(ImageError, match=f"set {STORES_VARIABLE}=s3://other"):
        read_bytes(Path("s3://other/a.jpg"))
    assert set(folder_store) == {"s3://bucket"}


def test_containers_of_azure_and_public_buckets_are_named_with_their_account(folder_store):
    allow_stores("abfs://data@account.dfs.core.windows.net/a", "gs://anonymous@bucket/a")
    assert places.allowed_stores() == ["abfs://data@account.dfs.core.windows.net", "gs://anonymous@bucket"]
    with pytest.raises(ImageError, match="gs://bucket"):
        read_bytes(Path("gs://bucket/a.jpg"))


def test_a_variable_that_names_no_store_costs_no_image(tmp_path, monkeypatch):
    """Otherwise every photograph of this machine is noted as unusable, and lost to doctor."""
    archive = archive_of(tmp_path, "s3://bucket/a.jpg")
    write_photos(tmp_path / "more", 2, seed=1)
    before = [one.path for one in archive.images()]
    monkeypatch.setenv(STORES_VARIABLE, "bucket")
    for work in (
        lambda: read_bytes(Path("s3:/bucket/a.jpg")),
        lambda: archive.add(tmp_path / "more"),
        lambda: archive.add(tmp_path / "photos"),
        lambda: examine_archive(archive.path, repair=True),
        lambda: list_targets(tmp_path / "photos"),
    ):
        with pytest.raises(InputError, match="'bucket', which is no store; write stores such as s3://bucket"):
            work()
    monkeypatch.delenv(STORES_VARIABLE)
    assert [one.path for one in archive.images()] == before
    assert archive.add(tmp_path / "more").added == 2


def test_an_object_may_have_a_name_that_no_file_can_have():
    """Found by fuzzing: whether a file has it is asked first."""
    name = "s3://bucket/" + "x" * 300
    assert address(absolute(name)) == name
    with pytest.raises(InputError, match="cannot be read"):
        absolute("nowhere://" + "x" * 300)


@pytest.mark.parametrize("command", ["index", "doctor"])
def test_a_command_says_first_that_the_variable_names_no_store(tmp_path, monkeypatch, command):
    archive = archive_of(tmp_path, "s3://bucket/a.jpg")
    rest = [str(archive.path), str(tmp_path / "photos")] if command == "index" else [str(archive.path)]
    monkeypatch.setenv(STORES_VARIABLE, "bucket")
    done = subprocess.run(
        [sys.executable, "-m", "reco_assist.cli", command, *rest],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: RECO_ASSIST_STORES holds 'bucket', which is no store; write stores such as s3://bucket.\n"
    )
    assert not done.stdout


def test_workers_of_a_cluster_are_told(monkeypatch):
    with pytest.raises(ZeroDivisionError):  # before anything is read
        Segmenting(lambda: 1 // 0, [], {}, ["s3://bucket"])
    assert places.allowed_stores() == ["s3://bucket"]
