"""YOLO's data sets as trainers take them: data.yaml, images, and for each a text of outlines or boxes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from reco_assist.errors import FormatError, InputError
from reco_assist.files import inside
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import named
from reco_assist.formats.fields import cut
from reco_assist.formats.names import name_key
from reco_assist.formats.photographs import read_photograph
from reco_assist.formats.regions import annotation, region
from reco_assist.images import list_images
from reco_assist.masks import Rle
from reco_assist.text_files import read_text

YOLO_FILE = "data.yaml"
_PARTS = ("train", "val", "test")
_MOST = 1 << 20  # letters of data.yaml


@dataclass(frozen=True, slots=True)
class _Picture:
    path: Path
    name: str
    labels: Path


def read_yolo(file: Path, *, images: Path | None = None) -> Dataset:
    """Read a YOLO data set of outlines, of boxes, or of both; sizes are those of the photographs, upright.

    A line is a class and, in shares of the image, the corners of an outline or the centre, width and height
    of a box; a score may follow. A photograph that is damaged is left out, and named in `skipped`. An image
    is called as below `images` where that is given and has it, and otherwise as below the folder of its part
    (`images/train`), or below that of all parts where there are several.

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
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    paths: dict[str, Path] = {}
    for picture in _pictures(file.parent, parts, root, images):
        if (other := paths.setdefault(name_key(picture.name), picture.path)) != picture.path:
            raise FormatError(
                f"{cut(str(other), 80)} and {cut(str(picture.path), 80)} would both be called "
                f"{cut(picture.name, 60)}: leave --images out"
            )
        try:
            photo = read_photograph(picture.path, picture.name, None, str(file), reduce_to=1)
        except InputError as error:
            skipped.append((picture.name, str(error)))
            continue
        number, height, width = len(records) + 1, photo.picture.height, photo.picture.width
        size = {"height": height, "width": width}
        records.append({"id": number, "file_name": picture.name, **size, "reco_hash": photo.content_hash})
        for shape, mask in _shapes(picture.labels, len(names), height, width):
            own = annotation(len(annotations) + 1, number, shape["category_id"], mask)
            annotations.append({**own, **shape})
    if not records:
        said = f"; the first: {skipped[0][1]}" if skipped else ""
        raise InputError(f"{file} has no image that can be used below {file.parent}{said}")
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    document = {"images": records, "annotations": annotations, "categories": categories}
    return Dataset(document, str(file), images or root, skipped=tuple(skipped))


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
    """The folder of a part below the data set's own, whatever stands before it: exports are moved about."""
    steps = [step for step in PurePosixPath(part.replace("\\", "/")).parts if step not in ("..", "/", ".")]
    below = PurePosixPath(base).name if isinstance(base, str) else ""
    for start in range(len(steps)):
        for way in ([],) if below in ("", "..") else ([], [below]):
            place = inside(root, str(PurePosixPath(*way, *steps[start:])), links=True)
            if place.is_dir():
                return place
    raise FormatError(f"names images in {cut(part)}, which are not below {root}: put them there")


def _common(parts: list[Path]) -> Path:
    """The folder that holds those of all parts."""
    return next(one for one in parts[0].parents if all(part.is_relative_to(one) for part in parts))


def _pictures(folder: Path, parts: list[Path], root: Path, images: Path | None) -> Iterator[_Picture]:
    for part in parts:
        for path in list_images([part]):
            name = path.relative_to(root).as_posix()
            if images is not None:
                outside = not path.absolute().is_relative_to(images.absolute())
                name = path.relative_to(part).as_posix() if outside else _below(path, images)
            steps = list(path.relative_to(folder).parts)
            if "images" in steps[:-1]:  # the last one, as trainers do
                steps[len(steps) - 2 - steps[-2::-1].index("images")] = "labels"
            yield _Picture(path, name, folder.joinpath(*steps).with_suffix(".txt"))


def _below(path: Path, images: Path) -> str:
    return path.absolute().relative_to(images.absolute()).as_posix()


def _shapes(labels: Path, classes: int, height: int, width: int) -> Iterator[tuple[dict[str, Any], Rle]]:
    """The fields and the pixels of each line of an image's labels; no file, no object."""
    if not labels.is_file():
        return
    for number, line in enumerate(read_text(labels).splitlines(), start=1):
        if line.strip():
            with named(f"line {number} of {labels}"):
                shape = _shape(line.split(), classes, height, width)
                mask = region(shape, height, width)
            yield shape, mask


def _shape(words: list[str], classes: int, height: int, width: int) -> dict[str, Any]:
    values = [float(word) for word in words]
    category, places = values[0], values[1:]
    if not all(map(math.isfinite, values)) or not category.is_integer() or not 0 <= category < classes:
        raise FormatError(f"has the class {cut(words[0])}: give one below {classes}, and finite numbers")
    has_score = len(places) in (5, *range(7, len(places) + 1, 2))
    score = {"score": places.pop()} if has_score else {}
    if len(places) == 4:
        x, y, w, h = (share * side for share, side in zip(places, (width, height) * 2, strict=True))
        shape: dict[str, Any] = {"segmentation": [], "bbox": [x - w / 2, y - h / 2, w, h]}
    elif len(places) >= 6:
        scaled = [share * (height if n % 2 else width) for n, share in enumerate(places)]
        shape = {"segmentation": [scaled]}
    else:
        raise FormatError(f"has {len(places)} numbers: give a box of 4, or an outline of 3 corners or more")
    return {"category_id": int(category), **shape, **score}
