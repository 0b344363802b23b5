"""How well a mask agrees with the truth of an image."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from reco_assist.errors import InputError
from reco_assist.masks import label

_BOUNDARY_TOLERANCE = 0.0075
"""How far boundaries may lie apart, as a share of the image's diagonal (Perazzi et al., CVPR 2016)."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels of a mask and its truth in one image, void pixels left out.

    Attributes:
        intersection: Inside both.
        union: Inside at least one.
        valid: All that count.
    """

    intersection: int
    union: int
    valid: int

    @property
    def iou(self) -> float:
        """Intersection over union; two empty masks agree: 1."""
        return self.intersection / self.union if self.union else 1.0

    @property
    def changed(self) -> int:
        """Pixels that a curator has to change."""
        return self.union - self.intersection

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are right; 1 where none counts."""
        return 1 - self.changed / self.valid if self.valid else 1.0


def overlap(predicted: Mask, truth: Mask, *, valid: Mask | None = None) -> Overlap:
    """Compare a mask with the truth.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool.
        valid: (H, W) bool, False where the truth is not known; all pixels count if None.

    Raises:
        InputError: The arrays are not bool or differ in shape.
    """
    predicted, truth, valid = _checked(predicted, truth, valid)
    return Overlap(
        intersection=int(np.count_nonzero(predicted & truth & valid)),
        union=int(np.count_nonzero((predicted | truth) & valid)),
        valid=int(np.count_nonzero(valid)),
    )


def pooled_iou(overlaps: Iterable[Overlap]) -> float:
    """IoU over the pixels of many images together: large objects count more; 1 where all are empty."""
    intersection, union = 0, 0
    for one in overlaps:
        intersection, union = intersection + one.intersection, union + one.union
    return intersection / union if union else 1.0


def boundary_f(
    predicted: Mask, truth: Mask, *, valid: Mask | None = None, tolerance: float = _BOUNDARY_TOLERANCE
) -> float:
    """F-score of the boundary: how much of each outline lies near the other (Martin et al., PAMI 2004).

    A boundary is the inner edge of a mask; the frame of the image is none. Boundary pixels in void do not
    count.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool.
        valid: (H, W) bool, False where the truth is not known; all pixels count if None.
        tolerance: Distance that counts as near, as a share of the diagonal; at least one pixel.

    Returns:
        0 to 1. Without any boundary: 1 where the masks are equal, else 0.

    Raises:
        InputError: The arrays are not bool or differ in shape, or the tolerance is negative.
    """
    predicted, truth, valid = _checked(predicted, truth, valid)
    if tolerance < 0:
        raise InputError(f"The tolerance is {tolerance}; give a share of the diagonal, such as .0075.")
    near = max(1.0, tolerance * math.hypot(*truth.shape))  # pixels
    found, exact = _boundary(predicted) & valid, _boundary(truth) & valid
    if not found.any() and not exact.any():
        return float(np.array_equal(predicted & valid, truth & valid))
    if not found.any() or not exact.any():
        return 0.0
    ours, theirs = np.argwhere(found), np.argwhere(exact)  # (n, 2), (m, 2)
    precision, recall = _near(ours, theirs, near), _near(theirs, ours, near)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def hits(region: Mask, truth: Mask, *, valid: Mask | None = None, least: float = 0.5) -> bool:
    """Whether a region is right: its IoU with the truth, or with one connected part of it, is large enough.

    Truth without instances does not part objects that touch, and a region may be one object of many.

    Args:
        region: (H, W) bool.
        truth: (H, W) bool.
        valid: (H, W) bool, False where the truth is not known; all pixels count if None.
        least: IoU from which it is right.

    Raises:
        InputError: The arrays are not bool or differ in shape.
    """
    region, truth, valid = _checked(region, truth, valid)
    region, truth = region & valid, truth & valid
    parts = label(truth)  # (H, W)
    common = np.bincount(parts[region], minlength=int(parts.max()) + 1)[1:]  # (n,)
    areas = np.bincount(parts.ravel(), minlength=int(parts.max()) + 1)[1:]  # (n,)
    area, inside = int(region.sum()), int(common.sum())
    if not inside:
        return False
    best = max(inside / (area + areas.sum() - inside), float((common / (area + areas - common)).max()))
    return bool(best >= least)


def confusion(
    truth: NDArray[np.integer],
    predicted: NDArray[np.integer],
    classes: int,
    *,
    ignore: Sequence[int] = (255,),
) -> NDArray[np.int64]:
    """Count the pixels of each pair of classes.

    Args:
        truth: Integer labels of any shape: 0 to classes - 1, or an ignored id.
        predicted: Labels of the same shape, 0 to classes - 1.
        classes: How many classes there are, the background included.
        ignore: Ids of the truth that do not count.

    Returns:
        (classes, classes) int64, rows are the truth. Matrices of several images add up.

    Raises:
        InputError: The shapes differ, or a label is out of range.
    """
    if truth.shape != predicted.shape:
        raise InputError(f"Labels have shapes {truth.shape} and {predicted.shape}; give maps of one image.")
    counted = ~np.isin(truth, ignore)
    rows, columns = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)  # (n,) each
    for name, values in (("true", rows), ("predicted", columns)):
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < classes:
            raise InputError(
                f"A {name} label is {int(values.max())} or {int(values.min())}, expected 0 to {classes - 1}; "
                "ignore ids that are no class."
            )
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)


def pixel_accuracy(matrix: NDArray[np.int64]) -> float:
    """Share of all counted pixels whose class is right; NaN where none was counted."""
    total = int(matrix.sum())
    return int(np.trace(matrix)) / total if total else math.nan


def class_ious(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """(classes,) float64: pooled IoU of each class of a confusion matrix; NaN where a class never occurs."""
    inside = np.diagonal(matrix).astype(np.float64)  # (classes,)
    union = matrix.sum(0) + matrix.sum(1) - inside  # (classes,)
    ious: NDArray[np.float64] = np.divide(inside, union, out=np.full(len(matrix), np.nan), where=union > 0)
    return ious


def mean_iou(matrix: NDArray[np.int64]) -> float:
    """mIoU: the mean over the classes of a confusion matrix that occur at all; NaN where none does."""
    values = class_ious(matrix)
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _near(points: NDArray[np.int64], others: NDArray[np.int64], distance: float) -> float:
    """The share of points (n, 2) that have another (m, 2) within a distance; both have some."""
    # A tree of the outlines' own pixels: distances from every pixel of the image took most of an evaluation.
    nearest, _ = cKDTree(others).query(points, distance_upper_bound=distance + 1e-6)  # (n,)
    return float(np.mean(nearest <= distance))


def _boundary(mask: Mask) -> Mask:
    """The pixels of a mask with one outside above, below, to the left or to the right."""
    framed = np.pad(mask, 1, constant_values=True)  # (H + 2, W + 2)
    inside = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]  # (H, W)
    boundary: Mask = mask & ~inside
    return boundary


def _checked(predicted: Mask, truth: Mask, valid: Mask | None) -> tuple[Mask, Mask, Mask]:
    everything = np.ones_like(truth, np.bool_) if valid is None else valid
    for name, mask in (("mask", predicted), ("truth", truth), ("valid mask", everything)):
        if mask.dtype != np.bool_ or mask.ndim != 2 or mask.shape != truth.shape:
            raise InputError(
                f"The {name} is {mask.dtype} {mask.shape}, expected bool {truth.shape}; "
                "compare masks of one image at one size."
            )
    return predicted, truth, everything
