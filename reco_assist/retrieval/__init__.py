"""Retrieval: from a query to a ranked set of images."""

from reco_assist.archive import Query
from reco_assist.retrieval.exemplars import Exemplar, box_exemplar, mask_exemplar, read_exemplar
from reco_assist.retrieval.rank import Retrieved, retrieve

__all__ = ["Exemplar", "Query", "Retrieved", "box_exemplar", "mask_exemplar", "read_exemplar", "retrieve"]
