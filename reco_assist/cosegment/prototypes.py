"""Prototypes of the `assist` method: a foreground and a background direction, learnt from the set itself.

The background prototype is the largest single gain over the paper's one reference. A cell's score
is s = f . (F - B) + .1 z, where z is the standardised saliency of the word.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from reco_assist.cosegment._checks import as_maps, same_grid, unit_features, unit_vector
from reco_assist.cosegment.otsu import blend_threshold, otsu
from reco_assist.errors import InputError

# Share of the saliency in a score.
_SALIENCY = 0.1
# Share of the exemplars' own prototypes in each round of self-training from exemplars.
_ANCHOR = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Prototypes:
    """What the concept looks like and what surrounds it.

    Attributes:
        foreground: (C,) float32, unit length.
        background: (C,) float32, unit length.
    """

    foreground: Tensor
    background: Tensor


def prototype_scores(features: Tensor, prototypes: Prototypes, saliency: Tensor | None = None) -> Tensor:
    """Score of each cell, s = f . (F - B) + .1 z.

    Args:
        features: (k, C, h, w) features; used at unit length.
        prototypes: Of the concept.
        saliency: (k, h, w) standardised saliency z of the word; left out if None (exemplars have no word).

    Returns:
        (k, h, w) float32, roughly -1 to 1.

    Raises:
        InputError: Shapes that do not belong together, NaN or infinity.
    """
    return direction_scores(features, prototypes.foreground - prototypes.background, saliency)


def direction_scores(features: Tensor, direction: Tensor, saliency: Tensor | None = None) -> Tensor:
    """Score of each cell along one direction, s = f . direction + .1 z.

    With the reference embedding as the direction these are the scores that self-training starts from.

    Args:
        features: (k, C, h, w) features; used at unit length.
        direction: (C,).
        saliency: (k, h, w) standardised saliency, or None.

    Returns:
        (k, h, w) float32.

    Raises:
        InputError: Shapes that do not belong together, NaN or infinity.
    """
    unit = unit_features(features)  # (k, C, h, w)
    if tuple(direction.shape) != (unit.shape[1],):
        raise InputError(f"The direction has shape {tuple(direction.shape)}, expected ({unit.shape[1]},).")
    scores = torch.einsum("kchw,c->khw", unit, direction.to(unit))
    if saliency is None:
        return scores
    same_grid(saliency, unit, "Saliency")
    return scores + _SALIENCY * as_maps(saliency, "Saliency", "(k, h, w)")


def self_train(features: Tensor, scores: Tensor, saliency: Tensor, *, rounds: int = 3) -> Prototypes:
    """Learn prototypes from a set: Otsu parts the cells of each image, means give new scores.

    Args:
        features: (k, C, h, w) features of the set; used at unit length.
        scores: (k, h, w) first scores, see `direction_scores`.
        saliency: (k, h, w) standardised saliency z of the word.
        rounds: Of parting and averaging, at least 1.

    Returns:
        The prototypes after the last round. An image whose scores are constant teaches nothing and is left
        out of that round.

    Raises:
        InputError: Shapes that do not belong together, no round, or constant scores in every image.
    """
    unit = unit_features(features)  # (k, C, h, w)
    scores = as_maps(scores, "Scores", "(k, h, w)")
    same_grid(scores, unit, "Scores")
    _check_rounds(rounds)
    prototypes = _split(unit, scores, otsu(scores.flatten(1)))
    for _ in range(rounds - 1):
        scores = prototype_scores(unit, prototypes, saliency)  # (k, h, w)
        prototypes = _split(unit, scores, otsu(scores.flatten(1)))
    return prototypes


def self_train_exemplars(features: Tensor, exemplars: Prototypes, *, rounds: int = 2) -> Prototypes:
    """Carry the prototypes of a few exemplars over to the set they retrieved.

    Each round parts the cells at the blended threshold, and the set's prototypes count as much as those of
    the exemplars, which stay what they are.

    Args:
        features: (k, C, h, w) features of the set; used at unit length.
        exemplars: Prototypes of the exemplars, see `exemplar_prototypes`.
        rounds: Of parting and averaging, at least 1.

    Returns:
        The prototypes after the last round.

    Raises:
        InputError: Shapes that do not belong together, no round, or constant scores in every image.
    """
    unit = unit_features(features)  # (k, C, h, w)
    _check_rounds(rounds)
    prototypes = exemplars
    for _ in range(rounds):
        scores = prototype_scores(unit, prototypes)  # (k, h, w)
        rows = scores.flatten(1)  # (k, h*w)
        learnt = _split(unit, scores, blend_threshold(rows, otsu(rows)))
        prototypes = _blend(exemplars, learnt)
    return prototypes


def exemplar_prototypes(features: Tensor, coverage: Tensor, *, negative: Tensor | None = None) -> Prototypes:
    """Prototypes of exemplars from the part of each cell that their masks cover.

    Cells covered by more than min(.5, .9 of the largest coverage) are foreground, so that an object smaller
    than a cell still has one; cells covered by less than .05 are background.

    Args:
        features: (k, C, h, w) features of the exemplars' images; used at unit length.
        coverage: (k, h, w) in [0, 1], see `mask_coverage`.
        negative: (k,) bool, exemplars of what the concept is not: their covered cells are background, and the
            rest of their images counts for nothing. None if there are none.

    Returns:
        Their prototypes: means over the cells of each image, then over images.

    Raises:
        InputError: Shapes that do not belong together, a coverage outside [0, 1], an exemplar that covers
            nothing, or no exemplar with anything around it.
    """
    unit = unit_features(features)  # (k, C, h, w)
    coverage = as_maps(coverage, "Coverage", "(k, h, w)")
    same_grid(coverage, unit, "Coverage")
    if coverage.min() < 0 or coverage.max() > 1:
        raise InputError(
            f"Coverage ranges from {coverage.min():.3g} to {coverage.max():.3g}, expected 0 to 1."
        )
    largest = coverage.amax((1, 2), keepdim=True)  # (k, 1, 1)
    if (largest == 0).any():
        empty = int((largest.flatten() == 0).nonzero()[0])
        raise InputError(f"Exemplar {empty + 1} is empty, expected a region with at least one pixel.")
    foreground = coverage > (0.9 * largest).clamp(max=0.5)  # (k, h, w)
    background = (coverage < 0.05) & ~foreground  # (k, h, w)
    if negative is not None:
        if negative.all():
            raise InputError("Every exemplar shows what the concept is not; give one that shows it.")
        wrong = negative[:, None, None]  # (k, 1, 1)
        background, foreground = torch.where(wrong, foreground, background), foreground & ~wrong
    if not background.any():
        raise InputError("The exemplars fill their images; give one with something around the object.")
    return Prototypes(
        unit_vector(_mean_of_means(unit, foreground), "The mean feature of the exemplars"),
        unit_vector(_mean_of_means(unit, background), "The mean feature around the exemplars"),
    )


def mask_coverage(mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """The part of each grid cell that a mask covers, exact also where cells cut through pixels.

    Args:
        mask: (H, W) bool, or float in [0, 1].
        grid: (h, w) cells that the image is squashed to.

    Returns:
        (h, w) float32 in [0, 1].

    Raises:
        InputError: Not a mask, or an empty grid.
    """
    mask = as_maps(mask, "Mask pixels", "(H, W)")
    if min(grid) < 1:
        raise InputError(f"The grid is {grid[0]} x {grid[1]}, expected at least one cell.")
    down = _overlap(mask.shape[0], grid[0]).to(mask)  # (h, H)
    across = _overlap(mask.shape[1], grid[1]).to(mask)  # (w, W)
    return (down @ mask @ across.T).clamp(0, 1)  # (h, w)


def exemplar_similarity(features: Tensor, prototypes: Prototypes, *, cells: int = 5) -> Tensor:
    """How much each image holds what the exemplars show: the mean score of its best cells.

    Args:
        features: (k, C, h, w) features; used at unit length.
        prototypes: Of the exemplars.
        cells: How many of the best count; all of them if the grid has fewer.

    Returns:
        (k,) float32.

    Raises:
        InputError: Shapes that do not belong together, or no cell asked for.
    """
    if cells < 1:
        raise InputError(f"{cells} cells were asked for, expected at least 1.")
    scores = prototype_scores(features, prototypes).flatten(1)  # (k, h*w)
    return scores.topk(min(cells, scores.shape[1]), dim=1).values.mean(1)  # (k,)


def _overlap(pixels: int, cells: int) -> Tensor:
    """(cells, pixels) share of each cell that each pixel fills along one axis; rows sum to 1."""
    edges = torch.arange(cells + 1, dtype=torch.float64) * pixels / cells  # (cells+1,)
    left = torch.arange(pixels, dtype=torch.float64)  # (pixels,)
    upper = torch.minimum(edges[1:, None], left + 1)  # (cells, pixels)
    lower = torch.maximum(edges[:-1, None], left)  # (cells, pixels)
    return (upper - lower).clamp(min=0) * cells / pixels


def _split(unit: Tensor, scores: Tensor, thresholds: Tensor) -> Prototypes:
    """Prototypes of cells above and not above the threshold (k,) of their image."""
    foreground = scores > thresholds[:, None, None]  # (k, h, w)
    # An image without either side says nothing about how the two differ.
    useful = foreground.flatten(1).any(1) & (~foreground).flatten(1).any(1)  # (k,)
    if not useful.any():
        raise InputError(
            "No image of the set has cells that differ in score; give other images or exemplars."
        )
    unit, foreground = unit[useful], foreground[useful]
    return Prototypes(
        unit_vector(_mean_of_means(unit, foreground), "The mean feature of the foreground"),
        unit_vector(_mean_of_means(unit, ~foreground), "The mean feature of the background"),
    )


def _mean_of_means(unit: Tensor, cells: Tensor) -> Tensor:
    """(C,) mean over images of the mean over their chosen cells (k, h, w); images without do not count."""
    chosen = cells.to(unit)  # (k, h, w)
    count = chosen.sum((1, 2))  # (k,)
    sums = torch.einsum("kchw,khw->kc", unit, chosen)
    has = count > 0  # (k,)
    return (sums[has] / count[has, None]).mean(0)


def _blend(anchor: Prototypes, learnt: Prototypes) -> Prototypes:
    """Prototypes between the exemplars' and the set's."""
    return Prototypes(
        unit_vector(torch.lerp(learnt.foreground, anchor.foreground, _ANCHOR), "The blended foreground"),
        unit_vector(torch.lerp(learnt.background, anchor.background, _ANCHOR), "The blended background"),
    )


def _check_rounds(rounds: int) -> None:
    if rounds < 1:
        raise InputError(f"{rounds} rounds were asked for, expected at least 1.")
