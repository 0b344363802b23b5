"""Co-segmentation: what the images of a set have in common, as pure functions on tensors.

`paper` method: `text_saliency`, `context_weight`, `pixel_weight`, `learn_reference`, `paper_probability`.
`assist` method: `MatchMatrix`, `assist_seeds`, `self_train`, `prototype_scores`, `blend_threshold`.
Symbols and shapes: k images of a set, h x w grid cells, C feature channels.
"""

from reco_assist.cosegment._checks import unit_features
from reco_assist.cosegment.match import MatchMatrix, Precision, best_match
from reco_assist.cosegment.otsu import blend_threshold, otsu
from reco_assist.cosegment.prototypes import (
    Prototypes,
    direction_scores,
    exemplar_prototypes,
    exemplar_similarity,
    mask_coverage,
    prototype_scores,
    self_train,
    self_train_exemplars,
)
from reco_assist.cosegment.seeds import assist_seeds, reference_embedding, seed_pixels, support
from reco_assist.cosegment.vote import LabelledCells, neighbour_vote
from reco_assist.cosegment.weights import (
    context_weight,
    learn_reference,
    paper_probability,
    pixel_weight,
    text_saliency,
)

__all__ = [
    "LabelledCells",
    "MatchMatrix",
    "Precision",
    "Prototypes",
    "assist_seeds",
    "best_match",
    "blend_threshold",
    "context_weight",
    "direction_scores",
    "exemplar_prototypes",
    "exemplar_similarity",
    "learn_reference",
    "mask_coverage",
    "neighbour_vote",
    "otsu",
    "paper_probability",
    "pixel_weight",
    "prototype_scores",
    "reference_embedding",
    "seed_pixels",
    "self_train",
    "self_train_exemplars",
    "support",
    "text_saliency",
    "unit_features",
]
