"""Where an image's bytes lie: a file, a member of a shard, or an object of a store.

All three are named by a `Path`, as images always are:

- `/data/0001.tar#n01/7.jpg`: a member of a tar file (WebDataset)
- `/data/0001.parquet#12.img`: row 12 of a Parquet file
- `s3:/bucket/7.jpg`: what pathlib makes of `s3://bucket/7.jpg`; `address` gives the URI back. Stored paths of
  files are absolute and never begin like this.

Objects are read by Arrow's file systems, which find keys and regions where the tools of each store keep them
(`AWS_PROFILE`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, ...).

A place may stand in an archive, a session or a run of somebody else, and whoever opens it sends those keys to
where it leads. So a store is opened only where the user named it: see `allow_stores`.
"""

import errno
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote

from reco_assist.errors import InputError, reason, short

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

STORES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs")
"""Schemes of URIs that are read."""

STORES_VARIABLE = "RECO_ASSIST_STORES"
"""Environment variable with the stores that may be opened, such as `s3://bucket gs://other`."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)  # two letters at least: C:/ is a disk
_MEMBER = re.compile(r"(.+?\.(?:tar|parquet))#(.+)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?::[0-9]{1,5})?")
_ACCOUNT = re.compile(r"[A-Za-z0-9._-]+@")  # abfs://container@account..., gs://anonymous@bucket
_WITH_ACCOUNT = ("gs", "gcs", "abfs", "abfss")
_NOTES = 1 << 18  # some 100 MB


@dataclass(frozen=True, slots=True)
class Note:
    """What a listing said of a place, so that nobody has to ask again.

    Attributes:
        bytes: Its size; 0 where only reading would tell.
        mtime_ns: Time of the last change of the file or the shard, in nanoseconds.
        offset: Where a member of a tar file begins in it.
    """

    bytes: int
    mtime_ns: int
    offset: int | None = None


_noted: dict[str, Note] = {}
_allowed: set[str] = set()


def is_remote(path: Path) -> bool:
    """Whether a path lies in an object store."""
    found = _URI.fullmatch(path.as_posix())
    return found is not None and found[1].lower() in STORES


def address(path: Path) -> str:
    """How a place is recorded and shown: the path, or the URI of an object."""
    if not is_remote(path):
        return str(path)
    scheme, _, rest = path.as_posix().partition(":/")
    return f"{scheme.lower()}://{rest.lstrip('/')}"


def absolute(path: str | Path) -> Path:
    """The absolute path of a file or an object; links are not followed, and file names not with them.

    Raises:
        InputError: It is a URI of a kind that is not read.
    """
    given = Path(path)
    found = _URI.fullmatch(given.as_posix())
    if found is not None and not os.path.exists(given):  # noqa: PTH110  (which raises for long names)
        scheme = found[1].lower()
        if scheme == "file":
            return Path("/" + unquote(found[2]))
        if scheme not in STORES:
            raise InputError(
                f"{scheme}://{found[2]} cannot be read: give files, folders or URIs of {', '.join(STORES)}"
            )
        try:
            _root(given)
        except OSError as error:
            raise InputError(f"{address(given)} cannot be read: {reason(error)}.") from error
        return Path(address(given))
    return Path(os.path.abspath(given))  # noqa: PTH100  (resolve() would follow links)


def allow_stores(*places: str | Path) -> None:
    """Let the stores of places be opened by this process and those that it starts: the user named them.

    Args:
        places: As the user gave them; those that lie in no store are ignored.

    Raises:
        InputError: One has more in its store's name than that, or the environment variable holds something
            else.
    """
    paths = [absolute(place) for place in places]
    _allowed.update(_root(path) for path in paths if is_remote(path))
    allowed_stores()  # a slip in the variable is said before any work, not of each image


def allowed_stores() -> list[str]:
    """The stores that may be opened, such as `s3://bucket`: those named here, and in the environment.

    Raises:
        InputError: The environment variable holds something else. No `OSError`: it is no fault of an image.
    """
    said = os.environ.get(STORES_VARIABLE, "").replace(",", " ").split()
    return sorted(_allowed.union(map(_said_store, said)))


def _said_store(said: str) -> str:
    try:
        if is_remote(Path(said)):
            return _root(Path(said))
        what = f"{short(said, 60)!r}, which is no store"
    except OSError as error:  # it may hold a key, so it is not repeated
        what = f"a store that cannot be read: {reason(error)}"
    raise InputError(f"{STORES_VARIABLE} holds {what}; write stores such as s3://bucket.")


def unnamed_store(path: Path) -> str | None:
    """The store of a place, if nobody named it here; None where the place may be opened.

    Raises:
        OSError: The name of its store holds more than that.
        InputError: The environment variable holds something else than stores.
    """
    if not is_remote(path):
        return None
    root = _root(path)
    return None if root in allowed_stores() else root


def part(path: Path) -> tuple[Path, str] | None:
    """Shard and member of a place in a shard; None of a place of its own."""
    found = _MEMBER.fullmatch(path.as_posix())
    if found is None:
        return None
    shard = Path(found[1])
    if not is_remote(shard) and (not shard.is_file() or os.path.lexists(path)):
        return None  # a file that just has such a name
    return shard, found[2]


def note(path: Path, said: Note) -> None:
    """Remember what a listing said."""
    if len(_noted) >= _NOTES:
        _noted.clear()
    _noted[address(path)] = said


def noted(path: Path) -> Note | None:
    """What a listing said, if it is remembered."""
    return _noted.get(address(path))


def file_status(path: Path) -> Note:
    """Size and time of a file or an object.

    Raises:
        OSError: It is missing, or cannot be looked at.
    """
    if not is_remote(path):
        status = path.stat()
        return Note(status.st_size, status.st_mtime_ns)
    if (known := noted(path)) is not None:
        return known
    store, key = _store_of(path)
    return _note_of(path, store.get_file_info(key))


def open_file(path: Path) -> BinaryIO:
    """A file or an object to read from anywhere.

    Raises:
        OSError: It is missing, or cannot be read.
    """
    if not is_remote(path):
        return path.open("rb")
    store, key = _store_of(path)
    return cast("BinaryIO", store.open_input_file(key))


@contextmanager
def open_buffered(path: Path, ahead: int) -> Iterator[BinaryIO]:
    """A file or an object of which some bytes are read ahead.

    Args:
        path: Of the file.
        ahead: How many.

    Raises:
        OSError: It is missing, or cannot be read.
    """
    with open_file(path) as file, io.BufferedReader(_Raw(file), ahead) as buffered:
        yield buffered


def is_folder(path: Path) -> bool:
    """Whether objects lie below a path of a store.

    Raises:
        OSError: The store cannot be asked.
    """
    from pyarrow.fs import FileType  # noqa: PLC0415  (only stores need Arrow here)

    store, key = _store_of(path)
    kind = store.get_file_info(key).type
    if kind is FileType.NotFound:
        raise FileNotFoundError(errno.ENOENT, "there is no such object or folder", address(path))
    return bool(kind is FileType.Directory)


def entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """What lies in a folder of a store, by name, and whether each is a folder; files are noted.

    Raises:
        OSError: The store cannot be asked.
    """
    from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415

    store, key = _store_of(folder)
    found = sorted(store.get_file_info(FileSelector(key)), key=lambda info: cast("str", info.base_name))
    for info in found:
        path = folder / info.base_name
        if info.type is FileType.Directory:
            yield path, True
        elif info.type is FileType.File:
            note(path, _note_of(path, info))
            yield path, False


def _store_of(path: Path) -> "tuple[FileSystem, str]":
    """The file system that an object lies in, and its name there.

    Raises:
        OSError: Nobody named the store, it cannot be reached, or this Arrow cannot read it.
    """
    root = _root(path)
    if unnamed_store(path):
        raise OSError(
            errno.EACCES,
            f"only a file names its store, nobody here; where you trust it, set {STORES_VARIABLE}={root}",
        )
    key = address(path).removeprefix(root).lstrip("/")
    store, base = _store(root)
    return store, f"{base.rstrip('/')}/{key}" if key else base


def _root(path: Path) -> str:
    """The store of a place: scheme and bucket. Arrow would take keys and servers from there too."""
    scheme, _, rest = address(path).partition("://")
    bucket = rest.partition("/")[0]
    name = _ACCOUNT.sub("", bucket, count=1) if scheme in _WITH_ACCOUNT else bucket
    if not _BUCKET.fullmatch(name):
        raise OSError(
            errno.EINVAL,
            "the name of its store holds more than letters, digits, dots and dashes; options and keys belong "
            "into the environment, such as AWS_ENDPOINT_URL",
        )
    return f"{scheme}://{bucket}"


@lru_cache(maxsize=32)
def _store(root: str) -> "tuple[Any, str]":
    from pyarrow import ArrowException  # noqa: PLC0415
    from pyarrow.fs import FileSystem  # noqa: PLC0415

    try:
        store, base = FileSystem.from_uri(root)
    except (ArrowException, ValueError) as error:
        raise OSError(errno.EINVAL, f"this Arrow cannot open {root} ({error})") from error
    return store, str(base)


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


def _note_of(path: Path, info: "FileInfo") -> Note:
    from pyarrow.fs import FileType  # noqa: PLC0415

    if info.type is not FileType.File:
        raise FileNotFoundError(errno.ENOENT, "there is no such object", address(path))
    return Note(info.size or 0, info.mtime_ns or 0)
