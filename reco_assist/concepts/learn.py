"""Learn a Concept: retrieve a set, let it be pruned, co-segment what is left."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reco_assist.archive import Archive
from reco_assist.concepts.banks import teach
from reco_assist.concepts.concept import Concept, Method, Provenance, Seed
from reco_assist.concepts.draft import Draft, paper_weights, standardise, word_activation
from reco_assist.concepts.presence import answers
from reco_assist.concepts.quality import ARCHIVE_SAMPLE, appraise
from reco_assist.cosegment import (
    Bank,
    Prototypes,
    exemplar_prototypes,
    exemplar_similarity,
    mask_coverage,
    prototype_scores,
)
from reco_assist.encoders import CompactCells, Encoder, Features, TextEmbedding, compact_cells
from reco_assist.encoders.batches import encode_files
from reco_assist.errors import InputError
from reco_assist.retrieval import Exemplar, Query, Retrieved, retrieve
from reco_assist.version import __version__

PAPER_CONTEXTS = ("tree", "sky", "building", "road", "person")
"""The paper's default contexts, learnt in this order, each with the earlier ones eliminated."""

_RERANKED = 4  # times k candidates are encoded and ranked exactly where exemplars lead
_NOTHING = torch.empty(0, 0)  # no context competes


def learn_concept(
    archive: Archive,
    text: str,
    *,
    k: int = 20,
    drop: Collection[str] = (),
    exemplars: Sequence[Exemplar] = (),
    contexts: Sequence[str] | None = None,
    method: Method = "assist",
    swap: bool = False,
) -> Concept:
    """Learn a concept from an archive, by a word or by exemplars.

    Args:
        archive: Where its images are looked for.
        text: The word; with exemplars it names the concept, and if their images answer it, it helps to find
            the concept's pixels and to judge where it is absent.
        k: Images to retrieve.
        drop: Content hashes of retrieved images to leave out.
        exemplars: Regions that show the concept; they lead where they are given.
        contexts: Words that compete with the concept; none by default with `assist`, and
            `PAPER_CONTEXTS` with `paper`.
        method: `assist`, or the `paper`'s.
        swap: Take for the concept what was learnt as its surroundings, see `Lesson.swap`.

    Raises:
        InputError: No text, no image left, exemplars with the paper's method or a swap, or unusable
            exemplars.
        EncoderError: The archive's encoder is not available.
    """
    lesson = Lesson.begin(archive, text, k=k, exemplars=exemplars, contexts=contexts, method=method)
    lesson = lesson.drop(drop)
    return (lesson.swap() if swap else lesson).concept()


@dataclass(frozen=True, eq=False)
class Lesson:
    """A concept being learnt: what was retrieved, what is kept of it, and what competes.

    Attributes:
        archive: Where the set comes from.
        name: The concept's name.
        word: The encoder's answer to the word; None where exemplars lead.
        exemplars: Regions that show the concept.
        context_names: Words that compete.
        contexts: (m, C) their prototypes (assist) or references (paper).
        draft: The set that is kept, co-segmented.
        scale: Mean and standard deviation of what guides, over the retrieved set: the word's activation or
            the exemplars' scores. Pruning does not touch them, so it changes no other image's weights.
        saliency: The same of the word's activation; None where no word counts in scores.
        dropped: Content hashes that were pruned.
        shown: Cells of the exemplars; None where a word leads.
        answered: (D,) vector of the name where exemplars lead and their images answer it.
    """

    archive: Archive
    name: str
    word: TextEmbedding | None
    exemplars: tuple[Exemplar, ...]
    context_names: tuple[str, ...]
    contexts: Tensor
    draft: Draft
    scale: tuple[float, float]
    saliency: tuple[float, float] | None
    dropped: tuple[str, ...] = ()
    shown: Bank | None = None
    answered: Tensor | None = None

    @classmethod
    def begin(
        cls,
        archive: Archive,
        text: str,
        *,
        k: int = 20,
        exemplars: Sequence[Exemplar] = (),
        contexts: Sequence[str] | None = None,
        method: Method = "assist",
    ) -> "Lesson":
        """Retrieve and co-segment; arguments and errors as for `learn_concept`."""
        name = text.strip()
        if not name:
            raise InputError("the concept has no name: type a word or a short phrase such as 'coffee mug'")
        if exemplars and method == "paper":
            raise InputError(
                "the paper's method learns from a word alone: leave the exemplars out, or use assist"
            )
        if not len(archive):
            raise InputError(f"the archive {archive.path.name} is empty: index some images first")
        names = _context_names(contexts, name, method)
        if method == "paper":
            references = _paper_contexts(archive, names, k)
        else:
            references = _assist_contexts(archive, names, k)
        if exemplars:
            shown = _Shown.of(archive, exemplars)
            answered = _answered(archive, name, shown.cells)
            draft, scale, saliency = _set_by_exemplars(archive, shown.prototypes, answered, k)
            return cls(
                archive,
                name,
                None,
                tuple(exemplars),
                names,
                references,
                draft,
                scale,
                saliency,
                shown=shown.bank,
                answered=answered,
            )
        word = archive.encoder.encode_text(name)
        draft, scale = _set_by_word(archive, word, k, method, references)
        return cls(archive, name, word, (), names, references, draft, scale, scale)

    def drop(self, content_hashes: Collection[str]) -> "Lesson":
        """The lesson without some images of its set.

        Raises:
            InputError: An image is not in the set, or none would be left.
        """
        if not content_hashes:
            return self
        position = {image.content_hash: i for i, image in enumerate(self.draft.images)}
        if unknown := sorted(set(content_hashes) - set(position)):
            raise InputError(
                f"{unknown[0][:12]} is not among the {len(position)} retrieved images: drop what was shown"
            )
        if len(set(content_hashes)) == len(position):
            raise InputError(
                f"all {len(position)} images were dropped: keep at least one, or give exemplars instead"
            )
        draft = self.draft.drop([position[digest] for digest in content_hashes])
        return replace(self, draft=draft, dropped=tuple(sorted({*self.dropped, *content_hashes})))

    def swap(self) -> "Lesson":
        """The lesson with foreground and background exchanged, or exchanged back.

        Co-segmentation finds two sides that differ; of stuff such as road or sky it may call the wrong one
        the concept. The word, which pointed there, does not count any more then.

        Raises:
            InputError: Exemplars or the paper's method, which leave nothing to exchange.
        """
        if self.exemplars or self.draft.method == "paper":
            raise InputError(
                "only what a word taught with assist can be swapped: exemplars show what the concept is, and "
                "the paper's method learns no background"
            )
        return replace(self, draft=replace(self.draft, swapped=not self.draft.swapped))

    def concept(self) -> Concept:
        """What the set teaches, as it is now."""
        draft, encoder = self.draft, self.archive.encoder
        paper = draft.method == "paper"
        foreground = draft.reference if paper else draft.prototypes.foreground
        text = self.answered if self.word is None else self.word.vector
        if draft.swapped:
            text = None
        presence, quality = appraise(
            self.archive,
            foreground,
            None if paper else draft.prototypes.background,
            text,
            kept=[image.content_hash for image in draft.images],
            dropped=self.dropped,
        )
        taught = None if paper else teach(draft, self.shown, side=encoder.input_size)
        return Concept(
            name=self.name,
            method=draft.method,
            foreground=foreground,
            background=None if paper else draft.prototypes.background,
            contexts=_NOTHING if paper else self.contexts,
            text=text,
            saliency=self.saliency,
            threshold=taught.threshold if taught and self.exemplars else None,
            presence=presence,
            quality=quality,
            banks=taught.banks if taught else (),
            provenance=self._provenance(encoder),
        )

    def _provenance(self, encoder: Encoder) -> Provenance:
        images = self.draft.images
        seeds = tuple(
            Seed(image.content_hash, int(y), int(x))
            for image, cells in zip(images, self.draft.seeds.tolist(), strict=True)
            for y, x in cells
        )
        return Provenance(
            encoder=encoder.name,
            weights=encoder.weights,
            archive=self.archive.id,
            kept=tuple(image.content_hash for image in images),
            dropped=self.dropped,
            seeds=seeds,
            exemplars=tuple((exemplar.content_hash, exemplar.source) for exemplar in self.exemplars),
            contexts=self.context_names,
            familiarity=None if self.word is None else self.word.familiarity,
            nearest=() if self.word is None else self.word.nearest,
            version=__version__,
            swapped=self.draft.swapped,
        )


def paper_reference(
    archive: Archive, name: str, *, k: int, contexts: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Reference embedding (C,) of a word by the paper's method, and the word's vector (D,) for its saliency.

    Args:
        archive: Where its images are looked for.
        name: The word. A context has its own reference already.
        k: Images to retrieve.
        contexts: References (C,) of the contexts to eliminate, by name.
    """
    word = archive.encoder.encode_text(name)
    if name in contexts:
        return contexts[name], word.vector
    others = torch.stack(list(contexts.values())) if contexts else _NOTHING
    draft, _ = _set_by_word(archive, word, k, "paper", others)
    return draft.reference, word.vector


def exemplar_query(archive: Archive, exemplars: Sequence[Exemplar]) -> tuple[Query, Prototypes]:
    """What exemplars look for: their foreground prototype minus the background's, and the two.

    Raises:
        InputError: The exemplars fill their images, so that nothing tells object from background.
    """
    prototypes = _Shown.of(archive, exemplars).prototypes
    return _query(prototypes), prototypes


def _query(prototypes: Prototypes) -> Query:
    return Query(dense=prototypes.foreground - prototypes.background)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What exemplars show.

    Attributes:
        prototypes: Of their regions and what surrounds them.
        bank: Their cells, with the part that each region covers.
        cells: Compact cells of the images that have the concept.
    """

    prototypes: Prototypes
    bank: Bank
    cells: CompactCells

    @classmethod
    def of(cls, archive: Archive, exemplars: Sequence[Exemplar]) -> "_Shown":
        encoder = archive.encoder
        features = encode_files(encoder, [exemplar.path for exemplar in exemplars])
        grid = _grid(features)
        coverage = torch.stack(
            [mask_coverage(torch.from_numpy(exemplar.mask), grid) for exemplar in exemplars]
        )  # (n, h, w)
        negative = torch.tensor([exemplar.negative for exemplar in exemplars])  # (n,)
        prototypes = exemplar_prototypes(features.dense, coverage, negative=negative)
        # What a negative exemplar marks, and what surrounds it, are both not the concept.
        covered = torch.where(negative[:, None, None], torch.zeros_like(coverage), coverage)  # (n, h, w)
        positive = Features(
            *(part[~negative] for part in (features.embedding, features.language, features.dense))
        )
        cells = compact_cells(positive, encoder.mean_language, encoder.vocabulary)
        return cls(prototypes, Bank.of(features.dense, covered), cells)


def _answered(archive: Archive, name: str, cells: CompactCells) -> Tensor | None:
    """The vector of a name that images with these cells answer; None of one that they do not."""
    encoder = archive.encoder
    vector = encoder.encode_text(name).vector
    among = archive.cells(most=ARCHIVE_SAMPLE) if encoder.ordinary is None else encoder.ordinary
    return vector if answers(cells, vector, among=among) else None


def _set_by_word(
    archive: Archive, word: TextEmbedding, k: int, method: Method, contexts: Tensor
) -> tuple[Draft, tuple[float, float]]:
    images = retrieve(archive, Query.of(word), k=k)
    features, vector = _encode(archive, images), word.vector
    guidance, saliency = standardise(word_activation(features.language, vector, _grid(features)))
    if method == "paper":
        weights = paper_weights(features.dense, features.language, vector, contexts)
    else:
        weights = torch.sigmoid(guidance)  # (k, h, w)
    return Draft.build(images, features.dense, guidance, weights, method=method), saliency


def _set_by_exemplars(
    archive: Archive, shown: Prototypes, text: Tensor | None, k: int
) -> tuple[Draft, tuple[float, float], tuple[float, float] | None]:
    """The set, the scale of what guides it, and that of the activation of a word that they answer."""
    # Compact cells find the candidates; the full grid ranks them.
    candidates = retrieve(archive, _query(shown), k=_RERANKED * k)
    features = _encode(archive, candidates)
    order = exemplar_similarity(features.dense, shown).argsort(descending=True, stable=True)[:k]  # (k,)
    images, dense = [candidates[i] for i in order.tolist()], features.dense[order]  # (k, C, h, w)
    guidance, scale = standardise(prototype_scores(dense, shown))
    weights = torch.sigmoid(guidance)  # (k, h, w)
    draft = Draft.build(images, dense, guidance, weights, method="assist", exemplars=shown)
    if text is None:
        return draft, scale, None
    return draft, scale, standardise(word_activation(features.language[order], text, _grid(features)))[1]


def _assist_contexts(archive: Archive, names: Sequence[str], k: int) -> Tensor:
    """(m, C) foreground prototype of each context, learnt like a concept of its own."""
    words = (archive.encoder.encode_text(name) for name in names)
    drafts = (_set_by_word(archive, word, k, "assist", _NOTHING)[0] for word in words)
    found = [draft.prototypes.foreground for draft in drafts]
    return torch.stack(found) if found else _NOTHING


def _paper_contexts(archive: Archive, names: Sequence[str], k: int) -> Tensor:
    """(m, C) reference embedding of each context, those before it eliminated."""
    references = _NOTHING
    for name in names:
        word = archive.encoder.encode_text(name)
        draft, _ = _set_by_word(archive, word, k, "paper", references)
        references = torch.cat([references.reshape(-1, len(draft.reference)), draft.reference[None]])
    return references


def _context_names(contexts: Sequence[str] | None, name: str, method: Method) -> tuple[str, ...]:
    chosen = contexts if contexts is not None else PAPER_CONTEXTS if method == "paper" else ()
    words = dict.fromkeys(word.strip() for word in chosen)
    return tuple(word for word in words if word and word.casefold() != name.casefold())


def _encode(archive: Archive, images: Sequence[Retrieved]) -> Features:
    return encode_files(archive.encoder, [image.path for image in images])


def _grid(features: Features) -> tuple[int, int]:
    return features.dense.shape[2], features.dense.shape[3]
