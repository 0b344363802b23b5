"""Segment images with one or many Concepts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from reco_assist.errors import InputError
from reco_assist.segmenter.maps import (
    Refine,
    full_size,
    probability,
    refined,
    refinement,
    score_maps,
)
from reco_assist.segmenter.predictor import predict
from reco_assist.segmenter.targets import Loaded, ProbabilityMaps, Skipped, Target, load

# What refines best: the paper's method stays what was published.
_BEST: Mapping[Method, Refine] = {"assist": "saliency", "paper": "crf"}


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

    Raises:
        InputError: No concept, two of one name, or a threshold outside 0 to 1.
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
    ) -> None:
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
        }
        self._refine = refinement(refine)
        self._presence = presence
        self._overlap = overlap

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

    def _refined(self, images: Sequence[Loaded], features: Features) -> Iterator[ProbabilityMaps]:
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
            if chosen[i]:
                raw = [probability(self.concepts[k], scores[k][i : i + 1])[0] for k in chosen[i]]
                fitted = self._fitted(chosen[i], torch.stack(raw), image)  # (n, S, S)
                maps[chosen[i]] = full_size(fitted, width, height)
            look = features.embedding[i].float().cpu().numpy()  # (D,)
            yield ProbabilityMaps(image.reference, tuple(row), maps, look)

    def _fitted(self, chosen: Sequence[int], raw: Tensor, image: Loaded) -> NDArray[np.float32]:
        """Maps (n, S, S) of the chosen concepts, each refined as it should be."""
        picture, square = image.squares
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
