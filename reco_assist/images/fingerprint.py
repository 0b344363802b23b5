"""A fingerprint that survives resizing and recompression, to find near-duplicates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

_SIDE = 32  # pixels of the square that is transformed
_LOW = 8  # frequencies kept in each direction

_BITS = np.array([byte.bit_count() for byte in range(256)], np.uint8)

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


def near_duplicate_groups(fingerprints: Sequence[int]) -> list[int]:
    """The number of each fingerprint's group: near-duplicates of near-duplicates are together.

    A group's number is the position of one of its members.
    """
    marks = np.array(fingerprints, np.uint64)  # (n,)
    leader = list(range(len(marks)))

    def root(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    for index in range(len(marks)):
        differing = (marks[index + 1 :] ^ marks[index]).view(np.uint8).reshape(-1, 8)  # (rest, 8)
        near = np.flatnonzero(_BITS[differing].sum(1) <= NEAR_DUPLICATE)
        for other in near + index + 1:
            leader[root(int(other))] = root(index)
    return [root(index) for index in range(len(marks))]
