"""The connected components of a mask, numbered."""

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import InputError
from reco_assist.masks.counts import Rle
from reco_assist.masks.spans import spans_of


def label(mask: NDArray[np.bool_], *, min_area: int = 1, connectivity: int = 8) -> NDArray[np.int32]:
    """Number the connected components of a mask.

    Args:
        mask: (H, W) bool.
        min_area: Components of fewer pixels are dropped.
        connectivity: 8 joins pixels that touch at a corner, 4 does not.

    Returns:
        (H, W) int32, 0 outside and 1..n inside, in reading order of the components' first pixels.

    Raises:
        InputError: The array is not a two-dimensional bool array, or the connectivity is neither 4 nor 8.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError(f"A mask must be a bool array (H, W), not {mask.dtype} {mask.shape}; compare first.")
    if connectivity not in {4, 8}:
        raise InputError(f"Connectivity is {connectivity}; give 4 or 8.")
    return spans_of(mask).connected(min_area=min_area, connectivity=connectivity).drawn()


def encode_labels(labels: NDArray[np.int32]) -> list[Rle]:
    """The masks of a label map in the order of their numbers.

    Args:
        labels: (H, W) int32, 0 outside and 1..n inside, without gaps.
    """
    return spans_of(labels).encoded()
