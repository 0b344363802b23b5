"""Every whole read, write and removal of a file: bounded, whole or not at all, never through a link."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from reco_assist.errors import FormatError, InputError, RecoAssistError, reason
from reco_assist.safe_paths import OUTPUT_MARKER, storage_error, unlinked

_TEMPORARY_SUFFIX = ".reco-tmp"
"""Ending of hidden files and folders that are being written; one that stays was left by a killed process."""

TEMPORARY = f".{'[0-9a-f]' * 16}{_TEMPORARY_SUFFIX}"
"""Pattern of their names."""

_PIECE = 1 << 20  # bytes of a copy that are in memory at once


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file that anybody may have written; no memory is taken for one that is too large.

    Args:
        path: Of the file.
        most: Bytes that it may have.

    Raises:
        FormatError: It is larger, or no file: a pipe, or a device, might never end.
        OSError: It is missing, or cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: a pipe waits for a writer
        raise FormatError(f"{path} cannot be read: it is no file; restore it, or leave it out.")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise FormatError(
                f"{path} is larger than {_amount(most)}, the most that is read of a file of its kind; "
                "restore it, or leave it out."
            )
        return file.read(size)  # Python takes memory for all that is asked for at once


def _amount(count: int) -> str:
    """A number of bytes, in words."""
    unit = next((one for one in (30, 20, 10) if count >> one), 0)
    return f"{count >> unit} {({30: 'GiB', 20: 'MiB', 10: 'KiB'}).get(unit, 'bytes')}"


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: It is missing, or cannot be read.
    """
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(path: Path, *, like: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when the block has ended well.

    What was there before stays untouched until then, and stays for good when anything fails. The bytes are
    on the disk, not just in its cache, before the name is moved. A file keeps its permissions.

    Args:
        path: Where the file shall appear; its folder must exist.
        like: The file whose permissions it takes, such as the one that it is a copy of; `path` if None.

    Yields:
        A binary file to write to.

    Raises:
        StorageError: The place cannot be written: full, read-only, gone, or a symbolic link.
    """
    target = unlinked(path)
    hidden = temporary(target)
    try:
        # Not tempfile: that would make the result private (0600) whatever the user's umask says.
        with hidden.open("xb") as file:
            _keep_mode(like or target, file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        # An error about another file is the caller's: a source that vanished is no failure to write.
        own = error.filename in {None, str(hidden), str(target.parent)}
        if isinstance(error, RecoAssistError) or not own:
            raise
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):  # gone after a success; after a failure, its cause matters more
            hidden.unlink()


def write_bytes(path: Path, data: bytes, *, like: Path | None = None) -> None:
    """Write a file whole or not at all; see `atomic_write`.

    Raises:
        StorageError: The place cannot be written: full, read-only or gone.
    """
    with atomic_write(path, like=like) as file:
        file.write(data)


def rename(path: Path, target: Path) -> Path:
    """Give a file or a folder of ours another name on the same disk; a file of that name is replaced.

    Returns:
        The target.

    Raises:
        StorageError: It cannot be renamed, a folder has the name, or a link is in the way; see `unlinked`.
    """
    unlinked(path)
    unlinked(target)
    try:
        path.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise storage_error(target, error) from error
    return target


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file beside our own: as another name of the same bytes, or as a copy on another disk.

    Args:
        source: Of the user's; a link is followed.
        target: What is there is replaced in one step, and never written into; its folder must exist.

    Raises:
        InputError: The source cannot be read.
        StorageError: It cannot be written, or is or lies behind a link; see `safe_paths.unlinked`.
    """
    hidden = temporary(unlinked(target))
    try:
        os.link(source.resolve(), hidden)
        hidden.replace(target)
        sync_folder(target.parent)
    except OSError:  # another disk, or one without links
        with atomic_write(target, like=source) as file:
            file.writelines(_pieces(source))
    finally:
        with suppress(OSError):  # two names of the same bytes replace each other by leaving both
            hidden.unlink()


def _pieces(source: Path) -> Iterator[bytes]:
    """The bytes of a file of the user's, some at a time."""
    try:
        with source.open("rb") as file:
            while data := file.read(_PIECE):
                yield data
    except OSError as error:
        raise InputError(f"{source} cannot be read: {reason(error)}.") from error


def remove_file(path: Path) -> bool:
    """Remove a file of ours; whether there was one. A link is removed itself, not what it leads to.

    Raises:
        StorageError: It cannot be removed, or lies behind a link; see `safe_paths.unlinked`.
    """
    unlinked(path.parent / OUTPUT_MARKER)  # the folders above it; the file itself may be a link
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage_error(path, error) from error
    return True


def temporary(target: Path) -> Path:
    """A name that nobody else has, beside a file that is being written."""
    # Hidden, so that no folder listing takes it for a result; short, so that long names stay legal.
    return target.with_name(f".{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can (Windows cannot open folders)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _keep_mode(target: Path, file: BinaryIO) -> None:
    """Give a new file the permissions of another, if that is there: what was private stays private."""
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(target.stat().st_mode)
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), mode)
