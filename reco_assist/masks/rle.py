"""COCO run-length masks (column-major, compressed), through pycocotools."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rle:
    """A binary mask as COCO's compressed run lengths.

    Attributes:
        height: Pixels.
        width: Pixels.
        counts: COCO's compressed counts, ASCII.
    """

    height: int
    width: int
    counts: str
