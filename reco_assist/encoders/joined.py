"""One encoder of several models: one that knows words, one whose cells match across images."""

import hashlib
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
    ordinary = None

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

    @property
    def mean_embedding(self) -> Tensor:
        """(E,) mean global vector of the bundled images."""
        return self._means[0]

    @property
    def mean_language(self) -> Tensor:
        """(D,) mean language cell of the bundled images."""
        return self._means[1]

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
    def _means(self) -> tuple[Tensor, Tensor]:
        shown = sorted(Path(str(files("reco_assist") / "samples" / "archive")).glob("*.jpg"))
        embeddings, cells = [], []
        for path in shown[:: max(1, len(shown) // _ORDINARY)][:_ORDINARY]:
            square = squash(decode(path).pixels, self.input_size)
            features = self.encode(torch.from_numpy(square).permute(2, 0, 1)[None])
            embeddings.append(features.embedding[0].cpu())
            cells.append(features.language[0].mean((1, 2)).cpu())
        return torch.stack(embeddings).mean(0), torch.stack(cells).mean(0)


def _resized(pixels: Tensor, size: int) -> Tensor:
    """Pixels (B, 3, S, S) uint8 as (B, 3, size, size) uint8, bicubic and antialiased."""
    if pixels.shape[-1] == size:
        return pixels
    x = interpolate(pixels.float(), (size, size), mode="bicubic", antialias=True, align_corners=False)
    return x.round().clamp(0, 255).to(torch.uint8)
