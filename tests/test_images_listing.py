import inspect
import os
import sys
import types
from pathlib import Path

import pytest

from reco_assist.errors import InputError, RecoAssistWarning
from reco_assist.folders import make_output_folder
from reco_assist.images import list_images
from reco_assist.images.listing import is_output
from reco_assist.safe_paths import OUTPUT_MARKER


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def listed(root: Path, **options: object) -> list[str]:
    return [path.relative_to(root).as_posix() for path in list_images([root], **options)]


def test_sorted_recursive_and_only_images(tmp_path):
    touch(tmp_path, "b.JPG", "a/z.png", "a/b/c.webp", "a.tif", "c.gif", "d.bmp", "e.jpeg", "f.jfif")
    touch(tmp_path, "note.txt", "jpg", "movie.mp4", "no.jpg.zip")
    (tmp_path / "folder.jpg").mkdir()
    assert listed(tmp_path) == [
        "a/b/c.webp",
        "a/z.png",
        "a.tif",
        "b.JPG",
        "c.gif",
        "d.bmp",
        "e.jpeg",
        "f.jfif",
    ]


def test_hidden_entries_and_our_own_results_are_left_out(tmp_path):
    touch(tmp_path, "ok.jpg", ".hidden.jpg", "._ok.jpg", ".git/x.jpg", "my.reco/thumb.jpg", "out/masks/m.png")
    touch(tmp_path, f"out/{OUTPUT_MARKER}", "marked/deep/er/x.jpg")
    make_output_folder(tmp_path / "marked" / "deep")
    assert listed(tmp_path) == ["ok.jpg"]
    assert is_output(tmp_path / "out")
    assert not is_output(tmp_path)


def test_given_files_are_taken_as_they_are(tmp_path):
    touch(tmp_path, "odd.dat", ".hidden.jpg", "a/b.jpg")
    given = [tmp_path / "odd.dat", tmp_path / ".hidden.jpg", tmp_path / "a"]
    assert list(list_images(given)) == [*given[:2], tmp_path / "a" / "b.jpg"]


def test_skip(tmp_path):
    touch(tmp_path, "a/1.jpg", "b/2.jpg", "b/c/3.jpg")
    assert listed(tmp_path, skip=[tmp_path / "b", tmp_path / "missing"]) == ["a/1.jpg"]
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert listed(tmp_path, skip=[tmp_path / "link"]) == ["a/1.jpg"]


def test_links_are_followed_once_and_loops_end(tmp_path):
    touch(tmp_path, "photos/a.jpg", "photos/deep/b.jpg", "elsewhere/c.jpg")
    photos = tmp_path / "photos"
    (photos / "deep" / "up").symlink_to(photos)
    (photos / "self").symlink_to("self")
    (photos / "dangling.jpg").symlink_to("nothing.jpg")
    (photos / "more").symlink_to(tmp_path / "elsewhere")
    (photos / "more2").symlink_to(tmp_path / "elsewhere")
    (photos / "linked.jpg").symlink_to(tmp_path / "elsewhere" / "c.jpg")
    assert listed(photos) == ["a.jpg", "deep/b.jpg", "linked.jpg", "more/c.jpg"]


def test_overlapping_roots_are_listed_once(tmp_path):
    touch(tmp_path, "a.jpg", "sub/b.jpg")
    found = list(list_images([tmp_path, tmp_path / "sub", tmp_path]))
    assert found == [tmp_path / "a.jpg", tmp_path / "sub" / "b.jpg"]


def test_lazy(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    scanned = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (scanned.append(Path(path).name), real(path))[1])
    images = list_images([tmp_path])
    assert isinstance(images, types.GeneratorType)
    next(images)
    assert "b" not in scanned
    next(images)
    assert "b" in scanned


@pytest.mark.parametrize("name", ["missing", "run.reco", "out"])
def test_roots_that_cannot_be_input(tmp_path, name):
    touch(tmp_path, "run.reco/a.jpg", "ok/a.jpg")
    make_output_folder(tmp_path / "out")
    with pytest.raises(InputError, match=name):
        next(list_images([tmp_path / "ok", tmp_path / name]))


def test_folders_that_cannot_be_listed(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "locked/b.jpg", "z.jpg")
    real = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.warns(RecoAssistWarning, match="locked"):
        assert listed(tmp_path) == ["a.jpg", "z.jpg"]
    with pytest.raises(InputError, match="cannot be listed"):
        next(list_images([tmp_path / "locked"]))


def test_folders_nested_deeper_than_python_recurses(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 150)
    deep.mkdir(parents=True)
    (deep / "x.jpg").touch()
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert len(listed(tmp_path)) == 1
    finally:
        sys.setrecursionlimit(before)
