"""Images in shards: members of tar files (WebDataset) and rows of Parquet files.

A member has the bytes that it would have as a file of its own, and so the same content hash.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from reco_assist.errors import ImageError, reason
from reco_assist.images.parquet_files import parquet_images
from reco_assist.images.places import Note, address, file_status, is_remote, noted, open_file, part
from reco_assist.images.tar_files import contents

_ROW = ".img"  # every image has an ending, which exports put their own in the place of

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
    | {".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm"}
)
"""Endings, in lower case, of the files that are taken from a folder or a tar file."""


@dataclass(frozen=True, slots=True)
class _Members:
    """Images of a shard in its order, with what is known of them: made when they are asked for.

    Attributes:
        count: How many there are.
        make: The one of a number.
    """

    count: int
    make: Callable[[int], tuple[Path, Note]]

    def __iter__(self) -> Iterator[tuple[Path, Note]]:
        return map(self.make, range(self.count))


@dataclass(frozen=True, slots=True)
class Shard:
    """What a shard holds.

    Attributes:
        members: Its images.
        fault: What is wrong with the rest of it, in one sentence.
    """

    members: Iterable[tuple[Path, Note]]
    fault: str | None = None


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
            rows = parquet_images(address(path), about).rows
            return Shard(_Members(rows, partial(_row_member, path, Note(0, about.mtime_ns))))
        found = contents(address(path), about)
    except OSError as error:
        raise ImageError(f"{address(path)} cannot be read: {reason(error)}.") from error
    names = [name for name in found.places if _is_image(name)]
    places = [(name, *found.places[name]) for name in names]
    return Shard(_Members(len(places), partial(_tar_member, path, about.mtime_ns, places)), found.fault)


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
        offset, size = contents(address(shard), about).places[name]
    except KeyError:
        raise FileNotFoundError(errno.ENOENT, "the shard has no such member", address(path)) from None
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
        return parquet_images(address(shard), file_status(shard)).read(row, most)
    about = status(path)
    wanted = min(about.bytes, most + 1)
    with open_file(shard) as file:
        file.seek(about.offset or 0)
        data = file.read(wanted)
    if len(data) < wanted:
        raise OSError(errno.EIO, "its shard is cut short", address(path))
    return data


def _row_member(path: Path, said: Note, row: int) -> tuple[Path, Note]:
    return Path(f"{path}#{row}{_ROW}"), said


def _tar_member(
    path: Path, mtime_ns: int, places: list[tuple[str, int, int]], number: int
) -> tuple[Path, Note]:
    name, offset, size = places[number]
    return Path(f"{path}#{name}"), Note(size, mtime_ns, offset)


def _is_image(name: str) -> bool:
    place = PurePosixPath(name)
    return place.suffix.lower() in SUFFIXES and not place.name.startswith(".")


def _row(name: str, path: Path) -> int:
    number = name.removesuffix(_ROW)
    if not number.isascii() or not number.isdecimal():
        raise FileNotFoundError(errno.ENOENT, "rows of Parquet files are numbers", address(path))
    return int(number)
