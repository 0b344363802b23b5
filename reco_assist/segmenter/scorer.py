"""What Concepts say of squares that an encoder sees: presence, scores, and maps that follow the picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from reco_assist.annotations import Verdict
from reco_assist.concepts import REFINE_SIDE, Concept, Method, Presence
from reco_assist.encoders import Encoder, Features, compact_cells
from reco_assist.encoders.batches import encode_within_memory, pixels_of
from reco_assist.images import squash
from reco_assist.segmenter.maps import Refine, probability, refined, score_maps

Squares = tuple[NDArray[np.uint8], ...]
"""(S, S, 3) uint8 RGB of a picture: as the encoder sees it, and as its maps are refined."""

# What refines best: the paper's method stays what was published.
_BEST: Mapping[Method, Refine] = {"assist": "saliency", "paper": "crf"}
_CERTAIN = 100.0  # deviations: of a concept that has no threshold


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """Concepts, and how they look at pictures.

    Attributes:
        concepts: The concepts; others name them by their numbers k.
        encoder: Their encoder.
        refine: How maps are fitted to pictures; what is best for each method if None.
        overlap: Concepts do not compete.
    """

    concepts: tuple[Concept, ...]
    encoder: Encoder
    refine: Refine | None
    overlap: bool

    @property
    def sides(self) -> tuple[int, int]:
        """Pixels of the sides of `Squares`."""
        return self.encoder.input_size, REFINE_SIDE

    def squares(self, pixels: NDArray[np.uint8]) -> Squares:
        """Of a picture (h, w, 3) uint8."""
        return tuple(squash(pixels, side) for side in self.sides)

    def features(self, squares: Sequence[Squares]) -> Features:
        """Of a batch of pictures."""
        return encode_within_memory(self.encoder, pixels_of([one[0] for one in squares]))

    def above(self, features: Features, which: Sequence[int] | None = None) -> NDArray[np.float32]:
        """(n, B) how far pictures lie above each concept's threshold of presence; certain where it has none.

        Args:
            features: Of B pictures.
            which: Numbers of n concepts; all if None.
        """
        cells = compact_cells(features, self.encoder.mean_language, self.encoder.vocabulary)
        asked = self.concepts if which is None else [self.concepts[k] for k in which]
        above = np.full((len(asked), len(features.dense)), _CERTAIN, np.float32)
        for row, one in zip(above, asked, strict=True):
            if one.presence is not None:
                row[:] = one.presence.score(cells, one.foreground, one.text)
        return above

    def verdict(self, k: int, above: float) -> Verdict:
        """Whether an image contains a concept that lies so far above its threshold."""
        return Verdict(self.concepts[k].name, above > 0, round(Presence.probability(above), 4))

    def scores(self, k: int, features: Features) -> Tensor:
        """(B, S, S) scores of pictures, the other concepts competing."""
        rivals = [
            other
            for i, other in enumerate(self.concepts)
            if i != k and other.method == "assist" and not self.overlap
        ]
        return score_maps(self.concepts[k], features, others=rivals)

    def probable(self, k: int, scores: Tensor) -> Tensor:
        """Scores (S, S) of a picture as probabilities (S, S)."""
        return probability(self.concepts[k], scores[None])[0]

    def refined(self, chosen: Sequence[int], raw: Tensor, squares: Squares) -> NDArray[np.float32]:
        """Maps (n, S, S) of the chosen concepts in a picture, each refined as it should be."""
        picture, square = squares
        maps = raw.cpu().numpy()  # (n, S, S)
        ways = [self.refine or _BEST[self.concepts[k].method] for k in chosen]
        for how in set(ways):
            mine = [i for i, way in enumerate(ways) if way == how]
            maps[mine] = refined(maps[mine], square, how, picture=picture, device=raw.device)
        return maps
