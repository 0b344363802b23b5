"""The paper's data sets in the folders that their publishers hand out, read as the paper reads them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.errors import ImageError, InputError
from reco_assist.image_files import load_image
from reco_assist.reproduction.labels import (
    CITYSCAPES,
    CITYSCAPES_FIRST,
    COCO_STUFF_COARSE,
    COCO_STUFF_FINE,
    COCO_STUFF_TO_COARSE,
    KITTI_STEP,
    VOID,
)
from reco_assist.text_files import read_text

_CROP = 320  # COCO-Stuff and Cityscapes: the shorter side is resized to this, and the centre is scored


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its label map.

    Attributes:
        name: File name below the folder of images.
        image: The photograph.
        labels: The label map.
    """

    name: str
    image: Path
    labels: Path


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A data set and how the paper scores it.

    Attributes:
        name: On the command line.
        title: For people.
        words: What is predicted: the words whose concepts compete.
        classes: What is scored.
        class_of: Index of the class that each word counts as.
        crop: Side of the central square that is scored; None for the whole image.
        paper: mIoU of ReCo in the paper (with CRF), in percent.
        layout: The folders, for messages.
        find: The samples below a root.
        decode: Class indices, or `VOID`, of a label map's pixels.
    """

    name: str
    title: str
    words: tuple[str, ...]
    classes: tuple[str, ...]
    class_of: tuple[int, ...]
    crop: int | None
    paper: float
    layout: str
    find: Callable[[Path], Iterator[Sample]]
    decode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

    def samples(self, root: Path) -> list[Sample]:
        """All images of the validation split that have a label map, by name.

        Raises:
            InputError: There are none.
        """
        found = sorted(self.find(root), key=lambda sample: sample.name)
        if not found:
            raise InputError(
                f"{root} is not {self.title} as its publishers hand it out: expected {self.layout}"
            )
        return found

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Photograph (H, W, 3) and class indices (H, W) of a sample, cropped as they are scored.

        Raises:
            ImageError: A file cannot be read, or the two differ in size.
        """
        try:
            pixels, labels = load_image(sample.image, "RGB"), load_image(sample.labels, formats=("PNG",))
        except ImageError as error:
            raise ImageError(f"{sample.image} cannot be scored: {error}") from error
        # Colour maps (KITTI-STEP) stay colours; palettes are numbers, whatever their colours are.
        marks = labels.convert("RGB") if labels.mode == "RGBA" else labels
        if pixels.size != marks.size:
            raise ImageError(
                f"{sample.image} is {pixels.size} and its label map {marks.size}: expected the same"
            )
        if self.crop is not None:
            pixels, marks = (_central(one, self.crop) for one in (pixels, marks))
        return np.array(pixels, np.uint8), self.decode(np.array(marks, np.uint8))


def _central(image: Image.Image, side: int) -> Image.Image:
    """The central square after resizing the shorter side; nearest, as the released code does for both."""
    width, height = image.size
    scale = side / min(width, height)
    size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    resized = image.resize(size, Image.Resampling.NEAREST) if scale != 1 else image
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return resized.crop((left, top, left + side, top + side))


def _coco_stuff(root: Path) -> Iterator[Sample]:
    images, maps = root / "images" / "val2017", root / "annotations" / "val2017"
    curated = root / "curated" / "val2017" / "Coco164kFull_Stuff_Coarse.txt"
    listed = set(read_text(curated).split()) if curated.is_file() else None
    for labels in maps.glob("*.png"):
        image = images / f"{labels.stem}.jpg"
        if image.is_file() and (listed is None or labels.stem in listed):
            yield Sample(image.name, image, labels)


def _cityscapes(root: Path) -> Iterator[Sample]:
    images, maps = root / "leftImg8bit" / "val", root / "gtFine" / "val"
    for labels in maps.glob("*/*_gtFine_labelIds.png"):
        name = f"{labels.parent.name}/{labels.name.replace('_gtFine_labelIds', '_leftImg8bit')}"
        if (images / name).is_file():
            yield Sample(name, images / name, labels)


def _kitti_step(root: Path) -> Iterator[Sample]:
    maps = root / "panoptic_maps" / "val"
    for labels in maps.glob("*/*.png"):
        name = f"{labels.parent.name}/{labels.name}"
        for images in (root / "training" / "image_02", root / "val"):
            if (images / name).is_file():
                yield Sample(name, images / name, labels)
                break


def _lookup(numbers: Mapping[int, int]) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """From numbers of a label map to class indices; all others are void."""
    table = np.full(256, VOID, np.uint8)
    for number, index in numbers.items():
        table[number] = index
    return lambda labels: table[labels if labels.ndim == 2 else labels[..., 0]]


_BENCHMARKS = (
    Benchmark(
        "coco-stuff",
        "COCO-Stuff",
        tuple(COCO_STUFF_FINE.values()),
        COCO_STUFF_COARSE,
        tuple(COCO_STUFF_TO_COARSE.values()),
        _CROP,
        26.3,
        "images/val2017/*.jpg and annotations/val2017/*.png",
        _coco_stuff,
        _lookup(COCO_STUFF_TO_COARSE),
    ),
    Benchmark(
        "cityscapes",
        "Cityscapes",
        CITYSCAPES,
        CITYSCAPES,
        tuple(range(len(CITYSCAPES))),
        _CROP,
        19.3,
        "leftImg8bit/val/CITY/*.png and gtFine/val/CITY/*_gtFine_labelIds.png",
        _cityscapes,
        _lookup({CITYSCAPES_FIRST + index: index for index in range(len(CITYSCAPES))}),
    ),
    Benchmark(
        "kitti-step",
        "KITTI-STEP",
        KITTI_STEP,
        KITTI_STEP,
        tuple(range(len(KITTI_STEP))),
        None,
        29.8,
        "training/image_02/SEQUENCE/*.png and panoptic_maps/val/SEQUENCE/*.png",
        _kitti_step,
        _lookup({index: index for index in range(len(KITTI_STEP))}),
    ),
)

BENCHMARKS = {benchmark.name: benchmark for benchmark in _BENCHMARKS}
"""By name."""
