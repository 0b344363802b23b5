"""A COCO data set as it is on disk: every record and every field is kept, also those we know nothing of."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reco_assist.errors import FormatError, InputError
from reco_assist.export.stream import dumps
from reco_assist.files import write_bytes
from reco_assist.masks import Rle, rle

Record = Mapping[str, Any]
Id = int | str
"""COCO's ids are whole numbers; some tools write text, which is kept."""

_PARTS = ("images", "annotations", "categories")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, categories and annotations that belong together. Records are never changed in place.

    Attributes:
        document: The whole COCO document.
        source: What it is called in messages: its file.
    """

    document: Mapping[str, Any]
    source: str

    def __post_init__(self) -> None:
        _check(self.document, self.source)

    @cached_property
    def images(self) -> dict[Id, Record]:
        """Records of the images, by id."""
        return {one["id"]: one for one in self.document["images"]}

    @cached_property
    def categories(self) -> dict[Id, str]:
        """Names of the concepts, by category id."""
        return {one["id"]: one["name"] for one in self.document["categories"]}

    @cached_property
    def annotations(self) -> dict[Id, list[Record]]:
        """The records of the annotations of each image, by image id, in the order of the file."""
        found: dict[Id, list[Record]] = {number: [] for number in self.images}
        for one in self.document["annotations"]:
            found[one["image_id"]].append(one)
        return found

    def concept(self, annotation: Record) -> str:
        """The name of an annotation's concept."""
        return self.categories[annotation["category_id"]]

    def mask(self, annotation: Record) -> Rle:
        """The mask of an annotation; where it has a box alone, the pixels of the box.

        Raises:
            FormatError: Its segmentation is damaged or of another size.
        """
        image = self.images[annotation["image_id"]]
        height, width = image["height"], image["width"]
        try:
            if annotation.get("segmentation"):
                return rle.from_coco(annotation["segmentation"], height, width)
            return _box(annotation["bbox"], height, width)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(
                f"annotation {annotation['id']!r} of {self.source} has no usable mask ({error}): "
                "write it anew, or leave it out"
            ) from error

    def with_annotations(self, annotations: Iterable[Record]) -> "Dataset":
        """The same images with other annotations."""
        return Dataset({**self.document, "annotations": list(annotations)}, self.source)

    def only(self, images: Iterable[Id]) -> "Dataset":
        """Some of its images with their annotations, in its own order; nothing else changes."""
        wanted = set(images)
        return Dataset(
            {
                **self.document,
                "images": [one for one in self.document["images"] if one["id"] in wanted],
                "annotations": [one for one in self.document["annotations"] if one["image_id"] in wanted],
            },
            self.source,
        )


def is_crowd(annotation: Record) -> bool:
    """Whether an annotation is a region to ignore: COCO's `iscrowd`, or the `ignore` of some tools."""
    return bool(annotation.get("iscrowd") or annotation.get("ignore"))


def name_key(file_name: str) -> str:
    """What two data sets must agree on for an image to be the same file."""
    return file_name.replace("\\", "/").removeprefix("./")


def read_coco(path: Path) -> Dataset:
    """Read a COCO file.

    Raises:
        InputError: There is no such file.
        FormatError: It is not a COCO data set, or its ids are inconsistent.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}: name a COCO file, such as that of 'reco-assist segment'")
    try:
        return Dataset(json.loads(path.read_text(encoding="utf-8")), str(path))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(f"{path} is not readable JSON ({error}): name a COCO file") from error


def write_coco(path: Path, dataset: Dataset) -> None:
    """Write a data set as one COCO file, whole or not at all.

    Raises:
        StorageError: The file cannot be written.
    """
    write_bytes(path, dumps(dataset.document).encode())


def _check(document: object, source: str) -> None:
    """Raises FormatError unless the document is a COCO data set whose ids are unique and resolve."""
    if not isinstance(document, Mapping) or not all(isinstance(document.get(part), list) for part in _PARTS):
        raise FormatError(
            f"{source} is not a COCO data set: expected lists of images, annotations and categories"
        )
    fields = {"images": ("file_name", "height", "width"), "annotations": ("image_id", "category_id")}
    ids: dict[str, set[Id]] = {}
    for part in _PARTS:
        ids[part] = _ids(document[part], part, ("id", *fields.get(part, ("name",))), source)
    for one in document["annotations"]:
        named = (one["image_id"], ids["images"]), (one["category_id"], ids["categories"])
        if not all(isinstance(id_, int | str) and id_ in known for id_, known in named):
            raise FormatError(
                f"annotation {one['id']!r} of {source} is of image {one['image_id']!r} and category "
                f"{one['category_id']!r}, one of which is not listed: add it, or leave the annotation out"
            )
    for image in document["images"]:
        if not all(isinstance(image[side], int) and image[side] > 0 for side in ("height", "width")):
            raise FormatError(
                f"image {image['id']!r} of {source} has no size: give height and width in pixels"
            )


def _ids(records: Sequence[Any], part: str, fields: Sequence[str], source: str) -> set[Id]:
    seen: set[Id] = set()
    for one in records:
        if not isinstance(one, Mapping) or not all(field in one for field in fields):
            raise FormatError(
                f"{source} has an entry of {part} without {', '.join(fields)}: add what is missing"
            )
        if not isinstance(one["id"], int | str) or one["id"] in seen:
            raise FormatError(
                f"the id {one['id']!r} is there twice, or is none, in {part} of {source}: make it unique"
            )
        seen.add(one["id"])
    return seen


def _box(box: Sequence[float], height: int, width: int) -> Rle:
    x, y, w, h = (float(value) for value in box)
    mask = np.zeros((height, width), np.bool_)
    mask[max(0, round(y)) : max(0, round(y + h)), max(0, round(x)) : max(0, round(x + w))] = True
    return rle.encode(mask)


def by_concept(dataset: Dataset) -> dict[str, list[Record]]:
    """The annotations of each concept, crowds included, in the order of the categories."""
    found: dict[str, list[Record]] = defaultdict(list)
    for name in dataset.categories.values():
        found[name] = []
    for one in dataset.document["annotations"]:
        found[dataset.concept(one)].append(one)
    return dict(found)
