"""Images in the sizes that encoders and galleries want."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def squash(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize to an encoder's square input, bicubic and antialiased; the aspect ratio is not kept.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        size: Side S of the square, in pixels.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
    return np.array(image, np.uint8)  # (S, S, 3)


def thumbnail(pixels: NDArray[np.uint8], side: int = 192) -> bytes:
    """A small JPEG without metadata for galleries; the aspect ratio is kept and nothing is enlarged.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        side: Longest side of the result, in pixels.

    Returns:
        The bytes of a JPEG file of quality 80: some 8 KB at 192 pixels.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
