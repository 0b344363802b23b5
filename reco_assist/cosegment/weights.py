"""Language guidance, context elimination and inference of the paper (ReCo, section 3)."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from reco_assist.cosegment._checks import as_maps, same_grid, unit_features, unit_vector
from reco_assist.cosegment.match import MatchMatrix, Precision
from reco_assist.cosegment.seeds import reference_embedding, seed_pixels
from reco_assist.errors import InputError

# The temperature of the paper's text saliency.
_SHARPNESS = 10.0


def text_saliency(language: Tensor, text: Tensor, *, grid: tuple[int, int] | None = None) -> Tensor:
    """How much each cell looks like the word, t = sigmoid(10 cos(D, e)).

    Args:
        language: (k, D, h', w') dense language-image features.
        text: (D,) text vector.
        grid: (h, w) to resize the features to (bilinear) before they are normalised; as they are if None.

    Returns:
        (k, h, w) float32 in (0, 1).

    Raises:
        InputError: Shapes that do not belong together, a zero text vector, NaN or infinity.
    """
    language = as_maps(language, "Language features", "(k, D, h, w)")
    word = unit_vector(_one_vector(text, "Text vector", language), "The text vector")
    if grid is not None and grid != tuple(language.shape[2:]):
        language = interpolate(language, size=grid, mode="bilinear", align_corners=False)  # (k, D, h, w)
    cosine = torch.einsum("kdhw,d->khw", normalize(language, dim=1), word)
    return torch.sigmoid(_SHARPNESS * cosine)


def context_weight(features: Tensor, references: Tensor) -> Tensor:
    """How much each cell looks like each context, c = sigmoid(F . r).

    Args:
        features: (k, C, h, w) raw features.
        references: (m, C) reference embeddings of the contexts, unit length; m may be 0.

    Returns:
        (m, k, h, w) float32 in (0, 1).

    Raises:
        InputError: Shapes that do not belong together, NaN or infinity.
    """
    unit = unit_features(features)  # (k, C, h, w)
    if references.ndim != 2 or references.shape[1] != unit.shape[1]:
        raise InputError(f"References have shape {tuple(references.shape)}, expected (m, {unit.shape[1]}).")
    return torch.sigmoid(torch.einsum("kchw,mc->mkhw", unit, references.to(unit)))


def pixel_weight(saliency: Tensor, contexts: Tensor) -> Tensor:
    """What may serve as a match: like the word and unlike every context, w = t * prod_m (1 - c_m).

    Args:
        saliency: (k, h, w) in [0, 1] of `text_saliency`.
        contexts: (m, k, h, w) in [0, 1] of `context_weight`; m may be 0.

    Returns:
        (k, h, w) float32 in [0, 1].

    Raises:
        InputError: Shapes that do not belong together.
    """
    saliency = as_maps(saliency, "Saliency", "(k, h, w)")
    if contexts.shape[1:] != saliency.shape:
        raise InputError(
            f"Contexts have shape {tuple(contexts.shape)}, expected m maps of shape {tuple(saliency.shape)}."
        )
    return saliency * (1 - contexts).prod(0)


def learn_reference(
    features: Tensor, weights: Tensor, *, precision: Precision = "float32"
) -> tuple[Tensor, Tensor]:
    """Co-segment a set: best matches, a seed in each image, the reference embedding they agree on.

    Contexts are learnt with this too, one after the other: each on its own set, with the `pixel_weight` that
    the references before it leave.

    Args:
        features: (k, C, h, w) raw features.
        weights: (k, h, w) in [0, 1].
        precision: See `best_match`.

    Returns:
        (C,) float32 reference at unit length, and (k, 2) int64 seeds (y, x) in cells.

    Raises:
        InputError: See `best_match` and `reference_embedding`.
    """
    matrix = MatchMatrix.build(features, weights, precision=precision)
    seeds = seed_pixels(matrix.match, *matrix.grid)
    return reference_embedding(features, seeds), seeds


def paper_probability(
    features: Tensor, reference: Tensor, saliency: Tensor, *, size: tuple[int, int] | None = None
) -> Tensor:
    """How likely each pixel shows the concept, P = sigmoid(F . r) * t.

    Args:
        features: (B, C, h, w) raw features of target images.
        reference: (C,) reference embedding, unit length.
        saliency: (B, h, w) in [0, 1] of `text_saliency`.
        size: (H, W) to upsample both factors to (bilinear); the features' grid if None, and then the
            saliency must be on that grid.

    Returns:
        (B, H, W) float32 in [0, 1].

    Raises:
        InputError: Shapes that do not belong together, NaN or infinity.
    """
    saliency = as_maps(saliency, "Saliency", "(B, h, w)")
    unit = unit_features(features)  # (B, C, h, w)
    reference = _one_vector(reference, "Reference", unit)
    likeness = torch.sigmoid(torch.einsum("bchw,c->bhw", unit, reference))  # (B, h, w)
    if size is None:
        same_grid(saliency, unit, "Saliency")
        return likeness * saliency
    if len(saliency) != len(unit):
        raise InputError(
            f"Saliency is of {len(saliency)} images and features of {len(unit)}, expected the same."
        )
    return _upsample(likeness, size) * _upsample(saliency, size)


def _upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) of maps (B, h, w)."""
    return interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def _one_vector(vector: Tensor, name: str, features: Tensor) -> Tensor:
    """A vector with as many channels as features (k, C, h, w), in their dtype and on their device."""
    if tuple(vector.shape) != (features.shape[1],):
        raise InputError(f"{name} has shape {tuple(vector.shape)}, expected ({features.shape[1]},).")
    return vector.to(features)
