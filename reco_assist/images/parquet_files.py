"""The images in the rows of a Parquet file, which may be anybody's."""

import errno
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from reco_assist.errors import reason
from reco_assist.images.parquet_pages import pages_of, row_groups, unpacked_size
from reco_assist.images.places import Note, open_buffered, open_file

if TYPE_CHECKING:
    from pyarrow import ChunkedArray

_LARGEST_GROUP = 1 << 30
_PER_ROW = 16  # bytes that Arrow takes for a row besides its value
_AHEAD = 1 << 12
_PREFERRED = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "content", "image_bytes")


class ParquetImages:
    """The images of a Parquet file, a row group at a time.

    Args:
        shard: Its address.
        bytes_: Its size.

    Raises:
        OSError: It cannot be read, or no column, or more than one, can be that of the images.
    """

    def __init__(self, shard: str, bytes_: int) -> None:
        from pyarrow.parquet import ParquetFile, read_metadata  # noqa: PLC0415  (only these need Arrow here)

        self._path = Path(shard)
        with open_buffered(self._path, _AHEAD) as file:
            groups = row_groups(file, bytes_)  # before Arrow sees it
        with _one_kind_of_error(), open_file(self._path) as file:
            footer = read_metadata(file)
            self._name = _image_column(footer.schema.to_arrow_schema())
        self._groups = pages_of(groups, bytes_, self._name)
        leaf = ".".join(self._name)
        with _one_kind_of_error():
            # Values stay encoded: a few bytes may stand for a large image in each of a million rows.
            self._file: ParquetFile = ParquetFile(
                open_file(self._path), metadata=footer, read_dictionary=[leaf]
            )
        self._ends = list(accumulate(group.rows for group in self._groups))
        self.rows = self._ends[-1] if self._ends else 0
        self._group = -1
        self._values: ChunkedArray | None = None
        self._lock = Lock()  # Arrow's readers are for one thread

    def read(self, row: int, most: int) -> bytes:
        """The bytes of a row, at most one more than `most`.

        Raises:
            OSError: There is no such row, or it cannot be read.
        """
        if row >= self.rows:
            raise FileNotFoundError(errno.ENOENT, f"the file has {self.rows:,} rows only")
        group = bisect_right(self._ends, row)
        with self._lock, _one_kind_of_error():
            if group != self._group:
                self._load(group)
            assert self._values is not None
            value = self._values[row - self._ends[group] + len(self._values)]
            for field in self._name[1:]:
                value = value[field] if value.is_valid else value
            if not value.is_valid:
                return b""
            value = value.dictionary[value.index.as_py()]
            return memoryview(value.as_buffer())[: most + 1].tobytes()

    def _load(self, group: int) -> None:
        pages = self._groups[group]
        with open_buffered(self._path, _AHEAD) as file:
            size = unpacked_size(file, pages)
        if size + max(pages.values, pages.rows) * _PER_ROW > _LARGEST_GROUP:
            raise OSError(errno.EFBIG, "its row groups exceed 1 GiB; write it with smaller ones")
        self._values, self._group = None, -1  # not two at once
        values = self._file.read_row_group(group, columns=[".".join(self._name)])[self._name[0]]
        if len(values) != pages.rows:
            raise OSError(errno.EIO, "a row group has other rows than it states")
        self._values, self._group = values, group


@lru_cache(maxsize=4)
def parquet_images(shard: str, status: Note) -> ParquetImages:
    """The images of a Parquet file; the last few files stay open, and a changed one is opened anew."""
    return ParquetImages(shard, status.bytes)


@contextmanager
def _one_kind_of_error() -> Iterator[None]:
    """Arrow raises errors of its own and of C++ for a damaged file, of some ten kinds.

    Raises:
        OSError: The file is damaged.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(errno.EIO, f"it is damaged ({reason(error)})") from error


def _image_column(schema: Any) -> tuple[str, ...]:  # noqa: ANN401  (an Arrow schema)
    """Name of the column with the images, and of its field where it is a struct, as of Hugging Face.

    Raises:
        OSError: No column, or more than one, can be that of the images.
    """
    from pyarrow import types  # noqa: PLC0415

    def is_bytes(kind: Any) -> bool:  # noqa: ANN401
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    found: dict[str, tuple[str, ...]] = {}
    for field in schema:
        if is_bytes(field.type):
            found[field.name] = (field.name,)
        elif types.is_struct(field.type) and any(
            one.name == "bytes" and is_bytes(one.type) for one in field.type
        ):
            found[field.name] = (field.name, "bytes")
    name = next((one for one in _PREFERRED if one in found), None)
    if name is None and len(found) == 1:
        name = next(iter(found))
    if name is None:
        raise OSError(
            errno.EINVAL,
            f"its columns are {', '.join(schema.names)[:80]}, of which {len(found)} hold bytes and none is "
            "called image; name the column of the encoded images so",
        )
    return found[name]
