"""Step 4: segment a folder, and decide about each image while the masks come in."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Literal

import ipywidgets as w

from reco_assist.errors import ImageError, InputError
from reco_assist.images import decode
from reco_assist.session import STATES, Card, Order, Plan, Result, State, progress
from reco_assist.ui.canvas import ConceptLayer, Decision, Edit, Frame, MaskCanvas
from reco_assist.ui.desk import Desk
from reco_assist.ui.gallery import ExemplarGallery, GalleryItem
from reco_assist.ui.parts import button, field, on_change, on_enter, page, row, say, show, text
from reco_assist.ui.pictures import painted, picture

if TYPE_CHECKING:
    from reco_assist.segmenter import Predictor

REVIEW = 3
_ORDERS: dict[str, Order] = {"least certain first": "doubt", "most to learn first": "gain"}
_THUMBNAIL = 320  # pixels
_FEEDBACK: dict[State, Literal[-1, 1]] = {"accepted": 1, "absent": -1, "skipped": -1}  # in the grid


class ReviewPage:
    """The job of segmenting, the canvas, and the grid."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cards: list[Card] = []
        self._shown = ""  # content hash of the image on the canvas
        self._cancelled = Event()
        self._line = ""
        self.folder = w.Text(placeholder="folder of the images to segment", layout=w.Layout(width="360px"))
        on_enter(desk.guard, self.folder, self.start)
        self.student = w.Text(
            placeholder="none: the concepts segment",
            layout=w.Layout(width="260px"),
        )
        on_enter(desk.guard, self.student, self.start)
        self.order = w.Dropdown(
            options=list(_ORDERS.items()),
            value=desk.session.order,
            description="Order",
            layout=w.Layout(width="220px"),
        )
        on_change(desk.guard, self.order, "value", self._reorder)
        self.start_button = button(desk.guard, "Segment", self.start, "primary")
        self.cancel_button = button(desk.guard, "Cancel", self._cancelled.set)
        self.bar = w.IntProgress(0, 0, 1)
        self._status, self._hint = text("", "soft"), text("", "hint")
        self.accept_rest = button(desk.guard, "Accept them all", self._accept_rest)
        self.view = button(desk.guard, "Grid", self._toggle_view)
        self._figures, self._order_label = text("", "soft"), text("Order", "soft")
        self.canvas = MaskCanvas(height=520)
        self.canvas.on_decision(self.decide)
        self.canvas.on_threshold(self._threshold)
        self.canvas.on_edit(self._edit)
        self.canvas.on_navigate(self.navigate)
        self.canvas.on_command(self.command)
        self.grid = ExemplarGallery(_TargetPictures(desk), mode="review", title="All targets", height=520)
        self.grid.on_decision(self._decide_many)
        self.grid.on_feedback(self._deny)
        self.grid.on_open(self._open)
        self.grid.on_command(self.command)
        show(self.grid, visible=False)
        self.next = button(desk.guard, "Export", lambda: desk.open(REVIEW + 1), "primary")
        self.widget = page(
            row(
                field("Images to segment", self.folder),
                field(
                    "Student (optional)",
                    row(self.student, self.start_button, self.cancel_button, self.bar, self._status),
                ),
            ),
            row(self._hint, self.accept_rest),
            self.canvas,
            self.grid,
            row(self._figures, self._order_label, self.order, self.view, self.next, kinds=["foot-row"]),
        )
        if desk.session.targets is not None:
            self.folder.value = desk.short(desk.session.targets)
        if desk.session.student is not None:
            self.student.value = desk.short(desk.session.student)

    # --------------------------------------------------------------------------------------- the job

    def start(self) -> None:
        """Segment the folder that is named, with every concept of the job; what is done is not done again."""
        desk, typed = self._desk, self.folder.value.strip()
        if not typed:
            raise InputError("No folder is named; type the folder of the images to segment.")
        root = Path(typed).expanduser().absolute()
        if not root.is_dir():
            raise InputError(f"{root} is not a folder; type the folder of the images to segment.")
        student = (
            Path(self.student.value.strip()).expanduser().absolute() if self.student.value.strip() else None
        )
        if student is not None and not student.is_file():
            raise InputError(f"{student} is not a file; type that of a student, or leave it empty.")
        if desk.session.targets != root:
            desk.session.targets = root
        if desk.session.student != student:
            desk.session.student = student
        self._cancelled.clear()
        self._line = "Learning the concepts …" if student is None else "Loading the student …"
        desk.segmenting.run(self._segment)

    def _segment(self) -> None:
        from reco_assist.session import job  # noqa: PLC0415  (loads the models' modules)

        desk = self._desk
        targets = job.list_targets(desk.session)
        predictor = self._concepts() if desk.session.student is None else self._trained(desk.session.student)
        step = None
        for step in job.segment(desk.session, predictor, targets, cancelled=self._cancelled):
            self.bar.max, self.bar.value = max(1, step.total), step.done
            self._line = f"{step.done:,} of {step.total:,}"
            desk.changed()
        skipped = step.skipped if step else ()
        stopped = "; cancelled, Segment goes on" if self._cancelled.is_set() else ""
        left_out = f"; {len(skipped)} could not be read: {skipped[0][1]}" if skipped else ""
        self._line = f"{self._line} segmented{stopped}{left_out}"

    def _concepts(self) -> "Predictor":
        from reco_assist.segmenter import Segmenter  # noqa: PLC0415  (loads the models' modules)

        desk = self._desk
        names = [name for name in desk.session.concepts if desk.session.plan(name).begun]
        if not names:
            raise InputError(
                "There is no concept to segment with; look for one in step 1, or name a student."
            )
        return Segmenter([desk.concept(name) for name in names], encoder=desk.encoder)

    def _trained(self, file: Path) -> "Predictor":
        """A student; what it finds becomes the job's concepts too."""
        from reco_assist.student import Student, StudentSegmenter  # noqa: PLC0415  (as above)

        session = self._desk.session
        student = StudentSegmenter(Student.load(file))
        for name in student.digests:
            if name not in session.concepts:
                session.set_plan(Plan(name))
        return student

    def _reorder(self, order: Order) -> None:
        self._desk.session.order = order
        self.grid.items = ()
        self._count()
        if self._cards:
            self._show(self._next_open(""))

    # ------------------------------------------------------------------------------------ the review

    def decide(self, decision: Decision) -> None:
        """Keep a decision of the canvas and go on to the next image."""
        session = self._desk.session
        names = self._names(session.result(decision.id))
        session.set_thresholds(decision.id, dict(zip(names, decision.thresholds, strict=True)))
        states = {name: session.review(decision.id, name).state for name in names}
        if decision.action == "absent":
            session.decide(decision.id, {names[decision.concept]: "absent"})
        else:
            still = [name for name in names if states[name] != "absent"] or names
            session.decide(decision.id, {name: self._state(decision, name) for name in still})
        self._count()
        if all(session.review(decision.id, name).state != "pending" for name in names):
            self._show(self._next_open(decision.id))
        else:
            self._show(decision.id)
        self._desk.changed()

    def navigate(self, where: str, index: int) -> None:
        """Show another image of the queue."""
        ids = [card.result.image.content_hash for card in self._cards]
        if not ids:
            return
        if where == "unsure":
            self._show(self._next_open(self._shown))
            return
        position = {"next": index + 1, "previous": index - 1, "go": index}[where]
        self._show(ids[min(len(ids) - 1, max(0, position))])

    def command(self, name: str) -> None:
        """Undo or redo decisions and show the image they were about, or show all images as a grid."""
        if name == "grid":
            self._toggle_view()
            return
        session = self._desk.session
        moved = session.undo() if name == "undo" else session.redo()
        if moved is not None:
            self._count()
            about = moved.keys[0].split("/")[1]
            if any(card.result.image.content_hash == about for card in self._cards):
                self._show(about)
        self._desk.changed()

    def refresh(self) -> None:
        """Show how far the job and the review are."""
        desk = self._desk
        if desk.step != REVIEW:
            return
        running = desk.segmenting.busy
        show(self.cancel_button, visible=running)
        show(self.bar, visible=running)
        self.start_button.disabled = running
        self.canvas.busy = running
        say(self._status, self._line)
        self._count()
        if not self._cards:
            self._shown, self.canvas.frame = "", None
        elif not self._shown:
            self._show(self._next_open(""))
        self._place()
        self._show_figures()
        show(self.canvas, visible=bool(self._cards) and self.grid.layout.display == "none")
        for one in (self.view, self._order_label, self.order):
            show(one, visible=bool(self._cards))
        show(self.next, visible=bool(self._cards))
        if self.grid.layout.display != "none":
            self._fill_grid()

    def _state(self, decision: Decision, name: str) -> State:
        if decision.action == "accept":
            return self._accepted(decision.id, name)
        return "rejected" if decision.action == "reject" else "skipped"

    def _accepted(self, content_hash: str, name: str) -> State:
        """What accepting means: that an empty mask is right says that there is nothing."""
        return "accepted" if self._desk.session.drawn(content_hash, name).any() else "absent"

    def _threshold(self, content_hash: str, concept: int, value: int) -> None:
        name = self._names(self._desk.session.result(content_hash))[concept]
        self._desk.session.set_thresholds(content_hash, {name: value})

    def _edit(self, edit: Edit) -> None:
        name = self._names(self._desk.session.result(edit.id))[edit.concept]
        self._desk.session.edit(edit.id, name, edit.x, edit.y, edit.cells)

    def _names(self, result: Result) -> list[str]:
        return [name for name in self._desk.session.concepts if name in result.findings]

    def _next_open(self, after: str) -> str:
        """The first image of the order that is pending, else one that was skipped, else the last decided."""
        for wanted in ("pending", "skipped"):
            for card in self._cards:
                if card.state == wanted and card.result.image.content_hash != after:
                    return card.result.image.content_hash
        return after or self._cards[-1].result.image.content_hash

    def _count(self) -> None:
        self._cards = self._desk.cards
        self.canvas.timeline = bytes(STATES.index(card.state) for card in self._cards)

    def _place(self) -> None:
        """Say where the shown image is now: the queue is sorted anew while results come in."""
        frame = self.canvas.frame
        for index, card in enumerate(self._cards):
            if frame is not None and card.result.image.content_hash == frame.id and index != frame.index:
                self.canvas.move(index)

    def _show(self, content_hash: str) -> None:
        session = self._desk.session
        index = next(
            i for i, card in enumerate(self._cards) if card.result.image.content_hash == content_hash
        )
        result = self._cards[index].result
        names = self._names(result)
        layers = [
            ConceptLayer(
                name,
                session.scores(content_hash, name),
                session.correction(content_hash, name).threshold,
                edits=session.strokes(content_hash, name),
                colour=self._desk.colour(name),
                presence=result.findings[name].probability,
                absent=session.review(content_hash, name).state == "absent",
            )
            for name in names
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
            exclusive=len(names) > 1,
        )

    def _show_figures(self) -> None:
        figures = progress(self._cards)
        say(self._hint, figures.hint)
        show(self.accept_rest, visible=figures.acceptance == 1 and bool(figures.hint))
        if not self._cards:
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
        self.grid.items = ()
        self.refresh()
        if grid:
            self.grid.focus(self._shown)
        else:
            self.canvas.focus()

    def _open(self, content_hash: str) -> None:
        """Work on an image of the grid."""
        self._show(content_hash)
        self._toggle_view()

    def _fill_grid(self) -> None:
        # What is decided goes to the front of the queue, but stays where it is under the curator's eyes.
        places = {item.id: place for place, item in enumerate(self.grid.items)}
        cards = sorted(self._cards, key=lambda card: places.get(card.result.image.content_hash, len(places)))
        items = [
            GalleryItem(
                card.result.image.content_hash,
                card.result.image.file_name,
                max(finding.probability for finding in card.result.findings.values()),
                kept=card.state not in {"rejected", "absent"},
                feedback=_FEEDBACK.get(card.state, 0),
            )
            for card in cards
        ]
        if tuple(items) != self.grid.items:
            self.grid.items = items

    def _decide_many(self, ids: Sequence[str], kept: bool) -> None:  # noqa: FBT001  (the gallery's callback)
        for content_hash in ids:
            names = self._names(self._desk.session.result(content_hash))
            states = {name: self._accepted(content_hash, name) if kept else "rejected" for name in names}
            self._desk.session.decide(content_hash, states)
        self._desk.changed()

    def _deny(self, content_hash: str, _: int) -> None:
        """Say of an image of the grid that nothing is there."""
        names = self._names(self._desk.session.result(content_hash))
        self._desk.session.decide(content_hash, dict.fromkeys(names, "absent"))
        self._desk.changed()

    def _accept_rest(self) -> None:
        left = [card.result.image.content_hash for card in self._cards if card.state == "pending"]
        self._decide_many(left, kept=True)


class _TargetPictures:
    """What the grid shows: targets under their masks."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def thumbnails(self, ids: Sequence[str]) -> Sequence[bytes]:
        return [self._painted(content_hash, _THUMBNAIL) for content_hash in ids]

    def preview(self, image_id: str) -> bytes:
        return self._painted(image_id, 4 * _THUMBNAIL)

    def heat_map(self, image_id: str) -> None:  # noqa: ARG002  (the protocol's)
        return None

    def _painted(self, content_hash: str, longest: int) -> bytes:
        session = self._desk.session
        result = session.result(content_hash)
        names = [name for name in session.concepts if name in result.findings]
        masks = [session.mask(content_hash, name) for name in names]
        colours: Callable[[str], str] = self._desk.colour
        try:
            pixels = decode(result.path, reduce_to=longest).pixels
        except ImageError:
            return b""
        return painted(pixels, masks, [colours(name) for name in names], longest)
