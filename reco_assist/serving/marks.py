"""What annotators draw: regions of Label Studio, checked once on entry, and their pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError, reason
from reco_assist.formats.label_studio_regions import KINDS, read_region
from reco_assist.json_files import number, text, whole
from reco_assist.masks import polygons, rle

Region = Mapping[str, Any]

_CLICK = "keypointlabels"
_POINT = 0.02  # radius of a click, as a share of the image's longer side
_LONGEST = 100_000  # pixels of a side


def check_regions(found: object) -> tuple[Region, ...]:
    """Regions as somebody sent them, if every part that is used later is of its kind.

    Raises:
        FormatError: One is not.
    """
    if not isinstance(found, list | tuple):
        raise FormatError(f"the regions are a {type(found).__name__}, expected a list")
    for place, region in enumerate(found, 1):
        try:
            _check(region)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"region {place} cannot be read ({reason(error)}): send what Label Studio sent"
            ) from None
    return tuple(found)


def _check(region: object) -> None:
    if not isinstance(region, dict):
        raise TypeError(f"a {type(region).__name__}")
    for key in ("type", "to_name", "from_name", "origin"):
        if region.get(key) is not None:
            text(region[key])
    value = region.get("value")
    if not isinstance(value, dict | None):
        raise TypeError("its value is no object")
    if region.get("type") not in {*KINDS, _CLICK}:
        return
    labels = (value or {}).get(region["type"]) or []
    if not isinstance(labels, list):
        raise TypeError("its labels are no list")
    for label in labels:
        _check_label(text(label))
    for side in ("original_width", "original_height"):
        if side in region and not 0 < whole(region[side]) <= _LONGEST:
            raise ValueError(f"{side} {region[side]}")
    if region["type"] == _CLICK and value is not None:
        number(value["x"]), number(value["y"])


def _check_label(label: str) -> None:
    """Refuse what no file can be named after, and no editor shows."""
    label.encode()
    if not label.strip() or any(ord(letter) < 32 for letter in label):
        raise ValueError(f"the label {label[:40]!r}")


def labels_of(region: Region) -> tuple[str, ...]:
    """The labels of a region; none of one that has no place in the image."""
    kind = region.get("type")
    labels = (region.get("value") or {}).get(kind) if kind in {*KINDS, _CLICK} else None
    return tuple(labels or ())


def masks_of(regions: Sequence[Region], height: int, width: int) -> dict[str, NDArray[np.bool_]]:
    """The pixels (H, W) of each label; those of clicks are small discs.

    Raises:
        FormatError: A region is damaged, or was drawn on an image of another size.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    for region in regions:
        if region.get("type") == _CLICK:
            if not labels_of(region):
                continue
            mask, labels = _disc(region["value"], height, width), labels_of(region)
        else:
            drawn = read_region(region, height=height, width=width)
            if drawn is None:
                continue
            mask, labels = rle.decode(drawn.mask), drawn.concepts
        for label in labels:
            masks[label] = masks[label] | mask if label in masks else mask
    return masks


def _disc(value: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    centre = float(value["x"]) * width / 100, float(value["y"]) * height / 100
    radius = max(1.0, _POINT * max(height, width))
    return rle.decode(polygons.ellipse(centre, (radius, radius), 0, height, width))
