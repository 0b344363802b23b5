"""Data sets of labelme, CVAT, Pascal VOC and Label Studio as their tools write them, by other readers."""

import base64
import json
import logging
from io import BytesIO

import numpy as np
import pytest
import supervision
from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.brush import encode_rle
from PIL import Image, ImageDraw
from pycocotools.coco import COCO
from skimage import draw
from typer.testing import CliRunner

from reco_assist.annotations import ImageRef, Prediction, Region
from reco_assist.cli.app import app
from reco_assist.errors import RecoAssistError
from reco_assist.formats import read_dataset
from reco_assist.formats.label_studio import pre_annotation
from reco_assist.masks import rle

WIDTH, HEIGHT = 64, 48
TRIANGLE = [[10.0, 8.0], [40.0, 12.0], [22.0, 40.0]]


def photo(folder, name="a.jpg"):
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), "grey").save(folder / name)


def filled(points):
    """The pixels of a polygon, by pycocotools."""
    annotation = {"id": 1, "image_id": 1, "segmentation": [np.ravel(points).tolist()]}
    coco = COCO()
    coco.imgs = {1: {"height": HEIGHT, "width": WIDTH}}
    return coco.annToMask(annotation).astype(bool)


def only(dataset, name="a.jpg", concept="mug"):
    """The masks of a concept in an image."""
    return [rle.decode(dataset.mask(one)) for one in dataset.of(dataset.find(name), concept)]


def packed(mask):
    buffer = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def labelme(folder, *shapes, name="a", **more):
    photo(folder, f"{name}.jpg")
    document = {
        "version": "5.4.1",
        "flags": {},
        "shapes": [
            {"label": "mug", "group_id": None, "shape_type": "polygon", "flags": {}, **shape}
            for shape in shapes
        ],
        "imagePath": f"{name}.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        **more,
    }
    (folder / f"{name}.json").write_text(json.dumps(document))
    return folder


def test_labelmes_shapes(tmp_path):
    crop = np.eye(12, 9, dtype=bool) | np.eye(12, 9, k=2, dtype=bool)
    folder = labelme(
        tmp_path / "drawn",
        {"points": TRIANGLE},
        {"points": [[30.0, 30.0], [50.0, 20.0]], "shape_type": "rectangle", "label": "box"},
        {"points": [[30.0, 20.0], [30.0, 32.0]], "shape_type": "circle", "label": "disc"},
        {"points": [[5.0, 6.0], [13.0, 17.0]], "shape_type": "mask", "mask": packed(crop), "label": "crop"},
        {"points": [[1.0, 1.0]], "shape_type": "point", "label": "dot"},
    )
    found = read_dataset(folder)
    np.testing.assert_array_equal(only(found)[0], filled(TRIANGLE))
    box, disc, cropped = np.zeros((3, HEIGHT, WIDTH), bool)
    box[20:30, 30:50] = True
    rows, columns = draw.ellipse(20 - 0.5, 30 - 0.5, 12, 12, shape=disc.shape)
    disc[rows, columns] = True
    cropped[6:18, 5:14] = crop
    np.testing.assert_array_equal(only(found, concept="box")[0], box)
    np.testing.assert_array_equal(only(found, concept="crop")[0], cropped)
    assert (only(found, concept="disc")[0] ^ disc).sum() <= 8  # pixels whose middle lies on the circle
    assert list(found.concepts) == ["mug", "box", "disc", "crop"]


def test_what_is_left_out_is_counted(tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="reco_assist")
    dots = [{"points": [[1.0, 1.0]], "shape_type": "point"}] * 2
    folder = labelme(tmp_path / "x", {"points": TRIANGLE}, *dots)
    assert len(read_dataset(folder).document["annotations"]) == 1
    assert caplog.messages == [
        f"{folder}: left out shapes without an area, such as lines, points and tags: 2"
    ]


def test_labelmes_polygons_and_rectangles_are_those_of_supervision(tmp_path):
    corners = {"points": [[50.0, 30.0], [30.0, 20.0]], "shape_type": "rectangle", "label": "box"}
    folder = labelme(tmp_path / "x", {"points": TRIANGLE}, corners)
    ((_, _, theirs),) = list(supervision.DetectionDataset.from_labelme(str(folder), str(folder)))
    ours = [one["bbox"] for one in read_dataset(folder).document["annotations"]]
    for (left, top, right, bottom), (x, y, width, height) in zip(theirs.xyxy, ours, strict=True):
        np.testing.assert_allclose([x, y, x + width, y + height], [left, top, right, bottom], atol=1)


def test_labelmes_groups_are_one_region_and_others_several(tmp_path):
    left, right = [[2, 2], [12, 2], [12, 12], [2, 12]], [[30, 2], [42, 2], [42, 12], [30, 12]]
    folder = labelme(
        tmp_path / "x",
        {"points": left, "group_id": 7},
        {"points": right, "group_id": 7},
        {"points": left, "label": "cup"},
        {"points": right, "label": "cup"},
    )
    found = read_dataset(folder)
    (one,) = only(found)
    np.testing.assert_array_equal(one, filled(left) | filled(right))
    assert len(only(found, concept="cup")) == 2


def test_labelmes_photographs_may_lie_elsewhere(tmp_path):
    folder = labelme(tmp_path / "drawn", {"points": TRIANGLE}, imagePath="..\\photos\\a.jpg")
    photo(tmp_path / "photos")
    found = read_dataset(folder, images=tmp_path / "photos")
    assert found.photograph(found.images[1]) == tmp_path / "photos" / "a.jpg"


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="a.jpg" width="64" height="48">{shapes}</image>
<image id="1" name="sub/b.jpg" width="64" height="48"></image>
</annotations>"""


def cvat(folder, shapes):
    photo(folder)
    (folder / "annotations.xml").write_text(CVAT.format(shapes=shapes))
    return folder / "annotations.xml"


def test_cvats_shapes(tmp_path):
    crop = np.zeros((6, 10), bool)
    crop[1:4, 2:9] = True
    crop[5, 0] = True
    changes = np.flatnonzero(np.diff(np.r_[False, crop.ravel()].astype(int))).tolist()
    runs = np.diff([0, *changes, crop.size]).tolist()
    points = ";".join(f"{x},{y}" for x, y in TRIANGLE)
    shapes = f"""
      <polygon label="mug" source="manual" occluded="0" points="{points}" z_order="0"></polygon>
      <box label="box" occluded="0" xtl="30.0" ytl="20.0" xbr="50.0" ybr="30.0"></box>
      <box label="turned" xtl="30.0" ytl="20.0" xbr="50.0" ybr="30.0" rotation="90"></box>
      <ellipse label="disc" cx="30" cy="20" rx="12" ry="6" rotation="30.0"></ellipse>
      <mask label="crop" rle="{", ".join(map(str, runs))}" left="5" top="6" width="10" height="6"></mask>
      <polyline label="line" points="1,1;9,9"></polyline><tag label="night"></tag>"""
    found = read_dataset(cvat(tmp_path, shapes))
    np.testing.assert_array_equal(only(found)[0], filled(TRIANGLE))
    box, turned, disc, cropped = np.zeros((4, HEIGHT, WIDTH), bool)
    box[20:30, 30:50] = True
    turned[15:35, 35:45] = True
    cropped[6:12, 5:15] = crop
    # scikit-image turns against the clock, with y downwards
    rows, columns = draw.ellipse(20 - 0.5, 30 - 0.5, 6, 12, shape=disc.shape, rotation=-np.radians(30))
    disc[rows, columns] = True
    np.testing.assert_array_equal(only(found, concept="box")[0], box)
    np.testing.assert_array_equal(only(found, concept="turned")[0], turned)
    np.testing.assert_array_equal(only(found, concept="crop")[0], cropped)
    assert (only(found, concept="disc")[0] ^ disc).sum() <= 8
    assert found.find("sub/b.jpg") == 2  # an image without shapes is one without objects


VOC = """<annotation><folder>VOC</folder><filename>{name}</filename>
<size><width>64</width><height>48</height><depth>3</depth></size><segmented>0</segmented>
<object><name>mug</name><pose>Left</pose><truncated>0</truncated><difficult>0</difficult>
<bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>20</ymax></bndbox></object>
<object><name>cup</name><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>64</xmax><ymax>48</ymax></bndbox></object></annotation>"""


def test_vocs_boxes_count_pixels_from_one(tmp_path):
    photo(tmp_path / "JPEGImages")
    boxes = tmp_path / "Annotations"
    boxes.mkdir()
    (boxes / "a.xml").write_text(VOC.format(name="a.jpg"))
    found = read_dataset(boxes)
    mug, cup = np.zeros((2, HEIGHT, WIDTH), bool)
    mug[5:20, 10:30], cup[:] = True, True
    np.testing.assert_array_equal(only(found)[0], mug)
    np.testing.assert_array_equal(only(found, concept="cup")[0], cup)
    assert [one.get("ignore", 0) for one in found.document["annotations"]] == [0, 1]
    others = supervision.DetectionDataset.from_pascal_voc(str(tmp_path / "JPEGImages"), str(boxes))
    ((_, _, theirs),) = list(others)
    x, y, width, height = found.document["annotations"][0]["bbox"]
    np.testing.assert_array_equal(theirs.xyxy[0], [x, y, x + width, y + height])
    assert found.photograph(found.images[1]) == tmp_path / "JPEGImages" / "a.jpg"


def test_voc_shows_to_the_command_line_as_a_data_set(tmp_path):
    photo(tmp_path)
    (tmp_path / "a.xml").write_text(VOC.format(name="a.jpg"))
    done = CliRunner().invoke(app, ["convert", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    coco = COCO(str(tmp_path / "out" / "coco.json"))
    assert {one["name"] for one in coco.dataset["categories"]} == {"mug", "cup"}


def percent(points):
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]


def export(folder, *results, **task):
    sized = {"original_width": WIDTH, "original_height": HEIGHT, "from_name": "label", "to_name": "image"}
    annotation = {"id": 1, "was_cancelled": False, "updated_at": "2026-01-02T00:00:00Z"}
    tasks = [
        {
            "id": 5,
            "data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"},
            "annotations": [
                {**annotation, "result": [{"id": str(n), **sized, **one} for n, one in enumerate(results)]}
            ],
            **task,
        }
    ]
    path = folder / "project-1.json"
    path.write_text(json.dumps(tasks))
    return path


def polygon(points, label="mug"):
    return {"type": "polygonlabels", "value": {"points": percent(points), "polygonlabels": [label]}}


def test_label_studios_polygons_are_those_of_its_own_converter(tmp_path):
    photo(tmp_path / "photos")
    file = export(tmp_path, polygon(TRIANGLE), polygon([[2, 2], [9, 2], [9, 9]], "cup"))
    found = read_dataset(file, images=tmp_path / "photos")
    config = (
        '<View><Image name="image" value="$image"/><PolygonLabels name="label" toName="image">'
        '<Label value="mug"/><Label value="cup"/></PolygonLabels></View>'
    )
    converter = Converter(config, str(tmp_path), download_resources=False)
    converter.convert_to_coco(
        str(file), str(tmp_path / "theirs"), output_image_dir=str(tmp_path / "images"), is_dir=False
    )
    theirs = COCO(str(tmp_path / "theirs" / "result.json"))
    for name in ("mug", "cup"):
        (category,) = theirs.getCatIds(catNms=[name])
        (annotation,) = theirs.loadAnns(theirs.getAnnIds(catIds=[category]))
        np.testing.assert_array_equal(only(found, concept=name)[0], theirs.annToMask(annotation).astype(bool))


def test_label_studios_brushes_by_its_own_encoder(tmp_path):
    image = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).ellipse((10, 10, 40, 30), fill=255)
    mask = np.asarray(image) > 0
    runs = encode_rle(np.repeat(mask.ravel().astype(np.uint8) * 255, 4))
    brush = {"type": "brushlabels", "value": {"format": "rle", "rle": runs, "brushlabels": ["mug"]}}
    np.testing.assert_array_equal(only(read_dataset(export(tmp_path, brush)))[0], mask)


def test_of_several_annotations_the_one_changed_last_counts(tmp_path):
    file = export(tmp_path, polygon(TRIANGLE))
    tasks = json.loads(file.read_text())
    late = {**tasks[0]["annotations"][0], "id": 2, "updated_at": "2026-01-03T00:00:00Z"}
    late["result"] = [{**late["result"][0], **polygon(TRIANGLE, "cup")}]
    skipped = {**late, "id": 3, "updated_at": "2026-01-04T00:00:00Z", "was_cancelled": True, "result": []}
    tasks[0]["annotations"] = [late, *tasks[0]["annotations"], skipped]
    file.write_text(json.dumps(tasks))
    assert list(read_dataset(file).concepts) == ["cup"]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>'


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.xml", BOMB, "has a document type"),
        ("a.xml", "<annotations><image", "no valid XML"),
        ("a.xml", "<kml></kml>", "no CVAT file"),
        ("a.xml", "<annotations><track id='0'/></annotations>", "tracks of a video"),
        ("a.xml", CVAT.format(shapes='<box label="m" xtl="a" ytl="1" xbr="2" ybr="3"/>'), "image 'a.jpg' of"),
        ("a.xml", CVAT.format(shapes='<box xtl="0" ytl="1" xbr="2" ybr="3"/>'), "image 'a.jpg' of"),
        (
            "a.xml",
            CVAT.format(shapes='<mask label="m" rle="5" left="0" top="0" width="2" height="2"/>'),
            "has runs",
        ),
        (
            "a.xml",
            CVAT.format(shapes='<mask label="m" rle="4" left="63" top="0" width="2" height="2"/>'),
            "reaches",
        ),
        ("a.xml", CVAT.format(shapes='<star label="m"/>'), "none of polygon, box"),
        ("a.xml", CVAT.format(shapes="").replace('"64"', '"1e9"'), "image 'a.jpg' of"),
        ("a.xml", CVAT.format(shapes="").replace('"64"', '"1e9"'), "'1e9' is no whole number"),
        ("a.json", '[{"data": {"image": "a.jpg"}, "id": 9}]', "task 9 of .* has no 'annotations'"),
        ("a.json", '[{"data": {}, "id": 9, "annotations": [{"result": 5}]}]', "task 9 of"),
        ("a.json", '[{"image": "a.jpg", "label": []}]', "not a COCO data set"),
    ],
)
def test_what_is_damaged_is_one_sentence(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(RecoAssistError, match=words) as raised:
        read_dataset(tmp_path / name)
    assert len(str(raised.value)) < 300
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[1, 2], [3, "x"]]},
        {"points": 5},
        {"shape_type": "star", "points": TRIANGLE},
        {"label": None, "points": TRIANGLE},
        {"shape_type": "mask", "points": TRIANGLE, "mask": "%%%"},
        {"shape_type": "mask", "points": TRIANGLE, "mask": base64.b64encode(b"GIF89a").decode()},
        {"points": [[float("inf"), 2], [3, 4], [5, 6]]},
    ],
)
def test_a_damaged_labelme_shape_is_one_sentence(tmp_path, change):
    folder = labelme(tmp_path / "x", change)
    with pytest.raises(RecoAssistError, match=r"a\.json of") as raised:
        read_dataset(folder)
    assert len(str(raised.value)) < 300


def test_the_parts_of_a_mask_that_we_cut_are_one_again(tmp_path):
    """Polygons have no holes: a mask with one is pre-annotated in parts, which the editor keeps."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[4:40, 4:50] = True
    mask[12:30, 20:40] = False
    made = Prediction(ImageRef("a.jpg", "0" * 64, WIDTH, HEIGHT), (Region("mug", rle.encode(mask), 0.9),), ())
    parts = pre_annotation(made, model_version="v", shape="polygon")["result"]
    assert len(parts) > 1
    (back,) = only(read_dataset(export(tmp_path, *parts)))
    assert (back ^ mask).sum() <= 40  # a pixel along the seams


def test_a_turned_box_is_cut_at_the_edge_of_the_image(tmp_path):
    shapes = '<box label="mug" xtl="-8.0" ytl="8.0" xbr="8.0" ybr="24.0" rotation="45.0"></box>'
    (mask,) = only(read_dataset(cvat(tmp_path, shapes)))
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = np.abs(x) + np.abs(y - 16) <= 8 * 2**0.5
    assert (mask ^ expected).sum() <= 12


def test_two_images_of_one_name_are_refused_not_joined(tmp_path):
    folder = labelme(tmp_path / "x", {"points": TRIANGLE}, imagePath="../one/a.jpg")
    labelme(folder, {"points": TRIANGLE}, name="b", imagePath="../two/a.jpg")
    with pytest.raises(RecoAssistError, match=r"would both be called 'a\.jpg'"):
        read_dataset(folder)


def test_label_maps_beside_files_of_others_are_read(tmp_path):
    (tmp_path / "masks").mkdir()
    photo(tmp_path / "photos")
    Image.fromarray(np.eye(HEIGHT, WIDTH, dtype=np.uint8)).save(tmp_path / "masks" / "a.png")
    (tmp_path / "masks" / "a.png.aux.xml").write_text("<PAMDataset></PAMDataset>")
    (tmp_path / "masks" / "notes.json").write_text("{broken")
    found = read_dataset(tmp_path / "masks", images=tmp_path / "photos", names={1: "mug"})
    assert len(only(found)) == 1


def test_files_of_the_system_among_labelmes_are_none(tmp_path):
    folder = labelme(tmp_path / "x", {"points": TRIANGLE})
    (folder / "._a.json").write_bytes(b"\0\5\x16\7")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "a-checkpoint.json").write_text("{}")
    assert len(read_dataset(folder).images) == 1


def test_the_folder_above_vocs_files_is_theirs(tmp_path):
    photo(tmp_path / "JPEGImages")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(VOC.format(name="a.jpg"))
    found = read_dataset(tmp_path)
    assert found.photograph(found.images[1]) == tmp_path / "JPEGImages" / "a.jpg"


def test_a_foreign_file_among_others_is_named(tmp_path):
    folder = labelme(tmp_path / "x", {"points": TRIANGLE})
    (folder / "b.json").write_text("{}")
    with pytest.raises(RecoAssistError, match=r"b\.json of .* is no labelme file"):
        read_dataset(folder)
