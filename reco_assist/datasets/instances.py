"""How many instances of a concept an image shows."""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

_FROM = (1, 2, 3, 4, 5, 10, 20)
"""The counts from which the bars of the histogram begin; an image with more than the last is in its bar."""


@dataclass(frozen=True, slots=True)
class InstanceCount:
    """Instances of one concept, by the images that show it.

    Attributes:
        each: Instances of each of these images, at least 1; in any order.
    """

    each: tuple[int, ...]

    @classmethod
    def of(cls, images: Iterable[Hashable]) -> "InstanceCount":
        """Count masks by the images that they are on, named once for each mask."""
        return cls(tuple(Counter(images).values()))

    @property
    def total(self) -> int:
        """Instances in all images."""
        return sum(self.each)

    @property
    def mean(self) -> float:
        """Instances of an image that shows any; 0 where none does."""
        return self.total / len(self.each) if self.each else 0.0

    @property
    def most(self) -> int:
        """Of one image; 0 where none shows any."""
        return max(self.each, default=0)

    @property
    def histogram(self) -> dict[str, int]:
        """Images by their number of instances: 1, 2, 3, 4, 5-9, 10-19 and 20+."""
        place = np.searchsorted(_FROM, self.each, side="right") - 1  # (n,)
        ends = [*(after - 1 for after in _FROM[1:]), None]
        names = [
            f"{start}+" if end is None else str(start) if start == end else f"{start}-{end}"
            for start, end in zip(_FROM, ends, strict=True)
        ]
        counts = np.bincount(place, minlength=len(_FROM)).tolist() if self.each else [0] * len(_FROM)
        return dict(zip(names, counts, strict=True))

    def __str__(self) -> str:
        if not self.each:
            return "no instance"
        bars = ", ".join(f"{name}: {count:,}" for name, count in self.histogram.items() if count)
        return (
            f"{self.total:,} in {len(self.each):,} images, {self.mean:.1f} an image, {self.most:,} at most "
            f"(images by instances: {bars})"
        )

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "images": len(self.each),
            "instances": self.total,
            "mean": round(self.mean, 4),
            "most": self.most,
            "histogram": self.histogram,
        }
