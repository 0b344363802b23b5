import dataclasses
import errno
import json
import os

import numpy as np
import pytest
from predictions import CONCEPTS, image_ref, predictions, ring
from pycocotools.coco import COCO

from reco_assist.annotations import Prediction, Region, Verdict
from reco_assist.errors import FormatError, InputError, StorageError
from reco_assist.formats import to_coco, write_coco
from reco_assist.masks import Rle, rle


@pytest.fixture
def loaded(tmp_path):
    """Write a data set and read it with pycocotools."""

    def load(data: dict) -> COCO:
        path = tmp_path / "coco.json"
        path.write_text(json.dumps(data))
        return COCO(path)

    return load


@pytest.mark.parametrize("polygons", [False, True])
def test_pycocotools_reads_every_mask_area_and_box(loaded, polygons):
    made = predictions()
    coco = loaded(to_coco(made, CONCEPTS, polygons=polygons))
    assert [coco.cats[number]["name"] for number in (1, 2, 3)] == CONCEPTS
    images = {image["file_name"]: image for image in coco.imgs.values()}
    assert list(images) == [prediction.image.file_name for prediction in made]
    for prediction in made:
        image = images[prediction.image.file_name]
        assert (image["width"], image["height"]) == (prediction.image.width, prediction.image.height)
        found = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        assert len(found) == len(prediction.regions)
        for annotation, region in zip(found, prediction.regions, strict=True):
            packed = coco.annToRLE(annotation)
            mask = Rle(
                *packed["size"],
                packed["counts"] if isinstance(packed["counts"], str) else packed["counts"].decode(),
            )
            if polygons:
                assert rle.iou(mask, region.mask) > 0.85
            else:
                assert mask == region.mask
            assert annotation["area"] == coco.annToMask(annotation).sum()
            ys, xs = np.nonzero(coco.annToMask(annotation))
            x, y = int(xs.min()), int(ys.min())
            assert annotation["bbox"] == [x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1]
            assert coco.cats[annotation["category_id"]]["name"] == region.concept
            assert annotation["iscrowd"] == 0
            assert annotation["score"] == pytest.approx(region.score, abs=1e-6)


def test_polygons_on_request_but_holes_stay_rle():
    disc = np.hypot(*(np.mgrid[:40, :50] - np.array([20, 25])[:, None, None])) < 12
    regions = tuple(Region("mug", rle.encode(mask), 0.5) for mask in (disc, ring(40, 50)))
    made = [Prediction(image_ref("a.jpg", 40, 50), regions)]
    kinds = [type(a["segmentation"]) for a in to_coco(made, ["mug"], polygons=True)["annotations"]]
    assert kinds == [list, dict]
    kinds = [type(a["segmentation"]) for a in to_coco(made, ["mug"])["annotations"]]
    assert kinds == [dict, dict]


def test_images_without_masks_and_absent_verdicts_are_recorded():
    image = image_ref("a.jpg", 4, 5)
    made = [Prediction(image, (), (Verdict("mug", present=False, probability=0.12345678),))]
    data = to_coco(made, ["mug"], info={"description": "d"})
    assert data["annotations"] == []
    assert data["images"][0]["reco_verdicts"] == {"mug": {"present": False, "probability": 0.123457}}
    assert data["images"][0]["reco_hash"] == image.content_hash
    assert data["info"] == {"description": "d"}


@pytest.mark.parametrize("polygons", [False, True])
@pytest.mark.parametrize("count", [0, 1, 8])
def test_the_stream_is_the_same_bytes(tmp_path, polygons, count):
    made = predictions(count)
    path = tmp_path / "coco.json"
    write_coco(path, lambda: iter(made), CONCEPTS, info={"ü": 1}, polygons=polygons)
    data = to_coco(made, CONCEPTS, info={"ü": 1}, polygons=polygons)
    assert path.read_bytes() == json.dumps(data, separators=(",", ":")).encode()


def test_one_prediction_is_held_at_a_time(tmp_path):
    """Every prediction is let go before the next is asked for, however many there are."""
    import weakref

    @dataclasses.dataclass(frozen=True)  # like Prediction, which has slots, but can be referred to weakly
    class Tracked:
        image: object
        regions: tuple
        verdicts: tuple

    alive: list[weakref.ref] = []

    def source():
        for made in predictions():
            assert sum(ref() is not None for ref in alive) <= 1
            tracked = Tracked(made.image, made.regions, made.verdicts)
            alive.append(weakref.ref(tracked))
            yield tracked
            del tracked

    write_coco(tmp_path / "coco.json", source, CONCEPTS)
    assert len(alive) == 16


def test_ids_depend_on_content_and_fit_a_float():
    made = predictions()
    data, other_way = to_coco(made, CONCEPTS), to_coco(made[::-1], CONCEPTS)
    for key in ("images", "annotations"):
        ids = [record["id"] for record in data[key]]
        assert len(set(ids)) == len(ids)
        assert set(ids) == {record["id"] for record in other_way[key]}
        assert all(0 < number < 2**52 and int(float(number)) == number for number in ids)


def test_duplicates_get_ids_of_their_own_always_the_same():
    made = predictions(2)
    twice = [*made, dataclasses.replace(made[0], image=dataclasses.replace(made[0].image, file_name="copy"))]
    twice[1] = dataclasses.replace(made[1], regions=made[1].regions[:1] * 3)
    data = to_coco(twice, CONCEPTS)
    for key in ("images", "annotations"):
        ids = [record["id"] for record in data[key]]
        assert len(set(ids)) == len(ids)
    assert data == to_coco(twice, CONCEPTS)
    owners = {annotation["image_id"] for annotation in data["annotations"]}
    assert owners == {image["id"] for image in data["images"]}


IMAGE = image_ref("a.jpg", 4, 5)
MASK = rle.encode(np.ones((4, 5), bool))


@pytest.mark.parametrize(
    ("made", "concepts", "words"),
    [
        pytest.param(Prediction(IMAGE), [], "at least one name", id="no concepts"),
        pytest.param(Prediction(IMAGE), "mug", "at least one name", id="a text for the concepts"),
        pytest.param(Prediction(IMAGE), ["mug", "mug"], "twice", id="a concept twice"),
        pytest.param(Prediction(IMAGE), [" "], "no name", id="a blank concept"),
        pytest.param(Prediction(IMAGE), ["a\nb"], "no name", id="a concept of two lines"),
        pytest.param(Prediction(IMAGE, (Region("cup", MASK, 1),)), ["mug"], "none of", id="unknown concept"),
        pytest.param(
            Prediction(IMAGE, (), (Verdict("cup", True, 1),)),
            ["mug"],
            "none of",
            id="verdict on an unknown one",
        ),
        pytest.param(Prediction(IMAGE, (Region("mug", MASK, 1.1),)), ["mug"], "no probability", id="score"),
        pytest.param(
            Prediction(IMAGE, (Region("mug", MASK, float("nan")),)), ["mug"], "no probability", id="no number"
        ),
        pytest.param(
            Prediction(IMAGE, (), (Verdict("mug", True, -1),)), ["mug"], "no probability", id="probability"
        ),
        pytest.param(
            Prediction(IMAGE, (Region("mug", rle.encode(np.ones((5, 4), bool)), 1),)),
            ["mug"],
            "4 x 5 pixels, but a.jpg has 5 x 4",
            id="mask of another size",
        ),
        pytest.param(
            Prediction(IMAGE, (Region("mug", rle.encode(np.zeros((4, 5), bool)), 1),)),
            ["mug"],
            "empty",
            id="empty",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, made, concepts, words):
    with pytest.raises(InputError, match=words):
        to_coco([made], concepts)
    with pytest.raises(InputError, match=words):
        write_coco(tmp_path / "coco.json", lambda: [made], concepts)
    assert list(tmp_path.iterdir()) == []


def test_damaged_counts_are_refused():
    with pytest.raises(FormatError, match="do not fill"):
        to_coco([Prediction(IMAGE, (Region("mug", Rle(4, 5, "ZZZ0"), 1),))], ["mug"])


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "coco.json"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_coco(path, predictions, CONCEPTS)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("numbers", [{"a": 0}, {"a": 2, "b": 2}, {}])
def test_numbers_that_cannot_be_categories_are_refused(numbers):
    with pytest.raises(InputError):
        to_coco([], numbers)
