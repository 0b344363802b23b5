"""Files of strangers that have a tebibyte: refused in a sentence or passed over, before memory is taken."""

import json
import os
import shutil

import numpy as np
import pytest
from fakes import FakeEncoder, write_photos
from test_session import Job

from reco_assist.archive import Archive
from reco_assist.archive.doctor import examine_archive
from reco_assist.concepts import Concept
from reco_assist.errors import InputError, RecoAssistError, StorageError
from reco_assist.files import file_hash, read_bounded
from reco_assist.formats import read_coco, read_dataset, write_label_maps
from reco_assist.image_files import shown_bytes
from reco_assist.images import read_bytes
from reco_assist.json_files import JsonLog, json_line, read_json
from reco_assist.label_studio.outputs import RUN, images_of
from reco_assist.label_studio.pulled import read_pulled
from reco_assist.session import Session
from reco_assist.session.doctor import examine_session
from reco_assist.student import Student
from reco_assist.text_files import read_text

TEBIBYTE = 1 << 40


def huge(path, head=b""):
    """A file with a hole: it takes no place on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(TEBIBYTE)
    return path


def test_a_file_is_read_up_to_a_bound(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_bounded(path, 3) == b"abc"
    with pytest.raises(InputError, match="larger than 2 bytes"):
        read_bounded(path, 2)
    with pytest.raises(InputError, match="larger than 64 MiB"):
        read_bounded(huge(path), 64 << 20)
    for none in (tmp_path, tmp_path / "pipe"):
        if none != tmp_path:
            os.mkfifo(none)
        with pytest.raises(InputError, match="no file"):
            read_bounded(none, 2)
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "gone", 2)


READERS = {
    "a.json": lambda path: read_json(path, 1 << 20),
    "a.txt": read_text,
    "coco.json": read_coco,
    "labelme/a.json": lambda path: read_dataset(path.parent),
    "annotations.xml": read_dataset,
    "a.png": read_bytes,
    "a.concept": Concept.load,
    "a.student": Student.load,
    "pulled.json": lambda path: read_pulled(path.parent),
    "log.jsonl": JsonLog,
    "archive.json": lambda path: Archive.open(path.parent, encoder=FakeEncoder()),
    "audit.jsonl": lambda path: Session.open(path.parent),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_whole_is_refused(tmp_path, name):
    path = huge(tmp_path / "x" / name)
    with pytest.raises(RecoAssistError) as caught:
        READERS[name](path)
    assert len(str(caught.value).replace(str(path), path.name)) < 300
    assert path.stat().st_size == TEBIBYTE


def test_caches_of_an_archive_are_made_anew(tmp_path):
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    write_photos(tmp_path / "photos", 4)
    (tmp_path / "photos" / "torn.png").write_bytes(b"no picture")
    archive.add(tmp_path / "photos", progress=False)
    word = np.ones(32, np.float32)
    before = [hit.content_hash for hit in archive.search(language=word)]
    (home,) = (archive.path / "index").iterdir()
    for name in ("state.json", "dense.faiss"):
        huge(home / name)
    huge(archive.path / "skipped.json")
    opened = Archive.open(archive.path, encoder=FakeEncoder())
    write_photos(tmp_path / "more", 1, seed=9)
    assert opened.add([tmp_path / "photos", tmp_path / "more"], progress=False).added == 1
    hits = [hit.content_hash for hit in Archive.open(archive.path).search(language=word)]
    assert [one for one in hits if one in before] == before
    assert examine_archive(archive.path) == []


def test_the_snapshot_of_a_session_is_not_believed(tmp_path):
    job = Job(tmp_path)
    digest = job.add("a.png")
    folder = job.session.folder
    job.session.close()
    huge(folder / "snapshot.json")
    opened = Session.open(folder)
    assert [one.image.content_hash for one in opened.results()] == [digest]
    opened.close()


def test_the_log_of_a_session_is_refused_and_left(tmp_path):
    job = Job(tmp_path)
    folder = job.session.folder
    job.session.close()
    log = folder / "audit.jsonl"
    head = log.read_bytes().splitlines(keepends=True)[0]
    huge(log, head)
    for way in (Session.open, examine_session):
        with pytest.raises(RecoAssistError, match="longer than 256 MiB"):
            way(folder)
    assert log.stat().st_size == TEBIBYTE


def test_what_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    log = JsonLog(tmp_path / "log")
    log.append(json_line("a"))
    monkeypatch.setattr("reco_assist.json_files._LONGEST", 8)
    with pytest.raises(StorageError, match="could not be read again"):
        log.append(json_line("b"), json_line("a long one"))
    assert list(JsonLog(tmp_path / "log").records()) == ["a"]


def test_lists_that_exports_leave_count_as_none(tmp_path):
    huge(tmp_path / RUN)
    assert images_of(tmp_path) is None
    maps = tmp_path / "maps"
    huge(maps / ".images.json")
    write_label_maps(maps, list, {"mug": 1})
    assert json.loads((maps / ".images.json").read_bytes()) == []


def test_a_picture_that_is_shown_is_ours(tmp_path):
    """A link in a stranger's folder would show, and keep in the notebook, what is the user's own."""
    picture = tmp_path / "a.png"
    shutil.copy(write_photos(tmp_path / "photos", 1)[0], picture)
    assert shown_bytes(picture, "PNG") == picture.read_bytes()
    assert shown_bytes(picture, "JPEG") is None
    (tmp_path / "b.png").symlink_to(picture)
    assert shown_bytes(tmp_path / "b.png", "PNG") is None
    assert shown_bytes(huge(picture), "PNG") is None
    (tmp_path / "c.png").write_text("mine")
    assert shown_bytes(tmp_path / "c.png", "PNG") is None


def test_a_file_is_hashed_without_holding_it(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
