"""A folder of labelme files: one JSON beside each photograph, with the shapes drawn on it.

Source: https://github.com/wkentaro/labelme, examples and `labelme/utils/shape.py` (releases 3 to 5).
"""

import base64
import binascii
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError, ImageError
from reco_assist.formats.coco import read_document
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import WITHOUT_AREA, Document, named
from reco_assist.formats.fields import cut, number, whole
from reco_assist.formats.names import clean_name
from reco_assist.image_files import load_image
from reco_assist.masks import Rle, rle
from reco_assist.masks.polygons import ellipse, fill_inside

_WITHOUT_AREA = {"point", "points", "line", "linestrip"}


def is_labelme(document: object) -> bool:
    """Whether a JSON document is labelme's."""
    return (
        isinstance(document, Mapping) and isinstance(document.get("shapes"), list) and "imagePath" in document
    )


def read_labelme(folder: Path, files: list[Path], *, images: Path | None = None) -> Dataset:
    """Read labelme's files. Shapes of one label and group are one region; points and lines are left out.

    Args:
        folder: What file names are relative to.
        files: labelme's files, somewhere below it.
        images: Folder of the photographs; they lie beside the files if None.

    Raises:
        FormatError: A file is damaged, in one sentence that names it.
    """
    made = Document(str(folder))
    for file in files:
        document = read_document(file)
        what = f"{file.relative_to(folder).as_posix()} of {folder}"
        if not is_labelme(document):
            raise FormatError(f"{what} is no labelme file, which the others are: take it out of the folder")
        with named(what):
            _read(made, document, file, folder)
    return made.dataset(images or folder)


def _read(made: Document, document: Mapping[str, Any], file: Path, folder: Path) -> None:
    name = posixpath.normpath(
        clean_name((file.parent.relative_to(folder) / clean_name(document["imagePath"])).as_posix())
    )
    origin = name
    if name.startswith("../"):  # the photographs lie elsewhere, so that only their names are known
        name = posixpath.basename(name)
    height, width = whole(document["imageHeight"]), whole(document["imageWidth"])
    image = made.image(name, width, height, origin=origin)
    groups: dict[tuple[object, ...], list[Rle]] = {}
    for position, shape in enumerate(document["shapes"]):
        kind, group = shape.get("shape_type") or "polygon", shape.get("group_id")
        if kind in _WITHOUT_AREA:
            made.left_out[WITHOUT_AREA] += 1
            continue
        key = (shape["label"], position) if group is None else (shape["label"], None, str(group))
        groups.setdefault(key, []).append(_mask(kind, shape, height, width))
    for (label, *_), masks in groups.items():
        made.add(image, label, rle.union(masks) or masks[0])


def _mask(kind: str, shape: Mapping[str, Any], height: int, width: int) -> Rle:
    points = np.array([[number(one) for one in point] for point in shape["points"]], np.float64).reshape(
        -1, 2
    )
    if kind == "polygon":
        return fill_inside([points], height, width)
    if kind == "rectangle":
        (x, y), (right, bottom) = points.min(0), points.max(0)
        return fill_inside([np.array([[x, y], [right, y], [right, bottom], [x, bottom]])], height, width)
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        return ellipse(points[0], (radius, radius), 0, height, width)
    if kind == "mask":
        return _crop(shape["mask"], points, height, width)
    raise FormatError(f"the shape {cut(kind)} is none of polygon, rectangle, circle and mask")


def _crop(packed: str, points: NDArray[np.float64], height: int, width: int) -> Rle:
    """A mask that is drawn in its box alone: a PNG in base64, its top left pixel at the first point."""
    try:
        crop = (
            np.asarray(load_image(base64.b64decode(packed, validate=True), "L", formats=("PNG",))) > 0
        )  # (h, w)
    except (binascii.Error, ImageError) as error:
        raise FormatError(f"a mask cannot be read ({cut(str(error), 80)})") from None
    x, y = (int(one) for one in points.min(0))
    mask = np.zeros((height, width), np.bool_)
    into = mask[max(0, y) : max(0, y + crop.shape[0]), max(0, x) : max(0, x + crop.shape[1])]
    into[:] = crop[max(0, -y) :, max(0, -x) :][: into.shape[0], : into.shape[1]]
    return rle.encode(mask)
