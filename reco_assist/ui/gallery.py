"""ExemplarGallery: a wall of thumbnails to look at retrieval results and to prune them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Literal, Protocol

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from reco_assist.errors import InputError
from reco_assist.ui._assets import asset
from reco_assist.ui.guard import Guarded

Box = tuple[float, float, float, float]
"""x, y, width and height in 0..1 of the oriented image."""

Mark = tuple[float, ...]
"""A `Box`, or the points x, y, x, y, x, y … of an outline, in 0..1 of the oriented image."""

_KEPT, _OUTLIER = 1, 2
_RECORD = np.dtype(
    [
        ("row", "<u4"),
        ("score", "<f4"),
        ("support", "<f4"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("flags", "u1"),
        ("feedback", "i1"),
        ("spare", "<u2"),
    ]
)


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One image of the gallery.

    Attributes:
        id: Content hash, unique in the gallery.
        label: What the curator reads, usually the file name. Shown as text, never as HTML.
        score: Of retrieval, higher is nearer; NaN for none.
        support: How well the other images agree with the seed, 0 to 1; None before co-segmentation.
        seed: (x, y) of the seed point in 0..1; None before co-segmentation.
        kept: Whether the image takes part.
        outlier: Whether it is unlike the others and suggested for dropping.
        feedback: 1 more like this, -1 less like this, 0 no mark; in a review see `ExemplarGallery.mode`.
        duplicates: Near-duplicates folded into this item.
        marks: Examples that were marked on the image.
    """

    id: str
    label: str
    score: float
    support: float | None = None
    seed: tuple[float, float] | None = None
    kept: bool = True
    outlier: bool = False
    feedback: Literal[-1, 0, 1] = 0
    duplicates: int = 0
    marks: tuple[Mark, ...] = ()


class GallerySource(Protocol):
    """Where the gallery gets its pictures; asked only for what is in sight."""

    def thumbnails(self, ids: Sequence[str]) -> Sequence[bytes]:
        """One encoded image (WebP, JPEG, PNG) per id, some 320 pixels long; empty where it cannot be read."""

    def preview(self, image_id: str) -> bytes:
        """The image, encoded, at a size worth looking at; empty where it cannot be read."""

    def heat_map(self, image_id: str) -> NDArray[np.uint8] | None:
        """(h, w) uint8 evidence over the whole image, row 0 on top; None where there is none."""


class ExemplarGallery(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget ships no usable types for mypy
    """Gallery of up to some thousand images, worked with the keyboard; `?` shows the keys.

    The gallery decides nothing: it reports keep and drop, feedback, exemplars and commands to the callbacks,
    whose owner assigns `items` anew. What fails in a callback is shown.

    Attributes:
        mode: "browse" to look and draw only; "retrieve"; "prune" to show seeds, support and heat maps; or
            "review", where keeping accepts and dropping rejects: what is kept is accepted with feedback 1
            and skipped with -1, what is dropped is absent with -1.
        title: What is looked for.
        status: One line about what goes on.
        error: One sentence about what failed; empty hides it.
        busy: Shows that work goes on.
        more: Whether "Load more" is offered.
        heat: Whether heat maps are shown.
        size: Thumbnail side in CSS pixels.
        height: Of the wall in CSS pixels.
    """

    _esm = asset("exemplar_gallery.js")
    _css = asset("exemplar_gallery.css")

    mode = traitlets.Enum(("browse", "retrieve", "prune", "review"), "retrieve").tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool(default_value=False).tag(sync=True)
    more = traitlets.Bool(default_value=False).tag(sync=True)
    heat = traitlets.Bool(default_value=False).tag(sync=True)
    size = traitlets.Int(152, min=96, max=320).tag(sync=True)
    height = traitlets.Int(520, min=200).tag(sync=True)

    def __init__(self, source: GallerySource, **settings: object) -> None:
        super().__init__(**settings)
        self._source = source
        self._items: tuple[GalleryItem, ...] = ()
        self._rows: dict[tuple[object, ...], int] = {}
        self._decision_callbacks: list[Callable[[tuple[str, ...], bool], None]] = []
        self._feedback_callbacks: list[Callable[[str, int], None]] = []
        self._absent_callbacks: list[Callable[[tuple[str, ...]], None]] = []
        self._exemplar_callbacks: list[Callable[[str, Box], None]] = []
        self._painting_callbacks: list[Callable[[str, NDArray[np.bool_]], None]] = []
        self._open_callbacks: list[Callable[[str], None]] = []
        self._command_callbacks: list[Callable[[str], None]] = []
        self.on_msg(Guarded(self._receive, self._fail))

    @property
    def items(self) -> tuple[GalleryItem, ...]:
        """What is shown, in order; assign to show something else.

        Raises:
            InputError: Two items have the same id.
        """
        return self._items

    @items.setter
    def items(self, items: Sequence[GalleryItem]) -> None:
        ids = {item.id for item in items}
        if len(ids) != len(items):
            raise InputError(
                f"{len(items)} gallery items have {len(ids)} different ids; give each image once."
            )
        self._items = tuple(items)
        # Names travel only when they change: a prune that reorders or moves seeds sends 24 bytes per image.
        if any(_row(item) not in self._rows for item in self._items):
            self._send_rows()
        self._send_state()

    def on_decision(self, callback: Callable[[tuple[str, ...], bool], None]) -> None:
        """Calls `callback(ids, kept)` when the curator keeps or drops images."""
        self._decision_callbacks.append(callback)

    def on_feedback(self, callback: Callable[[str, int], None]) -> None:
        """Calls `callback(id, sign)`: 1 more like this, -1 less like this, 0 mark removed."""
        self._feedback_callbacks.append(callback)

    def on_absent(self, callback: Callable[[tuple[str, ...]], None]) -> None:
        """Calls `callback(ids)` when the curator says of images in a review that nothing is there."""
        self._absent_callbacks.append(callback)

    def on_exemplar(self, callback: Callable[[str, Box], None]) -> None:
        """Calls `callback(id, box)` when the curator draws a box around an example."""
        self._exemplar_callbacks.append(callback)

    def on_painting(self, callback: Callable[[str, NDArray[np.bool_]], None]) -> None:
        """Calls `callback(id, mask)` when an example was painted; mask (h, w) bool lies over the image."""
        self._painting_callbacks.append(callback)

    def on_open(self, callback: Callable[[str], None]) -> None:
        """Calls `callback(id)` when the curator wants to work on an image of a review."""
        self._open_callbacks.append(callback)

    def on_command(self, callback: Callable[[str], None]) -> None:
        """Calls `callback(name)`: "undo", "redo" or "load_more"."""
        self._command_callbacks.append(callback)

    def focus(self, image_id: str) -> None:
        """Takes the keyboard, with this image chosen."""
        self.send({"type": "focus", "id": image_id})

    def refresh_thumbnails(self, ids: Sequence[str]) -> None:
        """Sends the thumbnails of these images again, read or not."""
        self._send_thumbnails(ids)

    def _receive(self, _: object, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        handlers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "ready": self._on_ready,
            "need": self._on_need,
            "preview": self._on_preview,
            "keep": self._on_keep,
            "feedback": self._on_feedback,
            "absent": self._on_absent,
            "open": self._on_open,
            "exemplar": self._on_exemplar,
            "painting": self._on_painting,
            "command": self._on_command,
        }
        kind = message["type"]
        if kind not in {"ready", "need", "preview"}:  # the curator goes on: what failed before is read
            self.error = ""
        handlers[kind]({**message, "buffers": buffers})

    def _fail(self, sentence: str) -> None:
        self.error = sentence

    def _on_ready(self, _: Mapping[str, Any]) -> None:
        self._send_rows()
        self._send_state()

    def _on_need(self, message: Mapping[str, Any]) -> None:
        if message["thumbs"]:
            self._send_thumbnails(self._known(message["thumbs"]))
        if message["heats"]:
            ids = self._known(message["heats"])
            maps = [self._source.heat_map(image_id) for image_id in ids]
            grids = [
                np.zeros((0, 0), np.uint8) if heat is None else np.ascontiguousarray(heat) for heat in maps
            ]
            header = {"type": "heats", "ids": ids, "shapes": [grid.shape for grid in grids]}
            self.send(header, [grid.tobytes() for grid in grids])

    def _on_preview(self, message: Mapping[str, Any]) -> None:
        for image_id in self._known([message["id"]]):
            self.send({"type": "preview", "id": image_id}, [self._source.preview(image_id)])

    def _on_keep(self, message: Mapping[str, Any]) -> None:
        ids, kept = self._known(message["ids"]), bool(message["kept"])
        before, decided = self._items, frozenset(ids)
        self._items = tuple(replace(item, kept=kept) if item.id in decided else item for item in before)
        try:
            for callback in self._decision_callbacks:
                callback(tuple(ids), kept)
        except Exception:
            self._items = before
            raise
        finally:
            # The state comes before the acknowledgement: the browser replays the decision until then.
            self._send_state()
            self.send({"type": "ack", "token": message["token"]})

    def _on_feedback(self, message: Mapping[str, Any]) -> None:
        for callback in self._feedback_callbacks:
            callback(message["id"], int(message["sign"]))

    def _on_absent(self, message: Mapping[str, Any]) -> None:
        for callback in self._absent_callbacks:
            callback(tuple(self._known(message["ids"])))

    def _on_open(self, message: Mapping[str, Any]) -> None:
        for image_id in self._known([message["id"]]):
            for callback in self._open_callbacks:
                callback(image_id)

    def _on_exemplar(self, message: Mapping[str, Any]) -> None:
        x, y, width, height = (float(value) for value in message["box"])
        for callback in self._exemplar_callbacks:
            callback(message["id"], (x, y, width, height))

    def _on_painting(self, message: Mapping[str, Any]) -> None:
        height, width = int(message["height"]), int(message["width"])
        packed = np.frombuffer(message["buffers"][0], np.uint8)
        bits = np.unpackbits(packed, count=height * width)  # (height * width,)
        for callback in self._painting_callbacks:
            callback(message["id"], bits.reshape(height, width).astype(bool))

    def _on_command(self, message: Mapping[str, Any]) -> None:
        for callback in self._command_callbacks:
            callback(message["name"])

    def _known(self, ids: Sequence[str]) -> list[str]:
        present = {item.id for item in self._items}
        # A request may cross a change of the items on its way.
        return [image_id for image_id in ids if image_id in present]

    def _send_rows(self) -> None:
        rows = [_row(item) for item in self._items]
        self._rows = {row: index for index, row in enumerate(rows)}
        self.send({"type": "rows", "rows": rows})

    def _send_state(self) -> None:
        records = np.array([self._record(item) for item in self._items], _RECORD)
        self.send({"type": "state"}, [records.tobytes()])

    def _record(self, item: GalleryItem) -> tuple[float, ...]:
        x, y = item.seed or (nan, nan)
        support = nan if item.support is None else item.support
        flags = item.kept * _KEPT | item.outlier * _OUTLIER
        return self._rows[_row(item)], item.score, support, x, y, flags, item.feedback, 0

    def _send_thumbnails(self, ids: Sequence[str]) -> None:
        self.send({"type": "thumbs", "ids": list(ids)}, list(self._source.thumbnails(ids)))


def _row(item: GalleryItem) -> tuple[object, ...]:
    return item.id, item.label, item.duplicates, item.marks
