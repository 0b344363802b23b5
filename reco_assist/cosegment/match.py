"""Best match: how well every pixel of a set is found again in every image of the set.

The (k*h*w)^2 products never exist at once. Images i and j meet in one block, which is made once and read in
both directions, so half the products suffice; what remains is small (pixels x images) and is kept, which
makes dropping an image free and adding one cost k blocks.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from reco_assist.cosegment._checks import as_maps, same_grid, unit_features
from reco_assist.errors import InputError

Precision = Literal["float32", "bfloat16"]

# Products held at once: 4 MB of float32 stay near the core's cache whatever the grid.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class MatchMatrix:
    """The best-match matrix of a set, together with what it takes to change the set.

    Attributes:
        cells: k tensors (h*w, C), unit-length features in the precision of the products.
        weights: k tensors (h*w,) float32 in [0, 1].
        best: (k, k, h*w) float32; best[j, i, p] is the best match in image j of pixel p of image i. An
            image's share is then two runs of memory, so that dropping it is a plain copy of the others.
        grid: (h, w).
    """

    cells: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    best: Tensor
    grid: tuple[int, int]

    @property
    def match(self) -> Tensor:
        """(k*h*w, k) float32, B of `best_match`: a view; rows run over images, then y, then x."""
        return self.best.flatten(1).T

    @classmethod
    def build(cls, features: Tensor, weights: Tensor, *, precision: Precision = "float32") -> Self:
        """Match k images with each other; see `best_match` for arguments and errors."""
        if precision not in ("float32", "bfloat16"):
            raise InputError(f"Precision is {precision!r}, expected 'float32' or 'bfloat16'.")
        cells, flat = _prepare(features, weights, getattr(torch, precision))
        height, width = features.shape[2:]
        none = flat[0].new_empty(0, 0, height * width)
        return cls(cells, flat, _complete(cells, flat, none), (height, width))

    @torch.no_grad()
    def add(self, features: Tensor, weights: Tensor) -> Self:
        """The matrix of the set with more images at its end, equal to building it anew.

        Args:
            features: (m, C, h, w) raw features of the new images.
            weights: (m, h, w) in [0, 1].

        Raises:
            InputError: See `best_match`; or another grid or number of channels than the set has.
        """
        cells, flat = _prepare(features, weights, self.cells[0].dtype)
        channels = self.cells[0].shape[1]
        if features.shape[1:] != (channels, *self.grid):
            raise InputError(
                f"New features have shape {tuple(features.shape)}, expected (m, {channels}, {self.grid[0]}, "
                f"{self.grid[1]}) as the set has; encode the new images with the same encoder."
            )
        cells, flat = self.cells + cells, self.weights + flat
        return type(self)(cells, flat, _complete(cells, flat, self.best), self.grid)

    @torch.no_grad()
    def drop(self, indices: Collection[int]) -> Self:
        """The matrix of the set without some images, equal to building it anew. No product is computed.

        Args:
            indices: Positions in the set, 0 to k - 1.

        Raises:
            InputError: An index outside the set, or nothing would be left.
        """
        k = len(self.cells)
        gone = set(indices)
        if not gone <= set(range(k)):
            raise InputError(f"Cannot drop {sorted(gone)} from a set of {k} images; expected 0 to {k - 1}.")
        kept = [i for i in range(k) if i not in gone]
        if not kept:
            raise InputError(f"All {k} images of the set were dropped; keep at least one.")
        index = torch.tensor(kept, device=self.best.device)
        best = self.best.index_select(0, index).index_select(1, index)  # (kept, kept, h*w)
        return type(self)(
            tuple(self.cells[i] for i in kept),
            tuple(self.weights[i] for i in kept),
            best,
            self.grid,
        )


def best_match(features: Tensor, weights: Tensor, *, precision: Precision = "float32") -> Tensor:
    """How well each pixel p of a set is matched in each image j: B[p, j] = max_q (F_p . F_q) w_j(q).

    F is the feature at unit length; q runs over the pixels of image j alone, p's own image included
    (ReCo, section 3.2). The weight sits on the matched pixel.

    Args:
        features: (k, C, h, w) raw features of k images; any real dtype.
        weights: (k, h, w) in [0, 1], how far a pixel may serve as a match.
        precision: Of the products. "bfloat16" is several times faster on hardware that has it and deviates
            by up to .003; maxima are float32 in both.

    Returns:
        (k*h*w, k) float32; rows run over images, then y, then x.

    Raises:
        InputError: Shapes that do not belong together, no image, weights outside [0, 1], NaN or infinity.
    """
    return MatchMatrix.build(features, weights, precision=precision).match.contiguous()


@torch.no_grad()
def _prepare(
    features: Tensor, weights: Tensor, dtype: torch.dtype
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Checked features and weights as one tensor of cells per image."""
    unit = unit_features(features)  # (k, C, h, w)
    weights = as_maps(weights, "Weights", "(k, h, w)")
    same_grid(weights, unit, "Weights")
    if weights.min() < 0 or weights.max() > 1:
        raise InputError(
            f"Weights range from {weights.min():.3g} to {weights.max():.3g}, expected 0 to 1; "
            "pass them through a sigmoid first."
        )
    cells = unit.flatten(2).transpose(1, 2).to(dtype).contiguous()  # (k, h*w, C)
    return tuple(cells), tuple(weights.flatten(1))


@torch.no_grad()
def _complete(cells: tuple[Tensor, ...], weights: tuple[Tensor, ...], known: Tensor) -> Tensor:
    """Fill in the images that `known` (m, m, h*w) does not cover yet: (k, k, h*w)."""
    k, m = len(cells), len(known)
    best = weights[0].new_empty(k, k, len(cells[0]))  # (k, k, h*w)
    best[:m, :m] = known
    for j in range(m, k):
        # Always the earlier image first: an added image then gives the same bits as a new computation.
        for i in range(j + 1):
            best[j, i], best[i, j] = _best_of_pair(cells[i], cells[j], weights[i], weights[j])
    return best


def _best_of_pair(a: Tensor, b: Tensor, weight_a: Tensor, weight_b: Tensor) -> tuple[Tensor, Tensor]:
    """Best match of each pixel of a in b and of each pixel of b in a, (n,) each, a block at a time."""
    n = len(a)
    rows = max(1, _BLOCK // n)
    in_b = weight_a.new_empty(n)
    in_a = weight_a.new_full((n,), -torch.inf)
    weighted = weight_a.new_empty(min(rows, n), n)
    for start in range(0, n, rows):
        part = slice(start, min(start + rows, n))
        product = a[part] @ b.T  # (rows, n)
        out = weighted[: len(product)]
        torch.mul(product, weight_b, out=out)  # (rows, n)
        in_b[part] = out.amax(1)  # (rows,)
        torch.mul(product, weight_a[part, None], out=out)  # (rows, n)
        torch.maximum(in_a, out.amax(0), out=in_a)  # (n,)
    return in_b, in_a
