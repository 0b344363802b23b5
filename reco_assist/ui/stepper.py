"""Stepper: the top of the Annotator, with its concepts and its steps."""

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from reco_assist.ui._assets import asset
from reco_assist.ui.guard import Guarded


class Stepper(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget ships no usable types for mypy
    """Shows where the curator is; clicks are reported, and their owner sets `active` and `concept`.

    Attributes:
        heading: What is worked on.
        note: One line about where the work is kept.
        steps: (title, note, enabled, done) of each step.
        active: Position of the open step.
        concepts: (name, colour "#rrggbb") of each concept.
        concept: Position of the chosen one, -1 for none.
        error: One sentence about what failed; empty hides it.
        busy: Shows that work goes on.
    """

    _esm = asset("stepper.js")
    _css = asset("stepper.css")

    heading = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    steps: traitlets.List[list[object]] = traitlets.List().tag(sync=True)
    active = traitlets.Int(0).tag(sync=True)
    concepts: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    concept = traitlets.Int(-1).tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(
        self,
        *,
        on_step: Callable[[int], None],
        on_concept: Callable[[int], None],
        on_add: Callable[[], None],
        on_dismiss: Callable[[], None],
        **settings: object,
    ) -> None:
        super().__init__(**settings)
        self._step = on_step
        self._concept = on_concept
        self._add = on_add
        self._dismiss = on_dismiss
        self.on_msg(Guarded(self._receive, self._fail))

    def _fail(self, sentence: str) -> None:
        self.error = sentence

    def _receive(self, _: object, message: Mapping[str, Any], __: object) -> None:
        match message["type"]:
            case "step":
                self._step(int(message["index"]))
            case "concept":
                self._concept(int(message["index"]))
            case "add":
                self._add()
            case "dismiss":
                self.error = ""
                self._dismiss()
