"""Images and their embeddings on disk: ingest, storage and search.

The names below load on first use: the decoding processes import their own module of this package only, and
so start without torch, Lance and FAISS.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reco_assist.archive.archive import Archive, Entry, Statistics
    from reco_assist.archive.embeddings import EmbeddingFolder, export_embeddings
    from reco_assist.archive.filters import ImageFilter
    from reco_assist.archive.ingest import AddReport
    from reco_assist.archive.search import Hit, Query

_HOME = {
    "AddReport": "reco_assist.archive.ingest",
    "Archive": "reco_assist.archive.archive",
    "EmbeddingFolder": "reco_assist.archive.embeddings",
    "Entry": "reco_assist.archive.archive",
    "Hit": "reco_assist.archive.search",
    "Query": "reco_assist.archive.search",
    "Statistics": "reco_assist.archive.archive",
    "ImageFilter": "reco_assist.archive.filters",
    "export_embeddings": "reco_assist.archive.embeddings",
}

__all__ = [
    "AddReport",
    "Archive",
    "EmbeddingFolder",
    "Entry",
    "Hit",
    "ImageFilter",
    "Query",
    "Statistics",
    "export_embeddings",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (the value is whatever the public name is)
    if name not in _HOME:
        raise AttributeError(f"module 'reco_assist.archive' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
