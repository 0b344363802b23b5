"""From image files to rows of the table: decoded beside the model, committed batch by batch.

Why a killed and resumed run leaves the same rows as an undisturbed one: the listing is sorted; the new images
are those whose content the table lacks, in the order of the listing; batch n holds the n-th `batch_size` of
them; and a commit holds one whole batch, in order. So what is committed at any moment is a prefix of the new
images that ends at a batch boundary, and the images that are new to the next run, being the rest, fall into
the same batches as before. What an image's vectors are can depend on its batch (float sums are ordered by
shape), but its batch does not depend on when the run was killed. Everything else that is written (moved
paths, `skipped.json`, the frozen mean) is computed from the files and the table and comes out the same.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from reco_assist.archive.engines import Engine, Examined
from reco_assist.archive.table import ImageRow, Row, Table
from reco_assist.errors import EncoderError, InputError
from reco_assist.files import write_bytes
from reco_assist.images import address, is_remote, is_there, list_images, say_unread, status, unnamed_store
from reco_assist.json_files import read_json

log = logging.getLogger("reco_assist")

_MOVES_PER_COMMIT = 4096
_BATCHES_BETWEEN_TIDYING = 256
_LARGEST_LIST = 512 << 20  # bytes of the list of skipped files; some millions


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of the files that were added.

    Attributes:
        added: New images.
        known: Files that were in the archive already, or were rejected before.
        moved: Known images whose file was found at another path; the archive has the new path now.
        duplicates: Files with the same bytes as an image that still lies elsewhere.
        rejected: Files that cannot be used and why, each reported only once until it changes.
        unread: How many files of folders were left out, by ending: no images, or of other formats.
    """

    added: int = 0
    known: int = 0
    moved: int = 0
    duplicates: int = 0
    rejected: tuple[tuple[Path, str], ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict, compare=False)


class Skipped(NamedTuple):
    """A file that is not in the table, and how it looked when it was read."""

    bytes: int
    mtime_ns: int
    content_hash: str | None
    reason: str | None


class Ledger:
    """Which files are known: the rows of the table, and the files skipped in earlier runs.

    Args:
        table: The table.
        skipped_path: The file that remembers skipped files; a cache, which may be missing.
    """

    def __init__(self, table: Table, skipped_path: Path) -> None:
        self.by_hash: dict[str, Row] = {}
        self.by_path: dict[str, str] = {}
        self.contested: set[str] = set()  # paths at which the file differs from what a row says
        self._skipped_path = skipped_path
        self.skipped = load_skipped(skipped_path)
        for row in table.rows():
            self.enter(row)

    def enter(self, row: Row) -> None:
        """Enter a new image, or the new place of a known one."""
        if self.by_path.get(row.path, row.content_hash) != row.content_hash:
            self.contested.add(row.path)
        self.by_hash[row.content_hash] = row
        self.by_path[row.path] = row.content_hash
        self.skipped.pop(row.path, None)

    def lookup(self, path: str, size: int, mtime_ns: int) -> tuple[str | None, str | None] | None:
        """Content hash and reason of rejection of a file that was read before and looks the same; or None."""
        row = self.by_hash.get(self.by_path.get(path, ""))
        if row is not None and (row.path, row.bytes, row.mtime_ns) == (path, size, mtime_ns):
            return row.content_hash, None
        skipped = self.skipped.get(path)
        if skipped is not None and (skipped.bytes, skipped.mtime_ns) == (size, mtime_ns):
            return skipped.content_hash, skipped.reason
        return None

    def holds(self, content_hash: str) -> bool:
        """Whether there is an image with this content."""
        return content_hash in self.by_hash

    def hashes(self) -> Sequence[str]:
        """Content hashes of all images."""
        return list(self.by_hash)

    def orphans(self) -> list[str]:
        """Hashes of rows whose path now holds another file's content."""
        return [
            row.content_hash
            for row in self.by_hash.values()
            if row.path in self.contested and not _is_there(row)
        ]

    def save_skipped(self) -> None:
        """Remember the skipped files that are still there.

        Raises:
            StorageError: The place cannot be written.
        """
        kept = {path: entry for path, entry in sorted(self.skipped.items()) if _may_be_there(path)}
        write_bytes(self._skipped_path, json.dumps(kept, indent=0).encode())


def load_skipped(path: Path) -> dict[str, Skipped]:
    """Files skipped in earlier runs, by absolute path; none where the cache is missing or damaged."""
    try:
        return {name: Skipped(*entry) for name, entry in read_json(path, _LARGEST_LIST).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        log.warning("The list of skipped files %s is damaged; those files are looked at again.", path)
        return {}


class Ingest:
    """One run of adding files to a table.

    Args:
        table: The table; written by this process only.
        ledger: Which files are known.
        engine: What reads and encodes the files.
        batch_size: Images that are committed together.
    """

    def __init__(self, table: Table, ledger: Ledger, engine: Engine, *, batch_size: int) -> None:
        self._table = table
        self._ledger = ledger
        self._engine = engine
        self._batch_size = batch_size
        self._batch: list[tuple[ImageRow, Examined]] = []
        self._batches = 0
        self._moves: dict[str, Row] = {}
        self._counts = Counter[str]()
        self._rejected: list[tuple[Path, str]] = []
        self._unread = Counter[str]()

    @property
    def report(self) -> AddReport:
        """What became of the files so far."""
        return AddReport(**self._counts, rejected=tuple(self._rejected), unread=dict(self._unread))

    def run(
        self,
        paths: Sequence[Path],
        *,
        skip: Sequence[Path],
        progress: bool,
        on_batch: Callable[[AddReport], None] | None,
    ) -> AddReport:
        """Add all images of some files and folders.

        Args:
            paths: Absolute paths of files and folders.
            skip: Folders to leave out.
            progress: Show a progress bar if standard error is a terminal.
            on_batch: Called with the report so far after every batch.

        Raises:
            InputError: A path is missing, or there is no image file at all.
            StorageError: The archive cannot be written; what was committed stays.
        """
        seen = 0
        # The engine opens shards.
        listing = list_images(paths, skip=skip, open_shards=False, unread=self._unread)
        with (
            closing(self._engine.examine(listing, self._ledger)) as files,
            tqdm(desc="Indexing", unit=" images", disable=None if progress else True) as bar,
        ):
            for examined in files:
                seen += 1
                self._take(examined)
                if len(self._batch) == self._batch_size:
                    self._commit_batch(on_batch)
                bar.update()
            if self._batch:
                self._commit_batch(on_batch)
        if seen == 0:
            names = ", ".join(str(path) for path in paths) or "an empty list of paths"
            said = f" ({left})" if (left := say_unread(self._unread)) else ""
            raise InputError(
                f"There are no images in {names}{said}; give photographs, or folders that hold some."
            )
        self._finish()
        return self.report

    def _take(self, examined: Examined) -> None:
        """Decide what a file is; called in the order of the listing."""
        ledger, path, content_hash = self._ledger, address(examined.path), examined.content_hash
        if ledger.by_path.get(path, content_hash) != content_hash:
            ledger.contested.add(path)
        if examined.reason is not None or content_hash is None:
            self._reject(examined)
            return
        here = Row(content_hash, path, examined.bytes, examined.mtime_ns)
        row = ledger.by_hash.get(content_hash)
        if row is None and (seen := examined.picture or examined.encoded) is not None:
            self._batch.append((ImageRow(here, seen.width, seen.height, seen.thumbnail), examined))
            ledger.enter(here)
            self._counts["added"] += 1
        elif row is None or row == here:
            self._counts["known"] += 1
        elif not _is_there(row):  # moved, or touched
            ledger.enter(here)
            self._moves[content_hash] = here
            self._counts["known" if row.path == path else "moved"] += 1
        else:
            ledger.skipped[path] = Skipped(examined.bytes, examined.mtime_ns, content_hash, None)
            self._counts["duplicates"] += 1
        # A move of an image that waits in the batch must not be written before the image itself.
        if len(self._moves) >= _MOVES_PER_COMMIT and not self._batch:
            self._commit_moves()

    def _reject(self, examined: Examined) -> None:
        path, reason = address(examined.path), examined.reason
        entry = Skipped(examined.bytes, examined.mtime_ns, examined.content_hash, reason)
        if self._ledger.skipped.get(path) == entry:
            self._counts["known"] += 1
        else:
            self._ledger.skipped[path] = entry
            self._rejected.append((examined.path, str(reason)))

    def _commit_batch(self, on_batch: Callable[[AddReport], None] | None) -> None:
        """Encode and store the batch in one commit."""
        rows = [row for row, _ in self._batch]
        vectors = self._engine.encode([examined for _, examined in self._batch])
        if not np.isfinite(vectors.embedding).all():
            raise EncoderError(
                f"The encoder {self._engine.encoder_name!r} returned values that are not finite numbers for "
                f"images between {rows[0].row.path} and {rows[-1].row.path}; check its weights."
            )
        self._table.append(rows, vectors)
        self._batch.clear()
        self._batches += 1
        if self._batches % _BATCHES_BETWEEN_TIDYING == 0:
            self._table.tidy()
        if on_batch is not None:
            on_batch(self.report)

    def _commit_moves(self) -> None:
        if self._moves:
            self._table.relocate(list(self._moves.values()))
            self._moves.clear()

    def _finish(self) -> None:
        self._commit_moves()
        if orphans := self._ledger.orphans():
            log.info(
                "%d images were replaced by other files under the same path and are dropped.", len(orphans)
            )
            self._table.delete(orphans)
        self._ledger.save_skipped()
        self._table.tidy()


def _is_there(row: Row) -> bool:
    """Whether the file that a row was made of still lies where it did, unchanged.

    Of a store that nobody named here that is not known: what the archive says of it stays.
    """
    place = Path(row.path)
    try:
        if unnamed_store(place):
            return True
        found = status(place)
    except OSError:
        return False
    return (found.bytes, found.mtime_ns) == (row.bytes, row.mtime_ns)


def _may_be_there(path: str) -> bool:
    """Whether a file is there; stores are not asked about every object."""
    place = Path(path)
    return is_remote(place) or is_there(place)
