"""A network that outlines what stands out in a picture, whatever it is.

U²-Net in its small form (Qin, Zhang, Huang, Dehghan, Zaiane and Jagersand: U²-Net, Pattern Recognition 2020,
Fig. 5 and Table 1), written from the paper, with the weights its authors published under Apache-2.0. They are
shipped in half precision, with batch normalisation folded into the convolutions
(`scripts/u2net_weights.py`).
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

SIDE = 224
"""Side in pixels of the square that a picture is looked at in; the authors' 320 measured no better."""

_WEIGHTS = Path(__file__).with_name("u2net.safetensors")
_WIDTH, _INNER = 64, 16  # channels between the blocks and inside them
_DEPTHS = (7, 6, 5, 4)  # of the blocks that pool; the deepest, two going down and one coming up, dilate
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours


def salient_odds(picture: NDArray[np.uint8], *, device: str | torch.device = "cpu") -> NDArray[np.float32]:
    """What stands out in a picture.

    Args:
        picture: (H, W, 3) uint8 RGB of any size.
        device: Where the network runs.

    Returns:
        (`SIDE`, `SIDE`) float32 log odds that a pixel of the squashed picture belongs to what stands out;
        above 0 it does.
    """
    square = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    colours = torch.from_numpy(np.array(square)).to(device).permute(2, 0, 1)[None].float()  # (1, 3, S, S)
    colours = colours / colours.max().clamp_min(1)  # as the authors do: the brightest value is 1
    mean, deviation = (torch.tensor(c, device=device)[:, None, None] for c in (_MEAN, _DEVIATION))
    with torch.inference_mode():
        odds = load_salient(torch.device(device))((colours - mean) / deviation)  # (1, 1, S, S)
    found: NDArray[np.float32] = odds[0, 0].cpu().numpy()
    return found


@cache
def load_salient(device: torch.device) -> "SalientNet":
    """The network with its weights, ready to run."""
    network = SalientNet()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(_WEIGHTS).items()})
    # Pixel by pixel, all channels together: half the time on a processor.
    return network.eval().to(device).to(memory_format=torch.channels_last)


class SalientNet(nn.Module):
    """A U of U-shaped blocks: six going down, five coming up, and a weighted sum of what six of them see.

    Takes (B, 3, S, S) colours, standardised as ImageNet's, and gives (B, 1, S, S) log odds.
    """

    def __init__(self) -> None:
        super().__init__()
        both = 2 * _WIDTH  # a block that comes up reads its partner too
        self.down = nn.ModuleList(
            [
                _PoolingBlock(3, _DEPTHS[0]),
                *(_PoolingBlock(_WIDTH, depth) for depth in _DEPTHS[1:]),
                _DilatedBlock(_WIDTH),
                _DilatedBlock(_WIDTH),
            ]
        )
        self.up = nn.ModuleList(
            [_DilatedBlock(both), *(_PoolingBlock(both, depth) for depth in reversed(_DEPTHS))]
        )
        self.side = nn.ModuleList([nn.Conv2d(_WIDTH, 1, 3, padding=1) for _ in range(6)])
        self.fuse = nn.Conv2d(6, 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Log odds (B, 1, S, S) of pixels (B, 3, S, S)."""
        current, passed = pixels, []
        for position, block in enumerate(self.down):
            current = block(_halved(current) if position else current)  # (B, 64, S / 2^i, S / 2^i)
            passed.append(current)
        seen = [current]
        for block, partner in zip(self.up, reversed(passed[:-1]), strict=True):
            current = block(torch.cat((_like(current, partner), partner), 1))
            seen.append(current)
        maps = [side(one) for side, one in zip(self.side, reversed(seen), strict=True)]
        whole: Tensor = self.fuse(torch.cat([_like(one, maps[0]) for one in maps], 1))  # (B, 1, S, S)
        return whole


class _Convolution(nn.Module):
    """A 3 x 3 convolution and what is above zero of it."""

    def __init__(self, channels: int, out: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.conv(x))


class _PoolingBlock(nn.Module):
    """A U-shaped block whose way down halves the map at each step but the first and the last."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.enter = _Convolution(channels, _WIDTH)
        self.down = nn.ModuleList(
            [_Convolution(_WIDTH if step == 0 else _INNER, _INNER) for step in range(depth - 1)]
        )
        self.bottom = _Convolution(_INNER, _INNER, dilation=2)
        outs = [_INNER] * (depth - 2) + [_WIDTH]
        self.up = nn.ModuleList([_Convolution(2 * _INNER, out) for out in outs])

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        current, passed = entered, []
        for position, step in enumerate(self.down):
            current = step(_halved(current) if position else current)
            passed.append(current)
        current = self.bottom(current)
        for step, partner in zip(self.up, reversed(passed), strict=True):
            current = step(torch.cat((_like(current, partner), partner), 1))
        left: Tensor = current + entered
        return left


class _DilatedBlock(nn.Module):
    """A U-shaped block for maps that are too small to be halved: it dilates instead."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = _Convolution(channels, _WIDTH)
        self.down = nn.ModuleList(
            [_Convolution(_WIDTH if d == 1 else _INNER, _INNER, dilation=d) for d in (1, 2, 4)]
        )
        self.bottom = _Convolution(_INNER, _INNER, dilation=8)
        self.up = nn.ModuleList(
            [_Convolution(2 * _INNER, _WIDTH if d == 1 else _INNER, dilation=d) for d in (4, 2, 1)]
        )

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        current, passed = entered, []
        for step in self.down:
            current = step(current)
            passed.append(current)
        current = self.bottom(current)
        for step, partner in zip(self.up, reversed(passed), strict=True):
            current = step(torch.cat((current, partner), 1))
        left: Tensor = current + entered
        return left


def _halved(x: Tensor) -> Tensor:
    return max_pool2d(x, 2, ceil_mode=True)


def _like(x: Tensor, other: Tensor) -> Tensor:
    """A map at the size of another."""
    if x.shape[2:] == other.shape[2:]:
        return x
    return interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)
