"""Sessions: one labelling job on disk, with every decision, its undo and its log. No widget, no model.

`reco_assist.session.job` is the part that needs the models.
"""

from reco_assist.annotations.spec import ConceptSpec, ExemplarSpec
from reco_assist.session.exporting import Choice, Exported, export
from reco_assist.session.progress import Progress
from reco_assist.session.queue import ReviewItem, ReviewQueue
from reco_assist.session.records import STATES, Finding, Order, Result, Review, State
from reco_assist.session.session import Session

__all__ = [
    "STATES",
    "Choice",
    "ConceptSpec",
    "ExemplarSpec",
    "Exported",
    "Finding",
    "Order",
    "Progress",
    "Result",
    "Review",
    "ReviewItem",
    "ReviewQueue",
    "Session",
    "State",
    "export",
]
