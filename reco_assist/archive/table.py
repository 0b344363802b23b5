"""The Lance table of an archive: one row per image, keyed by content hash.

n rows, D language-image and C dense dimensions
"""

import errno
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from reco_assist.encoders.compact import Codes, CompactCells
from reco_assist.errors import ArchiveError, StorageError, reason
from reco_assist.safe_paths import storage_error

_FRAGMENTS = 64  # reading from more files than this is noticeably slower
_ROWS_PER_FRAGMENT = 1 << 16
_KEEP_VERSIONS = timedelta(hours=1)  # for readers in other processes, which hold the version they opened
_HASHES_PER_QUERY = 4096
_UNREADABLE = (OSError, pa.ArrowInvalid)  # Lance's words for a version that is gone and for damaged data


@dataclass(frozen=True, slots=True)
class Row:
    """Where an image lies and how its file looked when it was read.

    Attributes:
        content_hash: SHA-256 of the file's bytes, hexadecimal.
        path: Absolute.
        bytes: Size of the file.
        mtime_ns: Time of its last change, in nanoseconds.
    """

    content_hash: str
    path: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class ImageRow:
    """All that is known of an image except its embeddings.

    Attributes:
        row: The file.
        width: Pixels, EXIF orientation applied.
        height: Pixels, EXIF orientation applied.
        thumbnail: A small JPEG.
    """

    row: Row
    width: int
    height: int
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """How many numbers an encoder makes of an image, and how many cells are kept.

    Attributes:
        language: D.
        language_cells: Kept language cells of each image.
        dense: C.
        dense_cells: Kept dense cells of each image.
        whole: E, of global vectors; None where it is D.
    """

    language: int
    language_cells: int
    dense: int
    dense_cells: int
    whole: int | None = None

    @property
    def embedding(self) -> int:
        """E."""
        return self.language if self.whole is None else self.whole

    def schema(self) -> pa.Schema:
        """Columns of a table for such images."""
        columns = {
            "content_hash": pa.string(),
            "path": pa.string(),
            "width": pa.int32(),
            "height": pa.int32(),
            "bytes": pa.int64(),
            "mtime_ns": pa.int64(),
            "embedding": pa.list_(pa.float16(), self.embedding),
            "language_bits": pa.list_(pa.uint8(), self.language_cells * _packed(self.language)),
            "language_factors": pa.list_(pa.float16(), self.language_cells),
            "dense_bits": pa.list_(pa.uint8(), self.dense_cells * _packed(self.dense)),
            "dense_factors": pa.list_(pa.float16(), self.dense_cells),
            "thumbnail": pa.binary(),
        }
        return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


@dataclass(frozen=True, slots=True)
class Vectors:
    """What the table keeps of n images for search.

    Attributes:
        embedding: (n, E) float16 global vectors as the encoder gave them.
        cells: Their compact cells.
    """

    embedding: NDArray[np.float16]
    cells: CompactCells

    @classmethod
    def of(cls, rows: pa.Table | pa.RecordBatch) -> Self:
        """Read the columns `VECTOR_COLUMNS` of some rows."""
        return cls(fixed_lists(rows["embedding"]), cells_of(rows))

    def columns(self) -> dict[str, pa.Array]:
        """The columns `VECTOR_COLUMNS`."""
        return {
            "embedding": _lists(self.embedding),
            "language_bits": _lists(self.cells.language.bits),
            "language_factors": _lists(self.cells.language.factors),
            "dense_bits": _lists(self.cells.dense.bits),
            "dense_factors": _lists(self.cells.dense.factors),
        }


CELL_COLUMNS = ["language_bits", "language_factors", "dense_bits", "dense_factors"]
VECTOR_COLUMNS = ["embedding", *CELL_COLUMNS]


class Table:
    """A version of the table. Writing methods move on to the version that they make.

    Args:
        path: The table's folder.
        shape: The archive's; a table of other columns is refused.

    Raises:
        ArchiveError: It cannot be read, or is another one.
    """

    def __init__(self, path: Path, shape: Shape) -> None:
        self._path = path
        try:
            self._data, schema = open_data(path)
        except (OSError, ValueError) as error:
            raise ArchiveError(
                f"The table {path} cannot be read; run 'reco-assist doctor {path.parent}'."
            ) from error
        if not schema.equals(shape.schema()):
            raise ArchiveError(
                f"The table {path} has other columns than its archive states; run 'reco-assist doctor "
                f"{path.parent}'."
            )

    @staticmethod
    def create(path: Path, shape: Shape) -> None:
        """Create an empty table.

        Raises:
            StorageError: The place cannot be written.
        """
        try:
            lance.write_dataset(shape.schema().empty_table(), str(path))
        except OSError as error:
            raise _write_error(path, error) from error

    @property
    def version(self) -> int:
        """Number of this version; every change counts it up."""
        return int(self._data.version)

    def __len__(self) -> int:
        return int(self._data.count_rows())

    def append(self, rows: Sequence[ImageRow], vectors: Vectors) -> None:
        """Add rows in one commit: after a crash all of them are there, or none.

        Args:
            rows: n images.
            vectors: What is kept of them for search.

        Raises:
            StorageError: The place cannot be written; the table is as it was.
        """
        columns = {
            "content_hash": [image.row.content_hash for image in rows],
            "path": [image.row.path for image in rows],
            "width": [image.width for image in rows],
            "height": [image.height for image in rows],
            "bytes": [image.row.bytes for image in rows],
            "mtime_ns": [image.row.mtime_ns for image in rows],
            "thumbnail": [image.thumbnail for image in rows],
            **vectors.columns(),
        }
        names = self._data.schema.names
        table = pa.table({name: columns[name] for name in names}, schema=self._data.schema)
        try:
            self._data = lance.write_dataset(table, self._data, mode="append")
        except OSError as error:
            raise _write_error(self._path, error) from error

    def relocate(self, rows: Sequence[Row]) -> None:
        """Give known images other paths, sizes and times, in one commit.

        Raises:
            StorageError: The place cannot be written; the table is as it was.
        """
        names = Row.__dataclass_fields__
        table = pa.table({name: [getattr(row, name) for row in rows] for name in names})
        try:
            self._data.merge_insert("content_hash").when_matched_update_all().execute(table)
        except OSError as error:
            raise _write_error(self._path, error) from error

    def delete(self, hashes: Sequence[str]) -> None:
        """Drop images; those that are not there are ignored.

        Raises:
            StorageError: The place cannot be written.
        """
        try:
            for part in _parts(hashes):
                self._data.delete(_among(part))
        except OSError as error:
            raise _write_error(self._path, error) from error

    def tidy(self) -> None:
        """Join small fragments and drop versions that nobody reads any more.

        Raises:
            StorageError: The place cannot be written; the table is as it was.
        """
        try:
            if len(self._data.get_fragments()) > _FRAGMENTS:
                self._data.optimize.compact_files(target_rows_per_fragment=_ROWS_PER_FRAGMENT)
                self._data = lance.dataset(str(self._path))
            self._data.cleanup_old_versions(older_than=_KEEP_VERSIONS)
        except OSError as error:
            raise _write_error(self._path, error) from error

    def rows(self) -> Iterator[Row]:
        """Where every image lies, in the table's order."""
        for batch in self.scan(list(Row.__dataclass_fields__)):
            yield from (Row(**values) for values in batch.to_pylist())

    def scan(self, columns: list[str], *, start: int = 0, batch_size: int = 8192) -> Iterator[pa.RecordBatch]:
        """Some columns of the rows from a position on, in the table's order, some at a time.

        Raises:
            ArchiveError: The table changed so much since it was opened that this version is gone.
        """
        with self._reading():
            yield from self._data.to_batches(
                columns=columns, batch_size=batch_size, offset=start or None, scan_in_order=True
            )

    def positions(self, condition: str | None, *, without: Collection[str] = ()) -> NDArray[np.int64]:
        """Positions of the rows that a condition holds for, ascending.

        Args:
            condition: In SQL, over the table's columns; all rows if None.
            without: Content hashes to leave out.

        Raises:
            ArchiveError: The table changed so much since it was opened that this version is gone.
        """
        columns = ["_rowoffset", "content_hash"] if without else ["_rowoffset"]
        with self._reading():
            found = self._data.to_table(columns=columns, filter=condition)
        if without:
            known = pa.array(without, pa.string())
            found = found.filter(pc.invert(pc.is_in(found["content_hash"], value_set=known)))
        positions: NDArray[np.int64] = np.sort(found["_rowoffset"].to_numpy().astype(np.int64))
        return positions

    def take(self, positions: Sequence[int], columns: list[str]) -> pa.Table:
        """Some columns of the rows at some positions in the table's order.

        Raises:
            ArchiveError: The table changed so much since it was opened that this version is gone.
        """
        with self._reading():
            return self._data.take([int(position) for position in positions], columns=columns)

    def spread(self, most: int) -> NDArray[np.int64]:
        """Positions of all images, or of so many of them, in order of content hash.

        That order depends on which images there are only, the table's own also on how they came.
        """
        hashes = [
            value for batch in self.scan(["content_hash"]) for value in batch["content_hash"].to_pylist()
        ]
        order = np.argsort(hashes)  # (n,)
        return order[np.linspace(0, len(order) - 1, min(len(order), most)).astype(np.int64)]

    def find(self, hashes: Sequence[str], columns: list[str]) -> dict[str, dict[str, Any]]:
        """Some columns of some images, by content hash; images that are not there are left out.

        Raises:
            ArchiveError: The table changed so much since it was opened that this version is gone.
        """
        wanted = ["content_hash", *(name for name in columns if name != "content_hash")]
        with self._reading():
            return {
                values["content_hash"]: values
                for part in _parts(hashes)
                for values in self._data.to_table(columns=wanted, filter=_among(part)).to_pylist()
            }

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with without_panic():
                yield
        except _UNREADABLE as error:
            raise ArchiveError(
                f"{self._path} cannot be read ({reason(error)}); if another process has changed the "
                f"archive, open it again, else run 'reco-assist doctor {self._path.parent}'."
            ) from error


def open_data(path: Path) -> tuple[lance.LanceDataset, pa.Schema]:
    """A table of Lance and its columns.

    Raises:
        OSError: It cannot be read.
        ValueError: It cannot be read.
    """
    with without_panic():
        data = lance.dataset(str(path))
        return data, data.schema


@contextmanager
def without_panic() -> Iterator[None]:
    """Turn a panic of Lance into an error: damaged data may end in one, and it is no `Exception`.

    Raises:
        OSError: There was a panic.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # its class cannot be imported
            raise
        raise OSError(errno.EIO, f"Lance gave up: {reason(error)}") from error


def cells_of(rows: pa.Table | pa.RecordBatch) -> CompactCells:
    """Read the columns `CELL_COLUMNS` of some rows."""
    codes = []
    for name in ("language", "dense"):
        factors = fixed_lists(rows[f"{name}_factors"])  # (n, cells)
        bits = fixed_lists(rows[f"{name}_bits"])  # (n, cells * bytes)
        bits = bits.reshape(*factors.shape, bits.shape[1] // factors.shape[1])  # (n, cells, bytes)
        codes.append(Codes(bits, factors))
    return CompactCells(*codes)


def fixed_lists(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """A column of n equally long lists as an array (n, length)."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.asarray(column.flatten()).reshape(len(column), column.type.list_size)


def _lists(values: NDArray[Any]) -> pa.FixedSizeListArray:
    flat = values.reshape(len(values), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])


def _packed(dimensions: int) -> int:
    """Bytes of one bit per dimension."""
    return (dimensions + 7) // 8


def _parts(hashes: Sequence[str]) -> Iterable[Sequence[str]]:
    return (hashes[start : start + _HASHES_PER_QUERY] for start in range(0, len(hashes), _HASHES_PER_QUERY))


def _among(hashes: Sequence[str]) -> str:
    if not all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes):
        raise ArchiveError("A content hash has 64 hexadecimal digits; give one from a search result.")
    return "content_hash IN ('{}')".format("','".join(hashes))


def _write_error(path: Path, error: OSError) -> StorageError:
    """Lance tells the system's error number in its text only."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else error.errno or errno.EIO
    return storage_error(path, OSError(code, os.strerror(code)))
