"""From one mask to instances: connected components, and touching objects taken apart."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reco_assist.errors import InputError
from reco_assist.masks.counts import Rle
from reco_assist.masks.spans import spans_of

_PEAK_DEPTH = 32
"""How far a probability map (0..255) must sink between two peaks for them to count as two objects."""

_STEP = 4  # grey levels between the levels at which peaks are looked for
_NEIGHBOURS = ndimage.generate_binary_structure(2, 2)


def label(mask: NDArray[np.bool_], *, min_area: int = 1, connectivity: int = 8) -> NDArray[np.int32]:
    """Number the connected components of a mask.

    Args:
        mask: (H, W) bool.
        min_area: Components of fewer pixels are dropped.
        connectivity: 8 joins pixels that touch at a corner, 4 does not.

    Returns:
        (H, W) int32, 0 outside and 1..n inside, in reading order of the components' first pixels.

    Raises:
        InputError: The array is not a two-dimensional bool array, or the connectivity is neither 4 nor 8.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError(f"A mask must be a bool array (H, W), not {mask.dtype} {mask.shape}; compare first.")
    if connectivity not in {4, 8}:
        raise InputError(f"Connectivity is {connectivity}; give 4 or 8.")
    return spans_of(mask).connected(min_area=min_area, connectivity=connectivity).drawn()


def split_touching(
    labels: NDArray[np.int32],
    probability: NDArray[np.uint8],
    *,
    depth: int = _PEAK_DEPTH,
    min_area: int = 1,
) -> NDArray[np.int32]:
    """Take apart components in which the probability map has several separate peaks.

    Two peaks are separate where every way between them sinks at least `depth` below the lower one (to within
    4 levels). The pixels between go to the peak whose slope they lie on (watershed).

    Args:
        labels: (H, W) int32, as `label` gives them.
        probability: (H, W) uint8, 255 is certain.
        depth: Grey levels, 1..255.
        min_area: Parts of fewer pixels are dropped.

    Returns:
        (H, W) int32, numbered like those of `label`.

    Raises:
        InputError: The arrays differ in size, or the map is not uint8.
    """
    if labels.shape != probability.shape or probability.dtype != np.uint8:
        raise InputError(
            f"The probability map is {probability.dtype} {probability.shape}; "
            f"uint8 of the labels' size {labels.shape} is needed."
        )
    result = labels.astype(np.int32)
    count = int(labels.max(initial=0))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == number  # (h, w)
        basins = _basins(probability[box], inside, depth)  # (h, w)
        result[box][basins > 1] = count + basins[basins > 1] - 1
        count += int(basins.max()) - 1
    return _renumber(result, min_area)


def _basins(height: NDArray[np.uint8], inside: NDArray[np.bool_], depth: int) -> NDArray[np.int32]:
    """Watershed of a component by a sinking level: (h, w) int32, 1..n inside and 0 outside.

    Islands appear as the level sinks, grow, and meet. Where some meet, all but the highest must rise at least
    `depth` above the level to stay apart, and the land that appears between goes to the nearest.
    """
    owner = np.zeros(height.shape, np.int32)  # (h, w), number of the peak that a pixel belongs to
    tops: NDArray[np.int64] = np.zeros(1, np.int64)  # (peaks + 1,), their heights
    low, high = int(height[inside].min()), int(height[inside].max())
    for level in [*range(high, low, -_STEP), low]:
        islands, count = ndimage.label(inside & (height >= level), _NEIGHBOURS)  # (h, w)
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


def encode_labels(labels: NDArray[np.int32]) -> list[Rle]:
    """The masks of a label map in the order of their numbers.

    Args:
        labels: (H, W) int32, 0 outside and 1..n inside, without gaps.
    """
    return spans_of(labels).encoded()


def _renumber(labels: NDArray[np.int32], min_area: int) -> NDArray[np.int32]:
    """Drop small parts and number the others in reading order of their first pixels."""
    spans = spans_of(labels)
    return spans.numbered(spans.numbers, min_area=min_area).drawn()
