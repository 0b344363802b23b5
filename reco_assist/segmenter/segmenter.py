"""Segment images with one or many Concepts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reco_assist.annotations import LookAt, Prediction, Verdict
from reco_assist.annotations.regions import Instances, Rule
from reco_assist.concepts import REFINE_SIDE, Concept, Method, Presence
from reco_assist.encoders import Encoder, Features, compact_cells, load_encoder
from reco_assist.encoders.batches import BATCH, encode_within_memory, pixels_of
from reco_assist.errors import ImageError, InputError
from reco_assist.images import read_rows, squash, stamp
from reco_assist.segmenter.closer import Closer
from reco_assist.segmenter.looks import (
    FAR,
    NEAR,
    Found,
    Seen,
    Window,
    convincing,
    fused,
    holds_small,
    propose,
)
from reco_assist.segmenter.maps import (
    Refine,
    full_size,
    probability,
    refined,
    refinement,
    score_maps,
)
from reco_assist.segmenter.predictor import predict
from reco_assist.segmenter.targets import (
    Large,
    Loaded,
    ProbabilityMaps,
    Skipped,
    Target,
    large,
    load,
)
from reco_assist.segmenter.tiles import (
    HUGE,
    Grid,
    Keeper,
    Look,
    Overview,
    TiledMaps,
    beyond,
    counted,
)

# What refines best: the paper's method stays what was published.
_BEST: Mapping[Method, Refine] = {"assist": "saliency", "paper": "crf"}

LOOKS = 4
"""Further looks at an image for a concept that is present, unless another number is asked for."""

# Deviations: where the first look lies at most `_UNSURE` below the threshold of presence, far looks follow, and
# one must lie `_CLEAR` above it, since each look is one more chance to be wrong.
_UNSURE, _CLEAR = 1.0, 1.5
_CERTAIN = 100.0  # deviations: of a concept that has no threshold


class Segmenter:
    """Applies Concepts to images.

    Attributes:
        concepts: The concepts.
        encoder: Their encoder.
        options: The other arguments, by name; a Segmenter made of the same ones gives the same masks.
        keeper: Where the looks at tiles are kept until an image is done, if anywhere; see `keeping`.

    Args:
        concepts: At least one; all learnt with the same encoder.
        encoder: That encoder; loaded by its name if None.
        refine: How maps are fitted to the image: saliency, by its edges and by what stands out around each
            mask; crf or guided, by its edges alone; none. If None, what measured best: saliency, and crf with
            the paper's method.
        threshold: Share of the refined probability from which a pixel belongs to a concept, 0 to 1, or auto.
        presence: auto leaves images empty that do not contain a concept; off segments every image.
        instances: One region for each connected component; split parts those that objects of
            similar size and solid shape make together; none makes one region for each concept.
        overlap: Let concepts share pixels; otherwise a pixel belongs to the likeliest.
        looks: Further looks at parts of an image for each concept that is present, or that the first look is
            unsure of, so that small objects show; each costs about as much as the first look. 0 for whole
            images alone.
        tiles: See each image in overlapping parts too, at its own scale. If None, images of more than `HUGE`
            pixels a side are, for concepts that exemplars or corrections taught.

    Raises:
        InputError: No concept, two of one name, a threshold outside 0 to 1, or fewer looks than none.
        EncoderError: The encoder is not the one that the concepts were learnt with.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        *,
        encoder: Encoder | None = None,
        refine: Refine | None = None,
        threshold: float | Literal["auto"] = "auto",
        presence: Literal["auto", "off"] = "auto",
        instances: Instances = "components",
        overlap: bool = False,
        looks: int = LOOKS,
        tiles: bool | None = None,
    ) -> None:
        if looks < 0:
            raise InputError(f"the number of looks is {looks}: give 0 or more")
        if not concepts:
            raise InputError("there is no concept to segment with: learn one, or name a concept file")
        names = [concept.name for concept in concepts]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"two concepts are named {twice!r}: rename one, or leave it out")
        self._rule = Rule.of(threshold, instances, overlap=overlap)
        self.concepts = tuple(concepts)
        self.encoder = encoder or load_encoder(concepts[0].provenance.encoder)
        for concept in concepts:
            concept.check_encoder(self.encoder.name, self.encoder.weights)
        self.options: dict[str, Any] = {
            "refine": refine,
            "threshold": threshold,
            "presence": presence,
            "instances": instances,
            "overlap": overlap,
            "looks": looks,
            "tiles": tiles,
        }
        self._refine = refinement(refine)
        self._presence = presence
        self._overlap = overlap
        self._near, self._far = looks - looks // 2, looks // 2
        self._tiles = tiles
        self.keeper: Keeper | None = None

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each concept by its name, in the order of the maps."""
        return {concept.name: concept.digest for concept in self.concepts}

    def about(self) -> list[dict[str, Any]]:
        """What a data set says about where its masks come from."""
        return [
            {
                "name": concept.name,
                "digest": concept.digest,
                "method": concept.method,
                "encoder": concept.provenance.encoder,
                "weights": concept.provenance.weights,
            }
            for concept in self.concepts
        ]

    def predict(self, images: Iterable[Path | Target], *, batch_size: int = BATCH) -> Iterator[Prediction]:
        """Masks of images, one prediction each, in their order, while they are made.

        Raises:
            ImageError: An image cannot be read.
        """
        return predict(self, images, batch_size=batch_size)

    def segment(self, targets: Sequence[Target]) -> list[ProbabilityMaps | Skipped]:
        """Refined probability maps of one batch; unreadable images are skipped, not fatal."""
        beyond_which = 0 if self._tiles else HUGE if self._seen_in_tiles() else None
        apart = [large(target, beyond_which) for target in targets]
        others = [target for target, one in zip(targets, apart, strict=True) if one is None]
        done = iter(self._segmented_whole(others))
        return [next(done) if one is None else self._in_tiles(one) for one in apart]

    def keeping(self, keeper: Keeper) -> Self:
        """The same, for runs that may be killed: what tiles show is kept as soon as it is known."""
        same = copy(self)
        same.keeper = keeper
        return same

    def _segmented_whole(self, targets: Sequence[Target]) -> list[ProbabilityMaps | Skipped]:
        loaded = load(targets, self.encoder.input_size, REFINE_SIDE)
        readable = [one for one in loaded if isinstance(one, Loaded)]
        if not readable:
            return [one for one in loaded if isinstance(one, Skipped)]
        features = encode_within_memory(self.encoder, pixels_of([one.squares[0] for one in readable]))
        done = iter(self._refined(readable, features))
        return [one if isinstance(one, Skipped) else next(done) for one in loaded]

    def decide(self, segmented: ProbabilityMaps) -> Prediction:
        """Regions of the maps at the threshold."""
        levels = segmented.levels
        seen = levels.seen if isinstance(levels, TiledMaps) else None
        return self._rule(segmented.image, segmented.verdicts, levels, seen=seen)

    def _in_tiles(self, image: Large) -> ProbabilityMaps | Skipped:
        """Maps of an image that is read once, in parts: of its tiles, and of the whole."""
        try:
            overview, looks = self._read(image)
        except ImageError as error:
            return Skipped(image.target, f"{image.target.file_name}: {error}")
        sides = self.encoder.input_size, REFINE_SIDE
        squares = tuple(squash(overview, side) for side in sides)
        features = encode_within_memory(self.encoder, pixels_of(squares[:1]))
        above = self._above(self.concepts, features)[:, 0]  # (K,)
        whole = [_verdict(*one) for one in zip(self.concepts, above.tolist(), strict=True)]
        present = [k for k, one in enumerate(whole) if self._presence == "off" or one.present]
        maps = self._bytes(present, features, 0, squares)
        grid = Grid.of(image.reference.height, image.reference.width)
        verdicts, seen, beside = [], [], {}
        for k, first in enumerate(whole):
            verdict = first
            found = self._counted(k, looks, grid, verdict) if k in self._seen_in_tiles() else {}
            if k in maps:
                beside[k] = beyond(maps[k], grid) if found else maps[k]
            seen.append(found)
            if found and self._presence != "off":
                chance = max(Presence.probability(looks[i].scores[k]) for i in found)
                chance = round(max(verdict.probability, chance), 4)
                verdict = replace(verdict, present=True, probability=chance)
            if found:
                verdict = replace(verdict, looks=tuple(LookAt("tile", grid.box(i)) for i in sorted(found)))
            verdicts.append(verdict)
        look = features.embedding[0].float().cpu().numpy()  # (D,)
        tiled = TiledMaps(grid, REFINE_SIDE, beside, seen)
        return ProbabilityMaps(image.reference, tuple(verdicts), tiled, look)

    def _read(self, image: Large) -> tuple[NDArray[np.uint8], list[Look]]:
        """A small picture (h, w, 3) of an image, and what each tile shows, if any concept asks for it.

        Raises:
            ImageError: It cannot be read, or was changed meanwhile.
        """
        path, size = image.target.path, (image.reference.height, image.reference.width)
        grid, overview, looks, before = Grid.of(*size), Overview(*size), list[Look](), stamp(path)
        if not self._seen_in_tiles():
            for _ in grid.crops(partial(read_rows, path), overview, first=len(grid)):
                pass
            return overview.pixels, looks
        if self.keeper is not None:
            looks += self.keeper.kept(image.reference, len(grid), len(self.concepts), REFINE_SIDE)
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
        sides = self.encoder.input_size, REFINE_SIDE
        squares = [tuple(squash(crop, side) for side in sides) for crop in crops]
        features = encode_within_memory(self.encoder, pixels_of([one[0] for one in squares]))
        scores = self._above(self.concepts, features)  # (K, B)
        wanted = self._seen_in_tiles()
        looks = []
        for i, pair in enumerate(squares):
            chosen = [k for k in wanted if self._presence == "off" or scores[k, i] > 0]
            looks.append(Look.of(scores[:, i].tolist(), self._bytes(chosen, features, i, pair)))
        return looks

    def _bytes(
        self, chosen: Sequence[int], features: Features, i: int, squares: tuple[NDArray[np.uint8], ...]
    ) -> dict[int, NDArray[np.uint8]]:
        """The refined maps (S, S) uint8 of concepts for the i-th image of a batch, by their numbers."""
        if not chosen:
            return {}
        mine = Features(
            features.embedding[i : i + 1], features.language[i : i + 1], features.dense[i : i + 1]
        )
        raw = [
            probability(self.concepts[k], score_maps(self.concepts[k], mine, others=self._rivals(k)))[0]
            for k in chosen
        ]
        fitted = self._fitted(chosen, torch.stack(raw), squares)  # (n, S, S)
        return dict(zip(chosen, full_size(fitted, REFINE_SIDE, REFINE_SIDE), strict=True))

    def _counted(self, k: int, looks: Sequence[Look], grid: Grid, whole: Verdict) -> dict[int, bytes]:
        """The maps, deflated, of the tiles that count as having the k-th concept, by number."""
        presence = self.concepts[k].presence
        numbers = range(len(looks))
        if presence is not None and self._presence != "off":
            scores = np.array([look.scores[k] for look in looks], np.float32).reshape(grid.shape)
            found = counted(scores, presence.threshold, known=whole.present)
            numbers = np.flatnonzero(found).tolist()
        return {i: looks[i].levels[k] for i in numbers if k in looks[i].levels}

    def _seen_in_tiles(self) -> list[int]:
        """Numbers of the concepts that look at tiles."""
        if self._tiles is None:
            return [k for k, concept in enumerate(self.concepts) if concept.shown]
        return list(range(len(self.concepts))) if self._tiles else []

    def _refined(self, images: Sequence[Loaded], features: Features) -> Iterator[ProbabilityMaps | Skipped]:
        above = self._above(self.concepts, features)
        off = self._presence == "off"
        needed = [k for k, values in enumerate(above) if off or bool((values > -_UNSURE).any())]
        scores = {
            k: score_maps(self.concepts[k], features, others=self._rivals(k)) for k in needed
        }  # each (B, S, S)
        for i, image in enumerate(images):
            width, height = image.reference.width, image.reference.height
            maps = np.zeros((len(self.concepts), height, width), np.uint8)  # (K, H, W)
            closer = Closer(self.encoder, image)
            try:
                found = [
                    self._found(k, float(values[i]), scores[k][i] if k in scores else None, closer)
                    for k, values in enumerate(above)
                ]
                row = [_verdict(*one) for one in zip(self.concepts, (it.above for it in found), strict=True)]
                chosen = {k: found[k] for k, verdict in enumerate(row) if off or verdict.present}
                for k, one in chosen.items():
                    row[k] = replace(row[k], looks=one.looks(image.reference))
                for at, levels in self._levels(chosen, image):
                    maps[at] = levels
            except ImageError as error:
                yield Skipped(image.target, f"{image.target.file_name}: {error}")
                continue
            look = features.embedding[i].float().cpu().numpy()  # (D,)
            yield ProbabilityMaps(image.reference, tuple(row), maps, look)

    def _levels(
        self, found: Mapping[int, Found], image: Loaded
    ) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
        """Numbers of concepts and their refined maps (n, H, W), of what was found of them in an image."""
        width, height = image.reference.width, image.reference.height
        whole = {k: one.scores for k, one in found.items() if not one.parts and one.scores is not None}
        if whole:
            raw = [_probable(self.concepts[k], scores) for k, scores in whole.items()]
            fitted = self._fitted(list(whole), torch.stack(raw), image.squares)  # (n, S, S)
            yield list(whole), full_size(fitted, width, height)
        for k, one in found.items():
            if not one.parts:
                continue
            levels = np.zeros((1, height, width), np.uint8)
            scores = torch.stack([part.scores for part in one.parts])  # (n, S, S)
            chances = probability(self.concepts[k], scores, parts=True)  # (n, S, S)
            for part, chance in zip(one.parts, chances, strict=True):
                place = levels[:, *part.window.slices(height, width)]  # (1, h, w)
                fitted = self._fitted([k], chance[None], part.squares)  # (1, S, S)
                np.maximum(place, full_size(fitted, place.shape[2], place.shape[1]), out=place)
            yield [k], levels

    def _found(self, k: int, above: float, first: Tensor | None, closer: Closer) -> Found:
        """What all looks find of the k-th concept in an image.

        Args:
            k: Number of the concept.
            above: How far the first look lies above its threshold.
            first: (S, S) scores of the first look, if they are needed.
            closer: Of the image.
        """
        concept, off = self.concepts[k], self._presence == "off"
        if first is None or not self._near or concept.method == "paper" or not closer.worthwhile:
            return Found(above, first)
        probable = partial(_probable, concept)
        far = cache(lambda: self._see(k, propose(first, FAR, self._far), closer))
        if self._far and -_UNSURE < above <= 0:
            seen, features = far()
            clearest = float(self._above([concept], features)[0].max()) - _CLEAR
            if clearest > 0:
                above = clearest
                if parts := convincing(seen, probable):
                    return Found(above, first, parts)
        if not concept.shown or not (off or above > 0):
            return Found(above, first)
        near = self._see(k, propose(first, NEAR, self._near), closer)[0]
        if self._far and holds_small(first, near, probable) and (parts := convincing(far()[0], probable)):
            return Found(above, first, parts)
        return Found(above, fused(first, near), near=near)

    def _see(self, k: int, windows: Sequence[Window], closer: Closer) -> tuple[list[Seen], Features]:
        """What the k-th concept says of windows of an image, and their features."""
        features, squares = closer.look(windows)
        scores = score_maps(self.concepts[k], features, others=self._rivals(k))  # (n, S, S)
        return [Seen(*one) for one in zip(windows, scores, squares, strict=True)], features

    def _fitted(
        self, chosen: Sequence[int], raw: Tensor, squares: tuple[NDArray[np.uint8], ...]
    ) -> NDArray[np.float32]:
        """Maps (n, S, S) of the chosen concepts, each refined as it should be."""
        picture, square = squares
        maps = raw.cpu().numpy()  # (n, S, S)
        ways = [self._refine or _BEST[self.concepts[k].method] for k in chosen]
        for how in set(ways):
            mine = [i for i, way in enumerate(ways) if way == how]
            maps[mine] = refined(maps[mine], square, how, picture=picture, device=raw.device)
        return maps

    def _rivals(self, k: int) -> list[Concept]:
        """Concepts that compete with the k-th for pixels."""
        if self._overlap:
            return []
        return [other for i, other in enumerate(self.concepts) if i != k and other.method == "assist"]

    def _above(self, concepts: Sequence[Concept], features: Features) -> NDArray[np.float32]:
        """(n, B) how far images lie above each concept's threshold of presence; certain where it has none."""
        cells = compact_cells(features, self.encoder.mean_language, self.encoder.vocabulary)
        above = np.full((len(concepts), len(features.dense)), _CERTAIN, np.float32)
        for row, one in zip(above, concepts, strict=True):
            if one.presence is not None:
                row[:] = one.presence.score(cells, one.foreground, one.text)
        return above


def _verdict(concept: Concept, above: float) -> Verdict:
    return Verdict(concept.name, above > 0, round(Presence.probability(above), 4))


def _probable(concept: Concept, scores: Tensor) -> Tensor:
    return probability(concept, scores[None])[0]
