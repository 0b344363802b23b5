"""Label maps: PNG files whose pixels are class numbers, read and written; and their legend."""

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.annotations import Prediction
from reco_assist.errors import FormatError, ImageError, InputError, reason
from reco_assist.files import remove_file, write_bytes
from reco_assist.folders import make_folder, make_output_folder
from reco_assist.formats.checks import Concepts, check_prediction, number_concepts
from reco_assist.formats.file_paths import leftovers, paths_for
from reco_assist.formats.legends import LEGEND, LabelNames
from reco_assist.formats.stream import dumps
from reco_assist.image_files import load_image
from reco_assist.json_files import read_json
from reco_assist.masks import rle
from reco_assist.masks.colours import Colour, colours_of, css, palette, voc_colour
from reco_assist.safe_paths import inside

_LIST = ".images.json"  # in a folder of label maps: the images that it has maps of
_LARGEST_LIST = 512 << 20  # bytes; some millions of names
_MOST = 255  # concepts that a palette of 256 entries has room for


def read_label_map(path: Path, known: LabelNames | None = None) -> NDArray[np.int32]:
    """The numbers of a label map.

    Args:
        path: A PNG file of single whole numbers, with or without a palette, or in colour.
        known: What they mean, and the number of each colour; without these a map in colour is refused.

    Returns:
        (H, W) int32.

    Raises:
        FormatError: It cannot be read, is a picture, or has a colour or numbers that mean nothing.
    """
    pixels = _pixels(path)
    if known is not None and known.colours and _in_colour(pixels):
        return _by_colour(path, pixels, known)
    if pixels.ndim != 2 or pixels.dtype.kind not in "iub":
        raise FormatError(f"{path} is a picture, not a label map: its pixels must be single whole numbers")
    if known is not None and not known.indexed:
        raise FormatError(
            f"{path} is not in colour, and {known.source} does not have the background as its first line: "
            "what its numbers mean cannot be told; export the maps in colour"
        )
    return pixels.astype(np.int32)


def read_object_map(path: Path) -> NDArray[np.int32]:
    """The numbers of the objects in a map that tells them apart by numbers or by any colours.

    Returns:
        (H, W) int32: 0 for no object, `VOID` for "not known".

    Raises:
        FormatError: It cannot be read, or is no such map.
    """
    pixels = _pixels(path)
    if not _in_colour(pixels):
        return read_label_map(path)
    packed = _packed(pixels)  # (H, W)
    numbers = {_code(voc_colour(number)): number for number in range(256)}
    found, place = np.unique(packed, return_inverse=True)  # (n,), (H*W,)
    objects = np.array([numbers.get(code, code + 256) for code in found.tolist()], np.int32)
    return objects[place].reshape(packed.shape)


def _pixels(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(load_image(path, formats=("PNG",)))
    except ImageError as error:
        said = reason(error, 200)
        raise FormatError(f"A label map cannot be read: {said}; write it as PNG again.") from error


def _in_colour(pixels: NDArray[Any]) -> bool:
    return pixels.ndim == 3 and pixels.dtype == np.uint8 and pixels.shape[2] >= 3


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _packed(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The `_code` of each pixel (H, W) int32; transparency plays no part."""
    return pixels[:, :, :3].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _by_colour(path: Path, pixels: NDArray[np.uint8], known: LabelNames) -> NDArray[np.int32]:
    packed = _packed(pixels)  # (H, W)
    numbers = {_code(colour): number for colour, number in known.colours.items()}
    found, place = np.unique(packed, return_inverse=True)  # (n,), (H*W,)
    for code in found.tolist():
        if code not in numbers:
            colour = (code >> 16, code >> 8 & 255, code & 255)
            raise FormatError(
                f"{path} has the colour {colour}, which {known.source} does not name: "
                "give labelmap.txt its line"
            )
    labels: NDArray[np.int32] = np.array([numbers[code] for code in found.tolist()], np.int32)[place]
    return labels.reshape(packed.shape)  # (H, W)


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

    Each is named after its image; see `file_paths`. No more than one image's masks are held.

    Args:
        folder: Of the maps; made, and marked as output.
        predictions: Starts over each time it is called.
        concepts: See `label_map`.
        earlier: Names of the images that the folder had maps of, besides those that it lists itself.

    Raises:
        InputError: See `label_map`; or an image's name leads out of the folder.
        StorageError: The folder cannot be written.
    """
    paths = paths_for((prediction.image.file_name for prediction in predictions()), folder)
    write_legend(folder, concepts)
    before = {*earlier, *_listed(folder)}
    _list(folder, {*before, *paths})  # of an export that is stopped, too
    for prediction in predictions():
        path = paths[prediction.image.file_name]
        make_folder(path.parent)
        write_label_map(path, prediction, concepts)
    for path in leftovers({*before, *paths}, paths.values(), folder):
        remove_file(path)
    _list(folder, paths)


def _list(folder: Path, names: Iterable[str]) -> None:
    write_bytes(folder / _LIST, dumps(sorted(names)).encode())


def _listed(folder: Path) -> list[str]:
    """The images that the folder has maps of, as its list says; what no list can say counts as not said."""
    try:
        found = read_json(folder / _LIST, _LARGEST_LIST)
    except (OSError, FormatError):
        return []
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    return [name for name in names if _is_inside(folder, name)]


def _is_inside(folder: Path, name: str) -> bool:
    try:
        inside(folder, name)
    except InputError:
        return False
    return True


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
