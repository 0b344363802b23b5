"""Few short cells instead of all long ones: what an archive keeps of an image's dense features.

Of the language cells the ones that say most to a vocabulary of words are kept; the dense cells are clustered.
Each kept vector becomes one bit per dimension after a random rotation, and one factor that makes the
estimated inner product unbiased (RaBitQ: Gao and Long, SIGMOD 2024). On 1,352 photographs this kept
.714 of .733 mAP for words, and .57 of .65 for three exemplars (before exact re-ranking).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from reco_assist.encoders.protocols import Features

LANGUAGE_CELLS = 8
DENSE_CELLS = 12
_CLUSTER_ROUNDS = 4
_WORDS = 64  # of the vocabulary, those an image answers best


@dataclass(frozen=True, slots=True)
class Codes:
    """Vectors of one bit per dimension.

    Attributes:
        bits: (..., n, ceil(dim / 8)) uint8, packed, first dimension in the highest bit.
        factors: (..., n) float16; estimate of x . q is factor * (signs . rotated q).
    """

    bits: NDArray[np.uint8]
    factors: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class CompactCells:
    """What is kept of n images' dense features.

    Attributes:
        language: `LANGUAGE_CELLS` most telling cells of each image, centred by the encoder's mean embedding.
        dense: `DENSE_CELLS` cluster centres of each image.
    """

    language: Codes
    dense: Codes


def compact_cells(features: Features, mean: Tensor, vocabulary: Tensor | None) -> CompactCells:
    """The compact cells of a batch; arguments as for `telling_cells`.

    Without a vocabulary the centred language cells are clustered, so that every part of an image has a cell.
    """
    mean = mean.to(features.language.device)
    if vocabulary is None:
        centred = features.language - mean[:, None, None]  # (B, D, h, w)
        language = cluster_cells(centred, count=LANGUAGE_CELLS)  # (B, n, D)
    else:
        language = telling_cells(features.language, mean, vocabulary.to(features.language.device))
    return CompactCells(encode(language), encode(cluster_cells(features.dense)))


def telling_cells(
    language: Tensor, mean: Tensor, vocabulary: Tensor, *, count: int = LANGUAGE_CELLS
) -> Tensor:
    """The cells that together answer most of a vocabulary.

    Greedy maximisation of the sum over words of the best chosen cell's cosine (cubed, negatives as zero).

    Args:
        language: (B, D, h, w) dense language-image features.
        mean: (D,) subtracted from every cell.
        vocabulary: (v, D) unit rows.
        count: How many cells; all where the grid has fewer.

    Returns:
        (B, n, D) float32, centred unit vectors, best first.
    """
    cells = normalize(language.flatten(2).mT - mean, dim=2)  # (B, h*w, D)
    cosines = cells @ vocabulary.T  # (B, h*w, v)
    words = cosines.amax(1).topk(min(_WORDS, len(vocabulary)), dim=1).indices  # (B, words)
    answers = cosines.gather(2, words[:, None].expand(-1, cells.shape[1], -1)).clamp_min_(0).pow_(3)
    covered = torch.zeros_like(answers[:, 0])  # (B, v)
    rows = torch.arange(len(cells), device=cells.device)
    chosen = []
    for _ in range(min(count, cells.shape[1])):
        gain = (answers - covered[:, None]).clamp_min_(0).sum(2)  # (B, h*w)
        best = gain.argmax(1)  # (B,)
        chosen.append(cells[rows, best])
        covered = torch.maximum(covered, answers[rows, best])
    return torch.stack(chosen, 1)  # (B, n, D)


def cluster_cells(dense: Tensor, *, count: int = DENSE_CELLS) -> Tensor:
    """Spherical k-means of each image's cells, started from its farthest points; deterministic.

    Args:
        dense: (B, C, h, w) dense features.
        count: How many clusters; an empty one keeps its starting cell.

    Returns:
        (B, n, C) float32 unit vectors.
    """
    cells = normalize(dense.flatten(2).mT, dim=2)  # (B, h*w, C)
    rows = torch.arange(len(cells), device=cells.device)
    nearest = torch.full_like(cells[..., 0], -2.0)  # (B, h*w)
    pick = (cells @ normalize(cells.mean(1), dim=1)[..., None]).squeeze(2).argmin(1)  # (B,)
    starts = []
    for _ in range(min(count, cells.shape[1])):
        start = cells[rows, pick]  # (B, C)
        starts.append(start)
        nearest = torch.maximum(nearest, (cells @ start[..., None]).squeeze(2))
        pick = nearest.argmin(1)
    centres = torch.stack(starts, 1)  # (B, n, C)
    for _ in range(_CLUSTER_ROUNDS):
        member = one_hot((cells @ centres.mT).argmax(2), centres.shape[1]).float()  # (B, h*w, n)
        sums = member.mT @ cells  # (B, n, C)
        centres = torch.where(member.sum(1)[..., None] > 0, normalize(sums, dim=2), centres)
    return centres


def encode(vectors: Tensor) -> Codes:
    """One bit per dimension of vectors (..., n, dim) float32."""
    rotated = vectors.cpu() @ _rotation(vectors.shape[-1]).T  # (..., n, dim)
    factors = rotated.square().sum(-1) / rotated.abs().sum(-1).clamp_min(1e-12)  # (..., n)
    bits = np.packbits((rotated > 0).numpy(), axis=-1)
    return Codes(bits, factors.numpy().astype(np.float16))


def inner_products(codes: Codes, query: Tensor) -> NDArray[np.float32]:
    """Estimated x . q for every coded x: (..., n) float32.

    Args:
        codes: Of vectors with the query's dimension.
        query: (dim,) float32.
    """
    dim = len(query)
    rotated = rotate(query)  # (dim,)
    signs = np.unpackbits(codes.bits, axis=-1, count=dim).astype(np.float32) * 2 - 1  # (..., n, dim)
    estimate: NDArray[np.float32] = (signs @ rotated) * codes.factors.astype(np.float32)
    return estimate


def rotate(query: Tensor) -> NDArray[np.float32]:
    """(dim,) float32: a query (dim,) as the signs of `Codes.bits` see it."""
    rotated: NDArray[np.float32] = (_rotation(len(query)) @ query.cpu()).numpy()
    return rotated


@lru_cache(maxsize=4)
def _rotation(dim: int) -> Tensor:
    """(dim, dim) a random rotation, the same on every machine: the QR with positive diagonal is unique."""
    gaussian = np.random.default_rng(dim).standard_normal((dim, dim))
    q, r = np.linalg.qr(gaussian)
    return torch.from_numpy((q * np.sign(np.diag(r))).astype(np.float32))
