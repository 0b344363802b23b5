"""One colour per concept, the same in label maps, labelling configurations and notebooks."""

import colorsys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito 2008 without black, which is the background: told apart by the colour-blind too.
_FIRST = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_GOLDEN = 0.6180339887498949

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


def palette(count: int) -> NDArray[np.uint8]:
    """Colours of the first concepts: seven that the colour-blind can tell apart, then evenly spread hues.

    Args:
        count: Number of concepts. A concept's colour does not depend on how many follow it.

    Returns:
        (count, 3) uint8 RGB.
    """
    return colours_of(range(1, count + 1))


def colours_of(numbers: Iterable[int]) -> NDArray[np.uint8]:
    """Colours (n, 3) uint8 RGB of concepts by their numbers, from 1; see `palette`."""
    return np.array([_colour(number - 1) for number in numbers], np.uint8).reshape(-1, 3)  # (n, 3)


def voc_colour(number: int) -> Colour:
    """The colour of a number, 0 to 255, in the colour map of VOC's development kit.

    The bits of the number go to red, green and blue in turn, the lowest to the highest of each colour.
    """
    red, green, blue = (
        sum((number >> 3 * place + channel & 1) << 7 - place for place in range(3)) for channel in range(3)
    )
    return red, green, blue


def _colour(index: int) -> Colour:
    if index < len(_FIRST):
        return _FIRST[index]
    hue = index * _GOLDEN % 1  # golden-ratio steps never come close to a hue just used
    lightness = (0.45, 0.65, 0.3)[index % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.75)
    return round(red * 255), round(green * 255), round(blue * 255)


def css(colour: NDArray[np.uint8]) -> str:
    """A colour (3,) as CSS and HTML write it, `#rrggbb`."""
    return "#" + bytes(colour.tolist()).hex()
