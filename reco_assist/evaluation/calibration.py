"""Whether scores mean what they say: of the masks scored .8, are eight of ten right?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from reco_assist.errors import InputError
from reco_assist.files import atomic_write
from reco_assist.masks.colours import palette

_SIDE, _LEFT, _TOP, _FOOT = 440, 70, 84, 70  # the plot's square and its margins, in pixels
_PAPER, _INK, _FAINT = (250, 250, 248), (32, 33, 36), (200, 201, 205)
_NEWTON_STEPS = 100
_RIDGE = 1e-6  # keeps the fit finite where scores part the outcomes perfectly


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Scores against outcomes, in bins of equal width over 0 to 1.

    Attributes:
        counts: (bins,) int64 scores in each bin.
        confidence: (bins,) float64 mean score of each bin; NaN where it is empty.
        frequency: (bins,) float64 share of right ones in each bin; NaN where it is empty.
        brier: Mean squared difference of score and outcome; NaN without any.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]
    brier: float

    @property
    def error(self) -> float:
        """Expected calibration error: mean gap of confidence and frequency; NaN without any score."""
        total = int(self.counts.sum())
        if not total:
            return float("nan")
        gap = np.abs(self.confidence - self.frequency)
        return float(np.nansum(gap * self.counts) / total)


def reliability(scores: ArrayLike, outcomes: ArrayLike, *, bins: int = 10) -> Reliability:
    """Compare scores with what became of them.

    Args:
        scores: (n,) probabilities, 0 to 1; n may be 0.
        outcomes: (n,) bool: whether it was right.
        bins: How many; the last one holds 1.0.

    Raises:
        InputError: Lengths differ, a score is no probability, or there is no bin.
    """
    p, y = np.asarray(scores, np.float64).ravel(), np.asarray(outcomes, np.bool_).ravel()  # (n,) each
    _check(p, y)
    if bins < 1 or (p.size and not 0 <= float(p.min()) <= float(p.max()) <= 1):
        raise InputError("Reliability needs scores from 0 to 1 and at least one bin; calibrate them first.")
    index = np.minimum((p * bins).astype(np.int64), bins - 1)  # (n,)
    counts = np.bincount(index, minlength=bins)  # (bins,)
    sums = np.bincount(index, p, bins), np.bincount(index, y.astype(np.float64), bins)
    confidence, frequency = (
        np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0) for total in sums
    )
    return Reliability(counts, confidence, frequency, float(np.mean((p - y) ** 2)) if p.size else np.nan)


def fit_logistic(features: ArrayLike, outcomes: ArrayLike) -> tuple[NDArray[np.float64], float]:
    """The logistic map from features to a probability of the largest likelihood (Platt scaling).

    Args:
        features: (n,) or (n, d) finite.
        outcomes: (n,) bool, both kinds among them.

    Returns:
        (d,) float64 slopes and the offset: probability = sigmoid(features . slopes + offset).

    Raises:
        InputError: Lengths differ, a feature is not finite, or all outcomes are alike.
    """
    x = np.asarray(features, np.float64)
    x = x[:, None] if x.ndim == 1 else x  # (n, d)
    y = np.asarray(outcomes, np.bool_).ravel()  # (n,)
    _check(x, y)
    if not 0 < int(y.sum()) < len(y):
        raise InputError(f"All {len(y)} outcomes are alike; a fit needs right ones and wrong ones.")
    mean, deviation = x.mean(0), np.maximum(x.std(0), 1e-12)  # (d,) each
    design = np.c_[(x - mean) / deviation, np.ones(len(x))]  # (n, d + 1)
    weights = np.zeros(design.shape[1])  # (d + 1,)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))  # (n,)
        gradient = design.T @ (p - y) + _RIDGE * weights  # (d + 1,)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)  # (d + 1,)
        weights -= step
        if float(np.abs(step).max()) < 1e-10:
            break
    slopes = weights[:-1] / deviation  # (d,)
    return slopes, float(weights[-1] - slopes @ mean)


def plot_reliability(path: Path, curves: Mapping[str, Reliability], *, title: str) -> None:
    """Draw reliability diagrams over each other, as a PNG; on the diagonal scores mean what they say.

    The area of a dot goes with the number of scores in its bin.

    Raises:
        StorageError: The file cannot be written.
    """
    image = Image.new("RGB", (_LEFT + _SIDE + 30, _TOP + _SIDE + _FOOT + 22 * len(curves)), _PAPER)
    draw = ImageDraw.Draw(image)
    small = ImageFont.load_default(14)
    draw.text((_LEFT, 18), title, _INK, ImageFont.load_default(20))
    for tick in np.linspace(0, 1, 6):
        x, y = _place(tick, tick)
        draw.line((x, _TOP, x, _TOP + _SIDE), _FAINT)
        draw.line((_LEFT, y, _LEFT + _SIDE, y), _FAINT)
        draw.text((x, _TOP + _SIDE + 6), f"{tick:.1f}", _INK, small, anchor="ma")
        draw.text((_LEFT - 8, y), f"{tick:.1f}", _INK, small, anchor="rm")
    draw.line((*_place(0, 0), *_place(1, 1)), _INK)
    draw.text((_LEFT + _SIDE / 2, _TOP + _SIDE + 28), "score", _INK, small, anchor="ma")
    draw.text((8, _TOP - 24), "share that is right", _INK, small)
    for row, ((name, curve), colour) in enumerate(
        zip(curves.items(), palette(len(curves)).tolist(), strict=True)
    ):
        _curve(draw, curve, tuple(colour))
        y = _TOP + _SIDE + 56 + 22 * row
        draw.rounded_rectangle((_LEFT, y, _LEFT + 14, y + 14), 3, tuple(colour))
        count = int(curve.counts.sum())
        worth = f"expected calibration error {curve.error:.3f} of {count}" if count else "no scores"
        draw.text((_LEFT + 22, y - 2), f"{name}: {worth}", _INK, small)
    with atomic_write(path) as file:
        image.save(file, "PNG", optimize=True)


def _curve(draw: ImageDraw.ImageDraw, curve: Reliability, colour: tuple[int, ...]) -> None:
    filled = np.flatnonzero(curve.counts)
    points = [_place(float(curve.confidence[i]), float(curve.frequency[i])) for i in filled]
    draw.line([value for point in points for value in point], colour, width=2)
    largest = max(1, int(curve.counts.max()))
    for i, (x, y) in zip(filled, points, strict=True):
        radius = 3 + 9 * float(np.sqrt(curve.counts[i] / largest))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _place(score: float, share: float) -> tuple[float, float]:
    return _LEFT + _SIDE * score, _TOP + _SIDE * (1 - share)


def _check(values: NDArray[np.float64], outcomes: NDArray[np.bool_]) -> None:
    if len(values) != len(outcomes) or not np.isfinite(values).all():
        raise InputError(
            f"There are {len(values)} scores and {len(outcomes)} outcomes; expected as many, all finite."
        )
