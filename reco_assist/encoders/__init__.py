"""Encoders: what turns images and words into vectors, behind one Protocol."""

from reco_assist.encoders.compact import Codes, CompactCells, compact_cells
from reco_assist.encoders.load import load_encoder
from reco_assist.encoders.protocols import (
    DenseEncoder,
    Encoder,
    Features,
    LanguageImageEncoder,
    TextEmbedding,
)

__all__ = [
    "Codes",
    "CompactCells",
    "DenseEncoder",
    "Encoder",
    "Features",
    "LanguageImageEncoder",
    "TextEmbedding",
    "compact_cells",
    "load_encoder",
]
