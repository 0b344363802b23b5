"""Stamps: what says, without reading it, that an image is still the one that something was made of."""

from pathlib import Path

from reco_assist.images.shards import status
from reco_assist.json_files import whole

Stamp = tuple[int, int] | None
"""Bytes and modification time (nanoseconds) of a file; None where it cannot be looked at."""


def stamp(path: Path) -> Stamp:
    """Size and time of an image, wherever it lies; None if it cannot be looked at."""
    try:
        found = status(path)
    except OSError:
        return None
    return found.bytes, found.mtime_ns


def is_of(kept: Stamp, path: Path) -> bool:
    """Whether what was kept of an image is of its file as it is; older records have no stamp, and are."""
    return kept is None or kept == stamp(path)


def read_stamp(kept: object) -> Stamp:
    """A stamp that a record of ours has, as JSON kept it.

    Raises:
        ValueError: It is none.
    """
    if kept is None:
        return None
    if not isinstance(kept, list) or len(kept) != 2:
        raise ValueError("no stamp of a file")
    size, moment = kept
    return whole(size), whole(moment)
