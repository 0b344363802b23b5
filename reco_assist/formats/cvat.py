"""CVAT's file for images: one XML with polygons, boxes, ellipses and masks.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/ (version 1.1).
"""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import WITHOUT_AREA, Document, named
from reco_assist.formats.fields import cut, number, whole
from reco_assist.masks import Rle, rle
from reco_assist.masks.polygons import box, ellipse, fill_inside

_WITHOUT_AREA = {"polyline", "points", "cuboid", "skeleton", "tag"}


def read_cvat(root: ET.Element, path: Path, *, images: Path | None = None) -> Dataset:
    """Read a file; lines, points, cuboids and tags are left out and counted.

    Args:
        root: The XML.
        path: Its file.
        images: Folder of the photographs; the file's own if None.

    Raises:
        FormatError: It is damaged, or of a video task.
    """
    made = Document(str(path))
    if root.tag != "annotations":
        raise FormatError(f"{path} is no CVAT file: export the task as 'CVAT for images 1.1'")
    if root.find("track") is not None:
        raise FormatError(f"{path} has the tracks of a video: export the task as 'CVAT for images 1.1'")
    for one in root.iterfind("image"):
        with named(f"image {cut(one.get('name'), 80)} of {path}"):
            _read(made, one)
    return made.dataset(images or path.parent)


def _read(made: Document, element: ET.Element) -> None:
    width, height = whole(element.attrib["width"]), whole(element.attrib["height"])
    image = made.image(element.attrib["name"], width, height)
    for shape in element:
        if shape.tag in _WITHOUT_AREA:
            made.left_out[WITHOUT_AREA] += 1
        else:
            made.add(image, shape.attrib["label"], _mask(shape, height, width))


def _mask(shape: ET.Element, height: int, width: int) -> Rle:
    turned = number(shape.get("rotation", "0"))
    if shape.tag == "polygon":
        return fill_inside([_points(shape.attrib["points"])], height, width)
    if shape.tag == "box":  # which turns around its middle
        left, top, right, bottom = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
        size, middle = (right - left, bottom - top), ((left + right) / 2, (top + bottom) / 2)
        return fill_inside([box((left, top), size, turned, middle)], height, width)
    if shape.tag == "ellipse":
        x, y, *radii = _numbers(shape, "cx", "cy", "rx", "ry")
        return ellipse((x, y), radii, turned, height, width)
    if shape.tag == "mask":
        return _crop(shape, height, width)
    raise FormatError(f"the shape {cut(shape.tag)} is none of polygon, box, ellipse and mask")


def _crop(shape: ET.Element, height: int, width: int) -> Rle:
    """A mask in its box: runs along the rows, the first of the background."""
    left, top, w, h = (whole(shape.attrib[side]) for side in ("left", "top", "width", "height"))
    rle.check_size(h, w)
    runs = [whole(one) for one in shape.attrib["rle"].split(",")]
    if sum(runs) != w * h or min(runs) < 0:
        raise FormatError(f"a mask of {w} x {h} pixels has runs of {sum(runs)} pixels")
    if left < 0 or top < 0 or left + w > width or top + h > height:
        raise FormatError("a mask reaches out of its image")
    crop = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(h, w)  # (h, w)
    return rle.encode_crop(crop, x=left, y=top, height=height, width=width)


def _points(text: str) -> NDArray[np.float64]:
    """(n, 2) of `x1,y1;x2,y2`."""
    pairs = [[number(one) for one in pair.split(",")] for pair in text.split(";")]
    return np.array(pairs, np.float64).reshape(-1, 2)


def _numbers(shape: ET.Element, *names: str) -> list[float]:
    return [number(shape.attrib[name]) for name in names]
