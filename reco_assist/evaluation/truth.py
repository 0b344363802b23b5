"""Ground truth: COCO data sets, folders of label maps, groups of data sets. Masks are read when asked for."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError, InputError
from reco_assist.files import inside
from reco_assist.masks import Rle, rle
from reco_assist.masks.label_maps import VOID, LabelNames, mask_folder, read_label_map, read_names
from reco_assist.masks.names import find_files

GROUP_TABLE = "concepts.json"


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Where one image shows a concept.

    Attributes:
        mask: (H, W) bool.
        valid: (H, W) bool, False where it is not known.
    """

    mask: NDArray[np.bool_]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ConceptTruth:
    """What is known about one concept.

    Attributes:
        name: For reports.
        category: What predictions call it; compared without regard to case.
        positives: The images that show it, by file name, and how to read where.
        ignored: Images that may show it without a label: neither right nor wrong.
    """

    name: str
    category: str
    positives: Mapping[str, Callable[[], Labelled]]
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of a set of images.

    Attributes:
        concepts: In the order of reports.
        images: Files that predictions should cover, as predictions name them. Every image that is neither a
            positive of a concept nor ignored is a negative of it.
        folder: What file names are relative to, where that is known.
    """

    concepts: tuple[ConceptTruth, ...]
    images: frozenset[str]
    folder: Path | None = None

    def only(self, names: Iterable[str]) -> "Truth":
        """The truth about some concepts, by name or category.

        Raises:
            InputError: One is not known.
        """
        wanted = [name.strip().casefold() for name in names]
        known = {key.casefold(): one for one in self.concepts for key in (one.category, one.name)}
        if unknown := [name for name in wanted if name not in known]:
            there = ", ".join(one.name for one in self.concepts)
            raise InputError(f"the ground truth has no concept {unknown[0]!r}: choose among {there}")
        return replace(self, concepts=tuple({known[name].name: known[name] for name in wanted}.values()))


def read_truth(
    path: Path,
    *,
    images: Iterable[str] = (),
    names: Mapping[int, str] | None = None,
    void: Collection[int] = VOID,
) -> Truth:
    """Read ground truth of any kind: a COCO file, a group (a folder with concepts.json) or label maps.

    Args:
        path: What to read.
        images: See `read_label_maps`.
        names: See `read_label_maps`.
        void: Ids of label maps that stand for "not known".

    Raises:
        InputError: There is nothing, or it is of none of these kinds.
        FormatError: A file is damaged.
    """
    if path.is_file():
        return read_coco(path)
    if (path / GROUP_TABLE).is_file():
        return read_group(path, void=void)
    if path.is_dir():
        return read_label_maps(path, images=images, names=names, void=void)
    raise InputError(
        f"{path} is no ground truth: name a COCO file, a folder of label maps, or one with {GROUP_TABLE}"
    )


def read_coco(path: Path) -> Truth:
    """A COCO data set as truth; all annotations of a category in an image are united.

    Crowds are void. An image with nothing but crowds of a category is ignored for it.

    Raises:
        FormatError: The file is not a COCO data set.
    """
    data = _json(path)
    try:
        images = {one["id"]: (one["file_name"], one["height"], one["width"]) for one in data["images"]}
        for _, height, width in images.values():
            rle.check_size(height, width)
        masks: dict[tuple[int, str], tuple[list[Rle], list[Rle]]] = defaultdict(lambda: ([], []))
        for one in data["annotations"]:
            file_name, height, width = images[one["image_id"]]
            if not one["segmentation"]:  # COCO's empty polygon list: no pixel
                continue
            code = rle.from_coco(one["segmentation"], height, width)
            masks[one["category_id"], file_name][bool(one.get("iscrowd"))].append(code)
        categories = {one["id"]: str(one["name"]) for one in data["categories"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is not a COCO data set ({error!r}): export the truth as COCO") from error
    return Truth(
        tuple(
            ConceptTruth(
                name,
                name,
                {
                    file: partial(_united, *codes)
                    for (number, file), codes in masks.items()
                    if number == category and codes[0]
                },
                frozenset(
                    file for (number, file), codes in masks.items() if number == category and not codes[0]
                ),
            )
            for category, name in categories.items()
        ),
        frozenset(file_name for file_name, _, _ in images.values()),
    )


def read_label_maps(
    folder: Path,
    *,
    images: Iterable[str],
    names: Mapping[int, str] | None = None,
    void: Collection[int] = VOID,
) -> Truth:
    """A folder of PNG label maps as truth: named as `masks.names` says; 0 is background.

    Args:
        folder: Of the maps, or a VOC-style folder; see `masks.label_maps` for how the ids are named.
        images: File names of images that maps are looked for; those without one are left out.
        names: Names of the ids where no file names them.
        void: Ids that stand for "not known".

    Raises:
        InputError: No image has a map, two have the same, or nothing names the ids.
        FormatError: A map is not one of numbers.
    """
    folder = mask_folder(folder)
    known = read_names(folder) or LabelNames(dict(names or {}))
    if not known.names:
        raise InputError(f"nothing names the ids of {folder}: add legend.json, a list of id and name")
    maps = find_files(images, folder)
    if not maps:
        raise InputError(f"{folder} has no label map of any predicted image: map a/b.png is that of a/b.jpg")
    shown: dict[int, dict[str, Callable[[], Labelled]]] = defaultdict(dict)
    for file, path in maps.items():
        for number in np.unique(read_label_map(path, known.colours)).tolist():
            shown[number][file] = partial(_labelled, path, (number,), void, known.colours)
    classes = {number: name for number, name in known.names.items() if number != 0 and number not in void}
    return Truth(
        tuple(ConceptTruth(name, name, shown[number]) for number, name in classes.items()), frozenset(maps)
    )


def read_group(folder: Path, *, void: Collection[int] = VOID) -> Truth:
    """A group of data sets as truth: concepts.json, SET/images and SET/masks.

    The table gives each concept its query (the category of predictions), its positives (image, mask and the
    ids that show it) and the images to ignore; file names are relative to the folder.

    Raises:
        FormatError: The table is not of this form.
    """
    table = folder / GROUP_TABLE
    try:
        concepts = tuple(
            ConceptTruth(
                str(name),
                str(entry["query"]),
                {
                    one["image"]: partial(_labelled, inside(folder, one["mask"], links=True), _ids(one), void)
                    for one in entry["positives"]
                },
                frozenset(entry["ignore"]),
            )
            for name, entry in _json(table)["concepts"].items()
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(
            f"{table} is no table of concepts ({error!r}): see the group's own notes"
        ) from error
    files = (file for file in folder.glob("*/images/*") if not file.name.startswith("."))
    return Truth(concepts, frozenset(file.relative_to(folder).as_posix() for file in files), folder)


def _legend(path: Path) -> dict[int, str]:
    try:
        return {int(one["id"]): str(one["name"]) for one in _json(path)}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{path} is not a list of id and name ({error!r}): write it anew") from error


def _ids(positive: Mapping[str, Any]) -> tuple[int, ...]:
    ids = tuple(positive["ids"])
    if not all(isinstance(number, int) for number in ids):
        raise TypeError(f"ids {ids!r}")
    return ids


def _united(codes: list[Rle], crowds: list[Rle]) -> Labelled:
    mask = np.logical_or.reduce([rle.decode(code) for code in codes])  # (H, W)
    crowd = np.logical_or.reduce([rle.decode(code) for code in crowds] or [np.zeros_like(mask)])  # (H, W)
    return Labelled(mask, ~crowd | mask)


def _labelled(
    path: Path,
    ids: tuple[int, ...],
    void: Collection[int],
    colours: Mapping[tuple[int, int, int], int] | None = None,
) -> Labelled:
    labels = read_label_map(path, colours)
    return Labelled(np.isin(labels, ids), ~np.isin(labels, list(void)))


def _json(path: Path) -> Any:  # noqa: ANN401  (whatever the file holds; its readers check)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is not readable JSON ({error}): name another file") from error
