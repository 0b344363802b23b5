"""The command line."""

from reco_assist.cli.app import main

__all__ = ["main"]
