"""Folders of ours: made, marked, filled whole or not at all, and removed with what we put there alone."""

import errno
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from reco_assist.errors import Damage, RecoAssistError
from reco_assist.files import TEMPORARY, remove_file, sync_folder, temporary
from reco_assist.safe_paths import OUTPUT_MARKER, lies_in_ours, storage_error, unlinked


def make_folder(path: Path) -> Path:
    """Create a folder and its parents where they are missing.

    Raises:
        StorageError: The folder cannot be created, or a link stands in its way; see `safe_paths.unlinked`.
    """
    if lies_in_ours(path):
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


def is_vacant(path: Path) -> bool:
    """Whether a new folder may be made there: nothing is, or a folder with nothing but what a kill left."""
    if not path.is_dir():
        return not os.path.lexists(path)
    return all(fnmatch(entry.name, TEMPORARY) for entry in os.scandir(path))


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
    if lies_in_ours(place):
        unlinked(place)
    there = place.is_dir()
    draft = temporary(place / place.name if there else place)
    make_folder(draft.parent)
    try:
        draft.mkdir()
        yield draft
        if there:
            _move_into(place, draft)
        else:
            draft.replace(place)
        sync_folder(draft.parent)
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


def remove_folder(path: Path, made_of: Collection[str]) -> bool:
    """Remove a folder of ours, and of what is in it only what we put there.

    Args:
        path: Of the folder.
        made_of: Patterns (`*.faiss`) of the names of our files in it.

    Returns:
        Whether the folder is gone; it stays where it holds anything else.

    Raises:
        StorageError: It cannot be removed, or is or lies behind a link; see `safe_paths.unlinked`.
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
    found = sorted(folder.rglob(TEMPORARY))
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
