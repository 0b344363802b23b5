"""Takes our COCO file through datumaro, and reads back what datumaro writes, CVAT's formats among them.

    python -m venv datumaro && datumaro/bin/pip install datumaro pycocotools
    datumaro/bin/python scripts/datumaro_round_trip.py write masks/coco.json photos out
    python scripts/datumaro_round_trip.py read masks/coco.json photos out

The first compares the masks that datumaro reads with those of pycocotools, and writes data sets to `out`; the
second, with our own Python, reads these and compares each region with ours: with its box where only boxes
are kept, and in CVAT's file with the outline that datumaro made of it. Either ends in 1 where one differs
more than the format must.
"""
# ruff: noqa: PLC0415  (each command imports what its own environment has)

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reco_assist.formats import Dataset
    from reco_assist.formats.plain import Record

# Ours: (datumaro's format, what is kept, what is read, least IoU).
FORMATS = {
    "coco": ("coco_instances", "mask", "annotations/instances_train.json", 1.0),
    "voc": ("voc", "mask", "", 1.0),
    "voc_masks": ("voc_segmentation", "mask", "", 1.0),
    "voc_boxes": ("voc_detection", "bbox", "", 1.0),
    "outlines": ("coco_instances", "polygon", "annotations/instances_train.json", 0.0),  # datumaro's own loss
    "cvat": ("cvat", "polygon", "train.xml", 0.95),  # two decimals of a pixel
    "yolo": ("yolo", "bbox", "", 0.95),  # six decimals of a share
}


def write(coco: Path, photos: Path, out: Path) -> int:
    """With datumaro's Python: how many masks it reads otherwise than pycocotools; data sets go to `out`."""
    import datumaro
    from pycocotools.coco import COCO

    theirs = COCO(str(coco))
    source = out / "source"
    (source / "annotations").mkdir(parents=True)
    shutil.copy(coco, source / "annotations" / "instances_train.json")
    for one in theirs.dataset["images"]:
        target = source / "images" / "train" / one["file_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / one["file_name"], target)
    found = datumaro.Dataset.import_from(str(source), "coco_instances")
    masks = {one.id: one for item in found for one in item.annotations if one.type.name == "mask"}
    wrong = [
        number
        for number, one in theirs.anns.items()
        if number not in masks or (np.asarray(masks[number].image, bool) != theirs.annToMask(one)).any()
    ]
    print(
        f"datumaro reads {len(found)} images and {len(masks)} masks; other than by pycocotools: {len(wrong)}"
    )
    for name, (kind, kept, _, _) in FORMATS.items():
        chosen = datumaro.Dataset.import_from(str(source), "coco_instances")
        if kept == "polygon":
            chosen.transform("masks_to_polygons")
        for item in list(chosen):  # datumaro adds a box to each mask
            chosen.put(item.wrap(annotations=[one for one in item.annotations if one.type.name == kept]))
        mode = {"mask": "mask", "polygon": "polygons"}.get(kept)
        options = {"segmentation_mode": mode} if kind == "coco_instances" else {}
        chosen.export(str(out / name), kind, save_media=True, **options)
    return len(wrong)


def read(coco: Path, photos: Path, out: Path) -> int:
    """With our Python: how many data sets come back otherwise than they went; a line for each."""
    from reco_assist.formats import read_dataset

    ours, wrong = read_dataset(coco, images=photos).drawn, 0
    outlines = read_dataset(out / "outlines" / FORMATS["outlines"][2], images=photos)
    print(f"{'format':<10} images  regions  mean IoU  least IoU")
    for name, (_, kept, place, least) in FORMATS.items():
        found = read_dataset(out / name / place, images=photos)
        sent = outlines if name == "cvat" else ours
        overlaps = []
        for one in sent.document["annotations"]:
            mask = _pixels(sent, one, boxed=kept == "bbox")
            image = found.find(sent.name(sent.image(one)))
            others = [] if image is None else found.of(image, sent.concept(one))
            overlaps.append(max((_iou(mask, _pixels(found, other)) for other in others), default=0.0))
        counts = len(found.images), len(found.document["annotations"])
        wanted = len(ours.images), len(overlaps)
        mean, worst = sum(overlaps) / len(overlaps), min(overlaps)
        good = counts == wanted and worst >= least
        wrong += not good
        said = "" if good else f"  differs: {wanted[0]} images, {wanted[1]} regions and {least} at least"
        print(f"{name:<10} {counts[0]:>6} {counts[1]:>8} {mean:>9.4f} {worst:>10.4f}{said}")
    return wrong


def _pixels(dataset: Dataset, annotation: Record, *, boxed: bool = False) -> NDArray[np.bool_]:
    """The mask of a region (H, W) bool, or all of its box."""
    from reco_assist.masks import rle

    mask = rle.decode(dataset.mask(annotation))
    if boxed:
        x, y, width, height = rle.bbox(dataset.mask(annotation))
        mask[y : y + height, x : x + width] = True
    return mask


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


if __name__ == "__main__":
    MODES = {"write": write, "read": read}
    if len(sys.argv) != 5 or sys.argv[1] not in MODES:
        sys.exit(__doc__)
    sys.exit(min(1, MODES[sys.argv[1]](*map(Path, sys.argv[2:]))))
