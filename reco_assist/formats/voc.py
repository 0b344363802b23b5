"""A folder of Pascal VOC files: one XML for each photograph, with the boxes of its objects.

Whole corners are numbers of pixels, counted from 1, both inside the box (VOC2012 development kit, section 7).
CVAT and datumaro write places instead, from 0 at the edge of the image: of these each has a decimal point.
What is marked `difficult` is a region to ignore, as in VOC's own evaluation.
"""

import xml.etree.ElementTree as ET
from pathlib import Path

from reco_assist.errors import FormatError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import Document, named
from reco_assist.formats.fields import number, whole
from reco_assist.formats.legends import VOC_IMAGES
from reco_assist.formats.xml_files import parse_xml


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
