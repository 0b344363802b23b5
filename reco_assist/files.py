"""Writing files whole or not at all, and marking the folders that are our own output."""

import errno
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from filelock import FileLock, Timeout

from reco_assist.errors import Damage, InputError, RecoAssistError, StorageError

OUTPUT_MARKER = ".reco-output"
"""Name of the empty file that tells `list_images` that a folder holds results, not input."""

TEMPORARY_SUFFIX = ".reco-tmp"
"""Ending of hidden files that are being written; one that stays was left by a killed process."""

_LOCK = ".writer.lock"

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "your disk quota is used up; free some space and run again",
    errno.EACCES: "you may not write there; choose another place or change its permissions",
    errno.EPERM: "you may not write there; choose another place or change its permissions",
    errno.EROFS: "it is on a read-only disk; choose another place",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENOTDIR: "part of its path is a file, not a folder; choose another place",
    errno.EEXIST: "a file of that name is in the way; remove it or choose another place",
    errno.EISDIR: "it is a folder; name a file",
}


def storage_error(path: Path, error: OSError) -> StorageError:
    """The one-sentence error for a place that cannot be written.

    Args:
        path: What was to be written, as the user knows it.
        error: What the operating system said.

    Returns:
        An error to raise from `error`; it carries the same `errno`.
    """
    reason = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}; choose another place")
    mapped = StorageError(f"Cannot write {path}: {reason}.")
    mapped.errno = error.errno
    return mapped


def make_folder(path: Path) -> Path:
    """Create a folder and its parents where they are missing.

    Raises:
        StorageError: The folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    return path


def make_output_folder(path: Path) -> Path:
    """Create a folder for results and mark it, so that it is never read as input.

    Raises:
        StorageError: The folder cannot be created or written.
    """
    marker = make_folder(path) / OUTPUT_MARKER
    try:
        marker.touch()
    except OSError as error:
        raise storage_error(path, error) from error
    return path


@contextmanager
def only_writer(folder: Path, *, name: str = _LOCK, busy: RecoAssistError | None = None) -> Iterator[None]:
    """Keep other processes from writing to a folder. The system lets go when a process dies.

    Args:
        folder: An existing one.
        name: Of the file in it that is locked.
        busy: What to raise where another process is writing; a `StorageError` if None.

    Raises:
        StorageError: Another process is writing to it, or it cannot be written.
    """
    lock = FileLock(folder / name, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise busy or StorageError(
            f"Another process is writing to {folder}; wait until it has finished, or choose another folder."
        ) from error
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C, or a notebook's interrupt, wait for the end of a block of some milliseconds.

    What is on disk and what is in memory agree after it, for those who catch the interrupt and go on.
    """
    if threading.current_thread() is not threading.main_thread():  # others are never interrupted
        yield
        return
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if told:
            signal.raise_signal(signal.SIGINT)


def inside(folder: Path, name: str, *, links: bool = False) -> Path:
    """The file of a name that somebody else may have chosen, below a folder.

    Args:
        folder: What the name is relative to.
        name: POSIX path.
        links: Symbolic links may lead out of the folder: right for reading a user's photographs, wrong for
            writing.

    Raises:
        InputError: The name is empty, absolute or climbs out of the folder.
    """
    path = PurePosixPath(name)
    place = folder / path
    climbs = path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name
    if climbs or not (links or place.resolve().is_relative_to(folder.resolve())):
        raise InputError(f"The file name {name!r} leads out of {folder}; rename the file, or leave it out.")
    return place


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when the block has ended well.

    What was there before stays untouched until then, and stays for good when anything fails. The bytes are
    on the disk, not just in its cache, before the name is moved. A symbolic link is written through.

    Args:
        path: Where the file shall appear; its folder must exist.

    Yields:
        A binary file to write to.

    Raises:
        StorageError: The place cannot be written: full, read-only or gone.
    """
    target = Path(os.path.realpath(path))
    # Hidden, so that no folder listing takes it for a result; short, so that long names stay legal.
    temporary = target.with_name(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        # Not tempfile: that would make the result private (0600) whatever the user's umask says.
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        # An error about another file is the caller's: a source that vanished is no failure to write.
        own = error.filename in {None, str(temporary), str(target.parent)}
        if isinstance(error, RecoAssistError) or not own:
            raise
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):  # gone after a success; after a failure, its cause matters more
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; see `atomic_write`.

    Raises:
        StorageError: The place cannot be written: full, read-only or gone.
    """
    with atomic_write(path) as file:
        file.write(data)


def temporary_leftovers(folder: Path, *, repair: bool) -> Iterator[Damage]:
    """Half-written files of killed processes below a folder. Nobody may be writing there meanwhile.

    Args:
        folder: Looked through in depth.
        repair: Remove them.

    Raises:
        StorageError: One cannot be removed.
    """
    found = sorted(folder.rglob(f".*{TEMPORARY_SUFFIX}"))
    if not found:
        return
    if repair:
        for file in found:
            try:
                file.unlink()
            except OSError as error:
                raise storage_error(file, error) from error
    yield Damage(
        f"{len(found)} half-written files of a killed process are left.",
        "remove them by --repair",
        mended=repair,
    )


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can (Windows cannot open folders)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
