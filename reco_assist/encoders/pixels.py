"""From bytes to what a network takes: resized, normalised, on its device, in its precision."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

Precision = Literal["auto", "float32", "float16", "bfloat16"]


class Preparation:
    """Resizes and normalises pixels for one network.

    Args:
        mean: Of the training images, per channel, 0 to 1.
        std: Standard deviation, likewise.
        device: Where the network is.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device)[:, None, None]
        self._std = torch.tensor(std, device=device)[:, None, None]
        self._device = device

    def __call__(self, pixels: Tensor, size: int) -> Tensor:
        """Pixels (B, 3, S, S) uint8 RGB as (B, 3, size, size) float32, bicubic and antialiased."""
        x = pixels.to(self._device).float()
        if x.shape[-1] != size:
            x = interpolate(x, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(
                0, 255
            )
        return (x / 255 - self._mean) / self._std


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context to run a network in.

    `auto` is half precision on CUDA and MPS and single precision on a processor. The name of an encoder says
    it, so that archives and Concepts record what their features were computed in.
    """
    if precision == "auto":
        precision = "float32" if device.type == "cpu" else "float16"
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))
