"""Files of tensors that anybody may have written: safetensors, with one JSON text that says what they are.

What is read is bounded, of the kinds that were written, and finite; so nothing fails later, in the middle of
some work. No code in a file is ever run.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from reco_assist.errors import FormatError, StorageError
from reco_assist.files import read_bounded
from reco_assist.json_files import parse_json

KEY = "reco_assist"
"""Of the JSON text among a file's metadata. One key: the order of several is not fixed, and equal contents
must be equal bytes."""

_LARGEST_HEADER = 16 << 20  # bytes


@dataclass(frozen=True, slots=True)
class TensorFile:
    """What a file holds.

    Attributes:
        data: The JSON value.
        tensors: By name.
    """

    data: Any
    tensors: Mapping[str, Tensor]


def read_tensors(
    path: Path, what: str, remedy: str, *, largest: int, kinds: Collection[torch.dtype], key: str = KEY
) -> TensorFile:
    """Read a file of tensors whole.

    Args:
        path: Of the file.
        what: The kind of file with its article, for errors: `a Concept`.
        remedy: What to do about one that cannot be read, for errors.
        largest: Bytes that it may have.
        kinds: Of tensors that it may hold.
        key: Of the JSON text among its metadata.

    Raises:
        FormatError: It is no such file, too large, or has tensors of other kinds or that are not finite.
        OSError: It cannot be opened.
    """
    raw = read_bounded(path, largest)
    lost = f"{path} is not {what}, or it is damaged: {remedy}"
    text = _metadata(raw).get(key)
    if not isinstance(text, str):
        raise FormatError(lost)
    data = parse_json(text, f"The description in {path}", finite=True)
    try:
        tensors = safetensors.torch.load(raw)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise FormatError(lost) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in kinds:
            raise FormatError(f"{path} holds numbers of the kind {tensor.dtype} ({name[:40]!r}): {remedy}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise FormatError(f"{path} holds numbers that are not finite ({name[:40]!r}): {remedy}")
    return TensorFile(data, tensors)


def peek(path: Path) -> Any:  # noqa: ANN401  (any JSON value)
    """The JSON value of a file of tensors, read without them; None where it is no such file.

    Raises:
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        size = file.read(8)
        raw = size + file.read(min(int.from_bytes(size, "little"), _LARGEST_HEADER))
    text = _metadata(raw).get(KEY)
    try:
        return parse_json(text, path) if isinstance(text, str) else None
    except FormatError:
        return None


def pack_tensors(
    tensors: Mapping[str, Tensor], text: str, *, what: str, largest: int, key: str = KEY
) -> bytes:
    """The bytes of a file; the same contents give the same bytes.

    Args:
        tensors: By name.
        text: The JSON text that says what they are.
        what: What is written, for the error.
        largest: Bytes that `read_tensors` will allow it.
        key: See `read_tensors`.

    Raises:
        StorageError: It is larger, so that it could not be read.
    """
    plain = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
    raw = safetensors.torch.save(plain, metadata={key: text})
    if len(raw) > largest:
        raise StorageError(
            f"{what} takes {len(raw) / (1 << 20):.0f} MiB, more than the {largest >> 20} MiB that are read: "
            "learn it from fewer images"
        )
    return raw


def _metadata(raw: bytes) -> Mapping[str, Any]:
    """The metadata of a file's bytes; none where they are no such file."""
    end = 8 + int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or end > len(raw) or end > _LARGEST_HEADER:
        return {}
    try:
        header = parse_json(raw[8:end], "The header")
    except FormatError:
        return {}
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else {}
