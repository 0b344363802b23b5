"""Images too large to be held: their size from the header, and their rows from top to bottom.

A file of up to `WHOLE_PIXELS` is decoded whole; libvips reads larger ones in parts, if pyvips is there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.errors import ImageError, reason
from reco_assist.files import file_hash
from reco_assist.image_files import MAX_PIXELS, open_image, open_image_file
from reco_assist.images.places import address, is_remote, part
from reco_assist.images.reading import LYING, content_hash, decode, orientation_of, read_bytes, rgb

HUGE_PIXELS = 500_000_000
"""Pixels that an image read in parts may have, and the most that a mask may be of."""

WHOLE_PIXELS = 50_000_000
"""Pixels that are decoded at once: some 350 MB."""

_LOADERS = {"JPEG": "jpegload", "PNG": "pngload", "TIFF": "tiffload"}
_TYPES = {"uchar": np.uint8, "ushort": np.uint16}
# Kinds of libvips, and modes of Pillow, which takes the upper eight of 16 bits of colour.
_KINDS = {
    ("uchar", "b-w", 1): "L",
    ("uchar", "b-w", 2): "LA",
    ("uchar", "srgb", 3): "RGB",
    ("uchar", "srgb", 4): "RGBA",
    ("ushort", "grey16", 1): "I;16",
    ("ushort", "grey16", 2): "LA",
    ("ushort", "rgb16", 3): "RGB",
    ("ushort", "rgb16", 4): "RGBA",
}
_WORDS = "read in parts are JPEG, PNG and TIFF of 8 or 16 bits, grey or RGB, with or without transparency"


def size_of(path: Path) -> tuple[int, int]:
    """Width and height in pixels of an upright image, by its header.

    Raises:
        ImageError: It cannot be read, is of no supported format, or has more than `HUGE_PIXELS`.
    """
    if is_remote(path) or part(path) is not None:
        opened = open_image(address(path), read_bytes(path), max_pixels=HUGE_PIXELS)
    else:
        opened = open_image_file(path, max_pixels=HUGE_PIXELS)
    with opened as image:
        # Pillow has exchanged the sides of a TIFF; of a PNG without EXIF data it would read all pixels.
        told = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        lies = told and orientation_of(image) in LYING
        width, height = image.size
    return (height, width) if lies else (width, height)


def digest_of(path: Path) -> str:
    """SHA-256 of an image's file, hexadecimal, as `content_hash` of its bytes; it is not held in memory.

    Raises:
        ImageError: It cannot be read.
    """
    if is_remote(path) or part(path) is not None:
        return content_hash(read_bytes(path))
    try:
        return file_hash(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {reason(error)}.") from error


def read_rows(path: Path, stops: Sequence[int], *, whole: int = WHOLE_PIXELS) -> Iterator[NDArray[np.uint8]]:
    """An upright image from top to bottom, as `decode` makes it.

    Args:
        path: Of the file.
        stops: Rows before which each part ends; rising, the last one the image's height.
        whole: Pixels up to which it is decoded at once.

    Yields:
        (h, W, 3) uint8 RGB.

    Raises:
        ImageError: It is damaged, of a kind that is not read in parts, or pyvips is missing.
    """
    width, height = size_of(path)
    starts = [0, *stops[:-1]]
    if width * height <= whole or (width * height <= MAX_PIXELS and not _has_vips()):
        pixels = decode(path).pixels
        for start, stop in zip(starts, stops, strict=True):
            yield pixels[start:stop]
        return
    name = address(path)
    if not _has_vips():
        raise ImageError(
            f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS:,} that are decoded whole: "
            "to read it in parts, run pip install 'reco-assist[huge]'."
        )
    import pyvips  # noqa: PLC0415  (an extra)

    try:
        image = _opened(path, name)
        if (image.width, image.height) != (width, height):
            raise ImageError(f"{name} is damaged: its size is not that of its header.")
        kind = _KINDS.get((image.format, image.interpretation, image.bands))
        if kind is None:
            given = f"{image.interpretation}, {image.bands} x {image.format}"
            raise ImageError(
                f"{name} is too large to be decoded whole, and {_WORDS}; convert it: it is {given}."
            )
        region = pyvips.Region.new(image)  # a crop for each part would read ahead, and lose what lies between
        for start, stop in zip(starts, stops, strict=True):
            data = region.fetch(0, start, width, stop - start)
            values = np.frombuffer(data, _TYPES[image.format]).reshape(stop - start, width, image.bands)
            yield _rgb(values, kind)
    except pyvips.Error as error:
        raise ImageError(f"{name} is damaged or cut short ({reason(error)}).") from error


def _has_vips() -> bool:
    try:
        import pyvips  # noqa: F401, PLC0415  (an extra)
    except (ImportError, OSError):  # OSError: the package without its library
        return False
    return True


def _opened(path: Path, name: str) -> Any:  # noqa: ANN401  (pyvips has no types)
    """An upright image of libvips, opened by the reader of its signature alone."""
    import pyvips  # noqa: PLC0415  (an extra)

    pyvips.cache_set_max(0)  # of operations; each would hold its image
    local = not is_remote(path) and part(path) is None
    source = str(path) if local else read_bytes(path)
    with (
        open_image_file(path, max_pixels=HUGE_PIXELS)
        if isinstance(source, str)
        else open_image(name, source, max_pixels=HUGE_PIXELS) as header
    ):
        loader = _LOADERS.get(header.format or "")
    if loader is None:
        raise ImageError(f"{name} is too large to be decoded whole, and {_WORDS}: save it as one of these.")
    load = getattr(pyvips.Image, loader if local else f"{loader}_buffer")
    image = load(source, access="sequential", fail_on="error")
    if image.get_typeof("orientation") and image.get("orientation") != 1:
        # Turned it is read out of order: libvips then keeps its pixels in a temporary file.
        image = load(source, access="random", fail_on="error").autorot()
    return image


def _rgb(values: NDArray[Any], mode: str) -> NDArray[np.uint8]:
    """(h, W, 3) uint8 of some rows (h, W, bands) of a mode of Pillow, by the rules of `decode`."""
    if mode == "I;16":
        return np.array(rgb(Image.fromarray(values[..., 0])), np.uint8)
    shown = values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
    if mode == "RGB":
        return shown
    return np.array(rgb(Image.fromarray(shown[..., 0] if mode == "L" else shown, mode)), np.uint8)
