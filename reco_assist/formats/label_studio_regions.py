"""Label Studio's regions as masks: brushes, polygons, boxes and ellipses in the upright image.

Positions and sizes are in percent of the image's width and height, angles in degrees clockwise.
An image that the annotator turned in the editor changes nothing: regions are kept in the upright frame,
whatever `image_rotation` says (measured with release 1.23).
Source: https://labelstud.io/tags, and what a server of release 1.23 sends.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError, InputError, short
from reco_assist.masks import Rle, brush, polygons, rle

KINDS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A region that somebody drew, or left as it was predicted.

    Attributes:
        id: What ties it to the prediction it came from.
        concepts: Its labels.
        mask: In the upright image.
        origin: `prediction` (untouched), `prediction-changed` or `manual`.
    """

    id: str
    concepts: tuple[str, ...]
    mask: Rle
    origin: str


def read_region(region: Mapping[str, Any], *, height: int, width: int) -> Drawn | None:
    """Read a region; None where it is of another kind, has no label or holds no pixel.

    Args:
        region: One entry of an annotation's or a prediction's `result`.
        height: Pixels of the upright image.
        width: Pixels of the upright image.

    Raises:
        FormatError: It is damaged, or drawn on an image of another size.
    """
    kind, value = region.get("type"), region.get("value") or {}
    if kind not in KINDS or not value.get(kind):
        return None
    name = short(region.get("id"), 40)
    if not isinstance(value[kind], list) or not all(isinstance(one, str) for one in value[kind]):
        raise FormatError(f"Region {name} has labels that are no texts: {short(value[kind])}.")
    size = (region.get("original_height", height), region.get("original_width", width))
    if size != (height, width):
        raise FormatError(
            f"Region {name} was drawn on {short(size[1], 20)} x {short(size[0], 20)} pixels, but the image "
            f"has {width} x {height}; give the image that was annotated."
        )
    try:
        mask = _mask(str(kind), value, height, width)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"Region {name} ({kind}) cannot be read: {short(error, 150)}.") from error
    if mask is None or not rle.area(mask):
        return None
    return Drawn(str(region.get("id")), tuple(value[kind]), mask, str(region.get("origin") or "manual"))


def _mask(kind: str, value: Mapping[str, Any], height: int, width: int) -> Rle | None:
    frame = np.array([width, height]) / 100
    if kind == "brushlabels":
        if value.get("format") != "rle":
            raise InputError(f"its format is {value.get('format')!r}, not rle")
        return rle.encode(brush.decode(value["rle"], height=height, width=width))
    if kind == "polygonlabels":
        points = _finite(value["points"]).reshape(-1, 2) * frame  # (n, 2)
    elif kind == "rectanglelabels":
        points = _box(value, frame)  # (4, 2)
    else:
        return rle.encode(_ellipse(value, frame, height, width))
    points = points.clip(0, [width, height])
    return polygons.fill([points], height, width) if len(points) > 2 else None


def _box(value: Mapping[str, Any], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 2) corners in pixels; a box turns around its first corner."""
    x, y = _finite([value["x"], value["y"]]) * frame
    width, height = _finite([value["width"], value["height"]]) * frame
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])  # (4, 2)
    turned: NDArray[np.float64] = np.array([x, y]) + corners @ _turn(value).T
    return turned


def _ellipse(
    value: Mapping[str, Any], frame: NDArray[np.float64], height: int, width: int
) -> NDArray[np.bool_]:
    """(H, W) bool: pixels whose middle lies in the ellipse."""
    centre = _finite([value["x"], value["y"]]) * frame
    radii = _finite([value["radiusX"], value["radiusY"]]) * frame
    rows, columns = np.mgrid[:height, :width] + 0.5  # (H, W)
    away = np.stack([columns, rows], -1) - centre  # (H, W, 2)
    inside: NDArray[np.bool_] = (((away @ _turn(value)) / np.maximum(radii, 1e-9)) ** 2).sum(
        -1
    ) <= 1  # (H, W)
    return inside


def _finite(numbers: Sequence[Any]) -> NDArray[np.float64]:
    values = np.asarray(numbers, np.float64)
    if not np.isfinite(values).all():
        raise InputError("a coordinate is infinite or no number")
    return values


def _turn(value: Mapping[str, Any]) -> NDArray[np.float64]:
    """(2, 2) rotation of a region, clockwise on the screen where y points down."""
    angle = math.radians(float(value.get("rotation") or 0))
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
