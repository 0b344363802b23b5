"""What corrections add to a Concept is bounded, and does not depend on their order."""

import numpy as np
import pytest
import torch
from fakes import FakeEncoder, write_photos

from reco_assist.archive import Archive
from reco_assist.concepts import Concept, corrections, learn_concept
from reco_assist.concepts.corrections import correct, read_correction


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A concept and twelve corrections of it, half of which say that it is absent."""
    folder = tmp_path_factory.mktemp("corrected")
    photos = write_photos(folder / "photos", 12)
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    archive.add(folder / "photos", progress=False)
    made = []
    for number, photo in enumerate(photos):
        mask = np.zeros((30, 40), bool)
        mask[5 : 10 + number, 3 : 20 + number] = True
        shown = number % 2 == 0
        nothing = np.zeros_like(mask)
        made.append(
            read_correction(
                FakeEncoder(),
                photo,
                mask if shown else nothing,
                predicted=None if shown else mask,
                source=photo.name,
            )
        )
    return learn_concept(archive, "thing", k=6), made


def test_cells_are_shared_evenly_and_keep_the_part_of_the_concept(taught, monkeypatch):
    concept, made = taught
    channels, each = 16, 5
    whole = correct(concept, made)
    monkeypatch.setattr(corrections, "_MOST_CELLS", 2 * (channels + 1) * each * len(made))
    cut = correct(concept, made)
    assert [len(one.labels) for one in cut.banks] == [each * len(made), len(concept.banks[-1].labels)]
    parts = cut.banks[0].labels.view(len(made), each).float()
    full = whole.banks[0].labels.view(len(made), 16).float()
    assert torch.equal(parts.amax(1), full.amax(1))  # what shows most of it is never lost
    assert (parts.mean(1) - full.mean(1)).abs().max() < 0.2
    assert torch.equal(cut.foreground, whole.foreground)
    # Every cell that is left is one of that image, with its label.
    known = {(tuple(cell.tolist()), float(label)) for one in made for cell, label in rows(one.bank)}
    assert {(tuple(cell.tolist()), float(label)) for cell, label in rows(cut.banks[0])} <= known


def rows(bank):
    return zip(bank.cells, bank.labels, strict=True)


def test_a_concept_does_not_grow_without_end(taught, tmp_path, monkeypatch):
    concept, made = taught
    monkeypatch.setattr(corrections, "_MOST_CELLS", 2 * 17 * 60)
    monkeypatch.setattr(corrections, "_MOST_RIVALS", 4)
    sizes = []
    for times in (1, 10, 20):
        learnt = correct(concept, made * times)
        assert len(learnt.banks[0].labels) <= 12 * max(times, 5)  # one cell of each at least
        assert len(learnt.contexts) <= 4
        learnt.save(tmp_path / "x.concept")
        assert Concept.load(tmp_path / "x.concept").digest == learnt.digest
        sizes.append(sum(one.cells.numel() for one in learnt.banks))
    assert sizes[1] < 3 * sizes[0]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_corrections_does_not_matter_where_they_are_cut(taught, monkeypatch, seed):
    concept, made = taught
    monkeypatch.setattr(corrections, "_MOST_CELLS", 2 * 17 * 40)
    monkeypatch.setattr(corrections, "_MOST_RIVALS", 3)
    shuffled = [made[i] for i in np.random.default_rng(seed).permutation(len(made))]
    ours, theirs = correct(concept, made), correct(concept, shuffled)
    assert torch.equal(ours.banks[0].cells, theirs.banks[0].cells)
    assert torch.equal(ours.contexts, theirs.contexts)


def test_rivals_that_are_left_are_the_least_alike(monkeypatch):
    monkeypatch.setattr(corrections, "_MOST_RIVALS", 3)
    axes = torch.eye(3)
    crowd = torch.nn.functional.normalize(axes[0] + 0.01 * torch.rand(20, 3), dim=1)
    left = torch.stack(corrections._unlike([*crowd, axes[1], axes[2]]))
    assert (left @ axes.T).amax(0).min() > 0.99  # one of each direction
