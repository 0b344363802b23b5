"""Masks and their formats: run lengths, polygons, boxes, connected components."""

from reco_assist.masks.rle import Rle

__all__ = ["Rle"]
