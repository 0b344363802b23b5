"""What phones and cameras write is read; what is not read is counted by its ending."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEncoder
from PIL import Image
from typer.testing import CliRunner

from reco_assist.archive import Archive
from reco_assist.cli.app import app
from reco_assist.errors import ImageError, InputError
from reco_assist.images import decode, list_images
from reco_assist.runs import list_targets

HEIC = Path(__file__).parent / "expected" / "quarters.heic"
CORNERS = [[200, 40, 40], [40, 200, 40], [40, 40, 200], [230, 230, 230]]


def quarters():
    """The picture of the HEIC file: red and green above blue and white."""
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:12, :20], pixels[:12, 20:], pixels[12:, :20], pixels[12:, 20:] = CORNERS
    return Image.fromarray(pixels)


FORMATS = {
    "a.HEIC": lambda path: shutil.copy(HEIC, path),
    "a.hif": lambda path: shutil.copy(HEIC, path),
    "a.avif": lambda path: quarters().save(path, "AVIF", quality=95),
    "a.jp2": lambda path: quarters().save(path, "JPEG2000"),
    "a.j2k": lambda path: quarters().save(path, "JPEG2000", no_jp2=True),
    "a.mpo": lambda path: quarters().save(
        path, "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))], quality=95
    ),
    "a.jpe": lambda path: quarters().save(path, "JPEG", quality=95),
    "a.ppm": lambda path: quarters().save(path, "PPM"),
    "photo of 1998": lambda path: quarters().save(path, "JPEG", quality=95),
    "heic without an ending": lambda path: shutil.copy(HEIC, path),
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_found_and_read(tmp_path, name):
    path = tmp_path / name
    FORMATS[name](path)
    assert list(list_images([tmp_path])) == [path]
    picture = decode(path)
    assert (picture.width, picture.height) == (40, 24)
    found = picture.pixels[[2, 2, -3, -3], [3, -4, 3, -4]].astype(int)
    assert np.abs(found - CORNERS).max() < 14


@pytest.mark.parametrize("name", ["a.avif", "a.jpe"])
def test_they_are_turned_as_they_say(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    quarters().save(tmp_path / name, "AVIF" if name == "a.avif" else "JPEG", exif=exif, quality=95)
    picture = decode(tmp_path / name)
    assert (picture.width, picture.height) == (24, 40)
    found = picture.pixels[[3, 3, -4, -4], [2, -3, 2, -3]].astype(int)
    assert np.abs(found - [CORNERS[n] for n in (2, 0, 3, 1)]).max() < 14


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [12, 40, 0.2, 0.5])
def test_what_is_cut_short_is_one_sentence(tmp_path, name, size):
    FORMATS[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    data = data[: size if size > 1 else int(len(data) * size)]
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert len(str(caught.value)) < 300


def test_too_many_pixels_are_refused_by_the_header():
    with pytest.raises(ImageError, match="40 x 24 pixels, more than the 900 allowed"):
        decode(HEIC.read_bytes(), max_pixels=900)


@pytest.fixture
def mixed(tmp_path):
    """Ten photographs, and five files that are none or not read."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, (name, save) in enumerate(FORMATS.items()):
        (folder / f"{number}").mkdir()
        save(folder / f"{number}" / name)
    for name in ("raw.CR3", "b.cr3", "notes.txt", "without", "clip.mov"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypcrx or anything")
    return folder


def test_index_and_segment_count_what_they_do_not_read(mixed, tmp_path):
    wanted = {".cr3": 2, ".txt": 1, ".mov": 1, "": 1}
    report = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder()).add(mixed, progress=False)
    assert report.unread == wanted
    assert not report.rejected
    assert report.added + report.duplicates == len(FORMATS)
    unread = Counter()
    assert len(list_targets(mixed, unread=unread)) == len(FORMATS)
    assert unread == wanted
    words = ["index", str(tmp_path / "y.reco"), str(mixed), "--encoder", "offline", "--json"]
    done = CliRunner().invoke(app, words)
    assert "5 files of other formats left out (2 .cr3, 1 without an ending, 1 .mov, 1 .txt)" in done.stderr
    assert json.loads(done.stdout)["unread"] == wanted


def test_a_folder_of_nothing_else_is_refused_with_the_count(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(9):
        (folder / f"a.x{number}").touch()
    said = r"9 files of other formats left out \(1 \.x0, .*, 3 others\)"
    with pytest.raises(InputError, match=said):
        Archive.create(tmp_path / "x.reco", encoder=FakeEncoder()).add(folder, progress=False)
    with pytest.raises(InputError, match=said) as caught:
        list_targets(folder)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 300
