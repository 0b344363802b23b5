"""Darknet's YOLO folders as CVAT ("YOLO 1.1") and datumaro write them."""

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from reco_assist.errors import RecoAssistError
from reco_assist.formats import read_dataset
from reco_assist.masks import rle

WIDTH, HEIGHT = 64, 48
BOX = "0 0.5 0.5 0.25 0.5\n"
OUTLINE = "1 0.1 0.1 0.6 0.2 0.3 0.9\n"


def photo(path, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "grey").save(path)


def darknet(root, data="classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"):
    """Two images with objects and one without, as the tools write them: paths begin with `data/`."""
    labels = root / "obj_train_data"
    for name, text in (("a", BOX + OUTLINE), ("sub/b", BOX), ("c", "")):
        photo(labels / f"{name}.jpg")
        (labels / f"{name}.txt").write_text(text)
    (root / "obj.data").write_text(data)
    (root / "obj.names").write_text("mug\nfire extinguisher\n")
    lines = [f"data/obj_train_data/{name}.jpg\n" for name in ("sub/b", "a", "c")]
    (root / "train.txt").write_text("".join(lines))
    return root


def masks(dataset, name):
    records = dataset.annotations[dataset.find(name)]
    return {dataset.concept(one): rle.decode(dataset.mask(one)) for one in records}


@pytest.mark.parametrize("given", ["", "obj.data"])
def test_boxes_and_outlines(tmp_path, given):
    found = read_dataset(darknet(tmp_path) / given)
    assert sorted(one["file_name"] for one in found.images.values()) == ["a.jpg", "c.jpg", "sub/b.jpg"]
    assert list(found.concepts) == ["mug", "fire extinguisher"]
    box = np.zeros((HEIGHT, WIDTH), bool)
    box[12:36, 24:40] = True
    coco = COCO()
    coco.imgs = {1: {"height": HEIGHT, "width": WIDTH}}
    corners = np.array([[0.1, 0.1], [0.6, 0.2], [0.3, 0.9]]) * [WIDTH, HEIGHT]
    outline = coco.annToMask({"image_id": 1, "segmentation": [corners.ravel().tolist()]}).astype(bool)
    np.testing.assert_array_equal(masks(found, "a.jpg")["mug"], box)
    np.testing.assert_array_equal(masks(found, "a.jpg")["fire extinguisher"], outline)
    assert masks(found, "c.jpg") == {}
    assert found.photograph(found.images[found.find("sub/b.jpg")]).is_file()


def test_photographs_may_lie_elsewhere(tmp_path):
    root = darknet(tmp_path / "labels")
    for name in ("a", "sub/b", "c"):
        (root / "obj_train_data" / f"{name}.jpg").unlink()
        if name != "c":
            photo(tmp_path / "photos" / f"{name}.jpg")
    found = read_dataset(root, images=tmp_path / "photos")
    assert sorted(one["file_name"] for one in found.images.values()) == ["a.jpg", "sub/b.jpg"]
    ((name, reason),) = found.skipped
    assert name == "c.jpg"
    assert reason.startswith("c.jpg is missing")


def test_several_parts_are_one_data_set(tmp_path):
    text = "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n"
    root = darknet(tmp_path, text)
    photo(root / "obj_valid_data" / "d.jpg")
    (root / "obj_valid_data" / "d.txt").write_text(OUTLINE)
    (root / "valid.txt").write_text("data/obj_valid_data/d.jpg\n")
    found = read_dataset(root)
    assert len(found.images) == 4
    assert list(masks(found, "obj_valid_data/d.jpg")) == ["fire extinguisher"]
    assert all(found.photograph(one).is_file() for one in found.images.values())
    elsewhere = read_dataset(root, images=tmp_path / "photos")
    assert list(masks(elsewhere, "d.jpg")) == ["fire extinguisher"]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("obj.data", "classes = 2\nnames = data/obj.names\n", r"obj\.data.* names no list of images"),
        ("obj.data", "train = data/train.txt\n", r"obj\.data.* names no file of names"),
        ("obj.data", "train = data/train.txt\nnames = none.names\n", r"obj\.data: .*'none\.names', which"),
        ("obj.data", "train = ../../train.txt\nnames = /etc/none.names\n", r"obj\.data: .*not below"),
        ("obj.data", "train = data/none.txt\nnames = obj.names\n", r"obj\.data: .*'data/none\.txt', which"),
        ("obj.names", "\n", r"obj\.names names no class"),
        ("obj.names", "mug\n", r"line 2 of .*a\.txt.*class '1'"),
        ("train.txt", "\n", r"has no image that can be used"),
        ("train.txt", "../../a.jpg\n", r"has no image that can be used.*a\.jpg is missing"),
    ],
)
def test_what_is_damaged_is_one_sentence(tmp_path, file, text, words):
    root = darknet(tmp_path)
    (root / file).write_text(text)
    with pytest.raises(RecoAssistError, match=words) as raised:
        read_dataset(root)
    assert len(str(raised.value).replace(str(tmp_path), "")) < 300


def test_photographs_of_one_name_below_images_are_refused(tmp_path):
    root = darknet(tmp_path)
    photo(root / "obj_valid_data" / "a.jpg")
    (root / "train.txt").write_text("data/obj_train_data/a.jpg\ndata/obj_valid_data/a.jpg\n")
    assert len(read_dataset(root).images) == 2
    with pytest.raises(RecoAssistError, match=r"would both be called 'a\.jpg'"):
        read_dataset(root, images=tmp_path / "photos")
