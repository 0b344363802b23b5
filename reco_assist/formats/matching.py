"""Which images of two data sets are the same, and which of their masks are of one object."""

from collections.abc import Callable, Sequence

import numpy as np
from pycocotools import mask as coco

from reco_assist.formats.dataset import Dataset
from reco_assist.formats.names import name_key
from reco_assist.formats.plain import Id, Record
from reco_assist.masks import Rle, rle

_SAME_OBJECT = 0.5
"""Intersection over union from which two masks are of one object."""


def pair_images(old: Dataset, new: Dataset) -> dict[Id, Id]:
    """The old image of each new one that both data sets have: of its name, or else of its content.

    Args:
        old: One data set.
        new: The other.

    Returns:
        Ids of old images by ids of new ones; no old image is there twice.
    """
    ways: tuple[Callable[[Dataset, Record], str | None], ...] = (
        lambda dataset, image: dataset.name(image),
        lambda dataset, image: name_key(dataset.name(image)),
        lambda _, image: image.get("reco_hash"),
    )
    pairs: dict[Id, Id] = {}
    for way in ways:
        taken = set(pairs.values())
        free: dict[str, list[Id]] = {}
        for number, image in old.images.items():
            if number not in taken and (key := way(old, image)):
                free.setdefault(key, []).append(number)
        for number, image in new.images.items():
            if number not in pairs and (rest := free.get(way(new, image) or "")):
                pairs[number] = rest.pop(0)
    return pairs


def pair_masks(old: Sequence[Rle], new: Sequence[Rle]) -> list[tuple[int, int, float]]:
    """Which masks are of one object: each at most once, so that the overlaps are largest in all.

    Args:
        old: Masks of one size.
        new: Masks of that size.

    Returns:
        (index of the old, index of the new, IoU), all of at least `_SAME_OBJECT`. Equal masks have exactly 1.
    """
    if not old or not new:
        return []
    pairs: list[tuple[int, int, float]] = []
    places: dict[str, list[int]] = {}
    for index, mask in enumerate(new):
        places.setdefault(mask.counts, []).append(index)
    rest_old = []
    for index, mask in enumerate(old):
        if equal := places.get(mask.counts):
            pairs.append((index, equal.pop(0), 1.0))
        else:
            rest_old.append(index)
    rest_new = sorted(index for left in places.values() for index in left)
    if not rest_old or not rest_new:
        return sorted(pairs)
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  (slow to load; starting is quick)

    first = [rle.to_coco(old[index]) for index in rest_old]
    second = [rle.to_coco(new[index]) for index in rest_new]
    overlaps = np.asarray(coco.iou(first, second, [0] * len(second)))  # (old, new)
    worth = np.where(overlaps >= _SAME_OBJECT, overlaps, 0)
    for row, column in zip(*linear_sum_assignment(worth, maximize=True), strict=True):
        if worth[row, column] > 0:
            pairs.append((rest_old[row], rest_new[column], float(overlaps[row, column])))
    return sorted(pairs)
