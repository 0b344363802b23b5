"""What every export makes sure of before it writes anything."""

from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Literal

from reco_assist.annotations import ImageRef, Prediction, Region
from reco_assist.errors import InputError
from reco_assist.masks import Rle, rle

Format = Literal["coco", "label-studio", "png"]
FORMATS: tuple[Format, ...] = ("coco", "label-studio", "png")
"""What predictions are exported as."""

Concepts = Sequence[str] | Mapping[str, int]
"""Names of concepts, numbered from 1 in their order; or names with the numbers that they must keep."""


def check_formats(names: Collection[str]) -> tuple[Format, ...]:
    """The formats of some names.

    Raises:
        InputError: There is none, or one is not known.
    """
    chosen = tuple(one for one in FORMATS if one in names)
    if not chosen or set(names) - set(chosen):
        raise InputError(f"the formats are {list(names)}: choose one or more of {', '.join(FORMATS)}")
    return chosen


def number_concepts(concepts: Concepts) -> dict[str, int]:
    """The number of each concept: its category id, and its value in label maps.

    Raises:
        InputError: There is no concept, or one is empty, twice there or has control characters, or two have
            one number, or one below 1.
    """
    if isinstance(concepts, str) or not concepts:
        raise InputError(f"The concepts are {concepts!r}; give a list of at least one name.")
    if isinstance(concepts, Mapping):
        numbers = dict(concepts)
    else:
        numbers = {concept: number for number, concept in enumerate(concepts, start=1)}
    for concept in concepts:
        if not concept.strip() or any(ord(character) < 32 for character in concept):
            raise InputError(f"The concept {concept!r} is no name; give one line of text.")
    if len(numbers) < len(concepts):
        raise InputError(f"The concepts {list(concepts)} have a name twice; name each once.")
    if len(set(numbers.values())) < len(numbers) or min(numbers.values()) < 1:
        raise InputError(f"The numbers of the concepts are {numbers}; give different ones from 1.")
    return numbers


def keep_numbers(concepts: Sequence[str], known: Mapping[str, int]) -> dict[str, int]:
    """Numbers for concepts that had some before: those keep theirs, others get the next above all of them."""
    following = count(max(known.values(), default=0) + 1)
    return {concept: known[concept] if concept in known else next(following) for concept in concepts}


def check_prediction(prediction: Prediction, numbers: dict[str, int]) -> None:
    """Make sure that a prediction can be exported as it is.

    Raises:
        InputError: A region or verdict is of an unknown concept, a mask is empty or not of the image's size,
            or a score is no probability.
    """
    for region in prediction.regions:
        _check_region(prediction.image, region, numbers)
    for verdict in prediction.verdicts:
        _check_concept(prediction.image, verdict.concept, numbers)
        round_score(verdict.probability)


def _check_region(image: ImageRef, region: Region, numbers: dict[str, int]) -> None:
    _check_concept(image, region.concept, numbers)
    round_score(region.score)
    mask: Rle = region.mask
    if (mask.height, mask.width) != (image.height, image.width):
        raise InputError(
            f"A mask of {region.concept!r} has {mask.width} x {mask.height} pixels, but {image.file_name} "
            f"has {image.width} x {image.height} (upright); make masks at the image's full size."
        )
    if not rle.area(mask):
        raise InputError(f"A mask of {region.concept!r} in {image.file_name} is empty; leave the region out.")


def _check_concept(image: ImageRef, concept: str, numbers: dict[str, int]) -> None:
    if concept not in numbers:
        raise InputError(f"{image.file_name} has the concept {concept!r}, which is none of {list(numbers)}.")


def round_score(score: float) -> float:
    """A probability with six decimals, so that the same result is the same text.

    Raises:
        InputError: It is not within 0 to 1.
    """
    if not 0 <= score <= 1:
        raise InputError(f"A score of {score} is no probability; scores range from 0 to 1.")
    return round(float(score), 6)
