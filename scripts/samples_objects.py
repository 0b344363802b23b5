"""The sample archive's two concepts, built from lathes, tubes and boxes."""

from dataclasses import dataclass

import numpy as np
from samples_geometry import Array, Mesh, box, curve, lathe, rotation, rounded, tube
from samples_materials import (
    Colour,
    Material,
    Rng,
    extinguisher_label,
    gauge_face,
    glossy,
    jitter,
    matt,
    metal,
    speckled,
    stripes,
)

BACKGROUND, MUG, EXTINGUISHER = 0, 1, 2
Part = tuple[Mesh, Material]


@dataclass(frozen=True)
class Thing:
    """An object standing on z = 0 at the origin.

    Attributes:
        label: Class id of its pixels.
        parts: Meshes with their materials.
        radius: Of its footprint, metres.
        height: Metres.
    """

    label: int
    parts: tuple[Part, ...]
    radius: float
    height: float

    def placed(self, x: float, y: float, z: float = 0.0, turn: float = 0.0) -> "Thing":
        """Turn about z by degrees, then move."""
        matrix = rotation("z", turn)
        parts = tuple((mesh.turned(matrix).moved(x, y, z), material) for mesh, material in self.parts)
        return Thing(self.label, parts, self.radius, self.height)


def thing(parts: list[Part], label: int = BACKGROUND) -> Thing:
    """Wrap parts, measuring footprint and height."""
    points = np.concatenate([mesh.points for mesh, _ in parts])
    return Thing(
        label, tuple(parts), float(np.linalg.norm(points[:, :2], axis=1).max()), float(points[:, 2].max())
    )


MUG_COLOURS: list[Colour] = [
    (0.93, 0.92, 0.88), (0.16, 0.3, 0.52), (0.84, 0.66, 0.22), (0.22, 0.42, 0.36), (0.72, 0.3, 0.2),
    (0.12, 0.12, 0.14), (0.62, 0.72, 0.76), (0.8, 0.55, 0.52), (0.9, 0.87, 0.78), (0.45, 0.5, 0.32),
    (0.68, 0.1, 0.12), (0.5, 0.36, 0.55),
]  # fmt: skip


def _mug_profile(shape: str, r: float, h: float) -> list[tuple[float, float]]:
    foot = 0.8 if shape != "enamel" else 0.97
    if shape == "straight":
        return [(r * 0.94, 0), (r, 0.004), (r, h)]
    if shape == "cone":
        return [(r * 0.7, 0), (r * 0.76, 0.003), (r * 1.06, h)]
    if shape == "belly":
        return [(r * 0.7, 0), (r * 0.98, h * 0.2), (r * 1.1, h * 0.45), (r * 0.92, h * 0.78), (r * 0.98, h)]
    if shape == "bowl":
        return [(r * 0.6, 0), (r * 0.66, 0.006), (r * 1.05, h * 0.42), (r * 1.1, h)]
    return [(r * foot, 0), (r * foot, 0.006), (r, 0.016), (r, h)]


def _mug_surface(rng: Rng, colour: Colour) -> Material:
    other = jitter(rng, MUG_COLOURS[int(rng.integers(len(MUG_COLOURS)))], 0.03)
    style = rng.choice(["plain", "plain", "dip", "bands", "speckle"])
    roughness = float(rng.uniform(0.05, 0.2))
    if style == "dip":
        return glossy(stripes([other, colour], [rng.uniform(0.3, 0.5), 0.6]), roughness)
    if style == "bands":
        return glossy(stripes([colour, other, colour, other, colour], [4, 0.6, 0.5, 0.6, 2]), roughness)
    if style == "speckle":
        dots = (0.2, 0.16, 0.13) if sum(colour) > 1.2 else (0.85, 0.82, 0.75)
        return glossy(speckled(rng, colour, dots, 0.05), roughness)
    return glossy(colour, roughness)


def mug(rng: Rng, colour: Colour | None = None) -> Thing:
    """Build a hollow mug with a handle at +x, perhaps filled with coffee."""
    shape = str(rng.choice(["straight", "straight", "cone", "belly", "enamel", "bowl"]))
    base = jitter(rng, colour or MUG_COLOURS[int(rng.integers(len(MUG_COLOURS)))], 0.03)
    h = float(rng.uniform(0.085, 0.108)) * (0.84 if shape == "bowl" else 1)
    r = float(rng.uniform(0.039, 0.045))
    wall = 0.0016 if shape == "enamel" else 0.0038
    outer = rounded(_mug_profile(shape, r, h), 0.012 if shape in ("belly", "bowl") else 0.006)
    top = outer[-1, 0]
    lip = rounded([(top, h), (top, h + wall * 0.6), (top - wall, h + wall * 0.6), (top - wall, h)], wall)
    inner_wall = np.stack([np.maximum(outer[::-1, 0] - wall, 0), np.maximum(outer[::-1, 1], wall * 1.3)], 1)
    inner = np.concatenate(
        [inner_wall[inner_wall[:, 1] > wall * 1.3], [(r * 0.55, wall * 1.3), (0, wall * 1.3)]]
    )
    surface = _mug_surface(rng, base)
    plain = glossy(base, 0.1)
    rim = glossy((0.1, 0.14, 0.26), 0.1) if shape == "enamel" else plain
    inside = plain if rng.random() < 0.4 else glossy((0.93, 0.91, 0.86), 0.1)
    bottom = np.concatenate([[(0, 0.0)], outer[:1]])
    parts: list[Part] = [
        (lathe(np.concatenate([bottom, outer[1:]])), surface),
        (lathe(lip), rim),
        (lathe(rounded([*map(tuple, inner)], 0.008)), inside),
        (_mug_handle(rng, outer, h, wall), plain if rng.random() < 0.7 else glossy(base, 0.15)),
    ]
    if rng.random() < 0.5:
        level = h * float(rng.uniform(0.72, 0.88))
        width = float(np.interp(level, outer[:, 1], outer[:, 0])) - wall * 0.6
        coffee = glossy((0.16, 0.08, 0.04) if rng.random() < 0.6 else (0.62, 0.42, 0.26), 0.05)
        parts.append((lathe(np.array([(width, level), (0, level)])), coffee))
    return thing(parts, MUG)


def _mug_handle(rng: Rng, outer: Array, h: float, wall: float) -> Mesh:
    high, low = h * float(rng.uniform(0.8, 0.88)), h * float(rng.uniform(0.18, 0.28))
    reach = float(rng.uniform(0.026, 0.034))
    x_high, x_low = (float(np.interp(z, outer[:, 1], outer[:, 0])) - wall * 0.5 for z in (high, low))
    x = max(x_high, x_low)
    if rng.random() < 0.5:  # a D
        path = rounded(
            [(x_high, 0, high), (x + reach, 0, high), (x + reach, 0, low), (x_low, 0, low)], 0.024, 12
        )
    else:  # an ear
        path = curve(
            [
                (x_high, 0, high),
                (x + reach * 0.6, 0, high + 0.004),
                (x + reach, 0, (high + low) * 0.53),
                (x + reach * 0.6, 0, low + 0.012),
                (x_low, 0, low),
            ]
        )
    return tube(path, float(rng.uniform(0.0046, 0.006)), flatten=float(rng.uniform(0.9, 1.5)))


REDS: list[Colour] = [(0.78, 0.06, 0.06), (0.85, 0.09, 0.07), (0.7, 0.04, 0.06), (0.82, 0.12, 0.1)]


def extinguisher(rng: Rng, *, on_wall: bool = False) -> Thing:
    """Build a fire extinguisher whose label faces -y, the hose on one side.

    Args:
        rng: Draws the variant.
        on_wall: Add a bracket behind it; the wall is at y = radius + 2 cm.
    """
    r = float(rng.uniform(0.07, 0.09))
    h = float(rng.uniform(0.4, 0.52))
    paint = glossy(jitter(rng, REDS[int(rng.integers(len(REDS)))], 0.015), float(rng.uniform(0.06, 0.16)))
    dark = glossy((0.035, 0.035, 0.04), 0.25)
    shoulder = h - r * float(rng.uniform(0.75, 1.0))
    neck = r * 0.3
    angles = np.linspace(0, np.pi / 2, 16)
    dome = np.stack([neck + (r - neck) * np.cos(angles), shoulder + (h - shoulder) * np.sin(angles)], 1)
    base = rounded([(0, 0.006), (r * 0.88, 0.006), (r * 0.9, 0), (r, 0.012), (r, shoulder)], 0.01)
    body = np.concatenate([base, dome[1:], [(neck, h + 0.012)]])
    skirt = np.array([(r * 1.012, 0.0), (r * 1.02, 0.004), (r * 1.02, 0.03), (r * 1.004, 0.034)])
    parts: list[Part] = [(lathe(body, 96), paint)]
    if rng.random() < 0.7:
        parts.append((lathe(skirt, 96), dark))
    parts += _labels(rng, r, shoulder)
    parts += _valve(rng, r, h, dark)
    parts += _hose(rng, r, h, shoulder, dark)
    if on_wall:
        parts.append(
            (box((r * 1.1, 0.02, h * 0.5), 0.003).moved(y=r + 0.01, z=h * 0.35), matt((0.1, 0.1, 0.1)))
        )
        strap = np.array(
            [(r * 1.012, h * 0.2), (r * 1.018, h * 0.21), (r * 1.018, h * 0.24), (r * 1.012, h * 0.25)]
        )
        parts.append((lathe(strap, 96), metal("Al", 0.25)))
    return thing(parts, EXTINGUISHER)


def _labels(rng: Rng, r: float, shoulder: float) -> list[Part]:
    kind = int(rng.integers(4))
    low = shoulder * float(rng.uniform(0.3, 0.38))
    high = shoulder * float(rng.uniform(0.78, 0.88))
    width = min(75.0, np.degrees((high - low) * 0.5 / r))
    skin = np.array([(r * 1.006, low), (r * 1.006, high)])
    front = lathe(skin, 40, (-90 - width, -90 + width))
    parts: list[Part] = [(front, glossy(extinguisher_label(rng, kind), 0.15))]
    if rng.random() < 0.5:  # the coloured ring that tells the agent
        ring = np.array([(r * 1.004, shoulder * 0.9), (r * 1.004, shoulder * 0.96)])
        colours: list[Colour] = [(0.9, 0.85, 0.7), (0.15, 0.3, 0.7), (0.92, 0.75, 0.15), (0.92, 0.92, 0.92)]
        parts.append((lathe(ring, 96), glossy(colours[kind], 0.12)))
    return parts


def _valve(rng: Rng, r: float, h: float, dark: Material) -> list[Part]:
    brass = metal("Au", 0.3) if rng.random() < 0.4 else metal("Al", 0.2)
    head = rounded(
        [
            (r * 0.34, h + 0.006),
            (r * 0.34, h + 0.026),
            (r * 0.22, h + 0.03),
            (r * 0.22, h + 0.056),
            (0, h + 0.056),
        ],
        0.004,
    )
    reach = r * float(rng.uniform(1.25, 1.5))
    turn = rotation("z", float(rng.choice([0.0, 180.0, -20.0, 200.0])))
    lower = curve([(-r * 0.35, 0, h + 0.04), (reach * 0.4, 0, h + 0.036), (reach, 0, h + 0.012)])
    upper = curve(
        [
            (-r * 0.4, 0, h + 0.056),
            (reach * 0.2, 0, h + 0.07),
            (reach * 0.6, 0, h + 0.085),
            (reach * 1.02, 0, h + 0.08),
        ]
    )
    ring_angles = np.linspace(0, 2 * np.pi, 30)
    ring = np.stack([0.018 * np.cos(ring_angles), 0 * ring_angles - r * 0.36, 0.018 * np.sin(ring_angles)], 1)
    parts: list[Part] = [
        (lathe(head), brass),
        (tube(lower, 0.011, 0.5).turned(turn), dark),
        (tube(upper, 0.012, 0.5).turned(turn), dark),
        (tube(ring + np.array([0.01, 0, h + 0.035]), 0.002, segments=8), metal("Al", 0.15)),
    ]
    if rng.random() < 0.75:
        case = rounded([(0, 0), (0.019, 0), (0.019, 0.014), (0.016, 0.016)], 0.002)
        facing = rotation("x", 90.0)
        at = np.array([-0.012, -r * 0.2, h + 0.03])
        parts.append((lathe(case).turned(facing).moved(*(at)), metal("Al", 0.2)))
        dial = lathe(np.array([(0.0163, 0.0155), (0, 0.0155)]))
        flat = Mesh(dial.points, dial.faces, dial.normals, dial.points[:, :2] / 0.034 + 0.5)
        parts.append((flat.turned(facing).moved(*at), glossy(gauge_face(), 0.1)))
    return parts


def _hose(rng: Rng, r: float, h: float, shoulder: float, dark: Material) -> list[Part]:
    side = float(rng.choice([-1.0, 1.0]))
    end = h * float(rng.uniform(0.22, 0.4))
    out = r * 1.16 + 0.008
    swing = r * float(rng.uniform(0.1, 0.5))
    path = curve(
        [
            (side * r * 0.2, 0, h + 0.03),
            (side * r * 0.75, -swing * 0.4, h + 0.046),
            (side * (out + 0.022), -swing, h * 0.97),
            (side * (out + 0.016), -swing, shoulder * 0.8),
            (side * out, -swing * 0.6, (shoulder + end) * 0.5),
            (side * out, -swing * 0.4, end + 0.06),
        ]
    )
    horn = rng.random() < 0.4
    width = np.array([0.012, 0.014, 0.015, 0.015]) if not horn else np.array([0.012, 0.016, 0.026, 0.034])
    length = 0.07 if not horn else 0.15
    tip = path[-1] + np.linspace(0, 1, 4)[:, None] * np.array([0, 0, -length])
    tip[:, 0] += side * np.linspace(0, width[-1] - 0.012, 4)
    clip = box((0.03, 0.03, 0.018), 0.004).moved(side * r * 1.08, path[-8, 1], path[-8, 2])
    hose = glossy((0.03, 0.03, 0.03), 0.35)
    return [(tube(path, 0.0095), hose), (tube(tip, width, segments=24), dark), (clip, dark)]
