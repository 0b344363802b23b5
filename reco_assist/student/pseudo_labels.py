"""Pseudo-labels: a teacher's maps as classes, and how far each pixel's class can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from reco_assist.annotations import Verdict
from reco_assist.annotations.regions import AUTOMATIC, owners

_BAND = 0.01
"""Half the width of the ignored band along boundaries, as a share of the image's side."""


@dataclass(frozen=True, slots=True, eq=False)
class PseudoLabel:
    """What an image is to teach.

    Attributes:
        classes: (S, S) uint8, 0 background, 1..K the concepts in their order.
        weights: (S, S) uint8, 0 ignored to 255 certain.
    """

    classes: NDArray[np.uint8]
    weights: NDArray[np.uint8]


def pseudo_label(
    maps: NDArray[np.uint8], verdicts: Sequence[Verdict], side: int, *, band: float = _BAND
) -> PseudoLabel:
    """Classes and weights from a teacher's maps.

    A pixel's weight is the margin between its two likeliest classes, where the background has what the
    likeliest concept leaves, times the probability that the verdicts it rests on are right: of presence for a
    concept's pixels, of every absence for the background's. Along boundaries nothing is taught, since that is
    where a teacher errs; images without any concept are background throughout.

    Args:
        maps: (K, H, W) uint8 refined probability; zero where a concept is absent.
        verdicts: One per map.
        side: S, pixels of the square label.
        band: Half the width of the ignored band, as a share of the side.
    """
    levels = np.stack([_squashed(one, side, Image.Resampling.BILINEAR) for one in maps])  # (K, S, S)
    chances = levels.astype(np.float32) / 255  # (K, S, S)
    likeliest = chances.max(0)  # (S, S)
    everything = np.concatenate([1 - likeliest[None], chances])  # (1 + K, S, S)
    classes = (owners(levels, level=AUTOMATIC) + 1).astype(np.uint8)  # (S, S)
    first, second = np.sort(everything, axis=0)[[-1, -2]]  # (S, S) each
    absent = float(np.prod([1 - one.probability for one in verdicts if not one.present]))
    trust = np.array([absent, *(one.probability for one in verdicts)], np.float32)  # (1 + K,)
    weights = (first - second) * trust[classes]  # (S, S)
    radius = round(band * side)
    if radius:
        size = 2 * radius + 1
        weights[maximum_filter(classes, size) != minimum_filter(classes, size)] = 0
    return PseudoLabel(classes, np.rint(255 * weights).astype(np.uint8))


def corrected_label(masks: Mapping[int, NDArray[np.bool_] | None], side: int) -> PseudoLabel:
    """Classes and weights from masks that somebody has corrected: certain wherever they were drawn.

    Args:
        masks: (H, W) bool by class 1..K, or None where nothing was said about a class. Where masks overlap
            the later class wins.
        side: S, pixels of the square label.
    """
    classes = np.zeros((side, side), np.uint8)  # (S, S)
    for number, mask in masks.items():
        if mask is not None:
            classes[_squashed(mask.astype(np.uint8) * 255, side, Image.Resampling.BILINEAR) >= 128] = number
    known = all(mask is not None for mask in masks.values())
    # What was not drawn may be a class that nobody has looked for yet.
    weights = np.where((classes > 0) | known, np.uint8(255), np.uint8(0))
    return PseudoLabel(classes, weights)


def _squashed(values: NDArray[np.uint8], side: int, how: Image.Resampling) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(values).resize((side, side), how))  # (S, S)
