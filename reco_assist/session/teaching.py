"""From a plan to a lesson: retrieval and co-segmentation as the curator steers them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reco_assist.archive import Archive
from reco_assist.concepts import OUTLYING, Lesson, exemplar_query, word_activation
from reco_assist.cosegment import prototype_scores
from reco_assist.encoders.batches import encode_files
from reco_assist.errors import InputError
from reco_assist.masks import rle
from reco_assist.retrieval import Exemplar, Query, Retrieved, box_exemplar, mask_exemplar, retrieve
from reco_assist.session.records import Example, Plan


@dataclass(frozen=True, eq=False)
class Teaching:
    """A lesson that remembers what was taken out of its set, so that undo costs nothing.

    Attributes:
        whole: The lesson with every image that was ever in the set.
        kept: The lesson with those that are in it now.
        base: Content hashes of the images that were retrieved at first.
        shown: Content hashes of the images to show: the first ones and those added since, dropped or not.
    """

    whole: Lesson
    kept: Lesson
    base: frozenset[str]
    shown: frozenset[str]

    @classmethod
    def begin(cls, archive: Archive, plan: Plan) -> "Teaching":
        """Retrieve and co-segment what a plan asks for.

        Raises:
            InputError: The plan cannot be carried out; see `Lesson.begin`.
            ImageError: An image of the archive or an example cannot be read any more.
            EncoderError: The archive's encoder is not available.
        """
        lesson = Lesson.begin(archive, plan.name, k=plan.k, exemplars=exemplars(plan), contexts=plan.contexts)
        base = frozenset(_hashes(lesson))
        added = _scores_of(archive, lesson, [digest for digest in plan.added if digest not in base])
        whole = _extend(lesson, added)
        return cls(whole, whole, base, base).follow(plan)

    @property
    def images(self) -> tuple[Retrieved, ...]:
        """What is to be shown, dropped images too, in the order of retrieval."""
        return tuple(image for image in self.whole.draft.images if image.content_hash in self.shown)

    def follow(self, plan: Plan) -> "Teaching":
        """The lesson with what a plan adds, drops and swaps; what it adds must have been added before.

        Raises:
            InputError: No image would be left.
        """
        if self.whole.draft.swapped != (plan.swapped and not self.whole.exemplars):
            return replace(self, whole=self.whole.swap(), kept=self.kept.swap()).follow(plan)
        everything = _hashes(self.whole)
        shown = everything & (self.base | set(plan.added))
        wanted = (everything - shown) | (everything & set(plan.dropped))
        gone = set(self.kept.dropped)
        kept = self.kept.drop(sorted(wanted - gone)) if gone <= wanted else self.whole.drop(sorted(wanted))
        return replace(self, kept=kept, shown=frozenset(shown))

    def add(self, images: Sequence[Retrieved]) -> "Teaching":
        """The lesson with more images in the whole set; `follow` a plan that names them to use them."""
        present = _hashes(self.whole)
        fresh = [image for image in images if image.content_hash not in present]
        whole = _extend(self.whole, fresh)
        return replace(self, whole=whole, kept=whole.drop(self.kept.dropped))

    def more(self, count: int) -> list[Retrieved]:
        """The next images by score that are not shown yet."""
        found = retrieve(self.whole.archive, self._query(), k=len(self.shown) + count)
        return [image for image in found if image.content_hash not in self.shown][:count]

    def like(self, content_hash: str, count: int) -> list[Retrieved]:
        """Images that are not shown yet and are nearest to what a shown one shows at its seeds."""
        direction = self._looks()[self._index(content_hash)] - self._surroundings()
        found = retrieve(self.whole.archive, Query(dense=direction), k=len(self.shown) + count)
        return [image for image in found if image.content_hash not in self.shown][:count]

    def unlike(self, content_hash: str) -> list[str]:
        """The image and those kept that look more like it than like the others: what to drop with it."""
        looks = self._looks()  # (k, C)
        index = self._index(content_hash)
        kept = _hashes(self.kept) - {content_hash}
        everything = self.whole.draft.images
        others = [i for i, image in enumerate(everything) if image.content_hash in kept]
        if not others:
            return [content_hash]
        common = normalize(looks[others].mean(0), dim=0)  # (C,)
        nearer = looks @ looks[index] > looks @ common  # (k,)
        also = [everything[i].content_hash for i in others if bool(nearer[i])]
        return [content_hash, *also] if len(also) < len(others) else [content_hash]

    def outliers(self) -> set[str]:
        """Kept images that the others support far less than usual: suggestions for dropping."""
        low = self.kept.draft.outlyingness > OUTLYING  # (k,)
        images = self.kept.draft.images
        return {image.content_hash for image, unlike in zip(images, low.tolist(), strict=True) if unlike}

    def _query(self) -> Query:
        lesson = self.whole
        if lesson.exemplars:
            return exemplar_query(lesson.archive, lesson.exemplars)[0]
        return Query() if lesson.word is None else Query.of(lesson.word)

    def _index(self, content_hash: str) -> int:
        for index, image in enumerate(self.whole.draft.images):
            if image.content_hash == content_hash:
                return index
        raise InputError(f"The image {content_hash[:12]} is not in the set; load it first.")

    def _looks(self) -> Tensor:
        """(k, C) what each image of the whole set shows at its seeds, unit length."""
        draft = self.whole.draft
        seeds = draft.seeds  # (k, n, 2)
        unit = normalize(draft.features, dim=1)  # (k, C, h, w)
        rows = torch.arange(len(unit))[:, None]  # (k, 1)
        cells = unit[rows, :, seeds[..., 0], seeds[..., 1]]  # (k, n, C)
        return normalize(cells.mean(1), dim=1)

    def _surroundings(self) -> Tensor:
        """(C,) the mean cell of the set, unit length: what a look must differ from to be found."""
        return normalize(normalize(self.whole.draft.features, dim=1).mean((0, 2, 3)), dim=0)


def exemplars(plan: Plan) -> list[Exemplar]:
    """The regions that a plan's examples mark.

    Raises:
        InputError: An example's file has changed, or its box does not lie in it.
        ImageError: It cannot be read.
    """
    found = []
    for example in plan.examples:
        exemplar = _exemplar(example)
        if exemplar.content_hash != example.content_hash:
            raise InputError(
                f"{example.path} is not the file any more that an example was drawn on; draw it anew."
            )
        found.append(exemplar)
    return found


def _exemplar(example: Example) -> Exemplar:
    path = Path(example.path)
    if example.mask is None:
        return box_exemplar(path, *example.box)
    source = "painted within " + ",".join(map(str, example.box))
    return mask_exemplar(path, rle.decode(example.mask), source=source, negative=example.negative)


def first_look(archive: Archive, plan: Plan) -> list[Retrieved]:
    """What a plan retrieves, before anything is co-segmented: quick, to be shown meanwhile."""
    if plan.examples:
        query = exemplar_query(archive, exemplars(plan))[0]
    else:
        query = Query.of(archive.encoder.encode_text(plan.name))
    return retrieve(archive, query, k=plan.k)


def _scores_of(archive: Archive, lesson: Lesson, hashes: Sequence[str]) -> list[Retrieved]:
    """Images of the archive by hash; below the set's own in score, since they were not retrieved with it."""
    lowest = min((image.score for image in lesson.draft.images), default=0.0)
    return [Retrieved(digest, archive.entry(digest).path, lowest) for digest in hashes]


def _extend(lesson: Lesson, images: Sequence[Retrieved]) -> Lesson:
    """The lesson with more images at the end; the scale of the guidance stays that of the first set."""
    if not images:
        return lesson
    features = encode_files(lesson.archive.encoder, [image.path for image in images])
    grid = (features.dense.shape[2], features.dense.shape[3])
    draft = lesson.draft
    if draft.exemplars is not None:
        raw = prototype_scores(features.dense, draft.exemplars)  # (n, h, w)
    elif lesson.word is not None:
        raw = word_activation(features.language, lesson.word.vector, grid)  # (n, h, w)
    else:
        raise InputError("A lesson needs a word or examples; give one of the two.")
    mean, deviation = lesson.scale
    guidance = (raw - mean) / deviation
    return replace(lesson, draft=draft.add(images, features.dense, guidance, torch.sigmoid(guidance)))


def _hashes(lesson: Lesson) -> set[str]:
    return {image.content_hash for image in lesson.draft.images}
