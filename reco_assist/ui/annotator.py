"""Annotator: the notebook application. From a word to exported and corrected masks, step by step."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import ipywidgets as w

from reco_assist.archive import Archive
from reco_assist.session import Session
from reco_assist.ui.concept_page import ConceptPage
from reco_assist.ui.controls import button, page, row, show, text, with_classes
from reco_assist.ui.export_page import ExportPage
from reco_assist.ui.guard import Guarded
from reco_assist.ui.review_page import ReviewPage
from reco_assist.ui.server_page import ServerPage
from reco_assist.ui.set_page import SetPage
from reco_assist.ui.state import PanelState
from reco_assist.ui.stepper import Stepper

_OFF = (
    "The Annotator needs Jupyter widgets, which are off here. In JupyterLab or Notebook 7: pip install "
    "ipywidgets anywidget, then reload the page and restart the kernel. In VS Code: install the Jupyter "
    "extension and open the notebook there."
)


class Page(Protocol):
    """One page of the panel."""

    @property
    def widget(self) -> w.VBox:
        """What is shown."""

    def refresh(self) -> None:
        """Show what is true now."""


class Annotator:
    """One panel to retrieve, prune, segment, review and export. Display it as the last line of a cell.

    Everything is kept in a session on disk as it happens: closing the tab or restarting the kernel loses
    nothing, and an Annotator of the same archive offers to go on.

    Args:
        archive: An archive, or its folder.
        session: Folder of the session; by default beside the archive, `photos.session` for `photos.reco`.
        targets: Folder of the images to segment, to be found filled in.
        student: File of a student that segments them in place of the concepts, to be found filled in.
        resume: Go on with a session that is there (True), begin another and set the old one aside (False), or
            let the curator choose (None).
        who: Name of the curator for the audit log; the login name if None.

    Attributes:
        state: The state, for scripts and tests.

    Raises:
        ArchiveError: There is no such archive.
        StorageError: The session cannot be written, or is open elsewhere.
    """

    def __init__(
        self,
        archive: Archive | str | Path,
        *,
        session: str | Path | None = None,
        targets: str | Path | None = None,
        student: str | Path | None = None,
        resume: bool | None = None,
        who: str | None = None,
    ) -> None:
        opened = archive if isinstance(archive, Archive) else Archive.open(archive)
        self._place = Path(session) if session is not None else Session.beside(opened.path)
        self._who = who
        found = Session.open(self._place, who=who)
        if resume is False and not found.empty:
            found.set_aside()
            found = Session.open(self._place, who=who)
        self._targets = None if targets is None else Path(targets).expanduser().absolute()
        self._student = None if student is None else Path(student).expanduser().absolute()
        self._archive = opened
        self._asking = False  # whether to go on or to start anew
        self.panel = with_classes(w.VBox(), "ra-annotator")
        self._begin(found)
        if resume is None and not found.empty:
            self._offer()

    @property
    def session(self) -> Session:
        """The session on disk."""
        return self.state.session

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs in the background; False if something still did after so many seconds."""
        return self.state.learning.wait(timeout) and self.state.segmenting.wait(timeout)

    def _begin(self, session: Session) -> None:
        """Build the panel for a session."""
        self.state = state = PanelState(self._archive, session)
        if self._targets is not None and session.targets is None:
            session.targets = self._targets
        if self._student is not None:
            session.student = self._student
        self.stepper = Stepper(
            on_step=state.guard(self._open),
            on_concept=state.guard(self._choose),
            on_add=state.guard(lambda: state.choose(None)),
            on_dismiss=state.dismiss,
        )
        self.concept_page = ConceptPage(state)
        self.set_page = SetPage(state, self.concept_page)
        self.review_page = ReviewPage(state)
        self.export_page = ExportPage(state)
        self.server_page = ServerPage(state)
        self._pages: list[Page] = [
            self.concept_page,
            self.set_page,
            self.review_page,
            self.export_page,
            self.server_page,
        ]
        self._of_step = [0, 1, 1, 2, 3, 4, 4]
        self.panel.children = [self.stepper, *(one.widget for one in self._pages)]
        state.listen(self._refresh)
        state.listen(self._tell)
        state.learning.run(self._warm_up)
        state.changed()

    def _warm_up(self) -> None:
        """Load the encoder while the curator types."""
        _ = self._archive.encoder
        if self.state.name is not None:
            self.state.load(self.state.name)

    def _open(self, step: int) -> None:
        if self.state.name is not None and step in {1, 2}:
            self.state.load(self.state.name)
        self.state.open(step)

    def _choose(self, index: int) -> None:
        self.state.choose(self.state.session.concepts[index])

    def _refresh(self) -> None:
        state, stepper = self.state, self.stepper
        stepper.busy = state.learning.busy or state.segmenting.busy
        stepper.heading = f"{self._archive.path.name} · {len(self._archive):,} images"
        stepper.note = f"Saved in {state.session.folder.name}"
        names = list(state.session.concepts)
        stepper.concepts = [] if self._asking else [[name, state.colour(name)] for name in names]
        stepper.concept = names.index(state.name) if state.name in names else -1
        stepper.steps = [
            [title, note, enabled and not self._asking, done] for title, note, enabled, done in self._steps()
        ]
        stepper.active = state.step
        # What goes is hidden before what comes is shown, so that nothing jumps under the pointer.
        opened = self._of_step[state.step]
        for number in sorted(range(len(self._pages)), key=lambda number: number == opened):
            Guarded(self._pages[number].refresh, state.note)()
            show(self._pages[number].widget, visible=number == opened)

    def _tell(self) -> None:
        self.stepper.error = self.state.error

    def _steps(self) -> list[list[object]]:
        state, plan = self.state, self.state.plan
        begun = plan is not None and plan.begun
        builder = state.builder
        any_begun = any(state.session.plan(name).begun for name in state.session.concepts)
        found = len(builder.images) if builder else 0
        kept = len(builder.kept.images) if builder else 0
        figures = state.queue.progress
        total = sum(figures.counts.values())
        exported = bool(state.session.store.items("export/"))
        accepted = figures.counts["accepted"]
        waiting = "searching …" if state.learning.busy and begun else ""
        return [
            ["Concept", plan.name if plan else "a word or examples", True, begun],
            ["Retrieve", f"{found} images" if found else waiting, begun, builder is not None],
            ["Prune", f"{kept} of {found} kept" if found else "", begun, bool(plan and plan.dropped)],
            [
                "Segment and review",
                f"{total - figures.left:,} of {total:,} reviewed" if total else "",
                # Masks of a student, or that were imported, are reviewed without a concept.
                any_begun or bool(total) or state.session.student is not None,
                bool(total) and not figures.left,
            ],
            ["Export", f"{accepted:,} accepted" if total else "", bool(total), exported],
            ["Push", "to Label Studio", bool(total), bool(state.session.store.items("pushed/"))],
            ["Pull", "corrections", bool(total), bool(state.session.store.items("pulled/"))],
        ]

    def _offer(self) -> None:
        """Ask whether to go on with the session that was found."""
        session, guard = self.state.session, self.state.guard
        figures = self.state.queue.progress
        total = sum(figures.counts.values())
        names = ", ".join(f"“{name}”" for name in session.concepts) or "no concept yet"
        reviewed = f", {total - figures.left:,} of {total:,} images reviewed" if total else ""
        question = page(
            text("There is unfinished work on this archive.", "label"),
            text(f"{names}{reviewed}; last change {_ago(session.last_change)}."),
            row(
                button(guard, "Go on", self._go_on, "primary", "large"),
                button(
                    guard, "Start anew", self._start_anew, "large", tooltip="The old session is kept aside"
                ),
            ),
        )
        self._offered = question
        self.panel.children = [self.stepper, question]
        self._asking = True
        self.state.changed()

    def _go_on(self) -> None:
        """Show the step that the work had come to."""
        self.panel.children = [self.stepper, *(one.widget for one in self._pages)]
        self._asking = False
        session = self.state.session
        plan = self.state.plan
        self.state.open(3 if session.files() else 2 if plan and plan.begun else 0)

    def _start_anew(self) -> None:
        self.state.session.set_aside()
        self._asking = False
        self._begin(Session.open(self._place, who=self._who))

    def _repr_mimebundle_(self, **options: object) -> Any:  # noqa: ANN401  (what IPython expects)
        bundle = self.panel._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        # What can show widgets prefers them; the text is for what cannot.
        data["text/plain"] = _OFF
        return bundle


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "unknown"
    minutes = int((datetime.now(UTC) - moment).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} h ago"
    return f"on {moment.date().isoformat()}"
