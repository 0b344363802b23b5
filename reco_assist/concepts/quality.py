"""Quality: how far a Concept can be trusted before it is applied, from its archive alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from reco_assist.archive import Archive
from reco_assist.concepts.presence import Presence, Scale
from reco_assist.concepts.remaining import expected_positives
from reco_assist.encoders import CompactCells, TextEmbedding, compact
from reco_assist.json_files import number, whole

ARCHIVE_SAMPLE = 8192
"""Images of an archive whose cells a concept is held against."""


# Below it foreground and background may be the wrong way round; benchmarks/trust.py prints who is.
_DISTINCT = 0.2
_FAMILIAR = 0.5  # of an encoder's familiarity, below which examples do better than the word


@dataclass(frozen=True, slots=True)
class Quality:
    """What can be said about a concept without any truth.

    Attributes:
        distinctiveness: How much more the set's foreground differs from the archive, or from ordinary
            photographs if that is more, than its background does, as a share of the larger difference: 1 for
            an object that stands out among ordinary surroundings, 0 where either could be the concept, below
            0 where the background stands out more.
        remaining: Estimated number of images of the archive that show the concept and are not in the set.
    """

    distinctiveness: float
    remaining: int

    @property
    def ambiguous(self) -> bool:
        """Whether foreground and background may be the wrong way round."""
        return self.distinctiveness < _DISTINCT

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made of it."""
        return cls(number(data["distinctiveness"]), whole(data["remaining"]))


def appraise(
    archive: Archive,
    foreground: Tensor,
    background: Tensor | None,
    text: Tensor | None,
    *,
    kept: Collection[str],
    dropped: Collection[str] = (),
) -> tuple[Presence, Quality | None]:
    """When an image contains a concept, and how far to trust the concept, both from the archive alone.

    Args:
        archive: Where the set is.
        foreground: (C,) prototype.
        background: (C,) prototype; None with the paper's method, whose quality nothing tells.
        text: (D,) vector of the word; None without one.
        kept: Content hashes of the set.
        dropped: Content hashes of images that were looked at and are not of the concept.
    """
    foreground = normalize(foreground, dim=0)  # (C,)
    reference, mine = archive.encoder.reference_cells, archive.cells_at(list(kept))
    everywhere = archive.cells(most=ARCHIVE_SAMPLE)
    presence = Presence.learn(foreground, text, inliers=mine, archive=everywhere, reference_cells=reference)
    if background is None:
        return presence, None
    seen = [archive.cells_at(list(dropped))] if dropped else []
    scores = [presence.score(cells, foreground, text) for cells in (everywhere, mine, *seen)]
    distinct = max(
        # An archive that is full of the concept makes it look ordinary; photographs at large do not.
        distinctiveness(foreground, background, kept=mine, among=cells)
        for cells in (everywhere, reference)
        if cells is not None
    )
    return presence, Quality(distinct, round(expected_positives(*scores, total=len(archive))))


def distinctiveness(
    foreground: Tensor, background: Tensor, *, kept: CompactCells, among: CompactCells
) -> float:
    """How much more the foreground tells the set from other images than the background does.

    Each image counts by its cell that is nearest to a prototype, in robust deviations of the others.

    Args:
        foreground: (C,) prototype.
        background: (C,) prototype.
        kept: Cells of the set.
        among: Cells of the other images.

    Returns:
        At most 1, see `Quality.distinctiveness`.
    """
    apart = []
    for prototype in (foreground, background):
        direction = normalize(prototype, dim=0)
        everywhere, here = (compact.inner_products(cells.dense, direction).max(1) for cells in (among, kept))
        apart.append(float(np.median(Scale.of(everywhere)(here))))
    mine, other = apart
    return round((mine - other) / max(abs(mine), abs(other), 1.0), 3)


def unfamiliar(name: str, word: TextEmbedding | None) -> str:
    """A sentence where the encoder hardly knows a word, else empty."""
    if word is None or word.familiarity is None or word.familiarity >= _FAMILIAR:
        return ""
    return (
        f"the encoder hardly knows {name!r} (it thinks of {', '.join(word.nearest)}): look at what was "
        "found, and better give 2 or 3 exemplars"
    )


def ambiguous(name: str, quality: Quality | None) -> str:
    """A sentence where the roles of foreground and background are doubtful, else empty."""
    if quality is None or not quality.ambiguous:
        return ""
    return (
        f"what is {name!r} and what is around it may be the wrong way round: look at the heat maps, and swap "
        "the two or give an exemplar"
    )
