"""YOLO's segmentation format: images/, labels/ and data.yaml.

Written here and not by supervision, whose converter (0.31) gave up on 2 of 1,075 masks of real photographs
("No foreground-contained seam found"). It is the reader in the tests.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import yaml
from numpy.typing import NDArray

from reco_assist.files import link_or_copy, write_bytes
from reco_assist.folders import make_folder, make_output_folder
from reco_assist.formats.dataset import Dataset, is_crowd
from reco_assist.formats.file_paths import paths_for
from reco_assist.formats.photographs import Photographed
from reco_assist.formats.plain import Record
from reco_assist.masks import label, polygons, rle
from reco_assist.safe_paths import inside


def write_yolo(folder: Path, parts: Mapping[str, Photographed]) -> int:
    """Write parts of a data set for training YOLO: `images/PART`, `labels/PART` and `data.yaml`.

    Classes are numbered from 0 in the order of the categories. A mask in several pieces is several objects
    and a hole is joined to the outline by a seam: the format has neither. It has no region to ignore either,
    so crowds are left out. An image without a mask has an empty file, which YOLO takes for background. Images
    that differ in their suffix alone get longer names; see `file_paths`.

    Args:
        folder: Where they go.
        parts: Data sets of the same categories by name, such as `train` and `val`; their photographs are
            linked where the disk can, else copied.

    Returns:
        How many crowds were left out.

    Raises:
        InputError: The name of an image leads out of the folder.
        FormatError: A mask is damaged.
        StorageError: The files cannot be written.
    """
    make_output_folder(folder)
    first = next(iter(parts.values())).dataset
    classes = {concept: index for index, concept in enumerate(first.concepts)}
    crowds = 0
    for part, photos in parts.items():
        dataset = photos.dataset
        names = [dataset.name(image) for image in dataset.images.values()]
        labels = paths_for(names, folder / "labels" / part, suffix=".txt")
        for number, name in zip(dataset.images, names, strict=True):
            target = labels[name]
            # The format pairs an image with its labels by what comes before the suffix.
            picture = target.with_name(target.stem + PurePosixPath(name).suffix)
            relative = picture.relative_to(folder / "labels").as_posix()
            _place(photos.paths[number], inside(folder / "images", relative))
            single = [one for one in dataset.annotations[number] if not is_crowd(one)]
            crowds += len(dataset.annotations[number]) - len(single)
            make_folder(target.parent)
            write_bytes(target, "".join(f"{line}\n" for line in _lines(dataset, single, classes)).encode())
    write_bytes(folder / "data.yaml", _yaml(parts, list(first.concepts)).encode())
    return crowds


def _lines(dataset: Dataset, annotations: list[Record], classes: Mapping[str, int]) -> Iterator[str]:
    """A line for each connected piece: its class, then x and y of its polygon in shares of the image."""
    for one in annotations:
        mask = dataset.mask(one)
        x, y, width, height = rle.bbox(mask)
        parts = label(rle.decode(mask)[y : y + height, x : x + width])  # (h, w)
        for part in range(1, int(parts.max(initial=0)) + 1):
            ring = _joined(polygons.trace(parts == part)) + np.array([x, y])  # (n, 2) in pixels
            ring /= np.array([mask.width, mask.height])
            yield " ".join([str(classes[dataset.concept(one)]), *(f"{value:.6f}" for value in ring.ravel())])


def _joined(outline: polygons.Outline) -> NDArray[np.float64]:
    """One ring (n, 2) that fills the same pixels: seams of no width lead to the further ones and back."""
    from scipy.spatial import KDTree  # noqa: PLC0415  (slow to load; starting is quick)

    path, *rest = (polygons.simplify(ring) for ring in (*outline.outer, *outline.holes))
    for ring in rest:
        distance, nearest = KDTree(path).query(ring)  # (m,), (m,)
        start = int(np.argmin(distance))
        entry = int(nearest[start])
        turn = np.roll(ring, -start, axis=0)
        path = np.concatenate([path[: entry + 1], turn, turn[:1], path[entry:]])
    return path


def _place(source: Path, target: Path) -> None:
    make_folder(target.parent)
    link_or_copy(source, target)


def _yaml(parts: Iterable[str], names: list[str]) -> str:
    where = {part: f"images/{part}" for part in parts}
    # Every trainer wants both; a data set that was not parted is its own validation part.
    where = {"train": next(iter(where.values())), "val": list(where.values())[-1], **where}
    where.pop("all", None)
    return str(
        yaml.safe_dump(
            {"path": ".", **where, "names": dict(enumerate(names))}, sort_keys=False, allow_unicode=True
        )
    )
