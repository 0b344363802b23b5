"""What corrections teach: corrected masks become exemplars, rejected ones negatives; and whether it helps."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.archive import Archive
from reco_assist.concepts import Concept, learn_concept
from reco_assist.errors import InputError
from reco_assist.evaluation.overlap import overlap
from reco_assist.label_studio import LSTask, Pulled
from reco_assist.label_studio.comparison import find_image
from reco_assist.label_studio.pulled import union
from reco_assist.retrieval import Exemplar, mask_exemplar
from reco_assist.segmenter import Segmenter, Target

_ASIDE = 3  # every third corrected image is kept aside
_LEAST = 3  # corrected images with the concept below which none can be spared


@dataclass(frozen=True, slots=True)
class Gain:
    """What corrections were worth on corrected images that were kept aside.

    Attributes:
        images: Images with the concept that were kept aside.
        before: Mean IoU of the predictions that had been pushed with what people made of them.
        after: The same of the concept that learnt from the other corrections.
        others: Images without the concept that were kept aside.
        false_before: Of these, those that had been given a mask.
        false_after: Of these, those that are given one now.
    """

    images: int
    before: float
    after: float
    others: int
    false_before: int
    false_after: int

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        false = (
            f"; false masks {self.false_before} -> {self.false_after} of {self.others}" if self.others else ""
        )
        return (
            f"on {self.images} corrected images kept aside: IoU {self.before:.3f} -> {self.after:.3f}{false}"
        )


def correction_exemplars(
    pulled: Pulled, concept: str, *, without: Collection[str] = ()
) -> tuple[list[Exemplar], int]:
    """Exemplars from corrections: corrected masks, and as negatives the regions that people took away.

    Args:
        pulled: The corrections.
        concept: Which label.
        without: Content hashes of images to leave out.

    Returns:
        The exemplars, positive ones first, and how many corrected images were not found.

    Raises:
        InputError: The corrections are of other labels, or there is no corrected mask of this one.
    """
    if concept not in pulled.concepts:
        names = ", ".join(map(repr, pulled.concepts))
        raise InputError(f"The corrections in {pulled.folder} are of {names}, not of {concept!r}; name one.")
    positive: list[Exemplar] = []
    negative: list[Exemplar] = []
    missing = 0
    for one in pulled.answered:
        if one.image.content_hash in without:
            continue
        corrected, rejected = _masks(pulled, one, concept)
        if not corrected.any() and not rejected.any():
            continue
        path = find_image(pulled, one)
        if path is None:
            missing += 1
            continue
        source = f"correction of task {one.task}"
        if corrected.any():
            positive.append(mask_exemplar(path, corrected, source=source))
        if rejected.any():
            negative.append(mask_exemplar(path, rejected, source=source, negative=True))
    if not positive:
        where = (
            f"; {missing} corrected images are not in {pulled.images}, pull with --images" if missing else ""
        )
        raise InputError(f"There is no corrected mask of {concept!r} in {pulled.folder}{where}.")
    return positive + negative, missing


def measure_gain(
    archive: Archive, pulled: Pulled, concept: str, *, k: int = 20, contexts: Sequence[str] | None = None
) -> Gain | None:
    """Learn from two thirds of the corrections and look at the others; None if there are too few.

    Raises:
        InputError: See `correction_exemplars`.
        EncoderError: The archive's encoder is not available.
    """
    kept = [one for one in pulled.answered if find_image(pulled, one) is not None]
    # By content, so that the same images are kept aside each time.
    kept.sort(key=lambda one: sha256(one.image.content_hash.encode()).digest())
    shown = [one for one in kept if _masks(pulled, one, concept)[0].any()]
    if len(shown) < _LEAST:
        return None
    others = [one for one in kept if not _masks(pulled, one, concept)[0].any()]
    aside = shown[::_ASIDE] + others[::_ASIDE]
    exemplars, _ = correction_exemplars(pulled, concept, without={one.image.content_hash for one in aside})
    learnt = learn_concept(archive, concept, k=k, exemplars=exemplars, contexts=contexts)
    return _judge(archive, learnt, pulled, aside)


def _judge(archive: Archive, concept: Concept, pulled: Pulled, aside: Sequence[LSTask]) -> Gain:
    paths = [find_image(pulled, one) for one in aside]
    targets = [Target(path, one.image.file_name) for path, one in zip(paths, aside, strict=True) if path]
    before: list[float] = []
    after: list[float] = []
    others = false_before = false_after = 0
    predictions = Segmenter([concept], encoder=archive.encoder).predict(targets)
    for one, prediction in zip(aside, predictions, strict=True):
        truth, _ = _masks(pulled, one, concept.name)
        shown = one.prediction()
        old = union(shown.regions if shown else (), concept.name, one.image)
        new = prediction.mask(concept.name)
        if truth.any():
            before.append(overlap(old, truth).iou)
            after.append(overlap(new, truth).iou)
        else:
            others += 1
            false_before += bool(old.any())
            false_after += bool(new.any())
    means = [round(float(np.mean(values)), 4) for values in (before, after)]
    return Gain(len(before), means[0], means[1], others, false_before, false_after)


def _masks(pulled: Pulled, one: LSTask, concept: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(H, W) bool each: what people say is the concept, and predicted regions that they took away whole."""
    corrected = pulled.corrected(one).mask(concept)
    shown = one.prediction()
    left = {region.id for each in one.answered for region in each.regions}
    gone = [region for region in (shown.regions if shown else ()) if region.id not in left]
    return corrected, union(gone, concept, one.image) & ~corrected
