"""Masks as polygons that run along the edges of pixels, so that nothing is lost until they are simplified."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reco_assist.errors import InputError
from reco_assist.masks.counts import Rle
from reco_assist.masks.rle import blank, encode_crop, from_coco

TOLERANCE = 1.0
"""Pixels by which `simplify` may move an outline by default."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The rings around a mask.

    Pixels that only touch at a corner have rings of their own; a hole of the background may reach through
    corners. Points are (n, 2) float64, (x, y) in pixels, the image's top left corner being (0, 0); the last
    point is joined to the first.

    Attributes:
        outer: Rings around the mask's parts, in reading order of their first pixels.
        holes: Rings around holes in them, likewise.
    """

    outer: tuple[NDArray[np.float64], ...]
    holes: tuple[NDArray[np.float64], ...]


def trace(mask: NDArray[np.bool_]) -> Outline:
    """Trace a mask's outline exactly: its rings filled by the even-odd rule are the mask again.

    Args:
        mask: (H, W) bool.

    Raises:
        InputError: The array is not a two-dimensional bool array.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError(f"A mask must be a bool array (H, W), not {mask.dtype} {mask.shape}; compare first.")
    padded = np.pad(mask, 1)  # (H + 2, W + 2)
    y, x, along_row, along_column = _corners(padded)
    outer: list[NDArray[np.float64]] = []
    holes: list[NDArray[np.float64]] = []
    seen = np.zeros(y.size, np.bool_).tolist()
    for first in range(y.size):
        if seen[first]:
            continue
        ring, corner = [], first
        while not seen[corner]:
            neighbour = along_row[corner]
            seen[corner] = seen[neighbour] = True
            ring += [corner, neighbour]
            corner = along_column[neighbour]
        # A ring's first corner is its topmost and leftmost: inside the mask below it, or in a hole.
        rings = outer if padded[y[first] + 1, x[first] + 1] else holes
        rings.append(np.stack([x[ring], y[ring]], 1).astype(np.float64))  # (n, 2)
    return Outline(tuple(outer), tuple(holes))


def _corners(
    padded: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[int], list[int]]:
    """The corners of a mask's outline in reading order, and which are joined by a straight edge.

    Along any line of the grid, edges lie between the first and second, third and fourth ... corner on it.
    Where two pixels touch at a corner there are two corners in one place, and each joins one pixel's edges.

    Returns:
        y: (n,) rows.
        x: (n,) columns.
        along_row: For each corner the one at the other end of its horizontal edge.
        along_column: For each corner the one at the other end of its vertical edge.
    """
    top_left, top_right = padded[:-1, :-1], padded[:-1, 1:]
    low_left, low_right = padded[1:, :-1], padded[1:, 1:]
    falling = top_left & low_right & ~top_right & ~low_left  # (H + 1, W + 1)
    rising = top_right & low_left & ~top_left & ~low_right  # (H + 1, W + 1)
    single = top_left ^ top_right ^ low_left ^ low_right  # (H + 1, W + 1), one or three pixels
    y, x = np.nonzero(single | falling | rising)
    twice = np.repeat(np.arange(y.size), np.where(single[y, x], 1, 2))
    y, x = y[twice], x[twice]  # (n,)
    # Of two corners in one place the first has the edge to the left, the second the one to the right. Where
    # the pixels lie like a falling diagonal the first also has the edge upwards, else the one downwards.
    second = np.append(False, twice[1:] == twice[:-1])  # (n,)
    lower = second ^ rising[y, x]  # (n,)
    order = np.lexsort((lower, y, x))  # (n,) column by column
    along_column = np.empty(y.size, np.int64)
    along_column[order[::2]], along_column[order[1::2]] = order[1::2], order[::2]
    return y, x, (np.arange(y.size) ^ 1).tolist(), along_column.tolist()


def simplify(ring: NDArray[np.float64], tolerance: float = TOLERANCE) -> NDArray[np.float64]:
    """Drop points of a ring while every dropped point stays within a distance of the new outline.

    Source: Douglas and Peucker 1973, on both halves between the first point and the one farthest from it.

    Args:
        ring: (n, 2) float, (x, y).
        tolerance: Largest distance in pixels of a dropped point from the edge that replaces it; with 0 only
            points on straight edges go. An eighth of the ring's shorter side is the limit, so that small
            objects keep their shape.

    Returns:
        (m, 2) float64, a subset of the points in their order.
    """
    tolerance = min(tolerance, float(np.ptp(ring, axis=0).min()) / 8)
    closed = np.vstack([ring, ring[:1]])  # (n + 1, 2)
    far = int(np.argmax(np.hypot(*(ring - ring[0]).T)))
    keep = np.zeros(len(closed), np.bool_)
    keep[[0, far]] = True
    spans = [(0, far), (far, len(ring))]
    while spans:
        start, end = spans.pop()
        if end - start < 2:
            continue
        distance = _distance(closed[start + 1 : end], closed[start], closed[end])
        worst = int(np.argmax(distance))
        if distance[worst] > tolerance:
            middle = start + 1 + worst
            keep[middle] = True
            spans += [(start, middle), (middle, end)]
    return ring[keep[:-1]]


def _distance(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distances (n,) of points (n, 2) from the straight edge between two points."""
    edge = end - start
    along = np.clip((points - start) @ edge / max(float(edge @ edge), 1e-12), 0, 1)  # (n,)
    distances: NDArray[np.float64] = np.hypot(*(points - start - along[:, None] * edge).T)  # (n,)
    return distances


def split_holes(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Trace a mask by rings without holes, for formats that cannot have them; nothing is lost.

    A mask with holes is cut at the column in the middle of one, and its halves likewise, until none is left.

    Args:
        mask: (H, W) bool.

    Returns:
        Rings (n, 2) float64, (x, y) in pixels, which overlap nowhere and together fill the mask.
    """
    rings: list[NDArray[np.float64]] = []
    parts = [(0, mask)]
    while parts:
        left, part = parts.pop()
        outline = trace(part)
        if not outline.holes:
            rings += [ring + np.array([left, 0]) for ring in outline.outer]
            continue
        # Of all holes the most central: even halves keep the work of many cuts small.
        centres = [int(hole[:, 0].min() + hole[:, 0].max()) // 2 for hole in outline.holes]
        cut = min(centres, key=lambda centre: abs(2 * centre - part.shape[1]))
        parts += [(left + cut, part[:, cut:]), (left, part[:, :cut])]
    return rings


def fill(rings: list[NDArray[np.float64]], height: int, width: int) -> Rle:
    """Rasterise polygons and unite them, as pycocotools does.

    Args:
        rings: Polygons (n, 2), (x, y) in pixels.
        height: Pixels of the image.
        width: Pixels of the image.

    Raises:
        FormatError: A polygon has fewer than three points or lies outside the image.
    """
    return from_coco([ring.ravel().tolist() for ring in rings], height, width)


def fill_inside(rings: Sequence[NDArray[np.float64]], height: int, width: int) -> Rle:
    """Rasterise what of polygons lies in the image, as `fill` does; of fewer than three points nothing does.

    Args:
        rings: Polygons (n, 2), (x, y) in pixels.
        height: Pixels of the image.
        width: Pixels of the image.
    """
    cut = [_cut(ring, height, width) for ring in rings if len(ring) > 2]
    inside = [ring for ring in cut if len(ring) > 2]
    return fill(inside, height, width) if inside else blank(height, width)


def _cut(ring: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """The part (m, 2) of a polygon (n, 2) inside the image.

    Source: Sutherland and Hodgman, CACM 1974: cut by one edge of the image after the other.
    """
    for axis, edge, side in ((0, 0.0, 1), (0, float(width), -1), (1, 0.0, 1), (1, float(height), -1)):
        before = np.roll(ring, 1, 0)  # (n, 2)
        here, there = side * (ring[:, axis] - edge), side * (before[:, axis] - edge)  # (n,)
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = before + (there / (there - here))[:, None] * (ring - before)  # (n, 2)
        both = np.stack([crossing, ring], 1)  # (n, 2, 2)
        ring = both[np.stack([(here >= 0) != (there >= 0), here >= 0], 1)]  # (m, 2)
    return ring


def box(corner: ArrayLike, size: ArrayLike, degrees: float, about: ArrayLike) -> NDArray[np.float64]:
    """(4, 2) corners of a box that is turned clockwise, as y points down.

    Args:
        corner: x and y of its top left corner before it is turned, in pixels.
        size: Width and height.
        degrees: By which it is turned.
        about: x and y of the point that stays where it is.
    """
    x, y = np.asarray(corner, np.float64)
    width, height = np.asarray(size, np.float64)
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float64)
    middle = np.asarray(about, np.float64)
    turned: NDArray[np.float64] = middle + (corners - middle) @ _rotation(degrees).T
    return turned


def ellipse(centre: ArrayLike, radii: ArrayLike, degrees: float, height: int, width: int) -> Rle:
    """The pixels of an image whose middle lies in an ellipse.

    Args:
        centre: x and y in pixels.
        radii: Along the ellipse's own x and y.
        degrees: By which it is turned, clockwise as y points down.
        height: Pixels of the image.
        width: Pixels of the image.
    """
    middle, own = np.asarray(centre, np.float64), np.asarray(radii, np.float64)
    size = (width, height)
    first = np.floor(middle - own.max()).clip(0, size).astype(int)  # (2,): only this window is looked at
    last = np.ceil(middle + own.max()).clip(0, size).astype(int)  # (2,)
    if (last <= first).any():
        return blank(height, width)
    (left, top), (right, bottom) = first, last
    rows, columns = np.mgrid[top:bottom, left:right] + 0.5  # (h, w)
    away = (np.stack([columns, rows], -1) - middle) @ _rotation(degrees) / np.maximum(own, 1e-9)  # (h, w, 2)
    crop: NDArray[np.bool_] = (away**2).sum(-1) <= 1  # (h, w)
    return encode_crop(crop, x=int(left), y=int(top), height=height, width=width)


def _rotation(degrees: float) -> NDArray[np.float64]:
    """(2, 2) clockwise on the screen, where y points down."""
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
