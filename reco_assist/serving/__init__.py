"""A Label Studio machine-learning backend: predictions on demand, and corrections that teach the concepts."""

from reco_assist.serving.app import create_app
from reco_assist.serving.images import ImageStore
from reco_assist.serving.models import ProjectModels

__all__ = ["ImageStore", "ProjectModels", "create_app"]
