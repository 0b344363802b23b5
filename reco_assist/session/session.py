"""One labelling job on disk: what is looked for, what was found, and what the curator said about it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations.spec import ConceptSpec
from reco_assist.errors import InputError
from reco_assist.files import rename
from reco_assist.session.masks import Masks, segmented
from reco_assist.session.records import STATES, Order, Result, Review, State
from reco_assist.session.store import Moved, Store

REVIEW = "review"
"""The scope of undo that decisions belong to."""

_OPEN: dict[Path, "Session"] = {}  # sessions of this process by folder


class Session:
    """State of a labelling job. Every change is on disk before the call that makes it returns.

    Holds no widget and no model: notebooks and scripts work on it alike. Opened by `Session.open`.

    Attributes:
        folder: Where it lies.
        store: The keys and values below it, with the audit log.
        masks: The maps, and how they were adjusted.
    """

    def __init__(self, store: Store) -> None:
        self.folder = store.folder
        self.store = store
        self.masks = Masks(store)

    @classmethod
    def open(cls, folder: str | Path, *, who: str | None = None) -> Self:
        """Open a session, or begin one where there is none.

        Opening a folder again in one process (a notebook's cell run twice) closes the earlier object.

        Args:
            folder: By convention its name ends in `.session`.
            who: Name of the curator for the audit log; the login name if None.

        Raises:
            StorageError: It cannot be written, or another process has it open.
            FormatError: Its log is damaged or of another version.
        """
        place = Path(folder).resolve()
        if place in _OPEN:
            _OPEN.pop(place).close()
        session = cls(Store(place, who=who))
        _OPEN[place] = session
        return session

    @staticmethod
    def beside(archive: Path) -> Path:
        """Where the session of an archive lies by default: `photos.reco` has `photos.session`."""
        return archive.with_suffix(".session")

    def close(self) -> None:
        """Let other processes open it. A closed session can be read but not changed."""
        self.store.close()

    def set_aside(self) -> Path:
        """Close the session and rename its folder, so that another can begin in its place.

        Returns:
            The new name.
        """
        self.close()
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        place = self.folder.with_name(f"{self.folder.stem}-{stamp}{self.folder.suffix}")
        return rename(self.folder, place)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to go on with: no concept was ever looked for, and none was begun."""
        return not self.concepts and self.draft == ConceptSpec("")

    @property
    def last_change(self) -> datetime | None:
        """When something was changed last; None where nothing was."""
        last = self.store.last_change
        return None if last is None else datetime.fromisoformat(last)

    # ------------------------------------------------------------------------------------ concepts

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts, in the order of their categories."""
        return tuple(self.store.get("concepts") or ())

    def plan(self, name: str) -> ConceptSpec:
        """How a concept is to be learnt.

        Raises:
            InputError: The job has no such concept.
        """
        data = self.store.get(f"plan/{name}")
        if data is None:
            raise InputError(f"There is no concept {name!r} in this session; add it first.")
        return ConceptSpec.from_json(data)

    def set_plan(self, plan: ConceptSpec, *, what: str = "plan", undoable: bool = False) -> None:
        """Add a concept, or change how it is learnt.

        Args:
            plan: With its name trimmed.
            what: The change, for the audit log.
            undoable: Whether `undo` of the plan's own scope can take it back.

        Raises:
            InputError: The name is no name.
        """
        name = plan.name
        if not name.strip() or name != name.strip() or any(ord(letter) < 32 for letter in name):
            raise InputError("The concept has no name; type a word or a short phrase such as 'coffee mug'.")
        key = f"plan/{name}"
        values = {key: plan.to_json()}
        with self.store.mutex:
            if undoable:
                self.store.put(what, values, scope=self.scope(name))
            elif name not in self.concepts:
                self.store.put("add concept", {"concepts": [*self.concepts, name], **values}, forget=[key])
            elif self.store.get(key) != values[key]:  # else nothing changes, nor what undo reaches
                self.store.put(what, values, forget=[key])

    def change_plan(
        self, name: str, change: Callable[[ConceptSpec], ConceptSpec], *, what: str, undoable: bool = False
    ) -> ConceptSpec:
        """Change how a concept is learnt, from what its plan is at this moment, whichever thread asks.

        Args:
            name: Of the concept.
            change: Gives the plan that follows a plan; may raise to refuse.
            what: The change, for the audit log.
            undoable: See `set_plan`.

        Returns:
            The changed plan.

        Raises:
            InputError: The job has no such concept.
        """
        with self.store.mutex:
            plan = change(self.plan(name))
            self.set_plan(plan, what=what, undoable=undoable)
            return plan

    @property
    def draft(self) -> ConceptSpec:
        """The plan of the next concept, which has no name yet: its examples and contexts."""
        data = self.store.get("draft")
        return ConceptSpec("") if data is None else ConceptSpec.from_json(data)

    @draft.setter
    def draft(self, plan: ConceptSpec) -> None:
        self.store.put("question", {"draft": None if plan == ConceptSpec("") else plan.to_json()})

    def remove_concept(self, name: str) -> None:
        """Take a concept out of the job; what was decided about it stays as it is, whatever is undone."""
        with self.store.mutex:
            left = [other for other in self.concepts if other != name]
            plan = f"plan/{name}"
            decided = [
                key
                for key in self.store.within_reach
                if key.startswith("review/") and key.split("/", 2)[2:] == [name]
            ]
            self.store.put("remove concept", {"concepts": left, plan: None}, forget=[plan, *decided])

    @property
    def active(self) -> str | None:
        """The concept that is worked on; the first until another is chosen, None where there is none."""
        names, chosen = self.concepts, self.store.get("active")
        return chosen if chosen in names else next(iter(names), None)

    @active.setter
    def active(self, name: str) -> None:
        self.store.put("choose concept", {"active": name})

    @staticmethod
    def scope(name: str) -> str:
        """The scope of undo that pruning a concept belongs to."""
        return f"set/{name}"

    def undo(self, scope: str = REVIEW) -> Moved | None:
        """Take the last change of a scope back; returns what it was, None if nothing was left."""
        return self.store.undo(scope)

    def redo(self, scope: str = REVIEW) -> Moved | None:
        """Make the change again that was undone last; returns what it was, None if nothing was left."""
        return self.store.redo(scope)

    # ------------------------------------------------------------------------------------- results

    @property
    def targets(self) -> Path | None:
        """The folder of images to segment."""
        found = self.store.get("targets")
        return None if found is None else Path(found)

    @targets.setter
    def targets(self, folder: Path) -> None:
        self.store.put("choose targets", {"targets": str(folder)})

    @property
    def student(self) -> Path | None:
        """The student that segments; None where the concepts do."""
        found = self.store.get("student")
        return None if found is None else Path(found)

    @student.setter
    def student(self, file: Path | None) -> None:
        self.store.put("choose student", {"student": None if file is None else str(file)})

    @property
    def order(self) -> Order:
        """In which order open images are reviewed."""
        return self.store.get("order") or "doubt"

    @order.setter
    def order(self, order: Order) -> None:
        self.store.put("choose order", {"order": order})

    def results(self) -> list[Result]:
        """Every segmented target once, in the order in which they were segmented."""
        return [Result.from_json(data) for _, data in self.store.items("result/")]

    def result(self, content_hash: str) -> Result:
        """A segmented target.

        Raises:
            InputError: It was not segmented.
        """
        return segmented(self.store, content_hash)

    def files(self) -> dict[str, str]:
        """Content hash of every segmented file by its name; copies of an image share one."""
        return {name: data["hash"] for name, data in self.store.items("file/")}

    # ------------------------------------------------------------------------------------- reviews

    def review(self, content_hash: str, concept: str) -> Review:
        """What the curator decided about a concept in an image so far."""
        data = self.store.get(f"review/{content_hash}/{concept}")
        return Review(**data) if data else Review()

    def decide(self, content_hash: str, decisions: Mapping[str, State]) -> None:
        """Say what becomes of concepts in an image; see `decide_many`.

        Args:
            content_hash: The image.
            decisions: By concept.

        Raises:
            InputError: The image was not segmented.
        """
        self.decide_many({content_hash: decisions})

    def decide_many(self, decisions: Mapping[str, Mapping[str, State]]) -> None:
        """Say what becomes of concepts in images; one undo takes all of it back.

        Args:
            decisions: By concept, by the content hash of the image.

        Raises:
            InputError: An image was not segmented, or a state is none; nothing is decided then.
        """
        said = {state for states in decisions.values() for state in states.values()}
        if unknown := sorted(said.difference(STATES)):
            raise InputError(f"The decision is {unknown[0]!r}; give one of {', '.join(STATES)}.")
        values = {}
        with self.store.mutex:
            number = self.store.count + 1
            for content_hash, states in decisions.items():
                self.result(content_hash)
                for name, state in states.items():
                    review = Review(state, 0 if state == "pending" else number)
                    values[f"review/{content_hash}/{name}"] = asdict(review)
            self.store.put(", ".join(sorted(said)), values, scope=REVIEW)

    def mask(self, content_hash: str, concept: str) -> NDArray[np.bool_]:
        """(H, W) bool: what is exported: as drawn, but empty where it was rejected or is absent."""
        mask = self.masks.drawn(content_hash, concept)
        if self.review(content_hash, concept).state in {"rejected", "absent"}:
            mask[:] = False
        return mask
