"""COCO's compressed text of run lengths, read many masks at a time.

It is read here and not by pycocotools, whose C code trusts it: counts that overrun the mask would write
outside its memory.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from reco_assist.errors import FormatError

_LETTERS = bytes(range(48, 112))  # of compressed counts
_TWO = re.compile("[P-o]*[0-O]([P-o]*[0-O])?")  # the first two numbers
_AT_ONCE = 1 << 16  # letters that are read together: what is made of them stays in the cache


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


@dataclass(frozen=True, slots=True)
class Runs:
    """The run lengths of masks, one mask after the other.

    Attributes:
        values: (n,) pixels, of the background and of the mask in turn; read-only.
        sizes: (masks,) how many runs each mask has, at least one.
    """

    values: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def first(self) -> NDArray[np.int64]:
        """(masks,) where the runs of each mask begin."""
        found: NDArray[np.int64] = np.cumsum(self.sizes) - self.sizes
        return found

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(n,) which runs are of the mask."""
        odd = (np.arange(self.values.size) - np.repeat(self.first, self.sizes)) % 2  # (n,)
        return odd.astype(np.bool_)


def read_counts(mask: Rle) -> NDArray[np.int64]:
    """The run lengths (n,) of a mask, background first; read-only.

    Raises:
        FormatError: The counts are no COCO counts of this size.
    """
    return _read_one(mask).values


def check_all(masks: Sequence[Rle]) -> None:
    """Read every mask.

    Raises:
        FormatError: Counts are no COCO counts of their mask's size.
    """
    for _ in _read_all(masks):
        pass


def measure(masks: Sequence[Rle]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels (masks,) inside each mask, and the box (masks, 4), x, y, width and height, around them.

    A mask without a pixel has a box of zeros.

    Raises:
        FormatError: Counts are no COCO counts of their mask's size.
    """
    areas, boxes = np.zeros(len(masks), np.int64), np.zeros((len(masks), 4), np.int64)
    end = 0
    for part, runs in _read_all(masks):
        here, end = slice(end, end + len(part)), end + len(part)
        areas[here] = np.add.reduceat(runs.values * runs.inside, runs.first)
        boxes[here] = _boxes(part, runs)
    return areas, boxes


def is_blank(mask: Rle) -> bool:
    """Whether a mask that was read has no pixel, by its first run alone where that says it.

    Raises:
        FormatError: The counts are no COCO counts of this size, and the first run does not say it.
    """
    two = _TWO.match(mask.counts)
    if two is not None and two[1] is not None and two[1].strip("P0"):  # these letters have no bit but "more"
        return False
    return not read_counts(mask)[1::2].any()


def _boxes(masks: Sequence[Rle], runs: Runs) -> NDArray[np.int64]:
    found = np.zeros((len(masks), 4), np.int64)
    pixels = np.add.reduceat(runs.values, runs.first)  # (masks,)
    before = np.repeat(np.cumsum(pixels) - pixels, runs.sizes)  # (n,), pixels of the masks before
    chosen = runs.inside & (runs.values > 0)  # (n,)
    of = np.repeat(np.arange(len(masks)), runs.sizes)[chosen]  # (runs,), their masks
    if not of.size:
        return found
    ends = (np.cumsum(runs.values) - before)[chosen]  # (runs,)
    heights = np.array([mask.height for mask in masks])[of]  # (runs,)
    left, top = np.divmod(ends - runs.values[chosen], heights)
    right, bottom = np.divmod(ends - 1, heights)
    on = left < right  # (runs,): a run that goes on in the next column touches both edges
    top, bottom = np.where(on, 0, top), np.where(on, heights - 1, bottom)
    drawn, starts = np.unique(of, return_index=True)
    low = np.stack([np.minimum.reduceat(one, starts) for one in (left, top)], 1)  # (drawn, 2)
    high = np.stack([np.maximum.reduceat(one, starts) for one in (right, bottom)], 1)  # (drawn, 2)
    found[drawn] = np.hstack([low, high - low + 1])
    return found


def _read_all(masks: Sequence[Rle]) -> Iterator[tuple[Sequence[Rle], Runs]]:
    """Masks with their run lengths, so many at a time that memory is bounded."""
    start, letters = 0, 0
    for place, mask in enumerate(masks):
        if letters and letters + len(mask.counts) > _AT_ONCE:
            yield masks[start:place], _read(masks[start:place])
            start, letters = place, 0
        letters += len(mask.counts)
    rest = masks[start:]
    if rest:
        yield rest, _read_one(rest[0]) if len(rest) == 1 else _read(rest)


@lru_cache(maxsize=4)  # whoever reads a mask asks at once for its area and its box
def _read_one(mask: Rle) -> Runs:
    return _read([mask])


def _read(masks: Sequence[Rle]) -> Runs:
    """The text has five bits a character, lowest first, 32 marks more to come, 16 of the last the sign.

    From the fourth on, each count is the difference from the one before the last.
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
    values.flags.writeable = False
    return Runs(values, sizes)


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
