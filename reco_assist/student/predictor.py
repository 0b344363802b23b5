"""Students at work: the `Predictor` of a trained network, and from files to any predictor."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from reco_assist.annotations import Prediction, Verdict
from reco_assist.annotations.regions import Instances, Rule
from reco_assist.concepts import Concept
from reco_assist.encoders import load_encoder
from reco_assist.encoders.batches import pixels_of
from reco_assist.encoders.load import pick_device
from reco_assist.errors import InputError
from reco_assist.segmenter import (
    LOOKS,
    REFINE_SIDE,
    Loaded,
    Predictor,
    ProbabilityMaps,
    Refine,
    Segmenter,
    Skipped,
    Target,
    full_size,
    load,
    predict,
    refined,
    refinement,
)
from reco_assist.student.student import Student, is_student

_SEEN = 0.005  # share of the image that is looked at to judge presence: the likeliest pixels


class StudentSegmenter:
    """Applies a student to images; satisfies `Predictor`.

    A concept is present where the mean probability of its likeliest pixels (half a per cent of the image) is
    at least one half.

    Args:
        student: The student.
        device: auto, cpu, cuda or mps.
        refine: As of `Segmenter`; saliency if None, which on a student of horses measured .05 IoU better than
            the CRF alone, and that .03 better than none.
        threshold: As of `Segmenter`; auto takes the likeliest class of each pixel where that is no draw.
        presence: As of `Segmenter`.
        instances: As of `Segmenter`.
        overlap: As of `Segmenter`; a student's classes share pixels only below a threshold of .5.

    Raises:
        InputError: The threshold lies outside 0 to 1, or the extra `train` is not installed.
        EncoderError: The device does not exist here.
    """

    def __init__(
        self,
        student: Student,
        *,
        device: str = "auto",
        refine: Refine | None = None,
        threshold: float | Literal["auto"] = "auto",
        presence: Literal["auto", "off"] = "auto",
        instances: Instances = "components",
        overlap: bool = False,
    ) -> None:
        self.student = student
        self._rule = Rule.of(threshold, instances, overlap=overlap)
        self._device = pick_device(device)
        self._network = student.network().to(self._device)
        self._refine = refinement(refine) or "saliency"
        self._presence = presence

    @property
    def digests(self) -> dict[str, str]:
        """The student's digest for each of its concepts."""
        return dict.fromkeys(self.student.design.concepts, self.student.digest)

    def about(self) -> list[dict[str, Any]]:
        """What a data set says about where its masks come from."""
        design = self.student.design
        return [
            {
                "name": name,
                "digest": self.student.digest,
                "method": "student",
                "encoder": design.encoder,
                "teacher": self.student.provenance.get("teacher", {}).get(name),
            }
            for name in design.concepts
        ]

    def predict(self, images: Iterable[Path | Target], *, batch_size: int = 8) -> Iterator[Prediction]:
        """Masks of images, one prediction each, in their order, while they are made.

        Raises:
            ImageError: An image cannot be read.
        """
        return predict(self, images, batch_size=batch_size)

    def segment(self, targets: Sequence[Target]) -> list[ProbabilityMaps | Skipped]:
        """Probability maps of one batch; unreadable images are skipped, not fatal."""
        loaded = load(targets, self.student.design.side, REFINE_SIDE)
        return [one if isinstance(one, Skipped) else self._segmented(one) for one in loaded]

    def decide(self, segmented: ProbabilityMaps) -> Prediction:
        """Regions of the maps at the threshold."""
        return self._rule(segmented.image, segmented.verdicts, segmented.maps)

    @torch.inference_mode()
    def _segmented(self, image: Loaded) -> ProbabilityMaps:
        # One image at a time: its result does not depend on the batch it came in.
        pixels = pixels_of([image.squares[0]]).to(self._device)
        logits, embedding = self._network.predict(pixels)
        chances = probabilities(logits)[0, 1:]  # (K, S, S)
        likeliest = chances.flatten(1).topk(max(1, round(_SEEN * chances[0].numel()))).values.mean(1)  # (K,)
        names = self.student.design.concepts
        verdicts = tuple(
            Verdict(name, p >= 0.5, round(p, 4)) for name, p in zip(names, likeliest.tolist(), strict=True)
        )
        chosen = [k for k, one in enumerate(verdicts) if self._presence == "off" or one.present]
        width, height = image.reference.width, image.reference.height
        maps = np.zeros((len(names), height, width), np.uint8)  # (K, H, W)
        if chosen:
            fitted = chances[chosen].cpu().numpy()
            if self._refine != "none":
                small = torch.nn.functional.interpolate(
                    chances[chosen][None], size=(REFINE_SIDE, REFINE_SIDE), mode="bilinear", antialias=True
                )[0]
                picture, square = image.squares
                chosen_maps = small.cpu().numpy()  # (n, S, S)
                fitted = refined(chosen_maps, square, self._refine, picture=picture, device=self._device)
            maps[chosen] = full_size(fitted, width, height)
        return ProbabilityMaps(image.reference, verdicts, maps, embedding[0].cpu().numpy())


def probabilities(logits: Tensor) -> Tensor:
    """Probabilities (B, 1 + K, S, S) of logits, the background first."""
    return torch.softmax(logits.float(), 1)


def load_predictor(
    files: Sequence[Path],
    *,
    encoder: str | None = None,
    device: str = "auto",
    refine: Refine | None = None,
    threshold: float | Literal["auto"] = "auto",
    presence: Literal["auto", "off"] = "auto",
    instances: Instances = "components",
    overlap: bool = False,
    looks: int | None = None,
    tiles: bool | None = None,
) -> Predictor:
    """What segments with a student's file, or with the files of Concepts.

    Args:
        files: One student, or Concepts.
        encoder: Name of the Concepts' encoder, where its weights lie elsewhere here; theirs if None.
        device: auto, cpu, cuda or mps.
        refine: None for what measured best, see `Segmenter` and `StudentSegmenter`.
        threshold: See `Segmenter`.
        presence: See `Segmenter`.
        instances: See `Segmenter`.
        overlap: See `Segmenter`.
        looks: See `Segmenter`; its default if None. A student sees the whole image alone.
        tiles: See `Segmenter`, likewise.

    Raises:
        InputError: A student came with other files, with further looks or tiles, or a file is missing.
        FormatError: A file is neither.
        EncoderError: An encoder or a device is not at hand.
    """
    students = [file for file in files if is_student(file)]
    if students and len(files) > 1:
        raise InputError(f"{students[0]} is a student, and was given with other files: name it alone")
    if students:
        if looks or tiles:
            left_out = "--looks" if looks else "--tiles"
            raise InputError(
                f"{students[0]} is a student, which sees whole images alone: leave {left_out} out"
            )
        student = Student.load(students[0])
        return StudentSegmenter(
            student,
            device=device,
            refine=refine,
            threshold=threshold,
            presence=presence,
            instances=instances,
            overlap=overlap,
        )
    known = [Concept.load(file) for file in files]
    loaded = load_encoder(encoder or known[0].provenance.encoder, device=device) if known else None
    return Segmenter(
        known,
        encoder=loaded,
        refine=refine,
        threshold=threshold,
        presence=presence,
        instances=instances,
        overlap=overlap,
        looks=LOOKS if looks is None else looks,
        tiles=tiles,
    )
