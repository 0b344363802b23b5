"""Finding image files without ever reading our own results back."""

import fnmatch
import os
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from reco_assist.errors import ImageError, InputError, RecoAssistWarning, reason
from reco_assist.image_files import HEAD, is_photograph
from reco_assist.images.places import address, entries, is_folder, is_remote, note
from reco_assist.images.shards import SUFFIXES, is_shard, open_shard
from reco_assist.safe_paths import OUTPUT_MARKER

_ARCHIVE_SUFFIX = ".reco"
"""Ending of archive folders."""

_WILD = frozenset("*?[")
_ENDINGS = 6  # that a sentence names
_LONGEST = 12  # letters of an ending that are told apart


def is_output(folder: Path) -> bool:
    """Whether a folder is an archive or was marked as a folder of results."""
    return folder.suffix == _ARCHIVE_SUFFIX or (folder / OUTPUT_MARKER).exists()


def list_images(
    paths: Iterable[Path],
    *,
    skip: Collection[Path] = (),
    open_shards: bool = True,
    unread: Counter[str] | None = None,
) -> Iterator[Path]:
    """List images lazily, folders in depth and each folder sorted by name.

    Left out are hidden files and folders, archives (`*.reco`), folders of results (`is_output`) and files of
    other endings; of files without any the first bytes tell, but not in stores. Links to folders are
    followed, but no folder is listed twice, so loops end. Files named by the caller are taken whatever they
    are called. Of a folder its names are in memory, and nothing else of its files; of folders that are not
    being listed, nothing.

    Args:
        paths: Files, folders, shards (`is_shard`), and objects and folders of stores (`places`), there also
            by a pattern such as `s3://bucket/*.tar`. Shards are taken where they are named, not from folders.
        skip: Folders to leave out with all that is in them.
        open_shards: Yield the images of each shard, not the shard.
        unread: Counts the files that are left out, by ending, while the listing goes on.

    Yields:
        Paths that start with the given ones.

    Raises:
        InputError: A given path is missing, is a folder of our own results or cannot be listed. This is
            checked before the first image is yielded.

    Warns:
        RecoAssistWarning: A folder further down, or a part of a shard, cannot be listed and was left out.
    """
    given = [one for path in paths for one in _checked(path)]
    seen = {_identity(folder) for folder in skip if folder.is_dir()}
    left_out = Counter[str]() if unread is None else unread
    for path in given:
        if is_shard(path) and open_shards:
            yield from _members(path)
        elif is_remote(path):
            yield from _walk_store(path, left_out)
        elif path.is_dir():
            yield from _walk(path, seen, left_out)
        else:
            yield path


def say_unread(unread: Mapping[str, int]) -> str:
    """How many files were left out by ending, in a clause; empty where none was."""
    if not unread:
        return ""
    ranked = sorted(unread.items(), key=lambda one: (-one[1], one[0]))
    said = [f"{count:,} {ending or 'without an ending'}" for ending, count in ranked[:_ENDINGS]]
    if len(ranked) > _ENDINGS:
        said.append(f"{sum(count for _, count in ranked[_ENDINGS:]):,} others")
    total = sum(unread.values())
    return f"{total:,} {'file' if total == 1 else 'files'} of other formats left out ({', '.join(said)})"


def folder_of(path: Path) -> Path:
    """The folder itself, or that of a file. In a store, names tell folders from objects."""
    if is_remote(path):
        is_object = path.suffix.lower() in SUFFIXES or is_shard(path) or _WILD.intersection(path.name)
        return path.parent if is_object else path
    return path if path.is_dir() else path.parent


def _checked(path: Path) -> list[Path]:
    """The path; what matches it where it is a pattern in a store."""
    if is_remote(path):
        return _checked_in_store(path)
    if path.is_dir():
        if is_output(path):
            raise InputError(
                f"{path} holds results of reco-assist, not input images; name the folder of the photographs."
            )
        try:
            os.scandir(path).close()
        except OSError as error:
            raise InputError(f"The folder {path} cannot be listed: {reason(error)}.") from error
    elif not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder; check the path.")
    return [path]


def _checked_in_store(path: Path) -> list[Path]:
    try:
        if not _WILD.intersection(path.name):
            is_folder(path)
            return [path]
        found = [one for one, _ in entries(path.parent) if fnmatch.fnmatchcase(one.name, path.name)]
    except OSError as error:
        raise InputError(f"{address(path)} cannot be listed: {reason(error)}.") from error
    if not found:
        raise InputError(f"Nothing in {address(path.parent)} is called {path.name}; check the pattern.")
    return found


def _members(shard: Path) -> Iterator[Path]:
    try:
        opened = open_shard(shard)
    except ImageError as error:
        warnings.warn(str(error), RecoAssistWarning, stacklevel=3)
        return
    if opened.fault is not None:
        warnings.warn(opened.fault, RecoAssistWarning, stacklevel=3)
    for path, said in opened.members:
        if is_remote(path):  # of a file here the shard itself is asked
            note(path, said)
        yield path


def _walk_store(root: Path, unread: Counter[str]) -> Iterator[Path]:
    """Images below a path of a store, or the object of that name."""
    try:
        if not is_folder(root):
            yield root
            return
        found = list(entries(root))
    except OSError as error:
        message = f"The folder {address(root)} cannot be listed and was left out: {reason(error)}."
        warnings.warn(message, RecoAssistWarning, stacklevel=3)
        return
    if any(path.name == OUTPUT_MARKER for path, _ in found):
        return
    for path, folder in found:
        if path.name.startswith(".") or path.suffix == _ARCHIVE_SUFFIX:
            continue
        if folder:
            yield from _walk_store(path, unread)  # names are short there, so calls do not nest deeply
        elif path.suffix.lower() in SUFFIXES:
            yield path
        else:
            unread[path.suffix.lower()[:_LONGEST]] += 1


def _walk(root: Path, seen: set[tuple[int, int]], unread: Counter[str]) -> Iterator[Path]:
    """Image files below `root`. A stack, not recursion: folders can be nested deeper than Python's calls."""
    stack = [_entries(root, seen, unread)]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        path, is_folder_ = entry
        if not is_folder_:
            yield path
        elif not is_output(path):
            stack.append(_entries(path, seen, unread))


def _entries(folder: Path, seen: set[tuple[int, int]], unread: Counter[str]) -> Iterator[tuple[Path, bool]]:
    """Visible folders (True) and images (False) of a folder by name; none where it was listed before.

    Only names are kept: entries of a folder of a million files would take half a gigabyte.
    """
    names, folders = [], set()
    try:
        identity = _identity(folder)
        if identity in seen:
            return
        seen.add(identity)
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    folders.add(entry.name)
                elif not _is_file(entry):
                    continue
                elif not _is_image(entry.path, suffix := os.path.splitext(entry.name)[1].lower()):  # noqa: PTH122
                    unread[suffix[:_LONGEST]] += 1
                    continue
                names.append(entry.name)
    except OSError as error:
        message = f"The folder {folder} cannot be listed and was left out: {reason(error)}."
        warnings.warn(message, RecoAssistWarning, stacklevel=3)
        return
    names.sort()
    for name in names:
        yield folder / name, name in folders


# Of an ordinary entry the listing itself knows the kind; a link has to be followed, and may lead nowhere.
def _is_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _is_image(path: str, suffix: str) -> bool:
    """Whether a file is one, by its ending, or without one by its first bytes."""
    if suffix:
        return suffix in SUFFIXES
    try:
        with Path(path).open("rb") as file:
            return is_photograph(file.read(HEAD))
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_file() if entry.is_symlink() else entry.is_file()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
