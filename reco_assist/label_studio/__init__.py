"""A live Label Studio server: predictions go there, corrections come back and are compared."""

from reco_assist.label_studio.comparison import Change, Comparison, compare, draw
from reco_assist.label_studio.images import LocalFiles, Prefix, Source, Upload
from reco_assist.label_studio.pull import pull
from reco_assist.label_studio.pulled import Policy, Pulled, read_pulled
from reco_assist.label_studio.push import Pushed, push
from reco_assist.label_studio.refusals import TOKEN
from reco_assist.label_studio.server import Server
from reco_assist.label_studio.tasks import LSAnnotation, LSPrediction, LSTask

__all__ = [
    "TOKEN",
    "Change",
    "Comparison",
    "LSAnnotation",
    "LSPrediction",
    "LSTask",
    "LocalFiles",
    "Policy",
    "Prefix",
    "Pulled",
    "Pushed",
    "Server",
    "Source",
    "Upload",
    "compare",
    "draw",
    "pull",
    "push",
    "read_pulled",
]
