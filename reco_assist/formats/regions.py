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
    """The pixels of an annotation in an image of a height and width in pixels; see `regions`.

    Raises:
        FormatError: The mask or the box is damaged, or of another size.
    """
    return regions([annotation], [(height, width)])[0]


def regions(annotations: Sequence[Mapping[str, Any]], sizes: Sequence[tuple[int, int]]) -> list[Rle]:
    """The pixels of annotations: of the mask, or where there is none of the box; none without either.

    Parts of a polygon that have fewer than three points, or lie outside the image, add no pixel.

    Args:
        annotations: COCO records.
        sizes: Height and width in pixels of the image of each.

    Raises:
        FormatError: A mask or a box is damaged, or of another size.
    """
    found: dict[int, Rle] = {}
    masks: dict[int, object] = {}
    for place, (one, (height, width)) in enumerate(zip(annotations, sizes, strict=True)):
        segmentation = one.get("segmentation")
        if not has_mask(segmentation):
            rle.check_size(height, width)
            found[place] = _box(one.get("bbox"), height, width)
        elif isinstance(segmentation, Mapping):
            masks[place] = _whole_counts(segmentation)
        elif parts := [ring for ring in rings(segmentation) if _draws(ring, height, width)]:
            masks[place] = parts
        else:
            found[place] = rle.blank(height, width)
    read = rle.from_coco_all(list(masks.values()), [sizes[place] for place in masks])
    found |= dict(zip(masks, read, strict=True))
    return [found[place] for place in range(len(annotations))]


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
    x, y, w, h = box or (0, 0, 0, 0)
    left, right = (min(max(0, round(edge)), width) for edge in (x, x + w))
    top, bottom = (min(max(0, round(edge)), height) for edge in (y, y + h))
    if right <= left or bottom <= top:
        return rle.blank(height, width)
    inside = np.ones((bottom - top, right - left), np.bool_)  # (h, w)
    return rle.encode_crop(inside, x=left, y=top, height=height, width=width)
