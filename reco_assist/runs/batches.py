"""A finished batch of a run, and how it is made and written down."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.masks import Rle
from reco_assist.runs.crashes import crashing, marked
from reco_assist.segmenter import Predictor, Skipped, Target


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch came to.

    Attributes:
        predictions: Of its readable images, in their order.
        skipped: (file name, reason) of the others.
    """

    predictions: tuple[Prediction, ...]
    skipped: tuple[tuple[str, str], ...]

    def record(self) -> dict[str, Any]:
        """As values for JSON."""
        return {"predictions": [_record(one) for one in self.predictions], "skipped": self.skipped}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """From what `record` gave."""
        return cls(
            tuple(_prediction(one) for one in record["predictions"]),
            tuple((str(name), str(reason)) for name, reason in record["skipped"]),
        )


def make_batch(
    segmenter: Predictor, targets: Sequence[Target], *, without: Mapping[Target, str] | None = None
) -> Batch:
    """Segment one batch, without targets that are known to be unusable, for the reasons that are given."""
    reasons = dict(without or {})
    results = segmenter.segment([target for target in targets if target not in reasons])
    predictions = [segmenter.decide(result) for result in results if not isinstance(result, Skipped)]
    reasons |= {result.target: result.reason for result in results if isinstance(result, Skipped)}
    skipped = [(target.file_name, reasons[target]) for target in targets if target in reasons]
    return Batch(tuple(predictions), tuple(skipped))


def make_batches(segmenter: Predictor, batches: Iterable[Sequence[Target]], mark: Path) -> Generator[Batch]:
    """Segment batches in this process.

    Args:
        segmenter: What makes the masks.
        batches: Of targets.
        mark: A file that is there while this goes on; where an earlier process died, its first batch is made
            without the images that crash a decoder.

    Raises:
        StorageError: The mark cannot be made.
    """
    with marked(mark) as died:
        for number, targets in enumerate(batches):
            without = crashing(targets) if died and number == 0 else None
            yield make_batch(segmenter, targets, without=without)


def _record(prediction: Prediction) -> dict[str, Any]:
    return {**asdict(prediction), "verdicts": [verdict.to_json() for verdict in prediction.verdicts]}


def _prediction(record: Mapping[str, Any]) -> Prediction:
    return Prediction(
        ImageRef(**record["image"]),
        tuple(
            Region(region["concept"], Rle(**region["mask"]), region["score"]) for region in record["regions"]
        ),
        tuple(Verdict.from_json(verdict) for verdict in record["verdicts"]),
    )
