"""Photographs held against their records: missing, damaged, turned, another picture; in one set of words."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reco_assist.errors import ImageError, InputError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.plain import Id, Record
from reco_assist.images import Decoded, content_hash, decode, perceptual_hash, read_bytes

_LOOK = 64  # pixels of the side that a fingerprint needs

Skipped = tuple[tuple[str, str], ...]
"""(file name, reason in a sentence) of images that are left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """A photograph that is what its record says.

    Attributes:
        path: Its file.
        content_hash: SHA-256 of its bytes.
        picture: Its pixels, upright; reduced where that was asked for.
    """

    path: Path
    content_hash: str
    picture: Decoded


@dataclass(frozen=True, slots=True, eq=False)
class Photographed:
    """A data set of the images whose photographs are what their records say.

    Attributes:
        dataset: Of these images alone.
        paths: The photograph of each.
        hashes: SHA-256 of the bytes of each.
        fingerprints: 64 bits of each that near-duplicates share but for a few.
        skipped: The others.
    """

    dataset: Dataset
    paths: Mapping[Id, Path]
    hashes: Mapping[Id, str]
    fingerprints: Mapping[Id, int]
    skipped: Skipped

    def only(self, images: Iterable[Id]) -> "Photographed":
        """Some of its images; what is known of the others stays."""
        return replace(self, dataset=self.dataset.only(images))


def check_size(name: str, found: tuple[int, int], said: tuple[int, int], source: str) -> None:
    """Make sure that a photograph has the size that a data set says.

    Args:
        name: Of the image.
        found: Height and width of the photograph, upright.
        said: Height and width that the data set says.
        source: What the data set is called.

    Raises:
        ImageError: It has another.
    """
    if found != said:
        turned = found == said[::-1]
        raise ImageError(
            f"{name} has {found[1]} x {found[0]} pixels upright, and {source} says {said[1]} x {said[0]}: "
            + ("it was turned since, so make its masks anew" if turned else "it is another picture")
        )


def open_photograph(
    dataset: Dataset, image: Record, folder: Path | None = None, *, reduce_to: int | None = None
) -> Photograph:
    """The photograph of an image, which is there, whole, and of the size that the record says.

    Args:
        dataset: The data set.
        image: The image's record.
        folder: Of the photographs; the data set's own if None.
        reduce_to: See `images.decode`.

    Raises:
        ImageError: It is not, in a sentence that names the image as the data set does.
        InputError: The name leads out of the folder, or no folder is known.
    """
    size = image["height"], image["width"]
    path = dataset.photograph(image, folder)
    return read_photograph(path, dataset.name(image), size, dataset.source, reduce_to=reduce_to)


def read_photograph(
    path: Path, name: str, size: tuple[int, int] | None, source: str, *, reduce_to: int | None = None
) -> Photograph:
    """The photograph of a record.

    Args:
        path: Its file.
        name: Of the image, as the data set has it.
        size: Height and width that the data set says; None where it says none.
        source: What the data set is called.
        reduce_to: See `images.decode`.

    Raises:
        ImageError: It is missing, damaged, turned or another picture; the sentence begins with its name.
    """
    if not path.is_file():
        raise ImageError(f"{name} is missing: add it, or name the folder of the images by --images")
    try:
        data = read_bytes(path)
        picture = decode(data, reduce_to=reduce_to)
    except ImageError as error:
        said = str(error).removeprefix("The image").removeprefix(str(path))
        raise ImageError(f"{name}{said}") from error
    if size is not None:
        check_size(name, (picture.height, picture.width), size, source)
    return Photograph(path, content_hash(data), picture)


def photographed(
    dataset: Dataset, folder: Path, *, on_image: Callable[[], object] = lambda: None
) -> Photographed:
    """Leave out the images whose photographs are not what their records say.

    Args:
        dataset: The data set.
        folder: Of the photographs.
        on_image: Called after each image.

    Raises:
        InputError: The folder is none, or nothing is left.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: name the folder of the images")
    dataset = dataset.at(folder)
    paths: dict[Id, Path] = {}
    hashes: dict[Id, str] = {}
    prints: dict[Id, int] = {}
    skipped: list[tuple[str, str]] = []
    for number, image in dataset.images.items():
        try:
            found = open_photograph(dataset, image, reduce_to=_LOOK)
        except InputError as error:
            skipped.append((dataset.name(image), str(error)))
        else:
            paths[number], hashes[number] = found.path, found.content_hash
            prints[number] = perceptual_hash(found.picture.pixels)
        on_image()
    if len(skipped) == 1 and not paths:
        raise InputError(skipped[0][1])
    if skipped and not paths:
        raise InputError(f"none of {len(skipped)} photographs can be used; the first: {skipped[0][1]}")
    kept = dataset.only(paths) if skipped else dataset
    return Photographed(kept, paths, hashes, prints, tuple(skipped))
