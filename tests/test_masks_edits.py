import base64
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reco_assist.errors import InputError
from reco_assist.masks.edits import apply_edits, edits_of_text, edits_to_text, pack_edits, unpack_edits

CELLS = arrays.arrays(
    np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=23), elements=st.integers(0, 2)
)


@given(CELLS)
def test_packed_edits_come_back(cells):
    packed = pack_edits(cells)
    assert len(packed) == (cells.size + 3) // 4
    assert np.array_equal(unpack_edits(packed, cells.shape), cells)


def test_packing_is_what_the_browser_unpacks():
    # The same cells and bytes stand in widgets/tests/canvas/cells.test.js.
    assert pack_edits(np.array([[1, 2, 0, 2, 1]], np.uint8)) == bytes([0b10001001, 1])


@given(CELLS, st.integers(1, 255), st.integers(0, 2**32 - 1))
def test_strokes_win_over_scores(edits, threshold, seed):
    scores = np.random.default_rng(seed).integers(0, 256, edits.shape, np.uint8)
    mask = apply_edits(scores, threshold, edits)
    for value, edit, inside in zip(scores.flat, edits.flat, mask.flat, strict=True):
        assert inside == {0: value >= threshold, 1: True, 2: False}[edit]


def test_without_strokes_the_threshold_decides():
    scores = np.array([[0, 127, 128, 255]], np.uint8)
    assert apply_edits(scores, 128, None).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("threshold", [0, 256, -1])
def test_thresholds_are_bytes_above_zero(threshold):
    with pytest.raises(InputError, match=str(threshold)):
        apply_edits(np.zeros((2, 2), np.uint8), threshold, None)


def test_edits_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"\(3, 2\)"):
        apply_edits(np.zeros((2, 3), np.uint8), 1, np.zeros((3, 2), np.uint8))


@pytest.mark.parametrize(
    ("packed", "reason"), [(b"", "0 bytes"), (bytes(3), "3 bytes"), (b"\x03\x00", "cell of 3")]
)
def test_damaged_packing_is_refused(packed, reason):
    with pytest.raises(InputError, match=reason):
        unpack_edits(packed, (2, 3))


def test_a_text_of_edits_takes_no_more_memory_than_its_cells():
    cells = np.array([[1, 2, 0], [0, 0, 2]], np.uint8)
    assert np.array_equal(edits_of_text(edits_to_text(cells), (2, 3)), cells)
    bomb = base64.b85encode(zlib.compress(bytes(200_000_000), 9)).decode()
    tracemalloc.start()
    for text in (bomb, "x", "\udc80", edits_to_text(cells)[:-4]):
        with pytest.raises(InputError):
            edits_of_text(text, (20, 30))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
