"""What a session knows, as frozen data with a JSON form."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self, get_args

from reco_assist.annotations import ImageRef, LookAt, Verdict, looks_json, looks_of
from reco_assist.annotations.regions import AUTOMATIC

State = Literal["pending", "accepted", "rejected", "absent", "skipped"]
STATES: tuple[State, ...] = get_args(State)
"""What the curator can have said about a concept in an image."""

Order = Literal["doubt", "gain"]
"""How open images are reviewed: the least certain first; or by what they may teach, where disagreement with
what was found before counts too, and no two alike come in a row."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a concept says about an image.

    Attributes:
        digest: Of the Concept that says it.
        present: Its verdict.
        probability: That the concept is in the image.
        doubt: 0 sure to 1 unsure, about the mask and the verdict.
        disagreement: 1 - IoU with what another Concept or student found here before; 0 for the first.
        rivals: Of all concepts that competed for the pixels, see `rivals_of`; empty if unknown.
        looks: Further looks that decided the mask.
    """

    digest: str
    present: bool
    probability: float
    doubt: float
    disagreement: float = 0.0
    rivals: str = ""
    looks: tuple[LookAt, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Looks only where there are some, as older releases wrote it."""
        data = asdict(self)
        del data["looks"]
        return {**data, "looks": looks_json(self.looks)} if self.looks else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; sessions of release 0.1 know no looks."""
        return cls(**{**data, "looks": looks_of(data.get("looks", ()))})

    def verdict(self, concept: str) -> Verdict:
        """The verdict as exports want it."""
        return Verdict(concept, self.present, self.probability, self.looks)

    def is_of(self, digest: str, rivals: str) -> bool:
        """Whether this concept beside these rivals made it; sessions of release 0.1 know no rivals."""
        return self.digest == digest and self.rivals in {"", rivals}


@dataclass(frozen=True, slots=True)
class Result:
    """A segmented target.

    Attributes:
        image: As data sets name it.
        path: The file.
        fingerprint: 64 bits that near-duplicates share but for a few.
        findings: By concept.
        look: What the image as a whole looks like, see `order.pack_look`; empty if unknown.
    """

    image: ImageRef
    path: Path
    fingerprint: int
    findings: dict[str, Finding]
    look: str = ""

    def to_json(self) -> dict[str, Any]:
        """The path as text."""
        findings = {concept: one.to_json() for concept, one in self.findings.items()}
        return {**asdict(self), "path": str(self.path), "findings": findings}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            ImageRef(**data["image"]),
            Path(data["path"]),
            data["fingerprint"],
            {concept: Finding.from_json(one) for concept, one in data["findings"].items()},
            data.get("look", ""),
        )


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How the curator adjusted the mask of a concept in an image.

    Attributes:
        threshold: 1 to 255; a pixel is in the mask from this value of the map on.
        strokes: Brush corrections: packed, deflated, base 85; empty for none.
    """

    threshold: int = AUTOMATIC
    strokes: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """What the curator decided about a concept in an image.

    Attributes:
        state: The decision.
        when: Number of the change that decided it, to know the order; 0 while it is pending.
    """

    state: State = "pending"
    when: int = 0

    @property
    def decided(self) -> bool:
        """Whether there is nothing left to say."""
        return self.state in {"accepted", "rejected", "absent"}


def rivals_of(digests: Mapping[str, str]) -> str:
    """Digest of all that competes for the pixels of an image: with another rival a mask comes out otherwise.

    Args:
        digests: Digest of each concept by its name.
    """
    return short_hash(sorted(digests.items()))


def short_hash(value: Any) -> str:  # noqa: ANN401  (any JSON value)
    """16 hexadecimal digits that stand for a value."""
    return sha256(json.dumps(value).encode()).hexdigest()[:16]
