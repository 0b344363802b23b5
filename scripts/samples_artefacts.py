"""A rare concept: corroded bronze fragments with toothed wheels, and other finds to tell them from."""

from collections.abc import Callable

import numpy as np
from samples_geometry import Array, Mesh, band, box, curve, joined, lathe, rotation, spun, surface
from samples_materials import Colour, Material, Rng, blend, corroded, matt, mottled, noise
from samples_objects import Part, Thing, thing
from scipy.ndimage import map_coordinates

MECHANISM = 3


def _bronze(rng: Rng) -> Material:
    # Every fragment is a mix of the same three: dark crust, verdigris, bare metal where it was rubbed.
    size = (256, 256)
    crust: list[Colour] = [(0.26, 0.2, 0.14), (0.3, 0.25, 0.17), (0.22, 0.22, 0.18)]
    green: list[Colour] = [(0.34, 0.5, 0.43), (0.4, 0.55, 0.47), (0.3, 0.46, 0.42)]
    base = blend(noise(rng, size, 1.1), crust[int(rng.integers(3))], (0.45, 0.36, 0.22))
    bloom = np.clip((noise(rng, size, 1.3) - rng.uniform(0.35, 0.6)) * 4, 0, 1)[..., None]
    return corroded(
        base * (1 - bloom) + bloom * np.asarray(green[int(rng.integers(3))]), noise(rng, size, 0.8)
    )


def _planar(mesh: Mesh, scale: float = 9.0) -> Mesh:
    """Project the texture from above."""
    return Mesh(
        mesh.points, mesh.faces, mesh.normals, mesh.points[:, :2] * scale + mesh.points[:, 2:] * scale
    )


def gear(rng: Rng, radius: float, thickness: float, arc: float = 360.0) -> Mesh:
    """Build a wheel with triangular teeth, a rim, spokes and a hub; an arc < 360 is a broken one."""
    teeth = round(2 * np.pi * radius / float(rng.uniform(0.006, 0.008)))
    angles = np.radians(np.linspace(0, arc, round(teeth * arc / 360) * 2 + 1))
    outer = np.where(np.arange(len(angles)) % 2, radius, radius - 0.0052) + rng.normal(0, 0.0002, len(angles))
    inner = np.full(len(angles), radius * float(rng.uniform(0.66, 0.76)))

    def line(r: Array, z: float) -> Array:
        return np.stack([r * np.cos(angles), r * np.sin(angles), np.full(len(angles), z)], 1)

    corners = [line(outer, 0), line(outer, thickness), line(inner, thickness), line(inner, 0)]
    parts = [band(a, b) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]
    if arc < 360:
        for end in (0, -1):
            a, b, c, d = (corner[end] for corner in corners)
            parts.append(band(np.stack([a, b]), np.stack([d, c])))
    reach = float(inner[0]) + 0.001
    for k in range(4):
        if 90 * k <= arc:
            spoke = box((reach, radius * 0.13, thickness * 0.9), 0.001).moved(x=reach / 2)
            parts.append(spoke.turned(rotation("z", 90.0 * k)))
    hub = radius * 0.2
    parts.append(spun([(0, 0), (hub, 0), (hub, thickness * 1.8), (0, thickness * 1.8)], 0.001))
    return joined(parts)


def slab(rng: Rng, radius: float, thickness: float, rough: float = 0.2) -> Mesh:
    """Build a flat, lumpy stone or crust of irregular outline."""
    around, rings = 120, 26
    phase = rng.uniform(0, 2 * np.pi, 7)
    angles = np.linspace(0, 2 * np.pi, around + 1)
    wave = sum(np.sin((k + 1) * angles + phase[k]) / (k + 1) ** 0.8 for k in range(7))
    edge = radius * (1 + rough * 0.5 * wave)
    rho = np.sin(np.linspace(0, np.pi / 2, rings))
    x, y = rho[:, None] * edge * np.cos(angles), rho[:, None] * edge * np.sin(angles)
    field = noise(rng, (64, 64), 1.4) - 0.5
    at = [32 + x / radius * 18, 32 + y / radius * 18]
    bumps = map_coordinates(field, at, order=1, mode="grid-wrap")
    z = thickness * (1 - rho[:, None] ** 6) * (1 + 0.5 * rough * bumps)
    return surface(np.stack([x, y, z], -1)[::-1])


def mechanism(rng: Rng) -> Thing:
    """Build a fragment: wheels in layers on a crust, lying flat or propped up."""
    radius = float(rng.uniform(0.075, 0.095))
    depth = float(rng.uniform(0.008, 0.013))
    main = radius * float(rng.uniform(0.72, 0.86))
    at = rng.normal(0, radius * 0.08, 2)
    arc = float(rng.choice([360.0, 360.0, 300.0, 250.0]))
    wheel = gear(rng, main, 0.006, arc).turned(rotation("z", float(rng.uniform(0, 360))))
    parts: list[Part] = [
        (_planar(slab(rng, radius, depth)), _bronze(rng)),
        (_planar(wheel).moved(*at, depth * 0.93), _bronze(rng)),
    ]
    start = rng.uniform(0, 360)
    for k in range(int(rng.integers(1, 4))):
        angle = np.radians(start + 125 * k)
        small = radius * float(rng.uniform(0.26, 0.4))
        place = (at[0] + np.cos(angle) * main * 0.62, at[1] + np.sin(angle) * main * 0.62)
        wheel = _planar(gear(rng, small, 0.005)).moved(*place, depth + 0.0055)
        parts.append((wheel, _bronze(rng)))
    tilt = float(rng.choice([0.0, 0.0, 45.0, 60.0]))
    if not tilt:
        return thing(parts, MECHANISM)
    lift = radius * 1.12 * np.sin(np.radians(tilt))
    lean = rotation("x", tilt)
    return thing([(mesh.turned(lean).moved(z=lift), material) for mesh, material in parts], MECHANISM)


def coin(rng: Rng) -> Thing:
    """A few corroded coins: round bronze without teeth."""
    parts: list[Part] = []
    for k in range(int(rng.integers(2, 5))):
        r = float(rng.uniform(0.014, 0.024))
        disc = spun([(0, 0), (r, 0), (r, 0.003), (r * 0.85, 0.0024), (0, 0.003)], 0.001)
        parts.append((_planar(disc).moved(0.05 * (k % 2), 0.05 * (k // 2)), _bronze(rng)))
    return thing(parts)


def mirror(rng: Rng) -> Thing:
    """A bronze hand mirror: a plain disc with a handle, the wheel's nearest look-alike."""
    r = float(rng.uniform(0.055, 0.07))
    disc = spun([(0, 0), (r, 0), (r, 0.007), (r * 0.9, 0.005), (0, 0.005)], 0.002)
    handle = box((0.09, 0.016, 0.007), 0.003).moved(x=r + 0.04)
    surface = _bronze(rng)
    return thing([(_planar(disc), surface), (_planar(handle), surface)])


def stone(rng: Rng) -> Thing:
    """A rounded stone."""
    colour = (0.55, 0.52, 0.47) if rng.random() < 0.6 else (0.42, 0.4, 0.38)
    mesh = slab(rng, float(rng.uniform(0.03, 0.06)), float(rng.uniform(0.02, 0.045)), 0.25)
    return thing([(_planar(mesh), matt(mottled(rng, colour, 0.12, 0.9, 256)))])


def shard(rng: Rng) -> Thing:
    """A piece of a painted pot."""
    r = float(rng.uniform(0.06, 0.08))
    profile = curve([(r * 0.7, -0.03), (r, 0.0), (r * 0.85, 0.05)])
    clay = matt(mottled(rng, (0.68, 0.42, 0.28), 0.07, 1.0, 256))
    dark = matt((0.14, 0.1, 0.09))
    lying = rotation("x", 90.0)
    wall = lathe(profile, 30, (50, 130)).turned(lying).moved(z=-r * 0.62)
    stripe = lathe(profile[8:14] * (1.01, 1.0), 30, (50, 130)).turned(lying).moved(z=-r * 0.62)
    return thing([(wall, clay), (stripe, dark)])


def amphora(rng: Rng) -> Thing:
    """A small clay jar."""
    h = float(rng.uniform(0.14, 0.19))
    profile = curve([(0.0, 0.0), (0.02, 0.002), (h * 0.34, h * 0.5), (h * 0.12, h * 0.84), (h * 0.18, h)])
    return thing([(lathe(profile), matt(mottled(rng, (0.66, 0.44, 0.3), 0.08, 1.1, 256)))])


FINDS: list[Callable[[Rng], Thing]] = [coin, mirror, stone, stone, shard, amphora]
