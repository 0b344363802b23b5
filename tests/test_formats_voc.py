"""Pascal VOC folders as VOC, CVAT and datumaro write them: masks of classes and objects, boxes, lists."""

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCSegmentation

from reco_assist.errors import FormatError, InputError
from reco_assist.formats import read_dataset
from reco_assist.masks import rle

HEIGHT, WIDTH = 40, 50
VOID = (224, 224, 192)
HEAD = "# label:color_rgb:parts:actions\n"
DATUMARO = HEAD + "background:::\nmug:::\nfire extinguisher:::\n"
CVAT = HEAD + "cat:10,20,30::\nbackground:0,128,0::\ndog:0,0,0::\n"


def voc_colour(number):
    """The colour map of VOC's development kit, by its formula."""
    bits = [(number >> bit) & 1 for bit in range(8)]
    return tuple(sum(bits[3 * n + c] << (7 - n) for n in range(3) if 3 * n + c < 8) for c in range(3))


PALETTE = np.array([voc_colour(number) for number in range(256)], np.uint8)


def folder(root, table=DATUMARO, name="one", photo=True):
    (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
    if photo:
        Image.new("RGB", (WIDTH, HEIGHT), "#456").save(root / "JPEGImages" / f"{name}.jpg")
    if table is not None:
        (root / "labelmap.txt").write_text(table)
    return root


def draw(root, kind, values, name="one", palette=None):
    """A map as a PNG: of indices with VOC's palette, or in colour where one is given."""
    path = root / kind / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values if palette is None else palette[values])
    if palette is None:
        image.putpalette(PALETTE.ravel().tolist())
    image.save(path)


def scene():
    classes = np.zeros((HEIGHT, WIDTH), np.uint8)
    classes[5:20, 5:20], classes[5:20, 20:30], classes[30:38, 30:48] = 1, 1, 2
    objects = np.zeros_like(classes)
    objects[5:20, 5:20], objects[5:20, 20:30], objects[30:38, 30:48] = 1, 2, 2
    objects[5:8, 28:30] = 0  # of the class, and of no object
    return classes, objects


def pairs(classes, objects, names):
    """The masks of each pair of class and object, one by one."""
    found = {}
    for y, x in zip(*np.nonzero(classes), strict=True):
        key = names[classes[y, x]], int(objects[y, x])
        found.setdefault(key, np.zeros(classes.shape, bool))[y, x] = True
    return sorted((name, mask.tobytes()) for (name, _), mask in found.items())


def regions(dataset, name="one.jpg"):
    records = dataset.annotations[dataset.find(name)]
    kept = [one for one in records if not one.get("iscrowd") and not one.get("ignore")]
    return sorted((dataset.concept(one), rle.decode(dataset.mask(one)).tobytes()) for one in kept)


def test_pairs_of_class_and_object_in_datumaros_colours(tmp_path):
    classes, objects = scene()
    folder(tmp_path)
    draw(tmp_path, "SegmentationClass", classes, palette=PALETTE)
    draw(tmp_path, "SegmentationObject", objects, palette=PALETTE)
    found = read_dataset(tmp_path)
    assert regions(found) == pairs(classes, objects, {1: "mug", 2: "fire extinguisher"})
    assert list(found.concepts) == ["mug", "fire extinguisher"]


def test_indices_and_colours_are_the_same_maps(tmp_path):
    classes, objects = scene()
    for values in (classes, objects):
        values[:, 0] = 255
    found = []
    for kind, palette in (("indices", None), ("colours", PALETTE)):
        root = folder(tmp_path / kind)
        draw(root, "SegmentationClass", classes, palette=palette)
        draw(root, "SegmentationObject", objects, palette=palette)
        found.append(read_dataset(root).document)
    assert found[0] == found[1]
    crowds = [one for one in found[0]["annotations"] if one["iscrowd"]]
    assert [one["area"] for one in crowds] == [
        HEIGHT,
        HEIGHT,
    ]  # "not known" is no object


def test_colours_of_cvat_count_whatever_the_place_of_the_background(tmp_path):
    classes, objects = scene()
    folder(tmp_path, CVAT)
    colours = np.array([(0, 128, 0), (10, 20, 30), (0, 0, 0)], np.uint8)
    draw(tmp_path, "SegmentationClass", classes, palette=colours)
    draw(tmp_path, "SegmentationObject", objects, palette=PALETTE)
    assert regions(read_dataset(tmp_path)) == pairs(classes, objects, {1: "cat", 2: "dog"})


def test_a_first_class_with_a_colour_of_its_own_is_no_background(tmp_path):
    classes, objects = scene()
    folder(tmp_path, "mug:128,0,0::\ncat:0,128,0::\n")
    draw(tmp_path, "SegmentationClass", classes, palette=PALETTE)
    draw(tmp_path, "SegmentationObject", objects, palette=PALETTE)
    assert regions(read_dataset(tmp_path)) == pairs(classes, objects, {1: "mug", 2: "cat"})


def test_indices_of_a_table_without_background_at_its_start_are_refused(tmp_path):
    """Whether they count the background's line cannot be told: a wrong name would be the other answer."""
    folder(tmp_path, CVAT)
    draw(tmp_path, "SegmentationClass", scene()[0])
    with pytest.raises(FormatError, match=r"one\.png .*labelmap\.txt.* background .*first"):
        read_dataset(tmp_path)


def test_objects_are_told_apart_by_any_colours(tmp_path):
    classes, objects = scene()
    folder(tmp_path)
    draw(tmp_path, "SegmentationClass", classes, palette=PALETTE)
    colours = np.array([(0, 0, 0), (7, 8, 9), (200, 1, 250)], np.uint8)  # of no number of VOC's
    draw(tmp_path, "SegmentationObject", objects, palette=colours)
    names = {1: "mug", 2: "fire extinguisher"}
    assert regions(read_dataset(tmp_path)) == pairs(classes, objects, names)


def test_without_maps_of_objects_a_class_is_one_region_of_an_image(tmp_path):
    classes, _ = scene()
    classes[0, 0] = 2
    folder(tmp_path)
    draw(tmp_path, "SegmentationClass", classes, palette=PALETTE)
    names = {1: "mug", 2: "fire extinguisher"}
    assert regions(read_dataset(tmp_path)) == pairs(classes, np.zeros_like(classes), names)


XML = """<annotation><filename>{name}.jpg</filename><size><width>50</width><height>40</height></size>
<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>11</xmin><ymin>6</ymin>
<xmax>30</xmax><ymax>20</ymax></bndbox></object></annotation>"""


def boxed(root, name, label="cup"):
    path = root / "Annotations" / f"{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(XML.format(name=name, label=label))


def whole(root):
    """A folder of a map and boxes, of boxes alone, and of an image that only a list names."""
    classes, objects = scene()
    for name in ("one", "sub/two", "three", "four"):
        (root / "JPEGImages" / name).parent.mkdir(parents=True, exist_ok=True)
        folder(root, name=name)
    draw(root, "SegmentationClass", classes, palette=PALETTE)
    draw(root, "SegmentationObject", objects, palette=PALETTE)
    for name in ("one", "sub/two"):
        boxed(root, name)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "mug_train.txt").write_text("one  1\nsub/two -1\nthree -1\n")
    return classes, objects


def test_masks_win_and_boxes_stand_for_images_without_a_map(tmp_path):
    classes, objects = whole(tmp_path)
    found = read_dataset(tmp_path)
    box = np.zeros((HEIGHT, WIDTH), bool)
    box[5:20, 10:30] = True
    assert regions(found) == pairs(classes, objects, {1: "mug", 2: "fire extinguisher"})
    assert regions(found, "sub/two.jpg") == [("cup", box.tobytes())]
    assert regions(found, "three.jpg") == []  # listed: an image without objects
    assert found.find("four.jpg") is None  # in no list: nobody looked at it
    assert len({one["id"] for one in found.document["annotations"]}) == 5
    assert found.photograph(found.images[found.find("sub/two.jpg")]).is_file()


@pytest.mark.parametrize(
    ("corners", "rows", "columns"),
    [
        ((11, 6, 30, 20), slice(5, 20), slice(10, 30)),
        ((11.0, 6.0, 30.0, 20.0), slice(6, 20), slice(11, 30)),
        ((0.0, 0.0, 50.0, 40.0), slice(0, 40), slice(0, 50)),
        (("45.70000076293945", 6, 50, 20), slice(5, 20), slice(45, 50)),  # of VOC2012
    ],
)
def test_corners_are_pixels_from_one_or_places_from_zero(tmp_path, corners, rows, columns):
    folder(tmp_path)
    boxed(tmp_path, "one")
    path = tmp_path / "Annotations" / "one.xml"
    text = path.read_text()
    for side, old, new in zip(("xmin", "ymin", "xmax", "ymax"), (11, 6, 30, 20), corners, strict=True):
        text = text.replace(f"<{side}>{old}<", f"<{side}>{new}<")
    path.write_text(text)
    box = np.zeros((HEIGHT, WIDTH), bool)
    box[rows, columns] = True
    assert regions(read_dataset(tmp_path)) == [("cup", box.tobytes())]


def test_an_empty_folder_of_maps_says_nothing_about_boxes(tmp_path):
    folder(tmp_path)
    boxed(tmp_path, "one")
    (tmp_path / "SegmentationClass").mkdir()
    assert [name for name, _ in regions(read_dataset(tmp_path))] == ["cup"]


def test_a_map_whose_photograph_is_missing_is_not_replaced_by_its_boxes(tmp_path):
    whole(tmp_path)
    folder(tmp_path, name="five")
    draw(tmp_path, "SegmentationClass", scene()[0], name="five", palette=PALETTE)
    (tmp_path / "JPEGImages" / "one.jpg").write_bytes(b"")
    found = read_dataset(tmp_path)
    assert found.find("one.jpg") is None
    assert [name for name, _ in found.skipped] == ["one.jpg"]


def test_as_ground_truth_only_images_that_were_predicted_are_read(tmp_path):
    whole(tmp_path)
    found = read_dataset(tmp_path, files=["one.jpg", "sub/two.jpg"])
    assert {one["file_name"] for one in found.images.values()} == {"one.jpg", "sub/two.jpg"}


def test_as_ground_truth_only_boxes_of_images_that_were_predicted_are_read(tmp_path):
    for name in ("one", "two", "three"):
        folder(tmp_path, name=name)
    draw(tmp_path, "SegmentationClass", scene()[0], palette=PALETTE)
    boxed(tmp_path, "two")
    boxed(tmp_path, "three")
    found = read_dataset(tmp_path, files=["one.jpg", "three.jpg"])
    assert [found.name(one) for one in found.images.values()] == ["one.jpg", "three.jpg"]
    assert [found.concept(one) for one in found.annotations[found.find("three.jpg")]] == ["cup"]


def test_vocs_own_release_has_vocs_names_as_torchvision_reads_it(tmp_path):
    root = folder(tmp_path / "VOCdevkit" / "VOC2012", table=None)
    classes, objects = scene()
    classes[classes == 1], classes[:, 49] = 12, 255
    draw(root, "SegmentationClass", classes)
    draw(root, "SegmentationObject", objects)
    boxed(root, "one", label="dog")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("one\n")
    ((_, theirs),) = VOCSegmentation(str(tmp_path), image_set="train")
    theirs = np.array(theirs)
    found = read_dataset(root, names={12: "mug"})  # what numbers mean elsewhere
    theirs_void = np.where(theirs == 255, 0, theirs)
    assert regions(found) == pairs(theirs_void, objects, {12: "dog", 2: "bicycle"})
    boxed(root, "one", label="mug")  # no data set of VOC's: its numbers are its own
    with pytest.raises(InputError, match="nothing names the numbers"):
        read_dataset(root)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labelmap.txt", "mug:1,2::\n", "line 1 has the colour '1,2'"),
        ("labelmap.txt", HEAD + "mug:1,2,300::\n", "line 2 has the colour '1,2,300'"),
        ("labelmap.txt", HEAD + "mug:a,b,c::\n", "line 2 has the colour 'a,b,c'"),
        ("labelmap.txt", "background\nmug\n", "line 1 is 'background'"),
        ("labelmap.txt", "background:::\nmug:1,2,3::\ncup:1,2,3::\n", "line 3 has the colour of"),
        ("labelmap.txt", "background:::\n:1,2,3::\n", "line 2 names nothing"),
        ("labelmap.txt", HEAD, "names no class"),
        ("legend.json", "{}", "a list of records with id and name"),
        ("legend.json", "[5]", "a list of records with id and name"),
        ("legend.json", '[{"name": "mug"}]', "has no id"),
        ("legend.json", '[{"id": "x", "name": "mug"}]', "'x' is no whole number"),
        ("legend.json", '[{"id": 1, "name": null}]', "has the name None"),
        ("legend.json", "[", "no valid JSON"),
        ("class_names.txt", "\n", "names no class"),
    ],
)
def test_names_that_cannot_be_read_are_one_sentence(tmp_path, name, text, words):
    folder(tmp_path, table=None)
    draw(tmp_path, "SegmentationClass", scene()[0])
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=words) as raised:
        read_dataset(tmp_path)
    said = str(raised.value)
    assert name in said
    assert "Error" not in said
    assert len(said.replace(str(tmp_path), "")) < 300


@pytest.mark.parametrize("colour", [(1, 2, 3), (224, 224, 191)])
def test_a_colour_that_nothing_names_is_refused(tmp_path, colour):
    folder(tmp_path)
    draw(tmp_path, "SegmentationClass", scene()[0], palette=np.array([(0, 0, 0), colour, VOID], np.uint8))
    with pytest.raises(FormatError, match=r"one\.png has the colour"):
        read_dataset(tmp_path)


def test_maps_of_two_sizes_are_refused(tmp_path):
    folder(tmp_path)
    draw(tmp_path, "SegmentationClass", scene()[0])
    draw(tmp_path, "SegmentationObject", scene()[1][:-1])
    with pytest.raises(FormatError, match=r"SegmentationObject.one\.png has 50 x 39 pixels"):
        read_dataset(tmp_path)
