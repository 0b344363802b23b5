"""COCO run-length masks: column-major runs, background first, written in COCO's compressed text.

The text is read here and not by pycocotools, whose C code trusts it: counts that overrun the mask would
write outside its memory. pycocotools writes the text and rasterises polygons.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from reco_assist.errors import FormatError, InputError

_MAX_PIXELS = 1 << 28  # more than any image we decode; a mask takes a byte for each
_MAX_OUTLINE = 5_000_000  # pixels; pycocotools takes some 60 bytes for each while it fills a polygon
_LETTERS = bytes(range(48, 112))  # of compressed counts


@dataclass(frozen=True, slots=True)
class Rle:
    """A binary mask as COCO's compressed run lengths.

    Attributes:
        height: Pixels.
        width: Pixels.
        counts: COCO's compressed counts, ASCII.
    """

    height: int
    width: int
    counts: str


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
    return _compress(counts, height, width)


def blank(height: int, width: int) -> Rle:
    """A mask without a pixel."""
    return encode(np.zeros((height, width), np.bool_))


def decode(rle: Rle) -> NDArray[np.bool_]:
    """The mask as (H, W) bool, column-major in memory as COCO's runs are.

    Raises:
        FormatError: The counts are no COCO counts of this size.
    """
    counts = _counts(rle)
    inside = np.arange(counts.size) % 2 == 1
    mask: NDArray[np.bool_] = np.repeat(inside, counts).reshape(rle.width, rle.height).T  # (H, W)
    return mask


def area(rle: Rle) -> int:
    """Pixels inside the mask.

    Raises:
        FormatError: The counts are no COCO counts of this size.
    """
    return int(_counts(rle)[1::2].sum())


def bbox(rle: Rle) -> tuple[int, int, int, int]:
    """The box (x, y, width, height) in pixels around the mask; all zero where the mask is empty.

    Raises:
        FormatError: The counts are no COCO counts of this size.
    """
    counts = _counts(rle)
    ends = np.cumsum(counts)[1::2]  # (runs,)
    lengths = counts[1::2]  # (runs,)
    ends, lengths = ends[lengths > 0], lengths[lengths > 0]
    if not lengths.size:
        return 0, 0, 0, 0
    left, top = np.divmod(ends - lengths, rle.height)
    right, bottom = np.divmod(ends - 1, rle.height)
    if np.any(left < right):  # a run that goes on in the next column touches both edges
        y0, y1 = 0, rle.height - 1
    else:
        y0, y1 = int(top.min()), int(bottom.max())
    x0, x1 = int(left[0]), int(right[-1])
    return x0, y0, x1 - x0 + 1, y1 - y0 + 1


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
    ends_first, ends_second = np.cumsum(_counts(first)), np.cumsum(_counts(second))
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
    for one in masks:
        _counts(one)  # pycocotools trusts them
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
    """The mask of a COCO annotation's `segmentation`.

    Args:
        segmentation: Compressed RLE (counts as str or bytes), uncompressed RLE (counts as a list) or a list
            of polygons `[x1, y1, x2, y2, ...]` in pixels, which are united.
        height: Pixels of the image.
        width: Pixels of the image.

    Raises:
        FormatError: The segmentation is of another kind, of another size or inconsistent.
    """
    check_size(height, width)
    match segmentation:
        case {"size": [h, w], "counts": counts} if (h, w) == (height, width):
            return _from_counts(counts, height, width)
        case {"size": size, "counts": _}:
            raise FormatError(f"The mask's size is {size}, its image's [{height}, {width}]; they must agree.")
        case [*polygons] if polygons:
            return _from_polygons(polygons, height, width)
        case _:
            raise FormatError("A segmentation must be an RLE with size and counts or a list of polygons.")


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


def _from_counts(counts: object, height: int, width: int) -> Rle:
    if isinstance(counts, bytes | str):
        try:
            text = counts.decode("ascii") if isinstance(counts, bytes) else counts
        except UnicodeDecodeError as error:
            raise FormatError("RLE counts must be ASCII text.") from error
        rle = Rle(height, width, text)
        _counts(rle)
        return rle
    values = _numbers(counts)
    pixels = height * width  # large counts could add up to it by an overflow
    within = values.dtype.kind in "iu" and not np.any(values < 0) and not np.any(values > pixels)
    if not within or int(values.sum()) != pixels:
        raise FormatError(f"RLE counts must be whole, not negative, and sum to {height} x {width} pixels.")
    return _compress(values, height, width)


def _from_polygons(polygons: Sequence[object], height: int, width: int) -> Rle:
    checked, outlines = [], 0.0
    for polygon in polygons:
        points = _numbers(polygon).astype(np.float64)  # (2 * n,)
        if points.size < 6 or points.size % 2:
            raise FormatError("A polygon must have at least three points, given as [x1, y1, x2, y2, ...].")
        # Beyond that pycocotools would rasterise edges of any length, and never come back.
        reach = np.abs(points.reshape(-1, 2) - (width / 2, height / 2)) <= (1.5 * width, 1.5 * height)
        if not reach.all():
            raise FormatError(f"A polygon lies outside its image of {width} x {height} pixels.")
        steps = np.abs(np.diff(points.reshape(-1, 2), axis=0, append=points[None, :2]))  # (n, 2)
        outlines += float(np.maximum(steps[:, 0], steps[:, 1]).sum())
        if outlines > _MAX_OUTLINE:
            raise FormatError(
                f"A mask's polygons have outlines of more than {_MAX_OUTLINE:,} pixels; simplify them."
            )
        checked.append(points.tolist())
    drawn = coco.frPyObjects(checked, height, width)
    merged = drawn[0] if len(drawn) == 1 else coco.merge(drawn)
    return Rle(height, width, merged["counts"].decode("ascii"))


def _numbers(values: object) -> NDArray[Any]:
    """A flat array of numbers, or a FormatError."""
    if not isinstance(values, list | tuple | np.ndarray):
        raise FormatError(f"A list of numbers was expected, not {type(values).__name__}.")
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:  # lists of unequal lengths
        raise FormatError("A flat list of numbers was expected.") from error
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise FormatError("A flat list of numbers was expected.")
    return array


def _check_mask(mask: NDArray[np.bool_]) -> None:
    if mask.ndim != 2 or mask.dtype != np.bool_ or not mask.size:
        raise InputError(f"A mask must be a bool array (H, W), not {mask.dtype} {mask.shape}; compare first.")


def _compress(counts: NDArray[Any], height: int, width: int) -> Rle:
    packed = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return Rle(height, width, packed["counts"].decode("ascii"))


@lru_cache(maxsize=4)  # whoever reads a mask asks at once for its area and its box
def _counts(rle: Rle) -> NDArray[np.int64]:
    """Read COCO's text: five bits a character, lowest first, 32 marks more to come, 16 of the last the sign.

    From the fourth on, each count is the difference from the one before the last. The array is read-only.
    """
    letters = rle.counts.encode("latin-1", "replace")
    text = np.frombuffer(letters, np.uint8).astype(np.int64) - 48  # (n,)
    ends = np.flatnonzero((text & 32) == 0)  # (counts,)
    if letters.translate(None, _LETTERS) or not ends.size or ends[-1] != text.size - 1:
        raise FormatError(
            "RLE counts must be COCO's compressed text; these have other characters or end early."
        )
    starts = np.zeros_like(ends)  # (counts,)
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts  # (counts,)
    if int(lengths.max()) > 6:
        raise FormatError("RLE counts hold a number beyond 32 bits; the text is damaged.")
    place = 5 * (np.arange(text.size) - np.repeat(starts, lengths + 1))  # (n,)
    values = np.add.reduceat((text & 31) << place, starts)  # (counts,)
    values -= ((text[ends] & 16) >> 4) << (place[ends] + 5)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    pixels = rle.height * rle.width
    within = min(rle.height, rle.width) > 0 and values.min() >= 0 and values.max() <= pixels
    if not within or int(values.sum()) != pixels:
        raise FormatError(f"RLE counts do not fill a mask of {rle.width} x {rle.height} pixels.")
    values.flags.writeable = False
    return values
