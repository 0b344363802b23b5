"""reco-assist: from a word to a data set of masks.

The names below load on first use, so that `import reco_assist` stays quick and the data model, the mask
formats and the exports work where torch is not installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reco_assist.version import __version__

if TYPE_CHECKING:
    from reco_assist.archive import Archive
    from reco_assist.concepts import Concept, learn_concept
    from reco_assist.encoders import load_encoder
    from reco_assist.formats import to_coco, to_label_studio
    from reco_assist.library import Library
    from reco_assist.retrieval import retrieve
    from reco_assist.segmenter import Segmenter
    from reco_assist.session import Session
    from reco_assist.ui import Annotator

_HOME = {
    "Annotator": "reco_assist.ui",
    "Archive": "reco_assist.archive",
    "Concept": "reco_assist.concepts",
    "Library": "reco_assist.library",
    "Segmenter": "reco_assist.segmenter",
    "Session": "reco_assist.session",
    "learn_concept": "reco_assist.concepts",
    "load_encoder": "reco_assist.encoders",
    "retrieve": "reco_assist.retrieval",
    "to_coco": "reco_assist.formats",
    "to_label_studio": "reco_assist.formats",
}

__all__ = [
    "Annotator",
    "Archive",
    "Concept",
    "Library",
    "Segmenter",
    "Session",
    "__version__",
    "learn_concept",
    "load_encoder",
    "retrieve",
    "to_coco",
    "to_label_studio",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (the value is whatever the public name is)
    if name not in _HOME:
        raise AttributeError(f"module 'reco_assist' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
