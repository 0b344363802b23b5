"""The journal of a run: every finished batch on disk at once, so that a killed run goes on where it was.

One line of JSON for each batch, synced before the next batch begins. A line cut short by a kill is dropped,
and its batch, which has the same images, is made again.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from reco_assist.errors import FormatError, reason
from reco_assist.folders import make_folder
from reco_assist.images import Stamp
from reco_assist.json_files import JsonLog, json_line
from reco_assist.runs.batches import Batch
from reco_assist.segmenter import Target

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
        self._entries = list(_entries(self._log))
        self._log.cut(len(self._entries))

    def __len__(self) -> int:
        """Finished batches."""
        return len(self._entries)

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(file name, reason) of the images without masks."""
        return [one for entry in self._entries for one in entry.skipped]

    @property
    def regions(self) -> Counter[str] | None:
        """How many regions each concept has; None where a batch is not as a run writes it."""
        total = Counter[str]()
        for entry in self._entries:
            if entry.regions is None:
                return None
            total.update(entry.regions)
        return total

    def holds(self, position: int, key: str) -> bool:
        """Whether the batch at a position is finished and has this key."""
        return position < len(self._entries) and self._entries[position].key == key

    def cut(self, count: int) -> None:
        """Keep the first batches only; others stay on disk until the next is appended."""
        del self._entries[count:]
        self._log.cut(count)

    def append(self, key: str, batch: Batch) -> None:
        """Add a finished batch; it is on disk when this returns.

        Raises:
            StorageError: It cannot be written; what was there stays.
        """
        self._log.append(json_line({"batch": key, **batch.record()}))
        self._entries.append(_Entry.of(key, batch))

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
                    f"Batch {number} of {self._log.path} is damaged ({reason(error)}); remove that file "
                    "and run again."
                ) from error


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is remembered of a batch, so that the journal is not read for it again.

    Attributes:
        key: What the batch is of; see `key_of`.
        skipped: (file name, reason) of its images without masks.
        regions: How many each concept has; None where the line is damaged, which whoever reads it says.
    """

    key: str
    skipped: tuple[tuple[str, str], ...]
    regions: Counter[str] | None

    @classmethod
    def of(cls, key: str, batch: Batch) -> Self:
        """Of a batch."""
        regions = Counter(region.concept for one in batch.predictions for region in one.regions)
        return cls(key, batch.skipped, regions)


def _entries(log: JsonLog) -> Iterator[_Entry]:
    """The batches up to the first line that is none; it and what follows are made again."""
    try:
        for record in log.records():
            if not isinstance(record, dict) or "batch" not in record:
                return
            try:
                yield _Entry.of(str(record["batch"]), Batch.of(record))
            except (KeyError, TypeError, ValueError):
                yield _Entry(str(record["batch"]), (), None)
    except FormatError:
        return


def key_of(targets: Sequence[Target], stamps: Sequence[Stamp]) -> str:
    """What says that a batch is of these files, unchanged."""
    facts = [(target.file_name, *(one or (-1, -1))) for target, one in zip(targets, stamps, strict=True)]
    return sha256(json.dumps(facts).encode()).hexdigest()
