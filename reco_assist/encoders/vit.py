"""Dense encoders of timm: what the cells of two images have in common, from any backbone."""

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from reco_assist.encoders.names import ModelName
from reco_assist.encoders.pixels import Precision, Preparation, autocast, check_sizes
from reco_assist.encoders.weights import check_timm, weight_file
from reco_assist.errors import EncoderError, reason
from reco_assist.files import file_hash

_UNFIT = (
    RuntimeError,
    ValueError,
    KeyError,
    OSError,
    AttributeError,
    AssertionError,
    SafetensorError,
    pickle.UnpicklingError,
)
_TOGETHER = 4  # images a processor encodes at once; larger batches leave its cache
_HEADS = ("head", "fc_norm", "fc.", "classifier", "dist_token")  # what a backbone does without


class VitEncoder:
    """Any timm backbone as `DenseEncoder`: DINOv2, DINOv3, DeiT, PE, ConvNeXt, ResNet and others.

    Args:
        name: `vit:MODEL` or `vit:MODEL@FILE`; options size, blocks (several are normalised and joined),
            stride (overlapping patches, Amir et al. 2021), position (positional directions to remove) and
            precision.
        device: Torch device.

    Raises:
        EncoderError: No such model, weights that are missing or do not fit, or an option it cannot have.
    """

    def __init__(self, name: ModelName, *, device: str | torch.device = "cpu") -> None:
        check_timm(name.model)
        self.name = str(name)
        self.device = torch.device(device)
        self._precision = cast("Precision", name.options.get("precision", "auto"))
        file = weight_file(name)
        architecture = name.model.removesuffix(".sin")
        config = timm.get_pretrained_cfg(architecture)
        self.input_size = name.number("size") or config.input_size[-1]
        net = _create(architecture, self.input_size)
        _fill(net, file, name.model)
        self.weights = file_hash(file)
        patch = _patch(net)
        if patch is not None:
            check_sizes(name.model, size=self.input_size, window=None, patch=patch)
        self._overlapping = (stride := name.number("stride")) is not None
        if stride is not None:
            _overlap(net, name.model, self.input_size, stride)
        self._blocks = [int(block) for block in name.options.get("blocks", "-1").split("/")]
        self._net: Any = net.to(self.device).eval().requires_grad_(requires_grad=False)
        self._prepare = Preparation(config.mean, config.std, self.device)
        self._check_blocks(name.model)
        self._positions: Tensor | None = None
        if directions := name.number("position"):
            self._positions = positional_subspace(self._black(), directions)

    @torch.inference_mode()
    def encode_dense(self, pixels: Tensor) -> Tensor:
        """Dense features (B, C, h, w) of pixels (B, 3, S, S) uint8 RGB, prefix tokens left out."""
        parts = torch.split(pixels, _TOGETHER) if self.device.type == "cpu" else (pixels,)
        features = torch.cat([self._features(self._prepare(part, self.input_size)) for part in parts])
        return features if self._positions is None else _remove_subspace(features, self._positions)

    def _features(self, x: Tensor) -> Tensor:
        with autocast(self.device, self._precision):
            # timm lays tokens out by the patch size, so overlapping patches are laid out here.
            layout = "NLC" if self._overlapping else "NCHW"
            maps: list[Tensor] = self._net.forward_intermediates(
                x, indices=self._blocks, norm=True, output_fmt=layout, intermediates_only=True
            )
        if self._overlapping:
            side = int(maps[0].shape[1] ** 0.5)
            maps = [one.mT.reshape(len(one), -1, side, side) for one in maps]
        if len(maps) == 1:
            return maps[0].float()
        finest = max((one.shape[-2:] for one in maps), key=lambda grid: grid[0])
        same = [
            interpolate(one.float(), finest, mode="bilinear", align_corners=False)
            if one.shape[-2:] != finest
            else one.float()
            for one in maps
        ]
        return torch.cat([normalize(one, dim=1) for one in same], dim=1)  # (B, C, h, w)

    def _black(self) -> Tensor:
        """Features (1, C, h, w) of a black image, which have nothing but positions to tell apart."""
        size = self.input_size
        with torch.inference_mode():
            return self._features(self._prepare(torch.zeros(1, 3, size, size, dtype=torch.uint8), size))

    def _check_blocks(self, model: str) -> None:
        if not hasattr(self._net, "forward_intermediates"):
            raise EncoderError(f"timm cannot give the feature maps of {model}: choose another backbone")
        try:
            self._black()
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise EncoderError(
                f"{model} cannot be run at size={self.input_size} with blocks {self._blocks} "
                f"({reason(error)}): give other blocks, or leave the size out"
            ) from error


def positional_subspace(features: Tensor, directions: int) -> Tensor:
    """The directions in which cells of a contentless image differ: what they say about position alone.

    The leading left singular vectors of the normalised, centred features (Cuttano et al.: INSID3, CVPR 2026).

    Args:
        features: (1, C, h, w) of a black image.
        directions: How many, at most as many as there are channels or cells less one.

    Returns:
        (C, directions) orthonormal columns.

    Raises:
        EncoderError: More directions than there are.
    """
    cells = normalize(features, dim=1).flatten(2)[0].float()  # (C, N)
    most = min(cells.shape[0], cells.shape[1]) - 1
    if directions > most:
        raise EncoderError(
            f"position={directions} removes more directions than there are: give at most {most}"
        )
    centred = cells - cells.mean(1, keepdim=True)
    basis: Tensor = torch.linalg.svd(centred, full_matrices=False)[0]
    return basis[:, :directions]


def _remove_subspace(features: Tensor, basis: Tensor) -> Tensor:
    """Unit features (B, C, h, w) without what lies in the span of the basis (C, r): (I - U U^T) f."""
    unit = normalize(features, dim=1)
    inside = torch.einsum("cr,br...->bc...", basis, torch.einsum("cr,bc...->br...", basis, unit))
    return unit - inside


def _create(architecture: str, size: int) -> Any:  # noqa: ANN401  (timm is untyped)
    """The network with random weights, made for inputs of that size where it has to be."""
    for options in ({"dynamic_img_size": True}, {"img_size": size}, {}):
        try:
            return timm.create_model(architecture, pretrained=False, num_classes=0, **options)
        except TypeError:
            continue
    raise EncoderError(f"timm cannot build {architecture}: choose another backbone")


def _fill(net: nn.Module, file: Path, model: str) -> None:
    """Load a checkpoint: a state dict, alone or under 'model' or 'state_dict', 'module.' prefixes removed.

    Raises:
        EncoderError: It is not one of this network.
    """
    try:
        state: Mapping[str, Any] = load_state_dict(str(file), use_ema=False, weights_only=True)
        module = sys.modules[type(net).__module__]
        if filtered := getattr(module, "checkpoint_filter_fn", None):
            state = filtered(dict(state), net)
        missing, unexpected = net.load_state_dict(state, strict=False)
    except _UNFIT as error:
        raise EncoderError(
            f"{file} does not hold weights of {model} ({reason(error)}): give a safetensors file or a "
            "state dict"
        ) from error
    strangers = [key for key in unexpected if not key.startswith(_HEADS)]
    if missing or strangers:
        odd = f"{len(missing)} tensors are missing, such as {missing[0]}" if missing else ""
        odd = odd or f"{len(strangers)} do not belong there, such as {strangers[0]}"
        raise EncoderError(f"{file} does not hold weights of {model}: {odd}")


def _patch(net: Any) -> int | None:  # noqa: ANN401  (timm is untyped)
    """Side of a transformer's patch in pixels; None of other networks."""
    embed = getattr(net, "patch_embed", None)
    size = getattr(embed, "patch_size", None)
    return None if size is None else int(size[0])


def _overlap(net: Any, model: str, size: int, stride: int) -> None:  # noqa: ANN401
    """Let patches overlap: one cell for every `stride` pixels, centred on them.

    Raises:
        EncoderError: It is no plain vision transformer, or the stride does not fit.
    """
    patch = _patch(net)
    projection = getattr(getattr(net, "patch_embed", None), "proj", None)
    if patch is None or not isinstance(projection, nn.Conv2d) or not getattr(net, "dynamic_img_size", False):
        raise EncoderError(f"{model} is no plain vision transformer: leave the stride out")
    if stride > patch or (patch - stride) % 2 or size % stride:
        raise EncoderError(
            f"{model} cannot have stride={stride} at size={size}: give an even number of pixels less than "
            f"its patch of {patch} that divides the size"
        )
    dense = nn.Conv2d(
        projection.in_channels,
        projection.out_channels,
        patch,
        stride=stride,
        padding=(patch - stride) // 2,
        padding_mode="reflect",
        bias=projection.bias is not None,
    )
    dense.load_state_dict(projection.state_dict())
    net.patch_embed.proj = dense
