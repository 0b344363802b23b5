"""Ground truth: what a data set says about each concept, ready to be held against predictions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import InputError
from reco_assist.formats import Dataset, is_crowd
from reco_assist.formats.fields import listed
from reco_assist.formats.groups import QUERY
from reco_assist.masks import Rle, rle


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
        dataset: Of the images that predictions should cover. Every one that is neither a positive of a
            concept nor ignored is a negative of it.
    """

    concepts: tuple[ConceptTruth, ...]
    dataset: Dataset

    @property
    def images(self) -> frozenset[str]:
        """File names of the images."""
        return frozenset(image["file_name"] for image in self.dataset.images.values())

    def only(self, names: Iterable[str]) -> "Truth":
        """The truth about some concepts, by name or category.

        Raises:
            InputError: One is not known.
        """
        wanted = [name.strip().casefold() for name in names]
        known = {key.casefold(): one for one in self.concepts for key in (one.category, one.name)}
        if unknown := [name for name in wanted if name not in known]:
            there = listed(one.name for one in self.concepts)
            raise InputError(f"the ground truth has no concept {unknown[0]!r}: choose among {there}")
        return replace(self, concepts=tuple({known[name].name: known[name] for name in wanted}.values()))


def truth_of(dataset: Dataset) -> Truth:
    """A data set as truth; all annotations of a concept in an image are united.

    Crowds are not known. An image with nothing but crowds of a concept is ignored for it.

    Raises:
        FormatError: A mask is damaged.
    """
    shown = dataset.drawn
    masks: dict[str, dict[str, tuple[list[Rle], list[Rle]]]] = {
        name: defaultdict(lambda: ([], [])) for name in shown.concepts
    }
    for one in shown.document["annotations"]:
        file_name = shown.image(one)["file_name"]
        masks[shown.concept(one)][file_name][is_crowd(one)].append(shown.mask(one))
    queries = {one["name"]: one.get(QUERY, one["name"]) for one in shown.document["categories"]}
    concepts = (
        ConceptTruth(
            name,
            queries[name],
            {file: partial(_united, *codes) for file, codes in files.items() if codes[0]},
            frozenset(file for file, codes in files.items() if not codes[0]),
        )
        for name, files in masks.items()
    )
    return Truth(tuple(concepts), dataset)


def _united(codes: list[Rle], crowds: list[Rle]) -> Labelled:
    height, width = codes[0].height, codes[0].width
    mask, crowd = (rle.decode_all(some, height, width) for some in (codes, crowds))  # (H, W) each
    return Labelled(mask, ~crowd | mask)
