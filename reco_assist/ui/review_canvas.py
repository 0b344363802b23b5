"""ReviewCanvas: the review's images one after the other, on a canvas that follows the session."""

from collections.abc import Callable, Sequence

from reco_assist.errors import ImageError, InputError
from reco_assist.session import Result, ReviewItem, State
from reco_assist.ui.canvas import MaskCanvas
from reco_assist.ui.frame import ConceptLayer, Decision, Edit, Frame
from reco_assist.ui.guard import Guarded
from reco_assist.ui.pictures import picture
from reco_assist.ui.state import Layer, PanelState

_CHANGED = "The concepts or masks of this image have changed since it was shown; look at it again."


class ReviewCanvas:
    """What the curator does to one image: thresholds, strokes and decisions go to the session at once.

    Args:
        state: The state.
        show_grid: Called when all images shall be shown instead.

    Attributes:
        canvas: The widget.
        items: The queue of the review.
        shown: Content hash of the image on the canvas; empty for none.
    """

    def __init__(self, state: PanelState, show_grid: Callable[[], None]) -> None:
        self._state = state
        self._show_grid = show_grid
        self.items: list[ReviewItem] = []
        self._counted = -1  # changes of the session that these know
        self.shown = ""
        self._layers: tuple[Layer, ...] = ()  # what the canvas shows of it
        self.canvas = MaskCanvas(lock=state.drawing, height=520)
        self.canvas.on_decision(self.decide)
        self.canvas.on_threshold(self._threshold)
        self.canvas.on_edit(self._edit)
        self.canvas.on_navigate(self.navigate)
        self.canvas.on_command(self.command)
        chosen = state.alone(lambda change: self._choose(change["new"]))
        self.canvas.observe(Guarded(chosen, state.fail), "active")

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
        self.count()
        if all(session.review(decision.id, name).state != "pending" for name in names):
            self.show(self._state.queue.next_open(decision.id))
        else:
            self.show(decision.id)
        self._state.changed()

    def navigate(self, where: str, index: int) -> None:
        """Show another image of the queue."""
        ids = self._hashes()
        if not ids:
            return
        if where == "unsure":
            self.show(self._state.queue.next_open(self.shown))
            return
        position = {"next": index + 1, "previous": index - 1, "go": index}[where]
        self.show(ids[min(len(ids) - 1, max(0, position))])

    def command(self, name: str) -> None:
        """Undo or redo decisions and show the image they were about, or ask for all images as a grid."""
        if name == "grid":
            self._show_grid()
            return
        session = self._state.session
        moved = session.undo() if name == "undo" else session.redo()
        if moved is not None:
            self.count()
            about = {key.split("/")[1] for key in moved.keys}
            shown = [one for one in self._hashes() if one in about]
            if shown:
                self.show(shown[0])
        self._state.changed()

    def refresh(self) -> None:
        """Show what the session says now, whoever changed it: another page, the job or a pull."""
        state = self._state
        self.canvas.busy = state.segmenting.busy
        self.count()
        self.canvas.active = state.name or ""
        self._follow()
        self._place()
        self.canvas.status = (
            "This image's masks are out of date." if self.shown in state.queue.outdated else ""
        )

    def show_next(self) -> None:
        """Show the first image that is open."""
        if self.items:
            self.show(self._state.queue.next_open())

    def _said(self, decision: Decision, name: str) -> State:
        if decision.action == "accept":
            return self.accepted(decision.id, name)
        return "rejected" if decision.action == "reject" else "skipped"

    def accepted(self, content_hash: str, name: str) -> State:
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

    def names(self, result: Result) -> list[str]:
        """The job's concepts in an image."""
        return [layer.name for layer in self._state.layers(result)]

    def _choose(self, name: str) -> None:
        """Work on the concept that was chosen on the canvas."""
        if name in self._state.session.concepts and name != self._state.name:
            self._state.select(name)
            self._state.changed()

    def _hashes(self) -> list[str]:
        return [item.content_hash for item in self.items]

    def _seen(self, content_hash: str) -> None:
        """Take over what the canvas itself has just changed: it shows it already."""
        if content_hash == self.shown:
            self._layers = self._state.layers(self._state.session.result(content_hash))

    def _follow(self) -> None:
        """Show what the session says now, whoever changed it: another page, the job or a pull."""
        if not self.items:
            self.shown, self._layers, self.canvas.frame = "", (), None
        elif self._state.queue.position(self.shown) is None:
            self.show(self._state.queue.next_open(""))
        elif self._state.layers(self._state.session.result(self.shown)) != self._layers:
            self.show(self.shown)

    def count(self) -> None:
        """Follow the queue, if anything has happened since."""
        if self._counted == self._state.session.store.count:
            return
        self._counted = self._state.session.store.count
        self.items = self._state.queue.items
        self.canvas.timeline = self._state.queue.states

    def _check(self, content_hash: str, names: Sequence[str]) -> None:
        """See that an image still has the concepts and masks that it was shown with; else show it anew."""
        layers = self._state.layers(self._state.session.result(content_hash))
        if content_hash == self.shown and layers != self._layers:
            self.show(content_hash)
            raise InputError(_CHANGED)
        if not set(names) <= {layer.name for layer in layers}:
            raise InputError(_CHANGED)

    def _place(self) -> None:
        """Say where the shown image is now: the queue is sorted anew while results come in."""
        frame = self.canvas.frame
        index = None if frame is None else self._state.queue.position(frame.id)
        if frame is not None and index is not None and index != frame.index:
            self.canvas.move(index)

    def show(self, content_hash: str) -> None:
        """Show an image of the job."""
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
                looks=layer.finding.looks,
            )
            for layer in self._layers
        ]
        doubt = max(finding.doubt for finding in result.findings.values())
        self.shown = content_hash
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
