"""Images in shards: members of tar files (WebDataset) and rows of Parquet files.

A member has the bytes that it would have as a file of its own, and so the same content hash.
"""

import errno
import io
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any

from reco_assist.errors import ImageError
from reco_assist.images.places import Note, address, file_status, is_remote, noted, open_file, part

if TYPE_CHECKING:
    from pyarrow import ChunkedArray

_AHEAD = 1 << 22  # bytes a look for headers reads at once: stores answer few large questions better than many
_LARGEST_GROUP = 1 << 30
_ROW = ".img"  # every image has an ending, which exports put their own in the place of
_PREFERRED = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "content", "image_bytes")
_UNREADABLE = (OSError, tarfile.TarError, EOFError, ValueError, OverflowError)

SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
"""Endings, in lower case, of the files that are taken from a folder or a tar file."""


@dataclass(frozen=True, slots=True)
class Shard:
    """What a shard holds.

    Attributes:
        members: Images in the order of the shard, with what is known of them.
        fault: What is wrong with the rest of it, in one sentence.
    """

    members: tuple[tuple[Path, Note], ...]
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _Contents:
    places: dict[str, tuple[int, int]]  # offset and size by name
    fault: str | None


def is_shard(path: Path) -> bool:
    """Whether a path is a shard by its name."""
    return path.suffix.lower() in {".tar", ".parquet"}


def open_shard(path: Path) -> Shard:
    """List the images of a shard; pixels are not read.

    Of a tar file the members whose names end like those of images, but no links.

    Raises:
        ImageError: It cannot be read at all.
    """
    try:
        about = file_status(path)
        if path.suffix.lower() == ".parquet":
            rows = _parquet(address(path), about).rows
            said = Note(0, about.mtime_ns)
            return Shard(tuple((Path(f"{path}#{row}{_ROW}"), said) for row in range(rows)))
        contents = _contents(address(path), about)
    except _UNREADABLE as error:
        raise ImageError(f"{address(path)} cannot be read: {reason(error)}.") from error
    members = tuple(
        (Path(f"{path}#{name}"), Note(size, about.mtime_ns, offset))
        for name, (offset, size) in contents.places.items()
        if PurePosixPath(name).suffix.lower() in SUFFIXES and not PurePosixPath(name).name.startswith(".")
    )
    return Shard(members, contents.fault)


def status(path: Path) -> Note:
    """Size and time of an image, wherever it lies.

    Raises:
        OSError: It is missing, or cannot be looked at.
    """
    found = part(path)
    if found is None:
        return file_status(path)
    shard, name = found
    known = noted(path)
    if known is not None and is_remote(shard):
        return known
    about = file_status(shard)
    if known is not None and known.mtime_ns == about.mtime_ns:
        return known
    if shard.suffix.lower() == ".parquet":
        _row(name, path)
        return Note(0, about.mtime_ns)
    try:
        offset, size = _contents(address(shard), about).places[name]
    except KeyError:
        raise FileNotFoundError(errno.ENOENT, "the shard has no such member", address(path)) from None
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise OSError(errno.EIO, f"the shard is damaged ({error})", address(path)) from error
    return Note(size, about.mtime_ns, offset)


def hint(path: Path) -> Note | None:
    """What spares another process a look, to be told it by `note`; None where nothing does.

    Raises:
        OSError: The image is missing, or cannot be looked at.
    """
    return noted(path) if part(path) is None else status(path)


def is_there(path: Path) -> bool:
    """Whether an image is where its path says."""
    try:
        status(path)
    except OSError:
        return False
    return True


def read_member(path: Path, most: int) -> bytes:
    """The bytes of a member, at most one more than `most`.

    Raises:
        OSError: There is no such member, or no such shard.
    """
    found = part(path)
    assert found is not None
    shard, name = found
    if shard.suffix.lower() == ".parquet":
        row = _row(name, path)
        return _parquet(address(shard), file_status(shard)).read(row)
    about = status(path)
    wanted = min(about.bytes, most + 1)
    with open_file(shard) as file:
        file.seek(about.offset or 0)
        data = file.read(wanted)
    if len(data) < wanted:
        raise OSError(errno.EIO, "its shard is cut short", address(path))
    return data


def reason(error: BaseException) -> str:
    """What an error of the system or of Arrow says, in a line."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return said.splitlines()[0].rstrip(".") if said else type(error).__name__


@lru_cache(maxsize=64)
def _contents(shard: str, status: Note) -> _Contents:  # noqa: ARG001  (a changed shard is looked through anew)
    """Where the members of a tar file are."""
    places: dict[str, tuple[int, int]] = {}
    fault = None
    with open_file(Path(shard)) as raw, io.BufferedReader(_Raw(raw), _AHEAD) as file:
        archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  (file is closed above)
        try:
            for member in archive:
                name = str(PurePosixPath("#" + member.name))[1:]
                if not member.isreg() or member.issparse():
                    continue
                if ".." in PurePosixPath(name).parts or name.startswith("/") or not _is_text(name):
                    fault = (
                        f"{shard} has members whose names lead out of it or are no text; they are left out."
                    )
                    continue
                places[name] = (member.offset_data, member.size)
            # tarfile takes a damaged header for the end.
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError(f"no header at byte {archive.offset:,}")
        except (tarfile.TarError, EOFError, ValueError, OSError) as error:
            if not places:
                raise
            fault = (
                f"{shard} is damaged after {len(places):,} members ({reason(error)}); the rest is left out."
            )
    return _Contents(places, fault)


class _Raw(io.RawIOBase):
    """Arrow's files as Python's buffers take them."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401  (a file of Python or Arrow)
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Parquet:
    """The images of a Parquet file, a row group at a time.

    Raises:
        ValueError: No column, or more than one, can be that of the images.
    """

    def __init__(self, shard: str) -> None:
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415  (only Parquet files need Arrow here)

        self._file: ParquetFile = ParquetFile(open_file(Path(shard)))
        self._column, self._nested = _image_column(self._file.schema_arrow)
        groups = range(self._file.num_row_groups)
        self._starts = [0]
        for group in groups:
            self._starts.append(self._starts[-1] + self._file.metadata.row_group(group).num_rows)
        self.rows = self._starts[-1]
        self._group = -1
        self._values: ChunkedArray | None = None
        self._lock = Lock()  # Arrow's readers are for one thread

    def read(self, row: int) -> bytes:
        if row >= self.rows:
            raise FileNotFoundError(errno.ENOENT, f"the file has {self.rows:,} rows only")
        group = next(i for i in range(len(self._starts)) if row < self._starts[i + 1])
        with self._lock:
            if group != self._group:
                self._load(group)
            assert self._values is not None
            value = self._values[row - self._starts[group]].as_py()
        if self._nested is not None and value is not None:
            value = value[self._nested]
        return bytes(value or b"")

    def _load(self, group: int) -> None:
        about = self._file.metadata.row_group(group)
        wanted = self._column if self._nested is None else f"{self._column}.{self._nested}"
        size = sum(
            about.column(i).total_uncompressed_size
            for i in range(about.num_columns)
            if about.column(i).path_in_schema == wanted
        )
        if size > _LARGEST_GROUP:
            raise OSError(errno.EFBIG, "its row groups exceed 1 GiB; write it with smaller ones")
        self._values = None  # not two at once
        self._values = self._file.read_row_group(group, columns=[wanted])[self._column]
        self._group = group


@lru_cache(maxsize=4)
def _parquet(shard: str, status: Note) -> _Parquet:  # noqa: ARG001  (a changed shard is opened anew)
    return _Parquet(shard)


def _image_column(schema: Any) -> tuple[str, str | None]:  # noqa: ANN401  (an Arrow schema)
    """Name of the column with the images, and of its field where it is a struct, as of Hugging Face."""
    from pyarrow import types  # noqa: PLC0415

    def is_bytes(kind: Any) -> bool:  # noqa: ANN401
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    found: dict[str, str | None] = {}
    for field in schema:
        if is_bytes(field.type):
            found[field.name] = None
        elif types.is_struct(field.type) and any(
            one.name == "bytes" and is_bytes(one.type) for one in field.type
        ):
            found[field.name] = "bytes"
    name = next((one for one in _PREFERRED if one in found), None)
    if name is None and len(found) == 1:
        name = next(iter(found))
    if name is None:
        raise ValueError(
            f"its columns are {', '.join(schema.names)}, of which {len(found)} hold bytes and none is called "
            "image; name the column of the encoded images so"
        )
    return name, found[name]


def _row(name: str, path: Path) -> int:
    number = name.removesuffix(_ROW)
    if not number.isascii() or not number.isdecimal():
        raise FileNotFoundError(errno.ENOENT, "rows of Parquet files are numbers", address(path))
    return int(number)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in name
