"""Encoders: what turns images and words into vectors, behind one Protocol."""

from reco_assist.encoders.compact import Codes, CompactCells, compact_cells
from reco_assist.encoders.load import default_encoder, load_encoder
from reco_assist.encoders.names import identity
from reco_assist.encoders.presets import PRESETS, preset_of
from reco_assist.encoders.protocols import (
    DenseEncoder,
    Encoder,
    Features,
    LanguageImageEncoder,
    TextEmbedding,
)

__all__ = [
    "PRESETS",
    "Codes",
    "CompactCells",
    "DenseEncoder",
    "Encoder",
    "Features",
    "LanguageImageEncoder",
    "TextEmbedding",
    "compact_cells",
    "default_encoder",
    "identity",
    "load_encoder",
    "preset_of",
]
