"""Images seen whole, and again in parts where that pays: which parts, and what they decide."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reco_assist.errors import ImageError
from reco_assist.segmenter.closer import Closer
from reco_assist.segmenter.looks import FAR, NEAR, Found, convincing, fused, holds_small, propose
from reco_assist.segmenter.maps import full_size, probability
from reco_assist.segmenter.scorer import Scorer
from reco_assist.segmenter.targets import Loaded, ProbabilityMaps, Skipped, Target, load

# Deviations: where the first look lies at most `_UNSURE` below the threshold of presence, far looks follow,
# and one must lie `_CLEAR` above it, since each look is one more chance to be wrong.
_UNSURE, _CLEAR = 1.0, 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """Segments images that are decoded whole.

    Attributes:
        scorer: What looks at them.
        everywhere: Segment images that do not contain a concept too.
        looks: Further looks at an image for each concept, at most.
    """

    scorer: Scorer
    everywhere: bool
    looks: int

    def maps(self, targets: Sequence[Target]) -> list[ProbabilityMaps | Skipped]:
        """Refined probability maps of one batch; unreadable images are skipped, not fatal."""
        loaded = load(targets, *self.scorer.sides)
        readable = [one for one in loaded if isinstance(one, Loaded)]
        if not readable:
            return [one for one in loaded if isinstance(one, Skipped)]
        done = self._segmented(readable)
        return [one if isinstance(one, Skipped) else next(done) for one in loaded]

    def _segmented(self, images: Sequence[Loaded]) -> Iterator[ProbabilityMaps | Skipped]:
        features = self.scorer.features([one.squares for one in images])
        above = self.scorer.above(features)  # (K, B)
        needed = [k for k, row in enumerate(above) if self.everywhere or bool((row > -_UNSURE).any())]
        scores = {k: self.scorer.scores(k, features) for k in needed}  # each (B, S, S)
        for i, image in enumerate(images):
            width, height = image.reference.width, image.reference.height
            maps = np.zeros((len(above), height, width), np.uint8)  # (K, H, W)
            closer = Closer(self.scorer, image)
            try:
                found = [
                    self._found(k, score, scores[k][i], closer) if k in scores else Found(score)
                    for k, score in enumerate(above[:, i].tolist())
                ]
                verdicts = [self.scorer.verdict(k, one.above) for k, one in enumerate(found)]
                chosen = {k: found[k] for k, one in enumerate(verdicts) if self.everywhere or one.present}
                for k, one in chosen.items():
                    verdicts[k] = replace(verdicts[k], looks=one.looks(image.reference))
                for at, levels in self._levels(chosen, image):
                    maps[at] = levels
            except ImageError as error:
                yield Skipped(image.target, f"{image.target.file_name}: {error}")
                continue
            look = features.embedding[i].float().cpu().numpy()  # (D,)
            yield ProbabilityMaps(image.reference, tuple(verdicts), maps, look)

    def _found(self, k: int, above: float, first: Tensor, closer: Closer) -> Found:
        """What all looks find of the k-th concept in an image.

        Args:
            k: Number of the concept.
            above: How far the first look lies above its threshold.
            first: (S, S) scores of the first look.
            closer: Of the image.
        """
        concept = self.scorer.concepts[k]
        near, far = self.looks - self.looks // 2, self.looks // 2
        if not near or concept.method == "paper" or not closer.worthwhile:
            return Found(above, first)
        probable = partial(self.scorer.probable, k)
        seen_far = cache(lambda: closer.look(k, propose(first, FAR, far)))
        if far and -_UNSURE < above <= 0:
            seen, features = seen_far()
            clearest = float(self.scorer.above(features, [k]).max()) - _CLEAR
            if clearest > 0:
                above = clearest
                if parts := convincing(seen, probable):
                    return Found(above, first, parts)
        if not concept.shown or not (self.everywhere or above > 0):
            return Found(above, first)
        seen_near, _ = closer.look(k, propose(first, NEAR, near))
        if far and holds_small(first, seen_near, probable) and (parts := convincing(seen_far()[0], probable)):
            return Found(above, first, parts)
        return Found(above, fused(first, seen_near), near=seen_near)

    def _levels(
        self, found: Mapping[int, Found], image: Loaded
    ) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
        """Numbers of concepts and their refined maps (n, H, W), of what was found of them in an image."""
        width, height = image.reference.width, image.reference.height
        whole = {k: one.scores for k, one in found.items() if not one.parts and one.scores is not None}
        if whole:
            raw = [self.scorer.probable(k, scores) for k, scores in whole.items()]
            fitted = self.scorer.refined(list(whole), torch.stack(raw), image.squares)  # (n, S, S)
            yield list(whole), full_size(fitted, width, height)
        for k, one in found.items():
            if not one.parts:
                continue
            levels = np.zeros((1, height, width), np.uint8)
            scores = torch.stack([part.scores for part in one.parts])  # (n, S, S)
            chances = probability(self.scorer.concepts[k], scores, parts=True)  # (n, S, S)
            for part, chance in zip(one.parts, chances, strict=True):
                place = levels[:, *part.window.slices(height, width)]  # (1, h, w)
                fitted = self.scorer.refined([k], chance[None], part.squares)  # (1, S, S)
                np.maximum(place, full_size(fitted, place.shape[2], place.shape[1]), out=place)
            yield [k], levels
