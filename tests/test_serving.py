"""The machine-learning backend: its contract, its limits, and what corrections change."""

import base64
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from fakes import FakeEncoder, write_photos
from label_studio_sdk.converter import brush as reference
from PIL import Image
from starlette.testclient import TestClient

from reco_assist.annotations import ImageRef, Prediction, Region
from reco_assist.archive import Archive
from reco_assist.concepts import learn_concept
from reco_assist.concepts.corrections import begin, correct, read_correction
from reco_assist.errors import ImageError, InputError
from reco_assist.formats import label_config
from reco_assist.masks import rle
from reco_assist.serving import ImageStore, ProjectModels, create_app
from reco_assist.serving.events import Event, read_webhook
from reco_assist.serving.pending import CorrectionLog

pytestmark = pytest.mark.usefixtures("coarse")

CONFIG = label_config(["thing", "other"])
SHOWN = {"Authorization": "Bearer s3cret"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    write_photos(folder, 24)
    return folder


@pytest.fixture(scope="module")
def concept(photos, tmp_path_factory):
    archive = Archive.create(tmp_path_factory.mktemp("fake") / "x.reco", encoder=FakeEncoder())
    archive.add(photos, progress=False)
    return learn_concept(archive, "thing", k=8)


def task(number, name, **data):
    return {"id": number, "data": {"image": f"/data/local-files/?d={name}", **data}}


def photo(number):
    return f"{'ab'[number % 2 == 0]}/{number:03}.png"


def stroke(x=6, y=6, width=18, height=14, label="thing"):
    mask = np.zeros((30, 40), np.uint8)
    mask[y : y + height, x : x + width] = 255
    return {
        "id": "r1",
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": 40,
        "original_height": 30,
        "value": {"format": "rle", "rle": reference.mask2rle(mask), "brushlabels": [label]},
    }


def box(label="thing"):
    value = {"x": 15, "y": 20, "width": 45, "height": 45, "rotation": 0, "rectanglelabels": [label]}
    return {
        "id": "r2",
        "type": "rectanglelabels",
        "original_width": 40,
        "original_height": 30,
        "value": value,
    }


def annotation(number, result, name, action="ANNOTATION_CREATED"):
    return {
        "action": action,
        "project": {"id": 7},
        "task": task(1, name),
        "annotation": {"id": number, "result": result, "was_cancelled": False},
    }


def models(concept, photos, **options):
    return ProjectModels([concept], ImageStore((photos,)), encoder=FakeEncoder(), **options)


def asking(app, **options):
    """A client as Label Studio is one."""
    options.setdefault("headers", SHOWN)
    return TestClient(app, base_url="http://127.0.0.1:9090", raise_server_exceptions=False, **options)


@pytest.fixture
def client(concept, photos):
    with asking(create_app(models(concept, photos), token="s3cret")) as made:
        yield made


def teach(made, project, number, name, result):
    made.note(Event(project, number, None if result is None else tuple(result), data=task(1, name)["data"]))
    made.learn(project)


def predicted(client, names=("a/001.png",), project="7.1700000000", **params):
    tasks = [task(number, name) for number, name in enumerate(names)]
    content = {"tasks": tasks, "project": project, "label_config": CONFIG, "params": params}
    answer = client.post("/predict", json=content)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def pixels(result):
    """The mask of a prediction, by Label Studio's own decoder."""
    mask = np.zeros((30, 40), bool)
    for region in result["result"]:
        assert region["type"] == "brushlabels"
        flat = reference.decode_rle(region["value"]["rle"])
        mask |= np.reshape(flat, (30, 40, 4))[:, :, 3] > 127
    return mask


def test_the_contract(client):
    assert client.get("/health").json()["status"] == "UP"
    setup = {"project": "7.1700000000", "schema": CONFIG, "hostname": "http://x", "access_token": "t"}
    version = client.post("/setup", json=setup).json()["model_version"]
    assert version
    assert client.get("/versions", params={"project": "7.17"}).json() == {"versions": [version]}
    names = ("a/001.png", "b/002.png", "a/003.png")
    results = predicted(client, names)
    assert len(results) == 3
    assert all(one["model_version"] == version for one in results)
    assert all(0 <= one["score"] <= 1 for one in results)
    assert any(pixels(one).any() for one in results)
    for one in results:
        for region in one["result"]:
            assert (region["from_name"], region["to_name"]) == ("label", "image")
            assert (region["original_width"], region["original_height"]) == (40, 30)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b'{"tasks": 5}', 400),
        (b'{"tasks": ["x"], "label_config": "<View/>"}', 400),
        (b'{"tasks": [], "label_config": "<View/>", "project": "../7"}', 400),
        (b'{"tasks": [], "label_config": "<View/>", "params": {"context": {"result": [1]}}}', 400),
        (b'{"tasks": [], "label_config": "<View", "project": "7"}', 400),
        (b'{"tasks": [], "label_config": "<View/>", "project": "7"}', 422),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(client, content, status):
    answer = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert len(answer.json()["detail"]) > 10


@pytest.mark.parametrize(
    "address",
    [
        "/data/local-files/?d=../secret.png",
        "/data/local-files/?d=%2e%2e/secret.png",
        "/data/local-files/?d=/etc/passwd",
        "/data/local-files/?d=link.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:1/x.png",
        "//evil.example/x.png",
        "data:image/png;base64,AAAA",
        "a\0b",
        "",
    ],
)
def test_nothing_outside_the_allowed_folders_and_the_server_is_read(photos, tmp_path, address, monkeypatch):
    folder = tmp_path / "files"
    folder.mkdir()
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    (folder / "link.png").symlink_to(secret)
    fetched = []

    class Server:
        url = "http://labels.test:8080"

        def fetch(self, url):
            fetched.append(url)

    for server in (None, Server()):
        with pytest.raises(ImageError):
            ImageStore((folder,), server).find(address)
    assert all(url.startswith(("/data/", "/etc/")) for url in fetched)  # paths on the server itself


def test_images_of_the_connected_server_are_fetched_once(photos):
    class Server:
        url = "http://labels.test:8080"
        asked = ()

        def fetch(self, url):
            self.asked = (*self.asked, url)
            return (photos / "a" / "001.png").read_bytes()

    server = Server()
    store = ImageStore((), server)
    for address in ("/data/upload/7/x.png", "http://labels.test:8080/data/upload/8/y.png"):
        assert store.find(address).read_bytes() == store.find(address).read_bytes()
    assert server.asked == ("/data/upload/7/x.png", "http://labels.test:8080/data/upload/8/y.png")
    with pytest.raises(ImageError):
        store.find("http://labels.test:8080.evil.example/x.png")
    store.close()


def test_unreadable_images_do_not_spoil_the_batch(client, photos):
    results = predicted(client, ("a/001.png", "gone.png"))
    assert results[1]["result"] == []
    tasks = [task(1, "gone.png")]
    answer = client.post("/predict", json={"tasks": tasks, "project": "7", "label_config": CONFIG})
    assert answer.status_code == 422
    assert "gone.png" in answer.json()["detail"]


@pytest.mark.parametrize("mark", [stroke(), box(), stroke(label="other")])
def test_a_mark_is_an_exemplar_for_its_label(client, mark):
    before = predicted(client)[0]
    (marked,) = predicted(client, context={"result": [mark]})
    label = mark["value"][mark["type"]][0]
    assert {region["value"]["brushlabels"][0] for region in marked["result"]} == {label}
    assert not np.array_equal(pixels(marked), pixels(before)) or label == "other"
    again = predicted(client)[0]
    assert again == before  # only an annotation teaches for good


def test_a_click_is_an_exemplar_too(client):
    click = {"type": "keypointlabels", "value": {"x": 50, "y": 50, "width": 1, "keypointlabels": ["thing"]}}
    (marked,) = predicted(client, context={"result": [click]})
    assert pixels(marked).any()


def test_a_correction_changes_the_next_prediction_and_its_version_and_can_be_taken_back(client):
    name = "b/002.png"
    before = predicted(client, (name,))[0]
    sent = client.post("/webhook", json=annotation(5, [stroke()], name))
    assert sent.json()["queued"] == 1
    after = predicted(client, (name,))[0]
    assert after["model_version"] != before["model_version"]
    truth = np.zeros((30, 40), bool)
    truth[6:20, 6:24] = True

    def iou(result):
        mask = pixels(result)
        return (mask & truth).sum() / (mask | truth).sum()

    assert iou(after) > iou(before)
    assert predicted(client, (name,), project="8")[0] == before  # other projects know nothing of it
    again = annotation(5, [stroke()], name, action="ANNOTATION_UPDATED")
    client.post("/webhook", json=again)
    assert predicted(client, (name,))[0] == after  # the same correction counts once
    gone = {"action": "ANNOTATIONS_DELETED", "project": {"id": 7}, "annotations": [{"id": 5}]}
    client.post("/webhook", json=gone)
    assert predicted(client, (name,))[0] == before


@pytest.mark.parametrize(
    "event",
    [
        {"action": "PROJECT_UPDATED", "project": {"id": 7}},
        {"action": "START_TRAINING", "project": {"id": 7}},
        {},
    ],
)
def test_other_events_teach_nothing(client, event):
    assert client.post("/webhook", json=event).json() == {"queued": 0}


def test_an_annotation_that_was_skipped_at_once_teaches_nothing(client):
    before = predicted(client)
    skipped = {**annotation(5, [stroke()], "a/001.png"), "annotation": {"id": 5, "was_cancelled": True}}
    assert client.post("/webhook", json=skipped).status_code == 200
    assert predicted(client) == before


def test_corrections_survive_a_kill_and_are_saved_as_concepts(concept, photos, tmp_path):
    first = models(concept, photos, log=CorrectionLog(tmp_path / "state"))
    (event,) = read_webhook(annotation(5, [stroke()], "a/001.png"))
    first.note(event)  # acknowledged, then killed before it was learnt
    with (tmp_path / "state" / "corrections.jsonl").open("ab") as file:
        file.write(b'{"project": "7", "anno')  # killed while writing
    second = models(concept, photos, log=CorrectionLog(tmp_path / "state"))
    assert second.version("7") == first.version("7")
    assert not second.learn_next()  # nothing more waits
    assert second.version("7") != first.version("7")
    first.learn("7")
    assert second.version("7") == first.version("7")  # learnt late is learnt the same
    assert (tmp_path / "state" / "project-7" / "thing.concept").is_file()


def test_a_student_answers_until_somebody_corrects(concept, photos):
    class Student:
        @property
        def digests(self):
            return {"thing": "0" * 64, "unasked": "0" * 64}

        def predict(self, images):
            for target in images:
                mask = np.zeros((30, 40), bool)
                mask[3:9, 4:30] = True
                image = ImageRef(target.file_name, "0" * 64, 40, 30)
                names = ("thing", "unasked")
                yield Prediction(image, tuple(Region(name, rle.encode(mask), 0.9) for name in names))

    made = models(concept, photos, student=Student())
    assert made.version("7") != models(concept, photos).version("7")
    (first,) = made.predict("7", [task(1, "a/001.png")], CONFIG)
    assert len(first["result"]) == 1
    assert pixels(first)[3:9, 4:30].all()
    assert pixels(first).sum() == 6 * 26
    teach(made, "7", 5, "a/001.png", [stroke()])
    (second,) = made.predict("7", [task(1, "a/001.png")], CONFIG)
    assert not np.array_equal(pixels(second), pixels(first))
    assert made.predict("8", [task(1, "a/001.png")], CONFIG)[0]["result"] == first["result"]


def test_an_absent_concept_is_passed_over_after_the_correction(concept, photos):
    made = models(concept, photos)
    made.load()
    named = next(
        name
        for name in ("a/001.png", "b/002.png", "a/003.png", "b/004.png", "a/005.png")
        if made.predict("7", [task(1, name)], CONFIG)[0]["result"]
    )
    teach(made, "7", 9, named, [])
    assert made.predict("7", [task(1, named)], CONFIG)[0]["result"] == []


def test_corrections_move_a_concept_by_their_number_and_not_by_their_order(concept, photos):
    encoder = FakeEncoder()
    mask = np.zeros((30, 40), bool)
    mask[6:20, 6:24] = True
    ones = [read_correction(encoder, photos / name, mask, source=name) for name in ("a/001.png", "b/002.png")]
    assert correct(concept, ones).digest == correct(concept, ones[::-1]).digest
    goal = begin("x", ones, encoder).foreground
    near = [
        float(one.foreground @ goal) for one in (concept, correct(concept, ones), correct(concept, ones * 5))
    ]
    assert near == sorted(near)
    assert correct(concept, ones).foreground.norm() == pytest.approx(1)
    assert correct(concept, ones).saliency is None
    shown, *rest = correct(concept, ones).banks
    assert len(rest) == 1
    assert torch.equal(rest[0].cells, concept.banks[-1].cells)
    assert len(shown.labels) == 2 * ones[0].bank.labels.numel()
    coverage = ones[0].bank.labels.float().mean().item()
    assert coverage == pytest.approx(mask.mean(), abs=0.03)  # what was marked is what the cells say
    with pytest.raises(InputError, match="teaches nothing"):
        read_correction(encoder, photos / "a/001.png", np.zeros((30, 40), bool), source="x")


def test_a_token_is_asked_for_everywhere_but_at_health(concept, photos):
    app = create_app(models(concept, photos), token="s3cret ü")
    with asking(app, headers={}) as client:
        assert client.get("/health").status_code == 200
        password = base64.b64encode("anyone:s3cret ü".encode()).decode()
        for header, status in [
            (None, 401),
            ("Bearer wrong", 401),
            ("Basic !!", 401),
            ("Bearer s3cret ü".encode(), 200),
            (f"Basic {password}", 200),
        ]:
            headers = {} if header is None else {"Authorization": header}
            assert client.post("/setup", json={"project": "7"}, headers=headers).status_code == status


class Running:
    """The app on a free port of the loopback interface."""

    def __init__(self, app):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = int(self.url.rsplit(":", 1)[1])
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self):
        self._thread.start()
        until = time.monotonic() + 20
        while not self._server.started and time.monotonic() < until:
            time.sleep(0.01)
        return self.url

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(20)


@pytest.mark.slow
def test_twenty_requests_at_once_are_answered_and_health_never_waits(concept, photos):
    """With a model that takes a quarter of a second for each image."""
    slow = ProjectModels([concept], ImageStore((photos,)), encoder=FakeEncoder(delay=0.25))
    content = {"project": "7", "label_config": CONFIG}
    with Running(create_app(slow, token="s3cret")) as url, ThreadPoolExecutor(20) as pool:

        def ask(number):
            tasks = [task(number, photo(number))]
            return httpx.post(f"{url}/predict", json={**content, "tasks": tasks}, timeout=60, headers=SHOWN)

        answers = [pool.submit(ask, number) for number in range(20)]
        waits = 0
        while not all(answer.done() for answer in answers):
            assert (
                httpx.get(f"{url}/health", timeout=1).json()["status"] == "UP"
            )  # Label Studio waits a second
            setup = httpx.post(f"{url}/setup", json={"project": "7"}, timeout=3, headers=SHOWN)
            assert setup.status_code == 200
            waits += 1
            time.sleep(0.05)
        results = [answer.result() for answer in answers]
    assert [one.status_code for one in results] == [200] * 20
    bodies = [one.json()["results"][0] for one in results]
    alone = models(concept, photos)
    for number, body in enumerate(bodies):  # each got the answer for its own image
        assert body == alone.predict("7", [task(number, photo(number))], CONFIG)[0]
    assert waits


@pytest.mark.slow
def test_what_cannot_be_answered_in_time_is_refused_and_not_computed(concept, photos):
    encoder = FakeEncoder(delay=0.5)
    slow = ProjectModels([concept], ImageStore((photos,)), encoder=encoder)
    slow.load()
    content = {"project": "7", "label_config": CONFIG, "tasks": [task(1, "a/001.png")]}
    with (
        Running(create_app(slow, token="s3cret", limit=0.8, waiting=6)) as url,
        ThreadPoolExecutor(10) as pool,
    ):

        def ask(_):
            return httpx.post(f"{url}/predict", json=content, timeout=30, headers=SHOWN)

        answers = list(pool.map(ask, range(10)))
        codes = sorted(answer.status_code for answer in answers)
        assert codes[0] == 200
        assert codes[-1] == 503
        refused = [answer for answer in answers if answer.status_code == 503]
        assert all("ask again" in answer.json()["detail"] for answer in refused)
        assert all(answer.headers["retry-after"] for answer in refused)
        time.sleep(1)
        assert len(encoder.batches) < 10
        assert ask(0).status_code == 200
