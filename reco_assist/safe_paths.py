"""Where we may write: below our own folders, never through a link, never out of them by a name.

A folder of ours (an archive, a session, the results of a run) may come from a stranger. A symbolic link in it
could lead a write or a removal anywhere, so none is followed there; see `unlinked`. A folder that the user
names may be a link itself.
"""

import errno
import os
from pathlib import Path, PurePosixPath

from reco_assist.errors import InputError, StorageError, reason

OUTPUT_MARKER = ".reco-output"
"""Name of the empty file that tells `list_images` that a folder holds results, not input."""

ARCHIVE_HEADER = "archive.json"
"""Name of the file that makes a folder an archive."""

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


def lies_in_ours(path: Path) -> bool:
    """Whether a path is below a folder that is ours."""
    return any(map(_is_ours, Path(os.path.abspath(path)).parents))  # noqa: PTH100  (resolve() would follow links)


def _link_error(path: Path, link: Path) -> StorageError:
    error = StorageError(
        f"Cannot write {path}: {link} is a symbolic link, and links are not followed there; remove it, or "
        "choose the place that it leads to."
    )
    error.errno = errno.ELOOP
    return error


def _is_ours(folder: Path) -> bool:
    return os.path.lexists(folder / OUTPUT_MARKER) or os.path.lexists(folder / ARCHIVE_HEADER)


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
