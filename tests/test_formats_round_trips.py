"""Panoptic and YOLO data sets go in wherever a COCO file does, and come back as they went."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.errors import InputError
from reco_assist.formats import Dataset, read_dataset, write_panoptic
from reco_assist.formats.photographs import photographed
from reco_assist.formats.yolo import write_yolo
from reco_assist.masks import rle

HEIGHT, WIDTH = 48, 64


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos/sub").mkdir(parents=True)
    for name in ("sub/a.jpg", "b.jpg"):
        Image.effect_noise((WIDTH, HEIGHT), 90).convert("RGB").save(f"photos/{name}")


def shapes():
    """Masks that do not overlap: an L, a triangle, and a crowd."""
    corner, triangle, crowd = np.zeros((3, HEIGHT, WIDTH), bool)
    corner[5:30, 5:12], corner[24:30, 5:30] = True, True
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    triangle[(columns > 35) & (rows > 4) & (columns - 35 + rows < 25)] = True
    crowd[40:, 40:] = True
    return corner, triangle, crowd


def coco():
    corner, triangle, crowd = shapes()
    images = [
        {"id": 7, "file_name": "sub/a.jpg", "height": HEIGHT, "width": WIDTH},
        {"id": 9, "file_name": "b.jpg", "height": HEIGHT, "width": WIDTH},
    ]
    rows = [(7, 3, corner, 0), (7, 5, triangle, 0), (9, 5, corner, 0), (9, 5, crowd, 1)]
    annotations = [
        {
            "id": n,
            "image_id": image,
            "category_id": category,
            "segmentation": rle.to_coco(rle.encode(mask)),
            "area": int(mask.sum()),
            "bbox": list(rle.bbox(rle.encode(mask))),
            "iscrowd": crowd,
        }
        for n, (image, category, mask, crowd) in enumerate(rows, start=1)
    ]
    categories = [{"id": 3, "name": "mug"}, {"id": 5, "name": "cat"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def pixels(dataset):
    """Each mask by image, concept and whether it is a crowd."""
    return {
        (dataset.name(dataset.image(one)), dataset.concept(one), one["iscrowd"]): rle.decode(
            dataset.mask(one)
        )
        for one in dataset.document["annotations"]
    }


def same(found, wanted, share=1.0):
    assert found.keys() == wanted.keys()
    for key, mask in wanted.items():
        assert (found[key] & mask).sum() >= share * (found[key] | mask).sum(), key


def test_panoptic_maps_are_read_by_the_formula_of_their_format():
    """Colours by panopticapi's id2rgb: red is the id's remainder by 256, and so on; ids are up to 24 bits."""
    corner, triangle, crowd = shapes()
    Path("own").mkdir()
    ids = np.zeros((HEIGHT, WIDTH), np.int64)
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    wanted = {300: corner, 70_000: triangle, 16_777_215: crowd}
    for number, mask in wanted.items():
        ids[mask] = number
    for y, x in np.ndindex(ids.shape):  # brute force
        rest = int(ids[y, x])
        for channel in range(3):
            colours[y, x, channel] = rest % 256
            rest //= 256
    Image.fromarray(colours).save("own/a.png")
    segments = [{"id": n, "category_id": 1 + (n == 300), "iscrowd": int(n > 1e6)} for n in wanted]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "mug", "isthing": 1}, {"id": 2, "name": "cat", "isthing": 0}],
    }
    Path("own.json").write_text(json.dumps(document))
    read = read_dataset("own.json")
    wanted = {("a.jpg", "cat", 0): corner, ("a.jpg", "mug", 0): triangle, ("a.jpg", "mug", 1): crowd}
    same(pixels(read), wanted)
    segments[0]["id"] = 5
    Path("own.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"'a\.png' in own\.json.*segment 300.*does not list"):
        read_dataset("own.json")
    shutil.rmtree("own")
    with pytest.raises(InputError, match="without its maps: put them into own"):
        read_dataset("own.json")


def test_what_is_written_as_panoptic_comes_back_to_the_pixel():
    dataset = Dataset(coco(), "coco.json")
    write_panoptic(Path("out"), dataset)
    read = read_dataset("out/panoptic.json")
    same(pixels(read), pixels(dataset))
    assert list(read.images) == [7, 9]
    assert {key: read.categories[key] for key in (3, 5)} == {3: "mug", 5: "cat"}


@pytest.mark.parametrize("part", [("all",), ("train", "val")])
def test_what_is_written_as_yolo_comes_back_within_its_tolerance(part):
    dataset = Dataset(coco(), "coco.json")
    photos = photographed(dataset, Path("photos"))
    parts = {"all": photos} if part == ("all",) else {"train": photos.only([7]), "val": photos.only([9])}
    assert write_yolo(Path("out"), parts) == 1  # the crowd
    wanted = {key: mask for key, mask in pixels(dataset).items() if not key[2]}
    for source in ("out", "out/data.yaml"):
        same(pixels(read_dataset(source, images="photos")), wanted, 0.93)  # simplified by up to a pixel
    names = {one["file_name"] for one in read_dataset("out").images.values()}
    assert names == ({"sub/a.jpg", "b.jpg"} if part == ("all",) else {"train/sub/a.jpg", "val/b.jpg"})


def yolo(layout="roboflow", *lines, names="[mug, cat]"):
    """A data set in a layout of others' tools."""
    images, labels, text = {
        "roboflow": ("y/train/images", "y/train/labels", "train: ../train/images\nval: ../valid/images\n"),
        "ultralytics": ("y/images/train", "y/labels/train", "path: ../datasets/y\ntrain: images/train\n"),
        "absolute": ("y/images/train", "y/labels/train", "train: /home/me/y/images/train\n"),
        "beside": ("y/here", "y/here", "train: here\n"),
    }[layout]
    for folder in (images, labels, "y/valid/images"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    shutil.copy("photos/b.jpg", f"{images}/b.jpg")
    Path(f"{labels}/b.txt").write_text("\n".join(lines))
    Path("y/data.yaml").write_text(f"{text}nc: 2\nnames: {names}\n")


@pytest.mark.parametrize("layout", ["roboflow", "ultralytics", "absolute", "beside"])
@pytest.mark.parametrize("names", ["[mug, cat]", "{0: mug, 1: cat}"])
def test_outlines_and_boxes_of_others_are_drawn_as_pycocotools_draws_them(layout, names):
    outline = [0.125, 0.125, 0.5, 0.125, 0.5, 0.75]
    yolo(
        layout,
        "1 " + " ".join(map(str, outline)),
        "0 0.75 0.5 0.25 0.25",
        "0 0.25 0.25 0.5 0.5 0.9",
        names=names,
    )
    read = read_dataset("y")
    first, second, third = (rle.decode(read.mask(one)) for one in read.document["annotations"])
    ring = (np.array(outline).reshape(-1, 2) * [WIDTH, HEIGHT]).ravel().tolist()
    drawn = coco_mask.decode(coco_mask.frPyObjects([ring], HEIGHT, WIDTH))[..., 0].astype(bool)
    np.testing.assert_array_equal(first, drawn)
    exact = np.zeros((HEIGHT, WIDTH), bool)
    exact[18:30, 40:56] = True
    np.testing.assert_array_equal(second, exact)
    assert third.sum() == 24 * 32
    assert [read.concept(one) for one in read.document["annotations"]] == ["cat", "mug", "mug"]
    assert [one.get("score") for one in read.document["annotations"]] == [None, None, 0.9]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 0.5 0.5 0.5 0.5", "line 1 of .*b.txt.*class '2'"),
        ("x 0.5 0.5 0.5 0.5", "line 1 of .*b.txt"),
        ("0 0.5 nan 0.5 0.5", "finite"),
        ("0 0.5 0.5", "2 numbers"),
        ("0.5 0.5 0.5 0.5 0.5", "class '0.5'"),
        ("0 1e308 0.5 0.5 0.5", "line 1 of .*b.txt"),
        ("0 -2 0.1 0.5 0.1 0.5 0.5", "line 1 of .*b.txt"),
    ],
)
def test_lines_that_mean_nothing_are_refused_by_name(line, words):
    yolo("roboflow", line)
    with pytest.raises(InputError, match=words) as caught:
        read_dataset("y")
    assert len(str(caught.value)) < 300


# Some kB that stand for 10^9 letters.
ALIASES = "a: &a [lol]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "names: 5", "names: [mug]", "names: [mug]\ntrain: nowhere", "a: [", "[" * 9999,
     "names: {1: mug}\ntrain: a", "names: [[]]\ntrain: a", "names: [mug]\ntrain: ../../..",
     "names: [mug]\ntrain: {a: b}", 'names: [mug, ""]\ntrain: a', "names: [mug]\nkpt_shape: [9, 3]\ntrain: a",
     f"{ALIASES}names: [*i]\ntrain: a", f"{ALIASES}names: [mug]\ntrain: *i"],
)  # fmt: skip
def test_descriptions_that_mean_nothing_are_refused_in_a_sentence(text):
    Path("y/a").mkdir(parents=True)
    Path("y/data.yaml").write_text(text)
    with pytest.raises(InputError, match=r"data\.yaml") as caught:
        read_dataset("y")
    assert len(str(caught.value)) < 300


def test_parts_whose_images_would_have_one_name_are_refused():
    yolo("roboflow", "0 0.5 0.5 0.5 0.5")
    shutil.copy("photos/b.jpg", "y/valid/images/b.jpg")
    assert len(read_dataset("y").images) == 2
    with pytest.raises(InputError, match="would both be called"):
        read_dataset("y", images="photos")


def test_a_damaged_photograph_of_yolo_is_left_out_and_named():
    yolo("ultralytics", "0 0.5 0.5 0.5 0.5")
    Path("y/images/train/c.jpg").write_bytes(Path("photos/b.jpg").read_bytes()[:700])
    read = read_dataset("y")
    assert [read.name(one) for one in read.images.values()] == ["b.jpg"]
    ((name, reason),) = read.skipped
    assert (name, "damaged" in reason) == ("c.jpg", True)


def test_they_go_in_wherever_a_coco_file_does():
    dataset = Dataset(coco(), "coco.json")
    Path("coco.json").write_text(json.dumps(coco()))
    write_panoptic(Path("out"), dataset)
    write_yolo(Path("yolo"), {"all": photographed(dataset, Path("photos"))})
    for source in ("out/panoptic.json", "yolo"):
        for words in (
            ("evaluate", source, "--truth", "coco.json", "--json"),
            ("evaluate", "coco.json", "--truth", source, "--json"),
            ("merge", "coco.json", source, "--out", "m.json", "--json"),
            ("merge", source, "coco.json", "--out", "m.json", "--json"),
            ("diff", "coco.json", source, "--json"),
            ("report", source, "--out", "page.html", "--json"),
            ("import", source, "--session", f"{source[:3]}.session", "--json"),
            ("convert", source, "--to", "coco,panoptic,yolo", "--out", f"again-{source[:3]}", "--json"),
        ):
            done = CliRunner().invoke(app, [*words, "--images", "photos"])
            assert done.exit_code == 0, (words, done.output, done.exception)
            said = json.loads(done.stdout)
            if words[0] == "evaluate":
                # As a prediction the crowd counts, and YOLO as truth has none.
                assert said["mean"]["iou"] > (0.85 if words[-2] == "yolo" else 0.93)
            if words[0] == "merge":
                assert said["images_added"] == 0
            if words[0] == "diff":
                assert said["images"]["added"] == said["images"]["removed"] == 0
            if words[0] in ("import", "convert"):
                assert said["skipped"] == []
