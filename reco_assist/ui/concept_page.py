"""Step 1: what is looked for."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from math import nan

import ipywidgets as w
import numpy as np
from numpy.typing import NDArray

from reco_assist.concepts import unfamiliar
from reco_assist.errors import InputError
from reco_assist.session import ConceptSpec, ExemplarSpec
from reco_assist.ui import examples
from reco_assist.ui.controls import (
    button,
    chips,
    field,
    on_enter,
    page,
    row,
    say,
    show,
    text,
    with_classes,
)
from reco_assist.ui.gallery import Box, ExemplarGallery, GalleryItem, Mark
from reco_assist.ui.guard import sentence
from reco_assist.ui.pictures import ArchivePictures
from reco_assist.ui.state import PanelState

_SUGGESTED = ("person", "hand", "table", "wall", "floor", "shelf", "tree", "sky")
"""Common distractors, offered as contexts."""

_BROWSED = 1000  # images of the archive to draw on, and as many more each time


class ConceptPage:
    """The word, its examples and what competes with it."""

    def __init__(self, state: PanelState) -> None:
        self._state = state
        self._drawn: tuple[object, ...] = ()
        self._browsed = _BROWSED
        self.word = with_classes(
            w.Text(placeholder="mug, street lamp, solar panel …", layout=w.Layout(width="420px")),
            "ra-question",
        )
        on_enter(state.guard, self.word, self.find)
        self.k = w.BoundedIntText(20, min=2, max=500, description="Images", layout=w.Layout(width="84px"))
        self.find_button = button(state.guard, "Find images", self.find, "primary", "large")
        self.remove_button = button(state.guard, "", self._remove)
        self._sure = False
        self.context = w.Text(
            placeholder="another word", description="Another word", layout=w.Layout(width="150px")
        )
        on_enter(state.guard, self.context, lambda: self._add_context(self.context.value))
        self._examples, self._contexts = row(), row()
        self._known = text("", "hint")
        self._browse = button(state.guard, "Browse the archive", self._browse_archive)
        self.gallery = ExemplarGallery(
            ArchivePictures(state.archive),
            mode="browse",
            title="All images",
            height=420,
        )
        self.gallery.on_exemplar(state.alone(self.draw))
        self.gallery.on_painting(state.alone(self.paint))
        self.gallery.on_command(state.alone(self._command))
        show(self.gallery, visible=False)
        self.widget = page(
            field(
                "What are you looking for?",
                row(self.word, text("Images", "soft"), self.k, self.find_button, self.remove_button),
            ),
            self._known,
            field(
                "Examples",
                text(
                    "Where words fail: draw a box around one to three examples, or paint them. They lead; "
                    "the word names the concept.",
                    "soft",
                ),
                row(self._examples, self._browse),
            ),
            field(
                "Not to be confused with",
                text(
                    "Words that compete for the same pixels. Leave it empty unless masks spill over.", "soft"
                ),
                self._contexts,
            ),
            self.gallery,
        )

    @property
    def plan(self) -> ConceptSpec:
        """What the page shows: the open concept's plan, or that of the one to come."""
        return self._state.plan or self._state.session.draft

    def find(self) -> None:
        """Retrieve what the page asks for, and open the next one."""
        state, name = self._state, self.word.value.strip()
        asked = replace(self.plan.question(), name=name, k=self.k.value)
        unnamed = state.name is None  # the first concept that is added is chosen at once
        known = state.session.plan(name) if name in state.session.concepts else None
        anew = known is None or not known.begun or known.question() != asked or state.is_stale(name)
        if anew:
            state.session.set_plan(replace(asked, begun=True), what="find")
        if unnamed:
            state.session.draft = ConceptSpec("")
        state.select(name)
        state.step = 1
        if anew:
            state.find(name)
        else:
            state.load(name)

    def draw(self, content_hash: str, box: Box) -> None:
        """Take a box, in 0..1 of the upright image, as an example of the open concept."""
        self._take(examples.boxed(self._state.archive.entry(content_hash), box))

    def paint(self, content_hash: str, painting: NDArray[np.bool_]) -> None:
        """Take what was painted, (h, w) over the upright image, as an example of the open concept."""
        self._take(examples.painted(self._state.archive.entry(content_hash), painting))

    def refresh(self) -> None:
        """Show the plan as it is now."""
        plan = self.plan
        self._sure &= self._drawn[:1] == (self._state.name,)
        show(self.remove_button, visible=self._state.name is not None)
        self.remove_button.description = "Really remove it" if self._sure else "Remove this concept"
        shown = (self._state.name, plan.exemplars, plan.contexts, plan.k)
        self._show_knowledge()
        if shown == self._drawn:
            return
        self._set_word(plan)
        self._drawn = shown
        guard = self._state.guard
        self._examples.children = chips(
            guard,
            [self._caption(number) for number in range(len(plan.exemplars))],
            self._remove_example,
            (),
            lambda _: None,
        )
        offered = [word for word in _SUGGESTED if word not in plan.contexts and word != plan.name]
        self._contexts.children = [
            *chips(guard, plan.contexts, self._remove_context, offered, self._add_context),
            self.context,
        ]
        self._mark()

    def _set_word(self, plan: ConceptSpec) -> None:
        if (self._state.name,) != self._drawn[:1]:
            self.word.value = plan.name
            self.k.value = plan.k

    def _show_knowledge(self) -> None:
        builder = self._state.builder
        word = None if builder is None else builder.found.word
        say(self._known, sentence(unfamiliar(self.plan.name, word)))

    def _remove(self) -> None:
        """Remove the open concept at the second click."""
        name, sure = self._state.name, self._sure
        self._sure = not sure
        if sure and name is not None:
            self._state.remove(name)

    def _browse_archive(self) -> None:
        visible = self.gallery.layout.display == "none"
        show(self.gallery, visible=visible)
        self._browse.description = "Hide the archive" if visible else "Browse the archive"
        if visible:
            self._mark()

    def _mark(self) -> None:
        """Show the archive's images with the boxes that were drawn on them."""
        if self.gallery.layout.display == "none":
            return
        state = self._state
        drawn: dict[str, list[Mark]] = {}
        listed = list(islice(state.archive.images(), self._browsed))
        entries = {entry.content_hash: entry for entry in listed}
        for example in self.plan.exemplars:
            entry = entries.get(example.content_hash)  # a corrected target need not be in the archive
            if entry is not None and not example.negative:
                drawn.setdefault(example.content_hash, []).extend(examples.marks(entry, example))
        items = [
            GalleryItem(
                entry.content_hash, entry.file_name, nan, marks=tuple(drawn.get(entry.content_hash, ()))
            )
            for entry in listed
        ]
        self.gallery.more = len(listed) < len(state.archive)
        self.gallery.items = sorted(items, key=lambda item: item.label)

    def _command(self, name: str) -> None:
        if name == "load_more":
            self._browsed += _BROWSED
            self._mark()

    def _take(self, example: ExemplarSpec) -> None:
        if example not in self.plan.exemplars:
            self._change(lambda plan: replace(plan, exemplars=(*plan.exemplars, example)))

    def _caption(self, number: int) -> str:
        example = self.plan.exemplars[number]
        return f"{number + 1}: {example.path.replace(chr(92), '/').rsplit('/', 1)[-1]}"

    def _remove_example(self, caption: str) -> None:
        gone = self.plan.exemplars[int(caption.partition(":")[0]) - 1]
        self._change(
            lambda plan: replace(plan, exemplars=tuple(one for one in plan.exemplars if one != gone))
        )

    def _remove_context(self, word: str) -> None:
        self._change(
            lambda plan: replace(plan, contexts=tuple(other for other in plan.contexts if other != word))
        )

    def _add_context(self, word: str) -> None:
        word = word.strip()
        if not word:
            raise InputError("The context is empty; type a word such as 'table'.")
        self.context.value = ""
        self._change(lambda plan: replace(plan, contexts=tuple(dict.fromkeys((*plan.contexts, word)))))

    def _change(self, change: Callable[[ConceptSpec], ConceptSpec]) -> None:
        """Keep a change of the question. What was retrieved stays until it is asked again."""
        session, name = self._state.session, self._state.name
        if name is None:
            session.draft = replace(change(session.draft), name="")
        else:
            session.change_plan(name, change, what="question")
        self._state.changed()
