"""Refinement: probability maps that follow the edges of the photograph, and its objects."""

from reco_assist.refine.crf import PAPER_CRF, BilateralGrid, CrfParameters, crf, label_crf
from reco_assist.refine.guided import guided_filter
from reco_assist.refine.saliency import saliency_crf

__all__ = ["PAPER_CRF", "BilateralGrid", "CrfParameters", "crf", "guided_filter", "label_crf", "saliency_crf"]
