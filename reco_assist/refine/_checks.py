"""What both refinements demand of their input."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import InputError


def checked_channels(probability: NDArray[Any], image: NDArray[Any]) -> NDArray[np.float32]:
    """Probability as channels, once it fits the image.

    Args:
        probability: (K, H, W) or (H, W) float in [0, 1].
        image: (H, W, 3) uint8 RGB.

    Returns:
        (K, H, W) float32; K is 1 for a single map.

    Raises:
        InputError: Shapes or dtypes that do not fit, values outside [0, 1], NaN.
    """
    check_image(image)
    if probability.ndim not in (2, 3) or probability.shape[-2:] != image.shape[:2] or probability.size == 0:
        raise InputError(
            f"Probability has shape {probability.shape}, expected (H, W) or (K, H, W) with (H, W) = "
            f"{image.shape[:2]} of the image; resize one of them."
        )
    if not np.issubdtype(probability.dtype, np.floating):
        raise InputError(
            f"Probability is {probability.dtype}, expected float in [0, 1]; divide by the maximum."
        )
    # NaN fails both comparisons.
    if not (probability.min() >= 0 and probability.max() <= 1):
        raise InputError(
            f"Probability ranges from {probability.min():.3g} to {probability.max():.3g}, expected 0 to 1."
        )
    channels = probability if probability.ndim == 3 else probability[None]
    return channels.astype(np.float32, copy=False)


def check_image(image: NDArray[Any]) -> None:
    """Check that an image is (H, W, 3) uint8 and not empty.

    Raises:
        InputError: It is something else.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(
            f"The image is {image.dtype} of shape {image.shape}, expected uint8 (H, W, 3); convert it to RGB."
        )
