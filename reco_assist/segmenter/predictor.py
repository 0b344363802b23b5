"""Predictor: whatever says where named things are: Concepts with their `Segmenter`, or a trained student."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from reco_assist.annotations import Prediction
from reco_assist.errors import ImageError
from reco_assist.segmenter.targets import ProbabilityMaps, Skipped, Target


class Predictor(Protocol):
    """What runs, sessions, exports and servers need in order to segment."""

    @property
    def digests(self) -> dict[str, str]:
        """Identity of what finds each concept, by the concept's name, in the order of the maps."""

    def about(self) -> list[dict[str, Any]]:
        """JSON values about each concept for data sets: `name`, `digest`, and where it comes from."""

    def segment(self, targets: Sequence[Target]) -> list[ProbabilityMaps | Skipped]:
        """Probability maps of one batch; unreadable images are skipped, not fatal."""

    def decide(self, segmented: ProbabilityMaps) -> Prediction:
        """Regions of the maps at the threshold."""


def predict(
    predictor: Predictor, images: Iterable[Path | Target], *, batch_size: int
) -> Iterator[Prediction]:
    """Masks of images, one prediction each, in their order, while they are made.

    Raises:
        ImageError: An image cannot be read.
    """
    targets = (image if isinstance(image, Target) else Target(image, image.name) for image in images)
    while batch := list(islice(targets, batch_size)):
        for result in predictor.segment(batch):
            if isinstance(result, Skipped):
                raise ImageError(result.reason)
            yield predictor.decide(result)
