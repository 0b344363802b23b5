"""The order in which to review: what is uncertain, what models disagree about, and no two alike in a row."""

import base64
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

_LEAST = 0.5  # of an image's value that stays when it looks exactly like one that comes before it
_BLOCK = 500  # images that are parted by their looks at a time
_KEPT = 64  # numbers of a look that are kept: random projections, which keep angles


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


def review_order(
    values: Sequence[float], looks: NDArray[np.float32], *, seen: NDArray[np.float32] | None = None
) -> list[int]:
    """Positions of images, the one first whose review teaches most.

    Greedy: next is the image with the largest value, less up to half of it where the image looks like one
    that comes before. Only the 500 most valuable images are weighed against each other at a time.

    Args:
        values: (n,) uncertainty or disagreement, 0 to 1.
        looks: (n, d) float32 vectors whose angles tell images apart; d = 0 where there are none.
        seen: (m, d) looks of images that were reviewed before.
    """
    worth = np.asarray(values, np.float64)  # (n,)
    ranked = np.argsort(-worth, kind="stable")  # (n,)
    if not looks.shape[1] or not len(ranked):
        return [int(one) for one in ranked]
    everything = looks if seen is None else np.concatenate([looks, seen])  # (n + m, d)
    everything = everything - everything.mean(0)
    everything = everything / np.maximum(np.linalg.norm(everything, axis=1, keepdims=True), 1e-9)
    unit, before = everything[: len(looks)], everything[len(looks) :]  # (n, d), (m, d)
    order: list[int] = []
    for start in range(0, len(ranked), _BLOCK):
        block = ranked[start : start + _BLOCK]  # (m,)
        # (m,) cosine to the nearest that comes before, not below 0
        alike = np.maximum((unit[block] @ before.T).max(1, initial=0), 0)
        left = np.ones(len(block), bool)
        for _ in block:
            gain = np.where(left, worth[block] * (1 - (1 - _LEAST) * alike), -np.inf)  # (m,)
            best = int(gain.argmax())
            left[best] = False
            order.append(int(block[best]))
            alike = np.maximum(alike, unit[block] @ unit[block[best]])
    return order


def pack_look(embedding: NDArray[np.float32]) -> str:
    """A vector (d,) that tells images apart by its angles as a short text: 64 projections, one byte each."""
    if not embedding.size:
        return ""
    small = _projection(len(embedding)) @ embedding  # (64,)
    largest = float(np.abs(small).max())
    levels = np.rint(small / largest * 127) if largest else small  # only the angle counts
    return base64.b85encode(levels.astype(np.int8).tobytes()).decode()


def unpack_looks(texts: Sequence[str]) -> NDArray[np.float32]:
    """(n, 64) float32 of packed looks; zero where one is unknown."""
    looks = np.zeros((len(texts), _KEPT), np.float32)
    for look, text in zip(looks, texts, strict=True):
        if text:
            look[:] = np.frombuffer(base64.b85decode(text), np.int8)
    return looks


@cache
def _projection(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((_KEPT, size), np.float32)  # (64, d)
