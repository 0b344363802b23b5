"""Predictions for the tests of exports."""

from hashlib import sha256

import numpy as np
from scipy import ndimage

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.masks import rle

CONCEPTS = ["mug", 'fire "extinguisher" <&>', "Geländer ☂"]


def blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth shapes, sometimes with holes, never empty."""
    smooth = ndimage.gaussian_filter(rng.random((height, width)), 3)
    return smooth >= np.quantile(smooth, rng.uniform(0.4, 0.98))


def ring(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    return (distance < 14) & (distance > 6)


def image_ref(name: str, height: int, width: int) -> ImageRef:
    return ImageRef(name, sha256(name.encode()).hexdigest(), width, height)


def predictions(count: int = 8, seed: int = 0) -> list[Prediction]:
    """Images with up to three regions, the third without any, the fourth with a ring."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        height, width = (int(side) for side in rng.integers(30, 90, 2))
        found = [] if number == 2 else [blob(rng, height, width) for _ in range(rng.integers(1, 4))]
        if number == 3:
            found.append(ring(height, width))
        regions = tuple(
            Region(CONCEPTS[int(rng.integers(3))], rle.encode(mask), float(rng.random())) for mask in found
        )
        verdicts = tuple(
            Verdict(concept, any(region.concept == concept for region in regions), float(rng.random()))
            for concept in CONCEPTS
        )
        image = image_ref(f"folder {number % 2}/photo {number} ä&?.jpg", height, width)
        made.append(Prediction(image, regions, verdicts))
    return made
