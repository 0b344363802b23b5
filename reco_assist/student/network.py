"""The network: DeepLabv3+ of segmentation-models-pytorch behind uint8 pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from reco_assist.encoders.offline import trunk
from reco_assist.errors import EncoderError, InputError, reason

_OFFLINE = "offline"
"""The encoder whose weights are installed with reco-assist: EfficientNet-Lite0, ImageNet."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True)
class Design:
    """What a network looks like.

    Attributes:
        concepts: Names of its classes; the background is a class of its own before them.
        encoder: `offline`, or a name of segmentation-models-pytorch (`resnet50`, `tu-` and a timm name).
        side: S, pixels of the square input.
    """

    concepts: tuple[str, ...]
    encoder: str = _OFFLINE
    side: int = 320

    def __post_init__(self) -> None:
        if not 64 <= self.side <= 2048 or self.side % 32:
            raise InputError(f"the size is {self.side}: give a multiple of 32 from 64 to 2048")


class Network(nn.Module):
    """Logits (B, 1 + K, S, S) of pixels (B, 3, S, S) uint8 RGB."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, design: Design) -> None:
        super().__init__()
        smp = _library()
        offline = design.encoder == _OFFLINE
        name = "tu-tf_efficientnet_lite0" if offline else design.encoder
        try:
            self.body = smp.DeepLabV3Plus(name, encoder_weights=None, classes=1 + len(design.concepts))
        except (KeyError, RuntimeError, ValueError) as error:
            raise EncoderError(
                f"segmentation-models-pytorch has no encoder {name!r} for DeepLabv3+: choose another, such "
                "as resnet50, or tu-NAME for a timm model"
            ) from error
        mean, deviation = ((0.5,) * 3, (0.5,) * 3) if offline else _statistics(name)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None] * 255, persistent=False)

    @property
    def encoder(self) -> nn.Module:
        """The part that was trained before."""
        found: nn.Module = self.body.encoder
        return found

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, 1 + K, S, S)."""
        logits: Tensor = self.body(self._normalised(pixels))
        return logits

    def predict(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, 1 + K, S, S), and what the images look like as a whole, (B, d)."""
        stages = self.body.encoder(self._normalised(pixels))
        logits = self.body.segmentation_head(self.body.decoder(stages))  # (B, 1 + K, S, S)
        return logits, stages[-1].mean((2, 3))

    def _normalised(self, pixels: Tensor) -> Tensor:
        return (pixels.float() - self.mean) / self.deviation  # (B, 3, S, S)


def build(design: Design, *, weights: Path | None = None, seed: int = 0) -> Network:
    """A network whose encoder was trained before and whose decoder is random.

    Args:
        design: What it looks like.
        weights: The encoder's weights, a state dict as safetensors or PyTorch file; if None those that are
            installed (offline), or those that segmentation-models-pytorch finds or fetches.
        seed: Of the decoder.

    Raises:
        EncoderError: There is no such encoder, or its weights are not at hand or do not fit.
        InputError: The extra `train` is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(design)
    if weights is not None:
        _fill(network.encoder, _read(weights), str(weights))
    elif design.encoder == _OFFLINE:
        _fill(network.encoder, trunk().state_dict(), "the offline encoder")
    else:
        _fill(network.encoder, _fetched(design.encoder), design.encoder)
    return network.to(memory_format=torch.channels_last)


def _fill(encoder: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load weights; timm models lie in `model`, and heads that a segmenter lacks are left out."""
    own = encoder.state_dict()
    prefix = "model." if all(key.startswith("model.") for key in own) else ""
    found = {key if key in own else prefix + key: value for key, value in state.items()}
    fitting = {key: found[key] for key in own if key in found and found[key].shape == own[key].shape}
    if missing := [key for key in own if key not in fitting]:
        raise EncoderError(
            f"{source} does not fit the encoder: {len(missing)} of {len(own)} tensors are missing or of "
            f"another shape, such as {missing[0]}; name the state dict of this very encoder"
        )
    encoder.load_state_dict(fitting)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise EncoderError(f"there is no weight file {path}: name a state dict, .safetensors or .pth")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, ValueError, EOFError, ImportError) as error:
        raise EncoderError(f"{path} is not a state dict: save one with torch or safetensors") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise EncoderError(f"{path} holds more than tensors, and code in files is never run") from error
    state: dict[str, Tensor] = found.get("state_dict", found) if isinstance(found, dict) else {}
    return state


def _fetched(name: str) -> dict[str, Tensor]:
    smp = _library()
    try:
        state: dict[str, Tensor] = smp.encoders.get_encoder(name, weights="imagenet").state_dict()
    except Exception as error:  # whatever the hub's client says, the remedy is the same
        raise EncoderError(
            f"the weights of the encoder {name!r} are not on this machine and could not be fetched "
            f"({reason(error)}): give --weights FILE, or take the encoder 'offline'"
        ) from error
    return state


def _statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the pixels that an encoder was trained with."""
    if not name.startswith("tu-"):
        return _IMAGENET
    import timm  # noqa: PLC0415  (a second)

    found = timm.get_pretrained_cfg(name.removeprefix("tu-"))
    return (tuple(found.mean), tuple(found.std)) if found is not None else _IMAGENET


def _library() -> Any:  # noqa: ANN401  (a module)
    try:
        import segmentation_models_pytorch as smp  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise InputError("students need the extra 'train': pip install 'reco-assist[train]'") from error
    return smp
