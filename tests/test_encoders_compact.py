"""Compact cells against the full ones."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch.nn.functional import normalize

from reco_assist.encoders import compact


@pytest.fixture
def vectors():
    return normalize(torch.randn(200, 3, 512, generator=torch.Generator().manual_seed(0)), dim=2)


def test_estimates_are_unbiased_and_close(vectors):
    query = normalize(torch.randn(512, generator=torch.Generator().manual_seed(1)), dim=0)
    near = normalize(vectors + 0.5 * query, dim=2)  # cosines well away from 0
    exact = (near @ query).numpy()
    error = compact.inner_products(compact.encode(near), query) - exact
    assert abs(error.mean()) < 0.003
    assert error.std() < 0.05


def test_codes_take_one_bit_a_dimension(vectors):
    codes = compact.encode(vectors)
    assert codes.bits.shape == (200, 3, 64)
    assert codes.factors.dtype == np.float16


def test_the_rotation_is_one():
    rotation = compact._rotation(40)
    assert torch.allclose(rotation @ rotation.T, torch.eye(40), atol=1e-5)
    assert torch.equal(rotation, compact._rotation.__wrapped__(40))


def test_telling_cells_answer_the_vocabulary():
    """Three of the four words appear, each in one cell of noise: those cells come first."""
    generator = torch.Generator().manual_seed(2)
    vocabulary = normalize(torch.randn(4, 64, generator=generator), dim=1)
    language = 0.02 * torch.randn(1, 64, 5, 5, generator=generator)
    for word, (y, x) in zip(vocabulary[:3], [(0, 1), (3, 3), (4, 0)], strict=True):
        language[0, :, y, x] += word
    chosen = compact.telling_cells(language, torch.zeros(64), vocabulary, count=3)
    assert (chosen[0] @ vocabulary[:3].T).argmax(0).sort().values.tolist() == [0, 1, 2]
    assert (chosen[0] @ vocabulary[:3].T).amax(0).min() > 0.8


def test_small_grids_give_all_their_cells():
    language = torch.randn(2, 8, 1, 3)
    assert compact.telling_cells(language, torch.zeros(8), torch.eye(8)).shape == (2, 3, 8)
    assert compact.cluster_cells(language).shape == (2, 3, 8)


def test_clusters_are_those_of_k_means():
    """Well separated cells: the same centres as scikit-learn's k-means, in any order."""
    generator = torch.Generator().manual_seed(3)
    centres = normalize(torch.randn(12, 32, generator=generator), dim=1)
    cells = normalize(centres.repeat(10, 1) + 0.02 * torch.randn(120, 32, generator=generator), dim=1)
    found = compact.cluster_cells(cells.T.reshape(1, 32, 10, 12))[0]
    expected = KMeans(12, n_init=10, random_state=0).fit(cells.numpy()).cluster_centers_
    similarity = found.numpy() @ normalize(torch.from_numpy(expected), dim=1).numpy().T
    assert similarity.max(1).min() > 0.999
    assert sorted(similarity.argmax(1).tolist()) == list(range(12))
