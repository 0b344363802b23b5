"""Examples between the gallery's 0..1 coordinates and the pixels of their images."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.archive import Entry
from reco_assist.errors import InputError
from reco_assist.masks import polygons, rle
from reco_assist.session import ExemplarSpec
from reco_assist.ui.gallery import Box, Mark

_COARSE = 0.004  # of the image's longer side: how far a shown outline may run beside the painted one


def boxed(entry: Entry, box: Box) -> ExemplarSpec:
    """An example from a box in 0..1 of the upright image."""
    x, y = round(box[0] * entry.width), round(box[1] * entry.height)
    width = min(max(1, round(box[2] * entry.width)), entry.width - x)
    height = min(max(1, round(box[3] * entry.height)), entry.height - y)
    return ExemplarSpec(str(entry.path), entry.content_hash, (x, y, width, height))


def painted(entry: Entry, painting: NDArray[np.bool_]) -> ExemplarSpec:
    """An example from a painting (h, w) bool that lies over the whole upright image.

    Raises:
        InputError: Nothing is painted.
    """
    levels = Image.fromarray(painting.astype(np.uint8) * 255)
    resized = np.asarray(levels.resize((entry.width, entry.height), Image.Resampling.BILINEAR))  # (H, W)
    mask = rle.encode(resized >= 128)
    if not rle.area(mask):
        raise InputError("The painted example is empty; paint over the object before you take it.")
    return ExemplarSpec(str(entry.path), entry.content_hash, rle.bbox(mask), mask)


def marks(entry: Entry, example: ExemplarSpec) -> tuple[Mark, ...]:
    """How an example is drawn on its image: its box, or the outlines of what was painted."""
    if example.mask is None:
        x, y, width, height = example.box
        return ((x / entry.width, y / entry.height, width / entry.width, height / entry.height),)
    size = np.array([entry.width, entry.height])
    outline = polygons.trace(np.ascontiguousarray(rle.decode(example.mask)))
    rings = [
        polygons.simplify(ring, _COARSE * size.max()) / size for ring in (*outline.outer, *outline.holes)
    ]
    return tuple(tuple(ring.ravel().round(4).tolist()) for ring in rings if len(ring) > 2)
