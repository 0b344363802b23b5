"""Windows of one image, seen at a larger scale."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reco_assist.encoders import Features
from reco_assist.segmenter.looks import FAR, Seen, Window
from reco_assist.segmenter.scorer import Scorer
from reco_assist.segmenter.targets import Loaded, pixels_again

_ENLARGED = 4  # times that a look enlarges pixels at most: beyond that nothing new shows


class Closer:
    """Looks closer at an image, whose file is read again for the first window, and only then."""

    def __init__(self, scorer: Scorer, image: Loaded) -> None:
        self._scorer = scorer
        self._image = image

    @property
    def worthwhile(self) -> bool:
        """Whether windows would show more than the whole image did."""
        shortest = min(self._image.reference.width, self._image.reference.height)
        return FAR * shortest >= self._scorer.encoder.input_size / _ENLARGED

    def look(self, k: int, windows: Sequence[Window]) -> tuple[list[Seen], Features]:
        """What the k-th concept says of windows, and their features.

        Raises:
            ImageError: The image cannot be read any more, or has changed since.
        """
        shape = self._pixels.shape[:2]
        crops = [np.ascontiguousarray(self._pixels[one.slices(*shape)]) for one in windows]
        squares = [self._scorer.squares(crop) for crop in crops]
        features = self._scorer.features(squares)
        scores = self._scorer.scores(k, features)  # (n, S, S)
        return [Seen(*one) for one in zip(windows, scores, squares, strict=True)], features

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, no smaller than the windows need."""
        return pixels_again(self._image, math.ceil(self._scorer.encoder.input_size / FAR))
