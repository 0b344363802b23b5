"""The one way in for data sets, of whatever kind."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from reco_assist.errors import FormatError, InputError, short
from reco_assist.formats.coco import read_coco, read_document
from reco_assist.formats.cvat import read_cvat
from reco_assist.formats.darknet import DARKNET_FILE, read_darknet
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.groups import GROUP_TABLE, read_group
from reco_assist.formats.label_maps import read_label_maps
from reco_assist.formats.label_studio_export import is_export, read_export
from reco_assist.formats.labelme import is_labelme, read_labelme
from reco_assist.formats.legends import LABEL_NAMES, VOC_CLASSES, read_names
from reco_assist.formats.panoptic import is_panoptic, read_panoptic
from reco_assist.formats.voc import read_voc, read_voc_folder
from reco_assist.formats.xml_files import parse_xml
from reco_assist.formats.yolo_reading import YOLO_FILE, read_yolo


def read_dataset(
    path: str | Path,
    *,
    images: str | Path | None = None,
    files: Collection[str] = (),
    names: Mapping[int, str] | None = None,
) -> Dataset:
    """Read a data set of any kind.

    A file may be COCO's, a panoptic one, Label Studio's JSON export, CVAT's XML for images, YOLO's data.yaml
    or obj.data, or one of labelme or Pascal VOC; a folder one with coco.json, data.yaml or obj.data, a group,
    label maps, or the files of labelme or Pascal VOC.

    Args:
        path: What to read.
        images: Folder of the images; label maps need it, or `files`.
        files: Names of the images that label maps are looked for, where no photograph is to be opened.
        names: What the numbers of label maps mean where no file says so.

    Raises:
        InputError: There is nothing, or label maps without images.
        FormatError: It is damaged.
    """
    place, folder = Path(path), None if images is None else Path(images)
    for name, reader in _NAMED.items():
        if (place / name).is_file():
            return reader(place / name, folder)
    if place.is_dir():
        return _folder(place, folder, files, names)
    if place.is_file():
        return _file(place, folder)
    raise InputError(
        f"{place} is no data set: name a COCO file, or a folder with {', '.join(_NAMED)} or label maps"
    )


_NAMED: Mapping[str, Callable[[Path, Path | None], Dataset]] = {
    "coco.json": lambda file, images: read_coco(file, images=images),
    GROUP_TABLE: lambda file, _: read_group(file.parent),
    YOLO_FILE: lambda file, images: read_yolo(file, images=images),
    DARKNET_FILE: lambda file, images: read_darknet(file, images=images),
}
"""The files that say what the folder they are in is."""


def _folder(
    place: Path, images: Path | None, files: Collection[str], names: Mapping[int, str] | None
) -> Dataset:
    if any(map(_is_labelme_file, documents := _visible(place, "**/*.json"))):
        return read_labelme(place, documents, images=images)
    if (boxes := _voc_files(place)) or (place / VOC_CLASSES).is_dir():
        return read_voc_folder(place, boxes, images=images, only=files, names=names)
    if not names and read_names(place) is None:
        *others, last = LABEL_NAMES
        raise InputError(
            f"nothing names the numbers of label maps in {short(place, 50)} ({', '.join(others)} or {last}), "
            f"and there is no {', '.join(_NAMED)}, labelme or Pascal VOC file: add one, or name a COCO, CVAT "
            "or Label Studio file itself"
        )
    return read_label_maps(place, images=images, files=files, names=names)


def _file(place: Path, images: Path | None) -> Dataset:
    if reader := _ENDINGS.get(place.suffix.lower()):
        return reader(place, images)
    document = read_document(place)
    if is_labelme(document):
        return read_labelme(place.parent, [place], images=images)
    if is_export(document):
        return read_export(document, str(place), images=images)
    if is_panoptic(document):
        return read_panoptic(document, place, images=images)
    return Dataset(document, str(place), images)


def _xml(place: Path, images: Path | None) -> Dataset:
    root = parse_xml(place)
    if root.tag == "annotation":
        return read_voc(place.parent, [place], images=images)
    return read_cvat(root, place, images=images)


_ENDINGS: Mapping[str, Callable[[Path, Path | None], Dataset]] = {
    ".xml": _xml,
    ".yaml": _NAMED[YOLO_FILE],
    ".yml": _NAMED[YOLO_FILE],
    ".data": _NAMED[DARKNET_FILE],
}


def _voc_files(place: Path) -> list[Path]:
    """The XML files of a folder's boxes; none where they are not VOC's."""
    for files in (_visible(place / "Annotations", "**/*.xml"), _visible(place, "*.xml")):
        if any(map(_is_voc_file, files)):
            return files
    return []


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Files in their order, without those of the system or an editor, such as macOS's `._a.json`."""
    found = sorted(folder.glob(pattern))
    found = [one for one in found if one.is_file()]
    return [one for one in found if not any(part.startswith(".") for part in one.relative_to(folder).parts)]


def _is_voc_file(path: Path) -> bool:
    try:
        root = parse_xml(path)
    except FormatError:
        return False
    return root.tag == "annotation" and root.find("imagesize") is None  # which LabelMe, the web tool, writes


def _is_labelme_file(path: Path) -> bool:
    try:
        return is_labelme(read_document(path))
    except FormatError:
        return False
