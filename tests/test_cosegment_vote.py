"""Neighbour vote against scikit-learn's brute-force neighbours."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.neighbors import NearestNeighbors

from reco_assist.cosegment import LabelledCells, neighbour_vote, vote
from reco_assist.errors import InputError


@pytest.fixture
def bank():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 8, 5, 6, generator=generator)
    return LabelledCells.of(features, torch.rand(3, 5, 6, generator=generator))


def test_the_nearest_cells_vote_by_their_cosine(bank, monkeypatch):
    monkeypatch.setattr(vote, "_CELLS_AT_ONCE", 7)  # more than one part
    features = torch.randn(2, 8, 4, 3, generator=torch.Generator().manual_seed(1))
    cells = features.permute(0, 2, 3, 1).reshape(-1, 8).numpy()
    search = NearestNeighbors(n_neighbors=30, metric="cosine", algorithm="brute")
    distances, rows = search.fit(bank.cells.float().numpy()).kneighbors(cells)
    shares = softmax((1 - distances) / 0.05, axis=1)
    expected = (shares * bank.labels.float().numpy()[rows]).sum(1).reshape(2, 4, 3)
    assert np.allclose(neighbour_vote(features, bank), expected, atol=2e-3)  # the cells are kept in float16


def test_a_bank_of_a_cell_says_what_the_cell_is():
    one = LabelledCells(torch.tensor([[1.0, 0.0]]).half(), torch.tensor([0.25]).half())
    assert torch.allclose(neighbour_vote(torch.randn(1, 2, 3, 3), one), torch.full((1, 3, 3), 0.25))


def test_cells_and_labels_keep_the_order_of_images_rows_and_columns():
    features = torch.eye(6).view(1, 6, 2, 3)
    coverage = torch.arange(6.0).view(1, 2, 3) / 10
    kept = LabelledCells.of(features * 7, coverage)
    assert torch.equal(kept.cells.float(), torch.eye(6))
    assert torch.allclose(kept.labels.float(), coverage.flatten(), atol=1e-3)


def test_what_does_not_belong_together_is_refused(bank):
    with pytest.raises(InputError, match="9 channels and the bank 8"):
        neighbour_vote(torch.randn(1, 9, 4, 4), bank)
    with pytest.raises(InputError, match="expected one grid"):
        LabelledCells.of(torch.randn(1, 8, 4, 4), torch.zeros(1, 4, 5))
