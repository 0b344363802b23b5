"""Creating, opening and sharing an archive: what goes wrong is said in one sentence, and nothing is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import FakeEncoder, write_photos
from filelock import FileLock

import reco_assist
from reco_assist.archive import Archive
from reco_assist.archive.doctor import examine_archive
from reco_assist.archive.header import common_parent
from reco_assist.errors import ArchiveError, InputError, StorageError

ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(str(Path(reco_assist.__file__).parents[1] / part) for part in ("", "tests"))
}


@pytest.fixture
def photos(tmp_path):
    write_photos(tmp_path / "photos", 10)
    return tmp_path / "photos"


@pytest.fixture
def archive(tmp_path):
    return Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())


def test_an_archive_opens_as_it_was_created(archive, photos):
    archive.add(photos)
    opened = Archive.open(str(archive.path))
    assert (opened.id, opened.encoder_name, opened.root) == (archive.id, "fake", photos)
    assert len(opened) == 10
    assert list(opened.images()) == list(archive.images())


def test_an_empty_folder_may_become_an_archive(tmp_path):
    (tmp_path / "x.reco").mkdir()
    assert len(Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())) == 0


def test_creating_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError("LanceError(IO): No space left on device (os error 28), somewhere.rs:1")

    monkeypatch.setattr("lance.write_dataset", full)
    with pytest.raises(StorageError, match="the disk is full"):
        Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["archive", "folder with files", "file"])
def test_nothing_is_overwritten(tmp_path, archive, kind):
    path = tmp_path / "there"
    if kind == "archive":
        path = archive.path
    elif kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "mine.txt").touch()
    with pytest.raises(ArchiveError, match="exists already"):
        Archive.create(path, encoder=FakeEncoder())


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "There is no archive at"),
        ("folder", "is no archive"),
        ("file", "is no archive"),
        ("format", "format 99, which is newer than format 1"),
        ("not json", "archive.json cannot be used"),
        ("not an object", "archive.json cannot be used"),
        ("half a header", "archive.json cannot be used"),
        ("a size of none", "archive.json cannot be used"),
        ("no table", "cannot be read"),
        ("a panic of Lance", "cannot be read"),
    ],
)
def test_what_is_not_an_archive_is_refused(tmp_path, archive, case, message):
    path = archive.path
    header = path / "archive.json"
    content = json.loads(header.read_bytes())
    if case == "missing":
        path = tmp_path / "nowhere.reco"
    elif case == "folder":
        header.unlink()
    elif case == "file":
        path = header
    elif case == "format":
        header.write_text(json.dumps(content | {"format": 99}))
    elif case == "not json":
        header.write_bytes(header.read_bytes()[:-20])
    elif case == "not an object":
        header.write_text("[]")
    elif case == "half a header":
        del content["mean"]
        header.write_text(json.dumps(content))
    elif case == "a size of none":
        content["shape"]["language_cells"] = None
        header.write_text(json.dumps(content))
    elif case == "a panic of Lance":
        (manifest,) = (path / "images.lance" / "_versions").glob("*.manifest")
        manifest.write_bytes(manifest.read_bytes().replace(b"int32", b"int3G"))
    else:
        (path / "images.lance").rename(tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match=message) as caught:
        Archive.open(path)
    assert str(path) in str(caught.value)
    if case == "a panic of Lance":
        assert [one.mended for one in examine_archive(path)] == [False]


@pytest.mark.parametrize("other", [FakeEncoder(name="other"), FakeEncoder(seed=1)], ids=["name", "weights"])
def test_another_encoder_is_refused_and_both_are_named(archive, other):
    with pytest.raises(ArchiveError) as caught:
        Archive.open(archive.path, encoder=other)
    message = str(caught.value)
    for encoder in (FakeEncoder(), other):
        assert repr(encoder.name) in message
        assert encoder.weights[:12] in message
    assert "new archive" in message


def test_unknown_images_are_refused(archive):
    with pytest.raises(ArchiveError, match="There is no image"):
        archive.entry("0" * 64)
    with pytest.raises(ArchiveError, match="64 hexadecimal digits"):
        archive.thumbnails(["' OR ''='"])


@pytest.mark.parametrize("option", ["workers", "batch_size"])
def test_numbers_below_one_are_refused(archive, photos, option):
    with pytest.raises(InputError, match="at least 1"):
        archive.add(photos, **{option: 0})


def test_a_full_disk_loses_nothing_that_was_stored(archive, photos, monkeypatch):
    import lance

    write, calls = lance.write_dataset, []

    def fill_up(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise OSError("LanceError(IO): No space left on device (os error 28), somewhere.rs:1")
        return write(*arguments, **options)

    monkeypatch.setattr("lance.write_dataset", fill_up)
    with pytest.raises(StorageError, match=r"images\.lance: the disk is full; free some space"):
        archive.add(photos, batch_size=4)
    monkeypatch.undo()
    assert len(Archive.open(archive.path)) == 8
    report = archive.add(photos, batch_size=4)
    assert (report.added, report.known) == (2, 8)


@pytest.mark.skipif(os.name == "nt", reason="file size limits are POSIX")
def test_a_write_that_the_system_refuses_is_a_storage_error(archive, photos):
    """The same with a real failure: the system lets no file grow beyond 2 KB."""
    script = (
        "import resource, sys\n"
        "from fakes import FakeEncoder\n"
        "from reco_assist.archive import Archive\n"
        "from reco_assist.errors import StorageError\n"
        "archive = Archive.open(sys.argv[1], encoder=FakeEncoder())\n"
        "def limit(report):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n"
        "    archive.add(sys.argv[2], batch_size=4, on_batch=limit)\n"
        "except StorageError as error:\n"
        "    print(error.errno, error)\n"
    )
    command = [sys.executable, "-c", script, archive.path, photos]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert len(Archive.open(archive.path)) == 4


def test_only_one_process_writes(archive, photos):
    with FileLock(archive.path / "writer.lock"):
        for change in (lambda: archive.add(photos), lambda: archive.remove("0" * 64)):
            with pytest.raises(ArchiveError, match="Another process is writing") as caught:
                change()
            assert str(caught.value).count(".") - str(archive.path).count(".") == 1
    assert archive.add(photos).added == 10


def test_a_writer_that_fails_frees_the_archive(archive, photos):
    with pytest.raises(InputError):
        archive.add(photos / "missing")
    assert archive.add(photos).added == 10


def test_readers_stay_at_their_version(archive, photos):
    archive.add(photos / "a")
    reader = Archive.open(archive.path)
    before = list(reader.images())
    archive.add(photos / "b")
    archive.remove(before[0].content_hash)
    assert list(reader.images()) == before
    assert reader.entry(before[0].content_hash) == before[0]
    assert len(Archive.open(archive.path)) == 9


def test_a_writer_sees_what_others_wrote_meanwhile(archive, photos):
    first, second = (Archive.open(archive.path, encoder=FakeEncoder()) for _ in range(2))
    first.add(photos / "a")
    assert second.add(photos).known == 5
    assert len(second) == 10


def test_statistics_count(archive, photos):
    archive.add(photos)
    found = archive.statistics()
    assert found.images == 10
    assert found.image_bytes == sum(path.stat().st_size for path in photos.rglob("*.png"))
    assert found.archive_bytes > 0
    assert (found.duplicates, found.rejected, found.mean_images) == (0, (), 0)


@pytest.mark.parametrize(
    ("folders", "parent"),
    [
        ([], None),
        (["/a/b"], "/a/b"),
        (["/a/b", "/a/c"], "/a"),
        (["/a/b", "/a/b/c"], "/a/b"),
        (["/a/bc", "/a/bd"], "/a"),  # not a common beginning of names
        (["/a", "/b"], "/"),
    ],
)
def test_common_parent(folders, parent):
    assert common_parent(folders) == (None if parent is None else Path(parent))
