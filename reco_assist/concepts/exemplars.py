"""What exemplars show: their prototypes, their cells, and whether their images answer the concept's name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from reco_assist.annotations.spec import ConceptSpec, ExemplarSpec
from reco_assist.archive import Archive
from reco_assist.concepts.presence import answers
from reco_assist.concepts.quality import ARCHIVE_SAMPLE
from reco_assist.cosegment import LabelledCells, Prototypes, exemplar_prototypes, mask_coverage
from reco_assist.encoders import CompactCells, Features, compact_cells
from reco_assist.encoders.batches import encode_files
from reco_assist.errors import InputError
from reco_assist.masks import rle
from reco_assist.retrieval import Exemplar, Query, box_exemplar, mask_exemplar


@dataclass(frozen=True, slots=True)
class Shown:
    """What exemplars show.

    Attributes:
        prototypes: Of their regions and what surrounds them.
        bank: Their cells, with the part that each region covers.
        cells: Compact cells of the images that have the concept.
    """

    prototypes: Prototypes
    bank: LabelledCells
    cells: CompactCells

    @classmethod
    def of(cls, archive: Archive, exemplars: Sequence[Exemplar]) -> Self:
        """Read exemplars as the archive's encoder sees them.

        Raises:
            InputError: They fill their images, so that nothing tells the object from its background.
            ImageError: One cannot be read.
        """
        encoder = archive.encoder
        features = encode_files(encoder, [exemplar.path for exemplar in exemplars])
        grid = features.dense.shape[2], features.dense.shape[3]
        coverage = torch.stack(
            [mask_coverage(torch.from_numpy(exemplar.mask), grid) for exemplar in exemplars]
        )  # (n, h, w)
        negative = torch.tensor([exemplar.negative for exemplar in exemplars])  # (n,)
        prototypes = exemplar_prototypes(features.dense, coverage, negative=negative)
        # What a negative exemplar marks, and what surrounds it, are both not the concept.
        covered = torch.where(negative[:, None, None], torch.zeros_like(coverage), coverage)  # (n, h, w)
        positive = Features(
            *(part[~negative] for part in (features.embedding, features.language, features.dense))
        )
        cells = compact_cells(positive, encoder.mean_language, encoder.vocabulary)
        return cls(prototypes, LabelledCells.of(features.dense, covered), cells)

    def query(self) -> Query:
        """What they look for: their foreground prototype minus the background's."""
        return Query(dense=self.prototypes.foreground - self.prototypes.background)

    def answered(self, archive: Archive, name: str) -> Tensor | None:
        """The vector of a name that their images answer; None of one that they do not."""
        encoder = archive.encoder
        vector = encoder.encode_text(name).vector
        among = (
            archive.cells(most=ARCHIVE_SAMPLE) if encoder.reference_cells is None else encoder.reference_cells
        )
        return vector if answers(self.cells, vector, among=among) else None


def exemplar_query(archive: Archive, exemplars: Sequence[Exemplar]) -> tuple[Query, Prototypes]:
    """What exemplars look for, and their prototypes.

    Raises:
        InputError: The exemplars fill their images, so that nothing tells object from background.
    """
    shown = Shown.of(archive, exemplars)
    return shown.query(), shown.prototypes


def read_exemplars(spec: ConceptSpec) -> tuple[Exemplar, ...]:
    """The regions that a specification's exemplars mark.

    Raises:
        InputError: An exemplar's file has changed, or its box does not lie in it.
        ImageError: It cannot be read.
    """
    found = tuple(_read(one) for one in spec.exemplars)
    for read, wanted in zip(found, spec.exemplars, strict=True):
        if read.content_hash != wanted.content_hash:
            raise InputError(
                f"{wanted.path} is not the file any more that an example was drawn on; draw it anew."
            )
    return found


def exemplar_spec(exemplar: Exemplar) -> ExemplarSpec:
    """An exemplar that was read already, as a part of a specification."""
    mask = rle.encode(exemplar.mask)
    return ExemplarSpec(
        str(exemplar.path.absolute()), exemplar.content_hash, rle.bbox(mask), mask, exemplar.negative
    )


def _read(spec: ExemplarSpec) -> Exemplar:
    path = Path(spec.path)
    if spec.mask is None:
        return box_exemplar(path, *spec.box)
    source = "painted within " + ",".join(map(str, spec.box))
    return mask_exemplar(path, rle.decode(spec.mask), source=source, negative=spec.negative)
