"""Brush corrections: a layer over a probability map that forces cells into or out of the mask."""

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import InputError

NONE, FORCE_ON, FORCE_OFF = 0, 1, 2


def apply_edits(
    scores: NDArray[np.uint8], threshold: int, edits: NDArray[np.uint8] | None
) -> NDArray[np.bool_]:
    """The final mask: what the curator sees and what is exported.

    Args:
        scores: (h, w) uint8 probability, 255 is certain.
        threshold: 1 to 255; a cell is in the mask from this value on.
        edits: (h, w) uint8 of 0 (as the scores say), 1 (in) or 2 (out); None for no corrections.

    Returns:
        (h, w) bool.

    Raises:
        InputError: The threshold is out of range, or the edits are of another size.
    """
    check_threshold(threshold)
    mask: NDArray[np.bool_] = scores >= threshold  # (h, w)
    if edits is None:
        return mask
    if edits.shape != scores.shape:
        raise InputError(
            f"Edits of {edits.shape} do not fit scores of {scores.shape}; edit at the size of the scores."
        )
    mask[edits == FORCE_ON] = True
    mask[edits == FORCE_OFF] = False
    return mask


def check_threshold(threshold: int) -> None:
    """Raises InputError unless 1 <= threshold <= 255: 0 would put the whole image into the mask."""
    if not 1 <= threshold <= 255:
        raise InputError(f"A threshold of {threshold} was given; it must be a byte from 1 to 255.")


def pack_edits(edits: NDArray[np.uint8]) -> bytes:
    """Four cells a byte, row-major, the first cell in the lowest bits; the last byte is filled with zeros."""
    cells = np.zeros(-(-edits.size // 4) * 4, np.uint8)
    cells[: edits.size] = edits.ravel()
    quads = cells.reshape(-1, 4)
    return (quads[:, 0] | quads[:, 1] << 2 | quads[:, 2] << 4 | quads[:, 3] << 6).astype(np.uint8).tobytes()


def unpack_edits(packed: bytes | memoryview, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The inverse of `pack_edits`.

    Args:
        packed: As `pack_edits` made them.
        shape: (h, w) of the result.

    Raises:
        InputError: The bytes do not fit the shape, or a cell is none of 0, 1, 2.
    """
    quads = np.frombuffer(packed, np.uint8)
    size = shape[0] * shape[1]
    if len(quads) != -(-size // 4):
        raise InputError(f"{len(quads)} bytes of packed edits do not fit {shape[0]} x {shape[1]} cells.")
    cells = (quads[:, None] >> np.array([0, 2, 4, 6], np.uint8) & np.uint8(3)).reshape(-1)[:size]
    if (cells > FORCE_OFF).any():
        raise InputError("Packed edits hold a cell of 3; cells are 0 (none), 1 (in) or 2 (out).")
    return cells.reshape(shape)


def edits_to_text(cells: NDArray[np.uint8]) -> str:
    """Cells (h, w) as a short text: packed, deflated and in base 85."""
    return base64.b85encode(zlib.compress(pack_edits(cells), 1)).decode()


def edits_of_text(text: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The inverse of `edits_to_text`, in no more memory than the cells need.

    Args:
        text: May come from anybody.
        shape: (h, w) of the result.

    Raises:
        InputError: The text is none of that shape.
    """
    size = -(-shape[0] * shape[1] // 4)
    try:
        packed = zlib.decompressobj().decompress(base64.b85decode(text), size + 1)
    except (ValueError, zlib.error) as error:
        raise InputError(f"{text[:20]!r}... are no packed edits; undo them, or paint them again.") from error
    return unpack_edits(packed, shape)
