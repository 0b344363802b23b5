"""Refinement: probability maps that follow the edges of the photograph."""

from reco_assist.refine.crf import PAPER_CRF, BilateralGrid, CrfParameters, crf, label_crf
from reco_assist.refine.guided import guided_filter

__all__ = ["PAPER_CRF", "BilateralGrid", "CrfParameters", "crf", "guided_filter", "label_crf"]
