"""What a pull left in a folder: every task, decoded, and what people say is in its image."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.errors import FormatError, InputError, short
from reco_assist.formats.label_studio_regions import Drawn
from reco_assist.formats.stream import dumps
from reco_assist.json_files import read_json
from reco_assist.label_studio.tasks import LSTask, from_json, part_tasks, to_json
from reco_assist.masks import rle

Policy = Literal["latest", "first", "majority"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
"""What counts where several people annotated an image."""

STATE = "pulled.json"
"""Everything that was pulled, decoded; the next pull goes on from it."""

_FORMAT = 1
_LARGEST = 4 << 30  # bytes; like a data set


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought.

    Attributes:
        folder: Where it lies.
        project: Title of the project.
        concepts: Its labels.
        labelled: Its tasks.
        images: The folder of the images, as far as it is known.
        policy: What counts where several people annotated an image.
        fresh: Tasks that are new, or changed since the last pull.
        notes: What the user should know, a sentence each.
    """

    folder: Path
    project: str
    concepts: tuple[str, ...]
    labelled: tuple[LSTask, ...]
    images: Path | None
    policy: Policy
    fresh: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def answered(self) -> list[LSTask]:
        """Tasks that somebody annotated."""
        return [one for one in self.labelled if one.answered]

    @property
    def skipped(self) -> int:
        """Tasks that were only skipped."""
        return sum(bool(one.annotations) and not one.answered for one in self.labelled)

    def corrected(self, one: LSTask) -> Prediction:
        """What people say is in an image, by the policy."""
        regions = _regions(one, self.concepts, self.policy)
        seen = {region.concept for region in regions}
        verdicts = tuple(Verdict(name, name in seen, float(name in seen)) for name in self.concepts)
        return Prediction(one.image, regions, verdicts)


def read_pulled(folder: Path) -> Pulled:
    """What an earlier `pull` left in a folder.

    Raises:
        InputError: It left nothing there.
        FormatError: It is damaged or of another release.
    """
    path = folder / STATE
    if not path.is_file():
        raise InputError(f"{folder} holds no corrections; run reco-assist pull first.")
    pulled, _ = _load(path)
    return replace(pulled, labelled=part_tasks(pulled.labelled))


def state(pulled: Pulled, source: str) -> str:
    """What `read_state` reads again: all tasks, as JSON."""
    return dumps(
        {
            "format": _FORMAT,
            "source": source,
            "project": pulled.project,
            "concepts": pulled.concepts,
            "images": None if pulled.images is None else str(pulled.images),
            "policy": pulled.policy,
            "tasks": [to_json(one) for one in pulled.labelled],
        }
    )


def _load(path: Path) -> tuple[Pulled, str]:
    """What was pulled, and where from."""
    try:
        data = read_json(path, _LARGEST)
        if data["format"] != _FORMAT or data["policy"] not in POLICIES:
            raise ValueError
        return Pulled(
            path.parent,
            str(data["project"]),
            tuple(map(str, data["concepts"])),
            tuple(from_json(one) for one in data["tasks"]),
            None if data["images"] is None else Path(data["images"]),
            data["policy"],
        ), str(data["source"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise FormatError(f"{path} is damaged or of another release; remove it and pull again.") from None


def read_state(path: Path, source: str) -> tuple[dict[int, LSTask], Path | None]:
    """The tasks of earlier pulls from a project by number, and the images' folder.

    Raises:
        FormatError: The file is damaged, or holds another project.
    """
    if not path.is_file():
        return {}, None
    before, place = _load(path)
    if place != source:
        raise FormatError(f"{path.parent} holds what was pulled from {short(place)}; choose another folder.")
    return {one.task: one for one in before.labelled}, before.images


def _regions(one: LSTask, concepts: Sequence[str], policy: Policy) -> tuple[Region, ...]:
    annotations = one.answered
    if not annotations:
        return ()
    if policy != "majority" or len(annotations) == 1:
        chosen = annotations[0] if policy == "first" else annotations[-1]
        # Two regions of the same concept and pixels are one.
        masks = {(name, drawn.mask): None for drawn in chosen.regions for name in drawn.concepts}
        return tuple(Region(name, mask, 1.0) for name, mask in masks if name in concepts)
    found = []
    for name in concepts:
        votes = sum(union(each.regions, name, one.image).astype(np.int16) for each in annotations)  # (H, W)
        agreed = np.asarray(votes) * 2 > len(annotations)  # (H, W)
        if agreed.any():
            found.append(Region(name, rle.encode(agreed), 1.0))
    return tuple(found)


def union(regions: Sequence[Drawn], concept: str, image: ImageRef) -> NDArray[np.bool_]:
    """(H, W) bool: every pixel that regions of a concept hold."""
    held = [region.mask for region in regions if concept in region.concepts]
    return rle.decode_all(held, image.height, image.width)
