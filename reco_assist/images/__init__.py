"""Image files: find, identify, decode upright, resize."""

from reco_assist.images.fingerprint import NEAR_DUPLICATE, near_duplicate_groups, perceptual_hash
from reco_assist.images.listing import SUFFIXES, is_output, list_images
from reco_assist.images.reading import MAX_PIXELS, Decoded, MemoryShortError, content_hash, decode, read_bytes
from reco_assist.images.resizing import squash, thumbnail

__all__ = [
    "MAX_PIXELS",
    "NEAR_DUPLICATE",
    "SUFFIXES",
    "Decoded",
    "MemoryShortError",
    "content_hash",
    "decode",
    "is_output",
    "list_images",
    "near_duplicate_groups",
    "perceptual_hash",
    "read_bytes",
    "squash",
    "thumbnail",
]
