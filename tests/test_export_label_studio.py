import json
import xml.etree.ElementTree as ET
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from label_studio_sdk.converter import brush as sdk
from predictions import CONCEPTS, image_ref, predictions, ring

from reco_assist.annotations import Prediction, Region, Verdict
from reco_assist.errors import InputError, StorageError
from reco_assist.formats import label_config, local_files_url, to_label_studio, write_label_studio
from reco_assist.masks import polygons, rle

VERSION = "reco-assist 0.1 mug"


def interface_of(config):
    """The vendor's own reading of a configuration."""
    from label_studio_sdk.label_interface import LabelInterface  # takes seconds

    return LabelInterface(config)


@pytest.mark.parametrize("shape", ["brush", "polygon"])
def test_tasks_are_valid_for_their_configuration(shape):
    interface = interface_of(label_config(CONCEPTS, shape=shape))
    tasks = to_label_studio(predictions(), CONCEPTS, model_version=VERSION, shape=shape)
    assert json.loads(json.dumps(tasks)) == tasks
    for task in tasks:
        assert interface.validate_task({"data": task["data"]})
        (prediction,) = task["predictions"]
        assert interface.validate_prediction(prediction, return_errors=True) == []
        ids = [region["id"] for region in prediction["result"]]
        assert len(set(ids)) == len(ids)
    other = interface_of(label_config(["something else"], shape=shape))
    assert other.validate_prediction(tasks[0]["predictions"][0], return_errors=True)


def test_the_sdk_reads_brush_regions_as_visible_masks():
    for made, task in zip(
        predictions(), to_label_studio(predictions(), CONCEPTS, model_version=VERSION), strict=True
    ):
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == VERSION
        for region, result in zip(made.regions, prediction["result"], strict=True):
            height, width = result["original_height"], result["original_width"]
            assert (width, height) == (made.image.width, made.image.height)
            alpha = sdk.decode_rle(result["value"]["rle"]).reshape(height, width, 4)[..., 3]
            np.testing.assert_array_equal(alpha, rle.decode(region.mask) * 255)
            assert result["value"]["brushlabels"] == [region.concept]
            assert result["type"] == "brushlabels"
            assert result["score"] == pytest.approx(region.score, abs=1e-6)


def test_polygon_regions_are_the_masks_within_the_tolerance():
    tasks = to_label_studio(predictions(), CONCEPTS, model_version=VERSION, shape="polygon")
    for made, task in zip(predictions(), tasks, strict=True):
        results = task["predictions"][0]["result"]
        for concept in {region.concept for region in made.regions}:
            expected = np.zeros((made.image.height, made.image.width), bool)
            for region in made.regions:
                if region.concept == concept:
                    expected |= rle.decode(region.mask)
            rings = []
            for result in results:
                assert result["value"]["closed"] is True
                if result["value"]["polygonlabels"] == [concept]:
                    points = np.array(result["value"]["points"])
                    assert len(points) >= 3
                    assert points.min() >= 0
                    assert points.max() <= 100
                    rings.append(points * [made.image.width / 100, made.image.height / 100])
            drawn = polygons.fill(rings, made.image.height, made.image.width)
            assert rle.iou(drawn, rle.encode(expected)) > 0.85


def test_holes_are_cut_open_not_filled():
    mask = ring(40, 60)
    made = [Prediction(image_ref("a.jpg", 40, 60), (Region("mug", rle.encode(mask), 1.0),))]
    results = to_label_studio(made, ["mug"], model_version=VERSION, shape="polygon")[0]["predictions"][0][
        "result"
    ]
    assert len(results) > 1
    rings = [np.array(result["value"]["points"]) * [0.6, 0.4] for result in results]
    drawn = rle.decode(polygons.fill(rings, 40, 60))
    assert not drawn[20, 30]
    assert rle.iou(rle.encode(drawn), rle.encode(mask)) > 0.85


@pytest.mark.parametrize(
    ("verdicts", "score"),
    [
        ((), 0),  # nobody asked
        ((Verdict("mug", present=False, probability=0.1),), 0.9),
        ((Verdict("mug", False, 0.1), Verdict("cup", False, 0.4)), 0.6),  # the doubtful one counts
    ],
)
def test_absence_is_an_empty_prediction_with_a_score(verdicts, score):
    made = [Prediction(image_ref("a.jpg", 4, 5), (), verdicts)]
    (task,) = to_label_studio(made, ["mug", "cup"], model_version=VERSION)
    assert task["predictions"] == [{"model_version": VERSION, "score": score, "result": []}]


def test_a_task_is_as_certain_as_its_least_certain_region():
    mask = rle.encode(np.ones((4, 5), bool))
    made = [Prediction(image_ref("a.jpg", 4, 5), (Region("mug", mask, 0.7), Region("mug", mask, 0.3)))]
    (task,) = to_label_studio(made, ["mug"], model_version=VERSION)
    assert task["predictions"][0]["score"] == 0.3
    first, second = (region["id"] for region in task["predictions"][0]["result"])
    assert first != second


def test_data_of_a_task():
    image = image_ref("a b/ü&c?.jpg", 4, 5)
    (task,) = to_label_studio([Prediction(image)], ["mug"], model_version=VERSION)
    assert task["data"]["key"] == image.content_hash
    assert task["data"]["file_name"] == image.file_name
    parts = urlsplit(task["data"]["image"])
    assert parts.path == "/data/local-files/"
    assert parse_qs(parts.query) == {"d": [image.file_name]}
    assert task["data"]["image"] == local_files_url(image)
    (task,) = to_label_studio(
        [Prediction(image)], ["mug"], model_version=VERSION, image_url=lambda _: "s3://x"
    )
    assert task["data"]["image"] == "s3://x"


@pytest.mark.parametrize("shape", ["brush", "polygon"])
@pytest.mark.parametrize("count", [0, 1, 8])
def test_the_stream_is_the_same_bytes(tmp_path, shape, count):
    path = tmp_path / "tasks.json"
    made = predictions(count)
    write_label_studio(path, iter(made), CONCEPTS, model_version=VERSION, shape=shape)
    tasks = to_label_studio(made, CONCEPTS, model_version=VERSION, shape=shape)
    assert path.read_bytes() == json.dumps(tasks, separators=(",", ":")).encode()


def test_names_are_escaped_in_the_configuration():
    concepts = [*CONCEPTS, "it's", "]]>", '"/><Evil x="']
    root = ET.fromstring(label_config(concepts))
    assert [label.get("value") for label in root.iter("Label")] == concepts
    colours = [label.get("background") for label in root.iter("Label")]
    assert len(set(colours)) == len(concepts)
    assert {tag.tag for tag in root.iter()} == {"View", "Image", "BrushLabels", "Label"}
    assert list(interface_of(label_config(concepts)).get_control("label").labels) == concepts


def test_what_does_not_fit_is_refused(tmp_path):
    made = [Prediction(image_ref("a.jpg", 4, 5))]
    with pytest.raises(InputError, match="model version is empty"):
        to_label_studio(made, ["mug"], model_version="")
    with pytest.raises(InputError, match="give 'brush' or 'polygon'"):
        to_label_studio(made, ["mug"], model_version=VERSION, shape="box")
    with pytest.raises(InputError, match="give 'brush' or 'polygon'"):
        label_config(["mug"], shape="box")
    with pytest.raises(InputError, match="at least one name"):
        label_config([])
    with pytest.raises(StorageError, match="folder does not exist"):
        write_label_studio(tmp_path / "gone" / "a.json", made, ["mug"], model_version=VERSION)
