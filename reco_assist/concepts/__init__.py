"""Concepts: learn one from an archive, keep it in a file, apply it anywhere."""

from reco_assist.concepts.banks import REFINE_SIDE, around_threshold, with_vote
from reco_assist.concepts.concept import Concept, Method, Provenance, Seed
from reco_assist.concepts.draft import OUTLYING, Draft, word_activation
from reco_assist.concepts.learn import PAPER_CONTEXTS, Lesson, exemplar_query, learn_concept, paper_reference
from reco_assist.concepts.merging import merge_concepts, rename_concept
from reco_assist.concepts.presence import Presence
from reco_assist.concepts.quality import Quality, ambiguous, unfamiliar
from reco_assist.concepts.remaining import expected_positives

__all__ = [
    "OUTLYING",
    "PAPER_CONTEXTS",
    "REFINE_SIDE",
    "Concept",
    "Draft",
    "Lesson",
    "Method",
    "Presence",
    "Provenance",
    "Quality",
    "Seed",
    "ambiguous",
    "around_threshold",
    "exemplar_query",
    "expected_positives",
    "learn_concept",
    "merge_concepts",
    "paper_reference",
    "rename_concept",
    "unfamiliar",
    "with_vote",
    "word_activation",
]
