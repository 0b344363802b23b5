"""Presence: does an image contain the concept at all?

A gate on the whole image beats any pixel threshold, and the background prototype stays out of it: it parts
well and detects badly. An image's best dense cell and best language cell are each compared with those of
ordinary photographs; all of them, targets too, are seen through the same compact cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reco_assist.cosegment import otsu
from reco_assist.encoders import CompactCells, compact
from reco_assist.json_files import number

# The threshold lies between these shares of the set's median score, and at least one robust deviation above
# ordinary photographs.
_SHARES = (0.3, 0.65)
_LEAST = 1.0
# Deviations by which the images of exemplars answer a word that helps to judge presence beside them. On
# eighteen concepts it took false masks from .120 to .107 (one mask) and .106 to .097 (three) at equal IoU.
_ANSWERED = 2.0
# Logistic map from the distance to the threshold to the probability of presence, fitted by
# benchmarks/calibration.py where that share of the images has the concept (expected calibration error .02).
SLOPE, OFFSET, SHARE = 1.13, -1.15, 0.2


@dataclass(frozen=True, slots=True)
class Scale:
    """What is ordinary: a median and a robust standard deviation (1.4826 MAD)."""

    median: float
    deviation: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        """The scale of some values."""
        median = float(np.median(values))
        deviation = 1.4826 * float(np.median(np.abs(values - median)))
        return cls(round(median, 6), max(round(deviation, 6), 1e-6))

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values in robust deviations from the median."""
        scaled: NDArray[np.float32] = ((values - self.median) / self.deviation).astype(np.float32)
        return scaled


@dataclass(frozen=True, slots=True)
class Presence:
    """When an image contains the concept.

    Attributes:
        dense: Of the best dense cell along the foreground prototype, over ordinary photographs.
        language: Of the best language cell along the word; None without a word.
        total: Of the two together.
        threshold: The concept is present where the total, scaled, is larger.
    """

    dense: Scale
    language: Scale | None
    total: Scale
    threshold: float

    @classmethod
    def learn(
        cls,
        foreground: Tensor,
        text: Tensor | None,
        *,
        inliers: CompactCells,
        archive: CompactCells,
        reference_cells: CompactCells | None,
    ) -> Self:
        """Scales from ordinary photographs, the threshold from the archive and the set.

        Otsu parts the archive. Between the limits below it follows the set, whose images show what presence
        looks like: an archive where nearly all or nearly no image has the concept has no two sides to part.

        Args:
            foreground: (C,) the concept's foreground prototype.
            text: (D,) the word's vector, or None.
            inliers: Cells of the set.
            archive: Cells of the archive's images.
            reference_cells: Cells of photographs that were not chosen for any concept; the archive takes
                their place where an encoder ships none.
        """
        dense, language = _best(archive if reference_cells is None else reference_cells, foreground, text)
        scales = Scale.of(dense), None if language is None else Scale.of(language)
        total = Scale.of(_sum(scales, dense, language))
        in_archive, in_set = (
            total(_sum(scales, *_best(cells, foreground, text))) for cells in (archive, inliers)
        )
        typical = float(np.median(in_set))
        lowest, highest = (share * typical for share in _SHARES)
        parting = float(otsu(torch.from_numpy(in_archive)))
        threshold = max(_LEAST, lowest, min(parting, highest))
        return cls(*scales, total=total, threshold=round(threshold, 6))

    def rescaled(self, foreground: Tensor, text: Tensor | None, reference_cells: CompactCells) -> Self:
        """The same threshold, in deviations from ordinary photographs, for a foreground that has moved."""
        dense, language = _best(reference_cells, foreground, None if self.language is None else text)
        scales = Scale.of(dense), None if language is None else Scale.of(language)
        return type(self)(*scales, Scale.of(_sum(scales, dense, language)), self.threshold)

    def score(self, cells: CompactCells, foreground: Tensor, text: Tensor | None) -> NDArray[np.float32]:
        """How far each of n images lies above the threshold: (n,) float32, present where positive."""
        best = _best(cells, foreground, None if self.language is None else text)
        above: NDArray[np.float32] = self.total(_sum((self.dense, self.language), *best)) - self.threshold
        return above

    @staticmethod
    def probability(score: float) -> float:
        """The probability of presence, 0 to 1, of a score."""
        return float(1 / (1 + np.exp(-(SLOPE * score + OFFSET))))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made of it."""

        def scale(part: str) -> Scale:
            deviation = number(data[part]["deviation"])
            if deviation <= 0:
                raise ValueError(f"the deviation {deviation}")
            return Scale(number(data[part]["median"]), deviation)

        language = None if data["language"] is None else scale("language")
        return cls(scale("dense"), language, scale("total"), number(data["threshold"]))


def answers(cells: CompactCells, text: Tensor, *, among: CompactCells) -> bool:
    """Whether images that have the concept answer its word: their best cells stand out among ordinary ones.

    Args:
        cells: Of images that have the concept.
        text: (D,) vector of the word.
        among: Cells of ordinary images.
    """
    reference, mine = (compact.inner_products(one.language, text).max(1) for one in (among, cells))
    return bool(np.median(Scale.of(reference)(mine)) > _ANSWERED)


def _best(
    cells: CompactCells, foreground: Tensor, text: Tensor | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    dense = compact.inner_products(cells.dense, foreground).max(1)  # (n,)
    language = None if text is None else compact.inner_products(cells.language, text).max(1)  # (n,)
    return dense, language


def _sum(
    scales: tuple[Scale, Scale | None], dense: NDArray[np.float32], language: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    total = scales[0](dense)
    if scales[1] is not None and language is not None:
        total = total + scales[1](language)
    return total
