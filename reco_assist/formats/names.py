"""Names of images: when two of them mean one file, and where that file is."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from reco_assist.safe_paths import inside


def clean_name(file_name: str) -> str:
    """A name with slashes alone, without `./`: two records of it are of one file."""
    return PurePosixPath(file_name.replace("\\", "/")).as_posix()


def name_key(file_name: str) -> str:
    """What two data sets must agree on for an image to be the same file.

    Backslashes, `./`, the case of the ending and how Unicode composes a letter play no part.
    """
    path = PurePosixPath(unicodedata.normalize("NFC", clean_name(file_name)))
    return path.with_name(path.stem + path.suffix.lower()).as_posix() if path.name else path.as_posix()


def file_keys(names: Iterable[str], folder: Path | None) -> dict[str, str]:
    """What is equal for names of one file: the name, or its file where several are spellings of it.

    Args:
        names: Clean names.
        folder: Of the photographs, where it is known; only there a spelling has a file.
    """
    alike: dict[str, set[str]] = defaultdict(set)
    for name in names:
        alike[name_key(name)].add(name)
    keys = {}
    for spellings in alike.values():
        for name in spellings:
            file = None if folder is None or len(spellings) == 1 else _file_of(folder, name)
            keys[name] = name if file is None else file
    return keys


def _file_of(folder: Path, name: str) -> str | None:
    """The identity of a file on its disk, which may ignore case; None where there is none."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        return None  # leads out of the folder: who opens it says so
    try:
        status = find_image(folder, name).stat()
    except OSError:
        return None
    return f"{status.st_dev}/{status.st_ino}"


def below(file_name: str, folders: Iterable[Path]) -> str:
    """An absolute name relative to the first of some folders that holds it; any other name as it is."""
    path = PurePosixPath(clean_name(file_name))
    if path.is_absolute():
        for folder in folders:
            if path.is_relative_to(root := folder.absolute().as_posix()):
                return path.relative_to(root).as_posix()
    return file_name


def find_image(folder: Path, file_name: str) -> Path:
    """The photograph of a name in a folder, which may be written in another way there; see `name_key`.

    Args:
        folder: Of the photographs; they may be links.
        file_name: As a data set has it.

    Returns:
        Where it is, or where it should be.

    Raises:
        InputError: The name leads out of the folder.
    """
    name = below(file_name, (folder, folder.resolve()))
    places = [inside(folder, one, links=True) for one in dict.fromkeys(_spellings(name))]
    return next((place for place in places if place.is_file()), inside(folder, clean_name(name), links=True))


def _spellings(name: str) -> Iterator[str]:
    yield name
    for one in (clean_name(name), name_key(name)):
        for form in (one, *(unicodedata.normalize(kind, one) for kind in ("NFC", "NFD"))):
            path = PurePosixPath(form)
            yield form
            if path.suffix:
                yield from (str(path.with_suffix(case(path.suffix))) for case in (str.lower, str.upper))
