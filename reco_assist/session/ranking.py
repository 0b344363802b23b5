"""Ranking: which images of a folder to review first, before any session begins. A stopped run goes on."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reco_assist.annotations.regions import AUTOMATIC
from reco_assist.folders import make_output_folder
from reco_assist.images import Stamp, is_of, read_stamp, stamp
from reco_assist.json_files import JsonLog, json_line
from reco_assist.segmenter import Predictor, ProbabilityMaps, Skipped, Target
from reco_assist.session.order import disagreement, doubt, pack_look, review_order, unpack_looks

log = logging.getLogger("reco_assist")

_BATCH = 8
_RANKING = "ranking.jsonl"


@dataclass(frozen=True, slots=True)
class Ranked:
    """What makes an image worth reviewing.

    Attributes:
        file_name: As data sets name it.
        doubt: Of its least certain concept, 0 to 1.
        disagreement: 1 - IoU of the two predictors about the concept they differ in most; 0 with one of them.
        look: What it looks like as a whole, see `order.pack_look`.
        stamp: Of its file when it was looked at; None in files of older releases.
    """

    file_name: str
    doubt: float
    disagreement: float
    look: str
    stamp: Stamp = None

    @property
    def gain(self) -> float:
        """How much its review may teach."""
        return max(self.doubt, self.disagreement)


class Ranking:
    """Figures about images in a folder, and the order that follows from them.

    Args:
        folder: Of its file, which is kept if it is of the same predictors; made if missing. Hold
            `locks.only_writer` of it where another process may rank, too.
        predictor: What segments.
        second: Another one, to disagree with; None if there is none.

    Attributes:
        skipped: (file name, reason) of images that could not be read.
    """

    def __init__(self, folder: Path, predictor: Predictor, second: Predictor | None = None) -> None:
        self._predictor, self._second = predictor, second
        self.skipped: list[tuple[str, str]] = []
        digests = [predictor.digests, {} if second is None else second.digests]
        head = json.dumps(digests, ensure_ascii=False).encode() + b"\n"
        self._log = JsonLog(make_output_folder(folder) / _RANKING, head)
        records = self._log.records(damaged=log.warning)
        self._found = {one.file_name: one for one in map(_read, records) if one is not None}

    def add(self, targets: Sequence[Target]) -> Iterator[int]:
        """Look at what was not looked at yet, or has changed since.

        Yields:
            How many targets were dealt with, after each batch that is on disk.

        Raises:
            StorageError: The file cannot be written; what was there stays.
        """
        for start in range(0, len(targets), _BATCH):
            batch = targets[start : start + _BATCH]
            left = [target for target in batch if not self._knows(target)]
            stamps = [stamp(target.path) for target in left]  # before the files are read
            seen = self._predictor.segment(left) if left else ()
            lines = []
            for target, stamped, one in zip(left, stamps, seen, strict=True):
                if isinstance(one, Skipped):
                    self._found.pop(target.file_name, None)
                    self.skipped.append((target.file_name, one.reason))
                    continue
                ranked = self._ranked(target, one, stamped)
                self._found[target.file_name] = ranked
                lines.append(json_line(asdict(ranked)))
            if lines:
                self._log.append(*lines)
            yield len(batch)

    def order(self, targets: Sequence[Target]) -> list[Ranked]:
        """The images that were looked at, the one first whose review teaches most."""
        found = [self._found[target.file_name] for target in targets if target.file_name in self._found]
        looks = unpack_looks([one.look for one in found])
        return [found[i] for i in review_order([one.gain for one in found], looks)]

    def _knows(self, target: Target) -> bool:
        found = self._found.get(target.file_name)
        return found is not None and is_of(found.stamp, target.path)

    def _ranked(self, target: Target, one: ProbabilityMaps, stamped: Stamp) -> Ranked:
        sure = [doubt(*pair) for pair in zip(one.maps, (v.probability for v in one.verdicts), strict=True)]
        apart = 0.0
        if self._second is not None:
            (other,) = self._second.segment([target])
            if isinstance(other, ProbabilityMaps):
                apart = _apart(one, other)
        return Ranked(target.file_name, max(sure), round(apart, 4), pack_look(one.embedding), stamped)


def _read(record: Any) -> Ranked | None:  # noqa: ANN401  (any JSON value)
    """A line of the file, which may come from anybody; None where it is none: that image is ranked again."""
    try:
        found = Ranked(**{**record, "stamp": read_stamp(record.get("stamp"))})
        unpack_looks([found.look])
        numbers = (found.doubt, found.disagreement)
        sound = isinstance(found.file_name, str) and all(
            isinstance(number, int | float) and 0 <= number <= 1 for number in numbers
        )
    except (TypeError, ValueError, AttributeError):
        sound = False
    if sound:
        return found
    log.warning("A line of %s is no figure of an image; that one is ranked again.", _RANKING)
    return None


def _apart(first: ProbabilityMaps, second: ProbabilityMaps) -> float:
    """The largest disagreement about a concept that both know."""
    masks = {
        verdict.concept: levels >= AUTOMATIC
        for verdict, levels in zip(second.verdicts, second.maps, strict=True)
    }
    return max(
        disagreement(levels >= AUTOMATIC, np.asarray(masks[verdict.concept]))
        for verdict, levels in zip(first.verdicts, first.maps, strict=True)
        if verdict.concept in masks
    )
