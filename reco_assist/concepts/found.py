"""What a concept's question finds in an archive: the first set, and how well each cell of it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from reco_assist.annotations.spec import ConceptSpec, Method
from reco_assist.archive import Archive
from reco_assist.concepts.co_segmentation import (
    CoSegmentation,
    paper_weights,
    standardise,
    word_activation,
)
from reco_assist.concepts.exemplars import Shown, exemplar_query, read_exemplars
from reco_assist.cosegment import LabelledCells, Prototypes, exemplar_similarity, prototype_scores
from reco_assist.encoders import Features, TextEmbedding
from reco_assist.encoders.batches import encode_files
from reco_assist.errors import InputError
from reco_assist.retrieval import Exemplar, Query, Retrieved, retrieve

PAPER_CONTEXTS = ("tree", "sky", "building", "road", "person")
"""The paper's default contexts, learnt in this order, each with the earlier ones eliminated."""

_RERANKED = 4  # times k candidates are encoded and ranked exactly where exemplars lead
_NOTHING = torch.empty(0, 0)  # no context competes


@dataclass(frozen=True, eq=False)
class Found:
    """The answer to a question, before any of it is pruned.

    Attributes:
        query: What the archive was asked for.
        word: The encoder's answer to the word; None where exemplars lead.
        exemplars: Regions that show the concept.
        names: Words that compete.
        contexts: (m, C) their prototypes (assist) or references (paper).
        first: The retrieved set, co-segmented.
        scale: Mean and standard deviation of what guides, over the retrieved set: the word's activation or
            the exemplars' scores. Pruning does not touch them, so it changes no other image's weights.
        saliency: The same of the word's activation; None where no word counts in scores.
        shown: Cells of the exemplars; None where a word leads.
        answered: (D,) vector of the name where exemplars lead and their images answer it.
    """

    query: Query
    word: TextEmbedding | None
    exemplars: tuple[Exemplar, ...]
    names: tuple[str, ...]
    contexts: Tensor
    first: CoSegmentation
    scale: tuple[float, float]
    saliency: tuple[float, float] | None
    shown: LabelledCells | None = None
    answered: Tensor | None = None

    @classmethod
    def by(cls, archive: Archive, spec: ConceptSpec, exemplars: Sequence[Exemplar] | None = None) -> Self:
        """Retrieve and co-segment.

        Args:
            archive: Where its images are looked for.
            spec: What is asked for.
            exemplars: The specification's, where they have been read already.

        Raises:
            InputError: No name, no image in the archive, or exemplars that cannot be used.
            ImageError: An image of the archive or an exemplar cannot be read any more.
            EncoderError: The archive's encoder is not available.
        """
        if not spec.name:
            raise InputError("the concept has no name: type a word or a short phrase such as 'coffee mug'")
        if spec.exemplars and spec.method == "paper":
            raise InputError(
                "the paper's method learns from a word alone: leave the exemplars out, or use assist"
            )
        if not len(archive):
            raise InputError(f"the archive {archive.path.name} is empty: index some images first")
        names = _context_names(spec)
        learn = _paper_contexts if spec.method == "paper" else _assist_contexts
        contexts = learn(archive, names, spec.k)
        regions = read_exemplars(spec) if exemplars is None else tuple(exemplars)
        if regions:
            shown = Shown.of(archive, regions)
            answered = shown.answered(archive, spec.name)
            first, scale, saliency = _set_by_exemplars(archive, shown, answered, spec.k)
            return cls(
                shown.query(), None, regions, names, contexts, first, scale, saliency, shown.bank, answered
            )
        word = archive.encoder.encode_text(spec.name)
        first, scale = set_by_word(archive, word, spec.k, spec.method, contexts)
        return cls(Query.of(word), word, (), names, contexts, first, scale, scale)

    def extend(self, archive: Archive, whole: CoSegmentation, images: Sequence[Retrieved]) -> CoSegmentation:
        """A set with more images at the end; the scale of the prior stays that of the first set."""
        if not images:
            return whole
        features = encode(archive, images)
        if whole.exemplars is not None:
            raw = prototype_scores(features.dense, whole.exemplars)  # (n, h, w)
        elif self.word is not None and whole.method == "assist":
            raw = word_activation(features.language, self.word.vector, _grid(features))  # (n, h, w)
        else:
            raise InputError("to a set of the paper's method no image can be added: raise k instead")
        mean, deviation = self.scale
        prior = (raw - mean) / deviation
        return whole.add(images, features.dense, prior, torch.sigmoid(prior))


def first_look(archive: Archive, spec: ConceptSpec) -> list[Retrieved]:
    """What a specification retrieves, before anything is co-segmented: quick, to be shown meanwhile."""
    if spec.exemplars:
        query = exemplar_query(archive, read_exemplars(spec))[0]
    else:
        query = Query.of(archive.encoder.encode_text(spec.name))
    return retrieve(archive, query, k=spec.k)


def set_by_word(
    archive: Archive, word: TextEmbedding, k: int, method: Method, contexts: Tensor
) -> tuple[CoSegmentation, tuple[float, float]]:
    """The set that a word retrieves, and the scale of its activation there."""
    images = retrieve(archive, Query.of(word), k=k)
    features, vector = encode(archive, images), word.vector
    prior, saliency = standardise(word_activation(features.language, vector, _grid(features)))
    if method == "paper":
        weights = paper_weights(features.dense, features.language, vector, contexts)
    else:
        weights = torch.sigmoid(prior)  # (k, h, w)
    return CoSegmentation.build(images, features.dense, prior, weights, method=method), saliency


def encode(archive: Archive, images: Sequence[Retrieved]) -> Features:
    """Features of images of an archive."""
    return encode_files(archive.encoder, [image.path for image in images])


def _set_by_exemplars(
    archive: Archive, shown: Shown, text: Tensor | None, k: int
) -> tuple[CoSegmentation, tuple[float, float], tuple[float, float] | None]:
    """The set, the scale of what guides it, and that of the activation of a word that they answer."""
    # Compact cells find the candidates; the full grid ranks them.
    prototypes: Prototypes = shown.prototypes
    candidates = retrieve(archive, shown.query(), k=_RERANKED * k)
    features = encode(archive, candidates)
    order = exemplar_similarity(features.dense, prototypes).argsort(descending=True, stable=True)[:k]  # (k,)
    images, dense = [candidates[i] for i in order.tolist()], features.dense[order]  # (k, C, h, w)
    prior, scale = standardise(prototype_scores(dense, prototypes))
    weights = torch.sigmoid(prior)  # (k, h, w)
    made = CoSegmentation.build(images, dense, prior, weights, method="assist", exemplars=prototypes)
    if text is None:
        return made, scale, None
    return made, scale, standardise(word_activation(features.language[order], text, _grid(features)))[1]


def _assist_contexts(archive: Archive, names: Sequence[str], k: int) -> Tensor:
    """(m, C) foreground prototype of each context, learnt like a concept of its own."""
    words = (archive.encoder.encode_text(name) for name in names)
    sets = (set_by_word(archive, word, k, "assist", _NOTHING)[0] for word in words)
    found = [one.prototypes.foreground for one in sets]
    return torch.stack(found) if found else _NOTHING


def _paper_contexts(archive: Archive, names: Sequence[str], k: int) -> Tensor:
    """(m, C) reference embedding of each context, those before it eliminated."""
    references = _NOTHING
    for name in names:
        word = archive.encoder.encode_text(name)
        one, _ = set_by_word(archive, word, k, "paper", references)
        references = torch.cat([references.reshape(-1, len(one.reference)), one.reference[None]])
    return references


def _context_names(spec: ConceptSpec) -> tuple[str, ...]:
    words = dict.fromkeys(word.strip() for word in spec.contexts)
    return tuple(word for word in words if word and word.casefold() != spec.name.casefold())


def _grid(features: Features) -> tuple[int, int]:
    return features.dense.shape[2], features.dense.shape[3]
