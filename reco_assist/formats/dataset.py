"""A data set in memory: the COCO document itself, every record and field of it, and views that give types."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import is_
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError, InputError
from reco_assist.formats.fields import cut
from reco_assist.formats.names import below, clean_name, file_keys, find_image, name_key
from reco_assist.formats.plain import Id, Record, masked, plain
from reco_assist.formats.regions import at_shape
from reco_assist.masks import Rle, rle
from reco_assist.masks.counts import is_blank

_AT_ONCE = 250  # masks that are drawn together: they share what each call takes
_NONE = (None, None)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, categories and annotations that belong together. Records are never changed in place.

    Attributes:
        document: The whole COCO document; its values get their plain forms as the table `fields.FIELDS` says.
        source: What it is called in messages: its file.
        folder: What file names are relative to, where that is known.
        skipped: (file name, reason in a sentence) of images that its reader left out.
        checked: Whether every value has its plain form already.
    """

    document: Mapping[str, Any]
    source: str
    folder: Path | None = None
    skipped: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)
    checked: bool = field(default=False, kw_only=True, repr=False)
    _masks: dict[Id, tuple[Record, Rle]] = field(default_factory=dict, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not self.checked:
            object.__setattr__(self, "document", plain(self.document, self.source))
            _check_sizes(self)

    def at(self, folder: Path) -> "Dataset":
        """The same data set with its photographs in a folder; records of one file there are one image.

        Raises:
            FormatError: Records of one file have different sizes.
        """
        if folder == self.folder:
            return self
        moved = replace(self, folder=folder, checked=True)
        _check_sizes(moved)
        return moved

    @cached_property
    def images(self) -> dict[Id, Record]:
        """The record of each image, by id; of several records of one file the first."""
        return {one["id"]: one for one in self.document["images"] if self._first[one["id"]] == one["id"]}

    @cached_property
    def categories(self) -> dict[Id, str]:
        """Names of the concepts, by category id; one name may have several ids."""
        return {one["id"]: one["name"] for one in self.document["categories"]}

    @cached_property
    def concepts(self) -> dict[str, Id]:
        """The category id of each concept; where several have its name, the first that has annotations."""
        used = {one["category_id"] for one in self.document["annotations"]}
        found: dict[str, Id] = {}
        for number, name in self.categories.items():
            if name not in found or (found[name] not in used and number in used):
                found[name] = number
        return found

    @cached_property
    def annotations(self) -> dict[Id, list[Record]]:
        """The records of the annotations of each image, by image id, in the order of the file."""
        found: dict[Id, list[Record]] = {number: [] for number in self.images}
        for one in self.document["annotations"]:
            found[self._first[one["image_id"]]].append(one)
        return found

    def image(self, annotation: Record) -> Record:
        """The record of the image that an annotation is of."""
        return self.images[self._first[annotation["image_id"]]]

    def concept(self, annotation: Record) -> str:
        """The name of an annotation's concept."""
        return self.categories[annotation["category_id"]]

    def mask(self, annotation: Record) -> Rle:
        """The pixels of an annotation: its mask; where it has a box alone, those of the box.

        Raises:
            FormatError: Its segmentation is damaged or of another size.
        """
        return self.masks([annotation])[0]

    def masks(self, annotations: Sequence[Record]) -> list[Rle]:
        """The pixels of annotations, as `mask` gives those of each, drawn many at a time.

        Raises:
            FormatError: A segmentation is damaged or of another size.
        """
        known = self._masks
        new = [one for one in annotations if known.get(one["id"], _NONE)[0] is not one]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            images = [self.image(one) for one in some]
            sizes = [(image["height"], image["width"]) for image in images]
            for one, mask in zip(some, masked(some, sizes, self.source), strict=True):
                known[one["id"]] = one, mask
        return [known[one["id"]][1] for one in annotations]

    @cached_property
    def drawn(self) -> "Dataset":
        """The data set without annotations that have no pixel. Every mask is looked at: none is damaged.

        Raises:
            FormatError: A mask is damaged.
        """
        every = self.document["annotations"]
        kept = [one for one, mask in zip(every, self.masks(every), strict=True) if not is_blank(mask)]
        if len(kept) == len(every):
            return self
        drawn = self._with(annotations=kept)
        drawn.__dict__["drawn"] = drawn
        return drawn

    def find(self, file_name: str) -> Id | None:
        """The id of the image of a name, however that is written; None where there is none."""
        name = below(file_name, self._roots)
        found = self._names.get(clean_name(name))
        return self._keys.get(name_key(name)) if found is None else found

    def of(self, image: Id, concept: str) -> list[Record]:
        """The annotations of a concept in an image, crowds too; upper and lower case do not matter."""
        return self._by_concept.get((image, concept.casefold()), [])

    def union(
        self, image: Id | None, concept: str, *, shape: tuple[int, int] | None = None
    ) -> NDArray[np.bool_]:
        """All of a concept in an image as one mask (H, W) bool, at a shape or else at the image's size.

        Args:
            image: Its id; of an image that is not there nothing is known but the shape, which must be given.
            concept: Its name.
            shape: Height and width.

        Raises:
            FormatError: A mask is damaged.
            InputError: There is neither image nor shape.
        """
        if shape is None:
            if image is None:
                raise InputError(f"an image is not in {self.source}: segment it too")
            shape = self.images[image]["height"], self.images[image]["width"]
        united = rle.union(self.masks([] if image is None else self.of(image, concept)))
        return np.zeros(shape, np.bool_) if united is None else at_shape(united, shape)

    def presence(self, image: Id, concept: str) -> float | None:
        """The probability that an image shows a concept, where the data set states one."""
        stated = self._stated[image].get(concept.casefold())
        return None if stated is None else stated["probability"]

    def absent(self, image: Id, concept: str) -> bool:
        """Whether the data set states that an image does not show a concept."""
        stated = self._stated[image].get(concept.casefold())
        return stated is not None and not stated["present"]

    def photograph(self, image: Record, folder: Path | None = None) -> Path:
        """Where the photograph of an image is, or should be.

        Args:
            image: The image's record.
            folder: Of the photographs; the data set's own if None.

        Raises:
            InputError: The image's name leads out of the folder, or no folder is known.
        """
        place = folder or self.folder
        if place is None:
            raise InputError(
                f"{self.source} does not say where its images are: name their folder by --images"
            )
        return find_image(place, below(image["file_name"], self._roots))

    def name(self, image: Record) -> str:
        """The POSIX name of an image, relative to the data set where it is absolute."""
        return clean_name(below(image["file_name"], self._roots))

    def prefixed(self, prefix: str) -> "Dataset":
        """The same data set with the names of its images in their clean form, and a prefix before them.

        Names are relative to the data set; one that is absolute all the same gets no prefix.
        """

        def named(image: Record) -> Record:
            name = self.name(image)
            name = name if name.startswith("/") else clean_name(prefix + name)
            return image if image["file_name"] == name else {**image, "file_name": name}

        images = [named(one) for one in self.document["images"]]
        return self if all(map(is_, images, self.document["images"])) else self._with(images=images)

    def only(self, images: Iterable[Id]) -> "Dataset":
        """Some of its images with their annotations, in its own order; nothing else changes."""
        wanted = set(images)
        kept = {number for number, first in self._first.items() if first in wanted}
        return self._with(
            images=[one for one in self.document["images"] if one["id"] in kept],
            annotations=[one for one in self.document["annotations"] if one["image_id"] in kept],
        )

    def _with(self, **parts: list[Record]) -> "Dataset":
        return replace(self, document={**self.document, **parts}, checked=True)

    @cached_property
    def _first(self) -> dict[Id, Id]:
        """The id of the first record of the same file, by id: records of one file are one image."""
        names = {one["id"]: self.name(one) for one in self.document["images"]}
        files = file_keys(names.values(), self.folder)
        firsts: dict[str, Id] = {}
        return {number: firsts.setdefault(files[name], number) for number, name in names.items()}

    @cached_property
    def _names(self) -> dict[str, Id]:
        return {self.name(one): number for number, one in reversed(self.images.items())}

    @cached_property
    def _keys(self) -> dict[str, Id]:
        return {name_key(name): number for name, number in self._names.items()}

    @cached_property
    def _stated(self) -> dict[Id, dict[str, Record]]:
        """The verdicts about each image, by concept in lower case."""
        return {
            number: {name.casefold(): one for name, one in image.get("reco_verdicts", {}).items()}
            for number, image in self.images.items()
        }

    @cached_property
    def _by_concept(self) -> dict[tuple[Id, str], list[Record]]:
        found: dict[tuple[Id, str], list[Record]] = defaultdict(list)
        for number, annotations in self.annotations.items():
            for one in annotations:
                found[number, self.concept(one).casefold()].append(one)
        return dict(found)

    @cached_property
    def _roots(self) -> tuple[Path, ...]:
        own = Path(self.source)
        roots = (*(() if self.folder is None else (self.folder,)), own if own.is_dir() else own.parent)
        return tuple(dict.fromkeys(place for root in roots for place in (root.absolute(), root.resolve())))


def _check_sizes(dataset: Dataset) -> None:
    """Records of one file agree on its size."""
    for one in dataset.document["images"]:
        first = dataset.image({"image_id": one["id"]})
        if (first["height"], first["width"]) != (one["height"], one["width"]):
            raise FormatError(
                f"{dataset.source} has {cut(one['file_name'], 80)} twice, as {first['width']} x "
                f"{first['height']} and as {one['width']} x {one['height']} pixels: leave out the wrong one"
            )


def is_crowd(annotation: Record) -> bool:
    """Whether an annotation is a region to ignore: COCO's `iscrowd`, or the `ignore` of some tools."""
    return bool(annotation.get("iscrowd") or annotation.get("ignore"))


def score(annotation: Record) -> float | None:
    """The score of an annotation; None where it has none."""
    value = annotation.get("score")
    return None if value is None else float(value)


def by_concept(dataset: Dataset) -> dict[str, list[Record]]:
    """The annotations of each concept, crowds included, in the order of the categories."""
    found: dict[str, list[Record]] = {name: [] for name in dataset.concepts}
    for one in dataset.document["annotations"]:
        found[dataset.concept(one)].append(one)
    return found
