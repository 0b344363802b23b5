"""COCO run-length masks: column-major runs, background first, written in COCO's compressed text."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from reco_assist.errors import FormatError, InputError
from reco_assist.masks.counts import Rle, check_all, compress, measure, read_counts
from reco_assist.masks.filling import fill_all, flat_numbers

_MAX_PIXELS = 1 << 29  # more than any image we read; a mask takes a byte for each where it is drawn


def encode(mask: NDArray[np.bool_]) -> Rle:
    """Compress a mask.

    Args:
        mask: (H, W) bool.

    Raises:
        InputError: The array is not a two-dimensional bool array, or has no pixels.
    """
    _check_mask(mask)
    height, width = mask.shape
    return encode_crop(mask, x=0, y=0, height=height, width=width)


def encode_crop(crop: NDArray[np.bool_], *, x: int, y: int, height: int, width: int) -> Rle:
    """Compress a mask that is empty outside a crop, in time that depends on the crop alone.

    Args:
        crop: (h, w) bool.
        x: Column of the crop's left edge in the frame.
        y: Row of the crop's top edge in the frame.
        height: Pixels of the frame.
        width: Pixels of the frame.

    Raises:
        InputError: The crop is not a two-dimensional bool array, has no pixels or does not lie in the frame.
    """
    _check_mask(crop)
    h, w = crop.shape
    if not (0 <= x <= width - w and 0 <= y <= height - h):
        raise InputError(f"A crop of {w} x {h} at ({x}, {y}) does not lie in a frame of {width} x {height}.")
    # A row of background above and below keeps the runs of neighbouring columns apart.
    columns = np.zeros((w, h + 2), np.bool_)
    columns[:, 1:-1] = crop.T  # (w, h + 2)
    turns = np.flatnonzero(columns.ravel()[1:] != columns.ravel()[:-1])  # (2 * runs,), at the pixel before
    column, row = np.divmod(turns, h + 2)
    ends = (column + x) * height + row + y  # (2 * runs,), in pixels of the frame
    if h == height:  # runs may go on in the next column: their end and the next start cancel out
        again = np.flatnonzero(ends[1:-1:2] == ends[2::2]) * 2 + 1
        ends = np.delete(ends, np.concatenate([again, again + 1]))
    counts = np.diff(ends, prepend=0, append=height * width)  # (2 * runs + 1,)
    if counts.size > 1 and counts[-1] == 0:
        counts = counts[:-1]
    return compress(counts, height, width)


def blank(height: int, width: int) -> Rle:
    """A mask without a pixel."""
    return compress(np.array([height * width]), height, width)


def decode(rle: Rle) -> NDArray[np.bool_]:
    """The mask as (H, W) bool, column-major in memory as COCO's runs are.

    Raises:
        FormatError: The counts are no COCO counts of this size.
    """
    counts = read_counts(rle)
    inside = np.arange(counts.size) % 2 == 1
    mask: NDArray[np.bool_] = np.repeat(inside, counts).reshape(rle.width, rle.height).T  # (H, W)
    return mask


def area(rle: Rle) -> int:
    """Pixels inside the mask.

    Raises:
        FormatError: The counts are no COCO counts of this size.
    """
    return int(read_counts(rle)[1::2].sum())


def bbox(rle: Rle) -> tuple[int, int, int, int]:
    """The box (x, y, width, height) in pixels around the mask; all zero where the mask is empty.

    Raises:
        FormatError: The counts are no COCO counts of this size.
    """
    _, boxes = measure([rle])
    x, y, width, height = boxes[0].tolist()
    return x, y, width, height


def iou(first: Rle, second: Rle) -> float:
    """Intersection over union of two masks, without expanding them; two empty masks are equal: 1.

    Raises:
        FormatError: Counts are no COCO counts of their size.
        InputError: The masks differ in size.
    """
    if (first.height, first.width) != (second.height, second.width):
        raise InputError(
            f"Masks of {first.width} x {first.height} and {second.width} x {second.height} pixels "
            "cannot be compared; bring them to one size."
        )
    ends_first, ends_second = np.cumsum(read_counts(first)), np.cumsum(read_counts(second))
    ends = np.union1d(ends_first, ends_second)
    lengths = np.diff(ends, prepend=0)
    in_first = np.searchsorted(ends_first, ends) % 2 == 1
    in_second = np.searchsorted(ends_second, ends) % 2 == 1
    union = int(lengths[in_first | in_second].sum())
    return int(lengths[in_first & in_second].sum()) / union if union else 1.0


def union(masks: Sequence[Rle]) -> Rle | None:
    """All pixels of some masks as one; None without any.

    Raises:
        FormatError: Counts are no COCO counts of their size.
        InputError: The masks differ in size.
    """
    if not masks:
        return None
    height, width = masks[0].height, masks[0].width
    if any((one.height, one.width) != (height, width) for one in masks):
        raise InputError("Masks of different sizes cannot be united; bring them to one size.")
    check_all(masks)  # pycocotools trusts them
    merged = coco.merge([to_coco(one) for one in masks])
    return Rle(height, width, merged["counts"].decode("ascii"))


def decode_all(masks: Sequence[Rle], height: int, width: int) -> NDArray[np.bool_]:
    """All pixels (H, W) of some masks of an image, which may be none; errors as for `union`."""
    merged = union(masks)
    return np.zeros((height, width), np.bool_) if merged is None else decode(merged)


def to_coco(rle: Rle) -> dict[str, Any]:
    """The mask as COCO writes it: `{"size": [height, width], "counts": text}`, ready for JSON."""
    return {"size": [rle.height, rle.width], "counts": rle.counts}


def from_coco(segmentation: object, height: int, width: int) -> Rle:
    """The mask of a COCO annotation's `segmentation`; see `from_coco_all`.

    Raises:
        FormatError: The segmentation is of another kind, of another size or inconsistent.
    """
    return from_coco_all([segmentation], [(height, width)])[0]


def from_coco_all(segmentations: Sequence[object], sizes: Sequence[tuple[int, int]]) -> list[Rle]:
    """The masks of COCO annotations, read and drawn many at a time.

    Args:
        segmentations: Each a compressed RLE (counts as str or bytes), an uncompressed RLE (counts as a list)
            or a list of polygons `[x1, y1, x2, y2, ...]` in pixels, which are united.
        sizes: Height and width in pixels of the image of each.

    Raises:
        FormatError: A segmentation is of another kind, of another size or inconsistent.
    """
    texts: dict[int, Rle] = {}
    polygons: dict[int, list[object]] = {}
    found: dict[int, Rle] = {}
    for place, (segmentation, (height, width)) in enumerate(zip(segmentations, sizes, strict=True)):
        check_size(height, width)
        match segmentation:
            case {"size": [h, w], "counts": str() | bytes() as counts} if (h, w) == (height, width):
                texts[place] = Rle(height, width, _ascii(counts))
            case {"size": [h, w], "counts": counts} if (h, w) == (height, width):
                found[place] = _from_numbers(counts, height, width)
            case {"size": size, "counts": _}:
                raise FormatError(
                    f"The mask's size is {size}, its image's [{height}, {width}]; they must agree."
                )
            case [*parts] if parts:
                polygons[place] = parts
            case _:
                raise FormatError("A segmentation must be an RLE with size and counts or a list of polygons.")
    check_all(list(texts.values()))
    filled = fill_all(list(polygons.values()), [sizes[place] for place in polygons])
    found |= texts | dict(zip(polygons, filled, strict=True))
    return [found[place] for place in range(len(found))]


def check_size(height: object, width: object) -> None:
    """Refuse the size of an image as somebody's file states it, before memory is taken for it.

    Raises:
        FormatError: Not two whole numbers of at least 1, or more pixels than any image we read.
    """
    sides = [side for side in (height, width) if isinstance(side, int) and not isinstance(side, bool)]
    if len(sides) < 2 or min(sides) < 1 or math.prod(sides) > _MAX_PIXELS:
        raise FormatError(
            f"An image of {height!r} x {width!r} pixels (height x width) cannot be; give whole numbers of at "
            f"least 1, at most {_MAX_PIXELS:,} pixels in all."
        )


def _ascii(counts: str | bytes) -> str:
    try:
        return counts.decode("ascii") if isinstance(counts, bytes) else counts
    except UnicodeDecodeError as error:
        raise FormatError("RLE counts must be ASCII text.") from error


def _from_numbers(counts: object, height: int, width: int) -> Rle:
    values = flat_numbers(counts)
    pixels = height * width  # large counts could add up to it by an overflow
    within = values.dtype.kind in "iu" and not np.any(values < 0) and not np.any(values > pixels)
    if not within or int(values.sum()) != pixels:
        raise FormatError(f"RLE counts must be whole, not negative, and sum to {height} x {width} pixels.")
    return compress(values, height, width)


def _check_mask(mask: NDArray[np.bool_]) -> None:
    if mask.ndim != 2 or mask.dtype != np.bool_ or not mask.size:
        raise InputError(f"A mask must be a bool array (H, W), not {mask.dtype} {mask.shape}; compare first.")
