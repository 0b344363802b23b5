"""Look-alikes and clutter for tables."""

from collections.abc import Callable

import numpy as np
from samples_geometry import Mesh, box, curve, lathe, picture, rotation, spun, tube
from samples_materials import (
    RED,
    Colour,
    Rng,
    any_colour,
    blend,
    cover,
    glass,
    glossy,
    jitter,
    matt,
    metal,
    mottled,
    noise,
    stripes,
)
from samples_objects import Part, Thing, thing


def thermos(rng: Rng) -> Thing:
    """A red steel flask with a dark screw cap: red and cylindrical like an extinguisher."""
    r, h = rng.uniform(0.034, 0.042), rng.uniform(0.22, 0.28)
    body = spun([(0, 0), (r, 0), (r, h * 0.72), (r * 0.72, h * 0.8), (r * 0.72, h * 0.83)], 0.012)
    cap = spun([(r * 0.78, h * 0.82), (r * 0.8, h * 0.82), (r * 0.74, h), (0, h)], 0.006)
    band = lathe(np.array([(r * 1.01, 0.0), (r * 1.01, h * 0.04)]))
    return thing(
        [(body, glossy(RED, 0.12)), (cap, glossy((0.06, 0.06, 0.07), 0.2)), (band, metal("Al", 0.2))]
    )


def vase(rng: Rng) -> Thing:
    """A vase, often red, sometimes with stems."""
    r, h = rng.uniform(0.04, 0.06), rng.uniform(0.16, 0.24)
    profile = curve([(r * 0.6, 0), (r, h * 0.3), (r * 0.85, h * 0.6), (r * 0.4, h * 0.85), (r * 0.52, h)])
    inside = profile[profile[:, 1] > 0.02][::-1] - (0.003, 0)
    surface = glossy(RED if rng.random() < 0.5 else any_colour(rng), float(rng.uniform(0.05, 0.3)))
    parts: list[Part] = [(lathe(np.concatenate([[(0.0, 0.0)], profile])), surface), (lathe(inside), surface)]
    for _ in range(int(rng.integers(0, 6))):
        lean = rng.normal(0, 0.05, 2)
        top = h + rng.uniform(0.08, 0.18)
        parts.append(
            (
                tube(
                    curve([(0, 0, h * 0.4), (lean[0] * 0.4, lean[1] * 0.4, h), (*lean, top)]),
                    0.002,
                    segments=8,
                ),
                matt((0.25, 0.4, 0.18)),
            )
        )
        bloom = spun([(0, -0.016), (0.018, -0.004), (0.012, 0.012), (0, 0.014)], 0.008)
        parts.append((bloom.moved(*lean, top), matt(jitter(rng, (0.9, 0.75, 0.4), 0.1))))
    return thing(parts)


def candle(rng: Rng) -> Thing:
    """A pillar candle on a dish."""
    r, h = rng.uniform(0.028, 0.036), rng.uniform(0.09, 0.16)
    wax = spun([(0, 0.006), (r, 0.006), (r, h), (r * 0.8, h), (0, h - 0.006)], 0.005)
    dish = spun(
        [(0, 0), (r * 1.5, 0), (r * 1.9, 0.012), (r * 1.8, 0.012), (r * 1.4, 0.005), (0, 0.005)], 0.003
    )
    wick = tube(np.array([(0, 0, h - 0.008), (0.001, 0, h), (0.003, 0, h + 0.01)]), 0.0012, segments=6)
    colour = RED if rng.random() < 0.4 else jitter(rng, (0.92, 0.87, 0.72))
    return thing([(wax, glossy(colour, 0.3)), (dish, metal("Au", 0.3)), (wick, matt((0.05, 0.05, 0.05)))])


def bowl(rng: Rng) -> Thing:
    """A ceramic bowl, sometimes with fruit."""
    r, h = rng.uniform(0.07, 0.1), rng.uniform(0.05, 0.075)
    arc = curve([(r * 0.45, 0.0), (r * 0.8, h * 0.35), (r, h)])
    profile = np.concatenate([[(0.0, 0.0)], arc, (arc - (0.004, -0.002))[::-1], [(0.0, 0.006)]])
    parts: list[Part] = [(lathe(profile), glossy(any_colour(rng), 0.1))]
    for i in range(int(rng.integers(0, 4))):
        angle = 2.1 * i + rng.uniform(0, 0.4)
        size = rng.uniform(0.026, 0.034)
        at = (np.cos(angle) * r * 0.42, np.sin(angle) * r * 0.42, h * 0.5 + size * 0.55)
        parts.append((sphere(size).moved(*at), glossy(jitter(rng, (0.85, 0.45, 0.12), 0.06), 0.25)))
    return thing(parts)


def sphere(r: float, squash: float = 1.0) -> Mesh:
    """A ball about the origin."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 32)
    return lathe(np.stack([r * np.cos(t), r * squash * np.sin(t)], 1))


def pitcher(rng: Rng) -> Thing:
    """A tall jug with spout and handle: the mug's nearest look-alike."""
    r, h = rng.uniform(0.05, 0.062), rng.uniform(0.2, 0.26)
    profile = curve([(r * 0.75, 0), (r, h * 0.22), (r * 0.95, h * 0.45), (r * 0.55, h * 0.78), (r * 0.7, h)])
    full = np.concatenate([[(0.0, 0.0)], profile, profile[::-1] - (0.003, 0)])
    mesh = lathe(full)
    points = mesh.points.copy()
    spout = np.clip((points[:, 2] - h * 0.85) / (h * 0.15), 0, 1) ** 2 * np.clip(-points[:, 0] / r, 0, 1) ** 3
    points[:, 0] -= spout * 0.05
    material = glossy(any_colour(rng), 0.08)
    handle = curve(
        [(r * 0.6, 0, h * 0.9), (r * 1.35, 0, h * 0.88), (r * 1.5, 0, h * 0.6), (r * 0.96, 0, h * 0.35)]
    )
    return thing(
        [(Mesh(points, mesh.faces, mesh.normals, mesh.uv), material), (tube(handle, 0.008, 1.3), material)]
    )


def jar(rng: Rng) -> Thing:
    """A glass jar with dry goods and a lid."""
    r, h = rng.uniform(0.038, 0.048), rng.uniform(0.1, 0.15)
    wall = spun([(0, 0), (r, 0), (r, h * 0.9), (r * 0.86, h)], 0.01)
    level = h * rng.uniform(0.5, 0.8)
    goods = spun([(0, 0.003), (r * 0.94, 0.003), (r * 0.94, level), (0, level)], 0.008)
    lid = spun([(r * 0.9, h), (r * 0.92, h), (r * 0.92, h + 0.016), (0, h + 0.016)], 0.003)
    grain = blend(noise(rng, (128, 128), 0.3), (0.4, 0.25, 0.12), (0.9, 0.78, 0.5))
    return thing([(wall, glass()), (goods, matt(grain)), (lid, metal("Al", 0.25))])


def tumbler(rng: Rng) -> Thing:
    """A drinking glass."""
    r, h = rng.uniform(0.032, 0.038), rng.uniform(0.1, 0.13)
    water = spun([(0, 0.006), (r * 0.86, 0.006), (r * 0.93, h * 0.6), (0, h * 0.6)], 0.003)
    return thing([(spun([(0, 0), (r * 0.9, 0), (r, h)], 0.006), glass()), (water, glass())])


def bottle(rng: Rng) -> Thing:
    """A wine or oil bottle with a paper label."""
    r, h = rng.uniform(0.034, 0.04), rng.uniform(0.26, 0.31)
    body = spun([(0, 0), (r, 0), (r, h * 0.58), (r * 0.36, h * 0.74), (r * 0.34, h), (0, h)], 0.02)
    label = lathe(np.array([(r * 1.01, h * 0.15), (r * 1.01, h * 0.42)]), 40, (-170, -10))
    colours: list[Colour] = [(0.05, 0.16, 0.07), (0.2, 0.09, 0.03), (0.03, 0.04, 0.06), (0.55, 0.05, 0.05)]
    colour = colours[int(rng.integers(len(colours)))]
    return thing([(body, glossy(colour, 0.05)), (label, matt(cover(rng, (0.9, 0.87, 0.78))))])


def books(rng: Rng) -> Thing:
    """A small pile of books."""
    parts: list[Part] = []
    z = 0.0
    for _ in range(int(rng.integers(1, 5))):
        w, d, t = rng.uniform(0.14, 0.2), rng.uniform(0.1, 0.14), rng.uniform(0.014, 0.032)
        turn = rotation("z", float(rng.normal(0, 9)))
        parts.append((box((w, d, t), 0.002).turned(turn).moved(z=z), glossy(any_colour(rng), 0.3)))
        parts.append(
            (
                box((w - 0.004, d + 0.002, t - 0.006), 0.001).turned(turn).moved(z=z + 0.003),
                matt((0.88, 0.85, 0.76)),
            )
        )
        z += t
    return thing(parts)


def carton(rng: Rng) -> Thing:
    """A printed box, upright."""
    w, d, h = rng.uniform(0.07, 0.13), rng.uniform(0.04, 0.07), rng.uniform(0.1, 0.2)
    front = picture(w - 0.004, h - 0.004).moved(y=-d / 2 - 0.0005, z=0.002)
    colour = RED if rng.random() < 0.25 else any_colour(rng)
    return thing([(box((w, d, h), 0.002), matt(colour)), (front, matt(cover(rng, colour)))])


def ball(rng: Rng) -> Thing:
    """A striped rubber ball."""
    r = rng.uniform(0.035, 0.05)
    surface = stripes([any_colour(rng), (0.92, 0.9, 0.86), any_colour(rng)], [2, 0.7, 2])
    return thing([(sphere(r).turned(rotation("x", 35)).moved(z=r), glossy(surface, 0.2))])


def fruit(rng: Rng) -> Thing:
    """An apple."""
    r = rng.uniform(0.034, 0.04)
    profile = curve(
        [
            (0.0, 0.2 * r),
            (0.55 * r, 0.02 * r),
            (r, 0.85 * r),
            (0.75 * r, 1.6 * r),
            (0.2 * r, 1.62 * r),
            (0.0, 1.4 * r),
        ]
    )
    colours: list[Colour] = [(0.7, 0.12, 0.1), (0.5, 0.62, 0.18), (0.85, 0.7, 0.25)]
    skin = mottled(rng, colours[int(rng.integers(3))], 0.12)
    stem = tube(np.array([(0, 0, 1.3 * r), (0.002, 0, 1.7 * r), (0.006, 0, 2 * r)]), 0.0014, segments=6)
    return thing([(lathe(profile), glossy(skin, 0.15)), (stem, matt((0.25, 0.16, 0.08)))])


def plate(rng: Rng) -> Thing:
    """A plate with a few biscuits."""
    r = rng.uniform(0.085, 0.11)
    dish = spun([(0, 0), (r * 0.6, 0), (r, 0.016), (r - 0.003, 0.018), (r * 0.6, 0.005), (0, 0.005)], 0.006)
    parts: list[Part] = [(dish, glossy(any_colour(rng), 0.1))]
    for i in range(int(rng.integers(1, 5))):
        biscuit = spun([(0, 0), (0.026, 0), (0.026, 0.009), (0, 0.011)], 0.004)
        place = (rng.normal(0, r * 0.2), rng.normal(0, r * 0.2), 0.005 + 0.009 * i)
        parts.append((biscuit.moved(*place), matt(mottled(rng, (0.72, 0.5, 0.27), 0.2, 0.8, 128))))
    return thing(parts)


def lamp(rng: Rng) -> Thing:
    """A table lamp with a cloth shade."""
    h = rng.uniform(0.34, 0.42)
    foot = spun([(0, 0), (0.07, 0), (0.07, 0.012), (0.012, 0.02), (0.01, h * 0.7), (0, h * 0.7)], 0.01)
    shade = lathe(np.array([(0.1, h * 0.62), (0.07, h)]))
    return thing([(foot, metal("Au", 0.3)), (shade, matt(jitter(rng, (0.9, 0.84, 0.7))))])


def pencils(rng: Rng) -> Thing:
    """A wire-dark pen pot with pencils."""
    r, h = 0.036, 0.09
    parts: list[Part] = [
        (
            spun([(0, 0), (r, 0), (r, h), (r - 0.002, h), (r - 0.002, 0.004), (0, 0.004)], 0.002),
            metal("Cr", 0.3),
        )
    ]
    for _ in range(int(rng.integers(4, 8))):
        a, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.032)
        foot = -0.5 * lean * np.array([np.cos(a), np.sin(a)])
        path = np.array(
            [(*foot, 0.006), (0, 0, 0.06), (lean * np.cos(a), lean * np.sin(a), rng.uniform(0.14, 0.18))]
        )
        parts.append((tube(path, 0.0035, segments=6), glossy(any_colour(rng), 0.2)))
    return thing(parts)


TABLE: list[Callable[[Rng], Thing]] = [
    thermos, vase, candle, bowl, pitcher, jar, tumbler, bottle,
    books, carton, ball, fruit, plate, lamp, pencils,
]  # fmt: skip
