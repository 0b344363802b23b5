"""The order in which to review: what is uncertain, what models disagree about, and no two alike in a row."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LEAST = 0.5  # of an image's value that stays when it looks exactly like one that comes before it
_BLOCK = 500  # images that are parted by their looks at a time


def doubt(scores: NDArray[np.uint8], probability: float) -> float:
    """How unsure a finding is, 0 to 1: the larger of what the verdict and the mask's pixels leave open.

    Args:
        scores: (H, W) uint8 refined probability.
        probability: That the concept is present.
    """
    verdict = 1 - abs(2 * probability - 1)
    touched = scores[scores > 25].astype(np.float32) / 255  # (n,), a tenth and more
    if not touched.size:
        return round(verdict, 4)
    return round(max(verdict, float(1 - np.abs(2 * touched - 1).mean())), 4)


def disagreement(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """1 - IoU of what two models find, (H, W) bool each; two empty masks agree: 0."""
    union = int(np.count_nonzero(first | second))
    return 1 - int(np.count_nonzero(first & second)) / union if union else 0.0


def review_order(values: Sequence[float], looks: NDArray[np.float32]) -> list[int]:
    """Positions of images, the one first whose review teaches most.

    Greedy: next is the image with the largest value, less up to half of it where the image looks like one
    that comes before. Only the 500 most valuable images are weighed against each other at a time.

    Args:
        values: (n,) uncertainty or disagreement, 0 to 1.
        looks: (n, d) float32 vectors whose angles tell images apart; d = 0 where there are none.
    """
    worth = np.asarray(values, np.float64)  # (n,)
    ranked = np.argsort(-worth, kind="stable")  # (n,)
    if not looks.shape[1] or not len(ranked):
        return [int(one) for one in ranked]
    unit = looks - looks.mean(0)  # (n, d)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
    order: list[int] = []
    for start in range(0, len(ranked), _BLOCK):
        block = ranked[start : start + _BLOCK]  # (m,)
        alike = np.zeros(len(block))  # (m,) cosine to the nearest that comes before, not below 0
        left = np.ones(len(block), bool)
        for _ in block:
            gain = np.where(left, worth[block] * (1 - (1 - _LEAST) * alike), -np.inf)  # (m,)
            best = int(gain.argmax())
            left[best] = False
            order.append(int(block[best]))
            alike = np.maximum(alike, unit[block] @ unit[block[best]])
    return order
