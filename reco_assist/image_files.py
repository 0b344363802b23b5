"""The one way in for the bytes of images: only formats that are named, and sizes known from the header.

Pillow's own opener tries every format that it knows, by content: one of them starts Ghostscript. Here a
reader is chosen by signature among those that were asked for.
"""

import stat
from collections.abc import Callable, Collection
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from reco_assist.errors import FormatError, ImageError, InputError, reason
from reco_assist.files import read_bounded

MAX_PIXELS = 175_000_000
"""Pixels an image may have by default: above any camera's (151 million), some 1 GB while it is decoded."""

MAX_BYTES = 1 << 30
"""Bytes a file may have: an image within `MAX_PIXELS` is smaller than 1 GiB in every supported format."""

THUMBNAIL_PIXELS = 1 << 20
"""Pixels a thumbnail of ours may have: far more than any has."""

PHOTOGRAPHS = ("JPEG", "PNG", "WebP", "TIFF", "BMP", "GIF", "HEIF", "AVIF", "JPEG2000", "PPM")
"""Formats that photographs are read in. Of several pictures in a file, as in MPO, the first is read."""

OURS = ("PNG", "JPEG")
"""Formats that maps and thumbnails are written in."""

_Reader = Callable[[BytesIO | str], ImageFile.ImageFile]


def _heif(data: BytesIO | str) -> ImageFile.ImageFile:
    from pi_heif import HeifImageFile  # noqa: PLC0415  (a library of its own, for those files alone)

    image: ImageFile.ImageFile = HeifImageFile(data)
    return image


_READERS: tuple[tuple[bytes, str, _Reader], ...] = (
    (b"\xff\xd8\xff", "JPEG", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", "PNG", PngImageFile),
    (b"RIFF", "WebP", WebPImageFile),
    (b"II*\0", "TIFF", TiffImageFile),
    (b"MM\0*", "TIFF", TiffImageFile),
    (b"II+\0", "TIFF", TiffImageFile),
    (b"MM\0+", "TIFF", TiffImageFile),
    (b"BM", "BMP", BmpImageFile),
    (b"GIF87a", "GIF", GifImageFile),
    (b"GIF89a", "GIF", GifImageFile),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000", Jpeg2KImageFile),
    (b"\xff\x4f\xff\x51", "JPEG2000", Jpeg2KImageFile),
    *((b"P%d%c" % (kind, space), "PPM", PpmImageFile) for kind in range(1, 7) for space in b" \t\r\n"),
)

# ISO base media files say in their first box which formats of the family they keep to.
_BRANDS: tuple[tuple[frozenset[bytes], str, _Reader], ...] = (
    (frozenset({b"avif", b"avis"}), "AVIF", AvifImageFile),
    (frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}), "HEIF", _heif),
)

HEAD = 64
"""First bytes of a file that tell its format."""


class MemoryShortError(ImageError):
    """An image that may well be good, but takes more memory than is free."""


def open_image(
    name: str, data: bytes, *, formats: Collection[str] = PHOTOGRAPHS, max_pixels: int = MAX_PIXELS
) -> ImageFile.ImageFile:
    """A Pillow image of which only the header has been read.

    Args:
        name: What it is, as the user knows it, for errors.
        data: The bytes of its file.
        formats: Which it may be of; of `PHOTOGRAPHS`.
        max_pixels: Larger images are refused, before memory is taken for them. WebP and TIFF stay within
            Pillow's own limit (179 million) even if this is higher.

    Raises:
        ImageError: The data is empty, of no such format, too large, or its header is damaged.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes).")
    return _open(name, data, BytesIO(data), formats, max_pixels)


def open_image_file(path: Path, *, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """A Pillow image of a file on this machine, of which only the header has been read, whatever its size.

    It holds the file open; close it.

    Raises:
        ImageError: The file is missing, unreadable or empty, of none of `PHOTOGRAPHS`, too large, or its
            header is damaged.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: a pipe waits for a writer
            raise ImageError(f"{path} cannot be read: it is no file; restore it, or leave it out.")
        with path.open("rb") as file:
            head = file.read(HEAD)
        if not head:
            raise ImageError(f"{path} is empty (0 bytes).")
        return _open(str(path), head, str(path), PHOTOGRAPHS, max_pixels)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {reason(error)}.") from error


def _open(
    name: str, head: bytes, source: BytesIO | str, formats: Collection[str], max_pixels: int
) -> ImageFile.ImageFile:
    known = _reader_of(head)
    if known is None or known[0] not in formats:
        *others, last = formats
        kinds = f"{', '.join(others)} or {last}" if others else last
        raise ImageError(f"{name} is not a {kinds} image, whatever it is called.")
    try:
        image = known[1](source)
    except Exception as error:
        raise ImageError(f"{name} is damaged: its header cannot be read ({reason(error)}).") from error
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise ImageError(
            f"{name} has {width} x {height} pixels, more than the {max_pixels:,} allowed; "
            "make it smaller or raise the limit."
        )
    return image


def is_photograph(head: bytes) -> bool:
    """Whether the first bytes of a file, `HEAD` or more, are those of a format in `PHOTOGRAPHS`."""
    return _reader_of(head) is not None


def _reader_of(data: bytes) -> tuple[str, _Reader] | None:
    if data[4:8] == b"ftyp":
        size = min(int.from_bytes(data[:4], "big"), HEAD)
        brands = {data[at : at + 4] for at in (8, *range(16, size, 4))}
        return next(((kind, reader) for some, kind, reader in _BRANDS if some & brands), None)
    return next(((kind, reader) for start, kind, reader in _READERS if data.startswith(start)), None)


def load_image(
    source: bytes | Path,
    mode: str | None = None,
    *,
    formats: Collection[str] = OURS,
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """An image as it is stored: neither turned nor laid over a backdrop, as maps and thumbnails need it.

    Args:
        source: The file's bytes, or its path.
        mode: Pillow's name of the mode that it is converted to; its own if None.
        formats: Which it may be of; of `PHOTOGRAPHS`.
        max_pixels: Larger images are refused by their header.

    Returns:
        An image in memory; no file stays open.

    Raises:
        ImageError: It cannot be read, is of no such format, too large or damaged; one sentence says which.
        MemoryShortError: Memory is too small for it at the moment.
    """
    name = "The image" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else read_image(source)
    with open_image(name, data, formats=formats, max_pixels=max_pixels) as image:
        try:
            image.load()
            return image.convert(mode) if mode else image.copy()
        except MemoryError as error:
            raise memory_short(name, image) from error
        except Exception as error:
            raise ImageError(f"{name} is damaged or cut short ({reason(error)}).") from error


def load_map(path: Path, *, height: int, width: int) -> NDArray[np.uint8]:
    """A map that we wrote: a PNG file of one byte a pixel.

    Args:
        path: Its file.
        height: Pixels that it must have.
        width: Pixels that it must have.

    Returns:
        (H, W) uint8.

    Raises:
        ImageError: It cannot be read, or is another image.
    """
    image = load_image(path, formats=("PNG",))
    if image.mode != "L" or image.size != (width, height):
        raise ImageError(
            f"{path} is an image of {image.width} x {image.height} pixels (mode {image.mode}), not the grey "
            f"map of {width} x {height} that belongs there; make it again."
        )
    return np.array(image, np.uint8)  # (H, W)


def shown_bytes(path: Path, kind: str, *, max_pixels: int = 16 << 20) -> bytes | None:
    """The bytes of a picture of ours, to be shown; None where there is none that can be.

    Its folder may come from a stranger: a link in it would show what is the user's own.

    Args:
        path: Of the file.
        kind: The format that we write it in.
        max_pixels: That it may have.
    """
    if path.is_symlink() or path.parent.is_symlink():
        return None
    try:
        data = read_bounded(path, 4 * max_pixels)
        load_image(data, formats=(kind,), max_pixels=max_pixels)
    except (InputError, OSError):
        return None
    return data


def memory_short(name: str, image: Image.Image) -> MemoryShortError:
    """The error for an image that takes more memory than is free."""
    return MemoryShortError(
        f"{name} has {image.width} x {image.height} pixels, which take more memory than is free; close other "
        "programs, or make it smaller."
    )


def read_image(path: Path) -> bytes:
    """The bytes of an image on this machine.

    Raises:
        ImageError: The file is missing, unreadable or larger than `MAX_BYTES`.
    """
    try:
        return read_bounded(path, MAX_BYTES)
    except FormatError as error:
        raise ImageError(str(error)) from error
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {reason(error)}.") from error
