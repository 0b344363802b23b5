"""The cells a Concept votes with: the exemplars' as they were marked, the set's by its own refined masks.

Masks that follow the edges of the photographs say better what a cell shows than the scores they come from,
so that a set labels itself: the dense CRF teaches the cells, and the cells then judge other images.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from reco_assist.concepts.co_segmentation import CoSegmentation, mean_threshold
from reco_assist.cosegment import LabelledCells, blend_threshold, mask_coverage, neighbour_vote, otsu
from reco_assist.images import decode, squash
from reco_assist.refine import crf
from reco_assist.retrieval import Retrieved

REFINE_SIDE = 224
"""Side in pixels of the square on which maps are thresholded and refined."""

# How much a bank's vote counts beside the prototypes. A set that only a word taught labels itself less
# surely: more than this costs the rendered mugs more than the word gains on photographs.
_SHOWN_SHARE, _WORD_SHARE = 0.5, 0.3
_SHARPNESS = 5.0  # of the sigmoid around the threshold
_SET_SHARE = 0.5  # of the set's threshold in an exemplar concept's


def label_cells(
    made: CoSegmentation, exemplars: LabelledCells | None, *, side: int
) -> tuple[tuple[LabelledCells, ...], float]:
    """Label the cells of a set by its refined masks.

    Args:
        made: Of the assist method.
        exemplars: Cells of the exemplars, if they lead.
        side: Of the encoder's input, so that images are read as for it.

    Returns:
        What votes, the exemplars' cells first, and the mean automatic threshold of the set's scores, the vote
        included.

    Raises:
        ImageError: An image of the set cannot be read any more.
    """
    shown = () if exemplars is None else (exemplars,)
    scores = with_vote(made.scores, made.features, shown)  # (k, h, w)
    level = None if exemplars is None else mean_threshold(scores)
    maps = interpolate(scores[:, None], size=(REFINE_SIDE, REFINE_SIDE), mode="bilinear", align_corners=False)
    guesses = around_threshold(maps[:, 0], level).cpu().numpy()  # (k, S, S)
    grid = (scores.shape[1], scores.shape[2])
    with ThreadPoolExecutor() as pool:
        squares = pool.map(lambda image: _square(image, side), made.images)
        masks = [crf(guess, square) > 0.5 for guess, square in zip(guesses, squares, strict=True)]
    coverage = torch.stack([mask_coverage(torch.from_numpy(mask), grid) for mask in masks])  # (k, h, w)
    banks = (*shown, LabelledCells.of(made.features, coverage))
    return banks, mean_threshold(with_vote(made.scores, made.features, banks))


def with_vote(scores: Tensor, features: Tensor, banks: Sequence[LabelledCells]) -> Tensor:
    """Scores (k, h, w) of prototypes and what each bank says: s + sum of share (vote - .5).

    The share is .5 where there are exemplars beside the set, and .3 where a word taught the set alone.
    """
    share = _SHOWN_SHARE if len(banks) > 1 else _WORD_SHARE
    for bank in banks:
        scores = scores + share * (neighbour_vote(features, bank) - 0.5)
    return scores


def around_threshold(scores: Tensor, level: float | None = None, *, parts: bool = False) -> Tensor:
    """Scores (n, S, S) around the automatic threshold of each, as probabilities (n, S, S) float32.

    Args:
        scores: Of the assist method.
        level: The set's mean threshold, which counts for half; None where each image decides alone.
        parts: The scores are of parts of one image: no threshold is below that of the first.
    """
    rows = scores.flatten(1)  # (n, S*S)
    threshold = blend_threshold(rows, otsu(rows))  # (n,)
    if level is not None:
        threshold = torch.lerp(threshold, torch.full_like(threshold, level), _SET_SHARE)
    if parts:
        threshold = threshold.maximum(threshold[0])
    return torch.sigmoid(_SHARPNESS * (scores - threshold[:, None, None]))


def _square(image: Retrieved, side: int) -> NDArray[np.uint8]:
    return squash(decode(image.path, reduce_to=side).pixels, REFINE_SIDE)
