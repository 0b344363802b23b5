"""Guided filter: the cheap refinement."""

from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from reco_assist.errors import InputError
from reco_assist.refine._checks import checked_channels


def guided_filter(
    probability: NDArray[Any], image: NDArray[np.uint8], *, radius: int = 16, eps: float = 1e-3
) -> NDArray[np.float32]:
    """Let probability maps take the edges of the image (He, Sun, Tang: Guided Image Filtering, TPAMI 2013).

    In each window the map is fitted as a linear function of the colour; a pixel gets the mean prediction of
    the windows it lies in. Windows are cut off at the border.

    Args:
        probability: (K, H, W) or (H, W) float in [0, 1].
        image: (H, W, 3) uint8 RGB at the size of the maps.
        radius: Windows are 2 radius + 1 pixels wide.
        eps: Ridge of the fit, in squared colour with colours from 0 to 1; larger is smoother.

    Returns:
        Probability of the same shape, float32 in [0, 1].

    Raises:
        InputError: Shapes or dtypes that do not fit, values outside [0, 1], NaN, a radius below 1, eps not
            above 0.
    """
    if radius < 1 or not eps > 0:
        raise InputError(f"Radius is {radius} and eps {eps}, expected at least 1 and above 0.")
    channels = checked_channels(probability, image)  # (K, H, W)
    # Variances are differences of means of squares: float32 would leave only noise of them in flat regions.
    inside = _window_sum(np.ones(image.shape[:2]), radius)  # (H, W)

    def box(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the part of each window that lies in the image."""
        return _window_sum(values, radius) / inside

    colour = image.transpose(2, 0, 1) / 255.0  # (3, H, W) float64
    mean_colour = box(colour)  # (3, H, W)
    variance = box(colour[:, None] * colour) - mean_colour[:, None] * mean_colour  # (3, 3, H, W)
    ridge = variance + eps * np.eye(3)[:, :, None, None]  # (3, 3, H, W)
    inverse = np.linalg.inv(ridge.transpose(2, 3, 0, 1))  # (H, W, 3, 3)
    refined = np.empty(channels.shape, np.float32)
    for index, values in enumerate(channels.astype(np.float64)):
        mean = box(values)  # (H, W)
        covariance = box(colour * values) - mean_colour * mean  # (3, H, W)
        slope = np.einsum("yxij,jyx->iyx", inverse, covariance)
        offset = mean - (slope * mean_colour).sum(0)  # (H, W)
        refined[index] = (box(slope) * colour).sum(0) + box(offset)
    return refined.clip(0, 1).reshape(probability.shape)


def _window_sum(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Sum of (..., H, W) over the window around each pixel, up to a common factor; zero lies outside."""
    total: NDArray[np.float64] = scipy.ndimage.uniform_filter(
        values, 2 * radius + 1, mode="constant", axes=(-2, -1)
    )
    return total
