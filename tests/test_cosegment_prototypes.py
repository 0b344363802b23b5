"""Self-training and exemplars against plain numpy loops and skimage's Otsu."""

import numpy as np
import pytest
import torch
from skimage.filters import threshold_otsu

from reco_assist.cosegment import (
    Prototypes,
    direction_scores,
    exemplar_prototypes,
    exemplar_similarity,
    mask_coverage,
    prototype_scores,
    self_train,
    self_train_exemplars,
)
from reco_assist.errors import InputError


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(vector):
    return vector / np.linalg.norm(vector)


def planted(k=6, channels=24, side=8, noise=0.6):
    """Objects of one direction on grounds of another: features (k, C, h, w), masks (k, h, w), directions."""
    thing, ground = random(channels, seed=1), random(channels, seed=2)
    masks = torch.zeros(k, side, side, dtype=torch.bool)
    for i in range(k):
        masks[i, 1 + i % 3 : 4 + i % 3, 2 : 5 + i % 2] = True
    clean = torch.where(masks[:, None], thing[:, None, None], ground[:, None, None])
    return clean + noise * random(k, channels, side, side, seed=3), masks, thing, ground


def best_split(values):
    """Otsu by trying every value, float64."""
    values = np.asarray(values, np.float64).ravel()
    splits = np.unique(values)[:-1]
    gains = [
        (values <= t).sum()
        * (values > t).sum()
        * (values[values <= t].mean() - values[values > t].mean()) ** 2
        for t in splits
    ]
    return splits[int(np.argmax(gains))]


def loop_self_train(features, scores, saliency, rounds):
    """Step 7 of the recipe, image by image."""
    f = features.double().numpy()
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    s = scores.double().numpy()
    for _ in range(rounds):
        foregrounds, backgrounds = [], []
        for cells, values in zip(f, s, strict=True):
            above = values > best_split(values)
            foregrounds.append(cells[:, above].mean(1))
            backgrounds.append(cells[:, ~above].mean(1))
        F, B = unit(np.mean(foregrounds, 0)), unit(np.mean(backgrounds, 0))
        s = np.einsum("kchw,c->khw", f, F - B) + 0.1 * saliency.double().numpy()
    return F, B


@pytest.mark.parametrize("rounds", [1, 3])
def test_self_train_equals_the_recipe(rounds):
    features, _, thing, _ = planted()
    saliency = random(6, 8, 8, seed=4)
    scores = direction_scores(features, torch.nn.functional.normalize(thing, dim=0), saliency)
    prototypes = self_train(features, scores, saliency, rounds=rounds)
    F, B = loop_self_train(features, scores, saliency, rounds)
    np.testing.assert_allclose(prototypes.foreground, F, atol=1e-5)
    np.testing.assert_allclose(prototypes.background, B, atol=1e-5)


def test_self_train_finds_the_object_from_poor_scores():
    features, masks, thing, _ = planted()
    saliency = torch.zeros(6, 8, 8)
    scores = direction_scores(features, thing / thing.norm()) + 0.3 * random(6, 8, 8, seed=5)
    prototypes = self_train(features, scores, saliency)
    found = prototype_scores(features, prototypes, saliency)
    for values, mask in zip(found.numpy(), masks.numpy(), strict=True):
        assert ((values > threshold_otsu(values)) == mask).mean() > 0.95


def test_scores_add_a_tenth_of_the_saliency():
    features, saliency = random(2, 5, 3, 3) * 4, random(2, 3, 3, seed=1)
    prototypes = Prototypes(unit(random(5, seed=2)), unit(random(5, seed=3)))
    f = features.numpy() / np.linalg.norm(features.numpy(), axis=1, keepdims=True)
    plain = np.einsum("kchw,c->khw", f, (prototypes.foreground - prototypes.background).numpy())
    np.testing.assert_allclose(prototype_scores(features, prototypes), plain, atol=1e-6)
    np.testing.assert_allclose(
        prototype_scores(features, prototypes, saliency), plain + 0.1 * saliency.numpy(), atol=1e-6
    )


def test_a_constant_image_teaches_nothing():
    features, _, thing, _ = planted()
    scores = direction_scores(features, thing / thing.norm())
    scores[2] = 0.7
    others = [0, 1, 3, 4, 5]
    saliency = torch.zeros(6, 8, 8)
    with_constant = self_train(features, scores, saliency, rounds=1)
    without = self_train(features[others], scores[others], saliency[others], rounds=1)
    torch.testing.assert_close(with_constant.foreground, without.foreground)
    torch.testing.assert_close(with_constant.background, without.background)


def test_exemplar_rounds_equal_the_recipe():
    features, masks, _, _ = planted()
    start = exemplar_prototypes(features[:2], masks[:2].float())
    f = features.double().numpy()
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    F0, B0 = start.foreground.double().numpy(), start.background.double().numpy()
    F, B = F0, B0
    for _ in range(2):
        s = np.einsum("kchw,c->khw", f, F - B)
        foregrounds, backgrounds = [], []
        for cells, values in zip(f, s, strict=True):
            o = best_split(values)
            above = values > o + 0.2 * (values.max() - o)
            foregrounds.append(cells[:, above].mean(1))
            backgrounds.append(cells[:, ~above].mean(1))
        F = unit(0.5 * F0 + 0.5 * unit(np.mean(foregrounds, 0)))
        B = unit(0.5 * B0 + 0.5 * unit(np.mean(backgrounds, 0)))
    learnt = self_train_exemplars(features, start)
    np.testing.assert_allclose(learnt.foreground, F, atol=1e-5)
    np.testing.assert_allclose(learnt.background, B, atol=1e-5)


def test_exemplar_prototypes_average_images_not_cells():
    features = random(2, 5, 2, 2)
    coverage = torch.tensor([[[1.0, 0.6], [0.3, 0.0]], [[0.9, 0.0], [0.04, 0.05]]])
    f = features.double().numpy()
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    foreground = unit((f[0, :, 0, :].mean(1) + f[1, :, 0, 0]) / 2)
    background = unit((f[0, :, 1, 1] + (f[1, :, 0, 1] + f[1, :, 1, 0]) / 2) / 2)
    prototypes = exemplar_prototypes(features, coverage)
    np.testing.assert_allclose(prototypes.foreground, foreground, atol=1e-6)
    np.testing.assert_allclose(prototypes.background, background, atol=1e-6)


def test_a_negative_exemplar_is_background_where_it_is_covered_and_nothing_elsewhere():
    features = random(2, 5, 2, 2)
    coverage = torch.tensor([[[1.0, 0.6], [0.3, 0.0]], [[0.9, 0.0], [0.04, 0.05]]])
    f = features.double().numpy()
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    prototypes = exemplar_prototypes(features, coverage, negative=torch.tensor([False, True]))
    np.testing.assert_allclose(prototypes.foreground, unit(f[0, :, 0, :].mean(1)), atol=1e-6)
    np.testing.assert_allclose(prototypes.background, unit((f[0, :, 1, 1] + f[1, :, 0, 0]) / 2), atol=1e-6)
    with pytest.raises(InputError, match="Every exemplar shows what the concept is not"):
        exemplar_prototypes(features, coverage, negative=torch.tensor([True, True]))


def test_an_object_smaller_than_a_cell_has_a_foreground():
    features = random(1, 5, 2, 2)
    coverage = torch.tensor([[[0.03, 0.0], [0.02, 0.0]]])
    prototypes = exemplar_prototypes(features, coverage)
    f = torch.nn.functional.normalize(features[0], dim=0)
    torch.testing.assert_close(prototypes.foreground, f[:, 0, 0])
    around = f[:, 1, 0] + f[:, 0, 1] + f[:, 1, 1]
    torch.testing.assert_close(prototypes.background, around / around.norm())


def test_an_exemplar_that_fills_its_image_leaves_the_background_to_others():
    features = random(2, 5, 2, 2)
    coverage = torch.stack([torch.ones(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]])])
    prototypes = exemplar_prototypes(features, coverage)
    alone = exemplar_prototypes(features[1:], coverage[1:])
    torch.testing.assert_close(prototypes.background, alone.background)


@pytest.mark.parametrize(
    ("size", "grid"),
    [((28, 28), (14, 14)), ((30, 41), (7, 14)), ((5, 3), (14, 14)), ((1, 1), (2, 3))],
    ids=["whole pixels", "cut pixels", "cells smaller than pixels", "one pixel"],
)
def test_mask_coverage_is_the_exact_area(size, grid):
    """Against a mask whose pixels are repeated until cells hold whole pixels."""
    mask = np.random.default_rng(0).random(size) > 0.6
    fine = mask.repeat(grid[0], 0).repeat(grid[1], 1)
    expected = fine.reshape(grid[0], size[0], grid[1], size[1]).mean((1, 3))
    np.testing.assert_allclose(mask_coverage(torch.from_numpy(mask), grid), expected, atol=1e-6)


def test_exemplar_similarity_is_the_mean_of_the_best_cells():
    features, _, thing, ground = planted()
    prototypes = Prototypes(thing / thing.norm(), ground / ground.norm())
    scores = prototype_scores(features, prototypes).flatten(1).numpy()
    expected = np.sort(scores, axis=1)[:, -5:].mean(1)
    np.testing.assert_allclose(exemplar_similarity(features, prototypes), expected, atol=1e-6)
    np.testing.assert_allclose(
        exemplar_similarity(features, prototypes, cells=999), scores.mean(1), atol=1e-6
    )


F = random(2, 5, 3, 3)
S = random(2, 3, 3, seed=1)
PAIR = Prototypes(torch.eye(5)[0], torch.eye(5)[1])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: self_train(F, S, S, rounds=0), "at least 1"),
        (lambda: self_train(F, S * 0, S), "differ in score"),
        (lambda: self_train(F, S[:1], S), "grid"),
        (lambda: self_train(F, S, S[:, :2]), "grid"),
        (lambda: self_train_exemplars(F, PAIR, rounds=0), "at least 1"),
        (lambda: self_train_exemplars(F[:, :4], PAIR), "expected \\(4,\\)"),
        (lambda: exemplar_prototypes(F, torch.stack([torch.ones(3, 3), torch.zeros(3, 3)])), "Exemplar 2"),
        (lambda: exemplar_prototypes(F, torch.ones(2, 3, 3)), "around"),
        (lambda: exemplar_prototypes(F, torch.full((2, 3, 3), 255.0)), "0 to 1"),
        (lambda: mask_coverage(torch.ones(1, 3, 3), (2, 2)), "shape"),
        (lambda: mask_coverage(torch.ones(3, 3), (0, 2)), "at least one"),
        (lambda: exemplar_similarity(F, PAIR, cells=0), "at least 1"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(InputError, match=says):
        call()
