"""Names of label maps: one for each image, on every disk."""

import json
import unicodedata
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reco_assist.annotations import ImageRef, Prediction, Region
from reco_assist.errors import InputError
from reco_assist.evaluation import truth_of
from reco_assist.formats import Dataset, read_dataset, to_coco, write_label_maps, write_panoptic
from reco_assist.formats.file_paths import find_files, paths_for
from reco_assist.formats.photographs import photographed
from reco_assist.formats.yolo import write_yolo
from reco_assist.masks import rle

ALIKE = ("a.jpg", "a.png")


def names_for(*images):
    folder = Path("/masks")
    found = paths_for(images, folder)
    return {name: path.relative_to(folder).as_posix() for name, path in found.items()}


def test_names_without_a_clash_stay_as_they_were():
    assert names_for("a.jpg", "b/a.jpg", "b/c.d.tif", "plain", ".hidden.png") == {
        "a.jpg": "a.png",
        "b/a.jpg": "b/a.png",
        "b/c.d.tif": "b/c.d.png",
        "plain": "plain.png",
        ".hidden.png": ".hidden.png",
    }


def test_names_that_clash_keep_their_suffix():
    assert names_for(*ALIKE) == {"a.jpg": "a.jpg.png", "a.png": "a.png.png"}
    # The longer name of one image may be the usual name of another.
    found = names_for("a.jpg", "a.png", "a.jpg.tif")
    assert found.pop("a.jpg").startswith("a.jpg.")
    assert found == {"a.png": "a.png.png", "a.jpg.tif": "a.jpg.tif.png"}
    # A folder has the name already.
    assert names_for("a.jpg", "a.png/b.jpg") == {"a.jpg": "a.jpg.png", "a.png/b.jpg": "a.png/b.png"}


WORDS = st.sampled_from(
    ["a", "A", "a.jpg", "é", unicodedata.normalize("NFD", "é"), "É", "ß", "ss", "\u017f", "s", "a.png"]
)
NAMES = st.builds(
    lambda folders, stem, suffix: "/".join([*folders, stem + suffix]),
    st.lists(WORDS, max_size=2),
    WORDS,
    st.sampled_from(["", ".jpg", ".JPG", ".png", ".tif"]),
)


@given(st.sets(NAMES, max_size=12))
def test_no_two_names_are_the_same_on_any_disk(images):
    """Nor the same as a folder, whether a disk keeps case and composition or not."""
    found = names_for(*images)
    assert set(found) == images
    parents = {str(parent) for name in found.values() for parent in Path(name).parents}
    for form in ("NFC", "NFD"):
        for fold in (str, str.lower, str.casefold):
            seen = [fold(unicodedata.normalize(form, name)) for name in found.values()]
            assert len(set(seen)) == len(seen)
            assert not {fold(unicodedata.normalize(form, one)) for one in parents} & set(seen)
    assert names_for(*sorted(images, reverse=True)) == found


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "", "b/../../a.jpg"])
def test_a_name_that_leads_out_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="leads out of"):
        paths_for([name], tmp_path)


def prediction(name, x, concept="mug"):
    mask = np.zeros((6, 8), bool)
    mask[1:4, x : x + 2] = True
    digest = f"{x:064x}"
    return Prediction(ImageRef(name, digest, 8, 6), (Region(concept, rle.encode(mask), 0.9),))


@pytest.fixture
def alike(tmp_path):
    """Two photographs that differ in their suffix alone, and their label maps."""
    made = [prediction(name, x) for x, name in enumerate(ALIKE, 1)]
    for one in made:
        path = tmp_path / "photos" / one.image.file_name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
    write_label_maps(tmp_path / "masks", partial(iter, made), ["mug"])
    return tmp_path, made


def test_each_image_has_its_own_label_map_and_readers_find_it(alike):
    folder, made = alike
    data = read_dataset(folder / "masks", images=folder / "photos")
    truth = truth_of(read_dataset(folder / "masks", files=ALIKE))
    assert {one["file_name"] for one in data.document["images"]} == set(ALIKE)
    for one in made:
        name = one.image.file_name
        expected = rle.decode(one.regions[0].mask)
        with Image.open(folder / "masks" / f"{name}.png") as image:
            np.testing.assert_array_equal(np.asarray(image) == 1, expected)
        np.testing.assert_array_equal(truth.concepts[0].positives[name]().mask, expected)
        number = next(one["id"] for one in data.document["images"] if one["file_name"] == name)
        np.testing.assert_array_equal(rle.decode(data.mask(data.annotations[number][0])), expected)


def test_one_image_fewer_or_more_leaves_no_map_behind(alike):
    folder, made = alike
    photos = {"legend.json", ".reco-output", ".images.json"}
    write_label_maps(folder / "masks", partial(iter, made[:1]), ["mug"], earlier=ALIKE)
    assert {path.name for path in (folder / "masks").iterdir()} == {*photos, "a.png"}
    write_label_maps(folder / "masks", partial(iter, made), ["mug"], earlier=["a.jpg"])
    assert {path.name for path in (folder / "masks").iterdir()} == {*photos, "a.jpg.png", "a.png.png"}


def test_maps_of_others_are_read_and_one_for_two_images_is_refused(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("a.png", "b/c.jpg.png"):
        (tmp_path / name).touch()
    assert find_files(["a.jpg", "b/c.jpg", "gone.jpg"], tmp_path) == {
        "a.jpg": tmp_path / "a.png",
        "b/c.jpg": tmp_path / "b" / "c.jpg.png",
    }
    with pytest.raises(InputError, match=r"a\.png may belong to a\.jpg or to a\.png: name it a\.jpg\.png or"):
        find_files(ALIKE, tmp_path)


def test_panoptic_and_yolo_keep_such_images_apart(alike):
    folder, made = alike
    data = Dataset(to_coco(made, ["mug"]), "made")
    write_panoptic(folder / "panoptic", data)
    listed = json.loads((folder / "panoptic" / "panoptic.json").read_text())["annotations"]
    assert [one["file_name"] for one in listed] == ["a.jpg.png", "a.png.png"]
    for one, image in zip(made, listed, strict=True):
        with Image.open(folder / "panoptic" / "panoptic" / image["file_name"]) as opened:
            np.testing.assert_array_equal(np.asarray(opened).any(2), rle.decode(one.regions[0].mask))
    write_yolo(folder / "yolo", {"all": photographed(data, folder / "photos")})
    texts = sorted((folder / "yolo" / "labels").rglob("*.txt"))
    assert len({path.read_text() for path in texts}) == 2
    pictures = sorted((folder / "yolo" / "images").rglob("*.*g"))
    assert [path.stem for path in pictures] == [path.stem for path in texts]
    assert [path.suffix for path in pictures] == [".jpg", ".png"]


def test_two_images_of_one_name_are_refused_not_written_over(tmp_path):
    with pytest.raises(InputError, match=r"two images are called 'a/b\.jpg'"):
        paths_for(["a/b.jpg", "c.jpg", "a/b.jpg"], tmp_path)
