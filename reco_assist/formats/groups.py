"""Groups of data sets: concepts.json, SET/images and SET/masks, whose table says what shows which concept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError, reason
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.legends import VOID
from reco_assist.formats.png import read_label_map
from reco_assist.formats.regions import annotation
from reco_assist.images import decode
from reco_assist.json_files import parse_json
from reco_assist.masks import rle
from reco_assist.safe_paths import inside
from reco_assist.text_files import read_plain

GROUP_TABLE = "concepts.json"
QUERY = "reco_query"
"""Field of a category: what predictions call the concept, where that is not its name."""

_Positive = tuple[int, str, tuple[int, ...]]
"""A category, the map that shows it, and the ids that do."""


def read_group(folder: Path) -> Dataset:
    """Read a group as a data set; file names are relative to its folder.

    The table gives each concept its query (the category of predictions), its positives (image, mask and the
    ids that show it) and the images to ignore. What is not known (255) is a crowd, and so is the whole of an
    image to ignore.

    Raises:
        FormatError: The table is not of this form, or a map is damaged.
        ImageError: An image cannot be read.
    """
    table = folder / GROUP_TABLE
    try:
        concepts = parse_json(read_plain(table), table)["concepts"]
        categories = [
            {"id": number, "name": str(name), QUERY: str(entry["query"])}
            for number, (name, entry) in enumerate(concepts.items(), start=1)
        ]
        shown, ignored = _wanted(concepts)
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{table} is no table of concepts ({reason(error)}): see the group's own notes"
        ) from error
    files = {file.relative_to(folder).as_posix() for file in folder.glob("*/images/*") if file.name[0] != "."}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, file in enumerate(sorted(files | shown.keys()), start=1):
        regions = list(_regions(folder, shown.get(file, ())))
        if not regions:
            picture = decode(inside(folder, file, links=True), reduce_to=1)
        height, width = regions[0][1].shape if regions else (picture.height, picture.width)
        whole = np.ones((height, width), np.bool_)
        unsure = ignored[file] - {category for category, *_ in regions}
        regions += [(category, whole, 1) for category in sorted(unsure)]
        images.append({"id": number, "file_name": file, "height": height, "width": width})
        annotations += [
            annotation(len(annotations) + n, number, category, rle.encode(mask), crowd=crowd)
            for n, (category, mask, crowd) in enumerate(regions, 1)
        ]
    document = {"images": images, "annotations": annotations, "categories": categories}
    return Dataset(document, str(folder), folder)


def _wanted(concepts: Mapping[str, Any]) -> tuple[dict[str, list[_Positive]], dict[str, set[int]]]:
    """What each image shows, and the categories that it is to be ignored for."""
    shown: dict[str, list[_Positive]] = defaultdict(list)
    ignored: dict[str, set[int]] = defaultdict(set)
    for category, entry in enumerate(concepts.values(), start=1):
        for one in entry["positives"]:
            ids = tuple(one["ids"])
            if not all(isinstance(number, int) for number in ids):
                raise TypeError(f"ids {ids!r}")
            shown[str(one["image"])].append((category, str(one["mask"]), ids))
        for file in entry["ignore"]:
            ignored[str(file)].add(category)
    return shown, ignored


def _regions(folder: Path, positives: Iterable[_Positive]) -> Iterator[tuple[int, NDArray[np.bool_], int]]:
    """(category, mask, iscrowd) of what the maps of one image show."""
    for category, name, ids in positives:
        labels = read_label_map(inside(folder, name, links=True))  # (H, W)
        yield category, np.isin(labels, ids), 0
        if (void := np.isin(labels, VOID)).any():
            yield category, void, 1
