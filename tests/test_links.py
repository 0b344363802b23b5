"""Archives, sessions, exports and libraries of strangers, with symbolic links and lying names in them."""

import json
import os
import stat

import numpy as np
import pytest
from fakes import FakeEncoder, write_photos
from test_session import Job

from reco_assist.archive import Archive
from reco_assist.archive.doctor import examine_archive
from reco_assist.errors import StorageError
from reco_assist.session import Choice, Session, export
from reco_assist.session.doctor import examine_session

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX links and permissions")
ALL = Choice(undecided=True)


@pytest.fixture
def documents(tmp_path):
    """A folder of the user that no stranger's link may reach."""
    own = tmp_path / "documents"
    for name in ("letters", "table-1-mean-0", "a"):
        (own / name).mkdir(parents=True)
        (own / name / "thesis.tex").write_text("mine")
    (own / "profile").write_text("mine")
    before = contents(own)
    yield own
    assert contents(own) == before


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in sorted(folder.rglob("*"))}


@pytest.fixture
def archive(tmp_path):
    made = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    write_photos(tmp_path / "photos", 10)
    made.add(tmp_path / "photos", batch_size=4, progress=False)
    return made


def found(archive):
    opened = Archive.open(archive.path, encoder=FakeEncoder())
    return [hit.content_hash for hit in opened.search(language=np.ones(32, np.float32), k=10)]


def test_the_search_index_of_a_link_stays_in_memory(archive, documents):
    before = found(archive)
    for home in (archive.path / "index").iterdir():
        home.rename(documents.parent / home.name)
    (archive.path / "index").rmdir()
    (archive.path / "index").symlink_to(documents)
    assert found(archive) == before


def test_only_old_versions_of_the_search_index_are_removed(archive, documents):
    index = archive.path / "index"
    found(archive)
    (old,) = index.iterdir()
    (index / "letters").mkdir()
    (index / "letters" / "thesis.tex").write_text("mine")
    (index / "table-2-mean-9").mkdir()
    (index / "table-2-mean-9" / "thesis.tex").write_text("mine")
    (index / "table-1-mean-0").symlink_to(documents / "table-1-mean-0")
    write_photos(archive.path.parent / "photos", 12)
    archive.add(archive.path.parent / "photos", progress=False)
    assert len(found(archive)) == 10
    left = {home.name for home in index.iterdir()}
    assert old.name not in left
    assert {"letters", "table-2-mean-9", "table-1-mean-0"} < left
    assert len(left) == 4
    assert (index / "letters" / "thesis.tex").read_text() == "mine"
    assert (index / "table-2-mean-9" / "thesis.tex").read_text() == "mine"


def test_a_damaged_index_is_replaced(archive):
    before = found(archive)
    (home,) = (archive.path / "index").iterdir()
    (home / "dense.faiss").write_bytes(b"nonsense")
    assert found(archive) == before
    assert (home / "dense.faiss").stat().st_size > 100


@pytest.mark.parametrize(
    "name",
    [
        "images.lance",
        "images.lance/data",
        "images.lance/_versions",
        "skipped.json",
        "writer.lock",
        "archive.json",
    ],
)
def test_nothing_is_written_through_a_link_in_an_archive(archive, documents, tmp_path, name):
    """What it leads to is what was there, outside of the archive."""
    place, away = archive.path / name, tmp_path / "away"
    if not place.exists():
        place.touch()
    place.rename(away)
    place.symlink_to(away)
    before = contents(away) if away.is_dir() else away.read_bytes()
    write_photos(tmp_path / "more", 3, seed=1)
    (tmp_path / "more" / "b" / "torn.png").write_bytes(b"no picture")
    opened = Archive.open(archive.path, encoder=FakeEncoder())
    with pytest.raises(StorageError, match="symbolic link"):
        opened.add(tmp_path / "more", progress=False)
    assert (contents(away) if away.is_dir() else away.read_bytes()) == before
    if name.startswith("images"):
        with pytest.raises(StorageError, match="symbolic link"):
            examine_archive(archive.path, repair=True)
        assert contents(away) == before


@pytest.fixture
def job(tmp_path):
    made = Job(tmp_path)
    for number in range(2):
        made.add(f"{number}.png", seed=number)
    yield made
    made.session.close()


@pytest.mark.parametrize("name", ["audit.jsonl", "snapshot.json", "session.lock", ".reco-output", "maps"])
def test_nothing_is_written_through_a_link_in_a_session(job, documents, tmp_path, name):
    session = job.session
    folder, digest = session.folder, session.results()[0].image.content_hash
    session.close()
    if name == "maps":
        (folder / name).rename(tmp_path / "real maps")
        (folder / name).symlink_to(documents)
    else:
        (folder / name).unlink()
        (folder / name).symlink_to(documents / "profile")
    if name == "snapshot.json":  # a cache, and the log is whole
        again = Session.open(folder)
        again.masks.set_thresholds(digest, {"mug": 77})
        again.close()
        assert (folder / name).is_symlink()
        again = Session.open(folder)
        assert again.masks.adjustment(digest, "mug").threshold == 77
        again.close()
        return
    with pytest.raises(StorageError, match="symbolic link"):
        Session.open(folder).mask(digest, "mug")
    if name != "maps":
        for repair in (False, True):
            with pytest.raises(StorageError, match="symbolic link"):
                examine_session(folder, repair=repair)


def lie(session, place, **record):
    """Let the log say that an earlier export to a folder wrote something, as a stranger could."""
    session.store.put("export", {f"export/{place.resolve()}": record})


LIES = [
    "../../documents/profile",
    "../documents/profile",
    "coco.json/../../documents/profile",
    "photo.jpg",
    "masks",
]


@pytest.mark.parametrize("name", LIES)
def test_an_export_removes_only_what_exports_write(job, documents, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.jpg").write_text("mine")
    lie(job.session, out, images={}, files=[name, str(documents / "profile"), "coco-train.json"])
    (out / "coco-train.json").touch()
    export(job.session, out, ALL)
    assert (out / "photo.jpg").read_text() == "mine"
    assert not (out / "coco-train.json").exists()


@pytest.mark.parametrize(
    "name", ["../../documents/x.tex", "/documents/x.jpg", "\0", "", "..", "a\udc80/../../x"]
)
def test_maps_of_lying_names_are_left(job, documents, tmp_path, name):
    out = tmp_path / "out"
    (documents / "x.png").write_text("mine")
    try:
        lie(job.session, out, images={name: "0" * 16, "gone.jpg": "0" * 16}, files=["masks/"])
        (out / "masks").mkdir(parents=True)
        (out / "masks" / "gone.png").touch()
        export(job.session, out, ALL)
        assert not (out / "masks" / "gone.png").exists()
        assert (documents / "x.png").read_text() == "mine"
    finally:
        (documents / "x.png").unlink()


def test_no_map_behind_a_link_is_removed(job, documents, tmp_path, caplog):
    out = tmp_path / "out"
    (documents / "letters" / "x.png").write_text("mine")
    try:
        lie(job.session, out, images={"letters/x.jpg": "0" * 16}, files=["masks/"])
        (out / "masks").mkdir(parents=True)
        (out / "masks" / "letters").symlink_to(documents / "letters")
        export(job.session, out, ALL)
        assert (documents / "letters" / "x.png").read_text() == "mine"
        assert "is left" in caplog.text
    finally:
        (documents / "letters" / "x.png").unlink()


@pytest.mark.parametrize(
    "record", [5, [], {"images": 5}, {"images": {"a": 1}, "files": 7}, {"files": [3, None]}]
)
def test_a_record_of_an_export_that_is_none_counts_as_no_export(job, tmp_path, record):
    out = tmp_path / "out"
    job.session.store.put("export", {f"export/{out.resolve()}": record})
    assert export(job.session, out, ALL).new == 2


def test_private_files_of_a_session_stay_private(job):
    folder = job.session.folder
    job.session.close()
    log = folder / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:2], b"nonsense\n", *lines[2:]]))
    log.chmod(0o600)
    examine_session(folder, repair=True)
    for name in ("audit.jsonl", "audit.damaged.jsonl"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name
    assert json.loads(log.read_bytes().splitlines()[2])["n"] == 2
