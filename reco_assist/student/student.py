"""The Student: a trained network as one file, safetensors with JSON metadata."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from reco_assist.errors import FormatError, InputError
from reco_assist.files import write_bytes
from reco_assist.student.network import Design, Network
from reco_assist.version import __version__

FORMAT = 1
_KEY = "reco_assist"


@dataclass(frozen=True, eq=False)
class Student:
    """A trained segmenter. Made by `train`, applied by `StudentSegmenter`.

    Attributes:
        design: What its network looks like.
        state: Its tensors.
        provenance: JSON values: teachers, recipe, how many examples of which kind, when it was best.
    """

    design: Design
    state: Mapping[str, Tensor]
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def network(self) -> Network:
        """Its network, ready to predict, on the CPU."""
        network = Network(self.design)
        network.load_state_dict(dict(self.state))
        network.requires_grad_(requires_grad=False)
        return network.eval().to(memory_format=torch.channels_last)

    def to_bytes(self) -> bytes:
        """The student as safetensors with JSON metadata. The same student gives the same bytes."""
        data = {
            "format": FORMAT,
            "kind": "student",
            "design": asdict(self.design),
            "provenance": dict(self.provenance),
            "version": __version__,
        }
        text = json.dumps(data, ensure_ascii=False, sort_keys=True)
        state = {key: value.detach().cpu().contiguous() for key, value in self.state.items()}
        return safetensors.torch.save(state, metadata={_KEY: text})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `to_bytes`, hexadecimal: the student's identity."""
        return sha256(self.to_bytes()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the student to a file.

        Raises:
            StorageError: The file cannot be written; an older file is left as it was.
        """
        write_bytes(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a student.

        Raises:
            InputError: There is no such file.
            FormatError: It is not a student, or of a version that this release does not know.
        """
        file = Path(path)
        if not file.is_file():
            raise InputError(f"there is no student file {path}: make one with 'reco-assist train'")
        try:
            with safe_open(file, framework="pt") as opened:
                data = json.loads((opened.metadata() or {})[_KEY])
                state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  (not a dict)
        except (SafetensorError, KeyError, ValueError) as error:
            raise FormatError(f"{path} is not a student, or it is damaged: train it again") from error
        if not isinstance(data, dict) or (data.get("kind"), data.get("format")) != ("student", FORMAT):
            raise FormatError(
                f"{path} is no student that this release reads (format {FORMAT}): train it again, or install "
                "the release that wrote it"
            )
        try:
            design = data["design"]
            made = Design(tuple(map(str, design["concepts"])), str(design["encoder"]), int(design["side"]))
            student = cls(made, state, dict(data["provenance"]))
            student.network()
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise FormatError(f"{path} is damaged ({error}): train the student again") from error
        return student


def is_student(path: Path) -> bool:
    """Whether a file is a student and not a Concept; False for what cannot be read."""
    try:
        with safe_open(path, framework="pt") as opened:
            data = json.loads((opened.metadata() or {}).get(_KEY, "null"))
    except (SafetensorError, ValueError, OSError):
        return False
    return isinstance(data, dict) and data.get("kind") == "student"
