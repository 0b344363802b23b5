"""From a name on the command line to an encoder."""

import torch

from reco_assist.encoders.protocols import Encoder
from reco_assist.errors import EncoderError

NAMES = ("offline",)


def load_encoder(name: str = "offline", *, device: str = "auto") -> Encoder:
    """The encoder of that name, on a device.

    Args:
        name: One of `NAMES`.
        device: auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps.

    Raises:
        EncoderError: No such encoder or device, or its weights are missing.
    """
    if name not in NAMES:
        raise EncoderError(f"there is no encoder {name!r}: choose one of {', '.join(NAMES)}")
    from reco_assist.encoders.offline import OfflineEncoder  # noqa: PLC0415  (timm takes a second to import)

    return OfflineEncoder(device=pick_device(device))


def pick_device(device: str = "auto") -> torch.device:
    """The torch device of a name; auto takes CUDA, then MPS, then the CPU.

    Raises:
        EncoderError: The device does not exist here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(f"device {device!r} cannot be used here: choose auto, cpu, cuda or mps") from error
    return torch.device(device)
