"""What an encoder is: shapes are stated here once, and every other module relies on them.

B images of a batch, S input side in pixels, h x w grid cells,
E global, D dense language-image and C dense dimensions; E is D where one model gives both
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

if TYPE_CHECKING:
    from reco_assist.encoders.compact import CompactCells


@dataclass(frozen=True, slots=True)
class Features:
    """What an encoder makes of a batch of images. All tensors are float32 on the encoder's device.

    Attributes:
        embedding: (B, E) global language-image vectors, not normalised, not centred.
        language: (B, D, h, w) dense language-image features, comparable with a text vector by dot product.
        dense: (B, C, h', w') dense visual features for co-segmentation, not normalised.
    """

    embedding: Tensor
    language: Tensor
    dense: Tensor


@dataclass(frozen=True, slots=True)
class TextEmbedding:
    """What an encoder makes of a word.

    Attributes:
        vector: (D,) float32, unit length, comparable with cells and, unless `whole` is given, global vectors.
        familiarity: how well the encoder knows the word, 0 (not at all) to 1; None where it cannot tell.
        nearest: the words the encoder would explain the text by, nearest first; empty where it cannot tell.
        whole: (E,) float32, unit length, comparable with global vectors where another model gives those.
    """

    vector: Tensor
    familiarity: float | None = None
    nearest: tuple[str, ...] = ()
    whole: Tensor | None = None


class LanguageImageEncoder(Protocol):
    """A model that puts images and words into one space (CLIP and its kin)."""

    @property
    def name(self) -> str:
        """Name that `load_encoder` understands."""

    @property
    def weights(self) -> str:
        """SHA-256 of the weights, hexadecimal."""

    @property
    def input_size(self) -> int:
        """Side S of the square input, in pixels."""

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Global (B, D) features of pixels (B, 3, S, S) uint8 RGB."""

    def encode_language(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Global (B, D) and dense (B, D, h, w) language-image features of pixels (B, 3, S, S) uint8 RGB."""

    def encode_text(self, text: str) -> TextEmbedding:
        """Vector of a concept's name, the normalised mean over the encoder's prompts."""


class DenseEncoder(Protocol):
    """A model whose grid cells can be matched across images (DINO and its kin)."""

    @property
    def name(self) -> str:
        """Name that `load_encoder` understands."""

    @property
    def weights(self) -> str:
        """SHA-256 of the weights, hexadecimal."""

    @property
    def input_size(self) -> int:
        """Side S of the square input, in pixels."""

    def encode_dense(self, pixels: Tensor) -> Tensor:
        """Dense features (B, C, h, w) of pixels (B, 3, S, S) uint8 RGB."""


@runtime_checkable
class Encoder(Protocol):
    """What the rest of the package uses: a language-image and a dense encoder behind one call."""

    @property
    def name(self) -> str:
        """Name that `load_encoder` understands."""

    @property
    def weights(self) -> str:
        """SHA-256 of all weights, hexadecimal. Archives and Concepts are bound to it."""

    @property
    def input_size(self) -> int:
        """Side S in pixels of the square that images are resized to (bicubic, aspect not kept)."""

    @property
    def vocabulary(self) -> Tensor | None:
        """(v, D) unit rows: directions that words take, to choose an image's most telling cells by.

        None where it has none; an image's language cells are clustered then.
        """

    @property
    def mean_embedding(self) -> Tensor:
        """(E,) mean global vector of ordinary photographs, for centring before an archive has its own."""

    @property
    def mean_language(self) -> Tensor:
        """(D,) what language cells are centred by before they are coded."""

    @property
    def reference_cells(self) -> "CompactCells | None":
        """Compact cells of some 200 ordinary photographs, to judge presence by; None where it has none."""

    def encode(self, pixels: Tensor) -> Features:
        """Features of pixels (B, 3, S, S) uint8 RGB, on any device."""

    def encode_text(self, text: str) -> TextEmbedding:
        """Vector of a concept's name.

        Raises:
            InputError: The text is empty.
        """
