"""Steps 6 and 7: push the masks to Label Studio, pull the corrections, and learn from them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

import ipywidgets as w

from reco_assist.errors import InputError
from reco_assist.image_files import shown_bytes
from reco_assist.label_studio import TOKEN, Comparison, compare, read_pulled
from reco_assist.session import ConceptSpec, ExemplarSpec
from reco_assist.session.labelling import CORRECTIONS, PICTURE, pull, push
from reco_assist.ui.controls import button, field, on_change, page, part, row, say, show, text, with_classes
from reco_assist.ui.state import PanelState

if TYPE_CHECKING:
    from reco_assist.session.corrections import Gain

PUSH, PULL = 5, 6
_PLACE = "label studio"  # of the server's address in the session
_WIDTH = w.Layout(width="320px")


class ServerPage:
    """Which server and project, what goes there, and what came back.

    The token lives in this object only: the field is emptied at once, since what a widget shows can be saved
    with the notebook.
    """

    def __init__(self, state: PanelState) -> None:
        self._state = state
        self._token = ""
        place = state.session.store.get(_PLACE) or {}
        default = state.session.folder.stem[:50].ljust(3, "-")
        self.url = w.Text(place.get("url", "http://localhost:8080"), layout=_WIDTH, continuous_update=False)
        self.project = w.Text(place.get("project", default), layout=_WIDTH, continuous_update=False)
        self.token = w.Password(placeholder="paste it here", layout=_WIDTH, continuous_update=False)
        on_change(state.guard, self.token, "value", self._take_token)
        self._token_note = text("", "soft")
        self.shape = w.Dropdown(
            options=[
                ("Masks; polygons where images are too large", "auto"),
                ("Masks", "brush"),
                ("Polygons", "polygon"),
            ],
            layout=_WIDTH,
        )
        self.boxes = w.Checkbox(False, description="Offer a tool for boxes too", indent=False)  # noqa: FBT003
        self.push_button = button(state.guard, "Push", self.push, "primary", "large")
        self._pushed, self._push_note = text("", "hint"), text("", "soft")
        self._push_part = part(
            field("How masks are sent (new projects)", self.shape, self.boxes),
            row(self.push_button),
            self._pushed,
            self._push_note,
        )
        self.policy = w.Dropdown(
            options=[
                ("The latest annotation counts", "latest"),
                ("The first annotation counts", "first"),
                ("The majority of the annotators, pixel by pixel", "majority"),
            ],
            layout=_WIDTH,
        )
        self.pull_button = button(state.guard, "Pull", self.pull, "primary", "large")
        self.learn_button = button(state.guard, "Learn from the corrections", self.learn, "large")
        self._pulled, self.table, self._learnt = text("", "hint"), w.HTML(), text("", "hint")
        self.picture = with_classes(w.Image(format="png", layout=w.Layout(max_width="100%")), "ra-sheet")
        self._pull_part = part(
            field("Where several people annotated an image", self.policy),
            row(self.pull_button, self.learn_button),
            self._pulled,
            self._learnt,
            self.table,
            self.picture,
        )
        self.widget = page(
            row(
                field("Label Studio's address", self.url),
                field("Project, title or number", self.project),
                field("Token", self.token, self._token_note),
                kinds=["columns"],
            ),
            self._push_part,
            self._pull_part,
        )
        self._show_corrections()

    def push(self) -> None:
        """Send the masks in the background."""
        session = self._state.session
        place, token, shape, boxes = self._place(), self._given(), self.shape.value, self.boxes.value
        say(self._pushed, "")
        done = 0

        def count(images: int) -> None:
            nonlocal done
            done += images
            say(self._push_note, f"{done:,} images sent …")

        def work() -> None:
            note = ""
            try:
                sent = push(session, *place, token=token, shape=shape, boxes=boxes, on_images=count)
                say(self._pushed, str(sent))
                note = " ".join(sent.notes)
            finally:
                say(self._push_note, note)

        say(self._push_note, "Sending …")
        self._state.learning.run(work)

    def pull(self) -> None:
        """Fetch the corrections in the background, and show what was corrected."""
        session = self._state.session
        place, token, policy = self._place(), self._given(), self.policy.value
        say(self._pulled, "Fetching …")

        def work() -> None:
            note = ""
            try:
                got = pull(session, *place, token=token, policy=policy)
                parts = [
                    f"{got.fresh:,} tasks are new or changed; corrected masks are accepted in Review now."
                ]
                note = " ".join([*parts, *got.notes])
            finally:
                say(self._pulled, note)
            self._show_corrections()

        self._state.learning.run(work)

    def learn(self) -> None:
        """Make corrected masks the open concept's examples, and say what that is worth."""
        name = self._state.name
        if name is None:
            raise InputError("No concept is open; choose the one that shall learn.")
        pulled = read_pulled(self._state.session.folder / CORRECTIONS)
        say(self._learnt, f"Learning {name!r} …")

        def work() -> None:
            from reco_assist.concepts import exemplar_spec  # noqa: PLC0415  (loads models)
            from reco_assist.session.corrections import (  # noqa: PLC0415  (as above)
                correction_exemplars,
                measure_gain,
            )

            note = ""
            try:
                shown, _ = correction_exemplars(pulled, name)
                plan = self._state.session.plan(name)
                gain = measure_gain(self._state.archive, pulled, name, k=plan.k, contexts=plan.contexts)
                examples = [exemplar_spec(one) for one in shown]
                self._state.session.change_plan(
                    name, lambda plan: _taught(plan, examples), what="learn from corrections"
                )
                self._state.forget(name)
                note = _learning_note(name, sum(not one.negative for one in shown), len(shown), gain)
            finally:
                say(self._learnt, note)
            self._state.load(name)

        self._state.learning.run(work)

    def refresh(self) -> None:
        """Show the part of the open step."""
        state = self._state
        if state.step not in {PUSH, PULL}:
            return
        show(self._push_part, visible=state.step == PUSH)
        show(self._pull_part, visible=state.step == PULL)
        busy = state.learning.busy
        self.push_button.disabled = self.pull_button.disabled = busy
        self.learn_button.disabled = busy or not self.table.value or state.name is None
        known = "kept in memory only" if self._token else f"from {TOKEN}" if os.environ.get(TOKEN) else ""
        say(self._token_note, known or "Account & Settings → Access Token; kept in memory only")

    def _place(self) -> tuple[str, str]:
        url, project = self.url.value.strip(), self.project.value.strip()
        self._state.session.store.put("choose server", {_PLACE: {"url": url, "project": project}})
        return url, project

    def _given(self) -> str | None:
        if not self._token and not os.environ.get(TOKEN):
            raise InputError(
                "There is no token; take one from Label Studio's Account & Settings and paste it into Token."
            )
        return self._token or None

    def _take_token(self, typed: str) -> None:
        if typed:
            self._token = typed.strip()
            self.token.value = ""
            self.token.placeholder = "•" * 12
            self.refresh()

    def _show_corrections(self) -> None:
        folder = self._state.session.folder / CORRECTIONS
        try:
            result = compare(read_pulled(folder))
        except InputError:
            result = None
        self.table.value = "" if result is None else _table(result)
        picture = folder / PICTURE
        if result is not None and result.annotated and (shown := shown_bytes(picture, "PNG")) is not None:
            self.picture.value = shown
        show(self.picture, visible=bool(self.picture.value))
        show(self.table, visible=bool(self.table.value))


def _taught(plan: ConceptSpec, examples: Sequence[ExemplarSpec]) -> ConceptSpec:
    """The plan with examples that take the place of those on the same images; its set is found anew."""
    known = {one.content_hash for one in examples}
    drawn = [one for one in plan.exemplars if one.content_hash not in known]
    return replace(plan, exemplars=(*drawn, *examples), added=(), dropped=(), marks=(), begun=True)


def _learning_note(name: str, positive: int, every: int, gain: "Gain | None") -> str:
    worth = "too few corrections to keep some aside and measure the gain" if gain is None else str(gain)
    return (
        f"“{name}” learns from {positive:,} corrected masks and {every - positive:,} rejected ones; {worth}. "
        "Look at the set in Prune, then segment again."
    )


def _table(result: Comparison) -> str:
    """An HTML table; names are escaped."""
    head, *rows = result.rows()
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows]
    return f'<table class="ra-table">{"".join(lines)}</table><p>{escape(result.summary())}</p>'
