"""Which images a place holds, and what data sets call them: the one listing of targets."""

from collections import Counter
from pathlib import Path

from reco_assist.archive import Archive
from reco_assist.errors import InputError
from reco_assist.image_files import PHOTOGRAPHS
from reco_assist.images import (
    absolute,
    allow_stores,
    folder_of,
    is_remote,
    is_shard,
    list_images,
    say_unread,
)
from reco_assist.safe_paths import ARCHIVE_HEADER
from reco_assist.segmenter import Target


def list_targets(
    images: Path, *, out: Path | None = None, named: bool = True, unread: Counter[str] | None = None
) -> list[Target]:
    """The images of a folder, a shard, a store or an archive, in a fixed order, named relative to `root_of`.

    Args:
        images: The place.
        out: Where results go, which is left out.
        named: Whether the user has named the place just now, so that its store may be opened.
        unread: Counts the files that are left out, by ending.

    Raises:
        InputError: There is no such place, it is where the results go, or it holds no image.
    """
    place = absolute(images)
    if named:
        allow_stores(place)
    root, left_out = root_of(place), Counter[str]() if unread is None else unread
    if _is_archive(place):
        found = [Target(entry.path, entry.file_name) for entry in Archive.open(place).images()]
        found.sort(key=lambda target: target.file_name)
    else:
        if not (is_remote(place) or is_shard(place) or place.is_dir()):
            raise InputError(f"{images} is not a folder: name the folder that holds the images")
        if out is not None and place == absolute(out):
            raise InputError(f"{images} is where the results go: send them to another folder, by --out")
        listed = list_images([place], skip=[] if out is None else [absolute(out)], unread=left_out)
        found = [Target(path, path.relative_to(root).as_posix()) for path in listed]
    if not found:
        said = f": {left}" if (left := say_unread(left_out)) else ""
        raise InputError(f"{images} holds no images ({', '.join(PHOTOGRAPHS)}){said}: name another folder")
    return found


def root_of(images: Path) -> Path:
    """The folder that the targets' names are relative to."""
    if _is_archive(images):
        return Archive.open(images).root or images
    return folder_of(images)


def _is_archive(place: Path) -> bool:
    return (place / ARCHIVE_HEADER).is_file()
