"""Runs: the images of a folder segmented and exported, batch by batch; a stopped run goes on where it was."""

from reco_assist.runs.run import CONCEPTS, Run
from reco_assist.runs.targets import list_targets, root_of

__all__ = ["CONCEPTS", "Run", "list_targets", "root_of"]
