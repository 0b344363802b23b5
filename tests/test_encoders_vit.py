"""Dense encoders of timm on random weights, against timm's own forward passes."""

import math

import pytest
import timm
import torch
from timm.models import load_state_dict
from torch.nn import functional as F  # noqa: N812
from weights import save, timm_model

from reco_assist.encoders.names import ModelName
from reco_assist.encoders.vit import VitEncoder, positional_subspace
from reco_assist.errors import EncoderError

pytestmark = pytest.mark.slow

TINY = "vit_tiny_patch16_224"
FAMILIES = {
    "vit_small_patch14_reg4_dinov2": (56, 84, 126),  # DINOv2: class token and registers, native at 518
    "vit_small_patch16_dinov3": (64, 96, 160),  # DINOv3: rotary positions
    "vit_pe_spatial_tiny_patch16_512": (
        64,
        96,
        160,
    ),  # PE-Spatial: class token, rotary and absolute positions
    "deit_tiny_distilled_patch16_224": (64, 96, 160),  # two prefix tokens
    TINY: (64, 96, 160),
    "convnext_atto": (64, 96, 160),
    "resnet18": (64, 96, 160),
}


@pytest.fixture(scope="module")
def file_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")

    def make(model):
        path = folder / f"{model}.safetensors"
        return path if path.exists() else save(timm_model(model), path)

    return make


def encoder(text):
    return VitEncoder(ModelName.parse(text))


def pixels(size, count=2):
    generator = torch.Generator().manual_seed(size)
    coarse = torch.randint(0, 256, (count, 3, 7, 7), generator=generator).float()
    return F.interpolate(coarse, (size, size), mode="bilinear").to(torch.uint8)


def prepared(batch, net):
    mean, std = (torch.tensor(net.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    return (batch / 255 - mean) / std


def close(found, expected):
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def as_map(tokens, net):
    """Tokens (B, prefix + N, C) of timm without the prefix, as (B, C, h, w)."""
    cells = tokens[:, net.num_prefix_tokens :]
    side = int(cells.shape[1] ** 0.5)
    return cells.mT.unflatten(2, (side, side))


@pytest.mark.parametrize("model", FAMILIES)
@torch.inference_mode()
def test_features_are_those_of_forward_features(file_of, model):
    file = file_of(model)
    for size in FAMILIES[model]:
        options = {"dynamic_img_size": True} if "patch" in model else {}
        net = timm.create_model(model, num_classes=0, **options).eval()
        net.load_state_dict(load_state_dict(str(file)))
        expected = net.forward_features(prepared(pixels(size), net))
        found = encoder(f"vit:{model},size={size}@{file}")
        close(found.encode_dense(pixels(size)), expected if expected.ndim == 4 else as_map(expected, net))
        assert found.input_size == size


def test_a_model_is_run_at_the_size_it_was_trained_for(file_of):
    assert encoder(f"vit:{TINY}@{file_of(TINY)}").input_size == 224


def test_half_precision_is_close(file_of):
    exact, coarse = (
        encoder(f"vit:{TINY},precision={one},size=96@{file_of(TINY)}").encode_dense(pixels(96))
        for one in ("float32", "bfloat16")
    )
    assert coarse.dtype == torch.float32
    assert not torch.equal(exact, coarse)
    assert F.cosine_similarity(exact, coarse).min() > 0.99


@torch.inference_mode()
def test_blocks_are_normalised_and_joined(file_of):
    net = timm_model(TINY)
    outputs = []
    for index in (8, 11):
        net.blocks[index].register_forward_hook(lambda _, __, output: outputs.append(output))
    net.forward_features(prepared(pixels(224), net))
    expected = torch.cat([F.normalize(as_map(net.norm(one), net), dim=1) for one in outputs], 1)
    close(encoder(f"vit:{TINY},blocks=8/-1@{file_of(TINY)}").encode_dense(pixels(224)), expected)


@torch.inference_mode()
def test_blocks_of_other_resolutions_are_resized(file_of):
    net = timm_model("resnet18")
    maps = net.forward_intermediates(prepared(pixels(64), net), indices=[3, 4], intermediates_only=True)
    coarse = F.interpolate(maps[1], maps[0].shape[-2:], mode="bilinear")
    expected = torch.cat([F.normalize(maps[0], dim=1), F.normalize(coarse, dim=1)], 1)
    found = encoder(f"vit:resnet18,blocks=3/4,size=64@{file_of('resnet18')}")
    close(found.encode_dense(pixels(64)), expected)


@torch.inference_mode()
def test_stride_overlaps_patches_centred_on_their_cells(file_of):
    """By hand: patches cut from the mirrored image, positions interpolated, blocks and norm of the model."""
    net, size, stride = timm_model(TINY), 96, 8
    x = F.pad(prepared(pixels(size), net), (4, 4, 4, 4), mode="reflect")
    patches = F.unfold(x, 16, stride=stride).mT  # (B, 144, 768)
    tokens = patches @ net.patch_embed.proj.weight.flatten(1).T + net.patch_embed.proj.bias
    grid = net.pos_embed[:, 1:].mT.unflatten(2, (14, 14))
    grid = F.interpolate(grid, (12, 12), mode="bicubic", antialias=True).flatten(2).mT
    tokens = torch.cat([(net.cls_token + net.pos_embed[:, :1]).expand(2, -1, -1), tokens + grid], 1)
    expected = as_map(net.norm(net.blocks(tokens)), net)
    found = encoder(f"vit:{TINY},size={size},stride={stride}@{file_of(TINY)}")
    close(found.encode_dense(pixels(size)), expected)


@torch.inference_mode()
def test_the_positional_subspace_is_projected_out(file_of):
    """Principal directions of a black image's cells, by their covariance; what is left is orthogonal."""
    plain = encoder(f"vit:{TINY},size=96@{file_of(TINY)}")
    black = F.normalize(plain.encode_dense(torch.zeros(1, 3, 96, 96, dtype=torch.uint8)), dim=1)[0].flatten(1)
    covariance = torch.cov(black.double())
    directions = torch.linalg.eigh(covariance).eigenvectors[:, -4:].float()  # (C, 4)
    unit = F.normalize(plain.encode_dense(pixels(96)), dim=1)
    inside = torch.einsum("cr,dr,bd...->bc...", directions, directions, unit)
    found = encoder(f"vit:{TINY},position=4,size=96@{file_of(TINY)}").encode_dense(pixels(96))
    close(found, unit - inside)
    assert torch.einsum("cr,bc...->br...", directions, found).abs().max() < 1e-4
    basis = positional_subspace(plain.encode_dense(pixels(96, 1)), 3)
    assert torch.allclose(basis.T @ basis, torch.eye(3), atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module."])
@torch.inference_mode()
def test_deit_sin_is_loaded_from_its_published_layout(tmp_path, prefix):
    """The authors' file: a distilled DeiT-S under 'model' with its classifiers, beside training state."""
    net = timm_model("deit_small_distilled_patch16_224")
    state = {prefix + key: value for key, value in net.state_dict().items()}
    for head in ("head", "head_dist"):
        state |= {f"{prefix}{head}.weight": torch.zeros(1000, 384), f"{prefix}{head}.bias": torch.zeros(1000)}
    torch.save({"model": state, "epoch": 299, "optimizer": {"lr": 1e-5}}, tmp_path / "deit_s_sin_dist.pth")
    found = encoder(f"vit:deit_small_distilled_patch16_224.sin@{tmp_path / 'deit_s_sin_dist.pth'}")
    close(found.encode_dense(pixels(224)), as_map(net.forward_features(prepared(pixels(224), net)), net))


class Evil:
    def __reduce__(self):
        return (math.floor, (1.0,))


def test_files_of_other_things_are_refused(tmp_path, file_of):
    evil, text = tmp_path / "evil.pth", tmp_path / "notes.safetensors"
    torch.save({"model": Evil()}, evil)
    text.write_text("no tensors")
    for path in (evil, text, file_of("resnet18")):
        with pytest.raises(EncoderError, match=f"does not hold weights of {TINY}"):
            encoder(f"vit:{TINY}@{path}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"vit:{TINY},size=100@{{file}}", "size=96 or size=112"),
        (f"vit:{TINY},blocks=40@{{file}}", "give other blocks"),
        (f"vit:{TINY},stride=5@{{file}}", "stride=5"),
        (f"vit:{TINY},position=999@{{file}}", "at most"),
        ("vit:resnet18,stride=8@{resnet}", "leave the stride out"),
        ("vit:vit_tinny_patch16_224@{file}", f"did you mean {TINY}"),
        (f"vit:{TINY}@/nowhere.safetensors", "check the path"),
    ],
)
def test_bad_names(file_of, text, words):
    text = text.format(file=file_of(TINY), resnet=file_of("resnet18") if "{resnet}" in text else "")
    with pytest.raises(EncoderError, match=words):
        encoder(text)
