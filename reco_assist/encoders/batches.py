"""Encode image files in small batches, decoding ahead of the model."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reco_assist.encoders.protocols import Encoder, Features
from reco_assist.errors import EncoderError, gpu_failure
from reco_assist.images import decode, squash

BATCH = 16


def pixels_of(squares: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Batch (B, 3, S, S) uint8 of square images (S, S, 3)."""
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)  # (B, 3, S, S)


def encode_within_memory(encoder: Encoder, pixels: torch.Tensor) -> Features:
    """Features of a batch (B, 3, S, S) uint8, in halves of halves where memory is too small for the whole.

    Raises:
        EncoderError: Memory is too small for a single image, or the device failed.
    """
    try:
        return encoder.encode(pixels)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            if (failure := gpu_failure(error)) is not None:
                raise EncoderError(failure) from error
            raise
        if len(pixels) == 1:
            raise EncoderError(
                f"memory is too small to encode one image with {encoder.name}: close other programs, or use "
                "--device cpu where a GPU's memory is short"
            ) from error
    half = len(pixels) // 2
    return joined([encode_within_memory(encoder, part) for part in (pixels[:half], pixels[half:])])


def joined(parts: Sequence[Features]) -> Features:
    """Features of several batches as those of one."""
    return Features(
        embedding=torch.cat([part.embedding for part in parts]),
        language=torch.cat([part.language for part in parts]),
        dense=torch.cat([part.dense for part in parts]),
    )


def _is_out_of_memory(error: Exception) -> bool:
    """Torch has a class for a GPU's memory only; its CPU allocator and Apple's say it in words."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        word in str(error).lower() for word in words
    )


def encode_files(encoder: Encoder, paths: Sequence[Path]) -> Features:
    """Features of image files, in their order, on the CPU.

    Raises:
        ImageError: A file cannot be read.
    """
    return joined(list(_encode(encoder, paths)))


def _encode(encoder: Encoder, paths: Sequence[Path]) -> Iterator[Features]:
    def square(path: Path) -> NDArray[np.uint8]:
        return squash(decode(path, reduce_to=encoder.input_size).pixels, encoder.input_size)

    with ThreadPoolExecutor() as pool:
        squares = pool.map(square, paths)
        for start in range(0, len(paths), BATCH):
            batch = [next(squares) for _ in paths[start : start + BATCH]]
            features = encode_within_memory(encoder, pixels_of(batch))
            yield Features(features.embedding.cpu(), features.language.cpu(), features.dense.cpu())
