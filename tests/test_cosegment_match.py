"""Best match, seeds and reference embedding against float64 loops."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from reco_assist.cosegment import (
    MatchMatrix,
    assist_seeds,
    best_match,
    reference_embedding,
    seed_pixels,
    support,
    unit_features,
)
from reco_assist.cosegment import match as match_module
from reco_assist.errors import InputError


def random_set(k=4, channels=6, height=3, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(k, channels, height, width, generator=generator) * 3
    return features, torch.rand(k, height, width, generator=generator)


def structured_set(k=6, channels=16, height=6, width=7, seed=1):
    """A shared direction at one known cell of each image, clutter elsewhere; returns the cells too."""
    features, weights = random_set(k, channels, height, width, seed)
    generator = torch.Generator().manual_seed(seed + 100)
    shared = torch.randn(channels, generator=generator) * 4
    cells = torch.stack(
        (
            torch.randint(height, (k,), generator=generator),
            torch.randint(width, (k,), generator=generator),
        ),
        dim=1,
    )
    for i, (y, x) in enumerate(cells.tolist()):
        features[i, :, y, x] = shared * (1 + i) + 0.1 * torch.randn(channels, generator=generator)
        weights[i, y, x] = 1.0
    return features, weights, cells


def brute_force(features, weights):
    """B by its definition, pixel by pixel, in float64."""
    k, _, height, width = features.shape
    f = features.numpy().astype(np.float64)
    w = weights.numpy().astype(np.float64)
    pixels = [(n, y, x) for n in range(k) for y in range(height) for x in range(width)]
    unit = {p: f[p[0], :, p[1], p[2]] / np.linalg.norm(f[p[0], :, p[1], p[2]]) for p in pixels}
    match = np.empty((len(pixels), k))
    for row, p in enumerate(pixels):
        for j in range(k):
            match[row, j] = max(
                float(unit[p] @ unit[j, y, x]) * w[j, y, x] for y in range(height) for x in range(width)
            )
    return match


@pytest.mark.parametrize(
    ("features", "weights"),
    [
        random_set(),
        random_set(k=1),  # a set of one image matches itself
        random_set(k=3, height=1, width=1),  # one cell each
        random_set(k=2, channels=1, height=4, width=2),
        structured_set()[:2],
    ],
    ids=["random", "one image", "one cell", "one channel", "structured"],
)
def test_best_match_equals_float64_loops(features, weights):
    match = best_match(features, weights)
    assert match.dtype == torch.float32
    assert match.shape == (features.shape[0] * features.shape[2] * features.shape[3], features.shape[0])
    np.testing.assert_allclose(match.numpy(), brute_force(features, weights), atol=2e-6)


def test_float32_equals_the_full_matrix_bit_for_bit():
    features, weights = random_set(k=5, channels=64, height=12, width=12)
    rows = unit_features(features).flatten(2).transpose(1, 2).reshape(5 * 144, 64).contiguous()
    full = (rows @ rows.T) * weights.reshape(-1)
    assert torch.equal(best_match(features, weights), full.view(5 * 144, 5, 144).amax(2))


def test_each_maximum_stays_within_one_image():
    """Image j's columns are j*h*w to (j+1)*h*w; overlapping ranges would leak the match in image 1."""
    features = torch.zeros(3, 3, 2, 2)
    features[0, 0] = 1.0  # every image has a direction of its own ...
    features[1, 1] = 1.0
    features[2, 2] = 1.0
    features[1, :, 0, 0] = torch.tensor(
        [1.0, 0.0, 0.0]
    )  # ... but the first cell of image 1 is that of image 0
    match = best_match(features, torch.ones(3, 2, 2)).view(3, 4, 3)
    of_image_0 = match[0, 0]
    assert of_image_0.tolist() == [1.0, 1.0, 0.0]
    assert match[2, 3].tolist() == [0.0, 0.0, 1.0]


def test_the_weight_sits_on_the_matched_pixel_only():
    features = torch.ones(2, 4, 1, 2)
    weights = torch.tensor([[[0.25, 0.125]], [[0.5, 0.75]]])
    match = best_match(features, weights)
    torch.testing.assert_close(match, torch.tensor([[0.25, 0.75]]).expand(4, 2))


def test_small_blocks_change_nothing(monkeypatch):
    features, weights = random_set(k=3, height=5, width=5)
    expected = best_match(features, weights)
    for block in (1, 30, 75):  # one row at a time, an odd remainder, several rows
        monkeypatch.setattr(match_module, "_BLOCK", block)
        torch.testing.assert_close(best_match(features, weights), expected, atol=1e-6, rtol=0)


def test_permuted_images_permute_the_result():
    features, weights, cells = structured_set()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    plain = best_match(features, weights).view(6, 42, 6)
    permuted = best_match(features[order], weights[order]).view(6, 42, 6)
    torch.testing.assert_close(permuted, plain[order][:, :, order], atol=1e-6, rtol=0)
    assert torch.equal(seed_pixels(permuted.reshape(-1, 6), 6, 7), cells[order])


@pytest.mark.parametrize("gone", [[0], [3], [1, 4], [0, 1, 2, 3, 4], []])
def test_drop_equals_recomputation(gone):
    features, weights = random_set(k=6, channels=32, height=7, width=6)
    kept = [i for i in range(6) if i not in gone]
    dropped = MatchMatrix.build(features, weights).drop(gone)
    fresh = MatchMatrix.build(features[kept], weights[kept])
    assert torch.equal(dropped.match, fresh.match)
    assert all(torch.equal(a, b) for a, b in zip(dropped.cells, fresh.cells, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(dropped.weights, fresh.weights, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_add_equals_recomputation(precision):
    features, weights = random_set(k=6, channels=32, height=7, width=6)
    first = MatchMatrix.build(features[:3], weights[:3], precision=precision)
    before = first.match.clone()
    grown = first.add(features[3:5], weights[3:5]).add(features[5:], weights[5:])
    assert torch.equal(grown.match, MatchMatrix.build(features, weights, precision=precision).match)
    assert torch.equal(first.match, before)
    assert len(first.cells) == 3


def test_drop_then_add_back_permutes():
    features, weights = random_set(k=4, channels=8)
    matrix = MatchMatrix.build(features, weights).drop([1]).add(features[1:2], weights[1:2])
    order = [0, 2, 3, 1]
    expected = best_match(features[order], weights[order])
    torch.testing.assert_close(matrix.match, expected, atol=1e-6, rtol=0)


def test_bfloat16_stays_near_and_gives_the_same_seeds():
    features, weights, cells = structured_set(k=8, channels=128, height=14, width=14)
    exact = best_match(features, weights)
    coarse = best_match(features, weights, precision="bfloat16")
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().max() <= 0.003
    assert torch.equal(seed_pixels(coarse, 14, 14), seed_pixels(exact, 14, 14))
    assert torch.equal(seed_pixels(exact, 14, 14), cells)


@pytest.mark.parametrize(("k", "side"), [(8, 32), (2, 64)])  # many images; few, but large grids
def test_memory_stays_far_below_the_full_matrix(k, side):
    """A child process may grow by a tenth of the full matrix (268 MB in both cases) at most."""
    script = f"""
import resource, torch
from reco_assist.cosegment import best_match
torch.set_num_threads(1)
best_match(torch.randn(2, 16, 8, 8), torch.rand(2, 8, 8))
features, weights = torch.randn({k}, 16, {side}, {side}), torch.rand({k}, {side}, {side})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
best_match(features, weights)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert int(run.stdout) < (k * side**2) ** 2 * 4 / 10


def test_seed_is_the_argmax_of_the_mean_and_the_first_among_equals():
    match = torch.tensor(
        [[0.1, 0.9], [0.6, 0.6], [0.2, 0.2], [0.6, 0.6], [0.5, 0.5], [0.5, 0.5], [0.0, 0.9], [0.5, 0.5]]
    )  # two images of 2 x 2 cells
    torch.testing.assert_close(support(match)[:2], torch.tensor([0.5, 0.6]))
    seeds = seed_pixels(match, 2, 2)
    assert seeds.dtype == torch.int64
    assert seeds.tolist() == [[0, 1], [0, 0]]


def test_seeds_on_a_grid_that_is_not_square():
    match = torch.zeros(2 * 12, 2)
    match[7] = 1.0  # image 0 on a 3 x 4 grid: y 1, x 3
    match[12 + 8] = 1.0  # image 1: y 2, x 0
    assert seed_pixels(match, 3, 4).tolist() == [[1, 3], [2, 0]]


def test_assist_seeds_count_the_weight_of_the_seed():
    match = torch.tensor([[0.9], [0.8], [0.5], [0.1]])
    weights = torch.tensor([[[0.1, 0.5], [1.0, 0.2]]])
    assert assist_seeds(match, weights, per_image=3).tolist() == [[[1, 0], [0, 1], [0, 0]]]
    assert assist_seeds(match, torch.ones(1, 2, 2), per_image=1).tolist() == [[[0, 0]]]


def test_assist_seeds_find_the_shared_cell():
    features, weights, cells = structured_set()
    seeds = assist_seeds(best_match(features, weights), weights)
    assert seeds.shape == (6, 5, 2)
    assert torch.equal(seeds[:, 0], cells)


def test_reference_is_the_normalised_mean_of_raw_features():
    features, _, cells = structured_set()
    picked = np.stack([features[i, :, y, x].double().numpy() for i, (y, x) in enumerate(cells.tolist())])
    expected = picked.mean(0) / np.linalg.norm(picked.mean(0))
    reference = reference_embedding(features, cells)
    np.testing.assert_allclose(reference.numpy(), expected, atol=1e-6)
    torch.testing.assert_close(reference.norm(), torch.tensor(1.0))
    several = reference_embedding(features, cells[:, None].expand(6, 3, 2))
    torch.testing.assert_close(several, reference)


FEATURES, WEIGHTS = random_set()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: best_match(FEATURES[0], WEIGHTS), "shape"),  # rank
        (lambda: best_match(FEATURES[:0], WEIGHTS[:0]), "empty"),  # all images dropped
        (lambda: best_match(FEATURES, WEIGHTS[:3]), "grid"),  # another k
        (lambda: best_match(FEATURES, WEIGHTS.transpose(1, 2)), "grid"),  # y and x exchanged
        (lambda: best_match(FEATURES, WEIGHTS * 3), "0 to 1"),
        (lambda: best_match(FEATURES, WEIGHTS - 0.5), "0 to 1"),
        (lambda: best_match(FEATURES.index_fill(1, torch.tensor([2]), torch.nan), WEIGHTS), "finite"),
        (lambda: best_match(FEATURES, WEIGHTS * torch.inf), "finite"),
        (lambda: best_match(FEATURES, WEIGHTS, precision="float16"), "float16"),
        (lambda: MatchMatrix.build(FEATURES, WEIGHTS).drop([4]), "0 to 3"),
        (lambda: MatchMatrix.build(FEATURES, WEIGHTS).drop([-1]), "0 to 3"),
        (lambda: MatchMatrix.build(FEATURES, WEIGHTS).drop(range(4)), "at least one"),
        (lambda: MatchMatrix.build(FEATURES, WEIGHTS).add(FEATURES[:, :2], WEIGHTS), "same encoder"),
        (lambda: seed_pixels(torch.zeros(4 * 15, 4), 5, 5), "grid"),
        (lambda: seed_pixels(torch.zeros(7, 3), 1, 2), "k\\*h\\*w"),
        (lambda: assist_seeds(torch.zeros(60, 4), WEIGHTS, per_image=16), "1 to 15"),
        (lambda: assist_seeds(torch.zeros(60, 4), WEIGHTS[:3]), "one set"),
        (lambda: reference_embedding(FEATURES, torch.zeros(3, 2, dtype=torch.int64)), "Seeds"),
        (lambda: reference_embedding(FEATURES, torch.full((4, 2), 3)), "outside"),
        (lambda: reference_embedding(FEATURES * 0, torch.zeros(4, 2, dtype=torch.int64)), "direction"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(InputError, match=says):
        call()
