"""Masks for Label Studio: by a project's Concepts, a student, and for what an annotator has just marked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import Prediction
from reco_assist.concepts import Concept
from reco_assist.concepts.corrections import Correction, begin, correct, read_correction
from reco_assist.encoders import Encoder
from reco_assist.errors import InputError
from reco_assist.formats.label_studio import Names, Shape
from reco_assist.images import decode
from reco_assist.label_studio.config import Config
from reco_assist.segmenter import Segmenter, Target
from reco_assist.serving.marks import Region, labels_of, masks_of
from reco_assist.serving.project_model import Known

_MARK = 3.0  # corrections that a mark in the image at hand counts for
_SHAPES: tuple[Shape, ...] = ("brush", "polygon")


class Trained(Protocol):
    """A trained student: quicker than Concepts, and not to be taught between two predictions."""

    @property
    def digests(self) -> dict[str, str]:
        """Its digest by the names of what it finds."""

    def predict(self, images: Iterable[Target]) -> Iterator[Prediction]:
        """Masks of images, in their order."""


def fit(config: Config, known: Known, marks: Sequence[Region]) -> tuple[Names, Shape, list[str]]:
    """What a configuration calls things, and the labels that can be predicted.

    Raises:
        InputError: It has no label of a Concept.
    """
    able = {*known.concepts, *(label for mark in marks for label in labels_of(mark))}
    labels = [label for label in config.concepts if label in able]
    for shape in _SHAPES:
        if labels and (names := config.names(shape, labels)) is not None:
            return names, shape, labels
    listed = ", ".join(repr(name) for name in sorted(able))[:150]
    raise InputError(
        f"the labelling configuration has no BrushLabels or PolygonLabels with one of {listed}: add it"
    )


@dataclass(frozen=True, slots=True)
class Predictor:
    """Predicts one image at a time.

    Attributes:
        encoder: The Concepts'.
        student: Predicts what it was trained on, until a correction teaches a project's Concept more.
    """

    encoder: Encoder
    student: Trained | None = None

    def segment(
        self,
        known: Known,
        path: Path,
        labels: Sequence[str],
        marks: Sequence[Region] = (),
        *,
        source: str = "",
    ) -> Prediction:
        """The masks of some labels in an image.

        Args:
            known: What the project predicts with.
            path: The image.
            labels: Which may be predicted.
            marks: Regions that an annotator has drawn in it just now: exemplars of their labels, which alone
                are predicted then.
            source: Where the marks come from.

        Raises:
            ImageError: The image cannot be read.
            FormatError: A mark does not fit it.
        """
        concepts = dict(known.concepts)
        marked: dict[str, NDArray[np.bool_]] = {}
        if marks:
            picture = decode(path)
            marked = masks_of(marks, picture.height, picture.width)
        for label, mask in marked.items():
            shown = read_correction(self.encoder, path, mask, source=source, weight=_MARK)
            concept = concepts.get(label)
            concepts[label] = (
                begin(label, [shown], self.encoder)
                if concept is None
                else correct(concept, [shown], reference_cells=self.encoder.reference_cells)
            )
        wanted = [
            concepts[label] for label in labels if label in concepts and (not marked or label in marked)
        ]
        names = {one.name for one in wanted}
        rivals = [concept for name, concept in concepts.items() if name not in names]
        if self.student is not None and not marked:
            return self._with_student(self.student, known, wanted, path)
        # What the annotator marks is there: nothing decides about its presence.
        return self.by_concepts(wanted, path, rivals=rivals if marked else [], presence=not marked)

    def read(
        self, given: Mapping[str, Concept], path: Path, regions: Sequence[Region], *, source: str
    ) -> tuple[dict[str, Correction], list[str]]:
        """What an annotation teaches about an image, by label, and what of it teaches nothing, in words.

        Args:
            given: Concepts whose predictions are corrected.
            path: The image.
            regions: What the annotation marks.
            source: Names the annotation.

        Raises:
            ImageError: The image cannot be read.
            FormatError: A region does not fit it.
        """
        picture = decode(path)
        size = picture.height, picture.width
        masks = masks_of(regions, *size)
        base = self.by_concepts(list(given.values()), path)
        found: dict[str, Correction] = {}
        problems = []
        for label in sorted({*masks, *given}):
            corrected = masks.get(label, np.zeros(size, np.bool_))
            predicted = base.mask(label)
            if not corrected.any() and not predicted.any():
                continue  # both say that it is not there
            try:
                found[label] = read_correction(
                    self.encoder, path, corrected, predicted=predicted, source=source
                )
            except InputError as error:
                problems.append(f"{label!r}: {error}")
        return found, problems

    def by_concepts(
        self,
        concepts: Sequence[Concept],
        path: Path,
        *,
        rivals: Sequence[Concept] = (),
        presence: bool = True,
    ) -> Prediction:
        """What Concepts say of an image."""
        names = {concept.name for concept in concepts}
        segmenter = Segmenter(
            [*concepts, *rivals], encoder=self.encoder, presence="auto" if presence else "off"
        )
        prediction = next(segmenter.predict([Target(path, path.name)]))
        return Prediction(
            prediction.image,
            tuple(region for region in prediction.regions if region.concept in names),
            tuple(verdict for verdict in prediction.verdicts if verdict.concept in names),
        )

    def _with_student(
        self, student: Trained, known: Known, wanted: Sequence[Concept], path: Path
    ) -> Prediction:
        """The student's answer for what it knows and nobody has corrected yet, the Concepts' for the rest."""
        own = {one.name for one in wanted if one.name in student.digests and one.name not in known.taught}
        rest = [one for one in wanted if one.name not in own]
        if not own:
            return self.by_concepts(rest, path)
        trained = next(iter(student.predict([Target(path, path.name)])))
        learnt = self.by_concepts(rest, path) if rest else Prediction(trained.image)
        return Prediction(
            learnt.image,
            (*(one for one in trained.regions if one.concept in own), *learnt.regions),
            (*(one for one in trained.verdicts if one.concept in own), *learnt.verdicts),
        )
