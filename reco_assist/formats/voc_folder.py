"""A whole Pascal VOC folder: masks where an image has them, boxes where not, and what its lists name."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from reco_assist.errors import InputError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import named
from reco_assist.formats.fields import file_name
from reco_assist.formats.file_paths import LABEL_MAP, find_files
from reco_assist.formats.label_maps import read_label_maps
from reco_assist.formats.legends import VOC_CLASSES, voc_names
from reco_assist.formats.photographs import read_photograph
from reco_assist.formats.plain import Id, free_ids
from reco_assist.formats.voc import read_voc
from reco_assist.images import list_images
from reco_assist.text_files import read_text

_LISTS = "ImageSets"


def read_voc_folder(
    folder: Path,
    files: list[Path],
    *,
    images: Path | None = None,
    only: Collection[str] = (),
    names: Mapping[int, str] | None = None,
) -> Dataset:
    """Read a VOC folder: `SegmentationClass`, `SegmentationObject`, `Annotations`, `ImageSets`, `JPEGImages`.

    An image that has a map of classes has the regions of its maps, and its boxes do not count; boxes stand
    for images without a map. An image that a list of `ImageSets` names, and that has neither, has no objects.

    Args:
        folder: With the first of these, or with files of boxes.
        files: The XML files of its boxes.
        images: Folder of the photographs; `JPEGImages` if None.
        only: Names of images: no others are read, and no photograph is opened; see `read_label_maps`.
        names: What the numbers of maps mean where neither a file says so nor the boxes are VOC's own.

    Raises:
        InputError: Nothing names the numbers, or no map has a usable image.
        FormatError: A file is damaged, in a sentence that names it.
    """
    boxes = read_voc(folder, files, images=images)
    maps = folder / VOC_CLASSES
    if not files or any(maps.rglob(f"*{LABEL_MAP}")):  # CVAT and datumaro leave empty folders
        known = voc_names(boxes.concepts) or names
        drawn = read_label_maps(folder, images=images, files=only, names=known)
        mapped = find_files([boxes.name(one) for one in boxes.images.values()], maps)
        wanted = {boxes.find(name) for name in only} if only else boxes.images.keys()
        kept = (number for number, one in boxes.images.items() if boxes.name(one) not in mapped)
        boxes = _joined(drawn, boxes.only(number for number in kept if number in wanted))
    return boxes if only else _with_listed(boxes, folder)


def _joined(drawn: Dataset, boxes: Dataset) -> Dataset:
    """The images of both; concepts of one name are one."""
    ids = {part: free_ids(one["id"] for one in drawn.document[part]) for part in drawn.document}
    categories = [one for one in boxes.document["categories"] if one["name"] not in drawn.concepts]
    fresh = [{**one, "id": ids["categories"](None)} for one in categories]
    concepts: Mapping[str, Id] = {**drawn.concepts, **{one["name"]: one["id"] for one in fresh}}
    numbers = {one["id"]: ids["images"](None) for one in boxes.document["images"]}
    images = [{**one, "id": numbers[one["id"]]} for one in boxes.document["images"]]
    annotations = [
        {
            **one,
            "id": ids["annotations"](None),
            "image_id": numbers[one["image_id"]],
            "category_id": concepts[boxes.concept(one)],
        }
        for one in boxes.document["annotations"]
    ]
    added = {"images": images, "annotations": annotations, "categories": fresh}
    document = {part: [*records, *added[part]] for part, records in drawn.document.items()}
    return Dataset(document, drawn.source, drawn.folder, skipped=drawn.skipped)


def _with_listed(found: Dataset, folder: Path) -> Dataset:
    """The data set with the images that lists name and nothing shows: they have no objects."""
    known = {Path(found.name(one)).with_suffix("") for one in found.images.values()}
    known |= {Path(name).with_suffix("") for name, _ in found.skipped}
    wanted = [name for name in dict.fromkeys(_listed(folder)) if Path(name) not in known]
    if not wanted:
        return found
    place = found.folder or folder
    photos = [path.relative_to(place) for path in list_images([place])] if place.is_dir() else []
    suffixes = {path.with_suffix(""): path.name for path in photos}
    take = free_ids(found.images)
    records: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    for stem in map(Path, wanted):
        name = stem.with_name(suffixes.get(stem, stem.name)).as_posix()
        try:
            photo = read_photograph(place / name, name, None, str(folder), reduce_to=1)
        except InputError as error:
            skipped.append((name, str(error)))
            continue
        size = {"height": photo.picture.height, "width": photo.picture.width}
        records.append({"id": take(None), "file_name": name, **size, "reco_hash": photo.content_hash})
    document = {**found.document, "images": [*found.document["images"], *records]}
    return Dataset(document, found.source, place, skipped=(*found.skipped, *skipped))


def _listed(folder: Path) -> Iterator[str]:
    """The names, without suffixes, in the lists: the first word of each line, or what quotes hold."""
    for path in sorted((folder / _LISTS).glob("*/*.txt")):
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if words := line.strip():
                with named(f"line {number} of {path}"):
                    name = file_name(words.split('"')[1] if words.startswith('"') else words.split()[0])
                yield name
