"""Step 4: segment a folder, and decide about each image while the masks come in."""

from collections.abc import Sequence

import ipywidgets as w

from reco_assist.errors import ImageError, InputError
from reco_assist.session import Order, Result, ReviewItem, State
from reco_assist.ui.canvas import MaskCanvas
from reco_assist.ui.controls import button, field, on_change, on_enter, page, row, say, show, text
from reco_assist.ui.frame import ConceptLayer, Decision, Edit, Frame
from reco_assist.ui.guard import Guarded
from reco_assist.ui.pictures import picture
from reco_assist.ui.segmentation import Segmentation
from reco_assist.ui.state import Layer, PanelState
from reco_assist.ui.target_grid import TargetGrid

REVIEW = 3
_CHANGED = "The concepts of this image have changed since it was shown; look at it again."
_ORDERS: dict[str, Order] = {"least certain first": "doubt", "most to learn first": "gain"}


class ReviewPage:
    """The job of segmenting, the canvas, and the grid."""

    def __init__(self, state: PanelState) -> None:
        self._state = state
        self._items: list[ReviewItem] = []
        self._counted = -1  # changes of the session that these know
        self._shown = ""  # content hash of the image on the canvas
        self._layers: tuple[Layer, ...] = ()  # what the canvas shows of it
        self.segmentation = Segmentation(state)
        self.folder = w.Text(placeholder="folder of the images to segment", layout=w.Layout(width="360px"))
        on_enter(state.guard, self.folder, self.start)
        self.student = w.Text(
            placeholder="none: the concepts segment",
            layout=w.Layout(width="260px"),
        )
        on_enter(state.guard, self.student, self.start)
        self.order = w.Dropdown(
            options=list(_ORDERS.items()),
            value=state.session.order,
            description="Order",
            layout=w.Layout(width="220px"),
        )
        on_change(state.guard, self.order, "value", self._reorder)
        self.start_button = button(state.guard, "Segment", self.start, "primary")
        self.cancel_button = button(state.guard, "Cancel", self.segmentation.cancel)
        self.bar = w.IntProgress(0, 0, 1)
        self._status, self._hint, self._outdated = text("", "soft"), text("", "hint"), text("", "hint")
        self.again_open = button(state.guard, "", self.start)
        self.again_all = button(
            state.guard,
            "",
            lambda: self.start(decided=True),
            tooltip="Decided ones too: where a mask comes out otherwise, its decision is taken back",
        )
        self.accept_rest = button(state.guard, "Accept them all", self._accept_rest)
        self.view = button(state.guard, "Grid", self._toggle_view)
        self._figures, self._order_label = text("", "soft"), text("Order", "soft")
        self.canvas = MaskCanvas(height=520)
        self.canvas.on_decision(state.alone(self.decide))
        self.canvas.on_threshold(state.alone(self._threshold))
        self.canvas.on_edit(state.alone(self._edit))
        self.canvas.on_navigate(state.alone(self.navigate))
        self.canvas.on_command(state.alone(self.command))
        chosen = state.alone(lambda change: self._choose(change["new"]))
        self.canvas.observe(Guarded(chosen, state.fail), "active")
        self._targets = TargetGrid(
            state,
            decide=state.alone(self._decide_many),
            deny=state.alone(self._deny),
            open_image=state.alone(self._open),
            command=state.alone(self.command),
        )
        self.grid = self._targets.gallery
        show(self.grid, visible=False)
        self.next = button(state.guard, "Export", lambda: state.open(REVIEW + 1), "primary")
        self.widget = page(
            row(
                field("Images to segment", self.folder),
                field(
                    "Student (optional)",
                    row(self.student, self.start_button, self.cancel_button, self.bar, self._status),
                ),
            ),
            row(self._outdated, self.again_open, self.again_all),
            row(self._hint, self.accept_rest),
            self.canvas,
            self.grid,
            row(self._figures, self._order_label, self.order, self.view, self.next, kinds=["foot-row"]),
        )
        if state.session.targets is not None:
            self.folder.value = state.short(state.session.targets)
        if state.session.student is not None:
            self.student.value = state.short(state.session.student)

    def start(self, *, decided: bool = False) -> None:
        """Segment the folder that is named; what is up to date stays, decided masks too unless `decided`."""
        self.segmentation.start(self.folder.value, self.student.value, decided=decided)

    def _reorder(self, order: Order) -> None:
        self._state.session.order = order
        self._targets.empty()
        self._count()
        if self._items:
            self._show(self._state.queue.next_open(""))

    # ------------------------------------------------------------------------------------ the review

    def decide(self, decision: Decision) -> None:
        """Keep a decision of the canvas and go on to the next image."""
        session = self._state.session
        names = list(decision.thresholds)
        self._check(decision.id, names)
        session.masks.set_thresholds(decision.id, dict(decision.thresholds))
        states = {name: session.review(decision.id, name).state for name in names}
        if decision.action == "absent":
            session.decide(decision.id, {decision.concept: "absent"})
        else:
            still = [name for name in names if states[name] != "absent"] or names
            session.decide(decision.id, {name: self._said(decision, name) for name in still})
        self._count()
        if all(session.review(decision.id, name).state != "pending" for name in names):
            self._show(self._state.queue.next_open(decision.id))
        else:
            self._show(decision.id)
        self._state.changed()

    def navigate(self, where: str, index: int) -> None:
        """Show another image of the queue."""
        ids = self._hashes()
        if not ids:
            return
        if where == "unsure":
            self._show(self._state.queue.next_open(self._shown))
            return
        position = {"next": index + 1, "previous": index - 1, "go": index}[where]
        self._show(ids[min(len(ids) - 1, max(0, position))])

    def command(self, name: str) -> None:
        """Undo or redo decisions and show the image they were about, or show all images as a grid."""
        if name == "grid":
            self._toggle_view()
            return
        session = self._state.session
        moved = session.undo() if name == "undo" else session.redo()
        if moved is not None:
            self._count()
            about = {key.split("/")[1] for key in moved.keys}
            shown = [one for one in self._hashes() if one in about]
            if shown:
                self._show(shown[0])
        self._state.changed()

    def refresh(self) -> None:
        """Show how far the job and the review are."""
        state = self._state
        if state.step != REVIEW:
            return
        running = state.segmenting.busy
        show(self.cancel_button, visible=running)
        show(self.bar, visible=running)
        self.start_button.disabled = running
        self.canvas.busy = running
        stage = self.segmentation.stage
        self.bar.max, self.bar.value = stage.total, stage.done
        say(self._status, stage.line)
        self._count()
        self.canvas.active = state.name or ""
        self._follow()
        self._place()
        self._show_outdated(running=running)
        self._show_figures()
        show(self.canvas, visible=bool(self._items) and self.grid.layout.display == "none")
        for one in (self.view, self._order_label, self.order):
            show(one, visible=bool(self._items))
        show(self.next, visible=bool(self._items))
        if self.grid.layout.display != "none":
            self._targets.fill(self._items)

    def _said(self, decision: Decision, name: str) -> State:
        if decision.action == "accept":
            return self._accepted(decision.id, name)
        return "rejected" if decision.action == "reject" else "skipped"

    def _accepted(self, content_hash: str, name: str) -> State:
        """What accepting means: that an empty mask is right says that there is nothing."""
        return "accepted" if self._state.session.masks.drawn(content_hash, name).any() else "absent"

    def _threshold(self, content_hash: str, concept: str, value: int) -> None:
        self._check(content_hash, [concept])
        self._state.session.masks.set_thresholds(content_hash, {concept: value})
        self._seen(content_hash)

    def _edit(self, edit: Edit) -> None:
        self._check(edit.id, [edit.concept])
        self._state.session.masks.edit(edit.id, edit.concept, edit.x, edit.y, edit.cells)
        self._seen(edit.id)

    def _names(self, result: Result) -> list[str]:
        return [layer.name for layer in self._state.layers(result)]

    def _choose(self, name: str) -> None:
        """Work on the concept that was chosen on the canvas."""
        if name in self._state.session.concepts and name != self._state.name:
            self._state.select(name)
            self._state.changed()

    def _hashes(self) -> list[str]:
        return [item.content_hash for item in self._items]

    def _seen(self, content_hash: str) -> None:
        """Take over what the canvas itself has just changed: it shows it already."""
        if content_hash == self._shown:
            self._layers = self._state.layers(self._state.session.result(content_hash))

    def _follow(self) -> None:
        """Show what the session says now, whoever changed it: another page, the job or a pull."""
        if not self._items:
            self._shown, self._layers, self.canvas.frame = "", (), None
        elif self._state.queue.position(self._shown) is None:
            self._show(self._state.queue.next_open(""))
        elif self._state.layers(self._state.session.result(self._shown)) != self._layers:
            self._show(self._shown)

    def _count(self) -> None:
        """Follow the queue, if anything has happened since."""
        if self._counted == self._state.session.store.count:
            return
        self._counted = self._state.session.store.count
        self._items = self._state.queue.items
        self.canvas.timeline = self._state.queue.states

    def _check(self, content_hash: str, names: Sequence[str]) -> None:
        """See that an image still has concepts that it was shown with."""
        if not set(names) <= set(self._names(self._state.session.result(content_hash))):
            raise InputError(_CHANGED)

    def _place(self) -> None:
        """Say where the shown image is now: the queue is sorted anew while results come in."""
        frame = self.canvas.frame
        index = None if frame is None else self._state.queue.position(frame.id)
        if frame is not None and index is not None and index != frame.index:
            self.canvas.move(index)

    def _show(self, content_hash: str) -> None:
        state, session = self._state, self._state.session
        index, result = state.queue.position(content_hash), session.result(content_hash)
        if index is None:  # nothing of the job is in it any more
            return
        self._layers = self._state.layers(result)
        layers = [
            ConceptLayer(
                layer.name,
                session.masks.scores(content_hash, layer.name),
                layer.adjustment.threshold,
                edits=session.masks.strokes(content_hash, layer.name),
                colour=layer.colour,
                presence=layer.finding.probability,
                absent=layer.absent,
            )
            for layer in self._layers
        ]
        doubt = max(finding.doubt for finding in result.findings.values())
        self._shown = content_hash
        self.canvas.error = ""
        try:
            pixels = picture(result.path)
        except ImageError as error:
            pixels, self.canvas.error = b"", str(error)
        self.canvas.frame = Frame(
            content_hash,
            result.image.file_name,
            pixels,
            tuple(layers),
            index,
            doubt,
            exclusive=len(layers) > 1,
        )

    def _show_outdated(self, *, running: bool) -> None:
        """Mark masks that are older than what makes them, and offer to make them anew."""
        session, old = self._state.session, self._state.queue.outdated
        still = sum(
            not all(session.review(content_hash, name).decided for name in names)
            for content_hash, names in old.items()
        )
        names = dict.fromkeys(name for those in old.values() for name in those)
        quoted = ", ".join(f"“{name}”" for name in names)
        images = "1 image is" if len(old) == 1 else f"{len(old):,} images are"
        say(self._outdated, f"The masks of {images} not what {quoted} would give now." if old else "")
        self.again_open.description = f"Segment the {still:,} undecided anew"
        self.again_all.description = f"Segment all {len(old):,} anew"
        show(self.again_open, visible=bool(still) and not running)
        show(self.again_all, visible=len(old) > still and not running)
        self.canvas.status = "This image's masks are out of date." if self._shown in old else ""

    def _show_figures(self) -> None:
        figures = self._state.queue.progress
        say(self._hint, figures.hint)
        show(self.accept_rest, visible=figures.acceptance == 1 and bool(figures.hint))
        if not self._items:
            say(self._figures, "")
            return
        parts = [f"{figures.left:,} left"]
        if figures.left:
            parts.append(f"about {figures.positives_left:.0f} more expected")
        if figures.acceptance is not None:
            parts.append(f"{figures.acceptance:.0%} of the last {figures.recent} accepted")
        say(self._figures, " · ".join(parts))

    # -------------------------------------------------------------------------------------- the grid

    def _toggle_view(self) -> None:
        grid = self.grid.layout.display == "none"
        self.view.description = "One at a time" if grid else "Grid"
        show(self.canvas, visible=not grid)
        show(self.grid, visible=grid)
        self._targets.empty()
        self.refresh()
        if grid:
            self.grid.focus(self._shown)
        else:
            self.canvas.focus()

    def _open(self, content_hash: str) -> None:
        """Work on an image of the grid."""
        self._show(content_hash)
        self._toggle_view()

    def _decide_many(self, ids: Sequence[str], kept: bool) -> None:  # noqa: FBT001  (the gallery's callback)
        session = self._state.session
        session.decide_many(
            {
                content_hash: {
                    name: self._accepted(content_hash, name) if kept else "rejected"
                    for name in self._names(session.result(content_hash))
                }
                for content_hash in ids
            }
        )
        self._state.changed()

    def _deny(self, ids: Sequence[str]) -> None:
        """Say of images of the grid that nothing is there."""
        session = self._state.session
        nothing: dict[str, dict[str, State]] = {
            content_hash: dict.fromkeys(self._names(session.result(content_hash)), "absent")
            for content_hash in ids
        }
        session.decide_many(nothing)
        self._state.changed()

    def _accept_rest(self) -> None:
        left = [item.content_hash for item in self._items if item.state == "pending"]
        self._decide_many(left, kept=True)
