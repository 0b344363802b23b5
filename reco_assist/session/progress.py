"""How a review goes: how much is left, and whether going on pays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reco_assist.session.records import STATES, State

_DECIDED = tuple(STATES.index(state) for state in ("accepted", "rejected", "absent"))
_RECENT = 20
_POOR = 0.1  # of the last decisions accepted: below it positives have become rare
_FEW = 0.05  # of the positives so far: when fewer are left, they are not worth the looking


@dataclass(frozen=True, slots=True)
class Progress:
    """Figures about a review.

    Attributes:
        counts: Images by state.
        acceptance: Share of accepted images among the last decided ones, at most 20; None before the first.
        recent: How many those are.
        positives_left: Expected number of images among the undecided ones that will be accepted.
        hint: A sentence when going on is unlikely to pay, else empty.
    """

    counts: dict[State, int]
    acceptance: float | None
    recent: int
    positives_left: float
    hint: str

    @property
    def left(self) -> int:
        """Images without a decision."""
        return self.counts["pending"] + self.counts["skipped"]


def figures(states: NDArray[np.uint8], chances: NDArray[np.float64]) -> Progress:
    """Figures about a review.

    Args:
        states: (n,) uint8 of each image, positions in `STATES`; those of decided images as they were decided.
        chances: (n,) float64 probability that any concept is in each image, 0 to 1.
    """
    counted = np.bincount(states, minlength=len(STATES))  # (5,)
    counts = {state: int(count) for state, count in zip(STATES, counted, strict=True)}
    still = ~np.isin(states, _DECIDED)  # (n,)
    recent = states[~still][-_RECENT:]  # at most (20,)
    accepted = int((recent == STATES.index("accepted")).sum())
    rate = accepted / len(recent) if len(recent) else None
    # The segmenter's own probabilities, corrected by how they fared with this curator.
    correction = (counts["accepted"] + 1) / (float(chances[~still].sum()) + 1)
    remaining = float(np.minimum(1, chances[still] * correction).sum())
    hint = _hint(rate, len(recent), counts["accepted"], int(still.sum()), remaining)
    return Progress(counts, rate, len(recent), remaining, hint)


def _hint(rate: float | None, recent: int, accepted: int, left: int, remaining: float) -> str:
    if rate is None or recent < _RECENT or not left:
        return ""
    if rate <= _POOR and remaining <= max(1.0, _FEW * accepted):
        return (
            f"Going on is unlikely to pay: of the last {recent} images {round(rate * recent)} were accepted, "
            f"and about {remaining:.0f} of the {left} left are expected to be."
        )
    if rate == 1:
        return f"The last {recent} were all accepted, and the {left} left are surer: accept them all?"
    return ""
