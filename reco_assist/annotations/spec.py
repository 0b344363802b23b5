"""What a curator asks for: how a concept is to be learnt, as frozen data with a JSON form."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from reco_assist.masks import Rle

Method = Literal["assist", "paper"]
"""How a concept is learnt and applied: what measured better on photographs, or ReCo as published."""


@dataclass(frozen=True, slots=True)
class ExemplarSpec:
    """A region that shows a concept: a box around it, or its mask.

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
class ConceptSpec:
    """How a concept is to be learnt: all that `ConceptBuilder` needs besides the archive.

    Attributes:
        name: The word, and the category's name.
        k: Images to retrieve.
        exemplars: Boxes and masks that lead where they are given.
        contexts: Words that compete with the concept.
        added: Content hashes of images that were added to the retrieved ones.
        dropped: Content hashes of images that were pruned.
        marks: Content hash and 1 for more, -1 for less of its kind: why images were added and dropped.
        begun: Whether it is to be retrieved; one that is still being written is not.
        swapped: Foreground and background are exchanged, because they came out the wrong way round.
        method: `assist`, or the `paper`'s.
    """

    name: str
    k: int = 20
    exemplars: tuple[ExemplarSpec, ...] = ()
    contexts: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    marks: tuple[tuple[str, int], ...] = ()
    begun: bool = False
    swapped: bool = False
    method: Method = "assist"

    def question(self) -> "ConceptSpec":
        """The specification without what became of its answer: while this stays, pruning stays meaningful."""
        return replace(self, added=(), dropped=(), marks=(), begun=False, swapped=False)

    def answered_like(self, other: "ConceptSpec") -> "ConceptSpec":
        """This question, with what became of the answer to another one."""
        return replace(
            self,
            added=other.added,
            dropped=other.dropped,
            marks=other.marks,
            begun=other.begun,
            swapped=other.swapped,
        )

    def to_json(self) -> dict[str, Any]:
        """Lists instead of tuples."""
        data = asdict(self)
        del data["exemplars"]
        return {
            **data,
            "examples": [one.to_json() for one in self.exemplars],  # as sessions of release 0.1 call them
            "contexts": list(self.contexts),
            "added": list(self.added),
            "dropped": list(self.dropped),
            "marks": [list(mark) for mark in self.marks],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`; sessions of release 0.1 know no swap and no method."""
        return cls(
            name=data["name"],
            k=data["k"],
            exemplars=tuple(ExemplarSpec.from_json(one) for one in data["examples"]),
            contexts=tuple(data["contexts"]),
            added=tuple(data["added"]),
            dropped=tuple(data["dropped"]),
            marks=tuple((digest, sign) for digest, sign in data["marks"]),
            begun=data["begun"],
            swapped=data.get("swapped", False),
            method=data.get("method", "assist"),
        )
