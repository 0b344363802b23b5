"""A concept in the making: a set that follows its specification while images come and go."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reco_assist.annotations.spec import ConceptSpec
from reco_assist.archive import Archive
from reco_assist.concepts.cell_votes import label_cells
from reco_assist.concepts.co_segmentation import OUTLYING, CoSegmentation
from reco_assist.concepts.concept import Concept, Provenance, Seed
from reco_assist.concepts.found import Found
from reco_assist.concepts.quality import appraise
from reco_assist.cosegment import LabelledCells
from reco_assist.errors import InputError
from reco_assist.retrieval import Exemplar, Query, Retrieved, retrieve
from reco_assist.version import __version__


@dataclass(frozen=True, eq=False)
class ConceptBuilder:
    """A specification and the set that it stands for. What was in the set is kept: undo reads no image again.

    What is built depends on the specification and the archive alone, not on the way there.

    Attributes:
        archive: Where the set comes from.
        spec: What is asked for.
        found: What its question found.
        whole: The set with every image that was ever in it.
        kept: The set as the specification has it.
    """

    archive: Archive
    spec: ConceptSpec
    found: Found
    whole: CoSegmentation
    kept: CoSegmentation

    @classmethod
    def retrieve(
        cls, archive: Archive, spec: ConceptSpec, exemplars: Sequence[Exemplar] | None = None
    ) -> Self:
        """Retrieve and co-segment what a specification asks for; arguments and errors as for `Found.by`."""
        spec = replace(spec, name=spec.name.strip())
        found = Found.by(archive, spec, exemplars)
        return cls(archive, spec.question(), found, found.first, found.first).follow(spec)

    @property
    def images(self) -> tuple[Retrieved, ...]:
        """What is to be shown: retrieved or added, dropped or not, in the order of retrieval."""
        shown = self._shown()
        return tuple(image for image in self.whole.images if image.content_hash in shown)

    def follow(self, spec: ConceptSpec) -> Self:
        """The set of another specification, as far as that answers the question of this one.

        Images that it adds and that were never in the set are read, which takes time; see `lacks`.

        Raises:
            InputError: No image would be left.
            ImageError: An image that comes in cannot be read any more.
        """
        spec = self.spec.answered_like(spec)
        if lacking := self.lacks(spec):
            # Below the set's own in score, since they were not retrieved with it.
            lowest = min((image.score for image in self.found.first.images), default=0.0)
            entries = [(one, self.archive.entry(one).path) for one in lacking]
            return self.add([Retrieved(one, path, lowest) for one, path in entries]).follow(spec)
        swapped = spec.swapped and not self.found.exemplars and spec.method == "assist"
        if self.whole.swapped != swapped:
            whole, kept = (replace(one, swapped=swapped) for one in (self.whole, self.kept))
            return replace(self, whole=whole, kept=kept).follow(spec)
        shown = _hashes(self.whole) & self._shown_by(spec)
        wanted = shown - set(spec.dropped)
        if not wanted:
            raise InputError(
                f"all {len(shown)} images were dropped: keep at least one, or give exemplars instead"
            )
        start = self.kept if wanted <= _hashes(self.kept) else self.whole
        return replace(self, spec=spec, kept=_only(start, wanted))

    def lacks(self, spec: ConceptSpec) -> list[str]:
        """Content hashes of the images that a specification adds and that were never in the set."""
        present = _hashes(self.whole)
        return [one for one in spec.added if one not in present]

    def drop(self, content_hashes: Collection[str]) -> Self:
        """The builder without some images of its set.

        Raises:
            InputError: An image is not in the set, or none would be left.
        """
        if unknown := sorted(set(content_hashes) - _hashes(self.kept)):
            count = len(self.kept.images)
            raise InputError(
                f"{unknown[0][:12]} is not among the {count} retrieved images: drop what was shown"
            )
        dropped = tuple(sorted({*self.spec.dropped, *content_hashes}))
        return self.follow(replace(self.spec, dropped=dropped)) if content_hashes else self

    def swap(self) -> Self:
        """The builder with foreground and background exchanged, or exchanged back.

        Co-segmentation finds two sides that differ; of stuff such as road or sky it may call the wrong one
        the concept. The word, which pointed there, does not count any more then.

        Raises:
            InputError: Exemplars or the paper's method, which leave nothing to exchange.
        """
        if self.found.exemplars or self.spec.method == "paper":
            raise InputError(
                "only what a word taught with assist can be swapped: exemplars show what the concept is, and "
                "the paper's method learns no background"
            )
        return self.follow(replace(self.spec, swapped=not self.spec.swapped))

    def add(self, images: Sequence[Retrieved]) -> Self:
        """The builder that knows more images; `follow` a specification that adds them to use them."""
        present = _hashes(self.whole)
        fresh = [image for image in images if image.content_hash not in present]
        whole = self.found.extend(self.archive, self.whole, fresh)
        return replace(self, whole=whole, kept=_only(whole, _hashes(self.kept)))

    def more(self, count: int) -> list[Retrieved]:
        """The next images by score that are not shown yet."""
        return self._unseen(self.found.query, count)

    def like(self, content_hash: str, count: int) -> list[Retrieved]:
        """Images that are not shown yet and are nearest to what a shown one shows at its seeds."""
        direction = self._looks()[self._index(content_hash)] - self._surroundings()
        return self._unseen(Query(dense=direction), count)

    def unlike(self, content_hash: str) -> list[str]:
        """The image and those kept that look more like it than like the others: what to drop with it."""
        looks = self._looks()  # (k, C)
        index = self._index(content_hash)
        kept = _hashes(self.kept) - {content_hash}
        everything = self.whole.images
        others = [i for i, image in enumerate(everything) if image.content_hash in kept]
        if not others:
            return [content_hash]
        common = normalize(looks[others].mean(0), dim=0)  # (C,)
        nearer = looks @ looks[index] > looks @ common  # (k,)
        also = [everything[i].content_hash for i in others if bool(nearer[i])]
        return [content_hash, *also] if len(also) < len(others) else [content_hash]

    def outliers(self) -> set[str]:
        """Kept images that the others support far less than usual: suggestions for dropping."""
        low = self.kept.outlyingness > OUTLYING  # (k,)
        images = self.kept.images
        return {image.content_hash for image, unlike in zip(images, low.tolist(), strict=True) if unlike}

    def build(self) -> Concept:
        """What the set teaches, as it is now."""
        kept, found = self.kept, self.found
        paper = kept.method == "paper"
        foreground = kept.reference if paper else kept.prototypes.foreground
        background = None if paper else kept.prototypes.background
        text = found.answered if found.word is None else found.word.vector
        if kept.swapped:
            text = None
        presence, quality = appraise(
            self.archive,
            foreground,
            background,
            text,
            kept=[image.content_hash for image in kept.images],
            dropped=self._dropped(),
        )
        banks: tuple[LabelledCells, ...] = ()
        threshold = None
        if not paper:
            banks, threshold = label_cells(kept, found.shown, side=self.archive.encoder.input_size)
        return Concept(
            name=self.spec.name,
            method=kept.method,
            foreground=foreground,
            background=background,
            contexts=torch.empty(0, 0) if paper else found.contexts,
            text=text,
            saliency=found.saliency,
            threshold=threshold if found.exemplars else None,
            presence=presence,
            quality=quality,
            banks=banks,
            provenance=self._provenance(),
        )

    def _provenance(self) -> Provenance:
        encoder, images, word = self.archive.encoder, self.kept.images, self.found.word
        seeds = tuple(
            Seed(image.content_hash, int(y), int(x))
            for image, cells in zip(images, self.kept.seeds.tolist(), strict=True)
            for y, x in cells
        )
        return Provenance(
            encoder=encoder.name,
            weights=encoder.weights,
            archive=self.archive.id,
            kept=tuple(image.content_hash for image in images),
            dropped=self._dropped(),
            seeds=seeds,
            exemplars=tuple((exemplar.content_hash, exemplar.source) for exemplar in self.found.exemplars),
            contexts=self.found.names,
            familiarity=None if word is None else word.familiarity,
            nearest=() if word is None else word.nearest,
            version=__version__,
            swapped=self.kept.swapped,
        )

    def _shown(self) -> set[str]:
        return self._shown_by(self.spec)

    def _shown_by(self, spec: ConceptSpec) -> set[str]:
        """What a specification of this question retrieves and adds, dropped or not."""
        return _hashes(self.found.first) | set(spec.added)

    def _dropped(self) -> tuple[str, ...]:
        """What the curator looked at and pruned, of what is shown."""
        return tuple(sorted(set(self.spec.dropped) & self._shown() & _hashes(self.whole)))

    def _unseen(self, query: Query, count: int) -> list[Retrieved]:
        shown = self._shown()
        found = retrieve(self.archive, query, k=len(shown) + count)
        return [image for image in found if image.content_hash not in shown][:count]

    def _index(self, content_hash: str) -> int:
        for index, image in enumerate(self.whole.images):
            if image.content_hash == content_hash:
                return index
        raise InputError(f"The image {content_hash[:12]} is not in the set; load it first.")

    def _looks(self) -> Tensor:
        """(k, C) what each image of the whole set shows at its seeds, unit length."""
        seeds = self.whole.seeds  # (k, n, 2)
        unit = normalize(self.whole.features, dim=1)  # (k, C, h, w)
        rows = torch.arange(len(unit))[:, None]  # (k, 1)
        cells = unit[rows, :, seeds[..., 0], seeds[..., 1]]  # (k, n, C)
        return normalize(cells.mean(1), dim=1)

    def _surroundings(self) -> Tensor:
        """(C,) the mean cell of the set, unit length: what a look must differ from to be found."""
        return normalize(normalize(self.whole.features, dim=1).mean((0, 2, 3)), dim=0)


def _only(made: CoSegmentation, wanted: Collection[str]) -> CoSegmentation:
    """A set with some of its images; the same object where that is all."""
    gone = [i for i, image in enumerate(made.images) if image.content_hash not in wanted]
    return made.drop(gone) if gone else made


def _hashes(made: CoSegmentation) -> set[str]:
    return {image.content_hash for image in made.images}
