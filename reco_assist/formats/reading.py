"""The one way in for data sets, of whatever kind."""

from collections.abc import Collection, Mapping
from pathlib import Path

from reco_assist.errors import InputError
from reco_assist.formats.coco import read_coco
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.groups import GROUP_TABLE, read_group
from reco_assist.formats.label_maps import read_label_maps


def read_dataset(
    path: str | Path,
    *,
    images: str | Path | None = None,
    files: Collection[str] = (),
    names: Mapping[int, str] | None = None,
) -> Dataset:
    """Read a data set of any kind: a COCO file, a folder with coco.json, a group, or a folder of label maps.

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
    if (place / "coco.json").is_file():
        return read_coco(place / "coco.json", images=folder)
    if (place / GROUP_TABLE).is_file():
        return read_group(place)
    if place.is_dir():
        return read_label_maps(place, images=folder, files=files, names=names)
    if place.is_file():
        return read_coco(place, images=folder)
    raise InputError(
        f"{place} is no data set: name a COCO file, or a folder with coco.json, {GROUP_TABLE} or label maps"
    )
