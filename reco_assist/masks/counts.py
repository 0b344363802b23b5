"""COCO's compressed text of run lengths, read many masks at a time.

It is read here and not by pycocotools, whose C code trusts it: counts that overrun the mask would write
outside its memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from reco_assist.errors import FormatError

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


def compress(counts: NDArray[np.integer], height: int, width: int) -> Rle:
    """The mask of run lengths (n,), background first, which add up to its pixels."""
    packed = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return Rle(height, width, packed["counts"].decode("ascii"))


@lru_cache(maxsize=4)  # whoever reads a mask asks at once for its area and its box
def read_counts(mask: Rle) -> NDArray[np.int64]:
    """The run lengths (n,) of a mask, background first; read-only.

    Raises:
        FormatError: The counts are no COCO counts of this size.
    """
    values, _ = read_all([mask])
    values.flags.writeable = False
    return values


def read_all(masks: Sequence[Rle]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The run lengths of masks, one after the other.

    The text has five bits a character, lowest first, 32 marks more to come, 16 of the last the sign. From the
    fourth on, each count is the difference from the one before the last.

    Args:
        masks: At least one.

    Returns:
        values: (n,) of all masks.
        sizes: (masks,) how many each has, at least one.

    Raises:
        FormatError: Counts are no COCO counts of their mask's size.
    """
    data = "".join([mask.counts for mask in masks])
    letters = data.encode("latin-1", "replace")
    text = np.frombuffer(letters, np.uint8).astype(np.int64) - 48  # (letters,)
    final = (text & 32) == 0  # (letters,), of a number's last one
    stops = np.cumsum([len(mask.counts) for mask in masks])  # (masks,)
    empty = not all(mask.counts for mask in masks)
    if empty or not data.isascii() or letters.translate(None, _LETTERS) or not final[stops - 1].all():
        raise FormatError(
            "RLE counts must be COCO's compressed text; these have other characters or end early."
        )
    ends = np.flatnonzero(final)  # (n,)
    starts = np.zeros_like(ends)  # (n,)
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts  # (n,)
    if int(lengths.max()) > 6:
        raise FormatError("RLE counts hold a number beyond 32 bits; the text is damaged.")
    place = 5 * (np.arange(text.size) - np.repeat(starts, lengths + 1))  # (letters,)
    values = np.add.reduceat((text & 31) << place, starts)  # (n,)
    values -= ((text[ends] & 16) >> 4) << (place[ends] + 5)
    sizes = np.diff(np.searchsorted(ends, stops), prepend=0)  # (masks,)
    first = np.cumsum(sizes) - sizes  # (masks,)
    order = np.arange(values.size) - np.repeat(first, sizes)  # (n,), of each in its mask
    _accumulate(values, order % 2 == 1, sizes // 2)
    _accumulate(values, (order % 2 == 0) & (order > 0), (sizes - 1) // 2)
    _check(masks, values, sizes, first)
    return values, sizes


def areas(masks: Sequence[Rle]) -> NDArray[np.int64]:
    """Pixels (masks,) inside each mask.

    Raises:
        FormatError: Counts are no COCO counts of their mask's size.
    """
    if not masks:
        return np.zeros(0, np.int64)
    values, sizes = read_all(masks)
    first = np.cumsum(sizes) - sizes  # (masks,)
    inside = (np.arange(values.size) - np.repeat(first, sizes)) % 2  # (n,)
    found: NDArray[np.int64] = np.add.reduceat(values * inside, first)
    return found


def _accumulate(values: NDArray[np.int64], chosen: NDArray[np.bool_], sizes: NDArray[np.int64]) -> None:
    """Add up the chosen values, anew in each mask; `sizes` (masks,) says how many each has."""
    sums = np.append(0, np.cumsum(values[chosen]))
    values[chosen] = sums[1:] - np.repeat(sums[np.cumsum(sizes) - sizes], sizes)


def _check(
    masks: Sequence[Rle], values: NDArray[np.int64], sizes: NDArray[np.int64], first: NDArray[np.int64]
) -> None:
    pixels = np.array(
        [mask.height * mask.width if min(mask.height, mask.width) > 0 else -1 for mask in masks]
    )
    within = np.logical_and.reduceat((values >= 0) & (values <= np.repeat(pixels, sizes)), first)
    wrong = ~within | (np.add.reduceat(values, first) != pixels)  # (masks,)
    if wrong.any():
        mask = masks[int(wrong.argmax())]
        raise FormatError(f"RLE counts do not fill a mask of {mask.width} x {mask.height} pixels.")
