"""From refined maps to regions, decided here alone: who owns a pixel, threshold, specks, instances, scores.

A refined map is (H, W) uint8, 255 for certain: what is shown, thresholded and exported. No torch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.errors import InputError
from reco_assist.masks.components import label
from reco_assist.masks.spans import Spans, bands, spans_of
from reco_assist.masks.touching import split_touching

Instances = Literal["components", "split", "none"]
"""One region for each connected component; those parted that touching objects make; or one for all."""


class Levels(Protocol):
    """Maps (K, H, W) uint8, as an array or made where they are looked at."""

    @property
    def shape(self) -> tuple[int, ...]:
        """K, H, W."""

    def __getitem__(self, at: tuple[Any, slice, slice], /) -> NDArray[np.uint8]:
        """Some rows and columns of one map (h, w), or of several (k, h, w)."""


AUTOMATIC = 128
"""The byte of a refined map that the automatic decision takes as the threshold."""

_Look = Callable[[slice, slice], NDArray[np.uint8]]

_SMALLEST = 0.001  # share of the image; smaller components are specks

# Logistic fit on 2,180 regions by benchmarks/calibration.py: calibration error .03 on concepts left out.
_SCORE = (0.718, 1.011, -5.136)


@dataclass(frozen=True, slots=True)
class Rule:
    """How maps become regions where nobody has corrected them.

    Attributes:
        level: Byte of a map from which a pixel belongs to a concept, 1 to 255.
        instances: See `Instances`.
        overlap: Let concepts share pixels; otherwise see `claimed`.
    """

    level: int = AUTOMATIC
    instances: Instances = "components"
    overlap: bool = False

    @classmethod
    def of(cls, threshold: float | Literal["auto"], instances: Instances, *, overlap: bool) -> "Rule":
        """A rule at a share of the probability.

        Raises:
            InputError: The threshold lies outside 0 to 1.
        """
        if threshold != "auto" and not 0 <= threshold <= 1:
            raise InputError(f"the threshold is {threshold}: give a number from 0 to 1, or auto")
        level = AUTOMATIC if threshold == "auto" else max(1, round(255 * threshold))
        return cls(level, instances, overlap)

    def __call__(
        self,
        image: ImageRef,
        verdicts: Sequence[Verdict],
        maps: Levels,
        *,
        seen: tuple[int, ...] | None = None,
    ) -> Prediction:
        """The regions of an image.

        Args:
            image: The image.
            verdicts: One for each map.
            maps: (K, H, W) uint8, refined.
            seen: Size (h, w) in pixels of the parts that it was seen in, for specks; the image's if None.
        """
        shape = maps.shape[1:]
        parts: list[list[Spans]] = [[] for _ in verdicts]
        for band in bands(shape):  # of a huge image, nothing but its maps is held whole
            part = maps[:, :, band]  # (K, H, w)
            for mine, owned in zip(parts, part if self.overlap else claimed(part), strict=True):
                mine.append(Spans.of(owned >= self.level, owned))
        found = [
            region
            for k, (verdict, mine) in enumerate(zip(verdicts, parts, strict=True))
            for region in _regions(
                verdict,
                Spans.beside(shape, mine),
                partial(_of_map, maps, k),
                instances=self.instances,
                smallest=speck(seen or shape),
            )
        ]
        return Prediction(image, tuple(found), tuple(verdicts))


def owners(maps: NDArray[np.uint8], *, level: int = 1) -> NDArray[np.int16]:
    """(H, W) number of the map that a pixel belongs to: the likeliest, the first among equals; -1 for none.

    Args:
        maps: (K, H, W) uint8.
        level: From which a map counts, 1 to 255.
    """
    best = np.full(maps.shape[1:], level - 1, np.uint8)  # (H, W)
    owner = np.full(maps.shape[1:], -1, np.int16)  # (H, W)
    for k, one in enumerate(maps):
        above = one > best  # (H, W)
        best[above] = one[above]
        owner[above] = k
    return owner


def claimed(maps: NDArray[np.uint8], *, free: NDArray[np.bool_] | None = None) -> Iterator[NDArray[np.uint8]]:
    """Each map (H, W) uint8 where it owns the pixel, else 0: concepts do not overlap.

    One at a time: hundreds of large ones would not fit the memory.

    Args:
        maps: (K, H, W) uint8, of the concepts that count: one that was rejected claims nothing.
        free: (H, W) bool, what is not settled yet; everything if None.
    """
    owner = owners(maps)  # (H, W)
    if free is not None:
        owner[~free] = -1
    for k, one in enumerate(maps):
        mine: NDArray[np.uint8] = np.where(owner == k, one, np.uint8(0))
        yield mine


def speck(shape: tuple[int, ...]) -> int:
    """Pixels from which a component counts in an image of a shape (H, W)."""
    return max(1, round(_SMALLEST * math.prod(shape)))


def despeckled(levels: NDArray[np.uint8], level: int = AUTOMATIC) -> NDArray[np.uint8]:
    """A map (H, W) uint8 without the specks that would stand alone at a threshold."""
    mask = levels >= level  # (H, W)
    if not mask.any():
        return levels
    specks = mask & (label(mask, min_area=speck(mask.shape)) == 0)  # (H, W)
    clean: NDArray[np.uint8] = np.where(specks, np.uint8(0), levels)
    return clean


def regions(
    verdict: Verdict,
    mask: NDArray[np.bool_],
    levels: NDArray[np.uint8],
    *,
    instances: Instances = "components",
    smallest: int = 1,
) -> list[Region]:
    """The regions of a mask (H, W) bool of a concept; together they are the mask, but for the specks.

    Args:
        verdict: About the concept.
        mask: What belongs to it.
        levels: (H, W) uint8, the map that the scores are of.
        instances: See `Instances`.
        smallest: Pixels from which a component counts; see `speck`.
    """
    look = partial(_of_map, levels[None], 0)
    return _regions(verdict, spans_of(mask, levels), look, instances=instances, smallest=smallest)


def _of_map(maps: Levels, k: int, rows: slice, columns: slice) -> NDArray[np.uint8]:
    return maps[k, rows, columns]


def _regions(
    verdict: Verdict, mask: Spans, look: _Look, *, instances: Instances, smallest: int
) -> list[Region]:
    parts = mask.connected(min_area=smallest)
    if instances == "split":
        parts = _split(parts, look)
    elif instances == "none":
        parts = parts.numbered(np.ones_like(parts.numbers))
    return [
        Region(verdict.concept, rle, region_score(verdict.probability, float(total / area / 255)))
        for rle, total, area in zip(parts.encoded(), parts.sums(parts.totals), parts.areas, strict=True)
    ]


def _split(parts: Spans, look: _Look) -> Spans:
    """Components, each taken apart in its box, in reading order of all parts' first pixels."""
    found = []
    for part in parts.parts():
        rows, columns = part.box
        here = look(rows, columns)  # (h, w)
        sides = tuple(
            (side.start == 0, side.stop == end) for side, end in zip(part.box, parts.shape, strict=True)
        )
        apart = split_touching(part.cropped(), open_sides=sides)  # (h, w)
        found.append(Spans.of(apart, here).placed(parts.shape, top=rows.start, left=columns.start))
    return Spans.together(found) if found else parts


def region_score(presence: float, level: float) -> float:
    """Probability that a region covers the object it is on with an IoU of at least one half.

    Args:
        presence: Probability that the image has the concept, 0 to 1.
        level: Mean refined probability inside the region, 0 to 1.
    """
    p, q = np.clip(presence, 1e-4, 1 - 1e-4), np.clip(level, 0.005, 0.995)
    weight, slope, offset = _SCORE
    return round(float(expit(weight * logit(p) + slope * logit(q) + offset)), 4)
