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

mi.set_variant("scalar_rgb")  # before the modules below, which make bitmaps

from samples_artefacts import MECHANISM  # noqa: E402
from samples_develop import BUFFERS, develop  # noqa: E402
from samples_geometry import Array, write_ply  # noqa: E402
from samples_objects import EXTINGUISHER, MUG  # noqa: E402
from samples_scenes import ARTEFACTS, Plan, Scene, compose, plans  # noqa: E402

SAMPLES_PER_PIXEL = 25  # a square, for stratified sampling
# Classes of each family, and the archive scenes that show one clearly, chosen by eye.
FAMILIES: dict[str, tuple[dict[int, str], dict[str, tuple[int, ...]]]] = {
    "": ({MUG: "mug", EXTINGUISHER: "fire extinguisher"}, {"fire extinguisher": (1, 18, 35)}),
    ARTEFACTS: ({MECHANISM: "geared mechanism"}, {"geared mechanism": (2, 6, 7)}),
}


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


def sensor(scene: Scene, distance: float, *, sharp: bool, samples: int, shrink: int = 1) -> mi.Sensor:
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
                "width": scene.size[0] // shrink,
                "height": scene.size[1] // shrink,
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


def shapes_seen(built: Built, distance: float, shrink: int = 1) -> Array:
    """Cast one ray through each pixel's centre; return the shape it hits, (h, w) int64, -1 for none."""
    integrator = mi.load_dict({"type": "aov", "aovs": "index:shape_index"})
    view = sensor(built.scene, distance, sharp=True, samples=1, shrink=shrink)
    image = np.array(mi.render(built.handle, sensor=view, integrator=integrator, spp=1))
    return np.round(image[..., -1]).astype(np.int64) - 1  # Mitsuba counts from one


def label_map(built: Built, distance: float) -> Array:
    """Return class ids, (h, w) uint8."""
    seen = shapes_seen(built, distance)
    return np.where(seen >= 0, built.labels[seen], 0).astype(np.uint8)


def frame(built: Built, plan: Plan, near: float, far: float) -> float | None:
    """Find the distance at which the concepts fill the wanted share; None where the view is no good."""
    distance = (near * far) ** 0.5
    wanted = built.scene.share if plan.concepts else 0.3
    share = built.labels if plan.concepts else built.subject
    for _ in range(3):
        seen = shapes_seen(built, distance, shrink=3)
        found = float(np.mean((seen >= 0) & (share[seen] > 0)))
        distance = float(np.clip(distance * np.sqrt(max(found, 0.004) / wanted), near, far))
    seen = shapes_seen(built, distance, shrink=3)
    shown = np.where(seen >= 0, share[seen], 0)
    edge = np.concatenate([shown[0], shown[-1], shown[:, 0], shown[:, -1]]) > 0
    if not plan.concepts:
        return distance if shown.mean() > 0.2 and edge.mean() < 0.2 else None
    areas = [float(np.mean(shown == c)) for c in plan.concepts]
    least = 0.06 if len(areas) == 1 else 0.025
    clutter = np.mean((seen >= 0) & built.subject[seen] & (shown == 0))
    good = all(a >= least for a in areas) and sum(areas) <= 0.27 and edge.mean() < 0.03 and clutter < 0.33
    return distance if good else None


def shoot(built: Built, distance: float, integrator: dict[str, Any], samples: int) -> Array:
    """Render through the lens, (h, w, channels) float32."""
    view = sensor(built.scene, distance, sharp=False, samples=samples)
    return np.array(mi.render(built.handle, sensor=view, integrator=mi.load_dict(integrator), spp=samples))


def render(plan: Plan, out: Path, samples: int) -> None:
    """Render one scene and write its picture and mask."""
    for attempt in range(60):
        scene = compose(plan, attempt)
        with tempfile.TemporaryDirectory() as folder:
            built = load(scene, Path(folder))
        distance = frame(built, plan, *scene.room.reach)
        if distance is not None:
            break
    else:
        raise SystemExit(f"{plan.split}/{plan.name}: no composition fits; change SEED.")
    light = shoot(built, distance, {"type": "path", "max_depth": 6}, samples)
    guides = shoot(built, distance, {"type": "aov", "aovs": BUFFERS}, min(samples, 4))
    save_mask(label_map(built, distance), out / plan.mask)
    target = out / plan.picture
    part = target.with_suffix(".part")
    Image.fromarray(develop(light[..., :3], guides[..., -7:])).save(part, "JPEG", quality=90, optimize=True)
    part.replace(target)  # a picture that exists is complete


def save_mask(labels: Array, path: Path) -> None:
    """Write class ids as a palette PNG."""
    image = Image.fromarray(labels, "P")
    image.putpalette([0, 0, 0, 240, 160, 40, 220, 40, 50, 60, 170, 140])
    image.save(path, optimize=True)


def describe(out: Path, family: str) -> dict[str, Any]:
    """Read the masks back and list what each picture of a family shows."""
    classes, exemplars = FAMILIES[family]
    images = []
    for plan in plans():
        if plan.family != family:
            continue
        labels = np.asarray(Image.open(out / plan.mask))
        areas = {name: round(float(np.mean(labels == c)), 5) for c, name in classes.items()}
        areas = {name: area for name, area in areas.items() if area > 0}
        images.append({"file": plan.picture, "mask": plan.mask, "concepts": list(areas), "areas": areas})
    return {
        "classes": {str(c): name for c, name in classes.items()},
        "images": images,
        "exemplars": {
            name: [f"{family}archive/scene_{i:03d}.jpg" for i in chosen] for name, chosen in exemplars.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--samples", type=int, default=SAMPLES_PER_PIXEL, help="light paths per pixel")
    parser.add_argument("--only", nargs="*", default=[], help="scenes to render, as archive/scene_003.jpg")
    parser.add_argument("--force", action="store_true", help="render scenes that exist")
    options = parser.parse_args()
    out: Path = options.out
    todo = [p for p in plans() if not options.only or p.picture in options.only]
    for plan in tqdm(todo, unit="scene"):
        if options.force or not (out / plan.picture).exists():
            (out / plan.picture).parent.mkdir(parents=True, exist_ok=True)
            (out / plan.mask).parent.mkdir(parents=True, exist_ok=True)
            render(plan, out, options.samples)
    if not options.only:
        licence = {"licence": "Apache-2.0, rendered by scripts/render_samples.py"}
        listing = licence | describe(out, "") | {"artefacts": describe(out, ARTEFACTS)}
        (out / "samples.json").write_text(json.dumps(listing, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
