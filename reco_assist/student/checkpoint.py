"""Checkpoints of a training run: one file, written whole or not at all, that runs no code when it is read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from reco_assist.files import write_bytes

_KEY = "reco_assist"
_ADAM = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Where a run is.

    Attributes:
        identity: Of everything that decides the run.
        step: Steps done.
        iterations: All steps.
        scores: (step, mean IoU) of every look at the held-out images.
        losses: (step, loss).
        stopped: Whether the run has ended.
        tensors: Of the network and of Adam; empty while saving.
    """

    identity: str
    step: int
    iterations: int
    scores: Sequence[tuple[int, float]]
    losses: Sequence[tuple[int, float]]
    stopped: bool
    tensors: Mapping[str, Tensor]

    def restore(self, network: nn.Module, optimizer: torch.optim.Adam) -> None:
        """Put the tensors back."""
        prefix = "network."
        network.load_state_dict(
            {key.removeprefix(prefix): one for key, one in self.tensors.items() if key.startswith(prefix)}
        )
        for name, parameter in _parameters(optimizer).items():
            optimizer.state[parameter] = {
                part: self.tensors[f"adam.{name}.{part}"]
                .clone()
                .to(memory_format=torch.preserve_format, device="cpu" if part == "step" else parameter.device)
                for part in _ADAM
            }


def save_checkpoint(
    path: Path, about: Checkpoint, network: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Write a checkpoint.

    Raises:
        StorageError: It cannot be written; the last one stays.
    """
    tensors = {f"network.{key}": one for key, one in network.state_dict().items()}
    for name, parameter in _parameters(optimizer).items():
        tensors |= {f"adam.{name}.{part}": optimizer.state[parameter][part] for part in _ADAM}
    data = {
        "identity": about.identity,
        "step": about.step,
        "iterations": about.iterations,
        "scores": list(about.scores),
        "losses": list(about.losses),
        "stopped": about.stopped,
    }
    plain = {key: one.detach().cpu().contiguous() for key, one in tensors.items()}
    write_bytes(path, safetensors.torch.save(plain, metadata={_KEY: json.dumps(data)}))


def load_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """The checkpoint of a run; None where there is none, or it is another run's."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as opened:
            data = json.loads((opened.metadata() or {})[_KEY])
            if data["identity"] != identity:
                return None
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, KeyError, ValueError):
        return None
    scores, losses = ([(int(s), float(v)) for s, v in data[key]] for key in ("scores", "losses"))
    return Checkpoint(identity, data["step"], data["iterations"], scores, losses, data["stopped"], tensors)


def _parameters(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    groups = enumerate(optimizer.param_groups)
    return {f"{g}.{n}": one for g, group in groups for n, one in enumerate(group["params"])}
