"""Images that are read in parts: seen in tiles, each a look of its own, and as a whole beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from reco_assist.annotations import LookAt
from reco_assist.concepts import Presence
from reco_assist.encoders import Features
from reco_assist.encoders.batches import BATCH
from reco_assist.errors import ImageError
from reco_assist.images import read_rows, stamp
from reco_assist.segmenter.maps import full_size
from reco_assist.segmenter.scorer import Scorer, Squares
from reco_assist.segmenter.targets import Large, ProbabilityMaps, Skipped
from reco_assist.segmenter.tiles import Grid, Keeper, Look, Overview, TiledMaps, beyond, counted


@dataclass(frozen=True, slots=True, eq=False)
class Tiled:
    """Segments images that are read once, from top to bottom.

    Attributes:
        scorer: What looks at them.
        everywhere: Segment images that do not contain a concept too.
        wanted: Numbers of the concepts that look at tiles; the others see the whole image alone.
        keeper: Where the looks at tiles are kept until an image is done, if anywhere.
    """

    scorer: Scorer
    everywhere: bool
    wanted: Sequence[int]
    keeper: Keeper | None = None

    def maps(self, image: Large) -> ProbabilityMaps | Skipped:
        """Of an image's tiles, and of the whole."""
        try:
            overview, looks = self._read(image)
        except ImageError as error:
            return Skipped(image.target, f"{image.target.file_name}: {error}")
        squares = self.scorer.squares(overview)
        features = self.scorer.features([squares])
        whole = [self.scorer.verdict(k, float(row[0])) for k, row in enumerate(self.scorer.above(features))]
        present = [k for k, one in enumerate(whole) if self.everywhere or one.present]
        maps = self._bytes(present, features, 0, squares)
        grid = Grid.of(image.reference.height, image.reference.width)
        verdicts, seen, beside = [], [], {}
        for k, verdict in enumerate(whole):
            found = self._counted(k, looks, grid, known=verdict.present) if k in self.wanted else {}
            if k in maps:
                beside[k] = beyond(maps[k], grid) if found else maps[k]
            seen.append(found)
            changed = verdict
            if found and not self.everywhere:
                chance = max(Presence.probability(looks[i].scores[k]) for i in found)
                chance = round(max(verdict.probability, chance), 4)
                changed = replace(changed, present=True, probability=chance)
            if found:
                changed = replace(changed, looks=tuple(LookAt("tile", grid.box(i)) for i in sorted(found)))
            verdicts.append(changed)
        look = features.embedding[0].float().cpu().numpy()  # (D,)
        tiled = TiledMaps(grid, self.scorer.sides[1], beside, seen)
        return ProbabilityMaps(image.reference, tuple(verdicts), tiled, look)

    def _read(self, image: Large) -> tuple[NDArray[np.uint8], list[Look]]:
        """A small picture (h, w, 3) of an image, and what each tile shows, if any concept asks for it.

        Raises:
            ImageError: It cannot be read, or was changed meanwhile.
        """
        path, size = image.target.path, (image.reference.height, image.reference.width)
        grid, overview, looks, before = Grid.of(*size), Overview(*size), list[Look](), stamp(path)
        if not self.wanted:
            for _ in grid.crops(partial(read_rows, path), overview, first=len(grid)):
                pass
            return overview.pixels, looks
        if self.keeper is not None:
            count, side = len(self.scorer.concepts), self.scorer.sides[1]
            looks += self.keeper.kept(image.reference, len(grid), count, side)
        crops = grid.crops(partial(read_rows, path), overview, first=len(looks))
        while batch := list(islice(crops, BATCH)):
            new = self._look(batch)
            if self.keeper is not None:
                self.keeper.keep(image.reference, new)
            looks += new
        if stamp(path) != before:
            raise ImageError("it changed while it was segmented: run the command again")
        return overview.pixels, looks

    def _look(self, crops: Sequence[NDArray[np.uint8]]) -> list[Look]:
        """What the concepts say about tiles (h, w, 3) of an image."""
        squares = [self.scorer.squares(crop) for crop in crops]
        features = self.scorer.features(squares)
        above = self.scorer.above(features)  # (K, B)
        looks = []
        for i, pair in enumerate(squares):
            chosen = [k for k in self.wanted if self.everywhere or above[k, i] > 0]
            looks.append(Look.of(above[:, i].tolist(), self._bytes(chosen, features, i, pair)))
        return looks

    def _bytes(
        self, chosen: Sequence[int], features: Features, i: int, squares: Squares
    ) -> dict[int, NDArray[np.uint8]]:
        """The refined maps (S, S) uint8 of concepts for the i-th picture of a batch, by their numbers."""
        if not chosen:
            return {}
        mine = Features(
            features.embedding[i : i + 1], features.language[i : i + 1], features.dense[i : i + 1]
        )
        raw = [self.scorer.probable(k, self.scorer.scores(k, mine)[0]) for k in chosen]
        fitted = self.scorer.refined(chosen, torch.stack(raw), squares)  # (n, S, S)
        side = self.scorer.sides[1]
        return dict(zip(chosen, full_size(fitted, side, side), strict=True))

    def _counted(self, k: int, looks: Sequence[Look], grid: Grid, *, known: bool) -> dict[int, bytes]:
        """The maps, deflated, of the tiles that count as having the k-th concept, by number."""
        presence = self.scorer.concepts[k].presence
        numbers = range(len(looks))
        if presence is not None and not self.everywhere:
            scores = np.array([look.scores[k] for look in looks], np.float32).reshape(grid.shape)
            numbers = np.flatnonzero(counted(scores, presence.threshold, known=known)).tolist()
        return {i: looks[i].levels[k] for i in numbers if k in looks[i].levels}
