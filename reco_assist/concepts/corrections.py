"""What a curator's corrections teach a Concept: where it is, and what was wrongly taken for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from reco_assist.concepts.concept import Concept, Provenance
from reco_assist.concepts.presence import Presence
from reco_assist.cosegment import LabelledCells, Prototypes, exemplar_prototypes, mask_coverage
from reco_assist.encoders import CompactCells, Encoder, compact_cells
from reco_assist.encoders.batches import encode_files
from reco_assist.errors import InputError
from reco_assist.images import content_hash, read_bytes
from reco_assist.version import __version__

_OWN = 3.0  # corrections that count as much as all that the concept was learnt from
_ALIKE = 0.9  # cosine from which what was mistaken for the concept looks too much like it to compete
_MARGIN = 0.05  # robust deviations by which an image is clearly on its side of the threshold
_SHARE = 0.65  # of the corrected images' median score: presence never asks for more
_MOST_CELLS = 16 << 20  # bytes of corrected cells in a Concept: 83 images of the offline encoder in full
_MOST_RIVALS = 256  # that compete with the concept because they were mistaken for it


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What one image teaches.

    Attributes:
        content_hash: SHA-256 of the image's bytes.
        source: What the correction was given as, for the provenance.
        shown: What the concept and its surroundings look like here; None where it is absent.
        mistaken: (C,) what was wrongly taken for it, unit length; None where nothing was.
        cells: Compact cells of the image.
        bank: Its cells, labelled by what was marked, or by nothing where the concept is absent.
        weight: How many corrections it counts for.
    """

    content_hash: str
    source: str
    shown: Prototypes | None
    mistaken: Tensor | None
    cells: CompactCells
    bank: LabelledCells
    weight: float = 1.0


def read_correction(
    encoder: Encoder,
    path: Path,
    mask: NDArray[np.bool_],
    *,
    predicted: NDArray[np.bool_] | None = None,
    source: str,
    weight: float = 1.0,
) -> Correction:
    """Learn from a mask that somebody drew or corrected.

    Args:
        encoder: The concept's.
        path: The image.
        mask: (H, W) bool in the upright image; empty where the concept is absent.
        predicted: (H, W) bool, what had been predicted; what of it lies outside an empty mask was mistaken.
        source: See `Correction`.
        weight: See `Correction`.

    Raises:
        InputError: The mask fills the image, so that nothing tells the concept from its surroundings, or it
            says nothing: empty, and nothing had been predicted.
        ImageError: The image cannot be read.
    """
    features = encode_files(encoder, [path])
    grid = (features.dense.shape[2], features.dense.shape[3])

    def coverage(region: NDArray[np.bool_]) -> Tensor:
        return mask_coverage(torch.from_numpy(region), grid)[None]  # (1, h, w)

    def prototypes(region: NDArray[np.bool_]) -> Prototypes:
        return exemplar_prototypes(features.dense, coverage(region))

    shown = prototypes(mask) if mask.any() else None
    mistaken = None
    if shown is None and predicted is not None and predicted.any() and not predicted.all():
        mistaken = prototypes(predicted).foreground
    if shown is None and mistaken is None:
        raise InputError(f"{path.name} teaches nothing: nothing is marked, and nothing had been predicted")
    cells = compact_cells(features, encoder.mean_language, encoder.vocabulary)
    bank = LabelledCells.of(features.dense, coverage(mask))
    return Correction(content_hash(read_bytes(path)), source, shown, mistaken, cells, bank, weight)


def correct(
    concept: Concept, corrections: Sequence[Correction], *, reference_cells: CompactCells | None = None
) -> Concept:
    """The concept with what corrections teach.

    Prototypes move towards those of the corrections, half the way with three of them, and corrected cells
    vote like those of exemplars, while the word's activation does not count any more: beside three corrected
    masks it costs .007. What was wrongly taken for the concept competes with it from now on. Presence asks
    for less where corrected images have the concept and would be passed over, and for more where they have
    not and were not.

    What corrections add to the concept is bounded, however many there are. Each has an even share of cells:
    those of a correction are ordered by how far they are covered and taken at even distances, which keeps the
    part that the concept has of them, and the cell that shows most of it. With 15 corrections of the samples,
    24 of 196 cells each lost .010 IoU, less than cells at even distances in the image or half of each kind.

    Args:
        concept: By the method `assist`.
        corrections: At least one; their order does not matter.
        reference_cells: The encoder's cells of ordinary photographs, to judge presence by.

    Raises:
        InputError: The concept is of the paper's method, which has one reference and no surroundings.
    """
    if concept.background is None:
        raise InputError(
            f"{concept.name!r} was learnt by the paper's method: learn it by assist to correct it"
        )
    shown = [one for one in corrections if one.shown is not None]
    total = sum(one.weight for one in shown)
    share = total / (total + _OWN)
    foreground = _towards(
        concept.foreground, [(o.shown.foreground, o.weight) for o in shown if o.shown], share
    )
    background = _towards(
        concept.background, [(o.shown.background, o.weight) for o in shown if o.shown], share
    )
    rivals = [one.mistaken for one in corrections if one.mistaken is not None]
    rivals = _unlike([rival for rival in rivals if float(rival @ foreground) < _ALIKE])
    changed = replace(
        concept,
        foreground=foreground,
        background=background,
        contexts=torch.stack([*concept.contexts, *rivals]) if rivals else concept.contexts,
        saliency=None if shown else concept.saliency,
        banks=_with_corrected(concept.banks, corrections) if shown else concept.banks,
        provenance=_provenance(concept.provenance, corrections, len(rivals)),
    )
    if concept.presence is None:
        return changed
    presence = concept.presence
    if reference_cells is not None:
        presence = presence.rescaled(foreground, concept.text, reference_cells)
    return replace(changed, presence=_presence(changed, presence, corrections))


def begin(name: str, corrections: Sequence[Correction], encoder: Encoder) -> Concept:
    """A concept from what somebody marked alone.

    Args:
        name: Its name.
        corrections: At least one that shows the concept.
        encoder: That made them.

    Raises:
        InputError: None shows the concept.
    """
    shown = [one for one in corrections if one.shown is not None]
    if not shown:
        raise InputError(f"nothing shows {name!r} yet: mark it in an image")
    foreground = _mean([(one.shown.foreground, one.weight) for one in shown if one.shown])
    background = _mean([(one.shown.background, one.weight) for one in shown if one.shown])
    nothing = Provenance(encoder.name, encoder.weights, "", (), (), (), (), (), None, (), __version__)
    presence = None
    if (cells := encoder.reference_cells) is not None:
        mine = shown[0].cells
        presence = Presence.learn(foreground, None, inliers=mine, archive=cells, reference_cells=cells)
    concept = Concept(
        name, "assist", foreground, background, torch.empty(0, 0), None, None, None, presence, nothing
    )
    return correct(concept, corrections, reference_cells=encoder.reference_cells)


def _with_corrected(
    banks: Sequence[LabelledCells], corrections: Sequence[Correction]
) -> tuple[LabelledCells, ...]:
    """Banks in which corrected cells are among the exemplars', which stand before the set's."""
    *earlier, taught = banks or (None,)
    ordered = sorted(corrections, key=lambda one: (one.content_hash, one.source))
    channels = ordered[0].bank.cells.shape[1]
    share = max(1, _MOST_CELLS // (2 * (channels + 1)) // len(ordered))
    cells = [*(one for one in earlier if one is not None), *(_some(one.bank, share) for one in ordered)]
    return (LabelledCells.joined(cells), *((taught,) if taught is not None else ()))


def _some(bank: LabelledCells, most: int) -> LabelledCells:
    """At most so many cells of a bank, at even distances in the order of what they are covered by."""
    if len(bank.labels) <= most:
        return bank
    order = bank.labels.float().argsort(descending=True, stable=True)  # (n,)
    chosen = order[torch.arange(most) * len(order) // most].sort().values  # (most,)
    return LabelledCells(bank.cells[chosen], bank.labels[chosen])


def _unlike(rivals: Sequence[Tensor]) -> list[Tensor]:
    """Rivals (C,), of more than may compete those least like each other, in an order of their own."""
    ordered = sorted(rivals, key=lambda rival: rival.tolist())
    if len(ordered) <= _MOST_RIVALS:
        return list(rivals)
    rows = torch.stack(ordered)  # (n, C)
    chosen, nearest = [0], rows @ rows[0]  # (n,) cosine to the nearest that is chosen
    while len(chosen) < _MOST_RIVALS:
        chosen.append(int(nearest.argmin()))
        nearest = torch.maximum(nearest, rows @ rows[chosen[-1]])
    return [ordered[i] for i in sorted(chosen)]


def _towards(own: Tensor, others: Sequence[tuple[Tensor, float]], share: float) -> Tensor:
    """(C,) between a concept's prototype and those of its corrections, unit length."""
    if not others:
        return own
    between: Tensor = normalize((1 - share) * normalize(own, dim=0) + share * _mean(others), dim=0)
    return between


def _mean(vectors: Sequence[tuple[Tensor, float]]) -> Tensor:
    weighted = torch.stack([weight * vector for vector, weight in vectors])  # (n, C)
    mean: Tensor = normalize(weighted.sum(0), dim=0)  # (C,)
    return mean


def _presence(concept: Concept, presence: Presence, corrections: Sequence[Correction]) -> Presence:
    def scores(having: bool) -> list[float]:  # noqa: FBT001  (private, and named at each call)
        chosen = [one for one in corrections if (one.shown is not None) == having]
        above = (presence.score(one.cells, concept.foreground, concept.text) for one in chosen)
        return [float(value[0]) + presence.threshold for value in above]

    positive, negative = scores(having=True), scores(having=False)
    threshold = presence.threshold
    ceiling = float("inf")
    if positive:
        typical = float(np.median(positive))
        # What the curator marked is there, however little it looks like it.
        ceiling = min(_SHARE * typical, typical - _MARGIN)
    if negative:
        threshold = max(threshold, max(negative) + _MARGIN)
    threshold = min(threshold, ceiling)
    return replace(presence, threshold=round(threshold, 6))


def _provenance(origin: Provenance, corrections: Sequence[Correction], rivals: int) -> Provenance:
    given = tuple((one.content_hash, one.source) for one in corrections if one.shown is not None)
    return replace(
        origin,
        exemplars=tuple(sorted({*origin.exemplars, *given})),
        contexts=(*origin.contexts, *(f"mistaken {number}" for number in range(1, rivals + 1))),
        version=__version__,
    )
