"""Checkpoints of a training run: one file, written whole or not at all, that runs no code when it is read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from reco_assist.errors import FormatError, reason
from reco_assist.files import write_bytes
from reco_assist.json_files import number, whole
from reco_assist.tensor_files import pack_tensors, peek, read_tensors

_LARGEST = 4 << 30  # bytes; three times a student's
_KINDS = (torch.float32, torch.int64)
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
    write_bytes(path, pack_tensors(tensors, json.dumps(data), what="the checkpoint", largest=_LARGEST))


def load_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """The checkpoint of a run; None where there is none, or it is another run's.

    Raises:
        FormatError: It is damaged.
    """
    if not path.is_file():
        return None
    about = peek(path)
    if isinstance(about, dict) and about.get("identity") not in {None, identity}:
        return None
    remedy = "remove it to begin the training anew"
    read = read_tensors(path, "a checkpoint", remedy, largest=_LARGEST, kinds=_KINDS)
    try:
        data = read.data
        scores, losses = ([(whole(s), number(v)) for s, v in data[key]] for key in ("scores", "losses"))
        step, iterations = whole(data["step"]), whole(data["iterations"])
        stopped = data["stopped"] is True
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is damaged ({reason(error)}): {remedy}") from error
    return Checkpoint(identity, step, iterations, scores, losses, stopped, read.tensors)


def _parameters(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    groups = enumerate(optimizer.param_groups)
    return {f"{g}.{n}": one for g, group in groups for n, one in enumerate(group["params"])}
