"""Steps 2 and 3: the images that were found, and what of them is kept. One gallery serves both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from reco_assist.concepts import ambiguous
from reco_assist.retrieval import Retrieved
from reco_assist.session import ConceptSpec
from reco_assist.ui.concept_page import ConceptPage
from reco_assist.ui.controls import button, page, row, say, show, text
from reco_assist.ui.gallery import ExemplarGallery, GalleryItem
from reco_assist.ui.guard import sentence
from reco_assist.ui.pictures import ArchivePictures
from reco_assist.ui.pruning import Pruning
from reco_assist.ui.state import PanelState

if TYPE_CHECKING:
    from reco_assist.concepts import ConceptBuilder

RETRIEVE, PRUNE = 1, 2


class SetPage:
    """The retrieved images: by score at first, then with seeds, support and heat maps."""

    def __init__(self, state: PanelState, concept_page: ConceptPage) -> None:
        self._state = state
        self._pruning = Pruning(state)
        self._heated: ConceptBuilder | None = None  # whose heat maps the pictures hold
        self.pictures = ArchivePictures(state.archive)
        self.gallery = ExemplarGallery(self.pictures, height=460)
        self.gallery.on_decision(state.alone(self.decide))
        self.gallery.on_feedback(state.alone(self.mark))
        self.gallery.on_exemplar(state.alone(concept_page.draw))
        self.gallery.on_painting(state.alone(concept_page.paint))
        self.gallery.on_command(state.alone(self.command))
        self.gallery.observe(state.guard(lambda _: self._heat()), "heat")
        self._advice, self._doubt = text("", "soft"), text("", "hint")
        self.swap = button(
            state.guard,
            "Swap object and background",
            self._pruning.swap,
            tooltip="For heat maps that mark what is around it",
        )
        self.drop_outliers = button(state.guard, "", self._drop_outliers)
        self.again = button(state.guard, "Find again", concept_page.find, "primary")
        self.next = button(state.guard, "", lambda: state.open(state.step + 1), "primary")
        self.widget = page(
            self._doubt,
            self.gallery,
            row(self._advice, self.swap, self.drop_outliers, self.again, self.next, kinds=["foot-row"]),
        )

    def refresh(self) -> None:
        """Show the set as it is now."""
        state, plan = self._state, self._state.plan
        if plan is None or state.step not in {RETRIEVE, PRUNE}:
            return
        self.gallery.title = plan.name
        self.gallery.mode = "prune" if state.step == PRUNE else "retrieve"
        self.gallery.busy = state.learning.busy
        self._heat()
        plan = self._pruning.shown(plan)
        self._show_items(plan)
        self._show_foot(plan)

    def decide(self, ids: Sequence[str], kept: bool) -> None:  # noqa: FBT001  (the gallery's callback)
        """Keep or drop images."""
        self._pruning.keep(ids, kept=kept)
        self._state.changed()

    def mark(self, content_hash: str, sign: int) -> None:
        """More like this adds the archive's nearest; less like this drops it and its kind."""
        self._pruning.mark(content_hash, sign)
        self._state.changed()

    def command(self, name: str) -> None:
        """Undo, redo or load more."""
        if name == "load_more":
            self._pruning.load_more()
        else:
            self._pruning.travel(name)
        self._state.changed()

    def _show_items(self, plan: ConceptSpec) -> None:
        builder = self._state.builder
        if builder is None:
            first = self._state.looks.get(plan.name, [])
            self._put([self._item(image, plan) for image in first])
            found = f"{len(first)} images; finding what they share …" if first else "Searching the archive …"
            self.gallery.status = found if self._state.learning.busy else ""
            self.gallery.more = False
            return
        items = [self._item(image, plan) for image in builder.images]
        if self._state.step == PRUNE:
            items = self._with_seeds(items)
        self._put(items)
        self.gallery.more = len(items) < len(self._state.archive)
        kept = sum(item.kept for item in items)
        quality = self._state.quality
        more = "" if quality is None else f" · about {quality.remaining:,} more are likely to show it"
        self.gallery.status = f"{kept} of {len(items)} kept, out of {len(self._state.archive):,} images{more}"

    def _put(self, items: list[GalleryItem]) -> None:
        if tuple(items) != self.gallery.items:
            self.gallery.items = items

    def _item(self, image: Retrieved, plan: ConceptSpec) -> GalleryItem:
        mark = dict(plan.marks).get(image.content_hash, 0)
        return GalleryItem(
            image.content_hash,
            self._state.label(image.path),
            image.score,
            kept=image.content_hash not in plan.dropped,
            feedback=1 if mark > 0 else -1 if mark < 0 else 0,
            duplicates=len(image.folded),
        )

    def _with_seeds(self, items: list[GalleryItem]) -> list[GalleryItem]:
        """Items with what co-segmentation says; dropped ones as they would be.

        What is suggested for dropping comes first, then the best supported.
        """
        builder = self._state.builder
        if builder is None:
            return items
        facts: dict[str, tuple[float, tuple[float, float]]] = {}
        for made in (builder.whole, builder.kept):
            height, width = made.matrix.grid
            best = made.seeds[:, 0].tolist()  # k of (y, x)
            for image, support, (y, x) in zip(made.images, made.support.tolist(), best, strict=True):
                facts[image.content_hash] = support, ((x + 0.5) / width, (y + 0.5) / height)
        unlike = builder.outliers()
        seeded = [
            replace(item, support=facts[item.id][0], seed=facts[item.id][1], outlier=item.id in unlike)
            for item in items
        ]
        return sorted(seeded, key=lambda item: (not item.outlier, -(item.support or 0.0)))

    def _show_foot(self, plan: ConceptSpec) -> None:
        state, builder = self._state, self._state.builder
        pruning = state.step == PRUNE
        outliers = len(builder.outliers()) if pruning and builder else 0
        self.drop_outliers.description = f"Drop the {outliers} that are unlike the others"
        show(self.drop_outliers, visible=outliers > 0)
        stale = state.is_stale(plan.name)
        show(self.again, visible=stale)
        self.again.description = "Find again with the changed question"
        self.next.description = "Segment with it" if pruning else "Prune"
        self.next.disabled = builder is None
        show(self.next, visible=not stale)
        advice = "Drop what does not show it: the points mark what the others agree on." if pruning else ""
        say(self._advice, "" if outliers else advice)
        self.swap.description = "Swap back" if plan.swapped else "Swap object and background"
        led_by_word = builder is not None and not builder.found.exemplars
        show(self.swap, visible=pruning and led_by_word)
        asked = pruning and led_by_word and not plan.swapped
        doubt = ambiguous(plan.name, state.quality) if asked else ""
        say(self._doubt, sentence(doubt))

    def _drop_outliers(self) -> None:
        builder = self._state.builder
        if builder is not None:
            self._pruning.keep(builder.outliers(), kept=False, what="drop outliers")

    def _heat(self) -> None:
        """Compute the heat maps that the gallery asks for, when they are switched on."""
        builder = self._state.builder
        if not self.gallery.heat or builder is None or builder is self._heated:
            return
        self._heated = builder
        for made in (builder.whole, builder.kept):
            levels = torch.sigmoid(10 * (made.scores - made.threshold)) * 255  # (k, h, w)
            maps = levels.round().to(torch.uint8).numpy()
            self.pictures.heats.update(
                {image.content_hash: one for image, one in zip(made.images, maps, strict=True)}
            )
