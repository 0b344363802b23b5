"""Windows of one image, seen by the encoder at a larger scale."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reco_assist.concepts import REFINE_SIDE
from reco_assist.encoders import Encoder, Features
from reco_assist.encoders.batches import encode_within_memory, pixels_of
from reco_assist.images import squash
from reco_assist.segmenter.looks import FAR, Window
from reco_assist.segmenter.targets import Loaded, pixels_again

_ENLARGED = 4  # times that a look enlarges pixels at most: beyond that nothing new shows


class Closer:
    """Looks closer at an image, whose file is read again for the first window, and only then."""

    def __init__(self, encoder: Encoder, image: Loaded) -> None:
        self._encoder = encoder
        self._image = image

    @property
    def worthwhile(self) -> bool:
        """Whether windows would show more than the whole image did."""
        shortest = min(self._image.reference.width, self._image.reference.height)
        return FAR * shortest >= self._encoder.input_size / _ENLARGED

    def look(self, windows: Sequence[Window]) -> tuple[Features, list[tuple[NDArray[np.uint8], ...]]]:
        """Features of windows, and each as `Loaded.squares` has the whole image.

        Raises:
            ImageError: The image cannot be read any more, or has changed since.
        """
        shape = self._pixels.shape[:2]
        crops = [np.ascontiguousarray(self._pixels[one.slices(*shape)]) for one in windows]
        sides = self._encoder.input_size, REFINE_SIDE
        squares = [tuple(squash(crop, side) for side in sides) for crop in crops]
        return encode_within_memory(self._encoder, pixels_of([one[0] for one in squares])), squares

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, no smaller than the windows need."""
        return pixels_again(self._image, math.ceil(self._encoder.input_size / FAR))
