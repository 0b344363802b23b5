"""Stand-ins for encoders and photographs: quick, deterministic, of no meaning."""

import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from reco_assist.encoders.protocols import Features, TextEmbedding

if TYPE_CHECKING:
    from reco_assist.student import Student


class FakeEncoder:
    """Random projections of pooled pixels: like images get like vectors. D = 32, C = 16, 4 x 4 cells.

    Args:
        name: Its name.
        seed: Of the projections; stands for its weights.
        delay: Seconds that every batch takes.
    """

    input_size = 64
    reference_cells = None

    def __init__(self, *, name: str = "fake", seed: int = 0, delay: float = 0) -> None:
        self.name = name
        self.weights = sha256(str(seed).encode()).hexdigest()
        self.batches: list[int] = []
        self._delay = delay
        generator = torch.Generator().manual_seed(seed)
        self._global = torch.randn(192, 32, generator=generator)
        self._language = torch.randn(12, 32, generator=generator)
        self._dense = torch.randn(12, 16, generator=generator)
        self.vocabulary = functional.normalize(torch.randn(20, 32, generator=generator), dim=1)
        self.mean_embedding = torch.randn(32, generator=generator) / 10

    @property
    def mean_language(self) -> Tensor:
        return self.mean_embedding

    def encode(self, pixels: Tensor) -> Features:
        time.sleep(self._delay)
        self.batches.append(len(pixels))
        pooled = functional.adaptive_avg_pool2d(pixels.float() / 255 - 0.5, 8)  # (B, 3, 8, 8)
        cells = functional.pixel_unshuffle(pooled, 2)  # (B, 12, 4, 4)
        # A real encoder's sums depend on the batch in their last bits; this one's do so visibly.
        embedding = pooled.flatten(1) @ self._global + 0.01 * pooled.mean()
        return Features(
            embedding=embedding,
            language=torch.einsum("bchw,cd->bdhw", cells, self._language),
            dense=torch.einsum("bchw,cd->bdhw", cells, self._dense),
        )

    def encode_text(self, text: str) -> TextEmbedding:
        generator = torch.Generator().manual_seed(int(sha256(text.encode()).hexdigest()[:8], 16))
        return TextEmbedding(functional.normalize(torch.randn(32, generator=generator), dim=0))


def write_student(path: Path, *names: str, seed: int = 0) -> "Student":
    """A student with a random decoder, that finds something in most images."""
    from reco_assist.student import Design, Student  # seconds, and most of our processes need none
    from reco_assist.student.network import build

    design = Design(names, side=64)
    network = build(design, seed=seed)
    network.body.segmentation_head[0].weight.data *= 30  # sure of itself, so that refinement keeps it
    student = Student(design, network.state_dict())
    student.save(path)
    return student


def write_photos(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Small PNG files of smooth noise, no two alike, in two folders."""
    random = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        coarse = random.integers(0, 256, (6, 8, 3), np.uint8)
        path = folder / ("a" if number % 2 else "b") / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths
