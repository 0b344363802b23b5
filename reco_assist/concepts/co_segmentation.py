"""The co-segmentation of a set: what its images have in common, while images come and go."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from reco_assist.annotations.spec import Method
from reco_assist.cosegment import (
    MatchMatrix,
    Prototypes,
    assist_seeds,
    blend_threshold,
    context_weight,
    direction_scores,
    otsu,
    pixel_weight,
    prototype_scores,
    reference_embedding,
    seed_pixels,
    self_train,
    self_train_exemplars,
    support,
    text_saliency,
)
from reco_assist.retrieval import Retrieved

_SEEDS_PER_IMAGE = 5

OUTLYING = 2.5
"""The outlyingness from which an image is unlike the others of its set."""


@dataclass(frozen=True)
class CoSegmentation:
    """The co-segmentation of a set; dropping images is free and adding them costs their blocks alone.

    Everything derived follows from the fields: what is left after `drop` equals what is made without it.

    Attributes:
        images: The k images of the set, best first.
        features: (k, C, h, w) dense features, unit length.
        prior: (k, h, w) standardised: how much each cell looks like the word or the exemplars.
        matrix: Best matches of the set.
        method: assist or paper.
        exemplars: Prototypes of the exemplars; None where a word leads.
        swapped: The curator said that foreground and background are the wrong way round.
    """

    images: tuple[Retrieved, ...]
    features: Tensor
    prior: Tensor
    matrix: MatchMatrix
    method: Method
    exemplars: Prototypes | None = None
    swapped: bool = False

    @classmethod
    def build(
        cls,
        images: Sequence[Retrieved],
        features: Tensor,
        prior: Tensor,
        weights: Tensor,
        *,
        method: Method,
        exemplars: Prototypes | None = None,
    ) -> "CoSegmentation":
        """Co-segment a set.

        Args:
            images: The k images.
            features: (k, C, h, w) dense features.
            prior: (k, h, w) standardised.
            weights: (k, h, w) in [0, 1], how far a cell may serve as a match.
            method: assist or paper.
            exemplars: Prototypes of the exemplars.
        """
        unit = features if method == "paper" else normalize(features, dim=1)  # (k, C, h, w)
        return cls(tuple(images), unit, prior, MatchMatrix.build(unit, weights), method, exemplars)

    def drop(self, indices: Collection[int]) -> "CoSegmentation":
        """The co-segmentation without some images of the set.

        Raises:
            InputError: Nothing would be left, or an index is not of this set.
        """
        matrix = self.matrix.drop(indices)
        kept = [i for i in range(len(self.images)) if i not in set(indices)]
        return replace(
            self,
            images=tuple(self.images[i] for i in kept),
            features=self.features[kept],
            prior=self.prior[kept],
            matrix=matrix,
        )

    def add(
        self, images: Sequence[Retrieved], features: Tensor, prior: Tensor, weights: Tensor
    ) -> "CoSegmentation":
        """The co-segmentation with more images at the end of the set; arguments as for `build`."""
        unit = features if self.method == "paper" else normalize(features, dim=1)
        return replace(
            self,
            images=(*self.images, *images),
            features=torch.cat([self.features, unit]),
            prior=torch.cat([self.prior, prior]),
            matrix=self.matrix.add(unit, weights),
        )

    @cached_property
    def seeds(self) -> Tensor:
        """(k, n, 2) int64, (y, x) in cells, best first: the cells of each image that the set agrees on."""
        if not self.swapped:
            return self._agreed
        width = self.matrix.grid[1]
        best = self.scores.flatten(1).topk(self._agreed.shape[1]).indices  # (k, n)
        return torch.stack([best // width, best % width], 2)  # (k, n, 2)

    @cached_property
    def _agreed(self) -> Tensor:
        """(k, n, 2) the seeds before any swap."""
        height, width = self.matrix.grid
        if self.method == "paper":
            return seed_pixels(self.matrix.match, height, width)[:, None]  # (k, 1, 2)
        weights = torch.stack(self.matrix.weights).view(-1, height, width)  # (k, h, w)
        return assist_seeds(self.matrix.match, weights, per_image=min(_SEEDS_PER_IMAGE, height * width))

    @cached_property
    def support(self) -> Tensor:
        """(k,) float32: how well each image's best cell is found again in the set."""
        return support(self.matrix.match).view(len(self.images), -1).amax(1)  # (k,)

    @cached_property
    def outlyingness(self) -> Tensor:
        """(k,) float32: how far each image's support lies below the set's median, in robust deviations."""
        below = self.support.quantile(0.5) - self.support  # (k,)
        return below / (1.4826 * below.abs().quantile(0.5)).clamp_min(1e-4)

    @cached_property
    def reference(self) -> Tensor:
        """(C,) the direction that the seeds agree on, unit length."""
        return reference_embedding(self.features, self._agreed)

    @cached_property
    def prototypes(self) -> Prototypes:
        """What the concept looks like and what surrounds it (assist)."""
        if self.exemplars is not None:
            return self_train_exemplars(self.features, self.exemplars)
        start = direction_scores(self.features, self.reference, self.prior)  # (k, h, w)
        learnt = self_train(self.features, start, self.prior)
        return Prototypes(learnt.background, learnt.foreground) if self.swapped else learnt

    @cached_property
    def scores(self) -> Tensor:
        """(k, h, w) float32: how much each cell of the set belongs to the concept, for heat maps."""
        if self.method == "paper":
            return direction_scores(normalize(self.features, dim=1), self.reference)
        word = None if self.exemplars is not None or self.swapped else self.prior
        return prototype_scores(self.features, self.prototypes, word)

    @cached_property
    def threshold(self) -> float:
        """Mean automatic threshold over the set."""
        return mean_threshold(self.scores)


def mean_threshold(scores: Tensor) -> float:
    """Mean automatic threshold of maps (k, h, w)."""
    rows = scores.flatten(1)  # (k, h*w)
    return float(blend_threshold(rows, otsu(rows)).mean())


def standardise(activation: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """Activation (k, h, w) in standard deviations from its mean, and the two."""
    mean, deviation = float(activation.mean()), max(float(activation.std()), 1e-6)
    return (activation - mean) / deviation, (mean, deviation)


def word_activation(language: Tensor, text: Tensor, grid: tuple[int, int]) -> Tensor:
    """How strongly each cell answers the word: (k, h, w), raw dot products, resized to the dense grid.

    Args:
        language: (k, D, h', w') dense language-image features.
        text: (D,) the word's vector.
        grid: (h, w) of the dense features.
    """
    activation = torch.einsum("kdhw,d->khw", language, text)
    if activation.shape[1:] == grid:
        return activation
    return interpolate(activation[:, None], size=grid, mode="bilinear", align_corners=False)[:, 0]


def paper_weights(features: Tensor, language: Tensor, text: Tensor, contexts: Tensor) -> Tensor:
    """(k, h, w) pixel weights of the paper's method: like the word and unlike every context.

    Args:
        features: (k, C, h, w) dense features.
        language: (k, D, h', w') dense language-image features.
        text: (D,) the word's vector.
        contexts: (m, C) reference embeddings to eliminate; m may be 0.
    """
    grid = (features.shape[2], features.shape[3])
    saliency = text_saliency(language, text, grid=grid)  # (k, h, w)
    if not len(contexts):
        return saliency
    return pixel_weight(saliency, context_weight(features, contexts))
