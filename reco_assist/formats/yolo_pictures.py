"""The photographs of YOLO data sets and the label files beside them, whatever file describes the folders."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from reco_assist.errors import FormatError, InputError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import named
from reco_assist.formats.fields import cut, file_name
from reco_assist.formats.names import name_key
from reco_assist.formats.photographs import read_photograph
from reco_assist.formats.regions import annotation, region
from reco_assist.masks import Rle
from reco_assist.safe_paths import inside
from reco_assist.text_files import read_text


@dataclass(frozen=True, slots=True)
class Picture:
    """A photograph of a YOLO data set.

    Attributes:
        path: Its file.
        name: What the data set calls it.
        labels: The file of its objects; none where it shows none.
    """

    path: Path
    name: str
    labels: Path


def read_pictures(
    source: Path, names: Sequence[str], pictures: Iterable[Picture], folder: Path | None
) -> Dataset:
    """Read the label files; a photograph that is missing or damaged is left out, and named in `skipped`.

    A line is a class and, in shares of the image, the corners of an outline or the centre, width and height
    of a box; a score may follow. Sizes are those of the photographs, upright.

    Args:
        source: The file that describes the data set.
        names: Of the classes, numbered from 0.
        pictures: Its photographs.
        folder: What the names of the photographs are relative to.

    Raises:
        InputError: No photograph can be used.
        FormatError: A label file is damaged, or two photographs have one name.
    """
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    paths: dict[str, Path] = {}
    for picture in pictures:
        if (other := paths.setdefault(name_key(picture.name), picture.path)) != picture.path:
            raise FormatError(
                f"{cut(str(other), 80)} and {cut(str(picture.path), 80)} would both be called "
                f"{cut(picture.name, 60)}: rename one, or leave --images out"
            )
        try:
            photo = read_photograph(picture.path, picture.name, None, str(source), reduce_to=1)
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
        raise InputError(f"{source} has no image that can be used below {source.parent}{said}")
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    document = {"images": records, "annotations": annotations, "categories": categories}
    return Dataset(document, str(source), folder, skipped=tuple(skipped))


def picture_name(path: Path, part: Path, images: Path | None) -> str:
    """A photograph's name: as below `images` where that has it, else as below the folder of its part."""
    absolute = path.absolute()
    if images is not None and absolute.is_relative_to(images.absolute()):
        return absolute.relative_to(images.absolute()).as_posix()
    return path.relative_to(part).as_posix()


def moved(
    root: Path, said: str, is_it: Callable[[Path], bool], *, below: Sequence[str] = ("",)
) -> Path | None:
    """What a path names below the data set's own folder, whatever stands before it: exports are moved about.

    Args:
        root: The data set's folder.
        said: The path, as its file has it.
        is_it: Whether a place is what is looked for.
        below: Folders to look in, relative to the data set's.

    Raises:
        FormatError: No file can have such a name.
    """
    steps = [
        step
        for step in PurePosixPath(file_name(said).replace("\\", "/")).parts
        if step not in ("..", "/", ".")
    ]
    for start in range(len(steps)):
        for way in below:
            place = inside(root, str(PurePosixPath(way, *steps[start:])), links=True)
            if is_it(place):
                return place
    return None


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
