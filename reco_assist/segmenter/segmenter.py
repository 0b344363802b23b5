"""Segment images with one or many Concepts."""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from reco_assist.annotations import Prediction
from reco_assist.annotations.regions import Instances, Rule
from reco_assist.concepts import Concept
from reco_assist.encoders import Encoder, load_encoder
from reco_assist.encoders.batches import BATCH
from reco_assist.errors import InputError
from reco_assist.segmenter.maps import Refine, refinement
from reco_assist.segmenter.predictor import predict
from reco_assist.segmenter.scorer import Scorer
from reco_assist.segmenter.targets import ProbabilityMaps, Skipped, Target, large
from reco_assist.segmenter.tiled import Tiled
from reco_assist.segmenter.tiles import HUGE, Keeper, TiledMaps
from reco_assist.segmenter.whole import Whole

LOOKS = 4
"""Further looks at an image for a concept that is present, unless another number is asked for."""


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
        scorer = Scorer(self.concepts, self.encoder, refinement(refine), overlap)
        everywhere = presence == "off"
        wanted = [k for k, one in enumerate(concepts) if (one.shown if tiles is None else tiles)]
        self._whole = Whole(scorer, everywhere, looks)
        self._tiled = Tiled(scorer, everywhere, wanted)
        self._huge = 0 if tiles else HUGE if wanted else None

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
        apart = [large(target, self._huge) for target in targets]
        others = [target for target, one in zip(targets, apart, strict=True) if one is None]
        done = iter(self._whole.maps(others))
        return [next(done) if one is None else self._tiled.maps(one) for one in apart]

    def keeping(self, keeper: Keeper) -> Self:
        """The same, for runs that may be killed: what tiles show is kept as soon as it is known."""
        same = copy(self)
        same._tiled = replace(self._tiled, keeper=keeper)  # noqa: SLF001  (a Segmenter's own)
        return same

    def decide(self, segmented: ProbabilityMaps) -> Prediction:
        """Regions of the maps at the threshold."""
        levels = segmented.levels
        seen = levels.seen if isinstance(levels, TiledMaps) else None
        return self._rule(segmented.image, segmented.verdicts, levels, seen=seen)
