"""Frame: what the canvas shows, and what the curator does to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import LookAt
from reco_assist.errors import InputError
from reco_assist.masks.edits import check_threshold

Action = Literal["accept", "reject", "absent", "skip"]
PALETTE = ("#ff9f1c", "#2ec4ff", "#b8e62e", "#ff5fa2", "#a68bff", "#ffe45e", "#3ddc97", "#ff6b5e", "#c9d3dc")
"""Concept colours: light and saturated enough to read on photographs, told apart by hue and lightness."""


@dataclass(frozen=True, slots=True, eq=False)
class ConceptLayer:
    """One concept on one image.

    Attributes:
        name: Shown as text; no two layers of a frame have the same.
        scores: (h, w) uint8 refined probability, 255 is certain; all layers of a frame have one size.
        threshold: 1 to 255; a cell is in the mask from this value on.
        edits: (h, w) uint8 of 0 (none), 1 (forced in), 2 (forced out); None for none.
        colour: "#rrggbb"; empty takes the palette's next.
        presence: Probability that the concept is in the image, None if unknown.
        absent: The curator said that it is not.
        looks: The parts of the image that decided the map, in its cells.
    """

    name: str
    scores: NDArray[np.uint8]
    threshold: int
    edits: NDArray[np.uint8] | None = None
    colour: str = ""
    presence: float | None = None
    absent: bool = False
    looks: tuple[LookAt, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What the canvas shows.

    Attributes:
        id: Content hash of the image; every event names it.
        label: File name, shown as text.
        image: Encoded (JPEG, WebP, PNG), oriented by its EXIF tag if it has one; of any size with the
            layers' aspect.
        layers: One per concept, at least one.
        index: Position in the timeline, from 0.
        uncertainty: 0 sure to 1 unsure; None if unknown.
        exclusive: A cell belongs to one concept at most: painting one takes it from the others.
    """

    id: str
    label: str
    image: bytes
    layers: tuple[ConceptLayer, ...]
    index: int = 0
    uncertainty: float | None = None
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What the curator decided about an image.

    Attributes:
        id: Of the image.
        action: accept, reject, absent or skip.
        concept: Name of the concept that was chosen.
        thresholds: By the concepts' names, as seen when deciding.
    """

    id: str
    action: Action
    concept: str
    thresholds: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """Cells that a stroke, a fill or an undo changed.

    Attributes:
        id: Of the image.
        concept: Name of the concept.
        x: Column of the first cell.
        y: Row of the first cell.
        cells: (h, w) uint8 of 0 (none), 1 (forced in), 2 (forced out): the new content.
    """

    id: str
    concept: str
    x: int
    y: int
    cells: NDArray[np.uint8] = field(repr=False)


def check_frame(frame: Frame) -> None:
    """See that a frame can be shown.

    Raises:
        InputError: There is no layer, two have one name, sizes differ, or a threshold is out of range.
    """
    if not frame.layers:
        raise InputError(f"The frame of {frame.label} has no layer; give one per concept.")
    names = [layer.name for layer in frame.layers]
    if len(set(names)) < len(names):
        raise InputError(f"The layers of {frame.label} are named {names}; give each concept once.")
    shape = frame.layers[0].scores.shape
    for layer in frame.layers:
        scores = layer.scores
        if scores.dtype != np.uint8 or scores.ndim != 2:
            given = f"{scores.ndim}-dimensional {scores.dtype}"
            raise InputError(f"The scores of {layer.name} are {given}; give (h, w) uint8.")
        sizes = {shape, scores.shape, shape if layer.edits is None else layer.edits.shape}
        if len(sizes) > 1:
            raise InputError(f"The layers of {frame.label} have sizes {sorted(sizes)}; give one size to all.")
        check_threshold(layer.threshold)
