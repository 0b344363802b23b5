"""Score predictions against ground truth: every figure of a report, per concept and in the mean."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reco_assist.errors import InputError
from reco_assist.evaluation.bootstrap import Interval, bootstrap
from reco_assist.evaluation.calibration import Reliability, reliability
from reco_assist.evaluation.overlap import Overlap, boundary_f, hits, overlap, pooled_iou
from reco_assist.evaluation.truth import ConceptTruth, Labelled, Truth
from reco_assist.formats import Dataset, score
from reco_assist.formats.fields import cut, listed
from reco_assist.formats.matching import pair_images
from reco_assist.formats.plain import Id
from reco_assist.formats.regions import at_shape
from reco_assist.masks import rle

FALSE_MASK = 0.005
"""Share of an image above which a mask counts as false where the concept is absent."""

UNTOUCHED = 0.8
"""IoU from which a curator is taken to accept a mask as it is."""

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One image that shows the concept.

    Attributes:
        file_name: As the truth names it.
        image: Id of the image in the predictions; None where it was not segmented.
        overlap: Pixels of mask and truth.
        boundary_f: F-score of the boundary, 0 to 1.
    """

    file_name: str
    image: Id | None
    overlap: Overlap
    boundary_f: float


@dataclass(frozen=True, slots=True)
class FalseMask:
    """What was found of a concept in an image that does not show it.

    Attributes:
        file_name: As the truth names it.
        image: Id of the image in the predictions.
        share: Of the image that it covers, 0 to 1.
    """

    file_name: str
    image: Id
    share: float


@dataclass(frozen=True, slots=True)
class ConceptScore:
    """All figures of one concept.

    Attributes:
        name: For reports.
        category: What predictions call it.
        images: Those that show it.
        false: Negatives with a mask of more than `FALSE_MASK` of the image, largest first.
        negatives: How many images were judged not to show it.
        masks: (score, whether it is right) of each scored mask; see `hits`.
        verdicts: (probability of presence, whether it is present) of each image that states one.
    """

    name: str
    category: str
    images: tuple[ImageScore, ...]
    false: tuple[FalseMask, ...]
    negatives: int
    masks: tuple[tuple[float, bool], ...]
    verdicts: tuple[tuple[float, bool], ...]

    @property
    def ious(self) -> list[float]:
        """IoU of each image that shows it."""
        return [one.overlap.iou for one in self.images]

    @property
    def false_rate(self) -> float:
        """Share of the negatives with a false mask; NaN without negatives."""
        return len(self.false) / self.negatives if self.negatives else math.nan

    def figures(self) -> dict[str, float]:
        """Every figure by name; NaN where there is nothing to take it of."""
        overlaps = [one.overlap for one in self.images]
        return {
            "iou": _mean(self.ious),
            "pixel_iou": pooled_iou(overlaps) if overlaps else math.nan,
            "pixel_accuracy": _mean([one.accuracy for one in overlaps]),
            "boundary_f": _mean([one.boundary_f for one in self.images]),
            "false_rate": self.false_rate,
            "changed": _mean([one.changed / one.valid for one in overlaps if one.valid]),
            "untouched": _mean([float(one.iou >= UNTOUCHED) for one in overlaps]),
            "mask_ece": calibration(self.masks).error,
            "presence_ece": calibration(self.verdicts).error,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of all concepts.

    Attributes:
        concepts: In the order of the truth.
    """

    concepts: tuple[ConceptScore, ...]

    @property
    def masks(self) -> Reliability:
        """Reliability of the scores of all masks together."""
        return calibration(tuple(pair for one in self.concepts for pair in one.masks))

    @property
    def presence(self) -> Reliability:
        """Reliability of the probabilities of presence of all concepts together."""
        return calibration(tuple(pair for one in self.concepts for pair in one.verdicts))

    def interval(self) -> Interval | None:
        """Mean IoU over concepts, the interval over their images; None without a positive image."""
        groups = [one.ious for one in self.concepts if one.images]
        return bootstrap(groups) if groups else None

    def figures(self) -> dict[str, float]:
        """The mean over concepts of every figure, calibration over all masks and images together."""
        rows = [one.figures() for one in self.concepts]
        means = {key: _mean([row[key] for row in rows if not math.isnan(row[key])]) for key in rows[0]}
        return {**means, "mask_ece": self.masks.error, "presence_ece": self.presence.error}

    def to_json(self) -> dict[str, Any]:
        """The report ready for JSON, with every image; what could not be taken is null."""
        return {
            "mean": {**_finite(self.figures()), "interval": _ends(self.interval())},
            "concepts": {one.name: _concept_json(one) for one in self.concepts},
            "reliability": {"masks": _bins(self.masks), "presence": _bins(self.presence)},
        }


def evaluate(
    predictions: Dataset, truth: Truth, *, partial: bool = False, on_image: Step = lambda: None
) -> Report:
    """Score predictions; an image that shows a concept and has no prediction counts as missed.

    Images that the truth does not know are left out. What is to be ignored is the truth's to say, as in
    COCO's own evaluation: a crowd among the predictions counts as what was found.

    Args:
        predictions: What was found.
        truth: What is there; concepts that the predictions do not name are left out.
        partial: Only a sample was segmented: negatives that are not listed are left out.
        on_image: Called after each image of each concept.

    Raises:
        InputError: No concept or no image is in both, or images are missing and `partial` is off.
        FormatError: A mask is damaged.
    """
    predictions = predictions.drawn
    named = {name.casefold() for name in predictions.concepts}
    concepts = [one for one in truth.concepts if one.category.casefold() in named]
    if not concepts:
        raise InputError(
            f"the predictions are of {listed(predictions.concepts) or 'nothing'} and the truth "
            f"of {listed(one.category for one in truth.concepts)}: nothing can be compared"
        )
    shown = truth.dataset.images
    covered = {shown[one]["file_name"]: own for one, own in pair_images(predictions, truth.dataset).items()}
    missing = truth.images - covered.keys()
    if missing and not (partial and covered):
        raise InputError(
            f"{len(missing)} of {len(truth.images)} images of the truth are not in the predictions, such as "
            f"{cut(min(missing), 80)}: segment them too, or allow a partial evaluation"
        )
    return Report(tuple(_score(predictions, one, covered, on_image) for one in concepts))


def calibration(pairs: tuple[tuple[float, bool], ...]) -> Reliability:
    """Reliability of (score, outcome) pairs."""
    return reliability([score for score, _ in pairs], [right for _, right in pairs])


def _score(
    predictions: Dataset, concept: ConceptTruth, covered: Mapping[str, Id], on_image: Step
) -> ConceptScore:
    category = concept.category
    masks: list[tuple[float, bool]] = []
    images: list[ImageScore] = []
    for file, read in concept.positives.items():
        shown = read()
        images.append(_positive(predictions, category, file, covered.get(file), shown))
        masks += _judged(predictions, category, covered.get(file), shown)
        on_image()
    false: list[FalseMask] = []
    negatives = sorted(covered.keys() - set(concept.positives) - concept.ignored)
    for file in negatives:
        found = predictions.of(covered[file], category)
        united = rle.union(predictions.masks(found))
        share = 0.0 if united is None else rle.area(united) / (united.height * united.width)
        if share > FALSE_MASK:
            false.append(FalseMask(file, covered[file], share))
        masks += [(sure, False) for one in found if (sure := score(one)) is not None]
        on_image()
    stated = ((file, predictions.presence(covered[file], category)) for file in sorted(covered))
    verdicts = tuple(
        (probability, file in concept.positives)
        for file, probability in stated
        if probability is not None and file not in concept.ignored
    )
    false.sort(key=lambda one: (-one.share, one.file_name))
    return ConceptScore(
        concept.name, category, tuple(images), tuple(false), len(negatives), tuple(masks), verdicts
    )


def _positive(predictions: Dataset, category: str, file: str, own: Id | None, shown: Labelled) -> ImageScore:
    height, width = shown.mask.shape
    predicted = predictions.union(own, category, shape=(height, width))
    return ImageScore(
        file,
        own,
        overlap(predicted, shown.mask, valid=shown.valid),
        boundary_f(predicted, shown.mask, valid=shown.valid),
    )


def _judged(predictions: Dataset, category: str, own: Id | None, shown: Labelled) -> list[tuple[float, bool]]:
    """(score, whether it is right) of each scored mask of an image that shows the concept."""
    return [
        (sure, hits(at_shape(predictions.mask(one), shown.mask.shape), shown.mask, valid=shown.valid))
        for one in ([] if own is None else predictions.of(own, category))
        if (sure := score(one)) is not None
    ]


def _concept_json(one: ConceptScore) -> dict[str, Any]:
    interval = bootstrap([one.ious]) if one.images else None
    return {
        **_finite(one.figures()),
        "interval": _ends(interval),
        "positives": len(one.images),
        "negatives": one.negatives,
        "images": [
            {"file_name": image.file_name, "iou": image.overlap.iou, "boundary_f": image.boundary_f}
            for image in one.images
        ],
        "false": [{"file_name": false.file_name, "share": false.share} for false in one.false],
    }


def _bins(curve: Reliability) -> dict[str, Any]:
    return {
        "ece": _finite({"ece": curve.error})["ece"],
        "counts": curve.counts.tolist(),
        "confidence": [None if math.isnan(value) else value for value in curve.confidence.tolist()],
        "frequency": [None if math.isnan(value) else value for value in curve.frequency.tolist()],
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {key: None if math.isnan(value) else value for key, value in values.items()}


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
