"""One encoder of several models: one that knows words, one whose cells match across images."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from reco_assist.encoders.protocols import DenseEncoder, Features, LanguageImageEncoder, TextEmbedding
from reco_assist.images import decode, squash

_ORDINARY = 8  # bundled images that the means are taken of


class JoinedEncoder:
    """A language-image and a dense encoder behind one call; satisfies `Encoder`.

    CLIP's vectors of all images point much the same way. What is common to them is estimated on a few of the
    bundled sample images and taken off before cells are coded, since one bit a dimension codes differences.

    Args:
        name: Name that `load_encoder` understands.
        language: Gives dense language features, and global vectors unless `retrieval` does.
        dense: Gives dense features.
        retrieval: Gives global vectors, in a space of its own.
    """

    vocabulary = None
    reference_cells = None

    def __init__(
        self,
        name: str,
        language: LanguageImageEncoder,
        dense: DenseEncoder,
        *,
        retrieval: LanguageImageEncoder | None = None,
    ) -> None:
        self.name = name
        parts: list[LanguageImageEncoder | DenseEncoder] = [language, dense]
        parts[:0] = [] if retrieval is None else [retrieval]
        self._language, self._dense, self._retrieval = language, dense, retrieval
        self.weights = hashlib.sha256("".join(part.weights for part in parts).encode()).hexdigest()
        self.input_size = max(part.input_size for part in parts)

    @cached_property
    def mean_embedding(self) -> Tensor:
        """(E,) mean global vector of the bundled images."""
        if self._retrieval is None:
            return self._language_means[0]
        size = self._retrieval.input_size
        vectors = [self._retrieval.encode_image(_resized(pixels, size))[0].cpu() for pixels in self._shown()]
        return torch.stack(vectors).mean(0)

    @property
    def mean_language(self) -> Tensor:
        """(D,) mean language cell of the bundled images."""
        return self._language_means[1]

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Features:
        """Features of pixels (B, 3, S, S) uint8 RGB."""
        embedding, language = self._language.encode_language(_resized(pixels, self._language.input_size))
        if self._retrieval is not None:
            embedding = self._retrieval.encode_image(_resized(pixels, self._retrieval.input_size))
        dense = self._dense.encode_dense(_resized(pixels, self._dense.input_size))
        return Features(embedding=embedding, language=language, dense=dense)

    def encode_text(self, text: str) -> TextEmbedding:
        """Vector (D,) of a concept's name for cells, and (E,) for global vectors.

        Raises:
            InputError: The text is empty.
            EncoderError: A tokenizer is missing.
        """
        word = self._language.encode_text(text)
        if self._retrieval is None:
            return word
        whole = self._retrieval.encode_text(text).vector
        return TextEmbedding(word.vector, word.familiarity, word.nearest, whole=whole)

    @cached_property
    def _language_means(self) -> tuple[Tensor, Tensor]:
        """Mean global vector (D,) and mean cell (D,) of the language model, the only one run for them."""
        embeddings, cells = [], []
        for pixels in self._shown():
            embedding, language = self._language.encode_language(_resized(pixels, self._language.input_size))
            embeddings.append(embedding[0].cpu())
            cells.append(language[0].mean((1, 2)).cpu())
        return torch.stack(embeddings).mean(0), torch.stack(cells).mean(0)

    def _shown(self) -> Iterator[Tensor]:
        """Some of the bundled images, each (1, 3, S, S) uint8."""
        paths = sorted(Path(str(files("reco_assist") / "samples" / "archive")).glob("*.jpg"))
        for path in paths[:: max(1, len(paths) // _ORDINARY)][:_ORDINARY]:
            square = squash(decode(path).pixels, self.input_size)
            yield torch.from_numpy(square).permute(2, 0, 1)[None]


def _resized(pixels: Tensor, size: int) -> Tensor:
    """Pixels (B, 3, S, S) uint8 as (B, 3, size, size) uint8, bicubic and antialiased."""
    if pixels.shape[-1] == size:
        return pixels
    x = interpolate(pixels.float(), (size, size), mode="bicubic", antialias=True, align_corners=False)
    return x.round().clamp(0, 255).to(torch.uint8)
