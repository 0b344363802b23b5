"""Polygons rasterised by pycocotools, those of many masks in one call, after every number was checked."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from reco_assist.errors import FormatError
from reco_assist.masks.counts import Rle

_MAX_OUTLINE = 5_000_000  # pixels; pycocotools takes some 60 bytes for each while it fills a polygon


def fill_all(masks: Sequence[Sequence[object]], sizes: Sequence[tuple[int, int]]) -> list[Rle]:
    """The pixels of masks that are given by polygons.

    Args:
        masks: Of each at least one polygon `[x1, y1, x2, y2, ...]` in pixels; those of a mask are united.
        sizes: Height and width of each mask's image.

    Raises:
        FormatError: A polygon has fewer than three points, or lies outside its image.
    """
    if not masks:
        return []
    rings = [flat_numbers(ring) for mask in masks for ring in mask]
    if any(ring.size < 6 or ring.size % 2 for ring in rings):
        raise FormatError("A polygon must have at least three points, given as [x1, y1, x2, y2, ...].")
    counts = np.array([len(mask) for mask in masks])  # (masks,), of rings
    rings = _checked(rings, np.repeat(np.array(sizes), counts, axis=0), counts)
    firsts = (np.cumsum(counts) - counts).tolist()
    together: dict[tuple[int, int], list[int]] = defaultdict(list)  # the rings of each size
    for first, count, size in zip(firsts, counts.tolist(), sizes, strict=True):
        together[size].extend(range(first, first + count))
    drawn: list[Any] = [None] * len(rings)
    for size, places in together.items():
        parts = coco.frPyObjects([rings[place] for place in places], *size)
        for place, part in zip(places, parts, strict=True):
            drawn[place] = part
    found = []
    for first, count, size in zip(firsts, counts.tolist(), sizes, strict=True):
        one = drawn[first] if count == 1 else coco.merge(drawn[first : first + count])
        found.append(Rle(*size, one["counts"].decode("ascii")))
    return found


def flat_numbers(values: object) -> NDArray[Any]:
    """A flat array (n,) of numbers.

    Raises:
        FormatError: It is no flat list of numbers.
    """
    if not isinstance(values, list | tuple | np.ndarray):
        raise FormatError(f"A list of numbers was expected, not {type(values).__name__}.")
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:  # lists of unequal lengths
        raise FormatError("A flat list of numbers was expected.") from error
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise FormatError("A flat list of numbers was expected.")
    return array


def _checked(
    rings: Sequence[NDArray[Any]], sizes: NDArray[np.int64], counts: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """The rings as float64, each (2 * n,).

    Args:
        rings: Each (2 * n,).
        sizes: (rings, 2) height and width.
        counts: (masks,) how many rings each mask has.
    """
    lengths = np.array([ring.size // 2 for ring in rings])  # (rings,)
    points = np.concatenate(rings, dtype=np.float64, casting="unsafe").reshape(-1, 2)  # (points, 2)
    spans = np.repeat(sizes[:, ::-1], lengths, axis=0)  # (points, 2), width and height
    # Beyond that pycocotools would rasterise edges of any length, and never come back.
    outside = ~(np.abs(points - spans / 2) <= 1.5 * spans).all(axis=1)  # (points,)
    if outside.any():
        width, height = spans[int(outside.argmax())]
        raise FormatError(f"A polygon lies outside its image of {width} x {height} pixels.")
    ends = np.cumsum(lengths)  # (rings,)
    after = np.arange(1, len(points) + 1)  # (points,), the one that each is joined to
    after[ends - 1] = ends - lengths
    edges = np.abs(points - points[after]).max(axis=1)  # (points,)
    outlines = np.add.reduceat(edges, (ends - lengths)[np.cumsum(counts) - counts])  # (masks,)
    if float(outlines.max()) > _MAX_OUTLINE:
        raise FormatError(
            f"A mask's polygons have outlines of more than {_MAX_OUTLINE:,} pixels; simplify them."
        )
    return np.split(points.ravel(), 2 * ends[:-1])
