"""A folder of Pascal VOC files: masks where an image has them, boxes where not, and what its lists name.

Whole corners of a box are pixel numbers, counted from 1, both inside it (VOC2012 development kit, section
7). CVAT and datumaro write places instead, from 0 at the edge of the image; each of these has a decimal
point. What is marked `difficult` is a region to ignore, as in VOC's own evaluation.
"""

import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from reco_assist.errors import FormatError, InputError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import Document, named
from reco_assist.formats.fields import file_name, number, whole
from reco_assist.formats.file_paths import LABEL_MAP, find_files
from reco_assist.formats.label_maps import read_label_maps
from reco_assist.formats.legends import VOC_CLASSES, VOC_IMAGES, voc_names
from reco_assist.formats.photographs import read_photograph
from reco_assist.formats.plain import Id, free_ids
from reco_assist.formats.xml_files import parse_xml
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


def read_voc(folder: Path, files: list[Path], *, images: Path | None = None) -> Dataset:
    """Read VOC's files; boxes are cut at the image's edges.

    Args:
        folder: What messages name.
        files: The XML files, somewhere below it.
        images: Folder of the photographs; if None `JPEGImages` in the folder or beside it, or the folder.

    Raises:
        FormatError: A file is damaged, in one sentence that names it.
    """
    made = Document(str(folder))
    for file in files:
        root, what = parse_xml(file), f"{file.relative_to(folder).as_posix()} of {folder}"
        if root.tag != "annotation":
            raise FormatError(f"{what} is no VOC file, which the others are: take it out of the folder")
        with named(what):
            _read(made, root, file)
    places = [place / VOC_IMAGES for place in (folder, folder.parent)]
    return made.dataset(images or next((place for place in places if place.is_dir()), folder))


def _read(made: Document, root: ET.Element, file: Path) -> None:
    width, height = (whole(_text(root, f"size/{side}")) for side in ("width", "height"))
    image = made.image(root.findtext("filename") or f"{file.stem}.jpg", width, height)
    for one in root.findall("object"):
        corners = [_text(one, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        left, top, right, bottom = map(number, corners)
        first = 0 if all("." in corner for corner in corners) else 1
        x, y = max(0.0, left - first), max(0.0, top - first)
        box = (x, y, min(right, width) - x, min(bottom, height) - y)
        ignored = {"ignore": 1} if (one.findtext("difficult") or "0").strip() == "1" else {}
        made.add_box(image, _text(one, "name"), box, **ignored)


def _text(element: ET.Element, path: str) -> str:
    found = element.findtext(path)
    if found is None or not found.strip():
        raise FormatError(f"{path} is missing")
    return found.strip()


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
        for place, line in enumerate(read_text(path).splitlines(), start=1):
            if words := line.strip():
                with named(f"line {place} of {path}"):
                    name = file_name(words.split('"')[1] if words.startswith('"') else words.split()[0])
                yield name
