"""Label Studio's regions as masks: brushes, polygons, boxes and ellipses in the upright image.

Positions and sizes are in percent of the image's width and height, angles in degrees clockwise.
An image that the annotator turned in the editor changes nothing: regions are kept in the upright frame,
whatever `image_rotation` says (measured with release 1.23).
Source: https://labelstud.io/tags, and what a server of release 1.23 sends.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import ImageRef
from reco_assist.errors import FormatError, InputError, short
from reco_assist.masks import Rle, brush, polygons, rle

_UNREAD = "regions without a label, without a pixel or of another kind"
_WITHOUT_AREA = {"choices", "textarea", "rating", "relation"}
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


def read_regions(
    results: Sequence[Mapping[str, Any]], image: ImageRef, notes: Counter[str]
) -> tuple[Drawn, ...]:
    """Regions of a result; the parts that a mask was cut into are one again.

    Args:
        results: An annotation's or a prediction's `result`.
        image: The upright image.
        notes: Counts what is left out, in words.

    Raises:
        FormatError: A region is damaged, or drawn on an image of another size.
    """
    regions: dict[str, Drawn] = {}
    for result in results:
        try:
            found = read_region(result, height=image.height, width=image.width)
        except FormatError as error:
            raise FormatError(f"{short(image.file_name)}: {short(error, 200)}") from error
        if found is None:
            if result.get("type") not in _WITHOUT_AREA:
                notes[_UNREAD] += 1
            continue
        whole = found.id.partition("_")[0] if _is_part(found.id) else found.id
        before = regions.get(whole)
        if before is not None and before.concepts == found.concepts:
            origin = before.origin if before.origin == found.origin else "prediction-changed"
            mask = rle.union([before.mask, found.mask])
            regions[whole] = replace(before, mask=mask or before.mask, origin=origin)
        else:
            regions[whole if before is None else found.id] = replace(found, id=whole)
    return tuple(regions.values())


def _is_part(region: str) -> bool:
    """Whether an id is ours for a part of a mask: 13 hexadecimal digits, an underscore and a number."""
    whole, _, part = region.partition("_")
    return len(whole) == 13 and part.isdecimal() and all(letter in "0123456789abcdef" for letter in whole)


def _mask(kind: str, value: Mapping[str, Any], height: int, width: int) -> Rle | None:
    frame = np.array([width, height]) / 100
    if kind == "brushlabels":
        if value.get("format") != "rle":
            raise InputError(f"its format is {value.get('format')!r}, not rle")
        return rle.encode(brush.decode(value["rle"], height=height, width=width))
    if kind == "polygonlabels":
        return polygons.fill_inside([_finite(value["points"]).reshape(-1, 2) * frame], height, width)
    corner, turned = _finite([value["x"], value["y"]]) * frame, float(value.get("rotation") or 0)
    if kind == "rectanglelabels":  # which turns around its first corner
        size = _finite([value["width"], value["height"]]) * frame
        return polygons.fill_inside([polygons.box(corner, size, turned, corner)], height, width)
    radii = _finite([value["radiusX"], value["radiusY"]]) * frame
    return polygons.ellipse(corner, radii, turned, height, width)


def _finite(numbers: Sequence[Any]) -> NDArray[np.float64]:
    values = np.asarray(numbers, np.float64)
    if not np.isfinite(values).all():
        raise InputError("a coordinate is infinite or no number")
    return values
