"""An image has one name, whether its masks are pulled from a server or read from that server's export."""

import json
from collections import Counter

import pytest
from site_of_harm import TOKEN

from reco_assist.formats import label_config, read_dataset
from reco_assist.label_studio.pull import pull
from reco_assist.label_studio.pulled import read_pulled
from reco_assist.label_studio.server import Server

SIZE = {"original_width": 40, "original_height": 30}
BOX = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["mug"]}


def task(number, data):
    result = [{"id": "r", "type": "rectanglelabels", "from_name": "label", "to_name": "image", **SIZE}]
    annotation = {"id": number, "was_cancelled": False, "updated_at": "2026-01-02T00:00:00Z"}
    annotation["result"] = [{**result[0], "value": BOX}]
    return {
        "id": number,
        "data": data if isinstance(data, dict) else {"image": data},
        "updated_at": "2026-01-02T00:00:00Z",
        "annotations": [annotation],
        "predictions": [],
    }


def exported(tasks, folder):
    (folder / "project.json").write_text(json.dumps(tasks))
    return read_dataset(folder / "project.json")


def pulled(site, tasks, folder):
    project = {"id": 7, "title": "rare", "label_config": label_config(["mug"])}
    answers = {
        "/api/projects/7/": project,
        "/api/tasks/": {"total": len(tasks), "tasks": tasks},
    }
    site.answers |= {path: (200, {}, json.dumps(answer).encode()) for path, answer in answers.items()}
    with Server(site.url, TOKEN, attempts=1) as server:
        return pull(server, "7", folder / "pulled")


def names(dataset):
    return sorted(one["file_name"] for one in dataset.document["images"])


UPLOAD = "/data/upload/1/0a1b2c3d-my%20mug.jpg"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([UPLOAD], ["my mug.jpg"]),
        (["/data/local-files/?d=photos/sub/a.jpg"], ["photos/sub/a.jpg"]),
        (["https://i.example/x/a.jpg?sig=1"], ["a.jpg"]),
        ([{"image": "s3://bucket/x/a.jpg", "file_name": "sub/a.jpg"}], ["sub/a.jpg"]),
        (["https://h/20240115-kitchen.jpg"], ["20240115-kitchen.jpg"]),
        (["https://h/a.jpg?sig=x&d=3"], ["a.jpg"]),
        # Of one name: as much more of the addresses as tells them apart.
        ([UPLOAD, "/data/upload/1/99999999-my%20mug.jpg"], ["0a1b2c3d-my mug.jpg", "99999999-my mug.jpg"]),
        (["https://h/a/x/1.jpg", "https://h/b/x/1.jpg"], ["a/x/1.jpg", "b/x/1.jpg"]),
        (["https://g/1.jpg", "https://h/1.jpg", "https://h/2.jpg"], ["2.jpg", "g/1.jpg", "h/1.jpg"]),
        ([{"image": UPLOAD, "file_name": "1.jpg"}, "https://h/1.jpg"], ["1.jpg", "h/1.jpg"]),
        ([{"image": "https://h/1.jpg", "file_name": "../../1.jpg"}], ["../../1.jpg"]),
        (["/data/local-files/?d=../../etc/1.jpg"], ["etc/1.jpg"]),
    ],
)
def test_a_pull_and_an_export_call_an_image_the_same(sites, tmp_path, data, expected):
    tasks = [task(number, one) for number, one in enumerate(data, start=1)]
    assert names(exported(tasks, tmp_path)) == expected
    pulled(sites[0], tasks, tmp_path)
    assert names(read_dataset(tmp_path / "pulled" / "coco.json")) == expected
    again = read_pulled(tmp_path / "pulled")
    assert sorted(one.image.file_name for one in again.labelled) == expected


def test_two_of_one_name_become_two_when_the_second_comes_and_one_when_it_goes(sites, tmp_path):
    first, second = task(1, UPLOAD), task(2, "/data/upload/1/99999999-my%20mug.jpg")
    steps = [
        ([first], ["my mug.jpg"]),
        ([first, second], ["0a1b2c3d-my mug.jpg", "99999999-my mug.jpg"]),
        ([second], ["my mug.jpg"]),
    ]
    for tasks, expected in steps:
        pulled(sites[0], tasks, tmp_path)
        assert names(read_dataset(tmp_path / "pulled" / "coco.json")) == expected
    assert pulled(sites[0], [second], tmp_path).fresh == 0  # a name that others changed is no news


def test_what_the_first_release_pulled_gets_the_name_of_today(sites, tmp_path):
    """It kept the raw end of an address."""
    pulled(sites[0], [task(1, UPLOAD)], tmp_path)
    file = tmp_path / "pulled" / "pulled.json"
    state = json.loads(file.read_text())
    state["tasks"][0]["image"]["file_name"] = "0a1b2c3d-my%20mug.jpg"
    file.write_text(json.dumps(state))
    (one,) = read_pulled(tmp_path / "pulled").labelled
    assert one.image.file_name == "my mug.jpg"


def test_ten_thousand_uploads_of_one_name_are_told_apart():
    """Cameras call every photograph alike."""
    from reco_assist.formats.label_studio_export import image_name, part_names

    places = [f"/data/upload/1/{number:08x}-image.jpg" for number in range(10_000)]
    found = part_names([(image_name({}, place), place) for place in places])
    assert set(Counter(found).values()) == {1}
