"""Push and pull against a real server. What the server holds is asked through its vendor's SDK."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import SAMPLES
from label_studio_sdk.converter import brush as sdk
from label_studio_server import title
from PIL import Image
from pycocotools import mask as coco

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.errors import InputError, ServerError
from reco_assist.images import content_hash, read_bytes
from reco_assist.label_studio import (
    LocalFiles,
    Prefix,
    Server,
    Upload,
    compare,
    draw,
    pull,
    push,
    read_pulled,
)
from reco_assist.masks import rle

pytestmark = pytest.mark.slow

CONCEPTS = ["mug", 'fire "extinguisher" <&>']
TARGETS = SAMPLES / "targets"


@pytest.fixture(scope="module")
def predictions(truth):
    """The exact masks of 20 sample images, one of them with a hole; some images have none."""
    made = []
    for image in truth.data["images"]:
        if not image["file"].startswith("targets/") or len(made) == 20:
            continue
        labels = truth.labels(image["file"])
        regions = []
        for number, concept in enumerate(CONCEPTS, start=1):
            mask = labels == number
            if mask.any():
                rows, columns = np.nonzero(mask)
                y, x = int(np.median(rows)), int(np.median(columns))
                mask[y - 2 : y + 3, x - 2 : x + 3] = False  # a hole
                regions.append(Region(concept, rle.encode(mask), 0.5 + 0.01 * len(made)))
        name = image["file"].removeprefix("targets/")
        ref = ImageRef(name, content_hash(read_bytes(TARGETS / name)), labels.shape[1], labels.shape[0])
        verdicts = tuple(
            Verdict(concept, any(one.concept == concept for one in regions), 0.25) for concept in CONCEPTS
        )
        made.append(Prediction(ref, tuple(regions), verdicts))
    assert len(made) == 20
    assert any(not one.regions for one in made)
    return made


@pytest.fixture
def server(label_studio):
    with Server(label_studio.url, label_studio.token, attempts=3, pause=0.05) as opened:
        yield opened


def held(label_studio, project):
    """The project's tasks as the vendor's SDK sees them."""
    listed = label_studio.client().tasks.list(project=project, fields="all")
    return [SimpleNamespace(**task.model_dump(mode="json")) for task in listed]


def coco_rle(region):
    return {"size": [region.mask.height, region.mask.width], "counts": region.mask.counts}


def annotate(label_studio, task, result, **more):
    """What the editor sends when somebody submits."""
    return label_studio.client().annotations.create(id=task.id, result=result, lead_time=12.5, **more)


def test_a_push_and_its_repetition(label_studio, server, predictions):
    """Visible masks; again: nothing new; another version: updated, and in the label stream."""
    name = title("push")
    first = push(server, name, predictions, CONCEPTS, model_version="one", images=Upload(TARGETS))
    assert (first.created, first.updated, first.unchanged) == (20, 0, 0)
    tasks = held(label_studio, first.project)
    by_key = {task.data["key"]: task for task in tasks}
    assert len(tasks) == len(by_key) == 20
    for made in predictions:
        task = by_key[made.image.content_hash]
        (found,) = task.predictions
        assert found["model_version"] == "one"
        assert 0 < found["score"] <= 1
        assert len(found["result"]) == len(made.regions)
        for region, drawn in zip(made.regions, found["result"], strict=True):
            alpha = sdk.decode_rle(drawn["value"]["rle"]).reshape(made.image.height, made.image.width, 4)[
                ..., 3
            ]
            np.testing.assert_array_equal(alpha, rle.decode(region.mask) * 255)
        assert server.fetch(task.data["image"]) == read_bytes(TARGETS / made.image.file_name)

    again = push(server, name, predictions, CONCEPTS, model_version="one", images=Upload(TARGETS))
    assert (again.created, again.updated, again.unchanged) == (0, 0, 20)
    second = push(server, name, predictions[:15], CONCEPTS, model_version="two", images=Upload(TARGETS))
    assert (second.created, second.updated, second.unchanged) == (0, 15, 0)
    tasks = held(label_studio, first.project)
    assert len(tasks) == 20
    assert sum(len(task.predictions) for task in tasks) == 35
    client = label_studio.client()
    assert client.projects.get(first.project).model_version == "two"
    following = server.get(f"/api/projects/{first.project}/next")  # the label stream
    assert "two" in [one["model_version"] for one in following["predictions"]]
    uploads = server.get(f"/api/projects/{first.project}/file-uploads", all="true")
    assert len(uploads) == 20

    changed = [Prediction(predictions[0].image, (), predictions[0].verdicts), *predictions[1:15]]
    third = push(server, name, changed, CONCEPTS, model_version="two", images=Upload(TARGETS))
    assert (third.updated, third.unchanged) == (1, 14)
    assert sum(len(task.predictions) for task in held(label_studio, first.project)) == 35


def test_both_kinds_of_token_work_and_a_wrong_one_does_not(label_studio, predictions, monkeypatch):
    personal = label_studio.personal_token()
    assert personal.count(".") == 2
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", personal)
    with Server(label_studio.url) as server:
        name = title("personal")
        assert push(
            server, name, predictions[:1], CONCEPTS, model_version="v", images=Upload(TARGETS)
        ).created
        server._access = server._access[:-5] + "aaaaa"  # as after five minutes
        assert server.get("/api/projects/", title=name)["count"] == 1
        assert personal not in repr(server)
    for wrong in ("0" * 40, "a.b.c"):
        with (
            Server(label_studio.url, wrong) as server,
            pytest.raises(
                ServerError, match="does not accept the token; take a new one from Account"
            ) as caught,
        ):
            push(server, name, predictions[:1], CONCEPTS, model_version="v", images=Upload(TARGETS))
        assert wrong not in str(caught.value)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    with pytest.raises(InputError, match="no token"):
        Server(label_studio.url)


def test_a_project_of_other_people(label_studio, server, predictions):
    """Tags of other names are used; what does not fit is refused before anything is sent."""
    client = label_studio.client()

    def begin(config):
        return client.projects.create(title=title("theirs"), label_config=config).id

    labels = "".join(
        f"<Label value='{one}'/>" for one in ("mug", "fire &quot;extinguisher&quot; &lt;&amp;&gt;")
    )
    fits = begin(
        "<View><Image name='photo' value='$picture'/><RectangleLabels name='r' toName='photo'>"
        f"<Label value='x'/></RectangleLabels><BrushLabels name='paint' toName='photo'>{labels}</BrushLabels>"
        "</View>"
    )
    push(server, str(fits), predictions[:3], CONCEPTS, model_version="v", images=Upload(TARGETS))
    for task in held(label_studio, fits):
        assert task.data["picture"].startswith("/data/upload/")
        for region in task.predictions[0]["result"]:
            assert (region["from_name"], region["to_name"]) == ("paint", "photo")
    brush = "<View><Image name='i' value='$image'/><BrushLabels name='l' toName='i'>{}</BrushLabels>{}</View>"
    for config, reason in (
        (brush.format("<Label value='mug'/>", ""), "BrushLabels lack"),
        (brush.format(labels, "<Text name='t' value='$caption'/>"), r"its tasks need \$caption"),
        (brush.format(labels, "").replace("Brush", "Polygon"), "no BrushLabels tag"),
    ):
        project = begin(config)
        with pytest.raises(ServerError, match=reason):
            push(server, str(project), predictions, CONCEPTS, model_version="v", images=Upload(TARGETS))
        assert not held(label_studio, project)
        assert not server.get(f"/api/projects/{project}/file-uploads", all="true")
    with pytest.raises(ServerError, match="has no project 999999"):
        push(server, "999999", predictions, CONCEPTS, model_version="v", images=Upload(TARGETS))


def test_images_that_the_server_reads_itself(label_studio, server, predictions, tmp_path):
    root = label_studio.files / "sub folder"
    shutil.copytree(TARGETS, root)
    source = LocalFiles(root, label_studio.files)
    done = push(server, title("local"), predictions[:2], CONCEPTS, model_version="v", images=source)
    for task in held(label_studio, done.project):
        assert server.fetch(task.data["image"]) == read_bytes(root / task.data["file_name"])
    for wrong, reason in ((LocalFiles(TARGETS, label_studio.files), "below the server's document root"),):
        with pytest.raises(InputError, match=reason):
            push(server, title("local"), predictions[:2], CONCEPTS, model_version="v", images=wrong)
    with pytest.raises(ServerError, match="does not exist"):  # there, but not for the server
        push(
            server,
            title("local"),
            predictions[:2],
            CONCEPTS,
            model_version="v",
            images=LocalFiles(tmp_path / "a" / "b", tmp_path / "a"),
        )
    far = push(
        server, title("s3"), predictions[:2], CONCEPTS, model_version="v", images=Prefix("s3://bucket/x")
    )
    addresses = {task.data["image"] for task in held(label_studio, far.project)}
    assert addresses == {f"s3://bucket/x/{one.image.file_name}" for one in predictions[:2]}


def test_large_images_are_sent_as_polygons(label_studio, server, tmp_path):
    data = Image.fromarray(np.zeros((4100, 4000, 3), np.uint8))
    data.save(tmp_path / "large.png")
    data.crop((0, 0, 40, 30)).save(tmp_path / "small.png")
    made = []
    for name, height, width in (("large.png", 4100, 4000), ("small.png", 30, 40)):
        mask = np.zeros((height, width), bool)
        mask[height // 4 : height // 2, width // 4 : width // 2] = True
        mask[height // 3 : height // 3 + 5, width // 3 : width // 3 + 5] = False  # a hole
        other = np.roll(mask, width // 2, axis=1)
        ref = ImageRef(name, content_hash(read_bytes(tmp_path / name)), width, height)
        made.append(
            Prediction(ref, (Region("mug", rle.encode(mask), 0.5), Region("mug", rle.encode(other), 0.5)))
        )
    name = title("large")
    done = push(server, name, made, CONCEPTS, model_version="v", images=Upload(tmp_path), boxes=True)
    assert done.polygons == 1
    assert "1 images are so large" in done.notes[0]
    kinds = {
        task.data["file_name"]: {region["type"] for region in task.predictions[0]["result"]}
        for task in held(label_studio, done.project)
    }
    assert kinds == {"large.png": {"polygonlabels"}, "small.png": {"brushlabels"}}
    assert push(server, name, made, CONCEPTS, model_version="v", images=Upload(tmp_path)).unchanged == 2
    for task in held(label_studio, done.project):
        annotate(
            label_studio, task, task.predictions[0]["result"], parent_prediction=task.predictions[0]["id"]
        )
    got = pull(server, name, tmp_path / "pulled")
    for one, expected in zip(sorted(got.labelled, key=lambda one: one.image.file_name), made, strict=True):
        regions = got.corrected(one).regions  # the parts of a cut polygon are one region again
        assert [region.mask for region in regions] == [region.mask for region in expected.regions]
    assert compare(got).concepts[0].untouched == 4


def test_corrections_come_back_whole(label_studio, server, predictions, tmp_path):  # noqa: PLR0915
    """Untouched masks are the same bytes, holes included; every shape, skips and several people are read."""
    name = title("pull")
    done = push(server, name, predictions, CONCEPTS, model_version="one", images=Upload(TARGETS))
    tasks = {task.data["key"]: task for task in held(label_studio, done.project)}
    with_mug = [one for one in predictions if any(region.concept == "mug" for region in one.regions)]
    untouched, removed, shapes, twice = with_mug[:4]
    skipped, empty = [one for one in predictions if not one.regions][:2]

    def submit(made, result, **more):
        task = tasks[made.image.content_hash]
        return annotate(label_studio, task, result, parent_prediction=task.predictions[0]["id"], **more)

    def predicted(made):
        return tasks[made.image.content_hash].predictions[0]["result"]

    submit(untouched, predicted(untouched))
    submit(removed, [])
    frame = {
        "original_width": shapes.image.width,
        "original_height": shapes.image.height,
        "image_rotation": 0,
    }
    tags = {"to_name": "image", "from_name": "label", "origin": "manual", **frame}
    alpha = np.zeros((shapes.image.height, shapes.image.width, 4), np.uint8)
    alpha[5:15, 5:25, 3], alpha[5:15, 25:27, 3] = 128, 127  # as an eraser's soft edge
    painted = sdk.encode_rle(alpha.ravel())
    drawn = [
        {"type": "brushlabels", "value": {"format": "rle", "rle": painted, "brushlabels": ["mug"]}},
        {
            "type": "polygonlabels",
            "value": {"points": [[50, 50], [75, 50], [75, 75]], "closed": True, "polygonlabels": ["mug"]},
        },
        {
            "type": "rectanglelabels",
            "value": {"x": 10, "y": 60, "width": 20, "height": 10, "rotation": 0, "rectanglelabels": ["mug"]},
        },
        {
            "type": "ellipselabels",
            "value": {"x": 80, "y": 20, "radiusX": 10, "radiusY": 5, "rotation": 0, "ellipselabels": ["mug"]},
        },
    ]
    submit(shapes, [{**tags, "id": f"shape{number}", **one} for number, one in enumerate(drawn)])
    submit(twice, predicted(twice))
    submit(twice, predicted(twice)[:0])
    submit(skipped, [], was_cancelled=True)
    submit(empty, [])

    got = pull(server, name, tmp_path, images=TARGETS)
    assert (got.fresh, len(got.answered), got.skipped) == (20, 5, 1)
    masks = {one.image.file_name: got.corrected(one).regions for one in got.answered}
    assert [r.mask for r in masks[untouched.image.file_name]] == [r.mask for r in untouched.regions]
    assert masks[removed.image.file_name] == masks[twice.image.file_name] == ()
    areas = [rle.area(region.mask) for region in masks[shapes.image.file_name]]
    height, width = shapes.image.height, shapes.image.width
    assert areas[0] == 200
    expected = [width * height / 32, width * height / 50, np.pi * 0.1 * width * 0.05 * height]
    assert areas[1:] == pytest.approx(expected, rel=0.03)

    document = json.loads((tmp_path / "coco.json").read_text())
    assert len(document["images"]) == 5
    assert [one["name"] for one in document["categories"]] == CONCEPTS
    numbers = {one["id"]: one["file_name"] for one in document["images"]}
    for one in document["annotations"]:
        assert coco.area(one["segmentation"]) == one["area"]
        assert numbers[one["image_id"]] in {untouched.image.file_name, shapes.image.file_name}

    result = compare(got)
    assert (result.tasks, result.annotated, result.skipped) == (20, 5, 1)
    assert (result.predicted, result.untouched, result.empty, result.left_empty) == (4, 1, 1, 1)
    assert "accepted untouched: 1 of 4 with masks (25%); left empty: 1 of 1" in result.summary()
    assert result.seconds == 12.5
    change = result.concepts[0]
    assert change.predicted == sum(r.concept == "mug" for m in with_mug[:4] for r in m.regions)
    assert change.added == 4
    after = coco.merge([coco_rle(region) for region in masks[shapes.image.file_name]])
    before = [coco_rle(region) for region in shapes.regions if region.concept == "mug"]
    overlap = coco.iou([after], before, [0])[0][0]
    assert change.iou == pytest.approx((1 + 0 + overlap + 0) / 4, abs=1e-4)
    assert draw(got, tmp_path / "sheet.png") == 5
    assert "mug" in str(result)

    assert pull(server, name, tmp_path).fresh == 0
    first = pull(server, name, tmp_path, policy="first")
    assert len(first.corrected(next(o for o in first.answered if len(o.annotations) == 2)).regions) == len(
        twice.regions
    )
    half = pull(server, name, tmp_path, policy="majority")
    assert not half.corrected(next(o for o in half.answered if len(o.annotations) == 2)).regions
    submit(twice, predicted(twice))
    more = pull(server, name, tmp_path, policy="majority")
    assert more.fresh == 1  # incremental
    assert len(more.corrected(next(o for o in more.answered if len(o.annotations) == 3)).regions) == len(
        twice.regions
    )
    assert read_pulled(tmp_path).labelled == more.labelled
    assert read_pulled(tmp_path).images == TARGETS
    label_studio.client().tasks.delete(str(tasks[skipped.image.content_hash].id))
    assert len(pull(server, name, tmp_path).labelled) == 19


def test_an_image_with_an_exif_orientation(label_studio, server, tmp_path):
    """Masks are of the upright image, as browsers show it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40), "white").save(tmp_path / "turned.jpg", exif=exif)
    mask = np.zeros((60, 40), bool)
    mask[10:50, 5:20] = True
    ref = ImageRef("turned.jpg", content_hash(read_bytes(tmp_path / "turned.jpg")), 40, 60)
    made = [Prediction(ref, (Region("mug", rle.encode(mask), 0.5),))]
    name = title("exif")
    done = push(server, name, made, CONCEPTS, model_version="v", images=Upload(tmp_path))
    (task,) = held(label_studio, done.project)
    annotate(label_studio, task, task.predictions[0]["result"], parent_prediction=task.predictions[0]["id"])
    got = pull(server, name, tmp_path / "pulled", images=tmp_path)
    (one,) = got.answered
    assert got.corrected(one).regions[0].mask == rle.encode(mask)
    assert draw(got, tmp_path / "sheet.png") == 1


def test_nothing_leaves_this_host(label_studio, server):
    """Last, after all that the tests above made it do.

    Label Studio's pages make it ask for raw.githubusercontent.com; such requests end at our proxy.
    """
    server.get("/api/projects/")
    met, addresses = label_studio.off_host()
    assert all("raw.githubusercontent.com" in one for one in met)
    assert addresses == []
