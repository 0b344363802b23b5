"""Names of images: when two of them mean one file, and where that file is."""

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from reco_assist.files import inside


def clean_name(file_name: str) -> str:
    """A name with slashes alone, without `./`: two records of it are of one file."""
    return PurePosixPath(file_name.replace("\\", "/")).as_posix()


def name_key(file_name: str) -> str:
    """What two data sets must agree on for an image to be the same file.

    Backslashes, `./`, the case of the ending and how Unicode composes a letter play no part.
    """
    path = PurePosixPath(unicodedata.normalize("NFC", clean_name(file_name)))
    return path.with_name(path.stem + path.suffix.lower()).as_posix() if path.name else path.as_posix()


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
