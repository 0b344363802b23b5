"""Further looks: parts of an image seen again at a larger scale, so that small objects show.

An encoder sees an image as one small square, where an object of 3 % of it is a cell or two. Far looks, a
third as high and wide as the image and around the peaks of the first look's scores, find what the first look
is unsure of. Where exemplars taught the concept, near looks, half as high and wide, are fused with the first
look's scores; where the best of them holds something small whole, and the first look saw nothing large, far
looks decide alone, each with a map of its own, refined by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from reco_assist.annotations import ImageRef, Kind, LookAt

# Fitted on 170 photographs of ten concepts with three masks, half of them below 3 % of the image, refinement
# left out: IoU .25 -> .42 (small), .57 -> .59 (others). Four windows of each kind were no better than two.
NEAR, FAR = 0.5, 0.35
"""Share of an image's height and width that a look of each kind shows."""

_APART = 0.2  # share of the side between two peaks
_SHARE = 0.5  # of the near looks in a fused score
_FEATHER = 0.2  # of a window's side, over which it fades into the first look
_SMALL = 0.7  # extent of the largest in the first look + share of the near window's edge that it touches
_AS_GOOD = 0.7  # of the best far look's score: what another one needs
_CUT = 0.4  # share of an edge of a far window that a mask may cross


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image, of its shape: shares of the image's height, width, and of both."""

    top: float
    left: float
    side: float

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Its rows and columns in an image of a size in pixels."""
        rows, columns = (
            slice(round(start * length), round((start + self.side) * length))
            for start, length in ((self.top, height), (self.left, width))
        )
        return rows, columns

    def look(self, kind: Kind, image: ImageRef) -> LookAt:
        """Its place in an image, as provenance has it."""
        rows, columns = self.slices(image.height, image.width)
        box = columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
        return LookAt(kind, box)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a concept says about a window.

    Attributes:
        window: The window.
        scores: (S, S) float32.
        squares: The window as `Loaded.squares` has the whole image.
    """

    window: Window
    scores: Tensor
    squares: tuple[NDArray[np.uint8], ...]

    @property
    def best(self) -> float:
        """The largest score."""
        return float(self.scores.max())


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What all looks find of a concept in an image.

    Attributes:
        above: How far they lie above the concept's presence threshold; present where positive.
        scores: (S, S) float32 of the whole image; None where nobody asked for them.
        parts: Looks that decide in its place, the best first; each has a mask of its own.
        near: Looks whose scores count in those of the whole image.
    """

    above: float
    scores: Tensor | None = None
    parts: Sequence[Seen] = ()
    near: Sequence[Seen] = ()

    def looks(self, image: ImageRef) -> tuple[LookAt, ...]:
        """The looks that decided the mask, as provenance has them."""
        near = (one.window.look("near", image) for one in self.near)
        return (*near, *(one.window.look("far", image) for one in self.parts))


Probability = Callable[[Tensor], Tensor]
"""Scores (S, S) around their automatic threshold, as probabilities (S, S)."""


def propose(scores: Tensor, side: float, count: int) -> list[Window]:
    """Windows of a side around the highest scores (S, S), apart from each other and inside the image."""
    left_over = scores.clone()  # (S, S)
    size = len(scores)
    reach = round(_APART * size)
    windows = []
    for _ in range(count):
        y, x = divmod(int(left_over.argmax()), size)
        top, left = (min(max((at + 0.5) / size - side / 2, 0.0), 1 - side) for at in (y, x))
        windows.append(Window(top, left, side))
        left_over[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = -torch.inf
    return windows


def fused(first: Tensor, near: Sequence[Seen]) -> Tensor:
    """Scores (S, S) of a first look, halfway to those of near looks where there are any; no seam shows."""
    size = len(first)
    total, weight = torch.zeros_like(first), torch.zeros_like(first)  # (S, S)
    for one in near:
        place = one.window.slices(size, size)
        rows, columns = (part.stop - part.start for part in place)
        faded = torch.outer(
            _faded(rows, one.window.top, one.window.side).to(first),
            _faded(columns, one.window.left, one.window.side).to(first),
        )  # (h, w)
        total[place] += faded * _resized(one.scores, rows, columns)
        weight[place] += faded
    share = _SHARE * weight.clamp(max=1)  # (S, S)
    return torch.lerp(first, total / weight.clamp_min(1e-6), share)


def holds_small(first: Tensor, near: Sequence[Seen], probability: Probability) -> bool:
    """Whether what the best near look is about is small, and whole in it.

    Args:
        first: (S, S) scores of the whole image.
        near: At least one.
        probability: How scores become probabilities.
    """
    best = max(near, key=lambda one: one.best)
    extent = max(_extent(_largest(first, probability))) / len(first)
    return extent + _cut(best, probability) < _SMALL


def convincing(far: Sequence[Seen], probability: Probability) -> list[Seen]:
    """The far looks that hold what they are about whole and find nearly as much as the best, the best first.

    None where the best one is cut: a mask would end in a straight seam.
    """
    best, *others = sorted(far, key=lambda one: -one.best)
    good = [best, *(one for one in others if one.best >= _AS_GOOD * best.best)]
    whole = [one for one in good if _cut(one, probability) <= _CUT]
    return whole if best in whole else []


def _largest(scores: Tensor, probability: Probability) -> NDArray[np.bool_]:
    """(S, S) bool: the connected part of the mask around the highest score."""
    labels, _ = scipy.ndimage.label((probability(scores) > 0.5).cpu().numpy())
    mine: NDArray[np.bool_] = labels == labels.flat[int(scores.argmax())]
    return mine


def _cut(look: Seen, probability: Probability) -> float:
    """Share of an edge, the worst that lies inside the image, along which a window cuts what it is about."""
    inside, window = _largest(look.scores, probability), look.window  # (S, S) bool
    edges = [
        (window.top > 0, inside[0]),
        (window.top + window.side < 1, inside[-1]),
        (window.left > 0, inside[:, 0]),
        (window.left + window.side < 1, inside[:, -1]),
    ]
    return max((float(cells.mean()) for within, cells in edges if within), default=0.0)


def _extent(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Rows and columns that a mask takes."""
    (rows, columns), *_ = scipy.ndimage.find_objects(mask.astype(int))
    return rows.stop - rows.start, columns.stop - columns.start


def _faded(length: int, start: float, side: float) -> Tensor:
    """(length,) weights that fall towards the ends that lie inside the image."""
    weights = torch.ones(length)
    steps = max(1, round(_FEATHER * length))
    ramp = (torch.arange(steps) + 1) / (steps + 1)
    if start > 0:
        weights[:steps] = ramp
    if start + side < 1:
        weights[-steps:] = ramp.flip(0)
    return weights


def _resized(scores: Tensor, height: int, width: int) -> Tensor:
    return interpolate(scores[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
