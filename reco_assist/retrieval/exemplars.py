"""Exemplars: regions that show the concept where words fail."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import InputError
from reco_assist.images import content_hash, decode, read_bytes

_BOX = re.compile(r"#(-?\d+),(-?\d+),(-?\d+),(-?\d+)$")


@dataclass(frozen=True, slots=True, eq=False)
class Exemplar:
    """A region of an image that shows the concept.

    Attributes:
        path: The image file.
        content_hash: SHA-256 of its bytes.
        mask: (H, W) bool in the upright image: the object, or its box.
        source: What the region was given as: 'x,y,w,h', a mask file's name, or 'image' for all of it.
        negative: Whether it shows what the concept is *not*, though it looks like it.
    """

    path: Path
    content_hash: str
    mask: NDArray[np.bool_]
    source: str
    negative: bool = False


def read_exemplar(text: str) -> Exemplar:
    """The exemplar that a command-line argument names: FILE, FILE#x,y,w,h or FILE:MASK.png.

    Box coordinates are pixels of the upright image, (x, y) the upper left corner. A mask file has the
    image's size; what is not 0 is the object.

    Raises:
        InputError: No such file, a box outside the image, an empty mask or one of another size.
    """
    if box := _BOX.search(text):
        x, y, width, height = map(int, box.groups())
        return box_exemplar(Path(text[: box.start()]), x, y, width, height)
    image, colon, mask = text.rpartition(":")
    if colon and not Path(text).exists():
        return mask_exemplar(Path(image), _read_mask(Path(mask)), source=Path(mask).name)
    pixels, digest = _read(Path(text))
    return Exemplar(Path(text), digest, np.ones(pixels.shape[:2], bool), "image")


def box_exemplar(path: Path, x: int, y: int, width: int, height: int) -> Exemplar:
    """An exemplar from a box in pixels of the upright image.

    Raises:
        InputError: The box is empty or not inside the image.
    """
    pixels, digest = _read(path)
    full_height, full_width = pixels.shape[:2]
    if width < 1 or height < 1 or x < 0 or y < 0 or x + width > full_width or y + height > full_height:
        raise InputError(
            f"the box {x},{y},{width},{height} (x,y,w,h) is not inside {path.name}, which is "
            f"{full_width} x {full_height} pixels: give a box that is"
        )
    mask = np.zeros((full_height, full_width), bool)
    mask[y : y + height, x : x + width] = True
    return Exemplar(path, digest, mask, f"{x},{y},{width},{height}")


def mask_exemplar(path: Path, mask: NDArray[np.bool_], *, source: str, negative: bool = False) -> Exemplar:
    """An exemplar from a mask (H, W) bool of the upright image.

    Raises:
        InputError: The mask is empty or of another size.
    """
    pixels, digest = _read(path)
    if mask.shape != pixels.shape[:2]:
        raise InputError(
            f"the mask {source} is {mask.shape[1]} x {mask.shape[0]} pixels and {path.name} is "
            f"{pixels.shape[1]} x {pixels.shape[0]}: give a mask of the image's size"
        )
    if not mask.any():
        raise InputError(f"the mask {source} is empty: mark the object with values other than 0")
    return Exemplar(path, digest, mask, source, negative)


def _read(path: Path) -> tuple[NDArray[np.uint8], str]:
    data = read_bytes(path)
    return decode(data).pixels, content_hash(data)


def _read_mask(path: Path) -> NDArray[np.bool_]:
    return np.asarray(decode(path).pixels.max(2) > 0)
