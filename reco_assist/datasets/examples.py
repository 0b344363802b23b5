"""Good examples of a concept among the masks of a data set."""

import numpy as np

from reco_assist.errors import InputError
from reco_assist.formats import Dataset, is_crowd
from reco_assist.formats.fields import listed
from reco_assist.formats.plain import Record
from reco_assist.masks import rle

_SMALLEST = 0.01  # share of the image: smaller objects have hardly a cell of the encoder's grid


def example_masks(dataset: Dataset, concept: str) -> list[Record]:
    """Annotations that show a concept, each in an image of its own; best first: of usual size, not too small.

    Args:
        dataset: With masks of the concept.
        concept: Its name; upper and lower case do not matter.

    Raises:
        InputError: The data set has no mask of the concept.
        FormatError: A mask is damaged.
    """
    shares: list[float] = []
    records: list[Record] = []
    for one in dataset.document["annotations"]:
        if dataset.concept(one).strip().casefold() == concept.strip().casefold() and not is_crowd(one):
            mask = dataset.mask(one)
            if area := rle.area(mask):
                records.append(one)
                shares.append(area / (mask.height * mask.width))
    if not records:
        there = listed(dataset.concepts)
        raise InputError(f"{dataset.source} has no mask of {concept!r}: name one of its concepts, {there}")
    size = np.array(shares)  # (n,)
    unusual = np.abs(np.log(size) - np.median(np.log(size))) + 10 * (size < _SMALLEST)  # (n,)
    chosen: dict[object, Record] = {}
    for index in np.argsort(unusual, kind="stable").tolist():
        chosen.setdefault(dataset.image(records[index])["id"], records[index])
    return list(chosen.values())
