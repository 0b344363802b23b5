"""Data sets as files: read, merge, compare, part, convert and report. Loads without torch."""

from pathlib import Path

from reco_assist.datasets.coco import Dataset, by_concept, is_crowd, read_coco, write_coco
from reco_assist.datasets.diffing import Diff, diff, write_diff_picture
from reco_assist.datasets.examples import example_masks
from reco_assist.datasets.label_maps import read_label_maps
from reco_assist.datasets.merging import Merged, merge
from reco_assist.datasets.splitting import hold_out
from reco_assist.errors import InputError

__all__ = [
    "Dataset",
    "Diff",
    "Merged",
    "by_concept",
    "diff",
    "example_masks",
    "hold_out",
    "is_crowd",
    "merge",
    "read_coco",
    "read_dataset",
    "read_label_maps",
    "write_coco",
    "write_diff_picture",
]


def read_dataset(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """Read a data set of any kind: a COCO file, a folder with coco.json, or a folder of label maps (VOC too).

    Args:
        path: What to read.
        images: Folder of the images; only label maps need it.

    Raises:
        InputError: There is nothing, or label maps without images.
        FormatError: It is damaged.
    """
    place = Path(path)
    if (place / "coco.json").is_file():
        return read_coco(place / "coco.json")
    if place.is_dir():
        return read_label_maps(place, images=None if images is None else Path(images))
    if place.is_file():
        return read_coco(place)
    raise InputError(
        f"{place} is no data set: name a COCO file, a folder with coco.json, or one of label maps"
    )
