"""Image files: find, identify, decode upright, resize."""

from reco_assist.image_files import MemoryShortError
from reco_assist.images.fingerprint import NEAR_DUPLICATE, near_duplicate_groups, perceptual_hash
from reco_assist.images.huge import HUGE_PIXELS, WHOLE_PIXELS, digest_of, read_rows, size_of
from reco_assist.images.listing import folder_of, list_images, say_unread
from reco_assist.images.places import (
    STORES,
    STORES_VARIABLE,
    Note,
    absolute,
    address,
    allow_stores,
    allowed_stores,
    is_remote,
    note,
    unnamed_store,
)
from reco_assist.images.reading import Decoded, content_hash, decode, read_bytes
from reco_assist.images.resizing import squash, thumbnail
from reco_assist.images.shards import SUFFIXES, Shard, hint, is_shard, is_there, open_shard, status
from reco_assist.images.stamps import Stamp, is_of, read_stamp, stamp

__all__ = [
    "HUGE_PIXELS",
    "NEAR_DUPLICATE",
    "STORES",
    "STORES_VARIABLE",
    "SUFFIXES",
    "WHOLE_PIXELS",
    "Decoded",
    "MemoryShortError",
    "Note",
    "Shard",
    "Stamp",
    "absolute",
    "address",
    "allow_stores",
    "allowed_stores",
    "content_hash",
    "decode",
    "digest_of",
    "folder_of",
    "hint",
    "is_of",
    "is_remote",
    "is_shard",
    "is_there",
    "list_images",
    "near_duplicate_groups",
    "note",
    "open_shard",
    "perceptual_hash",
    "read_bytes",
    "read_rows",
    "read_stamp",
    "say_unread",
    "size_of",
    "squash",
    "stamp",
    "status",
    "thumbnail",
    "unnamed_store",
]
