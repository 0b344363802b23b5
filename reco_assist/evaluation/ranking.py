"""How good a ranking is: what the curator sees first."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reco_assist.errors import InputError


def precision_at(relevant: ArrayLike, k: int) -> float:
    """Share of relevant ones among the first k.

    Args:
        relevant: (n,) bool, best first.
        k: 1 to n.

    Raises:
        InputError: k is out of range.
    """
    flags = _flags(relevant)
    if not 1 <= k <= len(flags):
        raise InputError(f"k is {k} and {len(flags)} were ranked; give 1 to {len(flags)}.")
    return float(flags[:k].mean())


def average_precision(scores: ArrayLike, relevant: ArrayLike) -> float:
    """Mean precision at the relevant ones (area under the precision-recall steps); equal scores tie.

    The mean over concepts is the mAP.

    Args:
        scores: (n,) finite, the higher the better.
        relevant: (n,) bool.

    Raises:
        InputError: Lengths differ, a score is not finite, or nothing is relevant.
    """
    values, flags = np.asarray(scores, np.float64).ravel(), _flags(relevant)
    if len(values) != len(flags) or not np.isfinite(values).all() or not flags.any():
        raise InputError(
            f"There are {len(values)} scores and {len(flags)} marks, {int(flags.sum())} of them relevant; "
            "expected as many, all finite, and at least one relevant."
        )
    order = np.argsort(-values, kind="stable")  # (n,)
    found = np.cumsum(flags[order])  # (n,)
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)  # ends of groups of equals
    gained = np.diff(found[last], prepend=0)
    return float((gained * found[last] / (last + 1)).sum() / found[-1])


def _flags(relevant: ArrayLike) -> NDArray[np.bool_]:
    return np.asarray(relevant, np.bool_).ravel()
