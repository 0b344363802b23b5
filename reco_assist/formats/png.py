"""Predictions as label maps: one palette PNG an image, and a legend."""

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.annotations import Prediction
from reco_assist.errors import InputError
from reco_assist.files import make_folder, make_output_folder, remove_file, write_bytes
from reco_assist.formats.checks import Concepts, check_prediction, number_concepts
from reco_assist.formats.stream import dumps
from reco_assist.masks import rle
from reco_assist.masks.colours import colours_of, css, palette
from reco_assist.masks.names import leftovers, paths_for

LEGEND = "legend.json"
"""Name of the legend's file."""

_MOST = 255  # concepts that a palette of 256 entries has room for


def label_map(prediction: Prediction, concepts: Concepts) -> NDArray[np.uint8]:
    """Paint an image's regions into one map; where regions overlap the one of the higher score wins.

    Args:
        prediction: The image and its regions.
        concepts: Names, numbered from 1 in this order, or with the numbers they must keep.

    Returns:
        (H, W) uint8, 0 where there is no concept, else the concept's number.

    Raises:
        InputError: A concept's number is above 255, or a concept, mask or score does not fit; see `checks`.
    """
    numbers = _number(concepts)
    check_prediction(prediction, numbers)
    labels = np.zeros((prediction.image.height, prediction.image.width), np.uint8)  # (H, W)
    for region in sorted(prediction.regions, key=lambda region: region.score):
        labels[rle.decode(region.mask)] = numbers[region.concept]
    return labels


def write_label_map(path: Path, prediction: Prediction, concepts: Concepts) -> None:
    """Write the map of `label_map` as a palette PNG: the pixels are numbers, the colours the legend's.

    Raises:
        InputError: See `label_map`.
        StorageError: The file cannot be written.
    """
    image = Image.fromarray(label_map(prediction, concepts))
    image.putpalette(bytes(3) + palette(max(_number(concepts).values())).tobytes())
    buffer = BytesIO()
    image.save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def write_label_maps(
    folder: Path,
    predictions: Callable[[], Iterable[Prediction]],
    concepts: Concepts,
    *,
    earlier: Iterable[str] = (),
) -> None:
    """Write the label maps of a data set and their legend, and remove those that an earlier export left.

    Each is named after its image; see `masks.names`. No more than one image's masks are held.

    Args:
        folder: Of the maps; made, and marked as output.
        predictions: Starts over each time it is called.
        concepts: See `label_map`.
        earlier: Names of the images that the folder had maps of.

    Raises:
        InputError: See `label_map`; or an image's name leads out of the folder.
        StorageError: The folder cannot be written.
    """
    paths = paths_for((prediction.image.file_name for prediction in predictions()), folder)
    write_legend(folder, concepts)
    for prediction in predictions():
        path = paths[prediction.image.file_name]
        make_folder(path.parent)
        write_label_map(path, prediction, concepts)
    for path in leftovers({*earlier, *paths}, paths.values(), folder):
        remove_file(path)


def write_legend(folder: Path, concepts: Concepts) -> None:
    """Make a folder for label maps, marked as output, with a legend of their numbers, names and colours.

    Raises:
        InputError: A concept's number is above 255, or one is no name.
        StorageError: The folder or the file cannot be written.
    """
    numbers = _number(concepts)
    colours = [css(colour) for colour in colours_of(numbers.values())]
    entries = [
        {"id": number, "name": concept, "colour": colour}
        for (concept, number), colour in zip(numbers.items(), colours, strict=True)
    ]
    background = {"id": 0, "name": "background", "colour": "#000000"}
    write_bytes(make_output_folder(folder) / LEGEND, dumps([background, *entries]).encode())


def _number(concepts: Concepts) -> dict[str, int]:
    numbers = number_concepts(concepts)
    if max(numbers.values()) > _MOST:
        raise InputError(
            f"A label map has room for {_MOST} concepts, not {max(numbers.values())}; export COCO instead."
        )
    return numbers
