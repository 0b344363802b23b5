"""Masks that exist already, as a session to be reviewed and corrected."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.annotations.spec import ConceptSpec
from reco_assist.errors import InputError
from reco_assist.formats import Dataset, is_crowd
from reco_assist.formats.photographs import open_photograph
from reco_assist.masks import rle
from reco_assist.session.records import State
from reco_assist.session.results import add_result
from reco_assist.session.session import Session

_TOGETHER = 8  # concepts whose maps are held at once


@dataclass(frozen=True, slots=True)
class Imported:
    """What a session took from a data set.

    Attributes:
        images: Images.
        masks: Masks; those of one concept in an image are one to the session.
        crowds: Regions to ignore, which a session has no place for; `merge --correct` keeps them.
        shared: Pixels that several concepts claimed; they went to the smaller one.
        skipped: (file name, reason) of images whose photographs are not what their records say.
    """

    images: int
    masks: int
    crowds: int
    shared: int
    skipped: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        said = f"{self.images:,} images with {self.masks:,} masks"
        if self.crowds:
            said += f"; {self.crowds:,} regions to ignore were left out ('merge --correct' keeps them)"
        if self.shared:
            said += f"; {self.shared:,} pixels that concepts shared went to the smaller one"
        return said


def import_dataset(
    session: Session,
    dataset: Dataset,
    images: Path,
    *,
    accepted: bool = False,
    on_image: Callable[[], object] | None = None,
) -> Imported:
    """Bring a data set into a session. What was decided in the session already stays as it is.

    Correct the masks in the notebook, export them, and `reco-assist merge --correct` them into the original:
    its ids, its crowds and whatever was not changed stay what they were.

    Args:
        session: Where it goes; concepts that it lacks are added.
        dataset: The masks.
        images: Folder of the images; it becomes the session's target folder.
        accepted: Take the masks for reviewed already; one undo takes that back.
        on_image: Called after each image.

    Raises:
        InputError: There is no such folder, or the data set has no concept.
        FormatError: A mask is damaged.
        StorageError: The session cannot be written; what came before stays.
    """
    if not images.is_dir():
        raise InputError(f"{images} is no folder: name the folder of the images")
    dataset = dataset.at(images.absolute()).drawn
    names = list(dataset.concepts)
    if not names:
        raise InputError(f"{dataset.source} has no concept: there is nothing to review")
    for name in names:
        if name not in session.concepts:
            session.set_plan(ConceptSpec(name))
    session.targets = images.absolute()
    decisions: dict[str, dict[str, State]] = {}
    done, masks, crowds, shared = 0, 0, 0, 0
    skipped: list[tuple[str, str]] = []
    for number, record in dataset.images.items():
        try:
            photo = open_photograph(dataset, record, reduce_to=1)
        except InputError as error:
            skipped.append((dataset.name(record), str(error)))
            continue
        height, width = record["height"], record["width"]
        image = ImageRef(dataset.name(record), photo.content_hash, width, height)
        single = [one for one in dataset.annotations[number] if not is_crowd(one)]
        crowds += len(dataset.annotations[number]) - len(single)
        masks += len(single)
        found, claimed = _maps(dataset, single)
        shared += claimed
        # What an image without any mask does not show is a finding too.
        shown = [name for name in names if name in found] or names
        for start in range(0, len(shown), _TOGETHER):
            _keep(session, image, photo.path, shown[start : start + _TOGETHER], found)
        decisions[image.content_hash] = {name: "accepted" if name in found else "absent" for name in shown}
        done += 1
        if on_image is not None:
            on_image()
    if accepted:
        session.decide_many(decisions)
    return Imported(done, masks, crowds, shared, tuple(skipped))


def _maps(dataset: Dataset, annotations: list[Mapping[str, Any]]) -> tuple[dict[str, NDArray[np.uint8]], int]:
    """Each concept's mask as a map (H, W) of 0 and 255, no pixel in two; and how many were claimed twice."""
    unions: dict[str, NDArray[np.bool_]] = {}
    for one in annotations:
        mask = rle.decode(dataset.mask(one))  # (H, W)
        name = dataset.concept(one)
        unions[name] = unions[name] | mask if name in unions else mask
    taken: NDArray[np.bool_] | None = None
    shared = 0
    maps = {}
    for name in sorted(unions, key=lambda one: int(unions[one].sum())):
        mask = unions[name]
        taken = np.zeros_like(mask) if taken is None else taken
        shared += int((mask & taken).sum())
        maps[name] = np.where(mask & ~taken, np.uint8(255), np.uint8(0))
        taken |= mask
    return maps, shared


def _keep(
    session: Session, image: ImageRef, path: Path, names: list[str], maps: Mapping[str, NDArray[np.uint8]]
) -> None:
    blank = np.zeros((image.height, image.width), np.uint8)  # (H, W)
    stack = np.stack([maps.get(name, blank) for name in names])  # (K, H, W)
    verdicts = [Verdict(name, name in maps, float(name in maps)) for name in names]
    add_result(session, image, path, stack, verdicts, dict.fromkeys(names, "imported"), specks=True)
