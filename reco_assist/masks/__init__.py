"""Masks and their formats. Use the modules as namespaces: `rle.encode(mask)`, `brush.encode(mask)`."""

from reco_assist.masks import brush, colours, components, polygons, rle
from reco_assist.masks.rle import Rle

__all__ = ["Rle", "brush", "colours", "components", "polygons", "rle"]
