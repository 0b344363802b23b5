"""Masks that exist already, as a session to be reviewed and corrected."""

from collections.abc import Callable, Mapping, Sequence
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
_ABOUT: Mapping[bool, State] = {True: "accepted", False: "absent"}


@dataclass(frozen=True, slots=True)
class Imported:
    """What a session took from a data set.

    Attributes:
        images: Images.
        masks: Masks; those of one concept in an image are one to the session.
        crowds: Regions to ignore, which a session has no place for; `merge --correct` keeps them.
        shared: Pixels that several concepts claimed; they went to the smaller one.
        skipped: (file name, reason) of images that were left out: their photographs are not what their
            records say, or they are copies and show a concept whose mask is known.
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

    Copies of an image are one to a session: of each concept, the first mask counts.

    Correct the masks in the notebook, export them, and `reco-assist merge --correct` them into the original:
    its ids, its crowds and whatever was not changed stay what they were.

    Args:
        session: Where it goes; concepts that it lacks are added.
        dataset: The masks.
        images: Folder of the images; it becomes the session's target folder.
        accepted: Take the masks for reviewed already, also those that came before a failure; one undo takes
            that back, and leaves the masks.
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
    try:
        return _take(session, dataset, names, decisions, on_image)
    finally:
        if accepted:
            session.decide_many(_open(session, decisions))


def _take(
    session: Session,
    dataset: Dataset,
    names: list[str],
    decisions: dict[str, dict[str, State]],
    on_image: Callable[[], object] | None,
) -> Imported:
    """Keep the masks of every image; what accepting them would decide is put into `decisions`."""
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
        drawn = [one for one in dataset.annotations[number] if not is_crowd(one)]
        said = decisions.get(image.content_hash, {})
        kept = [name for name in names if said.get(name) == "accepted"]  # of a copy that came before
        single = [one for one in drawn if dataset.concept(one) not in kept]
        if left := sorted({dataset.concept(one) for one in drawn} & set(kept)):
            reason = f"a copy of it was taken already, with a mask of {', '.join(left)}, which stays"
            skipped.append((image.file_name, reason))
        crowds += len(dataset.annotations[number]) - len(drawn)
        masks += len(single)
        theirs = [session.masks.drawn(image.content_hash, name) for name in kept]  # (H, W) each
        found, claimed = _maps(dataset, single, theirs)
        shared += claimed
        # What an image without any mask does not show is a finding too.
        shown = [name for name in names if name in found] or ([] if kept else names)
        for start in range(0, max(1, len(shown)), _TOGETHER):  # a copy's name is kept without any mask too
            _keep(session, image, photo.path, shown[start : start + _TOGETHER], found)
        about = {name: _ABOUT[name in found] for name in shown}
        decisions.setdefault(image.content_hash, {}).update(about)
        done += 1
        if on_image is not None:
            on_image()
    return Imported(done, masks, crowds, shared, tuple(skipped))


def _open(session: Session, decisions: Mapping[str, Mapping[str, State]]) -> dict[str, dict[str, State]]:
    """Without what was decided before."""
    return {
        content_hash: {
            name: state for name, state in states.items() if not session.review(content_hash, name).decided
        }
        for content_hash, states in decisions.items()
    }


def _maps(
    dataset: Dataset, annotations: list[Mapping[str, Any]], known: Sequence[NDArray[np.bool_]]
) -> tuple[dict[str, NDArray[np.uint8]], int]:
    """Each concept's mask as a map (H, W) of 0 and 255, no pixel in two; and how many were claimed twice.

    Pixels of masks that are `known` stay theirs.
    """
    unions: dict[str, NDArray[np.bool_]] = {}
    for one in annotations:
        mask = rle.decode(dataset.mask(one))  # (H, W)
        name = dataset.concept(one)
        unions[name] = unions[name] | mask if name in unions else mask
    taken: NDArray[np.bool_] | None = np.logical_or.reduce(known) if known else None  # (H, W)
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
    found = [maps.get(name, blank) for name in names]
    stack = np.array(found, np.uint8).reshape(-1, *blank.shape)  # (K, H, W)
    verdicts = [Verdict(name, name in maps, float(name in maps)) for name in names]
    add_result(session, image, path, stack, verdicts, dict.fromkeys(names, "imported"), specks=True)
