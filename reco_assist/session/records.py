"""What a session knows, as frozen data with a JSON form."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.annotations.decide import AUTOMATIC
from reco_assist.masks import Rle

State = Literal["pending", "accepted", "rejected", "absent", "skipped"]
STATES: tuple[State, ...] = get_args(State)
"""What the curator can have said about a concept in an image."""

Order = Literal["doubt", "gain"]
"""How open images are reviewed: the least certain first; or by what they may teach, where disagreement with
what was found before counts too, and no two alike come in a row."""


@dataclass(frozen=True, slots=True)
class Example:
    """An example of a concept: a box around it, or its mask.

    Attributes:
        path: The image file.
        content_hash: SHA-256 of its bytes.
        box: x, y, width and height in pixels of the upright image.
        mask: What was painted, as COCO's compressed run lengths at the image's size; None for the box itself.
        negative: Whether it shows what the concept is not.
    """

    path: str
    content_hash: str
    box: tuple[int, int, int, int]
    mask: Rle | None = None
    negative: bool = False

    def to_json(self) -> dict[str, Any]:
        """Lists instead of tuples."""
        return {**asdict(self), "box": list(self.box)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`; sessions of release 0.1 know boxes alone."""
        mask = data.get("mask")
        return cls(
            data["path"],
            data["content_hash"],
            tuple(data["box"]),
            None if mask is None else Rle(**mask),
            data.get("negative", False),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """How a concept is to be learnt: all that a lesson needs besides the archive.

    Attributes:
        name: The word, and the category's name.
        k: Images to retrieve.
        examples: Boxes and masks that lead where they are given.
        contexts: Words that compete with the concept.
        added: Content hashes of images that were added to the retrieved ones.
        dropped: Content hashes of images that were pruned.
        marks: Content hash and 1 for more, -1 for less of its kind.
        begun: Whether the curator has asked for it to be retrieved.
        swapped: Foreground and background are exchanged, because they came out the wrong way round.
    """

    name: str
    k: int = 20
    examples: tuple[Example, ...] = ()
    contexts: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    marks: tuple[tuple[str, int], ...] = ()
    begun: bool = False
    swapped: bool = False

    def question(self) -> "Plan":
        """The plan without what became of its answer: as long as this stays, pruning stays meaningful."""
        return replace(self, added=(), dropped=(), marks=(), begun=False, swapped=False)

    def to_json(self) -> dict[str, Any]:
        """Lists instead of tuples."""
        return {
            **asdict(self),
            "examples": [one.to_json() for one in self.examples],
            "contexts": list(self.contexts),
            "added": list(self.added),
            "dropped": list(self.dropped),
            "marks": [list(mark) for mark in self.marks],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            name=data["name"],
            k=data["k"],
            examples=tuple(Example.from_json(one) for one in data["examples"]),
            contexts=tuple(data["contexts"]),
            added=tuple(data["added"]),
            dropped=tuple(data["dropped"]),
            marks=tuple((digest, sign) for digest, sign in data["marks"]),
            begun=data["begun"],
            swapped=data.get("swapped", False),
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What a concept says about an image.

    Attributes:
        digest: Of the Concept that says it.
        present: Its verdict.
        probability: That the concept is in the image.
        doubt: 0 sure to 1 unsure, about the mask and the verdict.
        disagreement: 1 - IoU with what another Concept or student found here before; 0 for the first.
        rivals: Of all concepts that competed for the pixels, see `freshness.rivals_of`; empty if unknown.
    """

    digest: str
    present: bool
    probability: float
    doubt: float
    disagreement: float = 0.0
    rivals: str = ""

    def verdict(self, concept: str) -> Verdict:
        """The verdict as exports want it."""
        return Verdict(concept, self.present, self.probability)


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
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            ImageRef(**data["image"]),
            Path(data["path"]),
            data["fingerprint"],
            {concept: Finding(**one) for concept, one in data["findings"].items()},
            data.get("look", ""),
        )


@dataclass(frozen=True, slots=True)
class Correction:
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
