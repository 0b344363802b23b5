"""Objects that touch, taken apart at the necks of their mask where their shapes say that they are several.

Everything is relative to the objects' own size, so that no scale needs to be known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

# Of sixteen settings tried on 18 concepts and composites of their objects, the boldest at which objects that
# stand alone stayed whole. Cutting more freely parts more, and cuts single objects.
_NECK = 0.8  # width of a neck as a share of the width of the narrower side, at most
_RISE = 0.03  # of the solidity (share of the convex hull) when two sides are parted, at least
_SOLID = 0.9  # solidity of each side, at least
_ALIKE = 0.4  # area of the smaller side as a share of the larger one's, at least

_SIDE = 128  # pixels of a component's longer side that are looked at: shapes need no more
_OCTAVE = 32  # grey levels of a factor of two in width
_HOLE = 0.002  # share of a component; smaller holes make no neck
_STEP = 4  # grey levels between the levels at which peaks are looked for
_CORNERS = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
_AROUND = ndimage.generate_binary_structure(2, 2)


def split_touching(
    inside: NDArray[np.bool_],
    *,
    open_sides: Sequence[tuple[bool, bool]] = ((False, False), (False, False)),
) -> NDArray[np.int32]:
    """Take a component apart that several objects of similar size and solid shape make together.

    It is parted at its necks (watershed of the distance to its outline). Two neighbours stay parted only if
    both are solid and of similar area, and more solid than they are together; a bent, branching or lobed
    object is none of this and stays whole.

    Args:
        inside: (h, w) bool, the component in its box.
        open_sides: Whether the box lies on the border of the image: (top, bottom), (left, right). That is no
            outline: an object that it cuts goes on behind it.

    Returns:
        (h, w) int32, 0 outside, and the part 1..n inside.
    """
    whole = inside.astype(np.int32)
    step = -(-max(inside.shape) // _SIDE)
    small = inside[::step, ::step]
    if not small.any() or _Shape.of(small).solidity > 1 - _RISE:
        return whole
    depth = round(-_OCTAVE * float(np.log2(_NECK)))
    parts = _joined(basins(_widths(small, open_sides), small, depth))
    return whole * _enlarged(parts, step, inside.shape) if parts.max() > 1 else whole


def _widths(small: NDArray[np.bool_], open_sides: Sequence[tuple[bool, bool]]) -> NDArray[np.uint8]:
    """(h, w) uint8 logarithm of the distance to the outline, 255 where a component is widest."""
    holes, count = ndimage.label(ndimage.binary_fill_holes(small) & ~small)
    areas = np.bincount(holes.ravel(), minlength=count + 1)  # (count + 1,)
    filled = small | ((holes > 0) & (areas[holes] < _HOLE * small.sum()))  # (h, w)
    margins = [(int(not first), int(not last)) for first, last in open_sides]
    (top, _), (left, _) = margins
    distances = ndimage.distance_transform_edt(np.pad(filled, margins))
    distances = distances[top:, left:][: small.shape[0], : small.shape[1]]  # (h, w)
    octaves = np.log2(np.maximum(distances, 0.5) / distances[small].max())
    widths: NDArray[np.uint8] = np.clip(255 + _OCTAVE * octaves, 0, 255).astype(np.uint8)
    return widths


@dataclass(frozen=True, slots=True)
class _Shape:
    """Area and convex hull: corners (n, 2) of pixels."""

    area: int
    corners: NDArray[np.int64]
    hull: float

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> "_Shape":
        """Of a mask (h, w) with at least one pixel."""
        rim = np.argwhere(mask & ~ndimage.binary_erosion(mask))  # (n, 2)
        return cls._around(int(mask.sum()), (rim[:, None] + _CORNERS).reshape(-1, 2))

    @classmethod
    def _around(cls, area: int, points: NDArray[np.int64]) -> "_Shape":
        hull = ConvexHull(points)
        return cls(area, points[hull.vertices], float(hull.volume))

    @property
    def solidity(self) -> float:
        """Share of the hull that is filled, 0 to 1."""
        return self.area / self.hull

    def with_(self, other: "_Shape") -> "_Shape":
        """Both together; they share no pixel."""
        return self._around(self.area + other.area, np.concatenate([self.corners, other.corners]))

    def rise(self, other: "_Shape") -> float:
        """How much more solid two shapes are apart than together."""
        together = self.with_(other)
        apart = self.area * self.solidity + other.area * other.solidity
        return apart / together.area - together.solidity

    def differs(self, other: "_Shape") -> bool:
        """Whether one of two is no object beside the other."""
        small, large = sorted((self.area, other.area))
        return min(self.solidity, other.solidity) < _SOLID or small < _ALIKE * large


def _joined(parts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Join neighbours (h, w) that are no two objects, those first that win least by being apart."""
    shapes = {k: _Shape.of(parts == k) for k in range(1, int(parts.max()) + 1)}
    rises = {(a, b): shapes[a].rise(shapes[b]) for a, b in _neighbours(parts)}
    owner = np.arange(len(shapes) + 1)  # (n + 1,)
    while wrong := [
        (rise, *pair)
        for pair, rise in rises.items()
        if rise < _RISE or shapes[pair[0]].differs(shapes[pair[1]])
    ]:
        _, kept, gone = min(wrong)
        owner[owner == gone] = kept
        shapes[kept] = shapes[kept].with_(shapes.pop(gone))
        pairs = {tuple(sorted(kept if k == gone else k for k in pair)) for pair in rises}
        rises = {
            (a, b): shapes[a].rise(shapes[b]) if kept in {a, b} else rises[a, b] for a, b in pairs if a != b
        }
    _, numbers = np.unique(owner, return_inverse=True)
    joined: NDArray[np.int32] = numbers.astype(np.int32)[parts]
    return joined


def _neighbours(parts: NDArray[np.int32]) -> set[tuple[int, int]]:
    """Pairs of numbers above 0 that share a side of a pixel, the smaller first."""
    found: set[tuple[int, int]] = set()
    for one, other in ((parts[1:], parts[:-1]), (parts[:, 1:], parts[:, :-1])):
        meet = (one != other) & (one > 0) & (other > 0)
        pairs = np.unique(np.sort(np.stack([one[meet], other[meet]], 1), 1), axis=0)  # (n, 2)
        found |= {(int(a), int(b)) for a, b in pairs}
    return found


def _enlarged(parts: NDArray[np.int32], step: int, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """(h, w) the part that every pixel is nearest to, with straight borders between them."""
    place = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    everywhere = parts[tuple(place)]  # (h / step, w / step)
    best = np.zeros(shape, np.float32)  # (h, w)
    owner = np.ones(shape, np.int32)  # (h, w)
    for k in range(1, int(parts.max()) + 1):
        share = ndimage.affine_transform(
            (everywhere == k).astype(np.float32),
            (1 / step, 1 / step),
            output_shape=shape,
            order=1,
            mode="nearest",
        )  # (h, w)
        above = share > best
        best[above] = share[above]
        owner[above] = k
    return owner


def basins(height: NDArray[np.uint8], inside: NDArray[np.bool_], depth: int) -> NDArray[np.int32]:
    """Watershed of a component by a sinking level: (h, w) int32, 1..n inside and 0 outside.

    Islands appear as the level sinks, grow, and meet. Where some meet, all but the highest must rise at least
    `depth` above the level to stay apart, and the land that appears between goes to the nearest.
    """
    owner = np.zeros(height.shape, np.int32)  # (h, w), number of the peak that a pixel belongs to
    tops: NDArray[np.int64] = np.zeros(1, np.int64)  # (peaks + 1,), their heights
    low, high = int(height[inside].min()), int(height[inside].max())
    for level in [*range(high, low, -_STEP), low]:
        islands, count = ndimage.label(inside & (height >= level), _AROUND)  # (h, w)
        owned = owner > 0
        pairs = np.unique(np.stack([islands[owned], owner[owned]], 1), axis=0)  # (n, 2), (island, peak)
        pairs = pairs[np.lexsort((-tops[pairs[:, 1]], pairs[:, 0]))]
        highest = np.diff(pairs[:, 0], prepend=0) > 0  # (n,), of their islands
        stays = highest | (tops[pairs[:, 1]] - level >= depth)  # (n,)
        alive = np.zeros(tops.size, np.bool_)
        alive[pairs[stays, 1]] = True
        owner[~alive[owner]] = 0
        heir = np.zeros(count + 1, np.int32)  # the peak that gets an island's new land
        heir[pairs[highest, 0]] = pairs[highest, 1]
        fresh = np.flatnonzero(heir[1:] == 0) + 1
        heir[fresh] = np.arange(tops.size, tops.size + fresh.size)
        tops = np.append(tops, ndimage.maximum(height, islands, fresh).astype(np.int64))
        shared = np.bincount(pairs[stays, 0], minlength=count + 1) > 1  # (count + 1,)
        land = (islands > 0) & (owner == 0)  # (h, w)
        single = land & ~shared[islands]
        owner[single] = heir[islands[single]]
        for island in np.flatnonzero(shared):
            _give_to_nearest(owner, islands == island)
    _, inverse = np.unique(owner[inside], return_inverse=True)
    basins = np.zeros(owner.shape, np.int32)
    basins[inside] = inverse + 1
    return basins


def _give_to_nearest(owner: NDArray[np.int32], island: NDArray[np.bool_]) -> None:
    """Give the pixels of an island that have no owner the one of the nearest pixel of it that has."""
    nearest = ndimage.distance_transform_edt(
        ~(island & (owner > 0)), return_distances=False, return_indices=True
    )  # (2, h, w)
    land = island & (owner == 0)
    owner[land] = owner[tuple(nearest[:, land])]
