"""The release, for provenance; at the bottom of the layers, where every module may read it."""

__version__ = "0.1.0"
