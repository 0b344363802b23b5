"""What an annotation's region is: its mask, or else its box. One meaning, whatever reads it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.errors import FormatError
from reco_assist.masks import Rle, rle


def has_mask(segmentation: object) -> bool:
    """Whether a `segmentation` says anything: null, [], [[]] and {} do not."""
    return any(segmentation) if isinstance(segmentation, list) else bool(segmentation)


def region(annotation: Mapping[str, Any], height: int, width: int) -> Rle:
    """The pixels of an annotation: of its mask, or where it has none of its box; none without either.

    Parts of a polygon that have fewer than three points, or lie outside the image, add no pixel.

    Args:
        annotation: A COCO record.
        height: Pixels of its image.
        width: Pixels of its image.

    Raises:
        FormatError: The mask or the box is damaged, or of another size.
    """
    segmentation = annotation.get("segmentation")
    if not has_mask(segmentation):
        rle.check_size(height, width)
        return _box(annotation.get("bbox"), height, width)
    if isinstance(segmentation, Mapping):
        return rle.from_coco(_whole_counts(segmentation), height, width)
    parts = [one for one in rings(segmentation) if _draws(one, height, width)]
    return rle.from_coco(parts, height, width) if parts else rle.blank(height, width)


def annotation(
    number: object, image: object, category: object, mask: Rle, *, crowd: int = 0
) -> dict[str, Any]:
    """The COCO record of a mask; its fields have the order of every file that we write.

    Args:
        number: Its id.
        image: The id of its image.
        category: The id of its category.
        mask: Its pixels.
        crowd: 1 for a region to ignore.
    """
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": rle.to_coco(mask),
        "area": rle.area(mask),
        "bbox": list(rle.bbox(mask)),
        "iscrowd": crowd,
    }


def rings(segmentation: object) -> list[list[float]]:
    """The parts of a polygon `[[x1, y1, ...], ...]`; a flat `[x1, y1, ...]` is one part.

    Raises:
        FormatError: They are no lists of finite numbers, or a number has no partner.
    """
    parts: list[Any] = segmentation if isinstance(segmentation, list) else [segmentation]
    if not any(isinstance(one, list) for one in parts):
        parts = [parts]
    for one in parts:
        try:
            finite = isinstance(one, list) and math.isfinite(sum(one))
        except (TypeError, OverflowError):
            finite = False
        if not finite or len(one) % 2:
            raise FormatError("a polygon must be a list of finite numbers, x1, y1, x2, y2 ...")
    return parts


def at_shape(mask: Rle, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask as (H, W) bool, resized to a shape where it was made at another size."""
    decoded = rle.decode(mask)
    if decoded.shape == shape:
        return decoded
    height, width = shape
    resized = Image.fromarray(decoded.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized).astype(np.bool_)


def _draws(ring: Sequence[float], height: int, width: int) -> bool:
    x, y = ring[::2], ring[1::2]
    return len(x) > 2 and min(x) < width and min(y) < height and max(x) > 0 and max(y) > 0


def _whole_counts(segmentation: Mapping[str, Any]) -> Mapping[str, Any]:
    counts = segmentation.get("counts")
    if isinstance(counts, list) and any(isinstance(one, float) for one in counts):
        whole = [int(one) if isinstance(one, float) and one.is_integer() else one for one in counts]
        return {**segmentation, "counts": whole}
    return segmentation


def _box(box: Sequence[float] | None, height: int, width: int) -> Rle:
    mask = np.zeros((height, width), np.bool_)
    if box:
        x, y, w, h = box
        mask[max(0, round(y)) : max(0, round(y + h)), max(0, round(x)) : max(0, round(x + w))] = True
    return rle.encode(mask)
