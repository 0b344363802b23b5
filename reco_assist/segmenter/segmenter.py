"""Segment images with one or many Concepts."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reco_assist.annotations import Prediction, Verdict
from reco_assist.annotations.regions import Instances, Rule
from reco_assist.concepts import REFINE_SIDE, Concept, Method, Presence
from reco_assist.encoders import Encoder, Features, compact_cells, load_encoder
from reco_assist.encoders.batches import BATCH, encode_within_memory, pixels_of
from reco_assist.errors import ImageError, InputError
from reco_assist.images import squash
from reco_assist.segmenter.looks import FAR, NEAR, Seen, Window, convincing, fused, holds_small, propose
from reco_assist.segmenter.maps import (
    Refine,
    full_size,
    probability,
    refined,
    refinement,
    score_maps,
)
from reco_assist.segmenter.predictor import predict
from reco_assist.segmenter.targets import Loaded, ProbabilityMaps, Skipped, Target, load, pixels_again

# What refines best: the paper's method stays what was published.
_BEST: Mapping[Method, Refine] = {"assist": "saliency", "paper": "crf"}

LOOKS = 4
"""Further looks at an image for a concept that is present, unless another number is asked for."""

_ENLARGED = 4  # times that a look enlarges pixels at most: beyond that nothing new shows


class Segmenter:
    """Applies Concepts to images.

    Attributes:
        concepts: The concepts.
        encoder: Their encoder.
        options: The other arguments, by name; a Segmenter made of the same ones gives the same masks.

    Args:
        concepts: At least one; all learnt with the same encoder.
        encoder: That encoder; loaded by its name if None.
        refine: How maps are fitted to the image: saliency, by its edges and by what stands out around each
            mask; crf or guided, by its edges alone; none. If None, what measured best: saliency, and crf with
            the paper's method.
        threshold: Share of the refined probability from which a pixel belongs to a concept, 0 to 1, or auto.
        presence: auto leaves images empty that do not contain a concept; off segments every image.
        instances: One region for each connected component; split parts components that touch where the map
            has separate peaks; none makes one region for each concept.
        overlap: Let concepts share pixels; otherwise a pixel belongs to the likeliest.
        looks: Further looks at parts of an image for each concept that is present and that exemplars or
            corrections taught, so that small objects show; each costs about as much as the first look. 0 for
            whole images alone.

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
        }
        self._refine = refinement(refine)
        self._presence = presence
        self._overlap = overlap
        self._near, self._far = looks - looks // 2, looks // 2

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
        loaded = load(targets, self.encoder.input_size, REFINE_SIDE)
        readable = [one for one in loaded if isinstance(one, Loaded)]
        if not readable:
            return [one for one in loaded if isinstance(one, Skipped)]
        features = encode_within_memory(self.encoder, pixels_of([one.squares[0] for one in readable]))
        done = iter(self._refined(readable, features))
        return [one if isinstance(one, Skipped) else next(done) for one in loaded]

    def decide(self, segmented: ProbabilityMaps) -> Prediction:
        """Regions of the maps at the threshold."""
        return self._rule(segmented.image, segmented.verdicts, segmented.maps)

    def _refined(self, images: Sequence[Loaded], features: Features) -> Iterator[ProbabilityMaps | Skipped]:
        verdicts = self._verdicts(features)
        off = self._presence == "off"
        chosen = [[k for k, verdict in enumerate(row) if off or verdict.present] for row in verdicts]
        needed = sorted({k for row in chosen for k in row})
        scores = {
            k: score_maps(self.concepts[k], features, others=self._rivals(k)) for k in needed
        }  # each (B, S, S)
        for i, (image, row) in enumerate(zip(images, verdicts, strict=True)):
            width, height = image.reference.width, image.reference.height
            maps = np.zeros((len(self.concepts), height, width), np.uint8)  # (K, H, W)
            try:
                for at, levels in self._levels({k: scores[k][i] for k in chosen[i]}, image):
                    maps[at] = levels
            except ImageError as error:
                yield Skipped(image.target, f"{image.target.file_name}: {error}")
                continue
            look = features.embedding[i].float().cpu().numpy()  # (D,)
            yield ProbabilityMaps(image.reference, tuple(row), maps, look)

    def _levels(
        self, first: Mapping[int, Tensor], image: Loaded
    ) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
        """Numbers of concepts and their refined maps (n, H, W); `first` has their scores (S, S)."""
        width, height = image.reference.width, image.reference.height
        whole, parted = self._looked(first, image)
        if whole:
            raw = [_probable(self.concepts[k], scores) for k, scores in whole.items()]
            fitted = self._fitted(list(whole), torch.stack(raw), image.squares)  # (n, S, S)
            yield list(whole), full_size(fitted, width, height)
        for k, parts in parted.items():
            levels = np.zeros((1, height, width), np.uint8)
            scores = torch.stack([part.scores for part in parts])  # (n, S, S)
            chances = probability(self.concepts[k], scores, parts=True)  # (n, S, S)
            for part, chance in zip(parts, chances, strict=True):
                place = levels[:, *part.window.slices(height, width)]  # (1, h, w)
                fitted = self._fitted([k], chance[None], part.squares)  # (1, S, S)
                np.maximum(place, full_size(fitted, place.shape[2], place.shape[1]), out=place)
            yield [k], levels

    def _looked(
        self, first: Mapping[int, Tensor], image: Loaded
    ) -> tuple[dict[int, Tensor], dict[int, list[Seen]]]:
        """By concept: scores (S, S) of the whole image after further looks, or the parts that hold it."""
        whole, parted = dict(first), dict[int, list[Seen]]()
        shortest = min(image.reference.width, image.reference.height)
        wanted = [k for k in first if self.concepts[k].shown]
        if not self._near or not wanted or FAR * shortest < self.encoder.input_size / _ENLARGED:
            return whole, parted
        pixels = pixels_again(image, math.ceil(self.encoder.input_size / FAR))
        for k in wanted:
            probable = partial(_probable, self.concepts[k])
            near = self._see(k, propose(first[k], NEAR, self._near), pixels)
            whole[k] = fused(first[k], near)
            if self._far and holds_small(first[k], near, probable):
                far = self._see(k, propose(first[k], FAR, self._far), pixels)
                if parts := convincing(far, probable):
                    parted[k] = parts
                    del whole[k]
        return whole, parted

    def _see(self, k: int, windows: Sequence[Window], pixels: NDArray[np.uint8]) -> list[Seen]:
        """What the k-th concept says of windows of an image (H, W, 3)."""
        crops = [np.ascontiguousarray(pixels[one.slices(*pixels.shape[:2])]) for one in windows]
        sides = self.encoder.input_size, REFINE_SIDE
        squares = [tuple(squash(crop, side) for side in sides) for crop in crops]
        features = encode_within_memory(self.encoder, pixels_of([one[0] for one in squares]))
        scores = score_maps(self.concepts[k], features, others=self._rivals(k))  # (n, S, S)
        return [Seen(*one) for one in zip(windows, scores, squares, strict=True)]

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

    def _verdicts(self, features: Features) -> list[list[Verdict]]:
        cells = compact_cells(features, self.encoder.mean_language, self.encoder.vocabulary)
        columns = []
        for concept in self.concepts:
            if concept.presence is None:
                columns.append([Verdict(concept.name, present=True, probability=1.0)] * len(features.dense))
                continue
            above = concept.presence.score(cells, concept.foreground, concept.text)  # (B,)
            columns.append(
                [Verdict(concept.name, bool(s > 0), round(Presence.probability(float(s)), 4)) for s in above]
            )
        return [list(row) for row in zip(*columns, strict=True)]


def _probable(concept: Concept, scores: Tensor) -> Tensor:
    return probability(concept, scores[None])[0]
