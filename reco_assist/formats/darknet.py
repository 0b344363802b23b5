"""YOLO's older folders, as Darknet takes them and CVAT ("YOLO 1.1") and datumaro write them.

`obj.data` names the file of class names and lists of images (`train.txt`); labels lie beside the images.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath

from reco_assist.errors import FormatError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import named
from reco_assist.formats.fields import cut
from reco_assist.formats.names import clean_name, find_image
from reco_assist.formats.yolo_pictures import Picture, moved, picture_name, read_pictures
from reco_assist.text_files import read_text

DARKNET_FILE = "obj.data"
_PARTS = ("train", "valid", "test")


def read_darknet(file: Path, *, images: Path | None = None) -> Dataset:
    """Read a Darknet folder; see `read_pictures`. An image is called as `read_yolo` says.

    Args:
        file: Its obj.data. What it names is looked for below its folder, whatever stands before it.
        images: Folder of the photographs that do not lie beside their labels.

    Raises:
        InputError: There are no images.
        FormatError: A file is damaged, in a sentence that names it.
    """
    root = file.parent
    with named(str(file)):
        said = dict(_line(line) for line in read_text(file).splitlines() if line.strip())
        if not said.get("names"):
            raise FormatError("names no file of names: give names")
        lists = [_below(root, said[part]) for part in _PARTS if said.get(part)]
        if not lists:
            raise FormatError("names no list of images: give train")
        classes = _below(root, said["names"])
    names = [line.strip() for line in read_text(classes).splitlines() if line.strip()]
    if not names:
        raise FormatError(f"{classes} names no class: give a name a line")
    places = list(dict.fromkeys(place for path in lists for place in _places(root, path)))
    parts = {place.parts[0] if len(place.parts) > 1 else "" for place in places}
    whole = root / parts.pop() if len(parts) == 1 else root
    return read_pictures(file, names, _pictures(root, whole, places, images), images or whole)


def _line(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip(), value.strip()


def _below(root: Path, said: str) -> Path:
    found = moved(root, said, Path.is_file)
    if found is None:
        raise FormatError(f"names {cut(said)}, which is not below {root}: put it there")
    return found


def _places(root: Path, path: Path) -> Iterator[PurePath]:
    """Where the images of a list are, or were, below the data set's folder."""
    for number, said in enumerate(map(str.strip, read_text(path).splitlines()), start=1):
        if said:
            with named(f"line {number} of {path}"):
                found = moved(
                    root, said, lambda place: place.is_file() or place.with_suffix(".txt").is_file()
                )
            yield PurePath(clean_name(said)) if found is None else found.relative_to(root)


def _pictures(root: Path, whole: Path, places: list[PurePath], images: Path | None) -> Iterator[Picture]:
    for place in places:
        path = root / place
        part = whole if images is None else root / place.parts[0] if len(place.parts) > 1 else root
        name = picture_name(path, part, images)
        photo = path if images is None or path.is_file() else find_image(images, name)
        yield Picture(photo, name, path.with_suffix(".txt"))
