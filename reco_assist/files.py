"""Every write, removal and lock on disk: whole or not at all, below our own folders, never through a link.

A folder of ours (an archive, a session, the results of a run) may come from a stranger. A symbolic link in it
could lead a write or a removal anywhere, so none is followed there; see `unlinked`. A folder that the user
names may be a link itself.
"""

import errno
import os
import secrets
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from filelock import FileLock, Timeout

from reco_assist.errors import Damage, FormatError, InputError, RecoAssistError, StorageError, reason

OUTPUT_MARKER = ".reco-output"
"""Name of the empty file that tells `list_images` that a folder holds results, not input."""

ARCHIVE_HEADER = "archive.json"
"""Name of the file that makes a folder an archive."""

TEMPORARY_SUFFIX = ".reco-tmp"
"""Ending of hidden files and folders that are being written; one that stays was left by a killed process."""

_TEMPORARY = f".{'[0-9a-f]' * 16}{TEMPORARY_SUFFIX}"  # pattern of their names

_LOCK = ".writer.lock"
_PIECE = 1 << 20  # bytes of a copy that are in memory at once

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "your disk quota is used up; free some space and run again",
    errno.EACCES: "you may not write there; choose another place or change its permissions",
    errno.EPERM: "you may not write there; choose another place or change its permissions",
    errno.EROFS: "it is on a read-only disk; choose another place",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENOTDIR: "part of its path is a file, not a folder; choose another place",
    errno.EEXIST: "a file of that name is in the way; remove it or choose another place",
    errno.ENOTEMPTY: "a folder of that name is in the way; remove it or choose another place",
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
    cause = _REMEDIES.get(error.errno or 0, f"{reason(error)}; choose another place")
    mapped = StorageError(f"Cannot write {path}: {cause}.")
    mapped.errno = error.errno
    return mapped


def unlinked(path: Path) -> Path:
    """A place to write to or to remove, refused where a symbolic link would lead elsewhere.

    The last part of the path may be no link, nor any folder between it and the topmost folder above it that
    is ours: an archive, or one that `make_output_folder` marked. Links further up are the user's own.

    Args:
        path: May be missing.

    Returns:
        The same path.

    Raises:
        StorageError: There is such a link.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  (resolve() would follow links)
    above = [absolute, *absolute.parents]
    ours = [level for level, folder in enumerate(above) if level and _is_ours(folder)]
    link = next((one for one in above[: max(ours, default=1)] if one.is_symlink()), None)
    if link is not None:
        raise _link_error(path, link)
    return path


def unlinked_tree(folder: Path) -> Path:
    """A folder that a library writes to by itself, refused like `unlinked` for any link in it, too.

    Args:
        folder: May be missing.

    Returns:
        The same path.

    Raises:
        StorageError: There is a link.
    """
    unlinked(folder)
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (link := Path(root, name)).is_symlink():
                raise _link_error(folder, link)
    return folder


def _link_error(path: Path, link: Path) -> StorageError:
    error = StorageError(
        f"Cannot write {path}: {link} is a symbolic link, and links are not followed there; remove it, or "
        "choose the place that it leads to."
    )
    error.errno = errno.ELOOP
    return error


def _is_ours(folder: Path) -> bool:
    return os.path.lexists(folder / OUTPUT_MARKER) or os.path.lexists(folder / ARCHIVE_HEADER)


def make_folder(path: Path) -> Path:
    """Create a folder and its parents where they are missing.

    Raises:
        StorageError: The folder cannot be created, or a link stands in its way; see `unlinked`.
    """
    if any(map(_is_ours, Path(os.path.abspath(path)).parents)):  # noqa: PTH100
        unlinked(path)
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
    marker = unlinked(make_folder(path) / OUTPUT_MARKER)
    try:
        marker.touch()
    except OSError as error:
        raise storage_error(path, error) from error
    return path


@contextmanager
def only_writer(
    folder: Path, *, name: str = _LOCK, busy: RecoAssistError | None = None, wait: bool = False
) -> Iterator[None]:
    """Keep other processes from writing to a folder. The system lets go when a process dies.

    Args:
        folder: An existing one.
        name: Of the file in it that is locked.
        busy: What to raise where another process is writing; a `StorageError` if None.
        wait: Until no other process is writing, however long that takes.

    Raises:
        StorageError: Another process is writing to it, or it cannot be written.
    """
    # It would empty what a link leads to.
    lock = FileLock(unlinked(folder / name), timeout=-1 if wait else 0)
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
def one_at_a_time(what: str) -> Iterator[None]:
    """Take turns at something with all processes and threads of this user on this machine.

    Args:
        what: Names it.

    Raises:
        StorageError: The system's temporary folder cannot be written, or our place in it is somebody else's.
    """
    user = os.getuid() if hasattr(os, "getuid") else None  # elsewhere each user has a temporary folder
    place = Path(tempfile.gettempdir(), "reco-assist" if user is None else f"reco-assist-{user}")
    folder = make_folder(unlinked(place))
    if user not in (None, folder.stat().st_uid):
        raise StorageError(f"Cannot write {folder}: it is somebody else's; remove it, or set TMPDIR.")
    with only_writer(folder, name=f"{sha256(what.encode()).hexdigest()[:32]}.lock", wait=True):
        yield


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
    # A drive or another machine, where there are such: Windows would ask it before anything is checked.
    rooted = path.is_absolute() or bool(Path(name).anchor)
    climbs = rooted or ".." in path.parts or not path.parts or "\0" in name
    if climbs or not (links or place.resolve().is_relative_to(folder.resolve())):
        raise InputError(f"The file name {name!r} leads out of {folder}; rename the file, or leave it out.")
    return place


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
    temporary = _temporary(target)
    try:
        # Not tempfile: that would make the result private (0600) whatever the user's umask says.
        with temporary.open("xb") as file:
            _keep_mode(like or target, file)
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


def write_bytes(path: Path, data: bytes, *, like: Path | None = None) -> None:
    """Write a file whole or not at all; see `atomic_write`.

    Raises:
        StorageError: The place cannot be written: full, read-only or gone.
    """
    with atomic_write(path, like=like) as file:
        file.write(data)


def is_vacant(path: Path) -> bool:
    """Whether a new folder may be made there: nothing is, or a folder with nothing but what a kill left."""
    if not path.is_dir():
        return not os.path.lexists(path)
    return all(fnmatch(entry.name, _TEMPORARY) for entry in os.scandir(path))


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder that appears under its name only when the block has ended well.

    An empty folder that is there already stays the one that it is: it may be a link, a disk, or where the
    user's shell is. What is new is moved into it by renames, folders first.

    Args:
        path: Where it shall appear; see `is_vacant` for what may be there in the end.

    Yields:
        A hidden folder beside it, or in the one that is there, to be filled.

    Raises:
        StorageError: The place cannot be written, something is in the way, or a link; see `make_folder`.
    """
    place = Path(os.path.abspath(path))  # noqa: PTH100  (resolve() would follow links)
    if any(map(_is_ours, place.parents)):
        unlinked(place)
    there = place.is_dir()
    draft = _temporary(place / place.name if there else place)
    make_folder(draft.parent)
    try:
        draft.mkdir()
        yield draft
        if there:
            _move_into(place, draft)
        else:
            draft.replace(place)
        _sync_folder(draft.parent)
    except OSError as error:
        if isinstance(error, RecoAssistError):
            raise
        raise storage_error(path, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # made above, under a name that nobody else has


def _move_into(folder: Path, draft: Path) -> None:
    """Move all that is in a draft into the empty folder that it lies in, or nothing."""
    if not is_vacant(folder):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
    moved: list[str] = []
    try:
        # Folders first: a file, such as an archive's header, says what they are.
        for entry in sorted(os.scandir(draft), key=lambda one: (one.is_file(), one.name)):
            (draft / entry.name).replace(folder / entry.name)
            moved.append(entry.name)
    except OSError:
        for name in moved:
            (folder / name).replace(draft / name)
        raise


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
        _sync_folder(target.parent)
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
        StorageError: It cannot be written, or is or lies behind a link; see `unlinked`.
    """
    temporary = _temporary(unlinked(target))
    try:
        os.link(source.resolve(), temporary)
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError:  # another disk, or one without links
        with atomic_write(target, like=source) as file:
            file.writelines(_pieces(source))
    finally:
        with suppress(OSError):  # two names of the same bytes replace each other by leaving both
            temporary.unlink()


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
        StorageError: It cannot be removed, or lies behind a link; see `unlinked`.
    """
    unlinked(path.parent / OUTPUT_MARKER)  # the folders above it; the file itself may be a link
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage_error(path, error) from error
    return True


def remove_folder(path: Path, made_of: Collection[str]) -> bool:
    """Remove a folder of ours, and of what is in it only what we put there.

    Args:
        path: Of the folder.
        made_of: Patterns (`*.faiss`) of the names of our files in it.

    Returns:
        Whether the folder is gone; it stays where it holds anything else.

    Raises:
        StorageError: It cannot be removed, or is or lies behind a link; see `unlinked`.
    """
    unlinked(path)
    try:
        for entry in list(os.scandir(path)):
            if not entry.is_dir(follow_symlinks=False) and any(fnmatch(entry.name, one) for one in made_of):
                (path / entry.name).unlink()
        path.rmdir()
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        if error.errno == errno.ENOENT:
            return True
        raise storage_error(path, error) from error
    return True


def temporary_leftovers(folder: Path, *, repair: bool) -> Iterator[Damage]:
    """Half-written files and folders of killed processes below a folder; nobody may be writing there.

    Args:
        folder: Looked through in depth.
        repair: Remove them.

    Raises:
        StorageError: One cannot be removed.
    """
    found = sorted(folder.rglob(_TEMPORARY))
    if not found:
        return
    if repair:
        for one in found:
            if one.is_dir() and not one.is_symlink():
                _remove_draft(one)
            else:
                remove_file(one)
    yield Damage(
        f"{len(found)} half-written files of a killed process are left.",
        "remove them by --repair",
        mended=repair,
    )


def _remove_draft(draft: Path) -> None:
    """Remove a folder that was being written, with all that is in it."""
    unlinked(draft)
    try:
        shutil.rmtree(draft)  # a link in it is removed itself
    except OSError as error:
        raise storage_error(draft, error) from error


def _temporary(target: Path) -> Path:
    """A name that nobody else has, beside a file that is being written."""
    # Hidden, so that no folder listing takes it for a result; short, so that long names stay legal.
    return target.with_name(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")


def _keep_mode(target: Path, file: BinaryIO) -> None:
    """Give a new file the permissions of another, if that is there: what was private stays private."""
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(target.stat().st_mode)
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), mode)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can (Windows cannot open folders)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
