"""MaskCanvas: one image with the probability maps of its concepts, to threshold, correct and decide."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from reco_assist.masks.edits import check_threshold, pack_edits, unpack_edits
from reco_assist.ui._assets import asset
from reco_assist.ui.frame import PALETTE, Decision, Edit, Frame, check_frame
from reco_assist.ui.guard import Guarded


class MaskCanvas(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget ships no usable types for mypy
    """Canvas to review masks with the keyboard; `?` shows the keys.

    Thresholds move and brushes paint in the browser alone. What was committed is reported to the callbacks
    and kept here, so that a view opened later shows the same. A failure of a callback is shown.

    Args:
        lock: Held from the look whether a message is late to the end of what it asks for. Other threads that
            change the canvas hold it too.
        settings: Values of the attributes.

    Attributes:
        timeline: One byte per image of the job, a position in `reco_assist.session.STATES`.
        active: Name of the chosen concept, which strokes and thresholds are about; of a frame without it
            the first.
        status: One line about what goes on.
        error: One sentence about what failed; empty hides it.
        busy: Shows that work goes on.
        opacity: Of the mask's fill, 0 to 1.
        outline: Whether only outlines are drawn.
        windows: Whether the windows that decided the chosen concept's map are drawn.
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
    windows = traitlets.Bool(default_value=False).tag(sync=True)
    brush = traitlets.Int(24, min=1, max=512).tag(sync=True)
    height = traitlets.Int(560, min=240).tag(sync=True)

    def __init__(self, *, lock: AbstractContextManager[object] | None = None, **settings: object) -> None:
        super().__init__(**settings)
        self._lock = lock or nullcontext()
        self._frame: Frame | None = None
        self._revision = 0
        self._thresholds: dict[str, int] = {}
        self._edits: dict[str, NDArray[np.uint8]] = {}
        self._decision_callbacks: list[Callable[[Decision], None]] = []
        self._navigate_callbacks: list[Callable[[str, int], None]] = []
        self._threshold_callbacks: list[Callable[[str, str, int], None]] = []
        self._edit_callbacks: list[Callable[[Edit], None]] = []
        self._command_callbacks: list[Callable[[str], None]] = []
        self.on_msg(Guarded(self._receive, self._fail))

    @property
    def frame(self) -> Frame | None:
        """What is shown; assign another, or None for nothing.

        Raises:
            InputError: There is no layer, two have one name, sizes differ, or a threshold is out of range.
        """
        return self._frame

    @frame.setter
    def frame(self, frame: Frame | None) -> None:
        if frame is not None:
            check_frame(frame)
        self._frame = frame
        self._revision += 1
        layers = frame.layers if frame else ()
        self._thresholds = {layer.name: layer.threshold for layer in layers}
        # Own copies: strokes are written into them.
        self._edits = {
            layer.name: np.zeros(layer.scores.shape, np.uint8) if layer.edits is None else layer.edits.copy()
            for layer in layers
        }
        self._send_frame()

    @property
    def thresholds(self) -> dict[str, int]:
        """The committed threshold of each concept."""
        return dict(self._thresholds)

    @property
    def edits(self) -> dict[str, NDArray[np.uint8]]:
        """(h, w) uint8 of each concept, with every stroke so far; copies."""
        return {name: layer.copy() for name, layer in self._edits.items()}

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

    def on_threshold(self, callback: Callable[[str, str, int], None]) -> None:
        """Calls `callback(image id, concept, threshold)` when a slider comes to rest."""
        self._threshold_callbacks.append(callback)

    def on_edit(self, callback: Callable[[Edit], None]) -> None:
        """Calls `callback(edit)` at the end of a stroke, a fill or its undo."""
        self._edit_callbacks.append(callback)

    def on_command(self, callback: Callable[[str], None]) -> None:
        """Calls `callback(name)`: "undo" or "redo", once nothing on this image is left to undo, or "grid"."""
        self._command_callbacks.append(callback)

    def _receive(self, _: object, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        outcome: Literal["applied", "stale", "failed"] = "failed"
        with self._lock:
            try:
                outcome = self._act(message, buffers)
            except Exception:
                if message["type"] in {"threshold", "edit"}:  # the browser shows it, and it was not kept
                    self._send_frame()
                raise
            finally:
                # After the frame that came of it: the browser goes on with what was asked meanwhile.
                self.send({"type": "answer", "token": message["token"], "outcome": outcome})

    def _act(self, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> Literal["applied", "stale"]:
        """Do what the browser asks for, unless it was meant for a frame that is not shown any more."""
        frame = self._frame
        match message["type"]:
            case "ready":
                self._send_frame()
            case "navigate":
                for navigate in self._navigate_callbacks:
                    navigate(message["where"], int(message["index"]))
            case "command":
                for command in self._command_callbacks:
                    command(message["name"])
            case _ if frame is None or int(message["revision"]) != self._revision:
                return "stale"
            case "decision":
                self._on_decision(frame, message)
            case "threshold":
                self._on_threshold(frame, message["concept"], int(message["value"]))
            case "edit":
                self._on_edit(frame, message, buffers[0])
        return "applied"

    def _fail(self, sentence: str) -> None:
        self.error = sentence

    def _on_decision(self, frame: Frame, message: Mapping[str, Any]) -> None:
        thresholds = {name: int(value) for name, value in message["thresholds"].items()}
        for callback in self._decision_callbacks:
            callback(Decision(frame.id, message["action"], message["concept"], thresholds))

    def _on_threshold(self, frame: Frame, concept: str, value: int) -> None:
        check_threshold(value)
        revision = self._revision
        for callback in self._threshold_callbacks:
            callback(frame.id, concept, value)
        if self._revision == revision:  # a callback may have brought another
            self._thresholds[concept] = value

    def _on_edit(self, frame: Frame, message: Mapping[str, Any], packed: memoryview) -> None:
        x, y, width, height = (int(value) for value in message["rect"])
        edit = Edit(frame.id, message["concept"], x, y, unpack_edits(packed, (height, width)))
        revision = self._revision
        for callback in self._edit_callbacks:
            callback(edit)
        if self._revision == revision:  # a callback may have brought another
            self._edits[edit.concept][y : y + height, x : x + width] = edit.cells

    def _send_frame(self) -> None:
        frame = self._frame
        if frame is None:
            self.send({"type": "empty"})
            return
        height, width = frame.layers[0].scores.shape
        header = {
            "type": "frame",
            "revision": self._revision,
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
                    "threshold": self._thresholds[layer.name],
                    "presence": layer.presence,
                    "absent": layer.absent,
                    "looks": [list(look.box) for look in layer.looks],
                }
                for position, layer in enumerate(frame.layers)
            ],
        }
        # Level 1: smooth maps shrink about tenfold, which counts where the notebook server is far away.
        maps = [zlib.compress(layer.scores.tobytes(), 1) for layer in frame.layers]
        edits = [zlib.compress(pack_edits(layer), 1) for layer in self._edits.values()]
        self.send(header, [frame.image, *maps, *edits])
