"""Step 4: segment a folder, and decide about each image while the masks come in."""

from collections.abc import Sequence

import ipywidgets as w

from reco_assist.session import Order, State
from reco_assist.ui.controls import button, field, on_change, on_enter, page, row, say, show, text
from reco_assist.ui.review_canvas import ReviewCanvas
from reco_assist.ui.segmentation import Segmentation
from reco_assist.ui.state import PanelState
from reco_assist.ui.target_grid import TargetGrid

REVIEW = 3
_ORDERS: dict[str, Order] = {"least certain first": "doubt", "most to learn first": "gain"}


class ReviewPage:
    """The job of segmenting, the canvas, and the grid.

    Attributes:
        review: The images one after the other.
    """

    def __init__(self, state: PanelState) -> None:
        self._state = state
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
        self.review = ReviewCanvas(state, self._toggle_view)
        self.canvas = self.review.canvas
        self._targets = TargetGrid(
            state,
            decide=state.alone(self._decide_many),
            deny=state.alone(self._deny),
            open_image=state.alone(self._open),
            command=state.alone(self.review.command),
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
        self.review.count()
        self.review.show_next()

    def refresh(self) -> None:
        """Show how far the job and the review are."""
        state = self._state
        if state.step != REVIEW:
            return
        running = state.segmenting.busy
        show(self.cancel_button, visible=running)
        show(self.bar, visible=running)
        self.start_button.disabled = running
        stage = self.segmentation.stage
        self.bar.max, self.bar.value = stage.total, stage.done
        say(self._status, stage.line)
        self.review.refresh()
        self._show_outdated(running=running)
        self._show_figures()
        show(self.canvas, visible=bool(self.review.items) and self.grid.layout.display == "none")
        for one in (self.view, self._order_label, self.order):
            show(one, visible=bool(self.review.items))
        show(self.next, visible=bool(self.review.items))
        if self.grid.layout.display != "none":
            self._targets.fill(self.review.items)

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

    def _show_figures(self) -> None:
        figures = self._state.queue.progress
        say(self._hint, figures.hint)
        show(self.accept_rest, visible=figures.acceptance == 1 and bool(figures.hint))
        if not self.review.items:
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
            self.grid.focus(self.review.shown)
        else:
            self.canvas.focus()

    def _open(self, content_hash: str) -> None:
        """Work on an image of the grid."""
        self.review.show(content_hash)
        self._toggle_view()

    def _decide_many(self, ids: Sequence[str], kept: bool) -> None:  # noqa: FBT001  (the gallery's callback)
        session = self._state.session
        session.decide_many(
            {
                content_hash: {
                    name: self.review.accepted(content_hash, name) if kept else "rejected"
                    for name in self.review.names(session.result(content_hash))
                }
                for content_hash in ids
            }
        )
        self._state.changed()

    def _deny(self, ids: Sequence[str]) -> None:
        """Say of images of the grid that nothing is there."""
        session = self._state.session
        nothing: dict[str, dict[str, State]] = {
            content_hash: dict.fromkeys(self.review.names(session.result(content_hash)), "absent")
            for content_hash in ids
        }
        session.decide_many(nothing)
        self._state.changed()

    def _accept_rest(self) -> None:
        left = [item.content_hash for item in self.review.items if item.state == "pending"]
        self._decide_many(left, kept=True)
