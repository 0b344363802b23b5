"""Samples: what a training step sees. Each depends on the seed and its number alone, so any run can go on."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import Dataset

from reco_assist.errors import InputError
from reco_assist.student.examples import Example, Examples
from reco_assist.student.pseudo_labels import PseudoLabel
from reco_assist.student.recipe import Recipe

_STRETCH = 1.2  # largest random change of the aspect ratio
_GREY = (127, 127, 127)

Sample = tuple[Tensor, Tensor, Tensor]
"""(3, S, S) uint8 pixels, (S, S) int64 classes, (S, S) float32 weights."""


class Samples(Dataset[Sample]):
    """Sample n of a run, for n from 0 to iterations * batch - 1.

    Each batch has fixed places for corrected images, for images without any concept, and for the others; each
    kind goes round in its own shuffled order.

    Raises:
        InputError: No image shows a concept, so that there is nothing to learn.
    """

    def __init__(self, examples: Examples, chosen: Sequence[Example], recipe: Recipe) -> None:
        self._examples, self._recipe = examples, recipe
        pools = [[one for one in chosen if one.kind == kind] for kind in ("corrected", "absent", "present")]
        if not pools[0] and not pools[2]:
            raise InputError(
                f"the teacher finds nothing in the {len(chosen)} images: show it images with the concepts, "
                "or give corrected masks"
            )
        self._pools = pools
        self._places = self._split(*(len(pool) for pool in pools))

    def __len__(self) -> int:
        return self._recipe.iterations * self._recipe.batch

    def __getitem__(self, number: int) -> Sample:
        step, place = divmod(number, self._recipe.batch)
        pool = 0
        while place >= self._places[pool]:
            place -= self._places[pool]
            pool += 1
        turn, position = divmod(step * self._places[pool] + place, len(self._pools[pool]))
        order = np.random.default_rng([self._recipe.seed, 1, pool, turn]).permutation(len(self._pools[pool]))
        pixels, label = self._examples.read(self._pools[pool][order[position]])
        random = np.random.default_rng([self._recipe.seed, 2, number])
        return tensors(*_augmented(pixels, label, random, self._recipe))

    def _split(self, corrected: int, absent: int, present: int) -> tuple[int, int, int]:
        """Places of a batch for each kind: its share of the images, within the recipe's bounds."""
        batch, total = self._recipe.batch, corrected + absent + present
        first = (
            0
            if not corrected
            else max(1, round(batch * max(self._recipe.corrected_share, corrected / total)))
        )
        second = min(round(batch * absent / total), round(batch * self._recipe.absent_share))
        second = max(second, 1) if absent else 0
        if not present:
            return batch - second, second, 0
        first = min(first, batch - second - 1)
        return first, second, batch - first - second


def _augmented(
    pixels: NDArray[np.uint8], label: PseudoLabel, random: np.random.Generator, recipe: Recipe
) -> tuple[NDArray[np.uint8], PseudoLabel]:
    """A random crop at a random scale, mirrored half of the time, in other colours.

    What lies outside the image is grey, and ignored.

    Args:
        pixels: (S, S, 3) uint8 RGB.
        label: (S, S).
        random: Where the choices come from.
        recipe: Their bounds.
    """
    side = len(pixels)
    low, high = np.log(recipe.scales)
    scale, stretch = np.exp(random.uniform(low, high)), np.exp(random.uniform(-1, 1) * np.log(_STRETCH) / 2)
    size = np.array([side / scale * stretch, side / scale / stretch])  # (2,) of the crop, in pixels
    free = side - size
    corner = random.uniform(np.minimum(free, 0), np.maximum(free, 0))  # (2,)
    mirrored = random.random() < 0.5
    matrix = (
        (-1 if mirrored else 1) * size[0] / side, 0, corner[0] + (size[0] if mirrored else 0),
        0, size[1] / side, corner[1],
    )  # fmt: skip

    def moved(
        values: NDArray[np.uint8], how: Image.Resampling, fill: float | tuple[float, ...]
    ) -> Image.Image:
        return Image.fromarray(values).transform(
            (side, side), Image.Transform.AFFINE, matrix, how, fillcolor=fill
        )

    picture = moved(pixels, Image.Resampling.BILINEAR, _GREY)
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for index in random.permutation(3):
        factor = 1 + random.uniform(-recipe.colour, recipe.colour)
        picture = enhancers[index](picture).enhance(factor)
    classes, weights = (moved(part, Image.Resampling.NEAREST, 0) for part in (label.classes, label.weights))
    return np.asarray(picture), PseudoLabel(np.asarray(classes), np.asarray(weights))


def tensors(pixels: NDArray[np.uint8], label: PseudoLabel) -> Sample:
    """An example as tensors."""
    return (
        torch.from_numpy(pixels.copy()).permute(2, 0, 1),
        torch.from_numpy(label.classes.astype(np.int64)),
        torch.from_numpy(label.weights.astype(np.float32) / 255),
    )
