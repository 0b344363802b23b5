"""YOLO's data sets as trainers take them: data.yaml, images, and for each a text of outlines or boxes."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import yaml

from reco_assist.errors import FormatError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import named
from reco_assist.formats.fields import cut
from reco_assist.formats.yolo_pictures import Picture, moved, picture_name, read_pictures
from reco_assist.images import list_images
from reco_assist.text_files import read_text

YOLO_FILE = "data.yaml"
_PARTS = ("train", "val", "test")
_MOST = 1 << 20  # letters of data.yaml


def read_yolo(file: Path, *, images: Path | None = None) -> Dataset:
    """Read a YOLO data set of outlines, of boxes, or of both; see `read_pictures`.

    An image is called as below `images` where that is given and has it, and otherwise as below the folder of
    its part (`images/train`), or below that of all parts where there are several.

    Args:
        file: Its data.yaml. The folders that it names are looked for below its own.
        images: Folder of the photographs, for other data sets' sake; the data set's own if None.

    Raises:
        InputError: There are no images.
        FormatError: A file is damaged, in a sentence that names it.
    """
    with named(str(file)):
        names, parts = _described(file)
    root = parts[0] if len(parts) == 1 else _common(parts)
    return read_pictures(file, names, _pictures(file.parent, parts, root, images), images or root)


def _described(file: Path) -> tuple[list[str], list[Path]]:
    """The names of the classes, by number, and the folders of the images."""
    text = read_text(file)
    if len(text) > _MOST:
        raise FormatError(f"has more than {_MOST:,} letters, which no description of a data set has")
    try:
        said = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormatError(f"is no valid YAML ({cut(str(error), 80)}): write it anew") from None
    if not isinstance(said, Mapping) or not isinstance(said.get("names"), list | dict):
        raise FormatError("names no classes: give names, a list or a table of numbers and names")
    names = said["names"]
    listed = names if isinstance(names, list) else [names[number] for number in range(len(names))]
    # Of what is no text only that is said: an alias of YAML may stand for gigabytes.
    if not all(isinstance(name, str) and name.strip() for name in listed):
        raise FormatError("has a class whose name is no text: give each class a name")
    if "kpt_shape" in said:
        raise FormatError("has key points, which are no masks: export outlines or boxes")
    found: dict[Path, None] = {}
    for part in _PARTS:
        for one in said[part] if isinstance(said.get(part), list) else [said.get(part)]:
            if one and not isinstance(one, str):
                raise FormatError(f"names the images of {part} by what is no text: give a folder")
            if one:
                found[_folder(file.parent, said.get("path"), one)] = None
    if not found:
        raise FormatError("names no folder of images: give train, val or test")
    return list(listed), list(found)


def _folder(root: Path, base: object, part: str) -> Path:
    """The folder of a part below the data set's own."""
    below = PurePosixPath(base).name if isinstance(base, str) else ""
    found = moved(root, part, Path.is_dir, below=("",) if below in ("", "..") else ("", below))
    if found is None:
        raise FormatError(f"names images in {cut(part)}, which are not below {root}: put them there")
    return found


def _common(parts: list[Path]) -> Path:
    """The folder that holds those of all parts."""
    return next(one for one in parts[0].parents if all(part.is_relative_to(one) for part in parts))


def _pictures(folder: Path, parts: list[Path], root: Path, images: Path | None) -> Iterator[Picture]:
    for part in parts:
        for path in list_images([part]):
            name = picture_name(path, root if images is None else part, images)
            steps = list(path.relative_to(folder).parts)
            if "images" in steps[:-1]:  # the last one, as trainers do
                steps[len(steps) - 2 - steps[-2::-1].index("images")] = "labels"
            yield Picture(path, name, folder.joinpath(*steps).with_suffix(".txt"))
