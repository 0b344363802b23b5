"""Features that are remembered: the same, computed once, within the budget."""

import pytest
import torch
from fakes import FakeEncoder

from reco_assist.encoders import Encoder
from reco_assist.encoders.remembering import RememberingEncoder


class Single(FakeEncoder):
    """Encodes each image for itself, so that its features do not depend on the batch."""

    def encode(self, pixels):
        parts = [FakeEncoder.encode(self, pixels[i : i + 1]) for i in range(len(pixels))]
        return type(parts[0])(
            *(
                torch.cat([getattr(part, name) for part in parts])
                for name in ("embedding", "language", "dense")
            )
        )


IMAGE_BYTES = 4 * (32 + 32 * 16 + 16 * 16)


@pytest.fixture
def pixels():
    return torch.randint(
        0, 256, (6, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def equal(ours, theirs):
    return all(torch.equal(getattr(ours, n), getattr(theirs, n)) for n in ("embedding", "language", "dense"))


def test_images_are_computed_once_and_come_in_their_order(pixels):
    inner = Single()
    remembering = RememberingEncoder(inner)
    assert isinstance(remembering, Encoder)
    remembering.encode(pixels[[1, 3]])
    mixed = remembering.encode(pixels[[0, 3, 2, 1, 0]])
    assert equal(mixed, Single().encode(pixels[[0, 3, 2, 1, 0]]))
    assert equal(remembering.encode(pixels[:4]), Single().encode(pixels[:4]))
    assert len(inner.batches) == 2 + 3  # 1, 3; then 0, 2 and 0 again, which the batch held twice


def test_what_was_not_asked_for_longest_goes_when_the_budget_is_spent(pixels):
    inner = Single()
    remembering = RememberingEncoder(inner, budget=3 * IMAGE_BYTES)
    for wanted in (0, 1, 2, 0, 3):  # 3 takes the place of 1
        remembering.encode(pixels[[wanted]])
    assert len(inner.batches) == 4
    remembering.encode(pixels[[0, 2, 3]])
    assert len(inner.batches) == 4
    remembering.encode(pixels[[1]])
    assert len(inner.batches) == 5


def test_an_image_larger_than_the_budget_is_not_kept(pixels):
    inner = Single()
    remembering = RememberingEncoder(inner, budget=IMAGE_BYTES - 1)
    assert equal(remembering.encode(pixels[:2]), Single().encode(pixels[:2]))
    remembering.encode(pixels[:2])
    assert len(inner.batches) == 4
