"""Render the sample archive: photographs-to-be with exact masks, all from our own geometry.

    python scripts/render_samples.py --out reco_assist/samples

Every scene is drawn from its own seed, so any of them can be rendered alone and again. Scenes that exist are
skipped unless --force is given. Needs the `samples` extra (mitsuba).
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from PIL import Image
from tqdm import tqdm

mi.set_variant("scalar_rgb")

from samples_clutter import FLOOR, TABLE  # noqa: E402  these build bitmaps, which needs the variant
from samples_geometry import Array, write_ply  # noqa: E402
from samples_objects import EXTINGUISHER, MUG, Rng, Thing, extinguisher, mug  # noqa: E402
from samples_rooms import Room, floor_room, surroundings, table_room  # noqa: E402

SEED = 20241
CLASSES = {MUG: "mug", EXTINGUISHER: "fire extinguisher"}
SAMPLES_PER_PIXEL = 128
EXEMPLARS = (1, 12, 28)  # archive scenes that show an extinguisher clearly, chosen by eye


@dataclass(frozen=True)
class Plan:
    """What one scene shall show."""

    split: str
    index: int
    concepts: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"scene_{self.index:03d}"


def plans() -> list[Plan]:
    """Return the scenes of both splits; file numbers say nothing about the content."""
    out = []
    for split, mugs, extinguishers, both, neither in (("archive", 13, 13, 2, 12), ("targets", 7, 7, 2, 5)):
        kinds: list[tuple[int, ...]] = [(MUG,)] * mugs + [(EXTINGUISHER,)] * extinguishers
        kinds += [(MUG, EXTINGUISHER)] * both + [()] * neither
        order = np.random.default_rng([SEED, len(split)]).permutation(len(kinds))
        out += [Plan(split, i, kinds[k]) for i, k in enumerate(order)]
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

    def put(self, item: Thing, around: tuple[float, float], spread: float) -> Thing | None:
        """Place near a point; None where there is no room."""
        for _ in range(60):
            x, y = around[0] + self.rng.normal(0, spread), around[1] + self.rng.normal(0, spread)
            if self.free(x, y, item.radius):
                return self.at(item, x, y, turn=float(self.rng.uniform(0, 360)))
        return None

    def at(self, item: Thing, x: float, y: float, z: float = 0.0, turn: float = 0.0) -> Thing:
        """Place exactly."""
        self.taken.append((x, y, item.radius))
        return item.placed(x, y, z, turn)


def compose(plan: Plan, attempt: int) -> Scene:
    """Draw a scene from its seed."""
    rng = np.random.default_rng([SEED, plan.split == "targets", plan.index, attempt])
    on_table = MUG in plan.concepts or (not plan.concepts and rng.random() < 0.6)
    room = table_room(rng) if on_table else floor_room(rng)
    placer = Placer(rng, room)
    heroes = _heroes(rng, plan, placer, on_table=on_table)
    centre = (float(rng.normal(0, 0.05)), (room.front + room.back) / 2)
    kinds = TABLE if on_table else FLOOR
    spread = 0.17 if on_table else 0.42
    count = int(rng.integers(2, 6)) if on_table else int(rng.integers(1, 4))
    count = max(count, 3) if not plan.concepts else count
    clutter = [placer.put(kinds[int(rng.integers(len(kinds)))](rng), centre, spread) for _ in range(count)]
    portrait = rng.random() < (0.4 if EXTINGUISHER in plan.concepts else 0.15)
    ratio = float(rng.choice([0.75, 0.75, 0.667]))
    size = (384, round(384 * ratio / 2) * 2)
    return Scene(
        things=heroes + [c for c in clutter if c is not None],
        room=room,
        light=surroundings(rng),
        size=size[::-1] if portrait else size,
        angles=(float(rng.uniform(-32, 32)), float(rng.uniform(12, 36) if on_table else rng.uniform(6, 24))),
        fov=float(rng.uniform(34, 46)),
        share=float(rng.uniform(0.09, 0.2)),
        shift=(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(-0.1, 0.15))),
    )


def _heroes(rng: Rng, plan: Plan, placer: Placer, *, on_table: bool) -> list[Thing]:
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
            y = middle if len(plan.concepts) == 1 else room.front + 0.12
            out.append(placer.put(item, (0.0, y), 0.02 + 0.07 * len(out)))
    return [item for item in out if item is not None]


def camera(scene: Scene, distance: float) -> tuple[Array, Array]:
    """Return origin and target, (3,) each, in metres."""
    heroes = [t for t in scene.things if t.label] or scene.things
    points = np.concatenate([mesh.points for t in heroes for mesh, _ in t.parts])
    centre = (points.min(0) + points.max(0)) / 2
    around, above = np.radians(scene.angles)
    back = np.array([np.sin(around) * np.cos(above), -np.cos(around) * np.cos(above), np.sin(above)])
    right = np.array([np.cos(around), np.sin(around), 0.0])
    reach = distance * np.tan(np.radians(scene.fov / 2))
    target = centre + right * scene.shift[0] * reach + np.array([0, 0, scene.shift[1] * reach * 0.7])
    return target + back * distance, target


def sensor(scene: Scene, distance: float, *, sharp: bool, samples: int) -> Any:
    """Build the camera: a thin lens for the picture, a pinhole for the mask."""
    origin, target = camera(scene, distance)
    look = mi.ScalarTransform4f().look_at(origin=origin.tolist(), target=target.tolist(), up=[0, 0, 1])
    lens = {"type": "perspective"} if sharp else {
        "type": "thinlens", "aperture_radius": 0.006 * distance, "focus_distance": distance * 0.98,
    }  # fmt: skip
    return mi.load_dict(
        {
            **lens,
            "fov": scene.fov,
            "fov_axis": "larger",
            "to_world": look,
            "near_clip": 0.02,
            "sampler": {"type": "stratified", "sample_count": samples, "jitter": not sharp},
            "film": {
                "type": "hdrfilm",
                "width": scene.size[0],
                "height": scene.size[1],
                "rfilter": {"type": "box"},  # blocks do not overlap, so threads cannot change a picture
            },
        }
    )


@dataclass(frozen=True)
class Built:
    """A scene in the renderer; shape k has labels[k] and belongs to an object where subject[k]."""

    scene: Scene
    handle: Any
    labels: Array
    subject: Array


def load(scene: Scene, folder: Path) -> Built:
    """Hand a scene to Mitsuba, meshes by way of files in a folder."""
    parts = [(mesh, material, "room0") for mesh, material in scene.room.parts]
    parts += [(mesh, material, f"thing{t.label}") for t in scene.things for mesh, material in t.parts]
    description: dict[str, Any] = {"type": "scene", **scene.light}
    for number, (mesh, material, kind) in enumerate(parts):
        path = folder / f"{number}.ply"
        write_ply(mesh, path)
        bsdf = dict(material)
        emitter = bsdf.pop("emitter", None)
        shape = {"type": "ply", "filename": str(path), "bsdf": bsdf}
        description[f"{kind}-{number:04d}"] = {**shape, "emitter": emitter} if emitter else shape
    handle = mi.load_dict(description, optimize=False)  # optimising would merge shapes
    kinds = [shape.id().split("-")[0] for shape in handle.shapes()]
    labels = np.array([int(k[5:]) if k.startswith("thing") else 0 for k in kinds])
    return Built(scene, handle, labels, np.array([k.startswith("thing") for k in kinds]))


def shapes_seen(built: Built, distance: float) -> Array:
    """Cast one ray through each pixel's centre; return the shape it hits, (h, w) int64, -1 for none."""
    integrator = mi.load_dict({"type": "aov", "aovs": "index:shape_index"})
    view = sensor(built.scene, distance, sharp=True, samples=1)
    image = np.array(mi.render(built.handle, sensor=view, integrator=integrator, spp=1))
    return np.round(image[..., -1]).astype(np.int64) - 1  # Mitsuba counts from one


def label_map(built: Built, distance: float) -> Array:
    """Return class ids, (h, w) uint8."""
    seen = shapes_seen(built, distance)
    return np.where(seen >= 0, built.labels[seen], 0).astype(np.uint8)


def frame(built: Built, plan: Plan, near: float, far: float) -> float | None:
    """Find the distance at which the concepts fill the wanted share; None where the view is no good."""
    distance = (near * far) ** 0.5
    wanted = built.scene.share if plan.concepts else 0.28
    share = built.labels if plan.concepts else built.subject
    for _ in range(3):
        seen = shapes_seen(built, distance)
        found = float(np.mean((seen >= 0) & (share[seen] > 0)))
        distance = float(np.clip(distance * np.sqrt(max(found, 0.004) / wanted), near, far))
    labels = label_map(built, distance)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    areas = [float(np.mean(labels == c)) for c in plan.concepts]
    least = 0.05 if len(areas) == 1 else 0.02
    good = all(a >= least for a in areas) and sum(areas) <= 0.27 and np.mean(edge > 0) < 0.06
    return distance if good else None


def develop(radiance: Array) -> Array:
    """Turn linear radiance (h, w, 3) into an 8-bit picture: exposure, shoulder, gamma, a little contrast."""
    light = radiance.mean(-1)
    key = np.exp(np.mean(np.log(light + 1e-4)))
    exposed = 1 - np.exp(-radiance * 0.3 / (0.5 * key + 0.5 * np.median(light)))
    coded = np.where(exposed <= 0.0031308, 12.92 * exposed, 1.055 * exposed ** (1 / 2.4) - 0.055)
    curved = 0.75 * coded + 0.25 * coded**2 * (3 - 2 * coded)
    return np.round(np.clip(curved, 0, 1) * 255).astype(np.uint8)


def render(plan: Plan, out: Path, samples: int) -> None:
    """Render one scene and write its picture and mask."""
    for attempt in range(40):
        scene = compose(plan, attempt)
        with tempfile.TemporaryDirectory() as folder:
            built = load(scene, Path(folder))
        on_table = scene.room.front < -0.2 and scene.room.width < 1.4
        distance = frame(built, plan, *((0.3, 1.5) if on_table else (0.8, 3.2)))
        if distance is not None:
            break
    else:
        raise SystemExit(f"{plan.split}/{plan.name}: no composition fits; change SEED.")
    view = sensor(scene, distance, sharp=False, samples=samples)
    path = mi.load_dict({"type": "path", "max_depth": 7})
    radiance = np.array(mi.render(built.handle, sensor=view, integrator=path, spp=samples, seed=plan.index))
    save_mask(label_map(built, distance), out / "masks" / plan.split / f"{plan.name}.png")
    target = out / plan.split / f"{plan.name}.jpg"
    part = target.with_suffix(".part")
    Image.fromarray(develop(radiance[..., :3])).save(part, "JPEG", quality=90, optimize=True)
    part.replace(target)  # a picture that exists is complete


def save_mask(labels: Array, path: Path) -> None:
    """Write class ids as a palette PNG."""
    image = Image.fromarray(labels, "P")
    image.putpalette([0, 0, 0, 240, 160, 40, 220, 40, 50])
    image.save(path, optimize=True)


def describe(out: Path) -> dict[str, Any]:
    """Read the masks back and list what each picture shows."""
    images = []
    for plan in plans():
        mask = f"masks/{plan.split}/{plan.name}.png"
        labels = np.asarray(Image.open(out / mask))
        areas = {name: round(float(np.mean(labels == c)), 5) for c, name in CLASSES.items()}
        areas = {name: area for name, area in areas.items() if area > 0}
        images.append(
            {"file": f"{plan.split}/{plan.name}.jpg", "mask": mask, "concepts": list(areas), "areas": areas}
        )
    return {
        "licence": "Apache-2.0, rendered by scripts/render_samples.py",
        "classes": {str(c): name for c, name in CLASSES.items()},
        "images": images,
        "exemplars": {CLASSES[EXTINGUISHER]: [f"archive/scene_{i:03d}.jpg" for i in EXEMPLARS]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--samples", type=int, default=SAMPLES_PER_PIXEL, help="light paths per pixel")
    parser.add_argument("--only", nargs="*", default=[], help="scenes to render, as archive/3")
    parser.add_argument("--force", action="store_true", help="render scenes that exist")
    options = parser.parse_args()
    for split in ("archive", "targets"):
        (options.out / split).mkdir(parents=True, exist_ok=True)
        (options.out / "masks" / split).mkdir(parents=True, exist_ok=True)
    todo = [p for p in plans() if not options.only or f"{p.split}/{p.index}" in options.only]
    for plan in tqdm(todo, unit="scene"):
        if options.force or not (options.out / plan.split / f"{plan.name}.jpg").exists():
            render(plan, options.out, options.samples)
    if not options.only:
        text = json.dumps(describe(options.out), indent=1)
        (options.out / "samples.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
