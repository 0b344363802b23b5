"""Light of the sample scenes."""

from typing import Any

import mitsuba as mi
import numpy as np
from samples_geometry import Array
from samples_materials import Rng, noise


def _window_glow(image: Array, rng: Rng, tint: Array) -> None:
    h, w = image.shape[:2]
    row, column = int(rng.integers(h // 6, h // 3)), int(rng.integers(0, w))
    tall, wide = int(rng.integers(h // 8, h // 4)), int(rng.integers(w // 14, w // 7))
    columns = np.arange(column, column + wide) % w
    image[row : row + tall, columns] = tint * rng.uniform(4, 8)
    image[row + tall // 2, columns] *= 0.2


def surroundings(rng: Rng) -> dict[str, Any]:
    """Return the light: dim surroundings with bright windows, and one large soft lamp."""
    h, w = 64, 128
    warmth = rng.uniform(-0.12, 0.14)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    up = np.linspace(1, 0, h)[:, None, None]
    image = tint * (0.12 + 0.3 * up**1.5) * (0.75 + 0.5 * noise(rng, (h, w), 1.2))[..., None]
    for _ in range(int(rng.integers(2, 4))):
        _window_glow(image, rng, tint)
    side = float(rng.choice([-1.0, 1.0]))
    size = float(rng.uniform(0.3, 0.7))
    at = [side * float(rng.uniform(0.9, 2.0)), float(rng.uniform(-1.6, -0.4)), float(rng.uniform(1.3, 2.2))]
    look = mi.ScalarTransform4f().look_at(origin=at, target=[0, 0, 0.1], up=[0, 0, 1])
    power = float(rng.uniform(8, 16)) / size**2 * 0.7
    lamp = (np.array([1.08, 1.0, 0.88]) if rng.random() < 0.6 else np.array([0.94, 1.0, 1.08])) * power
    return {
        "surroundings": {
            "type": "envmap",
            "bitmap": mi.Bitmap(image.astype(np.float32)),
            "to_world": mi.ScalarTransform4f()
            .rotate([1, 0, 0], 90)
            .rotate([0, 1, 0], float(rng.uniform(0, 360))),
        },
        "lamp": {
            "type": "rectangle",
            "to_world": look @ mi.ScalarTransform4f().scale(size),
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": [float(v) for v in lamp]}},
        },
    }
