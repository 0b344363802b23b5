"""CLIP encoders on random weights of real architectures, against formulas read off the unmodified model."""

import copy
from functools import lru_cache
from types import SimpleNamespace

import open_clip
import pytest
import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch.nn import functional as F  # noqa: N812
from weights import clip_model, lively, save

from reco_assist.encoders.clip import ClipEncoder
from reco_assist.encoders.names import ModelName
from reco_assist.encoders.pixels import Preparation, slide
from reco_assist.encoders.towers import tower_of
from reco_assist.errors import EncoderError, InputError

pytestmark = pytest.mark.slow

SMALL = "ViT-S-32-alt"


@pytest.fixture(scope="module")
def file_of(tmp_path_factory):
    """Weight files of open_clip models, made once."""
    folder = tmp_path_factory.mktemp("weights")

    def make(model):
        path = folder / f"{model}.safetensors"
        return path if path.exists() else save(clip_model(model), path)

    return make


@lru_cache(maxsize=4)
def encoder(text):
    return ClipEncoder(ModelName.parse(text))


def pixels(size, count=2):
    generator = torch.Generator().manual_seed(size)
    coarse = torch.randint(0, 256, (count, 3, 9, 9), generator=generator).float()
    return F.interpolate(coarse, (size, size), mode="bilinear").to(torch.uint8)


def prepared(batch, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD):
    return (batch / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def close(found, expected):
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def record(module, calls):
    """The inputs of a module of the unmodified model."""
    return module.register_forward_hook(lambda _, inputs, __: calls.append(inputs[0]))


def transformer_map(visual, x, how):
    """The formulas of MaskCLIP and ClearCLIP, from the weights and the input of the last block."""
    block, heads = visual.transformer.resblocks[-1], visual.transformer.resblocks[-1].attn.num_heads
    x = F.layer_norm(x, x.shape[-1:], block.ln_1.weight, block.ln_1.bias, block.ln_1.eps)
    query_weight, _, value_weight = block.attn.in_proj_weight.chunk(3)
    query_bias, _, value_bias = block.attn.in_proj_bias.chunk(3)
    q, v = x @ query_weight.T + query_bias, x @ value_weight.T + value_bias  # (B, 1 + N, W)
    if how == "self":
        q, v = (one.unflatten(2, (heads, -1)).transpose(1, 2) for one in (q, v))  # (B, heads, 1 + N, d)
        v = torch.softmax(q @ q.mT / q.shape[-1] ** 0.5, -1) @ v
        v = v.transpose(1, 2).flatten(2)
    out = v @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
    out = (
        F.layer_norm(out[:, 1:], out.shape[-1:], visual.ln_post.weight, visual.ln_post.bias, 1e-5)
        @ visual.proj
    )
    side = int(out.shape[1] ** 0.5)
    return out.mT.unflatten(2, (side, side))


@pytest.mark.parametrize(
    ("model", "size"), [(SMALL, 224), (SMALL, 288), (SMALL, 96), ("ViT-B-32-quickgelu", 224)]
)
@torch.inference_mode()
def test_vit_maps_are_those_of_the_papers(file_of, model, size):
    """The oracle is open_clip's own model, made for that size, which interpolates positions itself."""
    file = file_of(model)
    original = open_clip.create_model(model, pretrained=str(file), force_image_size=size).eval()
    batch, calls = pixels(size), []
    with record(original.visual.transformer.resblocks[-1], calls):
        vectors = original.encode_image(prepared(batch))
    found = encoder(f"clip:{model},size={size}@{file}")
    for how in ("self", "maskclip"):
        found._how = how
        embedding, dense = found.encode_language(batch)
        close(embedding, vectors)
        close(dense, transformer_map(original.visual, calls[0], how))
    close(found.encode_image(batch), vectors)


@pytest.mark.parametrize("size", [224, 160])
@torch.inference_mode()
def test_resnet_maps_are_projected_values(file_of, size):
    found, original = encoder(f"clip:RN50,size={size}@{file_of('RN50')}"), clip_model("RN50")
    batch, pool, x = pixels(size), original.visual.attnpool, original.visual.stem(prepared(pixels(size)))
    for layer in (
        original.visual.layer1,
        original.visual.layer2,
        original.visual.layer3,
        original.visual.layer4,
    ):
        x = layer(x)
    embedding, dense = found.encode_language(batch)
    kernel = pool.c_proj.weight @ pool.v_proj.weight  # (D, W)
    bias = pool.c_proj.weight @ pool.v_proj.bias + pool.c_proj.bias
    close(dense, F.conv2d(x, kernel[..., None, None], bias))
    if size == 224:
        close(embedding, original.encode_image(prepared(batch)))
    else:
        resized = copy.deepcopy(pool)
        grid = pool.positional_embedding[1:].unflatten(0, (7, 7)).permute(2, 0, 1)[None]
        grid = F.interpolate(grid, (5, 5), mode="bicubic", antialias=True)[0].flatten(1).T
        resized.positional_embedding.data = torch.cat([pool.positional_embedding[:1], grid])
        close(embedding, resized(x))


class Attentions:
    """Queries and values, heads split and positions applied, of every attention of the unmodified model."""

    def __init__(self, monkeypatch):
        self.calls = []
        self._original = F.scaled_dot_product_attention
        monkeypatch.setattr(F, "scaled_dot_product_attention", self)

    def __call__(self, q, k, v, *args, **kwargs):
        self.calls.append((q, v))
        return self._original(q, k, v, *args, **kwargs)


@pytest.mark.parametrize(
    ("model", "size", "mean"),
    [
        ("ViT-B-16-SigLIP", 224, 0.5),  # attention pooling, no class token
        ("PE-Core-T-16-384", 256, 0.5),  # attention pooling, rotary positions; native at 384
    ],
)
def test_pooled_towers_read_each_cell_alone(file_of, monkeypatch, model, size, mean):
    """maskclip is the value path of the attention pool; self feeds it q-q attention of the last block."""
    found, original = encoder(f"clip:{model},size={size}@{file_of(model)}"), clip_model(model)
    batch, tokens = pixels(size), []
    trunk = original.visual.trunk
    if size != original.visual.image_size[0]:
        original = open_clip.create_model(model, pretrained=str(file_of(model)), force_image_size=size).eval()
        trunk = original.visual.trunk
    with torch.inference_mode(), record(trunk.attn_pool, tokens):
        attentions = Attentions(monkeypatch)
        vectors = original.encode_image(prepared(batch, (mean,) * 3, (0.5,) * 3))
        monkeypatch.undo()
    with torch.inference_mode():
        embedding, dense = found.encode_language(batch)
        close(embedding, vectors)
        close(dense, pool_values(original, tokens[0], size // 16))
        q, v = attentions.calls[len(trunk.blocks) - 1]  # the last block's; the pool comes after
        mixed = (torch.softmax(q @ q.mT / q.shape[-1] ** 0.5, -1) @ v).transpose(1, 2).flatten(2)
        last = trunk.blocks[-1]
        out = mixed @ last.attn.proj.weight.T + last.attn.proj.bias
        gamma = getattr(last, "gamma_1", None)
        out = trunk.norm(out if gamma is None else out * gamma)
        found._how = "self"
        close(found.encode_language(batch)[1], pool_values(original, out, size // 16))


def pool_values(model, tokens, side):
    """(B, D, side, side): value projection, output projection and feed-forward of the attention pool."""
    pool = model.visual.trunk.attn_pool
    width = tokens.shape[2]
    values = tokens[:, -side * side :] @ pool.kv.weight[width:].T + pool.kv.bias[width:]
    out = values @ pool.proj.weight.T + pool.proj.bias
    if pool.mlp is not None:
        out = out + pool.mlp(pool.norm(out))
    out = model.visual.head(model.visual.trunk.head(model.visual.trunk.fc_norm(out)))
    return out.mT.unflatten(2, (side, side))


@torch.inference_mode()
def test_convolutions_with_a_mean_pool_read_each_cell_alone():
    """ConvNeXt: the head's norm and projection, from their weights, at every cell."""
    torch.manual_seed(0)
    visual = lively(TimmModel("test_convnext", 32, image_size=160, pool="avg", proj="linear"))
    tower = tower_of(SimpleNamespace(visual=visual), "convnext")
    batch = prepared(pixels(160))
    embedding, dense = tower.dense(lambda: visual(batch), "maskclip")
    close(embedding, visual(batch))
    x = visual.trunk.forward_features(batch).permute(0, 2, 3, 1)  # (B, h, w, W)
    norm = visual.trunk.head.norm
    x = F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps) @ visual.head.proj.weight.T
    close(dense, x.permute(0, 3, 1, 2))
    assert tower.modes == ("maskclip",)


@torch.inference_mode()
def test_words_are_those_of_the_zero_shot_templates(file_of):
    found, original = encoder(f"clip:{SMALL}@{file_of(SMALL)}"), clip_model(SMALL)
    tokens = open_clip.get_tokenizer(SMALL)([one("mug") for one in open_clip.OPENAI_IMAGENET_TEMPLATES])
    expected = F.normalize(F.normalize(original.encode_text(tokens), dim=1).mean(0), dim=0)
    word = found.encode_text(" mug ")
    close(word.vector, expected)
    assert (word.familiarity, word.nearest, word.whole) == (None, (), None)


@torch.inference_mode()
def test_windows_are_averaged(file_of):
    """By brute force: each cell is the mean over the windows that see it; the vector is of the whole."""
    found = encoder(f"clip:{SMALL},window=96,size=160@{file_of(SMALL)}")
    narrow = encoder(f"clip:{SMALL},size=96@{file_of(SMALL)}")
    batch = pixels(160)
    total, seen = torch.zeros(2, 256, 5, 5), torch.zeros(5, 5)
    for top in (0, 1, 2):
        for left in (0, 1, 2):
            part = batch[..., 32 * top : 32 * top + 96, 32 * left : 32 * left + 96]
            total[..., top : top + 3, left : left + 3] += narrow.encode_language(part)[1]
            seen[top : top + 3, left : left + 3] += 1
    embedding, dense = found.encode_language(batch)
    close(dense, total / seen)
    small = F.interpolate(batch.float(), (96, 96), mode="bicubic", antialias=True).clamp(0, 255)
    expected = narrow._model.encode_image(prepared(small))
    close(embedding, expected)


def test_the_last_window_ends_with_the_input():
    x = torch.arange(7.0).repeat(1, 3, 7, 1)
    found = slide(lambda part: part[:, :1], x, window=4, patch=1)
    assert torch.equal(found[0, 0], x[0, 0])


def test_pixels_are_normalised_as_open_clip_does():
    image = torch.randint(0, 256, (1, 3, 40, 40), dtype=torch.uint8)
    ours = Preparation(open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD, torch.device("cpu"))
    assert torch.allclose(ours(image, 40), prepared(image), atol=1e-6)
    assert ours(image, 20).shape == (1, 3, 20, 20)


def test_half_precision_is_close(file_of):
    exact = encoder(f"clip:{SMALL},size=96@{file_of(SMALL)}")
    coarse = encoder(exact.name.replace(",size=96", ",precision=bfloat16,size=96"))
    batch = pixels(96)
    for one, other in zip(exact.encode_language(batch), coarse.encode_language(batch), strict=True):
        assert other.dtype == torch.float32
        assert not torch.equal(one, other)
        assert F.cosine_similarity(one, other).min() > 0.99


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip:RN50,dense=self@{RN50}", "dense=maskclip"),
        ("clip:ViT-S-32-alt,size=230@{ViT-S-32-alt}", "size=224 or size=256"),
        ("clip:ViT-S-32-alt,window=320,size=224@{ViT-S-32-alt}", "fits into the size"),
        ("clip:ViT-S-32@{ViT-S-32-alt}", "does not hold weights of the open_clip model ViT-S-32"),
        ("clip:ViT-S-32-alt@/nowhere/x.pt", "check the path"),
        ("clip:VIT-B-32@{ViT-S-32-alt}", "did you mean"),
        ("clip:ViT-B-32/laion99", "openai"),
        ("clip:ViT-B-32", "names no published weights"),
        ("clip:ViT-S-32-alt,precision=half@{ViT-S-32-alt}", "float32, float16 or bfloat16"),
    ],
)
def test_bad_names(file_of, text, words):
    for model in ("RN50", SMALL):
        if f"{{{model}}}" in text:
            text = text.replace(f"{{{model}}}", str(file_of(model)))
    with pytest.raises(EncoderError, match=words):
        encoder(text)


def test_coca_is_refused_by_name():
    """Its 256 queries belong to no patch. A narrow tower, since the real one is large."""
    visual = VisionTransformer(32, 16, 32, 1, 2, 4.0, attentional_pool=True, output_dim=32)
    with pytest.raises(EncoderError, match="coca_small pools its patches by many queries"):
        tower_of(SimpleNamespace(visual=visual), "coca_small")


def test_an_empty_word_is_refused(file_of):
    with pytest.raises(InputError, match="empty"):
        encoder(f"clip:{SMALL}@{file_of(SMALL)}").encode_text(" ")


def test_a_missing_tokenizer_is_one_sentence(file_of):
    with pytest.raises(EncoderError, match=r"tokenizer.json.*offline"):
        encoder(f"clip:ViT-B-16-SigLIP@{file_of('ViT-B-16-SigLIP')}").encode_text("mug")
