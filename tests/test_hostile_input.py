"""Files of others: whatever they hold, a reader answers or refuses by an error of ours, in bounded memory."""

import copy
import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from reco_assist.errors import FormatError, InputError, RecoAssistError
from reco_assist.evaluation import truth_of
from reco_assist.formats import read_dataset
from reco_assist.masks import filling, rle
from reco_assist.safe_paths import inside

MASK = np.zeros((30, 40), bool)
MASK[5:20, 9:33] = True
DOCUMENT = {
    "images": [
        {
            "id": 1,
            "file_name": "a.jpg",
            "height": 30,
            "width": 40,
            "reco_verdicts": {"mug": {"present": True, "probability": 0.5}},
        },
        {"id": 2, "file_name": "b.jpg", "height": 30, "width": 40},
    ],
    "categories": [{"id": 1, "name": "mug"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": rle.to_coco(rle.encode(MASK)),
            "score": 0.5,
        },
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 30, 4, 20, 25]], "iscrowd": 1},
        {"id": 3, "image_id": 2, "category_id": 1, "segmentation": {"size": [30, 40], "counts": [600, 600]}},
        {"id": 4, "image_id": 2, "category_id": 1, "bbox": [3, 4, 10, 12]},
    ],
}
LEGEND = [{"id": 0, "name": "background"}, {"id": 1, "name": "mug"}]
GROUP = {
    "concepts": {
        "mug": {
            "query": "mug",
            "positives": [{"image": "s/images/a.jpg", "mask": "s/masks/a.png", "ids": [1]}],
            "ignore": [],
        }
    }
}
HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.sampled_from([10**30, -1, 0, 2**31, 2**32, math.nan, math.inf, -0.5, 1e308]),
    st.text(max_size=6),
    st.sampled_from(["../../secret", "/etc/passwd", "a\0b", "<img src=x onerror=alert(1)>", "o" * 1000]),
    st.lists(st.integers(-5, 5), max_size=3),
    st.just({}),
    st.just([[0, 0, 1e9, 0, 1e9, 1e9]]),
    st.just({"size": [30, 40], "counts": "~~~~"}),
)
LIMIT = 64 << 20  # bytes; the masks are of 1,200 pixels
BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def places(node, path=()):
    """Paths to all nodes of a JSON value."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@st.composite
def damaged(draw, document):
    """The document with one or two nodes replaced, or left out."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        below = [path for path in places(changed) if path]
        if not below:
            break
        path = draw(st.sampled_from(below))
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        if draw(st.booleans()):
            parent[path[-1]] = copy.deepcopy(draw(HOSTILE))  # st.just gives one object over and over
        else:
            del parent[path[-1]]
    return changed


def infinite(document):
    """The document with each node in turn replaced by what JSON may call Infinity, or write as 1e999."""
    for path in places(document):
        if not path:
            continue
        changed = copy.deepcopy(document)
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = math.inf
        yield changed


def survives(read):
    """Run a reader; only errors of ours may come out, and only so much memory go in."""
    tracemalloc.start()
    try:
        read()
    except RecoAssistError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < LIMIT


def look_at(truth):
    for concept in truth.concepts:
        for labelled in concept.positives.values():
            labelled()


def read_coco(path, document):
    path.write_text(json.dumps(document))

    def dataset():
        found = read_dataset(path, images=path.parent)
        for number in found.images:
            for name in found.concepts:
                found.union(number, name)

    survives(dataset)
    survives(lambda: look_at(truth_of(read_dataset(path))))


@BOUNDED
@given(damaged(DOCUMENT))
def test_coco_of_others(tmp_path, document):
    read_coco(tmp_path / "coco.json", document)


def test_infinity_anywhere_in_coco_of_others(tmp_path):
    for document in infinite(DOCUMENT):
        read_coco(tmp_path / "coco.json", document)


@BOUNDED
@given(damaged(LEGEND), st.sampled_from(["a.jpg", "../a.jpg", "/etc/a.jpg", ""]))
def test_label_maps_of_others(tmp_path, legend, name):
    folder = tmp_path / "maps"
    folder.mkdir(exist_ok=True)
    (folder / "legend.json").write_text(json.dumps(legend))
    Image.fromarray(MASK.astype(np.uint8)).save(folder / "a.png")
    Image.fromarray(MASK.astype(np.uint8)).save(tmp_path / "a.png")
    survives(lambda: look_at(truth_of(read_dataset(folder, files=[name]))))


@BOUNDED
@given(damaged(GROUP))
def test_groups_of_others(tmp_path, table):
    folder = tmp_path / "group"
    for part in ("images", "masks"):
        (folder / "s" / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(MASK.astype(np.uint8)).save(folder / "s" / "masks" / "a.png")
    Image.fromarray(MASK.astype(np.uint8)).save(folder / "s" / "images" / "a.jpg")
    (folder / "concepts.json").write_text(json.dumps(table))
    survives(lambda: look_at(truth_of(read_dataset(folder))))


@pytest.mark.parametrize(
    ("height", "width"),
    [(10**9, 1), (1 << 15, 1 << 15), (0, 5), (-1, 5), (True, 5), (5.0, 5), ("5", 5), (None, 5)],
)
def test_sizes_that_cannot_be_are_refused(height, width):
    with pytest.raises(FormatError, match="cannot be"):
        rle.from_coco([[0, 0, 1, 0, 1, 1]], height, width)


def test_an_outline_that_would_fill_the_memory_is_refused():
    zigzag = [value for n in range(40_000) for value in (0 if n % 2 else 1000, n % 1000)]
    with pytest.raises(FormatError, match="outlines of more than"):
        rle.from_coco([zigzag], 1000, 1000)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_edge_that_closes_an_outline_counts(monkeypatch, parts):
    triangles = [[0, 0, 10, 0, 10, 10]] * parts  # each edge takes ten pixels of the longer axis
    monkeypatch.setattr(filling, "_MAX_OUTLINE", 30 * parts)
    assert rle.area(rle.from_coco(triangles, 20, 20)) > 0
    monkeypatch.setattr(filling, "_MAX_OUTLINE", 30 * parts - 1)
    with pytest.raises(FormatError, match="outlines of more than"):
        rle.from_coco(triangles, 20, 20)


def test_names_stay_inside_their_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "photos")
    assert inside(tmp_path / "out", "a/b.jpg") == tmp_path / "out" / "a" / "b.jpg"
    assert inside(tmp_path / "out", "link/b.jpg", links=True) == tmp_path / "out" / "link" / "b.jpg"
    for name in ("../a.jpg", "a/../../b.jpg", "/etc/passwd", "", "a\0b", "link/b.jpg"):
        with pytest.raises(InputError, match="leads out of"):
            inside(tmp_path / "out", name)
