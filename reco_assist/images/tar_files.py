"""Where the members of a tar file (WebDataset) are; its headers may be anybody's."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from reco_assist.errors import reason
from reco_assist.images.places import Note, open_buffered

_AHEAD = 1 << 22  # bytes a look for headers reads at once: stores answer few large questions better than many
_LARGEST_HEADER = 1 << 20  # bytes before a member; long names and attributes take some kilobytes
_DAMAGES = (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, OSError)


@dataclass(frozen=True, slots=True)
class Contents:
    """The members of a tar file.

    Attributes:
        places: Offset and size by name.
        fault: What is wrong with the rest of it, in one sentence.
    """

    places: dict[str, tuple[int, int]]
    fault: str | None


@lru_cache(maxsize=64)
def contents(shard: str, status: Note) -> Contents:
    """Look a tar file through; pixels are not read.

    Args:
        shard: Its address.
        status: How it looks now: a changed one is looked through anew.

    Raises:
        OSError: It cannot be read, or nothing in it.
    """
    places: dict[str, tuple[int, int]] = {}
    fault = None
    with open_buffered(Path(shard), _AHEAD) as file:
        try:
            for name, offset, size in _members(file, status.bytes):
                if name is None:
                    fault = (
                        f"{shard} has members whose names lead out of it or are no text; they are left out."
                    )
                else:
                    places[name] = (offset, size)
        except _DAMAGES as error:
            if not places:
                raise OSError(f"it is damaged ({_said(error)})") from error
            fault = (
                f"{shard} is damaged after {len(places):,} members ({_said(error)}); the rest is left out."
            )
    return Contents(places, fault)


def _members(file: BinaryIO, end: int) -> Iterator[tuple[str | None, int, int]]:
    """Name, offset and size of each member that is a file; no name where that cannot be used."""
    headers = _Headers(file)
    archive = tarfile.open(fileobj=headers, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
    while (member := archive.next()) is not None:
        archive.members.clear()  # else it keeps them all
        headers.left = _LARGEST_HEADER
        if member.size < 0 or archive.offset <= member.offset:  # it would be looked through for ever
            raise tarfile.ReadError(f"the header at byte {member.offset:,} leads back")
        if not member.isreg() or member.issparse():
            continue
        if member.offset_data + member.size > end:
            raise tarfile.ReadError(f"the member at byte {member.offset:,} is cut short")
        name = str(PurePosixPath("#" + member.name))[1:]
        usable = ".." not in PurePosixPath(name).parts and not name.startswith("/") and _is_text(name)
        yield name if usable else None, member.offset_data, member.size
    # tarfile takes a damaged header for the end.
    file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {archive.offset:,}")


class _Headers:
    """What tarfile reads: it takes memory for as much as a header says that its name is long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.left = _LARGEST_HEADER

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise tarfile.ReadError(f"a header at byte {self.tell():,} is larger than 1 MiB")
        self.left -= size
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def _said(error: Exception) -> str:
    return "a chain of headers without end" if isinstance(error, RecursionError) else reason(error)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in name
