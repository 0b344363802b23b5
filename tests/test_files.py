import errno
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from reco_assist.errors import InputError, StorageError
from reco_assist.files import atomic_write, link_or_copy, remove_file, rename, write_bytes
from reco_assist.folders import (
    atomic_folder,
    is_vacant,
    make_folder,
    make_output_folder,
    remove_folder,
    temporary_leftovers,
)
from reco_assist.json_files import JsonLog
from reco_assist.locks import one_at_a_time, only_writer
from reco_assist.safe_paths import OUTPUT_MARKER, unlinked_tree


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "a.json"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["a.json"]


def test_nothing_is_seen_before_the_block_ends(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    "failure", [ValueError("x"), KeyboardInterrupt(), InputError("x"), StorageError("x")]
)
def test_a_failing_block_leaves_the_old_file_and_its_error(tmp_path, failure):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with pytest.raises(type(failure)) as caught, atomic_write(path) as file:  # noqa: PT012
        file.write(b"new")
        raise failure
    assert caught.value is failure
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_an_error_about_another_file_is_not_called_a_failure_to_write(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "a.json"):
        (tmp_path / "source.jpg").read_bytes()
    assert not isinstance(caught.value, StorageError)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EIO, os.strerror(errno.EIO))],
)
def test_a_disk_that_fails_on_sync(tmp_path, monkeypatch, number, words):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=words) as caught:
        write_bytes(path, b"new")
    assert caught.value.errno == number
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_really_full_device():
    with pytest.raises(StorageError, match="Cannot write"):
        write_bytes(Path("/dev/full/a.json"), b"x")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_the_result_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"x")
    path.chmod(0o600)
    write_bytes(path, b"y")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture
def strangers(tmp_path):
    """An output folder that somebody else filled, and a folder of the user that its links lead to."""
    own = tmp_path / "documents"
    own.mkdir()
    (own / "thesis.tex").write_text("mine")
    given = make_output_folder(tmp_path / "given")
    (given / "maps").symlink_to(own)
    (given / "state.json").symlink_to(own / "thesis.tex")
    (given / "new.json").symlink_to(own / "new.json")
    return given, own


def links(given):
    return {
        "file": lambda: write_bytes(given / "state.json", b"x"),
        "dangling": lambda: write_bytes(given / "new.json", b"x"),
        "in a folder": lambda: write_bytes(given / "maps" / "thesis.tex", b"x"),
        "folder": lambda: make_folder(given / "maps" / "sub"),
        "marker": lambda: make_output_folder(given / "maps"),
        "removal": lambda: remove_file(given / "maps" / "thesis.tex"),
        "removal of a folder": lambda: remove_folder(given / "maps", ["*"]),
        "lock": lambda: only_writer(given, name="state.json").__enter__(),
        "log": lambda: JsonLog(given / "state.json"),
        "draft": lambda: atomic_folder(given / "maps" / "new").__enter__(),
    }


@pytest.mark.parametrize("way", list(links(Path())))
def test_no_link_in_a_folder_of_ours_is_followed(strangers, way):
    given, own = strangers
    with pytest.raises(StorageError, match="symbolic link") as caught:
        links(given)[way]()
    assert len(str(caught.value)) < 300 + len(str(given)) * 2
    assert names(own) == ["thesis.tex"]
    assert (own / "thesis.tex").read_text() == "mine"


def test_a_folder_that_the_user_names_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    out = make_output_folder(tmp_path / "out")
    write_bytes(make_folder(out / "masks") / "a.png", b"x")
    assert (tmp_path / "disk" / "masks" / "a.png").read_bytes() == b"x"
    assert remove_file(out / "masks" / "a.png")


def test_a_link_is_removed_itself(strangers):
    given, own = strangers
    assert remove_file(given / "state.json")
    assert (own / "thesis.tex").read_text() == "mine"
    assert not remove_file(given / "state.json")


def test_only_what_we_put_into_a_folder_is_removed_with_it(tmp_path):
    folder = make_output_folder(tmp_path / "given") / "index"
    folder.mkdir()
    for name in ("a.faiss", "state.json", "thesis.tex"):
        (folder / name).touch()
    assert not remove_folder(folder, ["*.faiss", "state.json"])
    assert names(folder) == ["thesis.tex"]
    (folder / "thesis.tex").unlink()
    assert remove_folder(folder, ["*.faiss", "state.json"])
    assert not folder.exists()
    assert remove_folder(folder, ["*.faiss"])  # gone already


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match="x"), atomic_folder(tmp_path / "a") as draft:  # noqa: PT012
        (draft / "half").touch()
        raise ValueError("x")
    assert names(tmp_path) == []
    with atomic_folder(tmp_path / "a") as draft:
        (draft / "whole").touch()
        assert not (tmp_path / "a").exists()
    assert names(tmp_path) == ["a"]
    with pytest.raises(StorageError), atomic_folder(tmp_path / "a") as draft:
        (draft / "other").touch()
    assert names(tmp_path / "a") == ["whole"]


@pytest.mark.parametrize("way", ["named", "relative", "linked"])
def test_an_empty_folder_that_is_there_is_filled_and_stays_itself(tmp_path, monkeypatch, way):
    """It may be a link, a mounted disk, or where the user's shell is."""
    place = tmp_path / "empty"
    place.mkdir()
    place.chmod(0o750)
    (tmp_path / "link").symlink_to(place)
    monkeypatch.chdir(place)
    before = place.stat().st_ino
    with atomic_folder({"named": place, "relative": Path(), "linked": tmp_path / "link"}[way]) as draft:
        (draft / "table").mkdir()
        (draft / "table" / "rows").touch()
        (draft / "header").touch()
        assert all(entry.name.startswith(".") for entry in place.iterdir())
    assert names(place) == names(Path()) == ["header", "table"]
    assert names(place / "table") == ["rows"]
    assert (place.stat().st_ino, stat.S_IMODE(place.stat().st_mode)) == (before, 0o750)
    assert names(tmp_path) == ["empty", "link"]


def test_a_folder_that_is_not_filled_stays_empty(tmp_path, monkeypatch):
    place = tmp_path / "empty"
    place.mkdir()
    replace, moves = Path.replace, iter((None, OSError(errno.ENOSPC, "full")))

    def fails(self: Path, target: Path) -> Path:
        if failure := next(moves, None):
            raise failure
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(StorageError, match="disk is full"), atomic_folder(place) as draft:  # noqa: PT012
        (draft / "a").touch()
        (draft / "b").touch()
    assert not names(place)
    with pytest.raises(StorageError, match="in the way"), atomic_folder(place) as draft:  # noqa: PT012
        (draft / "a").touch()
        (place / "came meanwhile").touch()
    assert names(place) == ["came meanwhile"]


@pytest.mark.parametrize("there", [True, False])
def test_what_a_kill_leaves_of_a_folder_is_known_and_removed(tmp_path, there):
    """In a folder of ours, where a link of a stranger may lie in it, too."""
    ours, own = make_output_folder(tmp_path / "ours"), tmp_path / "own"
    own.mkdir()
    (own / "thesis.tex").write_text("mine")
    if there:
        (ours / "new").mkdir()
    writing = atomic_folder(ours / "new")
    draft = writing.__enter__()  # and never comes back
    (draft / "half").touch()
    (draft / "link").symlink_to(own)
    (ours / ".notes.reco-tmp").mkdir()
    assert is_vacant(ours / "new")
    (found,) = temporary_leftovers(ours, repair=True)
    assert found.mended
    assert not draft.exists()
    assert names(ours) == [".notes.reco-tmp", OUTPUT_MARKER, *(["new"] if there else [])]
    assert names(own) == ["thesis.tex"]


def test_a_name_as_long_as_the_disk_allows(tmp_path):
    write_bytes(tmp_path / ("a" * 255), b"x")
    assert len(names(tmp_path)[0]) == 255


@pytest.mark.parametrize(
    ("place", "words"),
    [("missing/a.json", "folder does not exist"), ("file/a.json", "is a file"), ("folder", "is a folder")],
)
def test_places_that_cannot_be_written(tmp_path, place, words):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    with pytest.raises(StorageError, match=words):
        write_bytes(tmp_path / place, b"x")
    assert names(tmp_path) == ["file", "folder"]


def test_folders(tmp_path):
    made = make_output_folder(tmp_path / "a" / "b")
    assert names(made) == [OUTPUT_MARKER]
    make_output_folder(made)
    (tmp_path / "file").touch()
    for broken in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(StorageError, match="Cannot write"):
            make_folder(broken)


def test_a_folder_that_a_library_writes_to_may_hold_no_link(strangers):
    given, own = strangers
    (given / "table").mkdir()
    assert unlinked_tree(given / "table") == given / "table"
    assert unlinked_tree(given / "missing") == given / "missing"
    (given / "table" / "deep").mkdir()
    (given / "table" / "deep" / "data").symlink_to(own)
    with pytest.raises(StorageError, match="symbolic link"):
        unlinked_tree(given / "table")


def test_a_copy_is_as_private_as_what_it_is_of(tmp_path):
    path, copy = tmp_path / "a", tmp_path / "b"
    write_bytes(path, b"x")
    path.chmod(0o600)
    write_bytes(copy, b"x", like=path)
    assert stat.S_IMODE(copy.stat().st_mode) == (0o666 if sys.platform == "win32" else 0o600)


def test_renaming(strangers, tmp_path):
    given, own = strangers
    write_bytes(given / "a", b"a")
    write_bytes(given / "b", b"b")
    assert rename(given / "a", given / "b") == given / "b"
    assert (given / "b").read_bytes() == b"a"
    for path, target in (
        (given / "state.json", given / "c"),
        (given / "b", given / "state.json"),
        (given / "b", given / "maps" / "b"),
    ):
        with pytest.raises(StorageError, match="symbolic link"):
            rename(path, target)
    (tmp_path / "x").mkdir()
    with pytest.raises(StorageError, match="folder of that name"):
        rename(tmp_path / "x", given)
    assert names(own) == ["thesis.tex"]


def test_a_file_of_the_user_is_linked_or_copied_and_never_written_into(tmp_path, monkeypatch):
    source, target = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    source.write_bytes(b"photo")
    other = tmp_path / "other.jpg"
    other.write_bytes(b"other")
    os.link(other, target)
    link_or_copy(source, target)
    assert target.samefile(source)
    assert other.read_bytes() == b"other"

    def refused(*_):
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refused)
    link_or_copy(other, target)
    assert (target.read_bytes(), source.read_bytes()) == (b"other", b"photo")
    assert not target.samefile(other)
    assert names(tmp_path) == ["other.jpg", "out.jpg", "photo.jpg"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_cannot_be_linked_or_copied_costs_nothing(strangers, tmp_path, monkeypatch, links):
    given, own = strangers
    source, target = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    source.write_bytes(b"photo")
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (tmp_path / "another disk").stat())
    for link in ("state.json", "maps/thesis.tex"):
        with pytest.raises(StorageError, match="symbolic link"):
            link_or_copy(source, given / link)
    assert (own / "thesis.tex").read_text() == "mine"
    link_or_copy(source, target)
    link_or_copy(source, target)  # the same again, which leaves no temporary name
    with pytest.raises(InputError, match=r"gone\.jpg cannot be read: No such file"):
        link_or_copy(tmp_path / "gone.jpg", target)
    with pytest.raises(InputError, match="documents cannot be read"):
        link_or_copy(own, target)
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="folder"):
        link_or_copy(source, tmp_path / "folder")
    assert target.read_bytes() == b"photo"
    assert names(tmp_path) == ["documents", "folder", "given", "out.jpg", "photo.jpg"]


def test_a_copy_that_fails_halfway_leaves_what_was_there(tmp_path, monkeypatch):
    source, target = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    source.write_bytes(b"photo")
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "link", lambda *_: (tmp_path / "another disk").stat())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        link_or_copy(source, target)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["out.jpg", "photo.jpg"]


@pytest.fixture
def turns(tmp_path, monkeypatch):
    """The system's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_one_at_a_time_keeps_threads_and_processes_apart(turns):
    inside, most = [], []

    def work():
        for _ in range(20):
            with one_at_a_time("a thing"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    with one_at_a_time("another thing"), one_at_a_time("a thing"):
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        assert most == []
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    code = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]; from reco_assist.locks import one_at_a_time\n"
    )
    code += "with one_at_a_time('a thing'): print('in', flush=True)"
    with one_at_a_time("a thing"):
        child = subprocess.Popen([sys.executable, "-c", code, str(turns)], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
    assert child.communicate(timeout=60)[0] == "in\n"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="a temporary folder that all users share")
def test_one_at_a_time_uses_no_place_of_somebody_else(turns, monkeypatch):
    (turns / "own").mkdir()
    place = turns / f"reco-assist-{os.getuid()}"
    place.symlink_to(turns / "own")
    with pytest.raises(StorageError, match="is a symbolic link"), one_at_a_time("a thing"):
        pass
    assert list((turns / "own").iterdir()) == []
    place.unlink()
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    (turns / "reco-assist-4711").mkdir()
    with pytest.raises(StorageError, match="it is somebody else's; remove it"), one_at_a_time("a thing"):
        pass
    assert list((turns / "reco-assist-4711").iterdir()) == []
