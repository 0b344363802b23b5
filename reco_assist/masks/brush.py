"""Label Studio's brush masks: RGBA pixels in the bit stream of thi.ng/rle-pack.

A stream has a header, 32 bits number of values, 5 bits word size - 1 and four times 4 bits run size - 1,
then tokens: 1 bit (run or literal), 2 bits index of a run size, that many bits length - 1, and one word (run)
or length words (literal). Values are the channels of the pixels in row-major order; the mask is alpha.
Source: https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import FormatError, InputError

_WORD = 8
_RUN_SIZES = (3, 4, 8, 16)  # what the Label Studio SDK writes
_LONGEST = 1 << 16
_HEADER_BITS = 53
_CHUNK = 1 << 16  # bytes that are parsed at once: their tables stay in the processor's cache
_MOST_BITS = 4 * (3 + 16 + 32)  # that a pixel takes where each of its values is a token of its own
_OPAQUE = 128  # the editor's eraser leaves anti-aliased edges


def encode(mask: NDArray[np.bool_]) -> bytes:
    """Write a mask as all four channels 255 inside and 0 outside (a 0/1 mask would be invisible).

    The bytes equal those of `label_studio_sdk.converter.brush.mask2rle`; Label Studio wants them as a list.

    Args:
        mask: (H, W) bool.

    Raises:
        InputError: The array is not a two-dimensional bool array, or has no or 2^30 and more pixels.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_ or not 0 < mask.size < 1 << 30:
        raise InputError(f"A mask must be a bool array (H, W), not {mask.dtype} {mask.shape}; compare first.")
    flat = mask.ravel()  # (H * W,)
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)  # (runs,)
    values = flat[ends - 1].astype(np.uint64) * 255  # (runs,)
    runs = np.diff(ends, prepend=0) * 4  # (runs,), in channel values
    # A run longer than the largest size is cut; its rest keeps that size, however short it is.
    size = np.searchsorted([8, 16, 256], runs)  # (runs,), index of the run size
    pieces = (runs - 1) // _LONGEST + 1  # (runs,)
    lengths = np.full(int(pieces.sum()), _LONGEST)  # (tokens,)
    lengths[np.cumsum(pieces) - 1] = runs - (pieces - 1) * _LONGEST
    values, size = np.repeat(values, pieces), np.repeat(size, pieces)  # (tokens,)
    bits = np.array(_RUN_SIZES, np.uint64)[size]  # (tokens,)
    head = (size | 4).astype(np.uint64) << bits  # (tokens,): 1 for a run, then the index
    tokens = (head | (lengths - 1).astype(np.uint64)) << np.uint64(_WORD) | values  # (tokens,)
    return _pack(
        np.append(np.uint64(_header(mask.size * 4)), tokens),
        np.append(_HEADER_BITS, bits.astype(np.int64) + 11),
    )


def _header(count: int) -> int:
    header = count << 5 | _WORD - 1
    for size in _RUN_SIZES:
        header = header << 4 | size - 1
    return header


def _pack(codes: NDArray[np.uint64], bits: NDArray[np.int64]) -> bytes:
    """Write codes of up to 64 bits one after the other, then 1 to 8 zero bits to end a byte, as the SDK."""
    ends = np.cumsum(bits)  # (n,)
    total = int(ends[-1])
    words = np.zeros(total // 64 + 2, np.uint64)
    index, offset = np.divmod(ends - bits, 64)  # (n,)
    room = 64 - offset - bits  # (n,), negative where a code goes on in the next word
    inside = room >= 0
    high = np.where(
        inside,
        codes << np.maximum(room, 0).astype(np.uint64),
        codes >> np.maximum(-room, 0).astype(np.uint64),
    )
    first = np.flatnonzero(np.diff(index, prepend=-1))  # of the codes that start in one word
    words[index[first]] = np.bitwise_or.reduceat(high, first)
    over = np.flatnonzero(room < 0)  # at most one code a word goes on in the next
    words[index[over] + 1] |= codes[over] << (64 + room[over]).astype(np.uint64)
    return words.astype(">u8").tobytes()[: total // 8 + 1]


@dataclass(frozen=True, slots=True)
class _Stream:
    """A bit stream and its header.

    Attributes:
        data: (n + 8,) uint8, the bytes and some zeros, so that every bit starts a whole 64-bit window.
        bits: Number of bits.
        count: Number of values.
        word: Bits of a value.
        sizes: (4,) int64, bits of a run length.
    """

    data: NDArray[np.uint8]
    bits: int
    count: int
    word: int
    sizes: NDArray[np.int64]

    def windows(self, dtype: str) -> NDArray[Any]:
        """The big-endian integers that start at every byte, overlapping."""
        return np.ndarray(self.data.size - 7, dtype, self.data, strides=(1,))


def decode(data: bytes | Sequence[int], *, height: int, width: int) -> NDArray[np.bool_]:
    """Read the mask of a brush stream of any word and run sizes: where alpha is at least 128.

    Args:
        data: The bytes, or Label Studio's list of them.
        height: Pixels of the image as the browser shows it (EXIF orientation applied).
        width: Pixels, likewise.

    Returns:
        (H, W) bool.

    Raises:
        FormatError: The stream is no brush stream, is made for another size, or ends early.
    """
    stream = _open(data, height, width)
    mask = np.zeros(height * width, np.bool_)
    done = 0  # values
    for starts in _token_starts(stream):
        ends, opaque = _values(stream, starts, done)  # (items,), (items,)
        pixels = ends // 4  # how many alphas lie before
        before = done // 4
        filled = np.repeat(opaque, np.diff(pixels, prepend=before))
        mask[before : before + filled.size] = filled
        done = int(ends[-1])
        if done == stream.count:
            return mask.reshape(height, width)
    raise FormatError(f"The brush stream ends after {done} of {stream.count} values; it was cut short.")


def _open(data: bytes | Sequence[int], height: int, width: int) -> _Stream:
    try:
        # Of a number, bytes() would make as many zeros.
        if not isinstance(data, bytes | list | tuple) or len(data) * 8 > height * width * _MOST_BITS + 1024:
            raise TypeError
        raw = bytes(data)
    except (TypeError, ValueError) as error:
        raise FormatError(
            "A brush stream must be a list of bytes, 0 to 255, of no more than its image's pixels can take."
        ) from error
    if len(raw) * 8 < _HEADER_BITS:
        raise FormatError(f"A brush stream of {len(raw)} bytes has no header; it was cut short.")
    header = int.from_bytes(raw[:7], "big") >> 3
    count = header >> 21
    if count != height * width * 4 or not count:
        raise FormatError(
            f"The brush stream holds {count} values, but {width} x {height} RGBA pixels have "
            f"{height * width * 4}; it was made for another image size, or is no brush stream but COCO's."
        )
    sizes = np.array([(header >> shift & 15) + 1 for shift in (12, 8, 4, 0)])
    padded = np.frombuffer(raw + bytes(8), np.uint8)
    return _Stream(padded, len(raw) * 8, count, (header >> 16 & 31) + 1, sizes)


def _token_starts(stream: _Stream) -> Iterator[NDArray[np.int64]]:
    """Where tokens start, in bits, chunk by chunk; the last chunk may go on into the padding.

    A token says where the next one starts, so they can only be found one after the other. To make that one
    look-up each, the step from *every* bit of a chunk is computed first, as if a token started there.
    """
    position = _HEADER_BITS
    windows = stream.windows(">u4")
    run = np.arange(8) >= 4
    base = (
        3 + stream.sizes[np.arange(8) % 4] + stream.word
    )  # (8,) bits of the smallest token by its first 3 bits
    more = np.where(run, 0, stream.word).astype(np.uint32)  # (8,) bits of each further word
    unused = (32 - stream.sizes[np.arange(8) % 4]).astype(np.uint32)  # (8,)
    while position + 3 <= stream.bits:
        first = position // 8
        chunk = windows[first : first + _CHUNK].astype(np.uint32)  # (m,)
        steps = np.empty((chunk.size, 8), np.int64)  # from each bit of each byte
        for bit in range(8):
            window = chunk << np.uint32(bit)  # (m,), of which 25 bits hold at the least, and 19 are needed
            code = window >> np.uint32(29)  # (m,)
            length = (window << np.uint32(3)) >> unused[code]  # (m,)
            steps[:, bit] = base[code] + length * more[code]
        table = steps.ravel().data
        start, end = first * 8, min((first + chunk.size) * 8, stream.bits)
        found = []
        while position < end:
            found.append(position)
            position += table[position - start]
        yield np.array(found)


def _values(
    stream: _Stream, starts: NDArray[np.int64], done: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What the tokens at `starts` hold, as items of equal values.

    Returns:
        ends: (items,) int64, how many values the stream has up to the end of each item.
        opaque: (items,) bool, whether an item's value is at least 128.
    """
    windows = stream.windows(">u8")
    window = windows[starts // 8].astype(np.uint64) << (starts % 8).astype(np.uint64)  # (n,), >= 57 bits hold
    code = (window >> np.uint64(61)).astype(np.int64)  # (n,)
    sizes = stream.sizes[code % 4]  # (n,)
    lengths = (window << np.uint64(3) >> (64 - sizes).astype(np.uint64)).astype(np.int64) + 1  # (n,)
    is_run = code >= 4
    words = np.where(is_run, 1, lengths)  # (n,) items of each token
    before = np.cumsum(words) - words  # (n,) items of the tokens before
    place = np.arange(int(words.sum())) - np.repeat(before, words)  # (items,)
    at = np.repeat(starts + 3 + sizes, words) + place * stream.word  # (items,) in bits
    item_lengths = np.ones(at.size, np.int64)
    item_lengths[before[is_run]] = lengths[is_run]
    ends = done + np.cumsum(item_lengths)  # (items,)
    # What comes after the last value is padding.
    used = int(np.searchsorted(ends, stream.count)) + 1
    at, ends = at[:used], ends[:used]
    if ends[-1] > stream.count:
        raise FormatError(f"The brush stream has more than its {stream.count} values; it is damaged.")
    if at[-1] + stream.word > stream.bits:
        raise FormatError(f"The brush stream ends before all of its {stream.count} values; it was cut short.")
    value = windows[at // 8].astype(np.uint64) << (at % 8).astype(np.uint64) >> np.uint64(64 - stream.word)
    return ends, value >= _OPAQUE
