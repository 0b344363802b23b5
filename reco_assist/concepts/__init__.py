"""Concepts: learn one from an archive, keep it in a file, apply it anywhere."""

from reco_assist.annotations.spec import ConceptSpec, ExemplarSpec, Method
from reco_assist.concepts.builder import ConceptBuilder
from reco_assist.concepts.cell_votes import REFINE_SIDE, around_threshold, with_vote
from reco_assist.concepts.co_segmentation import CoSegmentation, word_activation
from reco_assist.concepts.concept import Concept, Provenance, Seed
from reco_assist.concepts.exemplars import exemplar_query, exemplar_spec, read_exemplars
from reco_assist.concepts.found import PAPER_CONTEXTS, Found, first_look
from reco_assist.concepts.learn import begin_concept, learn_concept, paper_reference
from reco_assist.concepts.merging import merge_concepts, rename_concept
from reco_assist.concepts.presence import Presence
from reco_assist.concepts.quality import Quality, ambiguous, unfamiliar
from reco_assist.concepts.remaining import expected_positives

__all__ = [
    "PAPER_CONTEXTS",
    "REFINE_SIDE",
    "CoSegmentation",
    "Concept",
    "ConceptBuilder",
    "ConceptSpec",
    "ExemplarSpec",
    "Found",
    "Method",
    "Presence",
    "Provenance",
    "Quality",
    "Seed",
    "ambiguous",
    "around_threshold",
    "begin_concept",
    "exemplar_query",
    "exemplar_spec",
    "expected_positives",
    "first_look",
    "learn_concept",
    "merge_concepts",
    "paper_reference",
    "read_exemplars",
    "rename_concept",
    "unfamiliar",
    "with_vote",
    "word_activation",
]
