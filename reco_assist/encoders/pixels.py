"""From bytes to what a network takes: resized, normalised, on its device, in its precision, in windows."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from reco_assist.errors import EncoderError

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


def slide(dense: Callable[[Tensor], Tensor], x: Tensor, *, window: int, patch: int) -> Tensor:
    """Dense map of an input, window by window; cells that several windows see are averaged.

    Windows lie half a window apart, and the last of a row ends with the input.

    Args:
        dense: From (n, 3, window, window) to (n, C, window / patch, window / patch).
        x: (B, 3, S, S) with S a multiple of the patch and at least the window.
        window: Side in pixels, a multiple of the patch.
        patch: Side of a cell in pixels.

    Returns:
        (B, C, S / patch, S / patch) float32.
    """
    cells, side = x.shape[-1] // patch, window // patch
    step = max(1, side // 2)
    starts = [*range(0, cells - side, step), cells - side]
    places = [(top, left) for top in starts for left in starts]
    parts = [
        dense(x[..., top * patch : top * patch + window, left * patch : left * patch + window])
        for top, left in places
    ]  # each (B, C, side, side)
    total = torch.zeros(len(x), parts[0].shape[1], cells, cells, device=x.device)  # (B, C, h, w)
    seen = torch.zeros(cells, cells, device=x.device)
    for (top, left), part in zip(places, parts, strict=True):
        total[..., top : top + side, left : left + side] += part
        seen[top : top + side, left : left + side] += 1
    return total / seen


def check_sizes(model: str, *, size: int, window: int | None, patch: int) -> None:
    """Refuse sizes that do not fit the patches or each other.

    Raises:
        EncoderError: A size is no multiple of the patch, or the window is larger than the input.
    """
    for name, value in (("size", size), ("window", window or size)):
        if value % patch:
            below, above = value - value % patch, value - value % patch + patch
            raise EncoderError(
                f"{model} cuts images into patches of {patch} pixels and {name}={value} is no multiple of "
                f"that: give {name}={below or patch} or {name}={above}"
            )
    if window is not None and window > size:
        raise EncoderError(
            f"{model} has window={window} and size={size}: give a window that fits into the size"
        )
