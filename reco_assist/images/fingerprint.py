"""A fingerprint that survives resizing and recompression, to find near-duplicates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
    from scipy.fft import dctn  # noqa: PLC0415  (slow to load; starting is quick)

    grey = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(grey, np.float32), norm="ortho")[:_LOW, :_LOW].ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes())


def near_duplicate_groups(fingerprints: Sequence[int]) -> list[int]:
    """The number of each fingerprint's group: near-duplicates of near-duplicates are together.

    Args:
        fingerprints: 64 bits each, see `perceptual_hash`.

    Returns:
        Numbers from 0 in the order of the groups' first members.
    """
    marks = np.array(fingerprints, np.uint64)  # (n,)
    unique, place = np.unique(marks, return_inverse=True)  # (m,), (n,)
    leader = list(range(len(unique)))

    def root(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    for first, second in _near(unique):
        leader[root(second)] = root(first)
    roots = [root(int(index)) for index in place]
    numbers = {one: number for number, one in enumerate(dict.fromkeys(roots))}
    return [numbers[one] for one in roots]


def _near(marks: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Pairs of different fingerprints that differ in at most `NEAR_DUPLICATE` bits."""
    if not len(marks):
        return []
    import faiss  # noqa: PLC0415  (slow to load, and only this needs it)

    index = faiss.IndexBinaryFlat(64)
    codes = marks.view(np.uint8).reshape(-1, 8)  # (m, 8)
    index.add(codes)
    limits, _, found = index.range_search(codes, NEAR_DUPLICATE + 1)
    rows = np.repeat(np.arange(len(marks)), np.diff(limits.astype(np.int64)))
    return [(int(i), int(j)) for i, j in zip(rows, found, strict=True) if i < j]
