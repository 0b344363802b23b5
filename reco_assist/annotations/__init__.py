"""The data model that segmentation, review and export share; numpy only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

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


Kind = Literal["near", "far", "tile"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Of a further look: near ones are fused with the whole image, far ones decided without it, and tiles of huge
images beside it."""


@dataclass(frozen=True, slots=True)
class LookAt:
    """A part of an image that was seen again at a larger scale, and decided a mask.

    Attributes:
        kind: What it counted for.
        box: x, y, width and height in pixels of the upright image.
    """

    kind: Kind
    box: tuple[int, int, int, int]

    def to_json(self) -> dict[str, Any]:
        """A list instead of a tuple."""
        return {"kind": self.kind, "box": list(self.box)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError: It is not what `to_json` gives.
        """
        if not cls.fits(data):
            raise ValueError("a look needs its kind, and a box of four whole numbers")
        x, y, width, height = data["box"]
        return cls(data["kind"], (x, y, width, height))

    @staticmethod
    def fits(value: Any) -> bool:  # noqa: ANN401  (any JSON value)
        """Whether a JSON value is what `to_json` gives."""
        if not isinstance(value, Mapping) or value.keys() != {"kind", "box"} or value["kind"] not in KINDS:
            return False
        box = value["box"]
        if not isinstance(box, list | tuple) or len(box) != len("xywh"):
            return False
        return all(type(number) is int for number in box) and min(box[:2]) >= 0 and min(box[2:]) > 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an image contains a concept at all.

    Attributes:
        concept: The concept's name.
        present: The decision.
        probability: That the concept is present, 0 to 1.
        looks: Further looks that decided its mask; none where the whole image alone did.
    """

    concept: str
    present: bool
    probability: float
    looks: tuple[LookAt, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As values for JSON; looks only where there are some, as older releases wrote it."""
        looks = {"looks": looks_json(self.looks)} if self.looks else {}
        return {"concept": self.concept, "present": self.present, "probability": self.probability, **looks}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; releases up to 0.1 know no looks."""
        return cls(data["concept"], data["present"], data["probability"], looks_of(data.get("looks", ())))


def looks_json(looks: Sequence[LookAt]) -> list[dict[str, Any]]:
    """Looks as values for JSON."""
    return [one.to_json() for one in looks]


def looks_of(data: Sequence[Mapping[str, Any]]) -> tuple[LookAt, ...]:
    """The inverse of `looks_json`.

    Raises:
        ValueError: One is none.
    """
    return tuple(map(LookAt.from_json, data))


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
