"""Rooms and light of the sample scenes: what stands behind, under and above the objects."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from samples_geometry import box, picture, rotation, sheet, tube
from samples_materials import (
    Array,
    Colour,
    Material,
    Rng,
    blend,
    cover,
    glossy,
    jitter,
    marble,
    matt,
    metal,
    mottled,
    sky,
    speckled,
    texture,
    tiles,
    wood,
)
from samples_objects import Part

T = TypeVar("T")
TABLE_HEIGHT = 0.74  # the objects stand on z = 0; the floor of a table scene lies this far below
WALLS: list[Colour] = [
    (0.87, 0.85, 0.8), (0.72, 0.77, 0.78), (0.83, 0.78, 0.66), (0.58, 0.66, 0.6), (0.76, 0.68, 0.64),
    (0.4, 0.47, 0.54), (0.9, 0.9, 0.89), (0.62, 0.58, 0.52),
]  # fmt: skip
WOODS: list[tuple[Colour, Colour]] = [
    ((0.36, 0.2, 0.1), (0.62, 0.4, 0.22)), ((0.5, 0.36, 0.22), (0.8, 0.65, 0.45)),
    ((0.2, 0.12, 0.08), (0.4, 0.26, 0.17)), ((0.55, 0.48, 0.4), (0.78, 0.72, 0.63)),
]  # fmt: skip


@dataclass(frozen=True)
class Room:
    """A place for objects.

    Attributes:
        parts: Everything that is not an object.
        width: Objects stand at |x| <= width / 2, metres.
        front: Nearest y for objects.
        back: Farthest y for objects.
        wall: y of the wall behind.
        reach: Nearest and farthest camera, metres from the objects.
    """

    parts: list[Part]
    width: float
    front: float
    back: float
    wall: float
    reach: tuple[float, float]


def _pick(rng: Rng, options: list[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _wall(rng: Rng, style: str) -> Material:
    if style == "brick":
        warm: list[Colour] = [(0.56, 0.3, 0.23), (0.5, 0.26, 0.2), (0.62, 0.37, 0.28), (0.45, 0.25, 0.2)]
        pale: list[Colour] = [(0.82, 0.8, 0.76), (0.86, 0.84, 0.8), (0.78, 0.77, 0.74)]
        return matt(tiles(rng, warm if rng.random() < 0.5 else pale, (0.66, 0.63, 0.58), count=4, brick=True))
    if style == "tiles":
        colour = _pick(rng, [(0.88, 0.88, 0.85), (0.6, 0.72, 0.72), (0.82, 0.8, 0.68), (0.4, 0.52, 0.5)])
        return glossy(tiles(rng, [colour], (0.7, 0.69, 0.66), count=4, brick=bool(rng.random() < 0.5)), 0.08)
    return matt(mottled(rng, jitter(rng, _pick(rng, WALLS), 0.02), 0.025, 1.3))


def _table_top(rng: Rng) -> tuple[Material, float]:
    style = _pick(rng, ["wood", "wood", "wood", "marble", "paint", "speckle", "cloth"])
    if style == "marble":
        dark = rng.random() < 0.4
        pair = ((0.16, 0.17, 0.18), (0.5, 0.5, 0.5)) if dark else ((0.86, 0.85, 0.83), (0.5, 0.49, 0.48))
        return glossy(marble(rng, *pair), 0.06), 1.1
    if style == "speckle":
        return glossy(speckled(rng, (0.44, 0.44, 0.43), (0.3, 0.3, 0.31), 0.25), 0.12), 3.0
    if style == "paint":
        return glossy(mottled(rng, jitter(rng, _pick(rng, WALLS), 0.05), 0.03), 0.2), 1.0
    if style == "cloth":
        base, other = jitter(rng, (0.85, 0.83, 0.78)), jitter(rng, (0.45, 0.5, 0.6), 0.12)
        return matt(_gingham(base, other)), 5.0
    return glossy(wood(rng, *_pick(rng, WOODS), planks=int(rng.integers(4, 8))), 0.22), 1.15


def _gingham(base: Colour, other: Colour, size: int = 256) -> Array:
    bar = (np.arange(size) // (size // 4) % 2).astype(float)
    return blend((bar[:, None] + bar[None]) / 2, base, other)


def _floor(rng: Rng) -> tuple[Material, float]:
    style = _pick(rng, ["wood", "tiles", "concrete", "speckle", "carpet"])
    if style == "tiles":
        pair = _pick(
            rng,
            [
                [(0.8, 0.78, 0.73), (0.7, 0.68, 0.63)],
                [(0.82, 0.82, 0.8), (0.3, 0.32, 0.34)],
                [(0.62, 0.42, 0.33)],
            ],
        )
        return glossy(tiles(rng, pair, (0.55, 0.54, 0.52), count=4), 0.12), 0.8
    if style == "concrete":
        return glossy(mottled(rng, (0.52, 0.52, 0.5), 0.045, 1.5, 768), 0.35), 0.6
    if style == "speckle":
        return glossy(speckled(rng, (0.7, 0.68, 0.64), (0.56, 0.53, 0.5), 0.2), 0.12), 2.5
    if style == "carpet":
        base = jitter(rng, _pick(rng, [(0.3, 0.34, 0.4), (0.45, 0.42, 0.37), (0.36, 0.4, 0.33)]))
        return matt(mottled(rng, base, 0.09, 0.35)), 1.5
    return glossy(wood(rng, *_pick(rng, WOODS), planks=6), 0.2), 0.9


def _frame(rng: Rng, x: float, y: float, z: float) -> list[Part]:
    w, h = rng.uniform(0.26, 0.5), rng.uniform(0.3, 0.5)
    colour = _pick(rng, [(0.1, 0.1, 0.1), (0.85, 0.84, 0.8), (0.5, 0.34, 0.2)])
    art = cover(rng, jitter(rng, (0.7, 0.66, 0.58), 0.14)) if rng.random() < 0.6 else sky(rng)
    return [
        (box((w, 0.025, h), 0.004).moved(x, y - 0.013, z), glossy(colour, 0.25)),
        (picture(w - 0.05, h - 0.05).moved(x, y - 0.0275, z + 0.025), glossy(art, 0.1)),
    ]


def _shelf(rng: Rng, x: float, y: float, z: float) -> list[Part]:
    timber = glossy(wood(rng, *_pick(rng, WOODS), planks=2, size=384), 0.25)
    parts: list[Part] = [(box((1.1, 0.2, 0.03), 0.004).moved(x, y - 0.1, z), timber)]
    at = x - 0.5
    while at < x + 0.45:
        w, h = rng.uniform(0.02, 0.05), rng.uniform(0.17, 0.26)
        if rng.random() < 0.85:
            colour = jitter(rng, _pick(rng, WALLS), 0.08)
            parts.append((box((w, 0.14, h), 0.003).moved(at + w / 2, y - 0.1, z + 0.03), glossy(colour, 0.3)))
        at += w + 0.002
    return parts


def _window(rng: Rng, x: float, y: float, z: float) -> list[Part]:
    w, h = rng.uniform(0.7, 1.1), rng.uniform(0.8, 1.1)
    glow = {"type": "area", "radiance": texture(sky(rng))}
    white = glossy((0.88, 0.88, 0.86), 0.2)
    parts: list[Part] = [(picture(w, h).moved(x, y - 0.004, z), {"type": "diffuse", "emitter": glow})]
    stile, rail = box((0.05, 0.05, h + 0.05), 0.004), box((w, 0.05, 0.045), 0.004)
    parts += [(stile.moved(x + at, y - 0.02, z - 0.025), white) for at in (-w / 2, 0.0, w / 2)]
    parts += [(rail.moved(x, y - 0.02, z + at - 0.02), white) for at in (0.0, h * 0.5, h)]
    parts.append((box((w + 0.16, 0.14, 0.03), 0.004).moved(x, y - 0.07, z - 0.05), white))
    return parts


def _door(rng: Rng, x: float, y: float) -> list[Part]:
    colour = jitter(
        rng, _pick(rng, [(0.85, 0.84, 0.8), (0.35, 0.45, 0.5), (0.5, 0.33, 0.2), (0.28, 0.36, 0.3)])
    )
    leaf, trim = glossy(colour, 0.2), glossy((0.87, 0.86, 0.82), 0.25)
    parts: list[Part] = [(box((0.86, 0.03, 2.02), 0.003).moved(x, y - 0.015), leaf)]
    for z, h in ((0.2, 0.7), (1.05, 0.8)):
        parts.append((box((0.6, 0.02, h), 0.008).moved(x, y - 0.035, z), leaf))
    jamb = box((0.08, 0.05, 2.1), 0.004)
    parts += [(jamb.moved(x + side * 0.47, y - 0.025), trim) for side in (-1, 1)]
    knob = np.array([(x - 0.37, y - 0.03, 1.0), (x - 0.37, y - 0.08, 1.0), (x - 0.27, y - 0.085, 1.0)])
    parts.append((tube(knob, 0.01), metal("Al", 0.2)))
    return parts


def _pipes(rng: Rng, x: float, y: float) -> list[Part]:
    paint = glossy(jitter(rng, _pick(rng, [(0.75, 0.75, 0.72), (0.3, 0.42, 0.5), (0.6, 0.5, 0.3)])), 0.25)
    parts: list[Part] = []
    for i in range(int(rng.integers(1, 4))):
        at = x + 0.11 * i
        path = np.array([(at, y - 0.06, 0.0), (at, y - 0.06, 1.5), (at, y - 0.06, 3.0)])
        parts.append((tube(path, float(rng.uniform(0.018, 0.035))), paint))
    return parts


def _radiator(x: float, y: float) -> list[Part]:
    white = glossy((0.86, 0.86, 0.83), 0.2)
    return [(box((0.055, 0.09, 0.6), 0.02).moved(x + 0.065 * i, y - 0.07, 0.12), white) for i in range(10)]


def _sign(x: float, y: float, z: float, colour: Colour) -> list[Part]:
    # A flame and an arrow would look like the real sign; a plain plate keeps it out of the concept.
    plate = np.broadcast_to(np.asarray(colour), (64, 48, 3)).copy()
    plate[6:58, 4:6] = plate[6:58, 42:44] = plate[6:8, 4:44] = plate[56:58, 4:44] = 0.95
    plate[18:46, 20:28] = 0.95
    return [(picture(0.15, 0.2).moved(x, y - 0.004, z), glossy(plate, 0.2))]


def _shell(rng: Rng, wall: float, floor_z: float, style: str) -> list[Part]:
    scale = 1.1 if style == "brick" else 1.5
    floor, repeats = _floor(rng)
    back = sheet(9.0, 3.6, "front").tiled(scale, scale).moved(y=wall, z=floor_z)
    parts: list[Part] = [
        (back, _wall(rng, style)),
        (sheet(9.0, 6.0).tiled(repeats, repeats).moved(y=wall - 3.0, z=floor_z), floor),
    ]
    if rng.random() < 0.7:
        skirting = box((9.0, 0.02, float(rng.uniform(0.07, 0.13))), 0.004).moved(y=wall - 0.01, z=floor_z)
        parts.append((skirting, glossy(jitter(rng, (0.84, 0.82, 0.78), 0.015), 0.25)))
    if rng.random() < 0.35:  # a corner of the room
        side = float(rng.choice([-1.0, 1.0]))
        turned = sheet(6.0, 3.6, "front").turned(rotation("z", -90.0 * side))
        parts.append(
            (turned.tiled(scale, scale).moved(side * 1.5, wall - 3.0, floor_z), _wall(rng, "plaster"))
        )
    return parts


def table_room(rng: Rng) -> Room:
    """A table, desk or counter before a wall; z = 0 is the table top."""
    counter = rng.random() < 0.35
    depth = float(rng.uniform(0.7, 0.95))
    width = 2.6 if counter else float(rng.uniform(1.3, 1.8))
    gap = 0.0 if counter else float(rng.uniform(0.05, 1.4))
    wall = depth / 2 + gap
    style = (
        _pick(rng, ["tiles", "tiles", "plaster"])
        if counter
        else _pick(rng, ["plaster", "plaster", "plaster", "brick"])
    )
    parts = _shell(rng, wall, -TABLE_HEIGHT, style)
    top, repeats = _table_top(rng)
    parts.append((box((width, depth, 0.035), 0.006).tiled(repeats, repeats).moved(z=-0.035), top))
    if counter:
        parts.append(
            (
                box((width - 0.04, depth - 0.05, 0.7), 0.004).moved(z=-0.74),
                glossy(jitter(rng, _pick(rng, WALLS)), 0.2),
            )
        )
    else:
        for x in (-1, 1):
            for y in (-1, 1):
                leg = box((0.06, 0.06, TABLE_HEIGHT - 0.03), 0.005)
                parts.append((leg.moved(x * (width / 2 - 0.08), y * (depth / 2 - 0.08), -TABLE_HEIGHT), top))
    for _ in range(int(rng.integers(1, 3))):
        x = float(rng.uniform(-0.9, 0.9))
        kind = _pick(rng, ["frame", "shelf", "window", "none"])
        if kind == "frame":
            parts += _frame(rng, x, wall, float(rng.uniform(0.25, 0.4)))
        elif kind == "shelf":
            parts += _shelf(rng, x, wall, float(rng.uniform(0.62, 0.7)))
        elif kind == "window":
            parts += _window(rng, x, wall, float(rng.uniform(0.15, 0.3)))
            break
    return Room(parts, min(width - 0.15, 1.3), -depth / 2 + 0.1, depth / 2 - 0.1, wall, (0.3, 1.6))


def floor_room(rng: Rng) -> Room:
    """A corridor, workshop or hall; z = 0 is the floor."""
    wall = float(rng.uniform(0.35, 0.9))
    parts = _shell(rng, wall, 0.0, _pick(rng, ["plaster", "plaster", "brick", "tiles"]))
    side = float(rng.choice([-1.0, 1.0]))
    kind = _pick(rng, ["door", "pipes", "frame", "radiator", "none"])
    if kind == "door":
        parts += _door(rng, side * float(rng.uniform(0.75, 1.0)), wall)
    elif kind == "pipes":
        parts += _pipes(rng, side * float(rng.uniform(0.35, 0.7)), wall)
    elif kind == "frame":
        parts += _frame(rng, side * float(rng.uniform(0.4, 0.8)), wall, float(rng.uniform(0.5, 0.9)))
    elif kind == "radiator":
        parts += _radiator(side * 0.75 - 0.3, wall)
    if rng.random() < 0.4:
        colour = _pick(rng, [(0.7, 0.08, 0.08), (0.1, 0.42, 0.25), (0.12, 0.3, 0.6)])
        parts += _sign(float(rng.uniform(-0.5, 0.5)), wall, float(rng.uniform(0.9, 1.2)), colour)
    return Room(parts, 1.5, -0.55, wall - 0.3, wall, (0.8, 3.2))
