"""Dense language-image maps from the image towers of open_clip, without training anything.

Two ways to keep what is local, both by re-reading the tower's last attention:

- maskclip: every cell attends to itself alone, so that only the value path is left (Zhou, Loy, Dai: Extract
  Free Dense Labels from CLIP, ECCV 2022; the paper's DenseCLIP):
  D = proj(ln_post(out_proj(v_proj(ln_1 x)))), in a ResNet D = c_proj(v_proj(x)).
- self: queries attend to queries, softmax(q q^T / sqrt(d)) v, in a last block without feed-forward and
  residual (Lan et al.: ClearCLIP, ECCV 2024, of whose variants this is q-q; NACLIP, WACV 2025, takes k-k).

A tower whose tokens are pooled by one more attention (SigLIP, PE) or by a mean (ConvNeXt) is read by pooling
each cell alone, which is again the pool's value path.

B images, N = h * w cells, W width, D language-image dimensions
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import interpolate

from reco_assist.errors import EncoderError

Dense = Literal["self", "maskclip"]


class Tower(Protocol):
    """An image tower whose dense maps can be read.

    Attributes:
        modes: How they can be read, the default first.
        patch: Side of a cell in pixels.
        native: Side in pixels of the inputs it was trained with.
    """

    modes: tuple[Dense, ...]
    patch: int
    native: int

    def resize(self, size: int) -> None:
        """Fit position embeddings to inputs of a side of that many pixels."""

    def dense(self, encode: Callable[[], Tensor], how: Dense) -> tuple[Tensor, Tensor]:
        """Global vectors (B, D) that `encode` gives, and the dense map (B, D, h, w) of the same images."""


def tower_of(model: nn.Module, name: str) -> Tower:
    """How the tower of an open_clip model is read.

    Raises:
        EncoderError: It is of a kind that has no dense map, with the reason.
    """
    visual: Any = model.visual
    if isinstance(visual, ModifiedResNet):
        return _ResNetTower(visual)
    if isinstance(visual, VisionTransformer):
        if visual.attn_pool is not None:
            raise EncoderError(
                f"{name} pools its patches by many queries (CoCa), so no output belongs to a patch: "
                "choose a plain CLIP, SigLIP or PE model for dense maps"
            )
        return _TransformerTower(visual)
    if isinstance(visual, TimmModel):
        return _TimmTower(visual, name)
    raise EncoderError(f"{name} has a {type(visual).__name__} image tower, which has no dense map here")


class _TransformerTower:
    """open_clip's own vision transformer, with a class token."""

    modes: tuple[Dense, ...] = ("self", "maskclip")

    def __init__(self, visual: Any) -> None:  # noqa: ANN401  (open_clip is untyped)
        self._visual = visual
        self._block = visual.transformer.resblocks[-1]
        self._queries = _queries_for_keys(self._block.attn)
        self.patch = int(visual.patch_size[0])
        self.native = int(visual.image_size[0])

    def resize(self, size: int) -> None:
        """Fit position embeddings to inputs of a side of that many pixels."""
        visual, side = self._visual, size // self.patch
        resized = _resize_positions(visual.positional_embedding.data, side)
        visual.positional_embedding = nn.Parameter(resized, requires_grad=False)
        visual.grid_size, visual.image_size = (side, side), (size, size)

    def dense(self, encode: Callable[[], Tensor], how: Dense) -> tuple[Tensor, Tensor]:
        """Global vectors (B, D) that `encode` gives, and the dense map (B, D, h, w) of the same images."""
        with _inputs_of(self._block) as seen:
            embedding = encode()  # (B, D)
        x = self._block.ln_1(seen[-1][0])  # (B, 1 + N, W)
        if how == "self":
            x = _attend(self._queries, x)[:, 1:]  # (B, N, W)
        else:
            x = alone(lambda cells: _attend(self._block.attn, cells), x[:, 1:])  # (B, N, W)
        x = self._block.ls_1(getattr(self._block, "ln_attn", nn.Identity())(x))
        return embedding, as_map(self._visual.ln_post(x) @ self._visual.proj)


class _ResNetTower:
    """CLIP's ResNet, whose last attention is its pool."""

    modes: tuple[Dense, ...] = ("maskclip",)
    patch = 32

    def __init__(self, visual: Any) -> None:  # noqa: ANN401
        self._visual = visual
        self.native = int(visual.image_size)

    def resize(self, size: int) -> None:
        """Fit position embeddings to inputs of a side of that many pixels."""
        pool = self._visual.attnpool
        resized = _resize_positions(pool.positional_embedding.data, size // self.patch)
        pool.positional_embedding = nn.Parameter(resized, requires_grad=False)
        self._visual.image_size = size

    def dense(self, encode: Callable[[], Tensor], how: Dense) -> tuple[Tensor, Tensor]:
        """Global vectors (B, D) that `encode` gives, and the dense map (B, D, h, w) of the same images."""
        del how  # there is one way
        pool = self._visual.attnpool
        with _inputs_of(pool) as seen:
            embedding = encode()  # (B, D)
        cells = seen[-1][0].permute(0, 2, 3, 1)  # (B, h, w, W)
        return embedding, pool.c_proj(pool.v_proj(cells)).permute(0, 3, 1, 2)


class _TimmTower:
    """A timm trunk in open_clip: SigLIP, PE, EVA, ConvNeXt and others."""

    def __init__(self, visual: Any, name: str) -> None:  # noqa: ANN401
        self._visual, self._name = visual, name
        self._trunk: Any = visual.trunk
        self._pooled = getattr(self._trunk, "attn_pool", None) is not None
        blocks = getattr(self._trunk, "blocks", None)
        # Towers of convolutions, and hybrids that end in them, have no last attention.
        last = blocks[-1] if isinstance(blocks, nn.ModuleList | nn.Sequential) and len(blocks) else None
        self._block: Any = last if hasattr(last, "attn") and hasattr(last, "norm1") else None
        self._queries = None if self._block is None else _queries_for_keys(self._block.attn)
        embed = getattr(self._trunk, "patch_embed", None)
        self.patch = int(embed.patch_size[0]) if self._block is not None and embed is not None else 32
        self.native = int(visual.image_size[0])
        both: tuple[Dense, ...] = ("maskclip", "self") if self._pooled else ("self", "maskclip")
        self.modes = ("maskclip",) if self._block is None else both

    def resize(self, size: int) -> None:
        """Fit position embeddings to inputs of a side of that many pixels."""
        if hasattr(self._trunk, "set_input_size"):
            self._visual.set_input_size((size, size))
        elif self._block is not None:
            raise EncoderError(f"{self._name} takes inputs of {self.native} pixels only: leave the size out")

    def dense(self, encode: Callable[[], Tensor], how: Dense) -> tuple[Tensor, Tensor]:
        """Global vectors (B, D) that `encode` gives, and the dense map (B, D, h, w) of the same images."""
        if self._block is None:
            return self._mean_pooled(encode)
        if how == "maskclip" and self._pooled:
            with _inputs_of(self._trunk.attn_pool) as seen:
                embedding = encode()  # (B, D)
            x = seen[-1][0]  # (B, prefix + N, W)
            return embedding, as_map(alone(self._pool, x[:, len(x[0]) - self._cells(x) :]))
        with _inputs_of(self._block) as seen:
            embedding = encode()  # (B, D)
        x, options = seen[-1]
        x = self._block.norm1(x)  # (B, prefix + N, W)
        prefix = len(x[0]) - self._cells(x)
        if how == "self":
            x = _attend(self._queries, x, **options)[:, prefix:]  # (B, N, W)
        else:
            x = alone(lambda cells: _attend(self._block.attn, cells), x[:, prefix:])  # (B, N, W)
        x = self._trunk.norm(self._scaled(x))
        return embedding, as_map(alone(self._pool, x))

    def _mean_pooled(self, encode: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """A trunk whose last map is averaged: the head reads each cell of it alone."""
        maps: list[Tensor] = []
        original = self._trunk.forward_head

        def watched(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
            maps.append(x)
            return original(x, *args, **kwargs)  # type: ignore[no-any-return]

        self._trunk.forward_head = watched
        try:
            embedding = encode()  # (B, D)
        finally:
            self._trunk.forward_head = original
        x = maps[0]
        if x.ndim != 4 or getattr(self._trunk, "output_fmt", "NCHW") != "NCHW":
            raise EncoderError(f"{self._name} has no map of cells before its head: choose another model")
        batch, width, height, columns = x.shape
        cells = x.permute(0, 2, 3, 1).reshape(-1, width, 1, 1)  # (B*h*w, W, 1, 1)
        read = self._visual.head(original(cells))  # (B*h*w, D)
        return embedding, read.reshape(batch, height, columns, -1).permute(0, 3, 1, 2)

    def _cells(self, x: Tensor) -> int:
        """How many of the tokens (B, n, W) are cells: the largest square, since prefixes are few."""
        return int(len(x[0]) ** 0.5) ** 2

    def _scaled(self, x: Tensor) -> Tensor:
        """The attention branch as the block scales it (LayerScale)."""
        gamma: Tensor | None = getattr(self._block, "gamma_1", None)
        if gamma is not None:
            return x * gamma
        scale: Callable[[Tensor], Tensor] = getattr(self._block, "ls1", nn.Identity())
        return scale(x)

    def _pool(self, cells: Tensor) -> Tensor:
        """Cells (n, 1, W), each pooled alone and projected: (n, 1, D)."""
        trunk = self._trunk
        pooled = trunk.attn_pool(cells) if self._pooled else cells[:, 0]  # (n, W)
        pooled = trunk.head(trunk.head_drop(trunk.fc_norm(pooled)))
        projected: Tensor = self._visual.head(pooled)
        return projected[:, None]


def _queries_for_keys(attention: Any) -> Any:  # noqa: ANN401  (attention modules of two libraries)
    """A copy of an attention whose keys are its queries, so that it computes softmax(q q^T / sqrt(d)) v.

    Everything else stays the module's own: heads, rotary positions, norms, output projection.
    """
    twin = copy.deepcopy(attention)
    if hasattr(twin, "in_proj_weight"):
        width = twin.in_proj_weight.shape[1]
        with torch.no_grad():
            twin.in_proj_weight[width : 2 * width] = twin.in_proj_weight[:width]
            if twin.in_proj_bias is not None:
                twin.in_proj_bias[width : 2 * width] = twin.in_proj_bias[:width]
        if hasattr(twin, "ln_q"):
            twin.ln_k = twin.ln_q
        return twin
    with torch.no_grad():
        if getattr(twin, "qkv", None) is not None:
            third = len(twin.qkv.weight) // 3
            twin.qkv.weight[third : 2 * third] = twin.qkv.weight[:third]
            if twin.qkv.bias is not None:
                twin.qkv.bias[third : 2 * third] = twin.qkv.bias[:third]
            if getattr(twin, "q_bias", None) is not None:
                twin.k_bias.copy_(twin.q_bias)
        else:
            twin.k_proj = twin.q_proj
    twin.k_norm = twin.q_norm
    return twin


def _attend(attention: Any, x: Tensor, **options: Any) -> Tensor:  # noqa: ANN401
    """Output (B, n, W) of an attention over tokens (B, n, W)."""
    output: Tensor
    if isinstance(attention, nn.MultiheadAttention):
        output, _ = attention(x, x, x, need_weights=False)
    else:
        output = attention(x, **options)
    return output


def alone(read: Callable[[Tensor], Tensor], cells: Tensor) -> Tensor:
    """What `read` makes of each cell by itself: (B, N, W') of cells (B, N, W).

    An attention over a single token gives that token its own value, whatever queries and keys are.
    """
    batch, count, width = cells.shape
    return read(cells.reshape(batch * count, 1, width)).reshape(batch, count, -1)


def as_map(cells: Tensor) -> Tensor:
    """(B, D, h, w) of the cells (B, h*w, D) of a square grid."""
    side = int(cells.shape[1] ** 0.5)
    return cells.mT.reshape(len(cells), -1, side, side)


def _resize_positions(embedding: Tensor, side: int) -> Tensor:
    """Position embeddings (1 + n, W) for a grid of that side, bicubic as open_clip resizes them."""
    own = int((len(embedding) - 1) ** 0.5)
    grid = embedding[1:].T.reshape(1, -1, own, own)  # (1, W, h, w)
    resized = interpolate(grid, (side, side), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([embedding[:1], resized.flatten(2)[0].T])  # (1 + side^2, W)


@contextmanager
def _inputs_of(module: nn.Module) -> Iterator[list[tuple[Tensor, dict[str, Any]]]]:
    """What a module is called with while the block runs: (first argument, keywords) of each call."""
    seen: list[tuple[Tensor, dict[str, Any]]] = []
    handle = module.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args[0], kwargs)), with_kwargs=True
    )
    try:
        yield seen
    finally:
        handle.remove()
