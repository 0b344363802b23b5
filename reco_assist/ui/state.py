"""PanelState: what the pages of the Annotator share. It owns the builders and the threads, and no widget."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from reco_assist.archive import Archive
from reco_assist.errors import ImageError, InputError
from reco_assist.folders import make_folder
from reco_assist.session import ConceptSpec, ReviewQueue, Session
from reco_assist.session.freshness import note_concept
from reco_assist.session.records import Adjustment, Finding, Result
from reco_assist.ui.frame import PALETTE
from reco_assist.ui.guard import Guarded
from reco_assist.ui.worker import Worker

if TYPE_CHECKING:
    from reco_assist.concepts import Concept, ConceptBuilder, Quality
    from reco_assist.encoders import Encoder
    from reco_assist.retrieval import Retrieved


@dataclass(frozen=True, slots=True)
class Layer:
    """What the session says of a concept in an image: what is shown of it follows from this.

    Attributes:
        name: The concept.
        colour: "#rrggbb".
        finding: What was found.
        adjustment: How its mask was adjusted.
        absent: The curator said that it is not there.
    """

    name: str
    colour: str
    finding: Finding
    adjustment: Adjustment
    absent: bool


class PanelState:
    """State of the running notebook: which concept and step are open, and what is loaded.

    Attributes:
        archive: What is searched.
        session: What is kept.
        step: Position of the open page.
        builders: Builders that are loaded, by concept.
        looks: What was retrieved for concepts whose builders are still in the making.
        learning: The thread that retrieves and co-segments.
        segmenting: The thread that segments targets.
        error: What failed last, in one sentence; empty for nothing.
        drawing: Held while pages are brought up to date: the workers' threads do that too.
    """

    def __init__(self, archive: Archive, session: Session) -> None:
        self.archive = archive
        self.session = session
        self._new = False  # whether a concept without a name is worked on
        self.step = 0
        self.builders: dict[str, ConceptBuilder] = {}
        self.looks: dict[str, list[Retrieved]] = {}
        self._taught: dict[str, tuple[ConceptBuilder, Concept]] = {}
        self.error = ""
        self.queue = ReviewQueue(session)
        self._listeners: list[Callable[[], None]] = []
        self.drawing = RLock()
        self.learning = Worker(fail=self.fail, changed=self.changed)
        self.segmenting = Worker(fail=self.fail, changed=self.changed)

    @cached_property
    def encoder(self) -> "Encoder":
        """The archive's, which remembers targets: they are segmented again whenever a concept changes."""
        from reco_assist.encoders.remembering import RememberingEncoder  # noqa: PLC0415  (loads torch)

        return RememberingEncoder(self.archive.encoder)

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls `listener()` whenever something that pages show has changed."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Let every page show what is true now; the last listener says what failed meanwhile."""
        with self.drawing:  # the workers' threads report here too
            for listener in list(self._listeners):
                Guarded(listener, self.note)()

    def fail(self, sentence: str) -> None:
        """Show what went wrong."""
        self.error = sentence
        self.changed()

    def guard(self, action: Callable[..., object]) -> Guarded:
        """A callback that does this, and lets every page show what came of it, or what went wrong."""

        def act(*given: object) -> None:
            self.error = ""
            Guarded(action, self.note)(*given)
            self.changed()

        return Guarded(self.alone(act), self.fail)

    def alone(self, action: Callable[..., object]) -> Callable[..., None]:
        """What the curator does, with no drawing by a worker's thread between its steps."""

        def act(*given: object) -> None:
            with self.drawing:
                action(*given)

        return act

    def note(self, sentence: str) -> None:
        """Keep what went wrong, to be shown with the next change."""
        self.error = sentence

    def dismiss(self) -> None:
        """Forget what failed last."""
        self.error = ""

    def open(self, step: int) -> None:
        """Open a page."""
        self.step = step
        self.error = ""
        self.changed()

    @property
    def name(self) -> str | None:
        """The concept that is worked on, in every page; None for one that is not named yet."""
        return None if self._new else self.session.active

    def select(self, name: str | None) -> None:
        """Work on another concept, or on a new one (None), on the page that is open."""
        self._new = name is None
        if name is not None:
            self.session.active = name

    def choose(self, name: str | None) -> None:
        """Work on another concept, or on a new one, on a page that can show it."""
        self.select(name)
        if name is None or (self.step in {1, 2} and not self.session.plan(name).begun):
            self.step = 0
        self.error = ""
        if name is not None and self.step in {1, 2}:
            self.load(name)
        self.changed()

    def remove(self, name: str) -> None:
        """Take a concept out of the job, and work on another one."""
        self.session.remove_concept(name)
        self.forget(name)
        self.choose(next(iter(self.session.concepts), None))

    @property
    def plan(self) -> ConceptSpec | None:
        """How the open concept is learnt."""
        return None if self.name is None else self.session.plan(self.name)

    @property
    def builder(self) -> "ConceptBuilder | None":
        """The open concept's builder, once it is loaded."""
        return None if self.name is None else self.builders.get(self.name)

    def layers(self, result: Result) -> tuple[Layer, ...]:
        """The job's concepts in a segmented image."""
        session, digest = self.session, result.image.content_hash
        return tuple(
            Layer(
                name,
                self.colour(name),
                result.findings[name],
                session.masks.adjustment(digest, name),
                session.review(digest, name).state == "absent",
            )
            for name in session.concepts
            if name in result.findings
        )

    def colour(self, name: str) -> str:
        """A concept's colour "#rrggbb", the same everywhere."""
        return PALETTE[self.session.concepts.index(name) % len(PALETTE)]

    def label(self, path: Path) -> str:
        """What the curator reads for a file of the archive."""
        root = self.archive.root
        return Path(os.path.relpath(path, root)).as_posix() if root else path.name

    @staticmethod
    def short(path: Path) -> str:
        """A path as it is typed from the notebook's folder, absolute where it lies elsewhere."""
        here = Path.cwd()
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    def load(self, name: str) -> None:
        """Begin a concept's builder in the background, if it is not loaded."""
        if name not in self.builders and self.session.plan(name).begun:
            self.learning.run(lambda: self._load(name))

    def find(self, name: str) -> None:
        """Find a concept's images anew in the background, whatever is being found for an earlier question."""
        self.forget(name)

        def anew() -> None:
            self._forget_stale(name)
            self._load(name)

        self.learning.run(anew)

    def builder_of(self, name: str) -> "ConceptBuilder":
        """A concept's builder, loaded if need be. Takes time then: call it in a worker.

        Raises:
            RecoAssistError: The builder cannot be held.
        """
        return self._load(name)

    def forget(self, name: str) -> None:
        """Let a concept's builder begin anew when it is needed."""
        self.builders.pop(name, None)
        self.looks.pop(name, None)
        self._taught.pop(name, None)

    def _forget_stale(self, name: str) -> None:
        if self.is_stale(name):
            self.forget(name)

    def is_stale(self, name: str) -> bool:
        """Whether a concept's question has changed since its images were found."""
        builder = self.builders.get(name)
        return builder is not None and builder.spec.question() != self.session.plan(name).question()

    @property
    def quality(self) -> "Quality | None":
        """What the open concept's set is worth, as far as it was judged; `judge` brings it up to date."""
        known = None if self.name is None else self._taught.get(self.name)
        return None if known is None else known[1].quality

    def judge(self, name: str) -> None:
        """Judge a concept's set in the background, after it has changed."""
        self.learning.run(lambda: self._judge(name))

    def concept(self, name: str) -> "Concept":
        """What a concept's plan teaches now; kept in the session too. Takes time: call it in a worker.

        Raises:
            RecoAssistError: The builder cannot be held.
        """
        self._forget_stale(name)
        concept = self._learn(name, self._load(name))
        folder = make_folder(self.session.folder / "concepts")
        concept.save(folder / f"{self.session.concepts.index(name):02}-{concept.digest[:12]}.concept")
        return concept

    def _load(self, name: str) -> "ConceptBuilder":
        """The builder, whoever forgets it meanwhile."""
        held = self.builders.get(name)
        if held is not None:
            return held
        from reco_assist.concepts import ConceptBuilder, first_look  # noqa: PLC0415  (loads models)

        # The plan may have changed while the builder was in the making: what it says now counts.
        plan = self.session.plan(name)
        self.looks[name] = first_look(self.archive, plan)
        self.changed()
        builder = ConceptBuilder.retrieve(self.archive, plan)
        with self.session.store.mutex:  # what is dropped just now must not fall between plan and builder
            self.builders[name] = builder = self._following(builder, self.session.plan(name))
        self.changed()
        self._judge(name)
        return self.builders.get(name, builder)

    def _judge(self, name: str) -> None:
        held = self.builders.get(name)
        if held is not None and name in self.session.concepts:
            self._learn(name, held)

    def _learn(self, name: str, held: "ConceptBuilder") -> "Concept":
        """The concept of a loaded builder; the session keeps what the plan came to."""
        plan = self.session.plan(name)
        # A stale set answers its own question, however the plan's goes on.
        follows = held.spec == held.spec.answered_like(plan)
        builder = held if follows else self._following(held, plan)
        with self.session.store.mutex:
            if self.builders.get(name) is held:  # images that came back by undo or redo are in it now
                self.builders[name] = builder
        known = self._taught.get(name)
        concept = known[1] if known is not None and known[0] is builder else builder.build()
        self._taught[name] = builder, concept
        if builder.spec == plan:
            note_concept(self.session, plan, concept.digest)
        return concept

    @staticmethod
    def _following(builder: "ConceptBuilder", plan: ConceptSpec) -> "ConceptBuilder":
        try:
            return builder.follow(plan)
        except ImageError:
            raise
        except InputError:  # every image is dropped: they stay until the curator keeps one
            return builder
