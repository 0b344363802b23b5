"""From features to refined probability maps: what a Concept says about each pixel of an image."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from reco_assist.concepts import REFINE_SIDE, Concept, around_threshold, with_vote, word_activation
from reco_assist.cosegment import otsu, paper_probability, text_saliency
from reco_assist.encoders import Features
from reco_assist.errors import InputError
from reco_assist.refine import crf, guided_filter, saliency_crf

Refine = Literal["saliency", "crf", "guided", "none"]
REFINEMENTS: tuple[Refine, ...] = get_args(Refine)

_RENAMED: Mapping[str, Refine] = {"objects": "saliency"}  # as releases up to 0.1 call it

_PAPER_SHARPNESS = 2.0  # in standard deviations of the map
_SALIENCY_SHARE = 0.12  # of the word's activation in a score (.1 while learning)


def score_maps(concept: Concept, features: Features, *, others: Sequence[Concept] = ()) -> Tensor:
    """(B, S, S) float32 scores of a batch, bilinear from the encoder's grid; S = `REFINE_SIDE`.

    The assist method scores f . F - max(f . B, f . each rival) + .12 z + the banks' votes,
    where z is the word's activation, if the word counts, and the rivals are the concept's contexts and the
    foregrounds of other concepts; the paper's method
    scores P = sigmoid(F . r) t.
    """
    size = (REFINE_SIDE, REFINE_SIDE)
    grid = (features.dense.shape[2], features.dense.shape[3])
    if concept.method == "paper" and concept.text is not None:
        saliency = text_saliency(
            features.language, concept.text.to(features.language), grid=grid
        )  # (B, h, w)
        return paper_probability(features.dense, concept.foreground, saliency, size=size)
    unit = normalize(features.dense, dim=1)  # (B, C, h, w)
    scores = torch.einsum("bchw,c->bhw", unit, concept.foreground.to(unit))  # (B, h, w)
    rivals = [*concept.contexts, *(other.foreground for other in others)]
    rivals += [] if concept.background is None else [concept.background]
    if rivals:
        scores = scores - torch.einsum("bchw,mc->bmhw", unit, torch.stack(rivals).to(unit)).amax(1)
    if concept.text is not None and concept.saliency is not None:
        mean, deviation = concept.saliency
        activation = word_activation(features.language, concept.text.to(unit), grid)  # (B, h, w)
        scores = scores + _SALIENCY_SHARE * (activation - mean) / deviation
    scores = with_vote(scores, unit, concept.banks)
    return interpolate(scores[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def probability(concept: Concept, scores: Tensor, *, parts: bool = False) -> Tensor:
    """Scores (n, S, S) around the automatic threshold of each image, as probabilities (n, S, S) float32.

    Args:
        concept: Whose scores they are.
        scores: Of n images.
        parts: They are of n parts of one image, the best first; see `around_threshold`.
    """
    if concept.method == "assist":
        return around_threshold(scores, concept.threshold, parts=parts)
    rows = scores.flatten(1)  # (n, S*S)
    sharpness = _PAPER_SHARPNESS / rows.std(1).clamp_min(1e-6)  # (n,)
    return torch.sigmoid(sharpness[:, None, None] * (scores - otsu(rows)[:, None, None]))


def refinement(name: str | None) -> Refine | None:
    """A way to refine by its name, also by one of older releases; None stays None.

    Raises:
        InputError: There is none of that name.
    """
    found = next((one for one in REFINEMENTS if one == _RENAMED.get(name or "", name)), None)
    if name is not None and found is None:
        raise InputError(f"refinement {name[:80]!r}: choose one of {', '.join(REFINEMENTS)}")
    return found


def refined(
    maps: NDArray[np.float32],
    square: NDArray[np.uint8],
    how: Refine,
    *,
    picture: NDArray[np.uint8],
    device: torch.device,
) -> NDArray[np.float32]:
    """Maps (K, S, S) in [0, 1] that follow the edges of the image (S, S, 3), or its objects.

    Args:
        maps: In [0, 1].
        square: (S, S, 3) uint8, the image.
        how: See `Segmenter`.
        picture: (T, T, 3) uint8, the image as the encoder sees it: objects are looked for in it.
        device: Where objects are looked for.
    """
    if how == "none" or not len(maps):
        return maps
    if how == "saliency":
        return saliency_crf(maps, square, picture, device=device)
    return crf(maps, square) if how == "crf" else guided_filter(maps, square)


def full_size(maps: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    """(K, height, width) uint8, 255 for certain: what is shown, thresholded and exported."""
    levels = np.empty((len(maps), height, width), np.uint8)
    for one, into in zip(maps, levels, strict=True):  # one by one: hundreds of floats would not fit
        resized = np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BILINEAR))
        into[:] = np.rint(np.clip(resized, 0, 1) * 255)
    return levels
