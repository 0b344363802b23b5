"""Concepts: learn one from an archive, keep it in a file, apply it anywhere."""

from reco_assist.concepts.concept import Concept, Method, Provenance, Seed
from reco_assist.concepts.draft import Draft, word_activation
from reco_assist.concepts.learn import PAPER_CONTEXTS, Lesson, exemplar_query, learn_concept
from reco_assist.concepts.merging import merge_concepts, rename_concept
from reco_assist.concepts.presence import Presence

__all__ = [
    "PAPER_CONTEXTS",
    "Concept",
    "Draft",
    "Lesson",
    "Method",
    "Presence",
    "Provenance",
    "Seed",
    "exemplar_query",
    "learn_concept",
    "merge_concepts",
    "rename_concept",
    "word_activation",
]
