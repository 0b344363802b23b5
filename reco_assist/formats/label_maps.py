"""Folders of label maps, VOC-style ones too, as a data set."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError, InputError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.file_paths import LABEL_MAP, find_files
from reco_assist.formats.legends import (
    VOC_CLASSES,
    VOC_IMAGES,
    VOC_OBJECTS,
    VOID,
    LabelNames,
    mask_folder,
    read_names,
    with_voc_colours,
)
from reco_assist.formats.photographs import read_photograph
from reco_assist.formats.png import read_label_map, read_object_map
from reco_assist.formats.regions import annotation
from reco_assist.formats.stream import Numbers
from reco_assist.images import SUFFIXES
from reco_assist.masks import Rle, encode_labels, label, rle


def read_label_maps(
    folder: Path,
    *,
    images: Path | None = None,
    files: Collection[str] = (),
    names: Mapping[int, str] | None = None,
) -> Dataset:
    """Read a folder of label maps as a data set; they are named after their images as `file_paths` says.

    Category ids are the maps' numbers. Each connected part is an annotation; in a VOC-style folder each
    object of its maps of objects, and what is of none is one region of its class. What is not known (255)
    becomes a crowd of each concept that the image shows, of all where it shows none, so that no score counts
    it. A map whose image is missing, damaged or of another size is left out, and named in `skipped`.

    Args:
        folder: Of the maps, or of a VOC-style data set.
        images: Of the images; `JPEGImages` in a VOC-style folder.
        files: Names of images; given instead of their folder, no photograph is opened, and those without a
            map are left out, as are numbers that nothing names.
        names: What the numbers mean where no file says so; see `legends`.

    Raises:
        InputError: Nothing names the numbers, no map has a usable image, or one has two.
        FormatError: A map is damaged.
    """
    maps = mask_folder(folder)
    known = read_names(maps) or LabelNames(names or {})
    if not known.names:
        raise InputError(
            f"nothing names the numbers of {maps}: add legend.json, a list of id and name, or labelmap.txt"
        )
    in_voc = maps.name == VOC_CLASSES
    if in_voc and not known.colours:
        known = with_voc_colours(known.names)
    classes = {number: name for number, name in known.names.items() if number and number not in VOID}
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    image_ids, ids = Numbers(), Numbers()
    place = _place(folder, images, files)
    skipped: list[tuple[str, str]] = []
    for path, file in _pairs(maps, place, files):
        labels = read_label_map(path, known)
        size = {"height": labels.shape[0], "width": labels.shape[1]}
        digest = file or ""
        if place is not None:
            _check_numbers(labels, classes, path)
            try:
                digest = _photograph(place, file, path.relative_to(maps), labels.shape, folder)
            except InputError as error:
                skipped.append((file or path.relative_to(maps).as_posix(), str(error)))
                continue
        number = image_ids.take(digest)
        known_by = {} if place is None else {"reco_hash": digest}
        records.append({"id": number, "file_name": file, **size, **known_by})
        objects = _objects(maps, path, labels.shape) if in_voc else None
        for category, mask, crowd in _regions(labels, objects, classes):
            own = ids.take(digest, category, crowd, mask.counts)
            annotations.append(annotation(own, number, category, mask, crowd=crowd))
    if skipped and not records:
        raise InputError(f"none of {len(skipped)} label maps can be used; the first: {skipped[0][1]}")
    document = {
        "images": records,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in classes.items()],
    }
    return Dataset(document, str(folder), place or images, skipped=tuple(skipped))


def _check_numbers(labels: NDArray[np.int32], classes: Mapping[int, str], path: Path) -> None:
    if unknown := set(np.unique(labels).tolist()) - {0, *VOID, *classes}:
        raise InputError(f"{path} has the number {min(unknown)}, which nothing names: add it to the names")


def _place(folder: Path, images: Path | None, files: Collection[str]) -> Path | None:
    """The folder of the photographs; None where their names alone are known."""
    place = images or folder / VOC_IMAGES
    if files:
        return None
    if place.is_dir():
        return place
    raise InputError(f"the label maps of {folder} need their images: name the folder by --images")


def _pairs(maps: Path, place: Path | None, files: Collection[str]) -> Iterator[tuple[Path, str | None]]:
    """Each label map and the name of its image, if it has one."""
    if place is None:
        found = find_files(files, maps)
        if not found:
            raise InputError(f"{maps} has no label map of any of the images: map a/b.png is that of a/b.jpg")
        yield from sorted((path, file) for file, path in found.items())
        return
    listed = sorted(maps.rglob(f"*{LABEL_MAP}"))
    if not listed:
        raise InputError(f"{maps} holds no label maps (PNG): name their folder")
    photos = _photos(place, maps, listed)
    for path in listed:
        yield path, photos[path].relative_to(place).as_posix() if path in photos else None


def _photograph(place: Path, file: str | None, path: Path, shape: tuple[int, ...], folder: Path) -> str:
    """The content hash of a photograph, which must have the size of its map."""
    if file is None:
        raise InputError(
            f"{path} has no image in {place}: add it, or name the folder of the images by --images"
        )
    return read_photograph(place / file, file, (shape[0], shape[1]), str(folder), reduce_to=1).content_hash


def _objects(maps: Path, path: Path, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The number of the object that each pixel of a VOC-style map is of (H, W); 0 where it is of none."""
    place = maps.parent / VOC_OBJECTS / path.relative_to(maps)
    if not place.is_file():
        return np.zeros(shape, np.int32)
    objects = read_object_map(place)
    if objects.shape != shape:
        sizes = [f"{width} x {height}" for height, width in (objects.shape, shape)]
        raise FormatError(f"{place} has {sizes[0]} pixels, and {path} {sizes[1]}: export them anew")
    return np.where(np.isin(objects, VOID), 0, objects)


def _regions(
    labels: NDArray[np.int32], objects: NDArray[np.int32] | None, classes: Mapping[int, str]
) -> Iterator[tuple[int, Rle, int]]:
    """(category, mask, iscrowd) of what a map shows."""
    void = np.isin(labels, VOID)  # (H, W)
    present = [number for number in np.unique(labels[~void]).tolist() if number in classes]
    for number in present:
        mask = labels == number  # (H, W)
        parts = label(mask) if objects is None else np.where(mask, objects + 1, 0)
        _, dense = np.unique(np.append(0, parts), return_inverse=True)  # numbers without gaps, 0 stays 0
        for one in encode_labels(dense[1:].reshape(parts.shape).astype(np.int32)):
            yield number, one, 0
    if void.any():
        mask = rle.encode(void)
        for number in present or classes:
            yield number, mask, 1


def _photos(folder: Path, maps: Path, files: Sequence[Path]) -> dict[Path, Path]:
    """The image of each label map that has one."""
    beside = [folder / parent for parent in {path.relative_to(maps).parent for path in files}]
    images = {path for place in beside if place.is_dir() for path in place.iterdir()}
    # Where maps and images share a folder, a map is no image.
    names = [
        path.relative_to(folder).as_posix()
        for path in sorted(images - set(files))
        if path.suffix.lower() in SUFFIXES
    ]
    return {path: folder / name for name, path in find_files(names, maps).items()}
