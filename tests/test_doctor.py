"""`reco-assist doctor`: real damage, found and mended, with nothing lost that could be kept."""

import json
import os
import shutil
import subprocess
import sys

import lance
import numpy as np
import pytest
from fakes import FakeEncoder, write_photos
from PIL import Image
from typer.testing import CliRunner

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.archive import Archive
from reco_assist.archive.doctor import examine_archive
from reco_assist.cli.app import app
from reco_assist.errors import ArchiveError, FormatError, InputError, StorageError
from reco_assist.images import content_hash
from reco_assist.session import ConceptSpec, Session
from reco_assist.session.doctor import examine_session
from reco_assist.session.results import add_result, is_done


@pytest.fixture
def archive(tmp_path):
    made = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    write_photos(tmp_path / "photos", 10)
    made.add(tmp_path / "photos", batch_size=4, progress=False)
    return made


def hashes(archive):
    return sorted(entry.content_hash for entry in Archive.open(archive.path).images())


def break_a_data_file(archive):
    """Cut the second of three data files; returns its images."""
    fragment = lance.dataset(str(archive.path / "images.lance")).get_fragments()[1]
    lost = fragment.to_table(columns=["content_hash"])["content_hash"].to_pylist()
    file = archive.path / "images.lance" / "data" / fragment.data_files()[0].path
    os.truncate(file, 20)
    return lost


def test_a_sound_archive_has_no_damage(archive):
    assert examine_archive(archive.path) == []


def test_unreadable_images_are_dropped_and_come_back(archive, tmp_path):
    before = hashes(archive)
    lost = break_a_data_file(archive)
    with pytest.raises(ArchiveError, match="reco-assist doctor"):
        list(Archive.open(archive.path).images())
    assert [one.mended for one in examine_archive(archive.path)] == [False]
    (mended,) = examine_archive(archive.path, repair=True)
    assert mended.mended
    assert "4 images" in mended.what
    assert hashes(archive) == sorted(set(before) - set(lost))
    assert examine_archive(archive.path) == []
    again = Archive.open(archive.path, encoder=FakeEncoder()).add(tmp_path / "photos", progress=False)
    assert again.added == 4
    assert hashes(archive) == before


def test_images_listed_twice_are_dropped_and_come_back(archive, tmp_path):
    before = hashes(archive)
    table = archive.path / "images.lance"
    lance.write_dataset(lance.dataset(str(table)).to_table(limit=1), str(table), mode="append")
    (mended,) = examine_archive(archive.path, repair=True)
    assert mended.mended
    assert len(hashes(archive)) == 9
    Archive.open(archive.path, encoder=FakeEncoder()).add(tmp_path / "photos", progress=False)
    assert hashes(archive) == before


def test_missing_photographs_and_leftovers_are_told(archive, tmp_path):
    shutil.rmtree(tmp_path / "photos" / "a")
    leftover = archive.path / ".0011223344556677.reco-tmp"
    leftover.touch()
    gone, half = examine_archive(archive.path, repair=True)
    assert "5 of 10 files" in gone.what
    assert not gone.mended
    assert half.mended
    assert not leftover.exists()


def test_a_table_of_another_kind_is_told_and_left_alone(archive):
    table = archive.path / "images.lance"
    shutil.rmtree(table)
    (gone,) = examine_archive(archive.path, repair=True)
    assert "cannot be opened" in gone.what
    lance.write_dataset(__import__("pyarrow").table({"a": [1]}), str(table))
    (other,) = examine_archive(archive.path, repair=True)
    assert "columns" in other.what
    assert not other.mended


def test_nobody_may_write_during_a_repair(archive):
    with archive._writing(), pytest.raises(ArchiveError, match="Another process is writing"):
        examine_archive(archive.path, repair=True)


@pytest.fixture
def session(tmp_path):
    """A session with two segmented targets, the first of them accepted; its folder."""
    photos = write_photos(tmp_path / "targets", 2)
    opened = Session.open(tmp_path / "job.session", who="anna")
    opened.targets = tmp_path / "targets"
    opened.set_plan(ConceptSpec("mug"))
    for path in photos:
        image = ImageRef(path.name, content_hash(path.read_bytes()), 40, 30)
        maps = np.full((1, 30, 40), 200, np.uint8)
        add_result(opened, image, path, maps, [Verdict("mug", present=True, probability=0.9)], {"mug": "d"})
    opened.decide(content_hash(photos[0].read_bytes()), {"mug": "accepted"})
    opened.close()
    return opened.folder


def test_a_sound_session_has_no_damage(session):
    assert examine_session(session) == []


def test_a_damaged_line_is_left_out_and_the_rest_kept(session):
    log = session / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    damaged = [*lines[:2], b"\xff" * 9 + b"\n", *lines[2:]]
    log.write_bytes(b"".join(damaged))
    (session / "snapshot.json").unlink()
    (found,) = examine_session(session)
    assert "line 3" in found.what
    assert log.read_bytes() == b"".join(damaged)  # a look changes nothing
    (mended,) = examine_session(session, repair=True)
    assert mended.mended
    assert log.read_bytes() == b"".join(lines)
    assert (session / "audit.damaged.jsonl").read_bytes() == b"".join(damaged)
    opened = Session.open(session)
    assert len(opened.results()) == 2
    opened.close()


INFINITE = b'{"n":9,"at":"","who":"","what":"x","scope":null,"forget":null,"changes":{"x":[null,Infinity]}}'


@pytest.mark.parametrize("bad", [b"\xff" * 9, b'{"changes":{}}\r{}', b"[" * 99_999, INFINITE, None])
def test_whatever_the_store_refuses_the_doctor_mends(session, bad):
    """None stands for a change that the next line undoes."""
    opened = Session.open(session)
    digest = opened.results()[0].image.content_hash
    opened.decide(digest, {"mug": "rejected"})
    opened.undo()
    opened.masks.set_thresholds(digest, {"mug": 77})
    opened.close()
    (session / "snapshot.json").unlink()
    log = session / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    if bad is None:
        undone = [number for number, line in enumerate(lines) if b'"scope":"review"' in line]
        log.write_bytes(b"".join(line for number, line in enumerate(lines) if number not in undone[:-1]))
    else:
        log.write_bytes(b"".join([*lines[:-1], bad + b"\n", lines[-1]]))
    with pytest.raises(FormatError, match=r"doctor .* --repair"):
        Session.open(session)
    examine_session(session, repair=True)
    opened = Session.open(session)
    assert opened.masks.adjustment(digest, "mug").threshold == 77
    opened.close()


def test_what_an_earlier_repair_set_aside_stays(session):
    log = session / "audit.jsonl"
    for number in range(2):
        log.write_bytes(log.read_bytes() + b"bad %d\n" % number)
        examine_session(session, repair=True)
    aside = sorted(path.name for path in session.glob("*damaged*"))
    assert aside == ["audit.damaged-2.jsonl", "audit.damaged.jsonl"]
    assert b"bad 0\n" in (session / aside[1]).read_bytes()


OPEN = """
import sys
from reco_assist.session import Session
session = Session.open(sys.argv[1])
digest = session.results()[0].image.content_hash
log = session.folder / "audit.jsonl"
log.write_bytes(log.read_bytes() + b"damage by another program\\n")
print("open", flush=True)
sys.stdin.readline()
for number in range(1, 9):
    session.masks.set_thresholds(digest, {"mug": number})
print(number, flush=True)
"""


def test_a_session_that_is_open_elsewhere_is_not_repaired_and_loses_nothing(session):
    child = subprocess.Popen(
        [sys.executable, "-c", OPEN, str(session)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "open\n"
    before = (session / "audit.jsonl").read_bytes()
    with pytest.raises(StorageError, match="open in another notebook"):
        examine_session(session, repair=True)
    assert (session / "audit.jsonl").read_bytes() == before
    assert child.communicate("go\n")[0] == "8\n"
    examine_session(session, repair=True)
    opened = Session.open(session)
    assert opened.masks.adjustment(opened.results()[0].image.content_hash, "mug").threshold == 8
    opened.close()


def test_damaged_maps_are_made_again_unless_they_were_decided(session):
    opened = Session.open(session)
    decided, pending = (result.image for result in opened.results())
    if opened.review(decided.content_hash, "mug").state != "accepted":
        decided, pending = pending, decided
    for image in (decided, pending):
        opened.masks.path(image.content_hash, "mug").write_bytes(b"no picture")
    path = opened.result(pending.content_hash).path
    opened.close()
    again, kept = examine_session(session, repair=True)
    assert again.mended
    assert not kept.mended
    assert decided.file_name in kept.what
    opened = Session.open(session)
    assert not is_done(opened, pending.file_name, path, {"mug": "d"})
    assert opened.review(decided.content_hash, "mug").state == "accepted"
    opened.close()


def test_what_is_no_session_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no session"):
        examine_session(tmp_path)


def test_the_command_says_what_is_left_by_its_exit_status(archive, session):
    run = CliRunner().invoke
    assert run(app, ["doctor", str(session)]).exit_code == 0
    break_a_data_file(archive)
    done = run(app, ["doctor", str(archive.path)])
    assert done.exit_code == 1
    assert "4 images cannot be read" in done.stdout
    done = run(app, ["doctor", str(archive.path), "--repair", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["damage"][0]["mended"] is True


def test_a_picture_is_no_patient(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    assert "is not a Concept" in str(CliRunner().invoke(app, ["doctor", str(tmp_path / "a.png")]).exception)


LIES = {
    "concepts": 5,
    "categories": {"mug": "1"},
    "plan/mug": {"name": "mug"},
    "draft": [],
    "order": "../../x",
    "file/0.png": {"hash": "../../documents/a", "stamp": []},
    "result/../../x": {
        "image": {"file_name": "a", "content_hash": "../../x", "width": 2, "height": 2},
        "path": "a",
        "fingerprint": 1,
        "findings": {},
    },
    "result/00": {
        "image": {"file_name": "a", "content_hash": "00", "width": 10**6, "height": 10**6},
        "path": "a",
        "fingerprint": 1,
        "findings": {},
    },
    "review/00/mug": {"state": "perhaps", "when": 1},
    "mask/00/mug": {"threshold": float("nan"), "strokes": ""},
}


@pytest.mark.parametrize("key", LIES)
@pytest.mark.parametrize("where", ["log", "snapshot"])
def test_values_that_no_session_holds_are_damage(session, key, where):
    log, snapshot = session / "audit.jsonl", session / "snapshot.json"
    before = log.read_bytes()
    if where == "snapshot":
        record = json.loads(snapshot.read_bytes())
        record["state"][key] = LIES[key]
        snapshot.write_text(json.dumps(record))
        assert examine_session(session) == []  # a cache, and not believed
        return
    event = {"n": 99, "at": "", "who": "", "what": "", "scope": None, "changes": {key: [None, LIES[key]]}}
    log.write_bytes(before + json.dumps(event).encode() + b"\n")
    with pytest.raises(FormatError, match=r"doctor .* --repair"):
        Session.open(session)
    examine_session(session, repair=True)
    assert log.read_bytes() == before


def test_a_session_refuses_to_write_what_it_would_not_read(session):
    opened = Session.open(session)
    before = opened.store.count
    with pytest.raises(FormatError):
        opened.store.put("lie", {"concepts": 5})
    assert (opened.store.count, opened.concepts) == (before, ("mug",))
    opened.close()
