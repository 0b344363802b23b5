"""The data model that segmentation, review and export share; numpy only."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reco_assist.masks import Rle, rle


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image as data sets name it.

    Attributes:
        file_name: POSIX path relative to the run's image root.
        content_hash: SHA-256 of the file's bytes, hexadecimal: the image's identity.
        width: Pixels, EXIF orientation applied.
        height: Pixels, EXIF orientation applied.
    """

    file_name: str
    content_hash: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Region:
    """One mask of one concept in an image.

    Attributes:
        concept: The concept's name, as typed (trimmed).
        mask: In the oriented image frame, at full size.
        score: Probability that the region is right, 0 to 1.
    """

    concept: str
    mask: Rle
    score: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an image contains a concept at all.

    Attributes:
        concept: The concept's name.
        present: The decision.
        probability: That the concept is present, 0 to 1.
    """

    concept: str
    present: bool
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """All that was found in one image: no regions and a verdict of absence is a result too."""

    image: ImageRef
    regions: tuple[Region, ...] = ()
    verdicts: tuple[Verdict, ...] = field(default=())

    def mask(self, concept: str) -> NDArray[np.bool_]:
        """(H, W) bool: every pixel that is a concept's."""
        held = [region.mask for region in self.regions if region.concept == concept]
        return rle.decode_all(held, self.image.height, self.image.width)
