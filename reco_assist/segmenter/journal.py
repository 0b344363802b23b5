"""The journal of a run: every finished batch on disk at once, so that a killed run goes on where it was.

One line of JSON for each batch, synced before the next batch begins. A line cut short by a kill is dropped,
and its batch, which has the same images, is made again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from reco_assist.annotations import Prediction
from reco_assist.cluster import Cluster
from reco_assist.errors import FormatError, InputError
from reco_assist.files import make_folder
from reco_assist.images import status
from reco_assist.json_files import JsonLog, json_line
from reco_assist.segmenter.batches import Batch, make_batch
from reco_assist.segmenter.crashes import crashing, marked
from reco_assist.segmenter.predictor import Predictor
from reco_assist.segmenter.segmenter import Segmenter
from reco_assist.segmenter.targets import Target

FORMAT = 1


class Journal:
    """Finished batches of one run. A run with other settings begins a new journal.

    Args:
        path: The journal's file.
        settings: Everything that decides the results, as JSON values.

    Raises:
        StorageError: The file cannot be written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        # The bytes of the first line are those of every release, so that older runs go on.
        head = json.dumps(
            {"format": FORMAT, "settings": dict(settings)},
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
        )
        make_folder(path.parent)
        self._log = JsonLog(path, head.encode() + b"\n")
        self._keys = list(_keys(self._log))
        self._log.cut(len(self._keys))

    def __len__(self) -> int:
        """Finished batches."""
        return len(self._keys)

    @property
    def mark(self) -> Path:
        """A hidden file that is there while a run goes on, and after one that died."""
        return self._log.path.with_name(".unfinished")

    def holds(self, position: int, targets: Sequence[Target]) -> bool:
        """Whether the batch at a position is finished and had these files, unchanged.

        Other files void the batch and all that follow it.
        """
        if position < len(self._keys) and self._keys[position] != _fingerprint(targets):
            del self._keys[position:]
            self._log.cut(position)
        return position < len(self._keys)

    def append(self, targets: Sequence[Target], batch: Batch) -> None:
        """Add a finished batch; it is on disk when this returns.

        Raises:
            StorageError: It cannot be written; what was there stays.
        """
        key = _fingerprint(targets)
        self._log.append(json_line({"batch": key, **batch.record()}))
        self._keys.append(key)

    def batches(self) -> Iterator[Batch]:
        """The finished batches, read from disk one at a time.

        Raises:
            FormatError: One is not as a run writes it.
        """
        for number, record in enumerate(self._log.records(), 1):
            try:
                yield Batch.of(record)
            except (KeyError, TypeError, ValueError) as error:
                raise FormatError(
                    f"Batch {number} of {self._log.path} is damaged ({str(error)[:80]}); remove that file "
                    "and run again."
                ) from error

    def predictions(self) -> Iterator[Prediction]:
        """All predictions, in the order of the run."""
        for batch in self.batches():
            yield from batch.predictions


def run(
    segmenter: Predictor,
    batches: Iterator[Sequence[Target]],
    journal: Journal,
    *,
    cluster: Cluster | None = None,
) -> Iterator[int]:
    """Segment batches of targets into a journal; batches it holds already are not made again.

    After a run that died, the first batch is made without the images that crash a decoder, if there are any.

    Args:
        segmenter: What makes the masks.
        batches: Of targets; an earlier run must have had the same.
        journal: Where the results go.
        cluster: A Ray cluster that does the work, with the images at the same paths; this process if None.

    Yields:
        The number of images of each batch, once it is on disk.

    Raises:
        StorageError: The journal cannot be written.
        InputError: A cluster is given, and what makes the masks is no Segmenter.
    """
    todo = batches
    for position, targets in enumerate(batches):
        if not journal.holds(position, targets):
            todo = chain([targets], batches)  # what is held is a beginning: nothing after this is
            break
        yield len(targets)
    if cluster is None:
        with marked(journal.mark) as died:
            for number, targets in enumerate(todo):
                without = crashing(targets) if died and number == 0 else None
                journal.append(targets, make_batch(segmenter, targets, without=without))
                yield len(targets)
    else:
        from reco_assist.segmenter.distributed import make_batches  # noqa: PLC0415  (Ray is an extra)

        if not isinstance(segmenter, Segmenter):
            raise InputError("The engine ray segments with Concepts only; run a student on this machine.")
        for targets, batch in make_batches(cluster, segmenter, todo):
            journal.append(targets, batch)
            yield len(targets)


def _keys(log: JsonLog) -> Iterator[str]:
    """The keys of the batches up to the first line that is none; it and what follows are made again."""
    try:
        for record in log.records():
            if not isinstance(record, dict) or "batch" not in record:
                return
            yield str(record["batch"])
    except FormatError:
        return


def _fingerprint(targets: Sequence[Target]) -> str:
    facts = []
    for target in targets:
        try:
            found = status(target.path)
            facts.append((target.file_name, found.bytes, found.mtime_ns))
        except OSError:
            facts.append((target.file_name, -1, -1))
    return sha256(json.dumps(facts).encode()).hexdigest()
