"""Files that stand for images, such as label maps: a name for each, whatever a disk takes for the same name.

The label map of a/b.jpg is a/b.png. Where images of one data set would share a name, they keep their suffix
(a/b.jpg.png and a/b.png.png); what some disk would still take for the same is told apart by a hash.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path, PurePath, PurePosixPath

from reco_assist.errors import InputError
from reco_assist.safe_paths import inside

LABEL_MAP = ".png"
"""Suffix of label maps."""

# From the usual name to one that is surely an image's own; the image's path and its name as given.
_WAYS: tuple[Callable[[PurePosixPath, str], str], ...] = (
    lambda path, _: path.stem,
    lambda path, _: path.name,
    lambda path, name: f"{path.name}.{sha256(name.encode(errors='surrogateescape')).hexdigest()[:16]}",
)


def paths_for(
    file_names: Iterable[str], folder: Path, *, suffix: str = LABEL_MAP, links: bool = False
) -> dict[str, Path]:
    """The file of each image, all of them before any is written.

    No two are the same, nor the same as a folder between them, on disks too that ignore case or how Unicode
    composes a letter. The order of the names plays no part.

    Args:
        file_names: Of all images of the data set, POSIX.
        folder: Of the files.
        suffix: Of the files, with its dot.
        links: See `safe_paths.inside`.

    Returns:
        Paths by the images' names, in their order.

    Raises:
        InputError: A name leads out of the folder, or is that of two images.
    """
    images: dict[str, Path] = {}
    for name in file_names:
        if name in images:
            raise InputError(f"two images are called {name!r}, and would have one file: rename one of them")
        images[name] = inside(folder, name, links=links).relative_to(folder)
    paths = {name: PurePosixPath(path.as_posix()) for name, path in images.items()}
    folders = {_key(parent) for path in paths.values() for parent in path.parents}
    ways = dict.fromkeys(paths, 0)
    while True:
        found = {name: _file(path, name, ways[name], suffix) for name, path in paths.items()}
        times = Counter(_key(path) for path in found.values())
        shared = {key for key, count in times.items() if count > 1} | folders
        clashing = [name for name, path in found.items() if _key(path) in shared]
        longer = [name for name in clashing if ways[name] < len(_WAYS) - 1]
        if not longer:
            return {name: folder / path for name, path in found.items()}
        for name in longer:
            ways[name] += 1


def find_files(file_names: Iterable[str], folder: Path, *, suffix: str = LABEL_MAP) -> dict[str, Path]:
    """The files that images have in a folder: of the names of `paths_for`, or of others' simpler ones.

    Args:
        file_names: Of the images, POSIX; those that have no file are left out.
        folder: Of the files, which may be links.
        suffix: Of the files, with its dot.

    Raises:
        InputError: A name leads out of the folder, or two images have one file.
    """
    ours = paths_for(file_names, folder, suffix=suffix, links=True)
    found = {name: path for name, path in ours.items() if path.is_file()}
    taken = set(found.values())
    owners: dict[Path, list[str]] = defaultdict(list)
    for name in ours.keys() - found.keys():
        others = [path for path in _all(name, folder, suffix) if path not in taken and path.is_file()]
        if others:
            owners[others[0]].append(name)
    for path, names in owners.items():
        if len(names) > 1:
            first, second = sorted(names)[:2]
            raise InputError(
                f"{path} may belong to {first} or to {second}: name it {PurePosixPath(first).name}{suffix} "
                f"or {PurePosixPath(second).name}{suffix}"
            )
        found[names[0]] = path
    return {name: found[name] for name in ours if name in found}


def leftovers(file_names: Iterable[str], written: Iterable[Path], folder: Path) -> list[Path]:
    """Label maps that an earlier export left for some images, under whatever name, beside those written now.

    Args:
        file_names: Of the images, POSIX.
        written: What is written now.
        folder: Of the label maps.

    Raises:
        InputError: A name leads out of the folder.
    """
    kept = {_key(path) for path in written}
    names = [inside(folder, name).relative_to(folder).as_posix() for name in file_names]
    found = {path for name in names for path in _all(name, folder, LABEL_MAP) if path.is_file()}
    return sorted(path for path in found if _key(path) not in kept)


def _all(name: str, folder: Path, suffix: str) -> list[Path]:
    return [folder / _file(PurePosixPath(name), name, way, suffix) for way in range(len(_WAYS))]


def _file(path: PurePosixPath, name: str, way: int, suffix: str) -> PurePosixPath:
    return path.with_name(_WAYS[way](path, name) + suffix)


def _key(path: PurePath) -> str:
    """What is equal for names that some disk takes for the same (Unicode's canonical caseless matching)."""
    folded = unicodedata.normalize("NFD", path.as_posix()).casefold()
    return unicodedata.normalize("NFC", folded)
