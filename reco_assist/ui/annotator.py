"""Annotator: the notebook application. From a word to exported and corrected masks, step by step."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import ipywidgets as w

from reco_assist.archive import Archive
from reco_assist.session import Session
from reco_assist.ui.concept_page import ConceptPage
from reco_assist.ui.desk import Desk
from reco_assist.ui.export_page import ExportPage
from reco_assist.ui.guard import Guarded
from reco_assist.ui.parts import button, page, row, show, text, with_classes
from reco_assist.ui.rail import StepRail
from reco_assist.ui.review_page import ReviewPage
from reco_assist.ui.server_page import ServerPage
from reco_assist.ui.set_page import SetPage

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
        desk: The state, for scripts and tests.

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
        return self.desk.session

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs in the background; False if something still did after so many seconds."""
        return self.desk.learning.wait(timeout) and self.desk.segmenting.wait(timeout)

    def _begin(self, session: Session) -> None:
        """Build the panel for a session."""
        self.desk = desk = Desk(self._archive, session)
        if self._targets is not None and session.targets is None:
            session.targets = self._targets
        if self._student is not None:
            session.student = self._student
        self.rail = StepRail(
            on_step=desk.guard(self._open),
            on_concept=desk.guard(self._choose),
            on_add=desk.guard(lambda: desk.choose(None)),
            on_dismiss=desk.dismiss,
        )
        self.concept_page = ConceptPage(desk)
        self.set_page = SetPage(desk, self.concept_page)
        self.review_page = ReviewPage(desk)
        self.export_page = ExportPage(desk)
        self.server_page = ServerPage(desk)
        self._pages: list[Page] = [
            self.concept_page,
            self.set_page,
            self.review_page,
            self.export_page,
            self.server_page,
        ]
        self._of_step = [0, 1, 1, 2, 3, 4, 4]
        self.panel.children = [self.rail, *(one.widget for one in self._pages)]
        desk.listen(self._refresh)
        desk.listen(self._tell)
        desk.learning.run(self._warm_up)
        desk.changed()

    def _warm_up(self) -> None:
        """Load the encoder while the curator types."""
        _ = self._archive.encoder
        if self.desk.name is not None:
            self.desk.load(self.desk.name)

    def _open(self, step: int) -> None:
        if self.desk.name is not None and step in {1, 2}:
            self.desk.load(self.desk.name)
        self.desk.open(step)

    def _choose(self, index: int) -> None:
        self.desk.choose(self.desk.session.concepts[index])

    def _refresh(self) -> None:
        desk, rail = self.desk, self.rail
        rail.busy = desk.learning.busy or desk.segmenting.busy
        rail.heading = f"{self._archive.path.name} · {len(self._archive):,} images"
        rail.note = f"Saved in {desk.session.folder.name}"
        names = list(desk.session.concepts)
        rail.concepts = [] if self._asking else [[name, desk.colour(name)] for name in names]
        rail.concept = names.index(desk.name) if desk.name in names else -1
        rail.steps = [
            [title, note, enabled and not self._asking, done] for title, note, enabled, done in self._steps()
        ]
        rail.active = desk.step
        # What goes is hidden before what comes is shown, so that nothing jumps under the pointer.
        opened = self._of_step[desk.step]
        for number in sorted(range(len(self._pages)), key=lambda number: number == opened):
            Guarded(self._pages[number].refresh, desk.note)()
            show(self._pages[number].widget, visible=number == opened)

    def _tell(self) -> None:
        self.rail.error = self.desk.error

    def _steps(self) -> list[list[object]]:
        desk, plan = self.desk, self.desk.plan
        begun = plan is not None and plan.begun
        builder = desk.builder
        any_begun = any(desk.session.plan(name).begun for name in desk.session.concepts)
        found = len(builder.images) if builder else 0
        kept = len(builder.kept.images) if builder else 0
        figures = desk.queue.progress
        total = sum(figures.counts.values())
        exported = bool(desk.session.store.items("export/"))
        accepted = figures.counts["accepted"]
        waiting = "searching …" if desk.learning.busy and begun else ""
        return [
            ["Concept", plan.name if plan else "a word or examples", True, begun],
            ["Retrieve", f"{found} images" if found else waiting, begun, builder is not None],
            ["Prune", f"{kept} of {found} kept" if found else "", begun, bool(plan and plan.dropped)],
            [
                "Segment and review",
                f"{total - figures.left:,} of {total:,} reviewed" if total else "",
                # Masks of a student, or that were imported, are reviewed without a concept.
                any_begun or bool(total) or desk.session.student is not None,
                bool(total) and not figures.left,
            ],
            ["Export", f"{accepted:,} accepted" if total else "", bool(total), exported],
            ["Push", "to Label Studio", bool(total), bool(desk.session.store.items("pushed/"))],
            ["Pull", "corrections", bool(total), bool(desk.session.store.items("pulled/"))],
        ]

    def _offer(self) -> None:
        """Ask whether to go on with the session that was found."""
        session, guard = self.desk.session, self.desk.guard
        figures = self.desk.queue.progress
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
        self.panel.children = [self.rail, question]
        self._asking = True
        self.desk.changed()

    def _go_on(self) -> None:
        """Show the step that the work had come to."""
        self.panel.children = [self.rail, *(one.widget for one in self._pages)]
        self._asking = False
        session = self.desk.session
        plan = self.desk.plan
        self.desk.open(3 if session.files() else 2 if plan and plan.begun else 0)

    def _start_anew(self) -> None:
        self.desk.session.set_aside()
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
