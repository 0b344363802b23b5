import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter import brush as sdk
from mask_cases import NAMED, masks

from reco_assist.errors import FormatError, InputError
from reco_assist.masks import brush, rle


def equals_the_sdk(mask: np.ndarray) -> None:
    height, width = mask.shape
    data = brush.encode(mask)
    assert list(data) == sdk.mask2rle(mask.astype(np.uint8) * 255)
    for form in (data, list(data)):
        np.testing.assert_array_equal(brush.decode(form, height=height, width=width), mask)


@pytest.mark.parametrize("mask", NAMED.values(), ids=NAMED.keys())
def test_named_masks_equal_the_sdk(mask):
    equals_the_sdk(mask)


@settings(deadline=None, max_examples=60)
@given(masks(side=128))
def test_any_mask_equals_the_sdk(mask):
    equals_the_sdk(mask)


@settings(deadline=None, max_examples=60)
@given(masks())
def test_round_trip_from_coco_to_brush_to_coco(mask):
    packed = rle.encode(mask)
    data = brush.encode(rle.decode(packed))
    assert rle.encode(brush.decode(data, height=mask.shape[0], width=mask.shape[1])) == packed


def stream(values: np.ndarray, *, word: int, sizes: list[int], rng: np.random.Generator) -> bytes:
    """A stream such as any writer may make it: runs and literals of random lengths, any sizes."""
    bits = f"{values.size:032b}{word - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    at = 0
    while at < values.size:
        index = int(rng.integers(4))
        length = min(int(rng.integers(1, 2 ** min(sizes[index], 6) + 1)), values.size - at)
        piece = values[at : at + length]
        run = bool((piece == piece[0]).all()) and rng.random() < 0.9
        bits += f"{run:01b}{index:02b}{length - 1:0{sizes[index]}b}"
        bits += "".join(f"{value:0{word}b}" for value in (piece[:1] if run else piece))
        at += length
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@settings(deadline=None, max_examples=150)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 32),
    st.lists(st.integers(1, 16), min_size=4, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_streams_of_any_word_and_run_sizes(height, width, word, sizes, seed):
    rng = np.random.default_rng(seed)
    few = rng.integers(0, min(2**word, 256), 3)  # some values, so that there are runs
    values = rng.choice(few, height * width * 4)
    data = stream(values, word=word, sizes=sizes, rng=rng)
    expected = values.reshape(height, width, 4)[..., 3] >= 128
    np.testing.assert_array_equal(brush.decode(data, height=height, width=width), expected)
    np.testing.assert_array_equal(sdk.decode_rle(list(data)), values)


def test_streams_longer_than_a_chunk(monkeypatch):
    monkeypatch.setattr(brush, "_CHUNK", 16)  # literals then reach over several chunks
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.choice([0, 90, 255], 30 * 40 * 4)
        data = stream(values, word=8, sizes=[3, 4, 8, 16], rng=rng)
        expected = values.reshape(30, 40, 4)[..., 3] >= 128
        np.testing.assert_array_equal(brush.decode(data, height=30, width=40), expected)


def test_anti_aliased_alpha_is_cut_at_128_and_colours_are_ignored():
    pixels = np.zeros((1, 4, 4), int)
    pixels[..., :3] = 255
    pixels[0, :, 3] = [127, 128, 0, 255]
    data = sdk.encode_rle(pixels.ravel())
    assert brush.decode(data, height=1, width=4).tolist() == [[False, True, False, True]]


DATA = brush.encode(NAMED["holes in holes"])
HEIGHT, WIDTH = NAMED["holes in holes"].shape


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "cut short", id="nothing"),
        pytest.param(DATA[:6], "cut short", id="no whole header"),
        pytest.param(DATA[:7], "cut short", id="a header alone"),
        *[pytest.param(DATA[:n], "cut short", id=f"cut at {n}") for n in (8, 9, 50, len(DATA) - 2)],
        pytest.param([0, 256], "list of bytes", id="numbers beyond a byte"),
        pytest.param([0, -1], "list of bytes", id="negative numbers"),
        pytest.param([0, 0.5], "list of bytes", id="fractions"),
        pytest.param([0, "a"], "list of bytes", id="letters"),
        pytest.param(None, "list of bytes", id="no list"),
        pytest.param(10**15, "list of bytes", id="a number"),
        pytest.param(7, "list of bytes", id="a small number"),
        pytest.param({0: 1}, "list of bytes", id="a table"),
        pytest.param(DATA + bytes(10**6), "no more than", id="a tail without end"),
        pytest.param([312, 4, 9], "list of bytes", id="COCO counts"),
        pytest.param(list(range(60)), "another image size", id="other numbers"),
        pytest.param(brush.encode(np.ones((5, 5), bool)), "another image size", id="another size"),
    ],
)
def test_bad_streams(data, words):
    with pytest.raises(FormatError, match=words):
        brush.decode(data, height=HEIGHT, width=WIDTH)


def test_more_values_than_pixels_are_refused():
    data = bytearray(brush.encode(np.ones((2, 2), bool)))
    data[3] = 12  # three pixels, but the run goes on
    with pytest.raises(FormatError, match="more than its 12 values"):
        brush.decode(bytes(data), height=1, width=3)


def test_random_bytes_are_read_or_refused():
    rng = np.random.default_rng(0)
    header = DATA[:7]
    for _ in range(300):
        noise = header + rng.integers(0, 256, rng.integers(0, 4000), np.uint8).tobytes()
        try:
            assert brush.decode(noise, height=HEIGHT, width=WIDTH).shape == (HEIGHT, WIDTH)
        except FormatError:
            continue


@pytest.mark.parametrize("mask", [np.zeros((2, 2), np.uint8), np.zeros(4, bool), np.zeros((0, 3), bool)])
def test_only_masks_are_encoded(mask):
    with pytest.raises(InputError, match="bool array"):
        brush.encode(mask)
