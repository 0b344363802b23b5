"""MaskCanvas: one image with the probability maps of its concepts, to threshold, correct and decide."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from reco_assist.errors import InputError
from reco_assist.masks.edits import check_threshold, pack_edits, unpack_edits
from reco_assist.ui._assets import asset
from reco_assist.ui.guard import Guarded

Action = Literal["accept", "reject", "absent", "skip"]
STATES = ("pending", "accepted", "rejected", "absent", "skipped")
"""The bytes of `MaskCanvas.timeline` are positions in this tuple."""

PALETTE = ("#ff9f1c", "#2ec4ff", "#b8e62e", "#ff5fa2", "#a68bff", "#ffe45e", "#3ddc97", "#ff6b5e", "#c9d3dc")
"""Concept colours: light and saturated enough to read on photographs, told apart by hue and lightness."""


@dataclass(frozen=True, slots=True, eq=False)
class ConceptLayer:
    """One concept on one image.

    Attributes:
        name: Shown as text.
        scores: (h, w) uint8 refined probability, 255 is certain; all layers of a frame have one size.
        threshold: 1 to 255; a cell is in the mask from this value on.
        edits: (h, w) uint8 of 0 (none), 1 (forced in), 2 (forced out); None for none.
        colour: "#rrggbb"; empty takes the palette's next.
        presence: Probability that the concept is in the image, None if unknown.
        absent: The curator said that it is not.
    """

    name: str
    scores: NDArray[np.uint8]
    threshold: int
    edits: NDArray[np.uint8] | None = None
    colour: str = ""
    presence: float | None = None
    absent: bool = False


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
        concept: Position of the concept that was chosen.
        thresholds: One per concept, as seen when deciding.
    """

    id: str
    action: Action
    concept: int
    thresholds: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """Cells that a stroke, a fill or an undo changed.

    Attributes:
        id: Of the image.
        concept: Position of the concept.
        x: Column of the first cell.
        y: Row of the first cell.
        cells: (h, w) uint8 of 0 (none), 1 (forced in), 2 (forced out): the new content.
    """

    id: str
    concept: int
    x: int
    y: int
    cells: NDArray[np.uint8] = field(repr=False)


class MaskCanvas(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget ships no usable types for mypy
    """Canvas to review masks with the keyboard; `?` shows the keys.

    Thresholds move and brushes paint in the browser alone. What was committed is reported to the callbacks
    and kept here, so that a view opened later shows the same. A failure of a callback is shown.

    Attributes:
        timeline: One byte per image of the job, a position in `STATES`.
        active: Name of the chosen concept, which strokes and thresholds are about; of a frame without it
            the first.
        status: One line about what goes on.
        error: One sentence about what failed; empty hides it.
        busy: Shows that work goes on.
        opacity: Of the mask's fill, 0 to 1.
        outline: Whether only outlines are drawn.
        brush: Diameter in cells.
        height: Of the image area in CSS pixels.
    """

    _esm = asset("mask_canvas.js")
    _css = asset("mask_canvas.css")

    timeline = traitlets.Bytes().tag(sync=True)
    active = traitlets.Unicode().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool(default_value=False).tag(sync=True)
    opacity = traitlets.Float(0.4, min=0.0, max=1.0).tag(sync=True)
    outline = traitlets.Bool(default_value=False).tag(sync=True)
    brush = traitlets.Int(24, min=1, max=512).tag(sync=True)
    height = traitlets.Int(560, min=240).tag(sync=True)

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self._frame: Frame | None = None
        self._thresholds: list[int] = []
        self._edits: list[NDArray[np.uint8]] = []
        self._decision_callbacks: list[Callable[[Decision], None]] = []
        self._navigate_callbacks: list[Callable[[str, int], None]] = []
        self._threshold_callbacks: list[Callable[[str, int, int], None]] = []
        self._edit_callbacks: list[Callable[[Edit], None]] = []
        self._command_callbacks: list[Callable[[str], None]] = []
        self.on_msg(Guarded(self._receive, self._fail))

    @property
    def frame(self) -> Frame | None:
        """What is shown; assign another, or None for nothing.

        Raises:
            InputError: There is no layer, sizes differ, or a threshold is out of range.
        """
        return self._frame

    @frame.setter
    def frame(self, frame: Frame | None) -> None:
        if frame is not None:
            _check(frame)
        self._frame = frame
        layers = frame.layers if frame else ()
        self._thresholds = [layer.threshold for layer in layers]
        # Own copies: strokes are written into them.
        self._edits = [
            np.zeros(layer.scores.shape, np.uint8) if layer.edits is None else layer.edits.copy()
            for layer in layers
        ]
        self._send_frame()

    @property
    def thresholds(self) -> tuple[int, ...]:
        """The committed threshold of each layer."""
        return tuple(self._thresholds)

    @property
    def edits(self) -> tuple[NDArray[np.uint8], ...]:
        """(h, w) uint8 per layer, with every stroke so far; copies."""
        return tuple(layer.copy() for layer in self._edits)

    def move(self, index: int) -> None:
        """Says that the shown image now has another position in the timeline; nothing else changes."""
        if self._frame is not None:
            self._frame = replace(self._frame, index=index)
            self.send({"type": "place", "id": self._frame.id, "index": index})

    def focus(self) -> None:
        """Takes the keyboard."""
        self.send({"type": "focus"})

    def on_decision(self, callback: Callable[[Decision], None]) -> None:
        """Calls `callback(decision)` on accept, reject, absent and skip."""
        self._decision_callbacks.append(callback)

    def on_navigate(self, callback: Callable[[str, int], None]) -> None:
        """Calls `callback(where, index)`: "next", "previous", "unsure" from index, or "go" to it."""
        self._navigate_callbacks.append(callback)

    def on_threshold(self, callback: Callable[[str, int, int], None]) -> None:
        """Calls `callback(image id, concept position, threshold)` when a slider comes to rest."""
        self._threshold_callbacks.append(callback)

    def on_edit(self, callback: Callable[[Edit], None]) -> None:
        """Calls `callback(edit)` at the end of a stroke, a fill or its undo."""
        self._edit_callbacks.append(callback)

    def on_command(self, callback: Callable[[str], None]) -> None:
        """Calls `callback(name)`: "undo" or "redo", once nothing on this image is left to undo, or "grid"."""
        self._command_callbacks.append(callback)

    def _receive(self, _: object, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        match message["type"]:
            case "ready":
                self._send_frame()
            case "decision":
                self._on_decision(message)
            case "navigate":
                for navigate in self._navigate_callbacks:
                    navigate(message["where"], int(message["index"]))
            case "threshold":
                self._on_threshold(message["id"], int(message["concept"]), int(message["value"]))
            case "edit":
                self._on_edit(message, buffers[0])
            case "command":
                for command in self._command_callbacks:
                    command(message["name"])

    def _fail(self, sentence: str) -> None:
        self.error = sentence

    def _on_decision(self, message: Mapping[str, Any]) -> None:
        thresholds = tuple(int(value) for value in message["thresholds"])
        decision = Decision(message["id"], message["action"], int(message["concept"]), thresholds)
        for callback in self._decision_callbacks:
            callback(decision)

    def _on_threshold(self, image_id: str, concept: int, value: int) -> None:
        check_threshold(value)
        # The frame may have changed while the message travelled; the callback still hears of the old one.
        if self._frame is not None and self._frame.id == image_id:
            self._thresholds[concept] = value
        for callback in self._threshold_callbacks:
            callback(image_id, concept, value)

    def _on_edit(self, message: Mapping[str, Any], packed: memoryview) -> None:
        x, y, width, height = (int(value) for value in message["rect"])
        edit = Edit(message["id"], int(message["concept"]), x, y, unpack_edits(packed, (height, width)))
        if self._frame is not None and self._frame.id == edit.id:
            self._edits[edit.concept][y : y + height, x : x + width] = edit.cells
        for callback in self._edit_callbacks:
            callback(edit)

    def _send_frame(self) -> None:
        frame = self._frame
        if frame is None:
            self.send({"type": "empty"})
            return
        height, width = frame.layers[0].scores.shape
        header = {
            "type": "frame",
            "id": frame.id,
            "label": frame.label,
            "index": frame.index,
            "width": width,
            "height": height,
            "uncertainty": frame.uncertainty,
            "exclusive": frame.exclusive,
            "concepts": [
                {
                    "name": layer.name,
                    "colour": layer.colour or PALETTE[position % len(PALETTE)],
                    "threshold": self._thresholds[position],
                    "presence": layer.presence,
                    "absent": layer.absent,
                }
                for position, layer in enumerate(frame.layers)
            ],
        }
        # Level 1: smooth maps shrink about tenfold, which counts where the notebook server is far away.
        maps = [zlib.compress(layer.scores.tobytes(), 1) for layer in frame.layers]
        edits = [zlib.compress(pack_edits(layer), 1) for layer in self._edits]
        self.send(header, [frame.image, *maps, *edits])


def _check(frame: Frame) -> None:
    if not frame.layers:
        raise InputError(f"The frame of {frame.label} has no layer; give one per concept.")
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
