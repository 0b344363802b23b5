"""Whether each object gets a mask of its own: COCO's average precision on a group of data sets.

    python benchmarks/instances.py GROUP --cache DIR [--archive ARCHIVE] [--concepts "mug,pug"] [--json]

GROUP, draws, features and exemplars are those of `benchmarks/quality.py`; every concept is learnt from three
exemplar masks, and every target is segmented. Refined maps are kept in DIR/maps.

`several` and `one` are targets whose true mask has several connected parts, or one: such a truth tells
nothing of objects that touch, so that parting them counts as wrong there, although it may be right.
`touching` are scenes made for this: objects of the group, cut out by their masks and put side by side on an
image without the concept, each as high as the others, so that they touch or overlap; there every object is
known. AP is the mean over concepts of COCO's (pycocotools; one region, one score), with 95 % bootstraps over
images; what is not known, and parts below a thousandth of the image, is COCO's crowd. `objects` is how many
regions there are for each true object.
"""

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from quality import Case, K, batches, opened
from tqdm import tqdm

from reco_assist.annotations import ImageRef, Region, Verdict
from reco_assist.annotations.regions import Instances, Rule, speck
from reco_assist.concepts import Concept, learn_concept
from reco_assist.encoders import Encoder
from reco_assist.evaluation import boundary_f, overlap
from reco_assist.files import write_bytes
from reco_assist.folders import make_output_folder
from reco_assist.masks import label, rle
from reco_assist.segmenter import Segmenter, Target

SETS = ("touching", "several", "one")
SIZE = (480, 360)  # of a scene
ROUNDS = 100


@dataclass(frozen=True)
class Shown:
    """A target: its refined map (H, W), how sure presence is, and its true objects (H, W), -1 unknown."""

    name: str
    levels: np.ndarray
    presence: float
    objects: np.ndarray


def cut_out(path: Path, mask: np.ndarray) -> Image.Image | None:
    """The one whole object of an image with its mask as alpha; None if it is cut off or not one."""
    parts = label(mask, min_area=speck(mask.shape))
    touches = any(side.any() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    if parts.max() != 1 or touches or mask.mean() < 0.02:
        return None
    pixels = Image.open(path).convert("RGB")
    pixels.putalpha(Image.fromarray(np.uint8(255 * (parts == 1))))
    return pixels.crop(pixels.getchannel("A").getbbox())


def scene(
    objects: Sequence[Image.Image], background: Path, random: np.random.Generator
) -> tuple[Image.Image, np.ndarray]:
    """Two to six of these objects in rows that touch: an image, and (H, W) the number of each object."""
    width, height = SIZE
    count = int(random.integers(2, 7))
    rows = 1 if count < 5 else 2
    picture = Image.open(background).convert("RGB").resize(SIZE)
    numbers = np.zeros((height, width), np.int32)
    chosen = [objects[i] for i in random.integers(0, len(objects), count)]
    done, foot = 0, 0.0
    for row in range(rows):
        mine = chosen[row * count // rows : (row + 1) * count // rows]
        ratio = sum(one.width / one.height for one in mine)
        tall = min(0.85 * width / ratio, 0.75 * height / rows)
        foot = 0.2 * height + tall if row == 0 else foot + 0.92 * tall
        left = (width - tall * ratio) / 2
        for one in mine:
            high = tall * random.uniform(0.9, 1.0)
            small = one.resize((max(8, round(high * one.width / one.height)), max(8, round(high))))
            if random.random() < 0.5:
                small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            alpha = np.array(small.getchannel("A")) > 127  # (h, w)
            top = round(foot - small.height)
            x = _beside(numbers, alpha, round(left), top)
            done += 1
            picture.paste(small, (x, top), Image.fromarray(np.uint8(255 * alpha)))
            window = numbers[max(0, top) : top + alpha.shape[0], max(0, x) : x + alpha.shape[1]]
            seen = alpha[max(0, -top) :, max(0, -x) :][: window.shape[0], : window.shape[1]]
            window[seen] = done
            left = x + small.width
    return picture, numbers


def _beside(numbers: np.ndarray, alpha: np.ndarray, left: int, top: int) -> int:
    """Where an object lies on a fiftieth of its pixels of those before; at most 40 % of its width back."""
    for x in range(left, left - round(0.4 * alpha.shape[1]), -1):
        window = numbers[max(0, top) : top + alpha.shape[0], max(0, x) : x + alpha.shape[1]] > 0
        seen = alpha[max(0, -top) :, max(0, -x) :][: window.shape[0], : window.shape[1]]
        if (window & seen).sum() > 0.02 * alpha.sum():
            return x
    return left


def scenes(case: Case, count: int, folder: Path, seed: int) -> Iterator[tuple[Target, np.ndarray]]:
    """Scenes of a concept's objects, none of them an exemplar; nothing if fewer than three are whole."""
    files = sorted(set(case.truth.positives) - set(case.exemplars))
    found = (cut_out(case.folder / file, case.truth.positives[file]().mask) for file in files)
    objects = [one for one in found if one is not None]
    random = np.random.default_rng([seed, *case.truth.name.encode()])
    for i in range(count if len(objects) >= 3 else 0):
        picture, numbers = scene(objects, case.folder / case.negatives[i % len(case.negatives)], random)
        path = folder / f"{seed} {case.truth.name} {i}.png"
        picture.save(path)
        yield Target(path, path.name), numbers


def true_objects(mask: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(H, W) connected parts; what is not known and specks are -1."""
    parts = label(mask, min_area=speck(mask.shape))
    return np.where(~valid | (mask & (parts == 0)), -1, parts)


def levels_of(
    concept: Concept, case: Case, encoder: Encoder, options: argparse.Namespace
) -> dict[str, list[Shown]]:
    """The targets of every set, segmented once."""
    kept = make_output_folder(options.cache / "maps")
    folder = make_output_folder(options.cache / "scenes")
    segmenter = Segmenter([concept], encoder=encoder, presence="off", looks=options.looks)
    made = list(scenes(case, options.scenes, folder, options.seed))
    truths = {target.file_name: numbers for target, numbers in made}
    targets = [target for target, _ in made]
    for batch in batches(case, case.targets):
        for target in batch:
            shown = case.truth.positives[target.file_name]()
            truths[target.file_name] = true_objects(shown.mask, shown.valid)
            targets.append(target)
    sets: dict[str, list[Shown]] = {name: [] for name in SETS}
    for target in targets:
        key = target.file_name.replace("/", "~")
        path = kept / f"{options.seed}__{case.truth.name}__{key}.npz"
        if not path.exists():
            (segmented,) = segmenter.segment([target])
            np.savez_compressed(path, map=segmented.maps[0], p=segmented.verdicts[0].probability)
        data, objects = np.load(path), truths[target.file_name]
        name = "touching" if target.path.parent == folder else "several" if objects.max() > 1 else "one"
        if objects.max() > 0:
            sets[name].append(Shown(target.file_name, data["map"], float(data["p"]), objects))
    return sets


def parted(shown: Shown, instances: Instances) -> tuple[Region, ...]:
    """Masks and scores of the regions."""
    height, width = shown.levels.shape
    image = ImageRef(shown.name, "0" * 64, width, height)
    verdict = Verdict("it", present=True, probability=shown.presence)
    return Rule(instances=instances)(image, [verdict], shown.levels[None]).regions


def precision(shown: Sequence[Shown], instances: Instances) -> np.ndarray:
    """(1 + rounds, 2) AP at an IoU of .5 and at .5 to .95: of the images, then of drawn ones."""
    images, truth, found = [], [], []
    for number, one in enumerate(shown, start=1):
        height, width = one.levels.shape
        images.append({"id": number, "height": height, "width": width})
        for k in np.unique(one.objects[one.objects != 0]):
            coded = rle.encode(one.objects == k)
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": int(k < 0),
                    "area": rle.area(coded),
                    "bbox": list(rle.bbox(coded)),
                    "segmentation": {"size": [height, width], "counts": coded.counts},
                }
            )
        for region in parted(one, instances):
            coded = {"size": [height, width], "counts": region.mask.counts}
            found.append({"image_id": number, "category_id": 1, "score": region.score, "segmentation": coded})
    if not found:
        return np.zeros((1 + ROUNDS, 2))
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {"images": images, "annotations": truth, "categories": [{"id": 1, "name": "it"}]}
        known.createIndex()
        judge = COCOeval(known, known.loadRes(found), "segm")
        judge.params.areaRng, judge.params.areaRngLbl = judge.params.areaRng[:1], ["all"]
        judge.params.maxDets = [100]
        judge.evaluate()
        each = list(judge.evalImgs)
        random = np.random.default_rng(0)
        draws = [np.arange(len(each)), *random.integers(0, len(each), (ROUNDS, len(each)))]
        made = []
        for draw in draws:
            judge.evalImgs = [each[i] for i in draw]
            judge.accumulate()
            curve = judge.eval["precision"]  # (10, 101, 1, 1, 1); -1 without truth
            made.append((curve[0].mean(), curve.mean()))
    return np.maximum(np.array(made), 0)


def extras(shown: Sequence[Shown], instances: Instances) -> tuple[float, float, float]:
    """Means over images: IoU and boundary F of all regions together, and regions for each true object."""
    rows = []
    for one in shown:
        found = parted(one, instances)
        united = np.logical_or.reduce([one.levels < 0, *(rle.decode(region.mask) for region in found)])
        truth, valid = one.objects > 0, one.objects >= 0
        rows.append(
            (
                overlap(united, truth, valid=valid).iou,
                boundary_f(united, truth, valid=valid),
                len(found) / one.objects.max(),
            )
        )
    return tuple(np.mean(rows, 0).tolist())


def interval(values: np.ndarray) -> str:
    """Of (1 + rounds,) means."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:.3f} ({low:.3f} to {high:.3f})"


def table(sets: dict[str, dict[str, list[Shown]]], ways: Sequence[Instances]) -> dict[str, dict[str, object]]:
    """Figures by set and way; `sets` maps sets to concepts to targets."""
    rows: dict[str, dict[str, object]] = {}
    for name, by_concept in sets.items():
        groups = [group for group in by_concept.values() if group]
        if not groups:
            continue
        curves = {way: np.stack([precision(g, way) for g in groups]) for way in ways}  # (concepts, n, 2)
        for way, curve in curves.items():
            iou, edge, count = np.mean([extras(g, way) for g in groups], 0).tolist()
            gain = (curve - curves[ways[0]]).mean(0)  # (n, 2)
            rows[f"{name}, {way}"] = {
                "concepts": len(groups),
                "images": sum(map(len, groups)),
                "AP .5": interval(curve[..., 0].mean(0)),
                "AP": interval(curve[..., 1].mean(0)),
                "gain of AP .5": interval(gain[:, 0]),
                "gain of AP": interval(gain[:, 1]),
                "IoU": round(iou, 4),
                "boundary F": round(edge, 4),
                "objects": round(count, 3),
                "by concept": dict(
                    zip([c for c, g in by_concept.items() if g], curve[:, 0].round(3).tolist(), strict=True)
                ),
            }
    return rows


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder for features, maps and scenes")
    parser.add_argument("--archive", type=Path, help="of all images; made in the cache if left out")
    parser.add_argument("--concepts", help="names, separated by commas; all if left out")
    parser.add_argument("--positives", type=int, default=20, help="targets of each concept")
    parser.add_argument("--scenes", type=int, default=12, help="made for each concept")
    parser.add_argument("--looks", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    options = parser.parse_args()
    options.negatives = options.scenes
    torch.set_num_threads(1)
    group = options.group.absolute()
    truth, archive = opened(group, options)
    encoder = archive.encoder
    concepts = make_output_folder(options.cache / "concepts")
    sets: dict[str, dict[str, list[Shown]]] = {name: {} for name in SETS}
    for one in tqdm(truth.concepts, unit="concept"):
        case = Case.draw(one, group, truth.images, options)
        kept = concepts / f"{options.seed} {one.name}.concept"
        if not kept.exists():
            learn_concept(archive, one.category, k=K, exemplars=case.shown(3, "mask")).save(kept)
        for name, shown in levels_of(Concept.load(kept), case, encoder, options).items():
            sets[name][one.name] = shown
    rows = table(sets, [way for way in get_args(Instances) if way != "none"])
    write_bytes(options.cache / "instances.json", json.dumps(rows).encode())
    if options.json:
        print(json.dumps(rows))
        return 0
    columns = [name for name in next(iter(rows.values())) if name != "by concept"]
    print(f"| set, instances | {' | '.join(columns)} |\n{'| --- ' * (len(columns) + 1)}|")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(str(row[c]) for c in columns)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
