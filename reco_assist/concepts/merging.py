"""Two Concepts of one thing as one: what two curators, or two archives, have taught."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reco_assist.archive import Archive
from reco_assist.concepts.concept import Concept, Provenance
from reco_assist.concepts.quality import appraise
from reco_assist.cosegment import LabelledCells
from reco_assist.errors import InputError
from reco_assist.version import __version__


def rename_concept(concept: Concept, name: str) -> Concept:
    """The same concept under another name.

    Raises:
        InputError: The name is no name.
    """
    name = name.strip()
    if not name or any(ord(letter) < 32 for letter in name):
        raise InputError("the concept has no name: type a word or a short phrase such as 'coffee mug'")
    return replace(concept, name=name)


def merge_concepts(first: Concept, second: Concept, *, name: str, archive: Archive) -> Concept:
    """A concept between two, each weighed by the number of images that taught it.

    Prototypes and the word's vectors are averaged on the sphere, so the two should look alike: a mean of a
    cup and a saucer is neither. Contexts of both compete. When an image contains the concept, and how
    far to trust it, is learnt anew from the archive, where images that taught either of the two must be.

    Args:
        first: One concept.
        second: The other, of the same method and encoder.
        name: Of the result.
        archive: With images of their sets, and the encoder.

    Raises:
        InputError: They were learnt by different methods, or no image that taught them is in the archive.
        EncoderError: They were learnt with another encoder than the archive's.
    """
    encoder = archive.encoder
    for concept in (first, second):
        concept.check_encoder(encoder.name, encoder.weights)
    if first.method != second.method:
        raise InputError(
            f"{first.name!r} was learnt by the method {first.method} and {second.name!r} by {second.method}: "
            "learn one of them again by the other's"
        )
    here = {entry.content_hash for entry in archive.images()}
    provenance = _provenance(first.provenance, second.provenance)
    kept = [digest for digest in provenance.kept if digest in here]
    if not kept:
        raise InputError(
            f"none of the images that taught {first.name!r} and {second.name!r} is in {archive.path.name}: "
            "name the archive of one of them"
        )
    shares = _shares(first, second)
    foreground = _between(first.foreground, second.foreground, shares)
    text = None if first.text is None or second.text is None else _between(first.text, second.text, shares)
    background = None
    if first.background is not None and second.background is not None:
        background = _between(first.background, second.background, shares)
    contexts, names = _contexts((first, second), name)
    saliency = None
    if first.saliency is not None and second.saliency is not None:
        mean, deviation = (
            shares[0] * a + shares[1] * b for a, b in zip(first.saliency, second.saliency, strict=True)
        )
        saliency = mean, deviation
    threshold = None
    if first.threshold is not None and second.threshold is not None:
        threshold = shares[0] * first.threshold + shares[1] * second.threshold
    presence, quality = appraise(
        archive,
        foreground,
        background,
        text,
        kept=kept,
        dropped=[one for one in provenance.dropped if one in here],
    )
    merged = Concept(
        name=first.name,
        method=first.method,
        foreground=foreground,
        background=background,
        contexts=contexts,
        text=text,
        saliency=saliency,
        threshold=threshold,
        presence=presence,
        quality=quality,
        provenance=replace(provenance, contexts=names),
        banks=_banks(first.banks, second.banks),
    )
    return rename_concept(merged, name)


def _banks(first: Sequence[LabelledCells], second: Sequence[LabelledCells]) -> tuple[LabelledCells, ...]:
    """The cells of both, those of exemplars with those of exemplars; all together where only one has any."""
    pairs = list(zip(first, second, strict=True)) if len(first) == len(second) else [(*first, *second)]
    return tuple(LabelledCells.joined(banks) for banks in pairs if banks)


def _shares(first: Concept, second: Concept) -> tuple[float, float]:
    counts = [max(1, len(concept.provenance.kept)) for concept in (first, second)]
    return counts[0] / sum(counts), counts[1] / sum(counts)


def _between(first: Tensor, second: Tensor, shares: tuple[float, float]) -> Tensor:
    """The direction (C,) between two, at the length of the first: prototypes have 1."""
    mixed = shares[0] * normalize(first, dim=0) + shares[1] * normalize(second, dim=0)  # (C,)
    between: Tensor = normalize(mixed, dim=0) * first.norm()  # (C,)
    return between


def _contexts(concepts: Sequence[Concept], name: str) -> tuple[Tensor, tuple[str, ...]]:
    """(m, C) contexts of both and their names, each once; not what the result itself is called."""
    rows: dict[str, Tensor] = {}
    for concept in concepts:
        for word, row in zip(concept.provenance.contexts, concept.contexts, strict=False):
            if word.casefold() != name.strip().casefold():
                rows.setdefault(word, row)
    stacked = torch.stack(list(rows.values())) if rows else torch.empty(0, 0)
    return stacked, tuple(rows)


def _provenance(first: Provenance, second: Provenance) -> Provenance:
    kept = tuple(dict.fromkeys([*first.kept, *second.kept]))
    dropped = dict.fromkeys([*first.dropped, *second.dropped])
    known = [one.familiarity for one in (first, second) if one.familiarity is not None]
    return Provenance(
        encoder=first.encoder,
        weights=first.weights,
        archive=first.archive if first.archive == second.archive else f"{first.archive}+{second.archive}",
        kept=kept,
        dropped=tuple(digest for digest in dropped if digest not in kept),
        seeds=tuple(dict.fromkeys([*first.seeds, *second.seeds])),
        exemplars=tuple(dict.fromkeys([*first.exemplars, *second.exemplars])),
        contexts=(),
        familiarity=min(known, default=None),
        nearest=tuple(dict.fromkeys([*first.nearest, *second.nearest])),
        version=__version__,
    )
