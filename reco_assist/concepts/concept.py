"""The Concept: what was learnt about a word or a few exemplars, as one small file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from reco_assist.annotations.spec import Method
from reco_assist.concepts.presence import Presence
from reco_assist.concepts.quality import Quality
from reco_assist.cosegment import LabelledCells
from reco_assist.encoders import identity
from reco_assist.errors import EncoderError, FormatError, InputError, reason, unknown_format
from reco_assist.files import write_bytes
from reco_assist.json_files import number, text, whole
from reco_assist.tensor_files import pack_tensors, read_tensors

FORMAT = 3
"""Number of the format that is written; the earlier ones are read as well.

Format 1 had no banks: no cells vote. Formats 1 and 2 did not say how a word's activation is scaled where
exemplars lead: it does not count.
"""

_SCALED = 3  # the first format that scales the activation of a word beside exemplars
_LARGEST = 64 << 20  # bytes; a Concept is a few megabytes: 200 kB an image of its set
_KINDS = (torch.float32, torch.float16)  # of vectors, and of cells that vote
_AGAIN = "learn the concept again"


@dataclass(frozen=True, slots=True)
class Seed:
    """A grid cell that taught the concept: (y, x) in cells of the encoder's grid."""

    content_hash: str
    y: int
    x: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a Concept comes from, so that every mask can be explained and made again.

    Attributes:
        encoder: Name of the encoder.
        weights: SHA-256 of its weights.
        archive: Id of the archive.
        kept: Content hashes of the set, best first.
        dropped: Content hashes that the curator pruned.
        seeds: The cells the set agreed on.
        exemplars: (content hash, region) of each exemplar; region as in `Exemplar.source`.
        contexts: Words that compete with the concept.
        familiarity: How well the encoder knows the word, 0 to 1; None without a word.
        nearest: The words that the encoder explains the word by.
        version: Of reco-assist.
        swapped: Foreground and background were exchanged by the curator.
    """

    encoder: str
    weights: str
    archive: str
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    seeds: tuple[Seed, ...]
    exemplars: tuple[tuple[str, str], ...]
    contexts: tuple[str, ...]
    familiarity: float | None
    nearest: tuple[str, ...]
    version: str
    swapped: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Concept:
    """A reusable concept. Made by `learn_concept`, applied by `Segmenter`.

    Attributes:
        name: The category's name, as typed.
        method: How it was learnt and how it is applied.
        foreground: (C,) what the concept looks like, unit length.
        background: (C,) what surrounds it, unit length; None with the paper's method.
        contexts: (m, C) what else competes with it, unit length; (0, 0) where nothing does.
        text: (D,) vector of the word; None where exemplars lead and their images do not answer it, and after
            a swap.
        saliency: Mean and standard deviation of the word's activation over the cells of the set; None where
            no word counts in scores.
        threshold: Mean automatic threshold over the set; None where each target decides alone.
        presence: When an image contains the concept at all; None where this was not learnt.
        provenance: Where all this comes from.
        quality: How far to trust it; None with the paper's method, and from files that do not say.
        banks: Cells that vote, the exemplars' before the set's; none with the paper's method.
    """

    name: str
    method: Method
    foreground: Tensor
    background: Tensor | None
    contexts: Tensor
    text: Tensor | None
    saliency: tuple[float, float] | None
    threshold: float | None
    presence: Presence | None
    provenance: Provenance = field(repr=False)
    quality: Quality | None = None
    banks: tuple[LabelledCells, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether exemplars or corrections taught it, and not a word alone."""
        return len(self.banks) > 1

    def check_encoder(self, name: str, weights: str) -> None:
        """Refuse another encoder than the concept was learnt with.

        Raises:
            EncoderError: The name or the weights differ.
        """
        mine = self.provenance
        if (identity(mine.encoder), mine.weights) != (identity(name), weights):
            raise EncoderError(
                f"the concept {self.name!r} was learnt with the encoder {mine.encoder} ({mine.weights[:12]}) "
                f"and this is {name} ({weights[:12]}): use the same encoder, or learn the concept again"
            )

    def to_bytes(self) -> bytes:
        """The concept as safetensors with JSON metadata. The same concept gives the same bytes.

        Raises:
            StorageError: It is larger than a Concept may be that is read.
        """
        tensors = {
            "foreground": self.foreground,
            "background": self.background,
            "contexts": self.contexts,
            "text": self.text,
        }
        kept = {key: value.float().contiguous() for key, value in tensors.items() if value is not None}
        for i, bank in enumerate(self.banks):
            kept |= {f"bank{i}_cells": bank.cells, f"bank{i}_labels": bank.labels}
        data = {
            "format": FORMAT,
            "name": self.name,
            "method": self.method,
            "saliency": self.saliency,
            "threshold": self.threshold,
            "presence": None if self.presence is None else asdict(self.presence),
            "quality": None if self.quality is None else asdict(self.quality),
            "provenance": asdict(self.provenance),
        }
        described = json.dumps(data, ensure_ascii=False, sort_keys=True)
        return pack_tensors(kept, described, what=f"the concept {self.name!r}", largest=_LARGEST)

    @property
    def digest(self) -> str:
        """SHA-256 of `to_bytes`, hexadecimal: the concept's identity."""
        return sha256(self.to_bytes()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the concept to a file.

        Raises:
            StorageError: The file cannot be written; an older file is left as it was.
        """
        write_bytes(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a concept.

        Raises:
            InputError: There is no such file.
            FormatError: It is not a Concept, or of a version that this release does not know.
        """
        file = Path(path)
        if not file.is_file():
            raise InputError(f"there is no concept file {path}: make one with 'reco-assist learn'")
        read = read_tensors(file, "a Concept", _AGAIN, largest=_LARGEST, kinds=_KINDS)
        data = read.data
        found = data.get("format") if isinstance(data, dict) else None
        if found not in range(1, FORMAT + 1):
            raise FormatError(unknown_format(f"The Concept {path}", found, FORMAT))
        try:
            return cls._from(data, read.tensors)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"{path} is damaged ({reason(error)}): {_AGAIN}") from error

    @classmethod
    def _from(cls, data: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        foreground, contexts = tensors["foreground"], tensors["contexts"]
        background, word = tensors.get("background"), tensors.get("text")
        channels = len(foreground) if foreground.ndim else 0
        expected: list[tuple[Tensor, tuple[int, ...]]] = [(foreground, (channels,))]
        expected += [(contexts, (len(contexts), channels))] if contexts.numel() else []
        expected += [(background, (channels,))] if background is not None else []
        expected += [(word, (max(1, word.numel()),))] if word is not None else []
        if not channels or contexts.dtype != torch.float32:
            raise ValueError("vectors without numbers")
        if any(one.dtype != torch.float32 or tuple(one.shape) != shape for one, shape in expected):
            raise ValueError("vectors of unexpected shape or kind")
        if data["method"] not in ("assist", "paper"):
            raise ValueError(f"unknown method {data['method']!r}")
        banks = _banks(tensors, channels)
        origin, quality = data["provenance"], data.get("quality")
        unscaled = data["format"] < _SCALED and origin["exemplars"]
        saliency = None if unscaled or data["saliency"] is None else _scale(data["saliency"])
        return cls(
            name=text(data["name"]),
            method=data["method"],
            foreground=foreground,
            background=background,
            contexts=contexts,
            text=word,
            saliency=saliency,
            threshold=None if data["threshold"] is None else number(data["threshold"]),
            presence=None if data["presence"] is None else Presence.from_json(data["presence"]),
            quality=None if quality is None else Quality.from_json(quality),
            banks=banks,
            provenance=_provenance(origin),
        )


def _provenance(origin: Mapping[str, Any]) -> Provenance:
    familiarity = origin["familiarity"]
    return Provenance(
        encoder=text(origin["encoder"]),
        weights=text(origin["weights"]),
        archive=text(origin["archive"]),
        kept=tuple(map(text, origin["kept"])),
        dropped=tuple(map(text, origin["dropped"])),
        seeds=tuple(Seed(text(s["content_hash"]), whole(s["y"]), whole(s["x"])) for s in origin["seeds"]),
        exemplars=tuple((text(digest), text(region)) for digest, region in origin["exemplars"]),
        contexts=tuple(map(text, origin["contexts"])),
        familiarity=None if familiarity is None else number(familiarity),
        nearest=tuple(map(text, origin["nearest"])),
        version=text(origin["version"]),
        swapped=origin.get("swapped", False) is True,
    )


def _scale(data: Sequence[float]) -> tuple[float, float]:
    mean, deviation = map(number, data)
    if deviation <= 0:
        raise ValueError(f"the deviation {deviation}")
    return mean, deviation


def _banks(tensors: Mapping[str, Tensor], channels: int) -> tuple[LabelledCells, ...]:
    found: list[LabelledCells] = []
    while (cells := tensors.get(f"bank{len(found)}_cells")) is not None:
        labels = tensors[f"bank{len(found)}_labels"]
        if cells.ndim != 2 or cells.shape[1] != channels or labels.shape != (len(cells),) or not len(cells):
            raise ValueError("a bank of unexpected shape")
        if cells.dtype != torch.float16 or labels.dtype != torch.float16:
            raise ValueError("a bank of an unexpected kind of numbers")
        if not bool(((labels >= 0) & (labels <= 1)).all()):
            raise ValueError("a bank of unexpected values")
        found.append(LabelledCells(cells, labels))
    return tuple(found)
