"""Learn a Concept in one call: retrieve a set, prune it, co-segment what is left."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from reco_assist.annotations.spec import ConceptSpec, Method
from reco_assist.archive import Archive
from reco_assist.concepts.builder import ConceptBuilder
from reco_assist.concepts.concept import Concept
from reco_assist.concepts.exemplars import exemplar_spec
from reco_assist.concepts.found import PAPER_CONTEXTS, set_by_word
from reco_assist.retrieval import Exemplar


def begin_concept(
    archive: Archive,
    text: str,
    *,
    k: int = 20,
    exemplars: Sequence[Exemplar] = (),
    contexts: Sequence[str] | None = None,
    method: Method = "assist",
) -> ConceptBuilder:
    """Retrieve and co-segment; arguments and errors as for `learn_concept`."""
    words = contexts if contexts is not None else PAPER_CONTEXTS if method == "paper" else ()
    regions = tuple(exemplar_spec(one) for one in exemplars)
    spec = ConceptSpec(text, k, regions, tuple(words), begun=True, method=method)
    return ConceptBuilder.retrieve(archive, spec, exemplars)


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
        swap: Take for the concept what was learnt as its surroundings, see `ConceptBuilder.swap`.

    Raises:
        InputError: No text, no image left, exemplars with the paper's method or a swap, or unusable
            exemplars.
        EncoderError: The archive's encoder is not available.
    """
    builder = begin_concept(archive, text, k=k, exemplars=exemplars, contexts=contexts, method=method).drop(
        drop
    )
    return (builder.swap() if swap else builder).build()


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
    others = torch.stack(list(contexts.values())) if contexts else torch.empty(0, 0)
    made, _ = set_by_word(archive, word, k, "paper", others)
    return made.reference, word.vector
