"""Which images of an archive a search looks at."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reco_assist.errors import InputError
from reco_assist.images import absolute, address


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Conditions that all hold. The table and the index evaluate them, before anything is ranked.

    Attributes:
        folder: Only images somewhere below this folder, or in this shard.
        after: Only files last changed at this moment or later; local time where it names no zone.
        before: Only files last changed before this moment.
        min_side: Only images whose shorter side has at least so many pixels.
        max_side: Only images whose longer side has at most so many pixels.
        without: Content hashes to leave out, such as those of images that are labelled already.
    """

    folder: str | Path | None = None
    after: datetime | None = None
    before: datetime | None = None
    min_side: int | None = None
    max_side: int | None = None
    without: frozenset[str] = frozenset()

    def condition(self) -> str | None:
        """In SQL, without `without`; None where everything else is allowed.

        Raises:
            InputError: A side below 1, or a span of time that is empty.
        """
        for name, side in (("min_side", self.min_side), ("max_side", self.max_side)):
            if side is not None and side < 1:
                raise InputError(f"{name} is {side}; give a number of pixels from 1 on.")
        if self.after is not None and self.before is not None and self.after >= self.before:
            raise InputError(f"Nothing is after {self.after} and before {self.before}; swap them.")
        parts = []
        if self.folder is not None:
            below = address(absolute(Path(self.folder).expanduser())).rstrip("/\\")
            quoted = below.replace("'", "''")
            ways = (f"starts_with(path, '{quoted}{end}')" for end in ("/", "\\", "#"))
            parts.append(f"({' OR '.join(ways)})")
        if self.after is not None:
            parts.append(f"mtime_ns >= {_nanoseconds(self.after)}")
        if self.before is not None:
            parts.append(f"mtime_ns < {_nanoseconds(self.before)}")
        if self.min_side is not None:
            parts.append(f"width >= {self.min_side} AND height >= {self.min_side}")
        if self.max_side is not None:
            parts.append(f"width <= {self.max_side} AND height <= {self.max_side}")
        return " AND ".join(parts) or None


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000) * 1000
