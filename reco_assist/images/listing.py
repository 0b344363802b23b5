"""Finding image files without ever reading our own results back."""

import os
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from reco_assist.errors import InputError, RecoAssistWarning
from reco_assist.files import OUTPUT_MARKER

SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
"""Endings, in lower case, of the files that are taken from a folder."""

ARCHIVE_SUFFIX = ".reco"
"""Ending of archive folders."""


def is_output(folder: Path) -> bool:
    """Whether a folder is an archive or was marked as a folder of results."""
    return folder.suffix == ARCHIVE_SUFFIX or (folder / OUTPUT_MARKER).exists()


def list_images(paths: Iterable[Path], *, skip: Collection[Path] = ()) -> Iterator[Path]:
    """List image files lazily, folders in depth and each folder sorted by name.

    Left out are hidden files and folders, archives (`*.reco`), folders of results (`is_output`) and files of
    other endings. Links to folders are followed, but no folder is listed twice, so loops end. Files named
    by the caller are taken whatever they are called.

    Args:
        paths: Files and folders.
        skip: Folders to leave out with all that is in them.

    Yields:
        Paths that start with the given ones.

    Raises:
        InputError: A given path is missing, is a folder of our own results or cannot be listed. This is
            checked before the first image is yielded.

    Warns:
        RecoAssistWarning: A folder further down cannot be listed and was left out.
    """
    given = list(paths)
    for path in given:
        _check(path)
    seen = {_identity(folder) for folder in skip if folder.is_dir()}
    for path in given:
        if path.is_dir():
            yield from _walk(path, seen)
        else:
            yield path


def _check(path: Path) -> None:
    if path.is_dir():
        if is_output(path):
            raise InputError(
                f"{path} holds results of reco-assist, not input images; name the folder of the photographs."
            )
        try:
            os.scandir(path).close()
        except OSError as error:
            raise InputError(f"The folder {path} cannot be listed: {error.strerror}.") from error
    elif not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder; check the path.")


def _walk(root: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Image files below `root`. A stack, not recursion: folders can be nested deeper than Python's calls."""
    stack = [iter(_entries(root, seen))]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
        elif _is_folder(entry):
            folder = Path(entry.path)
            if not is_output(folder):
                stack.append(iter(_entries(folder, seen)))
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and _is_file(entry):  # noqa: PTH122
            yield Path(entry.path)


def _entries(folder: Path, seen: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
    """The visible entries of a folder by name; none where it was listed before or cannot be listed."""
    try:
        identity = _identity(folder)
        if identity in seen:
            return []
        seen.add(identity)
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        message = f"The folder {folder} cannot be listed and was left out: {error.strerror}."
        warnings.warn(message, RecoAssistWarning, stacklevel=3)
        return []
    return sorted(visible, key=lambda entry: entry.name)


# Of an ordinary entry the listing itself knows the kind; a link has to be followed, and may lead nowhere.
def _is_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_file() if entry.is_symlink() else entry.is_file()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
