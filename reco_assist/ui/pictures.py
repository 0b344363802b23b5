"""Pictures for the browser: originals where it can show them, copies where it cannot."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.archive import Archive
from reco_assist.errors import ImageError
from reco_assist.images import decode, read_bytes

_LONGEST = 2048  # pixels of a copy
_LARGEST = 4 << 20  # bytes of an original that is sent as it is
_SHOWN = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")  # JPEG, PNG, WebP: browsers apply their EXIF


def picture(path: Path) -> bytes:
    """An image file, encoded for a browser, at a size worth looking at.

    Raises:
        ImageError: It cannot be read.
    """
    data = read_bytes(path)
    if len(data) <= _LARGEST and data.startswith(_SHOWN):
        return data
    return jpeg(decode(data, reduce_to=_LONGEST).pixels, _LONGEST)


def jpeg(pixels: NDArray[np.uint8], longest: int) -> bytes:
    """Pixels (H, W, 3) uint8 as a JPEG whose longest side is at most so many pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def painted(
    pixels: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]], colours: Sequence[str], longest: int
) -> bytes:
    """A JPEG of pixels (H, W, 3) under masks (H', W') in colours "#rrggbb"."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    values = np.asarray(image, np.float32).copy()  # (h, w, 3)
    for mask, colour in zip(masks, colours, strict=True):
        inside = np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST))  # (h, w)
        edge = inside & ~_eroded(inside)
        paint = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], np.float32)
        values[inside] = 0.6 * values[inside] + 0.4 * paint
        values[edge] = paint
    return jpeg(values.round().astype(np.uint8), longest)


class ArchivePictures:
    """What a gallery shows of an archive.

    Attributes:
        heats: (h, w) uint8 heat maps by content hash.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.heats: dict[str, NDArray[np.uint8]] = {}

    def thumbnails(self, ids: Sequence[str]) -> Sequence[bytes]:
        """The archive's own thumbnails."""
        return self._archive.thumbnails(ids)

    def preview(self, image_id: str) -> bytes:
        """The image; its thumbnail where the file is gone."""
        try:
            return picture(self._archive.entry(image_id).path)
        except ImageError:
            return self._archive.thumbnails([image_id])[0]

    def heat_map(self, image_id: str) -> NDArray[np.uint8] | None:
        """Evidence for the concept, if it was computed."""
        return self.heats.get(image_id)


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner: NDArray[np.bool_] = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inner
