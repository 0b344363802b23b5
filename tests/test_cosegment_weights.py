"""The paper's saliency, context elimination and inference against float64 numpy."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from reco_assist.cosegment import (
    best_match,
    context_weight,
    learn_reference,
    paper_probability,
    pixel_weight,
    reference_embedding,
    seed_pixels,
    text_saliency,
)
from reco_assist.errors import InputError


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cosine(features, vector):
    f, v = features.double().numpy(), vector.double().numpy()
    return np.einsum("kchw,c->khw", f / np.linalg.norm(f, axis=1, keepdims=True), v / np.linalg.norm(v))


def test_text_saliency():
    language, text = random(3, 8, 4, 5) * 7, random(8, seed=1) * 3
    np.testing.assert_allclose(text_saliency(language, text), sigmoid(10 * cosine(language, text)), atol=1e-6)


def test_text_saliency_resizes_features_before_it_normalises():
    language, text = random(2, 8, 4, 5), random(8, seed=1)
    resized = interpolate(language, size=(7, 6), mode="bilinear", align_corners=False)
    expected = sigmoid(10 * cosine(resized, text))
    np.testing.assert_allclose(text_saliency(language, text, grid=(7, 6)), expected, atol=1e-6)


def test_context_and_pixel_weight():
    features = random(2, 6, 3, 4) * 5
    references = torch.nn.functional.normalize(random(3, 6, seed=1), dim=1)
    contexts = context_weight(features, references)
    expected = np.stack([sigmoid(cosine(features, r)) for r in references])
    np.testing.assert_allclose(contexts, expected, atol=1e-6)
    saliency = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(2))
    np.testing.assert_allclose(
        pixel_weight(saliency, contexts), saliency.numpy() * np.prod(1 - expected, axis=0), atol=1e-6
    )


def test_no_context_leaves_the_saliency():
    features, saliency = random(2, 6, 3, 4), torch.full((2, 3, 4), 0.25)
    assert torch.equal(pixel_weight(saliency, context_weight(features, torch.empty(0, 6))), saliency)


def test_learn_reference_joins_the_steps():
    features, weights = random(4, 6, 3, 5), torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(1))
    reference, seeds = learn_reference(features, weights)
    assert torch.equal(seeds, seed_pixels(best_match(features, weights), 3, 5))
    assert torch.equal(reference, reference_embedding(features, seeds))


def test_an_eliminated_context_loses_the_seeds():
    """Two patterns recur in every image; once the stronger is a context, the other is found."""
    features = random(5, 32, 4, 4)
    road, dog = random(32, seed=7) * 2, random(32, seed=8) * 2
    features[:, :, 3, 1] = road + random(5, 32, seed=3) * 0.05
    features[:, :, 1, 2] = dog + random(5, 32, seed=4) * 0.2
    weights = torch.ones(5, 4, 4)
    first, seeds = learn_reference(features, weights)
    assert seeds.tolist() == [[3, 1]] * 5
    _, seeds = learn_reference(features, pixel_weight(weights, context_weight(features, first[None])))
    assert seeds.tolist() == [[1, 2]] * 5


def test_paper_probability():
    features, reference = random(2, 6, 3, 4) * 5, torch.nn.functional.normalize(random(6, seed=1), dim=0)
    saliency = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(2))
    likeness = sigmoid(cosine(features, reference))
    np.testing.assert_allclose(
        paper_probability(features, reference, saliency), likeness * saliency.numpy(), atol=1e-6
    )
    language_grid = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(3))
    large = paper_probability(features, reference, language_grid, size=(9, 8))
    factors = [
        interpolate(torch.as_tensor(m)[:, None].double(), size=(9, 8), mode="bilinear")[:, 0]
        for m in (likeness, language_grid)
    ]
    np.testing.assert_allclose(large, factors[0] * factors[1], atol=1e-6)


F = random(2, 6, 3, 4)
T = torch.full((2, 3, 4), 0.5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: text_saliency(F, torch.ones(5)), "expected \\(6,\\)"),
        (lambda: text_saliency(F, torch.zeros(6)), "direction"),
        (lambda: text_saliency(F[0], torch.ones(6)), "shape"),
        (lambda: context_weight(F, torch.ones(6)), "expected \\(m, 6\\)"),
        (lambda: pixel_weight(T, torch.ones(1, 2, 4, 3)), "shape"),
        (lambda: paper_probability(F, torch.ones(6), T[:, :2]), "grid"),
        (lambda: paper_probability(F, torch.ones(6), T[:1], size=(4, 4)), "1 images"),
        (lambda: paper_probability(F, torch.ones(4), T), "expected \\(6,\\)"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(InputError, match=says):
        call()
