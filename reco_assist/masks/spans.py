"""Masks as spans down their columns: components and their codes without an array of the image's size.

What it takes in memory and time goes with the length of outlines, but for one look at each pixel.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from reco_assist.masks.counts import Rle, compress

_AT_ONCE = 1 << 20  # pixels of a band: what is made of them stays small


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """The columns of an image of a shape (H, W), so many at a time that memory is bounded."""
    height, width = shape
    step = max(1, _AT_ONCE // max(1, height))
    for left in range(0, width, step):
        yield slice(left, min(left + step, width))


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Pixels that follow each other down a column, column by column; places count as COCO's runs do.

    Attributes:
        shape: (H, W) of the image.
        starts: (n,) int64, place of the first pixel of each.
        stops: (n,) int64, place after its last pixel; none goes on in the next column.
        numbers: (n,) int64, from 1 on, of what each is a part of.
        totals: (n,) int64, sum of the levels under each.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    numbers: NDArray[np.int64]
    totals: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.generic], levels: NDArray[np.uint8] | None = None) -> Self:
        """Where an array (H, W) is not 0; a span ends where the value changes.

        Args:
            values: bool or whole numbers that are not negative; they become the spans' numbers.
            levels: (H, W) uint8 that the totals are of; without, they are 0.
        """
        height, width = values.shape
        # A row of background above and below keeps the spans of neighbouring columns apart.
        columns = np.zeros((width, height + 2), values.dtype)
        columns[:, 1:-1] = values.T  # (W, H + 2)
        flat = columns.ravel()
        turns = np.flatnonzero(flat[1:] != flat[:-1])  # at the value before
        column, row = np.divmod(turns, height + 2)
        places = column * height + row  # (turns,)
        numbers = flat[turns + 1].astype(np.int64)  # (turns,), 0 where nothing begins
        begins, ends = numbers > 0, flat[turns] != 0
        starts, stops = places[begins], places[ends]  # (n,)
        totals = np.zeros(starts.size, np.int64)
        if levels is not None and starts.size:
            lengths = stops - starts
            under = levels.T[columns[:, 1:-1] != 0]  # (pixels,)
            totals = np.add.reduceat(under, np.cumsum(lengths) - lengths, dtype=np.int64)
        return cls((height, width), starts, stops, numbers[begins], totals)

    @classmethod
    def beside(cls, shape: tuple[int, ...], parts: Sequence[Self]) -> Self:
        """Those of an image (H, W) whose `bands` were looked at one by one."""
        lefts = np.cumsum([0, *(part.shape[1] for part in parts)])[:-1] * shape[0]
        height, width = shape
        return cls(
            (height, width),
            np.concatenate([part.starts + left for part, left in zip(parts, lefts, strict=True)]),
            np.concatenate([part.stops + left for part, left in zip(parts, lefts, strict=True)]),
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.totals for part in parts]),
        )

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Those of masks of one image that share no pixel, numbered anew in reading order."""
        lowest = np.cumsum([0, *(part.count for part in parts)])[:-1]
        numbers = np.concatenate([part.numbers + low for part, low in zip(parts, lowest, strict=True)])
        starts = np.concatenate([part.starts for part in parts])
        stops = np.concatenate([part.stops for part in parts])
        totals = np.concatenate([part.totals for part in parts])
        order = np.argsort(starts)
        found = cls(parts[0].shape, starts[order], stops[order], numbers[order], totals[order])
        return found.numbered(found.numbers)

    @property
    def count(self) -> int:
        """The largest number."""
        return int(self.numbers.max(initial=0))

    def sums(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Values (n,) of the spans added up by number: (count,)."""
        added = np.zeros(self.count + 1, np.int64)
        np.add.at(added, self.numbers, values)
        return added[1:]

    @property
    def areas(self) -> NDArray[np.int64]:
        """(count,) pixels of each number."""
        return self.sums(self.stops - self.starts)

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns around all of them; at least one is needed."""
        height = self.shape[0]
        columns, tops = np.divmod(self.starts, height)
        rows = slice(int(tops.min()), int((self.stops - columns * height).max()))
        return rows, slice(int(columns[0]), int(columns[-1]) + 1)

    def placed(self, shape: tuple[int, int], *, top: int, left: int) -> Self:
        """The same pixels in a larger image (H, W) that begins at a row and a column of it."""
        columns = self.starts // self.shape[0]
        shift = (columns + left) * shape[0] - columns * self.shape[0] + top  # (n,)
        return replace(self, shape=shape, starts=self.starts + shift, stops=self.stops + shift)

    def numbered(self, numbers: NDArray[np.int64], *, min_area: int = 1) -> Self:
        """The same pixels in parts of their own, in reading order of the parts' first pixels.

        Args:
            numbers: (n,) of the parts, from 1 on.
            min_area: Parts of fewer pixels are dropped.
        """
        found = replace(self, numbers=numbers)
        height, width = self.shape
        column, row = np.divmod(self.starts, height)
        first = np.full(found.count + 1, math.prod(self.shape), np.int64)
        np.minimum.at(first, numbers, row * width + column)
        kept = np.flatnonzero(found.areas >= max(1, min_area)) + 1
        new = np.zeros(found.count + 1, np.int64)
        new[kept[np.argsort(first[kept])]] = np.arange(1, kept.size + 1)
        kept_spans = new[numbers] > 0  # (n,)
        return self._chosen(kept_spans, new[numbers][kept_spans])

    def connected(self, *, min_area: int = 1, connectivity: int = 8) -> Self:
        """The same pixels by connected component; see `components.label`."""
        if not self.starts.size:
            return self
        height = self.shape[0]
        # Two places more a column: a span at an edge then meets none beyond it.
        shift = self.starts // height * 2 + 1  # (n,)
        starts, stops = self.starts + shift, self.stops + shift
        reach = int(connectivity == 8)
        first = np.searchsorted(stops, starts - (height + 2) - reach, "right")  # (n,), in the column before
        last = np.searchsorted(starts, stops - (height + 2) + reach, "left")
        meets = np.maximum(last - first, 0)  # (n,)
        here = np.repeat(np.arange(starts.size), meets)  # (meetings,)
        there = np.arange(here.size) - np.repeat(np.cumsum(meets) - meets - first, meets)
        pairs = coo_array((np.ones(here.size, np.bool_), (here, there)), shape=(starts.size, starts.size))
        _, numbers = connected_components(pairs, directed=False)
        return self.numbered(numbers.astype(np.int64) + 1, min_area=min_area)

    def parts(self) -> Iterator[Self]:
        """The spans of each number, in their order."""
        order = np.argsort(self.numbers, kind="stable")
        ends = np.cumsum(np.bincount(self.numbers, minlength=self.count + 1))
        for begin, end in pairwise(ends):
            chosen = order[begin:end]
            yield self._chosen(chosen, self.numbers[chosen])

    def encoded(self) -> list[Rle]:
        """The mask of each number."""
        height, width = self.shape
        masks = []
        for part in self.parts():
            ends = np.stack([part.starts, part.stops], 1).ravel()  # (2 * spans,)
            again = np.flatnonzero(ends[1:-1:2] == ends[2::2]) * 2 + 1  # a run goes on in the next column
            turns = np.delete(ends, np.concatenate([again, again + 1]))
            counts = np.diff(turns, prepend=0, append=height * width)
            masks.append(compress(counts[: counts.size - (counts[-1] == 0)], height, width))
        return masks

    def cropped(self) -> NDArray[np.bool_]:
        """(h, w) bool: their pixels in their `box`."""
        rows, columns = self.box
        width, height = columns.stop - columns.start, rows.stop - rows.start
        column = self.starts // self.shape[0]
        shift = (column - columns.start) * height - column * self.shape[0] - rows.start  # (n,)
        return _drawn(self.starts + shift, self.stops + shift, self.numbers, (height, width)) > 0

    def drawn(self) -> NDArray[np.int32]:
        """(H, W) int32: the numbers, 0 outside."""
        return _drawn(self.starts, self.stops, self.numbers, self.shape)

    def _chosen(self, chosen: NDArray[np.bool_] | NDArray[np.int64], numbers: NDArray[np.int64]) -> Self:
        return type(self)(self.shape, self.starts[chosen], self.stops[chosen], numbers, self.totals[chosen])


def _drawn(
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    numbers: NDArray[np.int64],
    shape: tuple[int, int],
) -> NDArray[np.int32]:
    height, width = shape
    ends = np.append(np.stack([starts, stops], 1).ravel(), height * width)  # (2 * n + 1,)
    values = np.zeros(ends.size, np.int32)
    values[1::2] = numbers
    drawn: NDArray[np.int32] = np.repeat(values, np.diff(ends, prepend=0)).reshape(width, height).T
    return drawn


def spans_of(values: NDArray[np.generic], levels: NDArray[np.uint8] | None = None) -> Spans:
    """As `Spans.of`, of an array of any size, band by band."""
    parts = [
        Spans.of(values[:, band], None if levels is None else levels[:, band]) for band in bands(values.shape)
    ]
    return Spans.beside(values.shape, parts)
