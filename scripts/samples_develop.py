"""From a renderer's radiance to a clean 8-bit picture: speckles, grain, exposure."""

import numpy as np
import numpy.typing as npt
from samples_geometry import Array
from scipy.ndimage import gaussian_filter, median_filter

BUFFERS = "albedo:albedo,normal:sh_normal,depth:depth"  # what `smooth` is guided by, in Mitsuba's words


def despeckle(radiance: Array) -> Array:
    """Dim pixels that outshine their surroundings: rare light paths that so few samples cannot average."""
    light = radiance.mean(-1)
    limit = 1.8 * median_filter(light, size=5) + 1e-3
    return radiance * np.minimum(1, limit / np.maximum(light, 1e-6))[..., None]


def smooth(radiance: Array, albedo: Array, normal: Array, depth: Array, *, reach: int = 5) -> Array:
    """Average light among neighbours on the same surface (a cross-bilateral filter).

    The surface colour is divided out first and multiplied back, so textures stay sharp; shadows and
    highlights stay because neighbours of another brightness count little.

    Args:
        radiance: (h, w, 3) float, linear.
        albedo: (h, w, 3) float in [0, 1].
        normal: (h, w, 3) float, unit length where something was hit.
        depth: (h, w) float, metres.
        reach: Half width of the window, pixels.

    Returns:
        (h, w, 3) float, linear.
    """
    colour = np.maximum(albedo, 0.02)
    light = radiance / colour
    tone = np.log(gaussian_filter(light.mean(-1), 1.0) + 1e-3)
    guide = np.concatenate(
        [albedo / 0.08, normal / 0.12, (np.log(depth + 0.05) / 0.02)[..., None], (tone / 0.16)[..., None]], -1
    )  # (h, w, 8)
    total, weight = np.zeros_like(light), np.zeros(light.shape[:2])
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            near, other = _shift(light, dy, dx), _shift(guide, dy, dx)
            w = np.exp(-0.5 * ((guide - other) ** 2).sum(-1) - (dy * dy + dx * dx) / reach**2)
            total += near * w[..., None]
            weight += w
    return total / weight[..., None] * colour


def _shift(image: Array, dy: int, dx: int) -> Array:
    """Move an image by whole pixels, repeating its border."""
    rows = np.clip(np.arange(image.shape[0]) + dy, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) + dx, 0, image.shape[1] - 1)
    return image[rows[:, None], columns[None]]


def develop(light: Array, guides: Array) -> npt.NDArray[np.uint8]:
    """Turn a render into a picture: clean, expose, shoulder, gamma, contrast.

    Args:
        light: (h, w, 3) float, linear radiance.
        guides: (h, w, 7) float, the `BUFFERS` of the same view.

    Returns:
        (h, w, 3) uint8, sRGB.
    """
    radiance = smooth(despeckle(light), guides[..., :3], guides[..., 3:6], guides[..., 6])
    grey = radiance.mean(-1)
    radiance = 0.88 * radiance + 0.12 * grey[..., None]  # a camera's colours, not a renderer's
    key = np.exp(np.mean(np.log(grey + 1e-4)))
    exposed = 1 - np.exp(-radiance * 0.36 / (0.5 * key + 0.5 * np.median(grey)))
    coded = np.where(exposed <= 0.0031308, 12.92 * exposed, 1.055 * exposed ** (1 / 2.4) - 0.055)
    curved = 0.75 * coded + 0.25 * coded**2 * (3 - 2 * coded)
    return np.round(np.clip(curved, 0, 1) * 255).astype(np.uint8)
