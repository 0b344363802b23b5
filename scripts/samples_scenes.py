"""What each sample scene shows, drawn from its own seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from samples_artefacts import FINDS, MECHANISM, mechanism
from samples_floorware import FLOOR
from samples_light import surroundings
from samples_objects import EXTINGUISHER, MUG, Rng, Thing, extinguisher, mug
from samples_rooms import Room, floor_room, table_room
from samples_tableware import TABLE

SEED = 20241


@dataclass(frozen=True)
class Plan:
    """What one scene shall show.

    Attributes:
        family: Folder below the output, "" for the main samples.
        split: "archive" or "targets".
        index: Number within the split.
        concepts: Class ids.
    """

    family: str
    split: str
    index: int
    concepts: tuple[int, ...]

    @property
    def name(self) -> str:
        """The file name without its ending."""
        return f"scene_{self.index:03d}"

    @property
    def picture(self) -> str:
        """Path below the output folder."""
        return f"{self.family}{self.split}/{self.name}.jpg"

    @property
    def mask(self) -> str:
        """Path below the output folder."""
        return f"{self.family}masks/{self.split}/{self.name}.png"


ARTEFACTS = "artefacts/"


def plans() -> list[Plan]:
    """Return all scenes; file numbers say nothing about the content."""
    out = []
    for split, mugs, extinguishers, both, neither in (("archive", 13, 13, 2, 12), ("targets", 8, 8, 0, 5)):
        kinds: list[tuple[int, ...]] = [(MUG,)] * mugs + [(EXTINGUISHER,)] * extinguishers
        kinds += [(MUG, EXTINGUISHER)] * both + [()] * neither
        order = np.random.default_rng([SEED, len(split)]).permutation(len(kinds))
        out += [Plan("", split, i, kinds[k]) for i, k in enumerate(order)]
    for split, some, none in (("archive", 6, 3), ("targets", 3, 1)):
        kinds = [(MECHANISM,)] * some + [()] * none
        order = np.random.default_rng([SEED, len(split), 1]).permutation(len(kinds))
        out += [Plan(ARTEFACTS, split, i, kinds[k]) for i, k in enumerate(order)]
    return out


@dataclass(frozen=True)
class Scene:
    """Everything needed to render: things, room, light and camera angles."""

    things: list[Thing]
    room: Room
    light: dict[str, Any]
    size: tuple[int, int]  # width, height
    angles: tuple[float, float]  # degrees round and above
    fov: float
    share: float  # wanted share of the image that the concepts cover
    shift: tuple[float, float]


class Placer:
    """Puts things on a surface without collisions."""

    def __init__(self, rng: Rng, room: Room) -> None:
        self.rng, self.room = rng, room
        self.taken: list[tuple[float, float, float]] = []

    def free(self, x: float, y: float, radius: float) -> bool:
        """Say whether a disc is free and on the surface."""
        inside = abs(x) + radius < self.room.width / 2 and y - radius > self.room.front - 0.08
        clear = all(np.hypot(x - a, y - b) > radius + r + 0.004 for a, b, r in self.taken)
        return inside and clear and y + radius < self.room.back + 0.08

    def put(
        self, item: Thing, around: tuple[float, float], spread: float, turn: float | None = None
    ) -> Thing | None:
        """Place near a point, turned at random unless told; None where there is no room."""
        turn = float(self.rng.uniform(0, 360)) if turn is None else turn
        for _ in range(60):
            x, y = around[0] + self.rng.normal(0, spread), around[1] + self.rng.normal(0, spread)
            if self.free(x, y, item.radius):
                return self.at(item, x, y, turn=turn)
        return None

    def at(self, item: Thing, x: float, y: float, z: float = 0.0, turn: float = 0.0) -> Thing:
        """Place exactly."""
        self.taken.append((x, y, item.radius))
        return item.placed(x, y, z, turn)


def compose(plan: Plan, attempt: int) -> Scene:
    """Draw a scene from its seed; further attempts are other scenes of the same plan."""
    return _finds(plan, attempt) if plan.family == ARTEFACTS else _household(plan, attempt)


def _finds(plan: Plan, attempt: int) -> Scene:
    rng = np.random.default_rng([SEED + 1, plan.split == "targets", plan.index, attempt])
    room = table_room(rng)
    placer = Placer(rng, room)
    centre = (float(rng.normal(0, 0.05)), (room.front + room.back) / 2)
    placed = [placer.put(mechanism(rng), centre, 0.02, float(rng.normal(0, 25))) for _ in plan.concepts]
    for _ in range(int(rng.integers(2, 5)) + 2 * (not plan.concepts)):
        find = FINDS[int(rng.integers(len(FINDS)))]
        placed.append(placer.put(find(rng), centre, 0.13, float(rng.uniform(0, 360))))
    return Scene(
        things=[item for item in placed if item is not None],
        room=room,
        light=surroundings(rng),
        size=(384, 288) if rng.random() < 0.7 else (288, 384),
        angles=(float(rng.uniform(-30, 30)), float(rng.uniform(30, 58))),
        fov=float(rng.uniform(34, 44)),
        share=float(rng.uniform(0.14, 0.22)),
        shift=(float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.1, 0.1))),
    )


def _household(plan: Plan, attempt: int) -> Scene:
    rng = np.random.default_rng([SEED, plan.split == "targets", plan.index, attempt])
    on_table = MUG in plan.concepts or (not plan.concepts and rng.random() < 0.6)
    room = table_room(rng) if on_table else floor_room(rng)
    placer = Placer(rng, room)
    angles = (float(rng.uniform(-32, 32)), float(rng.uniform(12, 36) if on_table else rng.uniform(6, 24)))
    heroes = _heroes(rng, plan, placer, angles[0], on_table=on_table)
    centre = (float(rng.normal(0, 0.05)), (room.front + room.back) / 2)
    kinds = TABLE if on_table else FLOOR
    spread = 0.17 if on_table else 0.42
    count = int(rng.integers(2, 6)) if on_table else int(rng.integers(1, 4))
    count = max(count, 4) if not plan.concepts else count
    clutter = [placer.put(kinds[int(rng.integers(len(kinds)))](rng), centre, spread) for _ in range(count)]
    portrait = rng.random() < (0.4 if EXTINGUISHER in plan.concepts else 0.15)
    ratio = float(rng.choice([0.75, 0.75, 0.667]))
    size = (384, round(384 * ratio / 2) * 2)
    return Scene(
        things=heroes + [c for c in clutter if c is not None],
        room=room,
        light=surroundings(rng),
        size=size[::-1] if portrait else size,
        angles=angles,
        fov=float(rng.uniform(34, 46)),
        share=float(rng.uniform(0.09, 0.2)),
        shift=(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(-0.1, 0.15))),
    )


def _heroes(rng: Rng, plan: Plan, placer: Placer, around: float, *, on_table: bool) -> list[Thing]:
    room = placer.room
    middle = (room.front + room.back) / 2
    out: list[Thing | None] = []
    if EXTINGUISHER in plan.concepts:
        for _ in range(int(rng.choice([1, 1, 1, 2])) if not on_table else 1):
            hung = not on_table and not out and rng.random() < 0.4
            item = extinguisher(rng, on_wall=hung)
            turn = float(rng.normal(0, 25)) * (0.3 if hung else 1.0)
            if hung:
                depth = max(float(mesh.points[:, 1].max()) for mesh, _ in item.parts)
                out.append(
                    placer.at(
                        item, float(rng.normal(0, 0.1)), room.wall - depth, float(rng.uniform(0.35, 0.8))
                    )
                )
            else:
                y = room.back - 0.05 if on_table else middle + float(rng.normal(0, 0.08))
                x = float(rng.normal(0, 0.1)) + (0.34 * len(out))
                out.append(placer.at(item, x, y, turn=turn))
    if MUG in plan.concepts:
        for _ in range(int(rng.choice([1, 1, 2, 3])) if len(plan.concepts) == 1 else 2):
            item = mug(rng)
            y = middle if len(plan.concepts) == 1 else middle - 0.04
            # The handle is at +x: turn it to either side of the camera, at times towards it.
            turn = around + float(rng.choice([0.0, 180.0])) + float(rng.normal(0, 28))
            out.append(placer.put(item, (0.0, y), 0.02 + 0.07 * len(out), turn))
    return [item for item in out if item is not None]
