"""Look-alikes and clutter for floors."""

from collections.abc import Callable

import numpy as np
from samples_geometry import Mesh, box, lathe, rotation, rounded, spun, tube
from samples_materials import (
    RED,
    Colour,
    Rng,
    any_colour,
    glossy,
    jitter,
    matt,
    metal,
    mottled,
    stripes,
    wood,
)
from samples_objects import Part, Thing, thing


def cone(rng: Rng) -> Thing:
    """A traffic cone: red-orange with a white band."""
    r, h = rng.uniform(0.12, 0.15), rng.uniform(0.42, 0.52)
    slope = lathe(rounded([(r, 0.02), (r * 0.16, h), (0, h)], 0.01))
    colour: Colour = (0.85, 0.2, 0.06)
    paint = stripes([colour, (0.93, 0.93, 0.9), colour, (0.93, 0.93, 0.9), colour], [4, 2, 1.4, 1.6, 2.2])
    return thing(
        [(slope, glossy(paint, 0.3)), (box((r * 2.4, r * 2.4, 0.025), 0.01), glossy((0.1, 0.1, 0.1), 0.4))]
    )


def gas_cylinder(rng: Rng) -> Thing:
    """A blue, green or grey gas cylinder with a collar: the extinguisher's nearest look-alike."""
    r, h = rng.uniform(0.11, 0.14), rng.uniform(0.38, 0.5)
    body = spun(
        [(0, 0), (r * 0.85, 0), (r * 0.87, 0.02), (r, 0.06), (r, h * 0.85), (r * 0.5, h), (0, h)], 0.05
    )
    colours: list[Colour] = [(0.1, 0.28, 0.62), (0.16, 0.42, 0.3), (0.5, 0.52, 0.55)]
    paint = glossy(colours[int(rng.integers(3))], 0.18)
    collar = lathe(
        np.array([(r * 0.55, h * 0.94), (r * 0.58, h + 0.07), (r * 0.56, h + 0.07)]), 40, (20, 320)
    )
    tap = spun([(0.02, h), (0.02, h + 0.05), (0.012, h + 0.06), (0, h + 0.06)], 0.004)
    return thing([(body, paint), (collar, paint), (tap, metal("Au", 0.3))])


def bucket(rng: Rng) -> Thing:
    """A bucket with a wire bail, sometimes red."""
    r, h = rng.uniform(0.12, 0.14), rng.uniform(0.22, 0.27)
    body = spun(
        [(0, 0), (r * 0.75, 0), (r, h), (r * 1.04, h), (r * 0.98, h - 0.006), (r * 0.73, 0.006), (0, 0.006)],
        0.005,
    )
    t = np.linspace(-0.2, np.pi + 0.2, 30)
    bail = np.stack([r * np.cos(t), -r * 0.6 * np.sin(t) - 0.02, h - 0.02 + 0.3 * r * np.sin(t)], 1)
    paint = glossy(RED if rng.random() < 0.5 else any_colour(rng), 0.2)
    return thing([(body, paint), (tube(bail, 0.003, segments=8), metal("Al", 0.2))])


def plant(rng: Rng) -> Thing:
    """A leafy plant in a terracotta or glazed pot."""
    r, h = rng.uniform(0.1, 0.14), rng.uniform(0.18, 0.24)
    pot = spun(
        [
            (0, 0),
            (r * 0.7, 0),
            (r * 0.95, h),
            (r, h),
            (r, h * 1.12),
            (r * 0.9, h * 1.12),
            (r * 0.86, h * 0.9),
            (0, h * 0.9),
        ],
        0.01,
    )
    surface = (
        matt(mottled(rng, (0.66, 0.36, 0.24), 0.08)) if rng.random() < 0.6 else glossy(any_colour(rng), 0.12)
    )
    parts: list[Part] = [(pot, surface)]
    for _ in range(int(rng.integers(14, 24))):
        leaf = _leaf(rng, float(rng.uniform(0.25, 0.5)) * (r / 0.12)).moved(z=h * 0.9)
        parts.append((leaf, glossy(jitter(rng, (0.2, 0.42, 0.17), 0.05), 0.3)))
    return thing(parts)


def _leaf(rng: Rng, length: float) -> Mesh:
    t = np.linspace(0, 1, 14)
    bend = rng.uniform(0.4, 1.1)
    angle = bend * t
    spine = np.stack(
        [np.cumsum(np.sin(angle)) / 14 * length, 0 * t, np.cumsum(np.cos(angle)) / 14 * length], 1
    )
    width = 0.02 + length * 0.09 * np.sin(np.pi * np.clip(t, 0.02, 1)) ** 0.8
    width[-1] = 0.002
    blade = tube(spine, width * 0.9, flatten=0.06, segments=10)
    return blade.turned(rotation("z", float(rng.uniform(0, 360))))


def crate(rng: Rng) -> Thing:
    """A wooden crate or cardboard box for floors."""
    w, d, h = rng.uniform(0.28, 0.42), rng.uniform(0.26, 0.36), rng.uniform(0.2, 0.36)
    if rng.random() < 0.5:
        surface = matt(mottled(rng, (0.66, 0.5, 0.33), 0.05))
        tape = box((w * 1.002, 0.05, h * 1.002), 0.004)
        return thing([(box((w, d, h), 0.006), surface), (tape, glossy((0.72, 0.6, 0.42), 0.2))])
    return thing(
        [(box((w, d, h), 0.006).tiled(2.2, 2.2), matt(wood(rng, (0.42, 0.28, 0.15), (0.74, 0.56, 0.36), 6)))]
    )


def stool(rng: Rng) -> Thing:
    """A round stool."""
    h = rng.uniform(0.4, 0.48)
    timber = wood(rng, (0.4, 0.24, 0.12), (0.7, 0.5, 0.3), 4)
    parts: list[Part] = [
        (spun([(0, h - 0.035), (0.16, h - 0.035), (0.16, h), (0, h)], 0.01), glossy(timber, 0.25))
    ]
    for i in range(4):
        a = np.pi / 4 + i * np.pi / 2
        leg = np.array(
            [
                (0.16 * np.cos(a), 0.16 * np.sin(a), 0.0),
                (0.13 * np.cos(a), 0.13 * np.sin(a), h / 2),
                (0.1 * np.cos(a), 0.1 * np.sin(a), h - 0.03),
            ]
        )
        parts.append((tube(leg, 0.014), glossy((0.5, 0.34, 0.2), 0.3)))
    return thing(parts)


FLOOR: list[Callable[[Rng], Thing]] = [cone, gas_cylinder, bucket, plant, crate, stool]
