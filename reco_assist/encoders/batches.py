"""Encode image files in small batches, decoding ahead of the model."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reco_assist.encoders.protocols import Encoder, Features
from reco_assist.images import decode, squash

BATCH = 16


def pixels_of(squares: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Batch (B, 3, S, S) uint8 of square images (S, S, 3)."""
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)  # (B, 3, S, S)


def encode_files(encoder: Encoder, paths: Sequence[Path]) -> Features:
    """Features of image files, in their order, on the CPU.

    Raises:
        ImageError: A file cannot be read.
    """
    parts = list(_encode(encoder, paths))
    return Features(
        embedding=torch.cat([part.embedding for part in parts]),
        language=torch.cat([part.language for part in parts]),
        dense=torch.cat([part.dense for part in parts]),
    )


def _encode(encoder: Encoder, paths: Sequence[Path]) -> Iterator[Features]:
    def square(path: Path) -> NDArray[np.uint8]:
        return squash(decode(path, reduce_to=encoder.input_size).pixels, encoder.input_size)

    with ThreadPoolExecutor() as pool:
        squares = pool.map(square, paths)
        for start in range(0, len(paths), BATCH):
            batch = [next(squares) for _ in paths[start : start + BATCH]]
            features = encoder.encode(pixels_of(batch))
            yield Features(features.embedding.cpu(), features.language.cpu(), features.dense.cpu())
