import json

import numpy as np
import pytest
from PIL import Image
from predictions import CONCEPTS, image_ref, predictions

from reco_assist.annotations import Prediction, Region
from reco_assist.errors import InputError, StorageError
from reco_assist.formats import label_map, write_label_map, write_legend
from reco_assist.images.listing import is_output
from reco_assist.masks import rle
from reco_assist.masks.colours import css, palette


def test_the_file_holds_the_numbers_in_the_colours_of_the_legend(tmp_path):
    folder = tmp_path / "masks"
    write_legend(folder, CONCEPTS)
    assert is_output(folder)
    legend = json.loads((folder / "legend.json").read_text())
    assert [(entry["id"], entry["name"]) for entry in legend] == [(0, "background"), *enumerate(CONCEPTS, 1)]
    for made in predictions():
        path = folder / "a.png"
        write_label_map(path, made, CONCEPTS)
        with Image.open(path) as image:
            numbers, colours = np.asarray(image), np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(numbers, label_map(made, CONCEPTS))
        for entry in legend:
            seen = {css(colour) for colour in np.unique(colours[numbers == entry["id"]], axis=0)}
            assert seen <= {entry["colour"]}
        covered = np.zeros(numbers.shape, bool)
        for region in made.regions:
            covered |= rle.decode(region.mask)
        np.testing.assert_array_equal(numbers > 0, covered)


def test_the_higher_score_wins_where_regions_overlap():
    left, right = np.zeros((2, 4, 6), bool)
    left[:, :4] = right[:, 2:] = True
    for scores, expected in (((0.9, 0.1), [1, 1, 1, 1, 2, 2]), ((0.1, 0.9), [1, 1, 2, 2, 2, 2])):
        regions = tuple(
            Region(concept, rle.encode(mask), score)
            for concept, mask, score in zip(("a", "b"), (left, right), scores, strict=True)
        )
        made = Prediction(image_ref("x.jpg", 4, 6), regions)
        assert label_map(made, ["a", "b"]).tolist() == [expected] * 4


def test_255_concepts_and_no_more(tmp_path):
    names = [f"concept {number}" for number in range(256)]
    mask = rle.encode(np.ones((2, 2), bool))
    made = Prediction(image_ref("x.jpg", 2, 2), (Region(names[254], mask, 1),))
    write_label_map(tmp_path / "a.png", made, names[:255])
    with Image.open(tmp_path / "a.png") as image:
        assert (np.asarray(image) == 255).all()
    with pytest.raises(InputError, match="room for 255 concepts, not 256"):
        write_label_map(tmp_path / "b.png", made, names)
    with pytest.raises(InputError, match="room for 255 concepts"):
        write_legend(tmp_path, names)


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Cannot write"):
        write_legend(tmp_path / "file", CONCEPTS)
    with pytest.raises(StorageError, match="folder does not exist"):
        write_label_map(tmp_path / "gone" / "a.png", predictions(1)[0], CONCEPTS)


def test_colours_are_distinct_and_do_not_depend_on_their_number():
    colours = palette(254).astype(int)
    np.testing.assert_array_equal(palette(9), colours[:9])
    assert palette(0).shape == (0, 3)
    apart = np.abs(colours[:, None] - colours).sum(-1) + 1000 * np.eye(len(colours), dtype=int)
    assert apart.min() > 0
    assert apart[:20, :20].min() > 40
    assert css(palette(1)[0]) == "#e69f00"
