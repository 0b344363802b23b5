"""From the bytes of an image file to upright RGB pixels."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.errors import ImageError, InputError, reason
from reco_assist.image_files import MAX_BYTES, MAX_PIXELS, memory_short, open_image, read_image
from reco_assist.images.places import address, is_remote, open_file, part
from reco_assist.images.shards import read_member

_BACKDROP = (128, 128, 128)

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = frozenset({5, 6, 7, 8})
"""Orientations of EXIF that exchange height and width."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An upright RGB image.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, contiguous; smaller than the frame where a reduction was asked for.
        width: Pixels of the full frame, EXIF orientation applied.
        height: Pixels of the full frame, EXIF orientation applied.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int


def content_hash(data: bytes) -> str:
    """SHA-256 of a file's bytes, hexadecimal: an image's identity, wherever the file lies."""
    return sha256(data).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The bytes of an image, wherever it lies; see `places`.

    Raises:
        ImageError: The file is missing, unreadable or larger than `MAX_BYTES`.
    """
    if not is_remote(path) and part(path) is None:
        return read_image(path)
    try:
        if part(path) is not None:
            data = read_member(path, MAX_BYTES)
        else:
            with open_file(path) as file:
                data = file.read(MAX_BYTES + 1)  # of an object, memory is taken for what there is
    except OSError as error:
        raise ImageError(f"{address(path)} cannot be read: {reason(error)}.") from error
    if len(data) > MAX_BYTES:
        raise ImageError(f"{address(path)} is larger than 1 GiB, which no supported image is; leave it out.")
    return data


def decode(source: bytes | Path, *, max_pixels: int = MAX_PIXELS, reduce_to: int | None = None) -> Decoded:
    """Decode a file of one of the `PHOTOGRAPHS`, its first picture, into upright 8-bit RGB.

    An array is returned, not a Pillow image: it holds no open file and crosses processes without a copy of
    the encoded bytes. The values are made like this:

    - EXIF orientation is always applied; unreadable EXIF data counts as upright, as in browsers.
    - Transparency is laid over mid-grey (128), which favours neither dark nor light objects.
    - 16-bit values are scaled from 0..65535 to 0..255. Integers of 32 bits and floats have no nominal range
      and are stretched from their minimum to their maximum.
    - CMYK is converted by Pillow's plain formula; colour profiles are not applied.

    Args:
        source: The file's bytes, or its path.
        max_pixels: Larger images are refused by their header, before memory is taken for them. WebP and TIFF
            stay within Pillow's own limit (179 million) even if this is higher.
        reduce_to: Side in pixels of the square that is wanted in the end: JPEG is then decoded at 1/2, 1/4 or
            1/8 of its size while both sides stay at least this long, which is several times faster.
            What `squash` makes of it differs from the full decode by less than a grey level on average.

    Returns:
        The pixels and the size of the full frame.

    Raises:
        ImageError: The data is empty, of no supported format, too large or damaged; one sentence says which.
        MemoryShortError: Memory is too small for it at the moment.
        InputError: `reduce_to` is below 1.
    """
    if reduce_to is not None and reduce_to < 1:
        raise InputError(f"reduce_to is {reduce_to}; give a side of at least 1 pixel.")
    name = "The image" if isinstance(source, bytes) else address(source)
    data = source if isinstance(source, bytes) else read_bytes(source)
    with open_image(name, data, max_pixels=max_pixels) as image:
        width, height = image.size
        try:
            if reduce_to is not None:
                image.draft(None, (reduce_to, reduce_to))
            image.load()
            orientation = orientation_of(image)  # after load: TIFF has been turned by then, and says so
            pixels = np.array(rgb(_upright(image, orientation)), np.uint8)  # (H, W, 3)
        except MemoryError as error:
            raise memory_short(name, image) from error
        except Exception as error:
            raise ImageError(f"{name} is damaged or cut short ({reason(error)}).") from error
    if orientation in LYING:
        width, height = height, width
    return Decoded(pixels, width, height)


def orientation_of(image: Image.Image) -> int:
    """How an image is to be turned, by its EXIF data; unreadable data counts as upright."""
    for xmp in (
        "xmp",
        "XML:com.adobe.xmp",
    ):  # Pillow reads it where EXIF is silent; browsers show it unturned
        image.info.pop(xmp, None)
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - malformed EXIF raises anything; the pixels are good all the same
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of an image of any mode; `decode` documents how."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)  # (H, W)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        return Image.fromarray(_stretch(np.asarray(image, np.float64))).convert("RGB")
    if image.has_transparency_data:
        backdrop = Image.new("RGBA", image.size, (*_BACKDROP, 255))
        return Image.alpha_composite(backdrop, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _stretch(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Map the finite values of (H, W) from their minimum..maximum to 0..255; others become 0."""
    finite = np.isfinite(values)  # (H, W)
    low = values.min(initial=np.inf, where=finite)
    high = values.max(initial=-np.inf, where=finite)
    if not low < high:
        return np.zeros(values.shape, np.uint8)
    scaled = (np.where(finite, values, low) - low) / (high - low)  # (H, W) in [0, 1]
    levels: NDArray[np.uint8] = np.rint(scaled * 255).astype(np.uint8)  # (H, W)
    return levels
