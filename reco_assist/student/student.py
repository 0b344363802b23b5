"""The Student: a trained network as one file, safetensors with JSON metadata."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from reco_assist.errors import FormatError, InputError, reason
from reco_assist.files import write_bytes
from reco_assist.json_files import text, whole
from reco_assist.student.network import Design, Network
from reco_assist.tensor_files import pack_tensors, peek, read_tensors
from reco_assist.version import __version__

FORMAT = 1
_LARGEST = 1 << 30  # bytes; a network on the offline encoder has 20 MB, one on a ResNet-50 110
_KINDS = (torch.float32, torch.int64)  # of weights, and of counted batches


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
        described = json.dumps(data, ensure_ascii=False, sort_keys=True)
        return pack_tensors(self.state, described, what="the student", largest=_LARGEST)

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
        read = read_tensors(file, "a student", "train it again", largest=_LARGEST, kinds=_KINDS)
        data = read.data
        if not isinstance(data, dict) or (data.get("kind"), data.get("format")) != ("student", FORMAT):
            raise FormatError(
                f"{path} is no student that this release reads (format {FORMAT}): train it again, or install "
                "the release that wrote it"
            )
        try:
            design = data["design"]
            made = Design(
                tuple(map(text, design["concepts"])), text(design["encoder"]), whole(design["side"])
            )
            _check_shapes(made, read.tensors)
            return cls(made, read.tensors, dict(data["provenance"]))
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise FormatError(f"{path} is damaged ({reason(error)}): train the student again") from error


def _check_shapes(design: Design, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not those of such a network, before memory is taken for it."""
    with torch.device("meta"):
        wanted = Network(design).state_dict()
    for name in sorted({*wanted, *state}):
        one, other = wanted.get(name), state.get(name)
        if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
            raise ValueError(f"the tensor {name[:60]!r} is not that of its network")


def is_student(path: Path) -> bool:
    """Whether a file is a student and not a Concept; False for what cannot be read."""
    try:
        data = peek(path)
    except OSError:
        return False
    return isinstance(data, dict) and data.get("kind") == "student"
