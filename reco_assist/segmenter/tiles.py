"""Tiles: a huge image seen in overlapping parts, and what they say put together without a seam.

An encoder sees an image as one small square: of 20,000 pixels a side it would show objects of thousands.
Blind tiles cover such an image. Each has a map of its own, faded into its neighbours', so that a mask that
spans tiles is one. What is kept of an image is small; its maps are made where they are looked at.
"""

import base64
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image
from scipy.special import ndtri

from reco_assist.annotations import ImageRef
from reco_assist.annotations.regions import AUTOMATIC

HUGE = 3072
"""Pixels of the shorter side beyond which an image is seen in tiles. A far look shows a third of the sides:
from here on that is more than a tile of `TILE` pixels, and peaks of the first look tell less."""

TILE = 896
"""Side in pixels of a tile: the encoder sees 448, so that an object of a hundred pixels takes some cells."""

_SMALLEST = 112  # pixels of a tile's side: smaller ones would be enlarged more than fourfold
_OVERLAP = 4  # a tile shares this part of its side with each neighbour
_FALSE = 0.1  # chance that some tile of an image without the concept counts: that of a whole image's look
_FEW = 16  # tiles: fewer say too little of what is ordinary in an image
_OVERVIEW = 1792  # pixels of a side that the whole image is shrunk to by plain means, before it is resized


@dataclass(frozen=True, slots=True)
class Axis:
    """Tiles along one side of an image, evenly spread; each fades into the next."""

    length: int
    side: int

    @classmethod
    def of(cls, length: int, other: int) -> Self:
        """Along a side of an image, whose other side is given too."""
        wanted = min(TILE, max(_SMALLEST, -(-min(length, other) // 2)))
        return cls(length, min(length, wanted))

    @property
    def starts(self) -> tuple[int, ...]:
        """First pixel of each tile."""
        share = self.side // _OVERLAP
        count = max(1, math.ceil((self.length - share) / max(1, self.side - share)))
        room = self.length - self.side
        return tuple(round(i * room / max(1, count - 1)) for i in range(count))

    def weights(self, tile: int, part: slice) -> NDArray[np.float32]:
        """(n,) of a tile at some pixels: 1 in its core, falling over its borders; all tiles' add up to 1."""
        starts, reach = self.starts, self.side / _OVERLAP / 2
        at = np.arange(part.start, part.stop, dtype=np.float32) + 0.5  # (n,)
        weights = np.ones(at.size, np.float32)
        if tile > 0:
            border = (starts[tile] + starts[tile - 1] + self.side) / 2
            weights *= np.clip((at - border + reach) / (2 * reach), 0, 1)
        if tile + 1 < len(starts):
            border = (starts[tile + 1] + starts[tile] + self.side) / 2
            weights *= np.clip((border + reach - at) / (2 * reach), 0, 1)
        return weights


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles of an image, numbered row by row."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, height: int, width: int) -> Self:
        """For an image of a size in pixels."""
        return cls(Axis.of(height, width), Axis.of(width, height))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return len(self.rows.starts), len(self.columns.starts)

    def __len__(self) -> int:
        """Number of tiles."""
        return math.prod(self.shape)

    def box(self, number: int) -> tuple[int, int, int, int]:
        """x, y, width and height of a tile in pixels."""
        row, column = divmod(number, self.shape[1])
        return self.columns.starts[column], self.rows.starts[row], self.columns.side, self.rows.side

    def crops(
        self,
        read: Callable[[Sequence[int]], Iterator[NDArray[np.uint8]]],
        overview: "Overview",
        *,
        first: int,
    ) -> Iterator[NDArray[np.uint8]]:
        """(h, w, 3) uint8 of each tile from a number on, while the image is read once from top to bottom.

        Args:
            read: Gives the image in parts that end before some rows; see `images.read_rows`.
            overview: Is shown all of it.
            first: Tiles before this one are only read over.
        """
        side, starts = self.rows.side, self.rows.starts
        held: NDArray[np.uint8] = np.zeros((0, self.columns.length, 3), np.uint8)
        top = 0
        across = self.columns.starts
        for row, part in enumerate(read([start + side for start in starts])):
            overview.show(part)
            held = np.concatenate([held[starts[row] - top :], part])  # (side, W, 3)
            top = starts[row]
            for column, left in enumerate(across):
                if row * len(across) + column >= first:
                    yield np.ascontiguousarray(held[:, left : left + self.columns.side])


class Overview:
    """A whole image, shrunk while it is read: the mean of the pixels of each of its cells.

    Args:
        height: Pixels.
        width: Pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._edges = [np.arange(min(n, _OVERVIEW)) * n // min(n, _OVERVIEW) for n in (height, width)]
        self._sums = np.zeros((len(self._edges[0]), len(self._edges[1]), 3), np.uint64)
        self._size, self._top = (height, width), 0

    def show(self, part: NDArray[np.uint8]) -> None:
        """The next rows (h, W, 3)."""
        across: NDArray[np.uint32] = np.add.reduceat(part, self._edges[1], axis=1, dtype=np.uint32)
        rows = np.arange(self._top, self._top + len(part))
        cell = np.searchsorted(self._edges[0], rows, "right") - 1  # (h,)
        firsts = np.flatnonzero(np.diff(cell, prepend=-1))
        self._sums[cell[firsts]] += np.add.reduceat(across, firsts, axis=0, dtype=np.uint64)
        self._top += len(part)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8."""
        heights, widths = (np.diff(edges, append=n) for edges, n in zip(self._edges, self._size, strict=True))
        areas = heights[:, None, None] * widths[:, None]  # (h, w, 1)
        means: NDArray[np.uint8] = np.rint(self._sums / areas).astype(np.uint8)
        return means


@dataclass(frozen=True, slots=True)
class Look:
    """What the concepts say about a tile.

    Attributes:
        scores: How far each concept lies above its threshold of presence; 0 for one that is not asked.
        levels: (S, S) uint8 refined map, deflated, by the number of each concept that may be there.
    """

    scores: tuple[float, ...]
    levels: Mapping[int, bytes]

    @classmethod
    def of(cls, scores: Sequence[float], maps: Mapping[int, NDArray[np.uint8]]) -> Self:
        """Of maps (S, S) by concept."""
        return cls(
            tuple(round(float(one), 4) for one in scores),
            {k: zlib.compress(one.tobytes(), 1) for k, one in maps.items()},
        )

    def record(self) -> dict[str, Any]:
        """As values for JSON."""
        return {
            "scores": self.scores,
            "levels": {k: base64.b85encode(v).decode() for k, v in self.levels.items()},
        }

    @classmethod
    def from_record(cls, record: Any, concepts: int, side: int) -> Self:  # noqa: ANN401
        """From what `record` gave.

        Raises:
            ValueError: It gave no such thing.
        """
        try:
            scores = tuple(float(one) for one in record["scores"])
            levels = {int(k): base64.b85decode(v) for k, v in record["levels"].items()}
            for one in levels.values():
                inflated(one, side)
        except (AttributeError, KeyError, TypeError, zlib.error) as error:
            raise ValueError("no look at a tile") from error
        if len(scores) != concepts or not set(levels) <= set(range(concepts)):
            raise ValueError("a look at a tile of other concepts")
        return cls(scores, levels)


def inflated(levels: bytes, side: int) -> NDArray[np.uint8]:
    """(S, S) uint8 of a `Look`.

    Raises:
        ValueError: They are of another size.
    """
    data = zlib.decompressobj().decompress(levels, side * side + 1)
    if len(data) != side * side:
        raise ValueError("a map of another size")
    return np.frombuffer(data, np.uint8).reshape(side, side)


class Keeper(Protocol):
    """Where the looks at an image's tiles are kept until the image is done."""

    def kept(self, image: ImageRef, tiles: int, concepts: int, side: int) -> list[Look]:
        """The first of its tiles' looks, as far as they were made."""

    def keep(self, image: ImageRef, looks: Sequence[Look]) -> None:
        """The next ones, which are on disk when this returns."""


def counted(scores: NDArray[np.float32], threshold: float, *, known: bool) -> NDArray[np.bool_]:
    """Which tiles count as having a concept: those that stand out among so many, and what goes on from them.

    N tiles are N chances of a false mask. A tile above the threshold of presence counts by itself where its
    score would be the highest of N ordinary ones in one image of ten: ordinary are photographs, and, unless
    the image as a whole shows the concept, its tiles below the threshold. Others above it count where an
    unbroken chain of such neighbours leads to one, so that an object is not cut where a tile is less sure.

    Args:
        scores: (rows, columns) above the threshold.
        threshold: In robust deviations from ordinary photographs.
        known: Whether the image as a whole shows the concept.
    """
    least = -float(ndtri(_FALSE / scores.size))
    above = scores > 0
    sure = above & (scores + threshold > least)
    below = scores[~above]
    if not known and below.size >= _FEW:
        middle = float(np.median(below))
        spread = 1.4826 * float(np.median(np.abs(below - middle)))
        sure &= scores - middle > least * spread
    chains, _ = scipy.ndimage.label(above, np.ones((3, 3)))
    found: NDArray[np.bool_] = above & np.isin(chains, chains[sure])
    return found


@dataclass(frozen=True, slots=True, eq=False)
class TiledMaps:
    """The maps (K, H, W) uint8 of an image in tiles, made where they are looked at.

    Attributes:
        grid: The tiles.
        side: S of the maps of tiles, and of the whole image.
        whole: (S, S) uint8 that the whole image adds, by concept.
        looks: Maps of the tiles that count, deflated, by concept and number.
    """

    grid: Grid
    side: int
    whole: Mapping[int, NDArray[np.uint8]]
    looks: Sequence[Mapping[int, bytes]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """K, H, W."""
        return len(self.looks), self.grid.rows.length, self.grid.columns.length

    @property
    def seen(self) -> tuple[int, int]:
        """Height and width of a tile."""
        return self.grid.rows.side, self.grid.columns.side

    def __getitem__(self, at: tuple[slice | int, slice, slice]) -> NDArray[np.uint8]:
        """Some rows and columns (h, w) of a concept, or (K, h, w) of all."""
        which, *place = at
        rows, columns = (
            slice(*one.indices(length)[:2]) for one, length in zip(place, self.shape[1:], strict=True)
        )
        if isinstance(which, int):
            return self._one(which, rows, columns)
        return np.stack([self._one(k, rows, columns) for k in range(len(self.looks))[which]])

    def _one(self, k: int, rows: slice, columns: slice) -> NDArray[np.uint8]:
        height, width = rows.stop - rows.start, columns.stop - columns.start
        total = np.zeros((height, width), np.float32)
        down, across = self.grid.rows, self.grid.columns
        for number, data in self.looks[k].items():
            i, j = divmod(number, len(across.starts))
            top, left = down.starts[i], across.starts[j]
            ours, theirs = _common(rows, top, down.side), _common(columns, left, across.side)
            if ours.stop <= ours.start or theirs.stop <= theirs.start:
                continue
            here = (
                slice(ours.start - rows.start, ours.stop - rows.start),
                slice(theirs.start - columns.start, theirs.stop - columns.start),
            )
            levels = _part(inflated(data, self.side), ours, theirs, (top, left), (down.side, across.side))
            total[here] += np.outer(down.weights(i, ours), across.weights(j, theirs)) * levels
        if k in self.whole:
            size = self.shape[1:]
            np.maximum(total, _part(self.whole[k], rows, columns, (0, 0), size), out=total)
        made: NDArray[np.uint8] = np.rint(total.clip(0, 255)).astype(np.uint8)
        return made


def beyond(levels: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    """What of a whole image's map (S, S) uint8 no tile can show: objects that are larger than a tile."""
    side = len(levels)
    labels, _ = scipy.ndimage.label(levels >= AUTOMATIC, np.ones((3, 3)))
    small = [
        number
        for number, (rows, columns) in enumerate(scipy.ndimage.find_objects(labels), 1)
        if (rows.stop - rows.start) * grid.rows.length <= grid.rows.side * side
        and (columns.stop - columns.start) * grid.columns.length <= grid.columns.side * side
    ]
    if len(small) == labels.max(initial=0):
        return np.zeros_like(levels)
    kept: NDArray[np.uint8] = np.where(np.isin(labels, small), np.uint8(0), levels)
    return kept


def _common(part: slice, start: int, side: int) -> slice:
    return slice(max(part.start, start), min(part.stop, start + side))


def _part(
    levels: NDArray[np.uint8], rows: slice, columns: slice, corner: tuple[int, int], size: tuple[int, ...]
) -> NDArray[np.float32]:
    """Some pixels (h, w) of a map (S, S) that is stretched over a place of a size in an image."""
    down, across = (len(levels) / one for one in size)
    box = (
        (columns.start - corner[1]) * across,
        (rows.start - corner[0]) * down,
        (columns.stop - corner[1]) * across,
        (rows.stop - corner[0]) * down,
    )
    image = Image.fromarray(levels.astype(np.float32))
    stretched = image.resize(
        (columns.stop - columns.start, rows.stop - rows.start), Image.Resampling.BILINEAR, box=box
    )
    return np.asarray(stretched, np.float32)
