"""Features that are asked for again, kept within a budget of bytes."""

from collections import OrderedDict
from hashlib import sha256

from torch import Tensor

from reco_assist.encoders.batches import encode_within_memory, joined
from reco_assist.encoders.compact import CompactCells
from reco_assist.encoders.protocols import Encoder, Features, TextEmbedding

_BUDGET = 512 << 20
"""Bytes kept by default: some 400 images of the offline encoder."""


class RememberingEncoder:
    """An encoder that computes the features of an image once, while they fit a budget.

    Images are recognised by their pixels, so a file that changes, or another size, is another image. The
    features that were not asked for longest go first. On hardware whose sums depend on the batch, remembered
    features can differ from new ones in their last bits.

    Args:
        encoder: What computes features.
        budget: Bytes of features that are kept, on the device that they come on.
    """

    def __init__(self, encoder: Encoder, *, budget: int = _BUDGET) -> None:
        self._encoder = encoder
        self._budget = budget
        self._kept: OrderedDict[bytes, Features] = OrderedDict()  # one image each, those used last at the end
        self._bytes = 0

    @property
    def name(self) -> str:
        """Name that `load_encoder` understands."""
        return self._encoder.name

    @property
    def weights(self) -> str:
        """SHA-256 of all weights, hexadecimal."""
        return self._encoder.weights

    @property
    def input_size(self) -> int:
        """Side S in pixels of the square that images are resized to."""
        return self._encoder.input_size

    @property
    def vocabulary(self) -> Tensor | None:
        """See `Encoder`."""
        return self._encoder.vocabulary

    @property
    def mean_embedding(self) -> Tensor:
        """See `Encoder`."""
        return self._encoder.mean_embedding

    @property
    def mean_language(self) -> Tensor:
        """See `Encoder`."""
        return self._encoder.mean_language

    @property
    def reference_cells(self) -> CompactCells | None:
        """See `Encoder`."""
        return self._encoder.reference_cells

    def encode_text(self, text: str) -> TextEmbedding:
        """See `Encoder`."""
        return self._encoder.encode_text(text)

    def encode(self, pixels: Tensor) -> Features:
        """Features of pixels (B, 3, S, S) uint8 RGB; only images that are not remembered are computed."""
        keys = [sha256(one.contiguous().numpy()).digest() for one in pixels.cpu()]
        found = {key: self._kept[key] for key in keys if key in self._kept}
        new = [i for i, key in enumerate(keys) if key not in found]
        if new:
            features = encode_within_memory(self._encoder, pixels[new])
            for place, i in enumerate(new):
                found[keys[i]] = _row(features, place)
        for key in keys:
            self._keep(key, found[key])
        return joined([found[key] for key in keys])

    def _keep(self, key: bytes, features: Features) -> None:
        if key in self._kept:
            self._kept.move_to_end(key)
            return
        self._kept[key] = features
        self._bytes += _size(features)
        while self._bytes > self._budget:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _row(features: Features, place: int) -> Features:
    """One image's features (1, ...), apart from the batch's memory."""
    return Features(
        *(getattr(features, name)[place : place + 1].clone() for name in ("embedding", "language", "dense"))
    )


def _size(features: Features) -> int:
    return sum(one.nbytes for one in (features.embedding, features.language, features.dense))
