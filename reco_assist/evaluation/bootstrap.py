"""How far a mean can be trusted: percentile bootstrap over images, and over concepts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reco_assist.errors import InputError


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where it would fall for other samples.

    Attributes:
        mean: Of the sample itself.
        low: Lower end.
        high: Upper end.
    """

    mean: float
    low: float
    high: float


def bootstrap(
    groups: Sequence[ArrayLike],
    *,
    resample_groups: bool = False,
    level: float = 0.95,
    rounds: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean over groups of the mean within each, with a percentile interval (Efron 1979).

    For a paired comparison give the differences of the pairs.

    Args:
        groups: Values of each group (the images of a concept), any number of each; empty groups are left
            out.
        resample_groups: Draw the groups too: what other concepts would give, not only other images.
        level: Share of samples within the interval.
        rounds: Samples drawn.
        seed: Of the draw; the same seed gives the same interval.

    Raises:
        InputError: There is no value, one is not finite, or an option is out of range.
    """
    values = [np.asarray(group, np.float64).ravel() for group in groups]
    values = [group for group in values if group.size]
    if not values or not all(np.isfinite(group).all() for group in values):
        raise InputError("An interval needs at least one value, all of them finite.")
    if not 0 < level < 1 or rounds < 1:
        raise InputError(f"The level is {level} with {rounds} rounds; give a share and at least one round.")
    random = np.random.default_rng(seed)
    means = np.stack([_means(group, rounds, random) for group in values])  # (groups, rounds)
    if resample_groups:
        drawn = random.integers(0, len(values), means.shape)  # (groups, rounds)
        # Another round for each draw, so that a group drawn twice brings two samples of its images.
        means = means[drawn, random.integers(0, rounds, means.shape)]
    low, high = np.quantile(means.mean(0), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean([group.mean() for group in values])), float(low), float(high))


def _means(group: NDArray[np.float64], rounds: int, random: np.random.Generator) -> NDArray[np.float64]:
    """(rounds,) means of samples with replacement."""
    means: NDArray[np.float64] = group[random.integers(0, group.size, (rounds, group.size))].mean(1)
    return means
