"""The backend with a real Label Studio server, its real editor in Chromium, and the real command."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
from browser import chromium, shoot, visited
from conftest import SAMPLES
from label_studio_sdk.converter import brush as sdk
from label_studio_server import EMAIL, PASSWORD, title

from reco_assist.concepts import learn_concept
from reco_assist.label_studio import LocalFiles, Server, push
from reco_assist.masks import rle
from reco_assist.segmenter import Segmenter, Target

pytestmark = pytest.mark.slow

MUG = (0.33, 0.37, 0.53, 0.64)  # left, top, right and bottom inside the mug, as shares of the canvas
PHOTOS = ("scene_000.jpg", "scene_008.jpg", "scene_011.jpg")


class Backend:
    """`reco-assist serve` in a process of its own, connected to a project."""

    def __init__(self, label_studio, folder, concept, project):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        command = [
            sys.executable,
            "-m",
            "reco_assist.cli",
            "serve",
            "--concept",
            str(concept),
            "--device",
            "cpu",
        ]
        command += ["--server", label_studio.url, "--project", str(project), "--state", str(folder / "state")]
        command += ["--port", self.url.rsplit(":", 1)[1]]
        self._log = folder / "serve.log"
        environment = {**os.environ, "LABEL_STUDIO_API_KEY": label_studio.token, "OMP_NUM_THREADS": "1"}
        with self._log.open("w") as output:
            self._process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        self.wait("connected to the project")

    def wait(self, words):
        until = time.monotonic() + 120
        while words not in self._log.read_text():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until, self._log.read_text()
            time.sleep(0.1)

    def token(self):
        """The one that was made and printed at the start; --project told the server of it."""
        return re.search(r"token of this start: (\S+)", self._log.read_text())[1]

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()


@pytest.fixture(scope="module")
def project(label_studio, samples, encoder, tmp_path_factory):
    """A project with three photographs, the concept, and the backend connected to it."""
    tmp_path = tmp_path_factory.mktemp("serving")
    concept = learn_concept(samples, "mug", k=12)
    concept.save(tmp_path / "mug.concept")
    folder = label_studio.files / tmp_path.name
    folder.mkdir()
    for name in PHOTOS:
        shutil.copy(SAMPLES / "targets" / name, folder)
    segmenter = Segmenter([concept], encoder=encoder)
    made = list(segmenter.predict([Target(folder / name, name) for name in PHOTOS]))
    with Server(label_studio.url, label_studio.token) as server:
        source = LocalFiles(folder, label_studio.files)
        done = push(server, title("serving"), made, ["mug"], model_version="pushed", images=source)
        backend = Backend(label_studio, tmp_path, tmp_path / "mug.concept", done.project)
        try:
            yield server, done.project, made, tmp_path / "state", backend.token()
        finally:
            backend.stop()


def tasks(server, project):
    return list(server.tasks(project, include=["data", "predictions"]))


def retrieve(server, project, ids):
    """What the data manager's button does: ask the backend for predictions of some tasks."""
    server.once(
        "POST",
        f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}",
        json={"selectedItems": {"all": False, "included": ids}},
    )


def latest(task):
    return max(task["predictions"], key=lambda one: one["id"])


def mask_of(result, shape):
    """The pixels of a prediction's or an annotation's brush regions, by the vendor's decoder."""
    mask = np.zeros(shape, bool)
    for region in result:
        flat = sdk.decode_rle(region["value"]["rle"])
        mask |= np.reshape(flat, (*shape, 4))[:, :, 3] > 127
    return mask


def submit_a_stroke(label_studio, project, task):
    """Log in, open the task, drop the prediction, paint with the brush, submit."""
    with visited(f"{label_studio.url}/user/login/", width=1300, height=950) as page:
        page.fill("input[name=email]", EMAIL)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/user/login" not in url)
        page.goto(f"{label_studio.url}/projects/{project}/data?task={task}")
        canvas = page.locator(".konvajs-content canvas").first
        canvas.wait_for()
        page.wait_for_timeout(1500)  # the image is drawn after the canvas is there
        shoot(page, "serve-before")
        # What was predicted goes, and the mug alone is painted.
        for _ in range(page.locator(".lsf-outliner-item__title").count()):
            page.locator(".lsf-outliner-item__title").first.click()
            page.keyboard.press("Backspace")
        page.keyboard.press("1")  # the label's key
        box = canvas.bounding_box()
        left, top = box["x"], box["y"]
        page.mouse.move(left + MUG[0] * box["width"], top + MUG[1] * box["height"])
        page.mouse.down()
        for row in range(13):
            y = top + (MUG[1] + row / 12 * (MUG[3] - MUG[1])) * box["height"]
            for x in (MUG[0], MUG[2]) if row % 2 == 0 else (MUG[2], MUG[0]):
                page.mouse.move(left + x * box["width"], y, steps=8)
        page.mouse.up()
        shoot(page, "serve-painted")
        with page.expect_response(
            lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
        ) as sent:
            page.get_by_role("button", name="Submit").click()
        assert sent.value.ok
        return sent.value.json()


@pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM")
@pytest.mark.timeout(600)
def test_the_server_gets_predictions_and_a_correction_in_the_editor_changes_the_next_one(
    label_studio, project
):
    server, number, made, state, _ = project
    listed = tasks(server, number)
    ids = [task["id"] for task in listed]

    # In a batch: the very masks of the segmenter, on the server.
    retrieve(server, number, ids)
    listed = tasks(server, number)
    exact = {one.image.content_hash: one for one in made}
    versions = set()
    for task in listed:
        prediction, expected = latest(task), exact[task["data"]["key"]]
        shape = (expected.image.height, expected.image.width)
        union = np.logical_or.reduce(
            [rle.decode(region.mask) for region in expected.regions] or [np.zeros(shape, bool)]
        )
        np.testing.assert_array_equal(mask_of(prediction["result"], shape), union)
        versions.add(prediction["model_version"])
    assert len(versions) == 1
    (version,) = versions
    assert version.startswith("reco-assist")

    # While annotating: a box is an exemplar.
    (backend,) = server.get("/api/ml/", project=number)
    assert backend["is_interactive"]
    task = listed[0]
    value = {"x": 30, "y": 30, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["mug"]}
    image = exact[task["data"]["key"]].image
    drawn = {"id": "x", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "value": value}
    drawn |= {"original_width": image.width, "original_height": image.height}
    answer = server.once(
        "POST",
        f"/api/ml/{backend['id']}/interactive-annotating",
        json={"task": task["id"], "context": {"result": [drawn]}},
    )
    assert answer["data"]["result"], answer
    assert mask_of(answer["data"]["result"], (image.height, image.width)).any()

    # A correction, painted by hand in the real editor.
    saved = submit_a_stroke(label_studio, number, task["id"])
    truth = mask_of(
        [one for one in saved["result"] if one["type"] == "brushlabels"], (image.height, image.width)
    )
    assert truth.any()
    until = time.monotonic() + 60
    log = state / "corrections.jsonl"
    while not (log.is_file() and f'"annotation":{saved["id"]}' in log.read_text()):
        assert time.monotonic() < until, "the correction did not arrive"
        time.sleep(0.1)
    while True:  # what is logged is learnt a moment later
        retrieve(server, number, ids)
        after = {one["id"]: latest(one) for one in tasks(server, number)}
        if {one["model_version"] for one in after.values()} != versions:
            break
        assert time.monotonic() < until, "the correction was not learnt"
    before = {one["id"]: latest(one) for one in listed}
    changed = [one for one in ids if after[one]["result"] != before[one]["result"]]
    assert changed

    def iou(prediction):
        mask = mask_of(prediction["result"], (image.height, image.width))
        return (mask & truth).sum() / (mask | truth).sum()

    assert (state / f"project-{number}" / "mug.concept").is_file()
    # What was painted by hand is nearer to what is predicted than before.
    assert iou(after[task["id"]]) > iou(before[task["id"]])


def test_an_existing_connection_is_kept(label_studio, project):
    from reco_assist.serving.connecting import connect

    server, number, *_, token = project
    (known,) = server.get("/api/ml/", project=number)
    connect(server, str(number), known["url"], token)
    assert [one["id"] for one in server.get("/api/ml/", project=number)] == [known["id"]]
    assert len(server.get("/api/webhooks/", project=number)) == 1
    assert httpx.get(f"{known['url']}/health").json()["status"] == "UP"
