"""Pruning: what the curator does to a concept's set, applied in order, each time to the set as it then is."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reco_assist.errors import InputError
from reco_assist.session import ConceptSpec
from reco_assist.ui.state import PanelState

if TYPE_CHECKING:
    from reco_assist.concepts import ConceptBuilder

_MORE = 20  # images that "load more" adds
_ALIKE = 6  # images that "more like this" adds

Change = Callable[[ConceptSpec], ConceptSpec]


@dataclass(frozen=True, slots=True, eq=False)
class _Act:
    """Something that the curator asked for and that waits for what was asked before.

    Attributes:
        name: The concept.
        apply: Does it.
        seen: What it is known to make of the plan, to be shown meanwhile.
    """

    name: str
    apply: Callable[[str], None]
    seen: Change


class Pruning:
    """Changes of the open concept's set.

    A quick change is made at once. One that takes time, or that needs the builder while that is still in the
    making, waits for the background thread, and so does whatever is asked for after it: nothing is lost, and
    undo takes back the last. Each is a function of the plan as it is when its turn comes.
    """

    def __init__(self, state: PanelState) -> None:
        self._state = state
        self._waiting: deque[_Act] = deque()

    def shown(self, plan: ConceptSpec) -> ConceptSpec:
        """A plan as it will be when what waits is done, as far as that is known."""
        for act in list(self._waiting):
            if act.name == plan.name:
                plan = act.seen(plan)
        return plan

    def keep(self, ids: Collection[str], *, kept: bool, what: str = "") -> None:
        """Keep or drop images; `what` is for the audit log.

        Raises:
            InputError: No image would be left.
        """
        self._plain(lambda plan: _kept(plan, ids, kept=kept), what or ("keep" if kept else "drop"))

    def mark(self, content_hash: str, sign: int) -> None:
        """More like this adds the archive's nearest; less like this drops it and its kind; 0 does neither."""

        def marked(plan: ConceptSpec) -> ConceptSpec:
            marks = {digest: old for digest, old in plan.marks if digest != content_hash}
            return replace(plan, marks=(*marks.items(), *([(content_hash, sign)] if sign else [])))

        def less(name: str) -> None:
            unlike = self._state.builder_of(name).unlike(content_hash)
            self._change(name, lambda plan: _kept(marked(plan), unlike, kept=False), "less like this")

        if sign > 0:
            self._do(lambda name: self._extend(name, content_hash, marked), marked, slow=True)
        elif sign < 0:
            seen: Change = lambda plan: _kept(marked(plan), [content_hash], kept=False)  # noqa: E731
            self._do(less, seen, slow=self._state.builder is None)
        else:
            self._plain(marked, "unmark")

    def load_more(self) -> None:
        """Add the next images by score."""
        self._do(lambda name: self._extend(name, "", _same), _same, slow=True)

    def swap(self) -> None:
        """Exchange object and background."""
        self._plain(lambda plan: replace(plan, swapped=not plan.swapped), "swap")

    def travel(self, move: str) -> None:
        """Undo or redo."""

        def go(name: str) -> None:
            session = self._state.session
            with session.store.mutex:
                scope = session.scope(name)
                if (session.undo(scope) if move == "undo" else session.redo(scope)) is None:
                    return
                if not self._is_behind(name):
                    self._keep(name, self._followed(session.plan(name)))
            self._state.judge(name)  # which reads images that came back and were never in the set

        self._do(go, _same)

    def _plain(self, change: Change, what: str) -> None:
        self._do(lambda name: self._change(name, change, what), change)

    def _do(self, apply: Callable[[str], None], seen: Change, *, slow: bool = False) -> None:
        name = self._state.name
        if name is None:
            raise InputError("No concept is open; type one first.")
        if not slow and not self._waiting and not self._is_behind(name):
            apply(name)
            return
        self._waiting.append(_Act(name, apply, seen))
        self._state.learning.run(self._next)

    def _next(self) -> None:
        act = self._waiting[0]
        try:
            if act.name in self._state.session.concepts:  # else there is nothing left to change
                act.apply(act.name)
        finally:
            self._waiting.popleft()

    def _change(self, name: str, change: Change, what: str) -> None:
        """Change a plan if its builder can follow; nothing else reads or writes either meanwhile."""
        session = self._state.session
        with session.store.mutex:
            plan = change(session.plan(name))
            builder = self._followed(plan)
            session.set_plan(plan, what=what, undoable=True)
            self._keep(name, builder)
        self._state.judge(name)

    def _extend(self, name: str, like: str, change: Change) -> None:
        """Add the next images by score, or those like one of the set."""
        session, state = self._state.session, self._state
        builder = state.builder_of(name)
        found = builder.like(like, _ALIKE) if like else builder.more(_MORE)
        grown = builder.add(found)
        with session.store.mutex:
            if state.builders.get(name) is not builder:  # another question was asked since
                return
            plan = change(session.plan(name))
            added = dict.fromkeys((*plan.added, *(image.content_hash for image in found)))
            plan = replace(plan, added=tuple(added))
            builder = grown.follow(plan)
            session.set_plan(plan, what="more like this" if like else "load more", undoable=True)
            self._keep(name, builder)
        state.judge(name)

    def _is_behind(self, name: str) -> bool:
        """Whether images came back by undo or redo that the builder has not read yet."""
        builder = self._state.builders.get(name)
        return builder is not None and bool(builder.lacks(self._state.session.plan(name)))

    def _followed(self, plan: ConceptSpec) -> "ConceptBuilder | None":
        builder = self._state.builders.get(plan.name)
        return None if builder is None else builder.follow(plan)

    def _keep(self, name: str, builder: "ConceptBuilder | None") -> None:
        if builder is not None:
            self._state.builders[name] = builder


def _same(plan: ConceptSpec) -> ConceptSpec:
    return plan


def _kept(plan: ConceptSpec, ids: Collection[str], *, kept: bool) -> ConceptSpec:
    dropped = set(plan.dropped) - set(ids) if kept else set(plan.dropped) | set(ids)
    return replace(plan, dropped=tuple(sorted(dropped)))
