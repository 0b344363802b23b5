"""A server that fails, refuses or goes away: one sentence, nothing doubled, and the next run goes on."""

import json
import re
import shutil
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from label_studio_server import title
from PIL import Image
from test_faults import bound_by_permissions, visible

from reco_assist import files
from reco_assist.annotations import ImageRef, Prediction, Region
from reco_assist.errors import FormatError, InputError, ServerError, StorageError, UnreachableError
from reco_assist.images import content_hash, read_bytes
from reco_assist.label_studio import Server, Upload, pull, push
from reco_assist.masks import rle

pytestmark = pytest.mark.slow

_SENTENCE = re.compile(r"^\S.*[.]$")


class Proxy:
    """Stands before the real server and spoils what it is told to: (method, part of the path) -> how.

    A number is the status that is answered without asking the server; `lost` asks it and loses the answer.
    """

    def __init__(self, target):
        self.faults = []
        self.seen = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length) if length else None
                proxy.seen.append((self.command, self.path))
                fault = proxy.take(self.command, self.path)
                if isinstance(fault, int):
                    self.answer(fault, b'{"detail": "spoilt"}')
                    return
                headers = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}}
                request = urllib.request.Request(
                    target + self.path, data=body, method=self.command, headers=headers
                )
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        status, data = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    status, data = error.code, error.read()
                if fault == "lost":
                    self.close_connection = True
                    self.connection.close()
                    return
                self.answer(status, data)

            def answer(self, status, data):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one  # noqa: N815

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def take(self, method, path):
        for fault in self.faults:
            if fault[0] == method and re.search(fault[1], path) and fault[3] > 0:
                fault[3] -= 1
                return fault[2]
        return None

    def spoil(self, method, path, how, times=1):
        self.faults.append([method, path, how, times])

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def proxy(label_studio):
    made = Proxy(label_studio.url)
    yield made
    made.close()


@pytest.fixture
def server(proxy, label_studio):
    with Server(proxy.url, label_studio.token, attempts=3, pause=0.02) as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for number in range(8):
        Image.new("RGB", (40, 30), (number * 20, 90, 90)).save(root / f"{number}.png")
    return root


@pytest.fixture
def predictions(folder):
    mask = np.zeros((30, 40), bool)
    mask[5:20, 5:30] = True
    region = Region("mug", rle.encode(mask), 0.5)
    return [
        Prediction(ImageRef(path.name, content_hash(read_bytes(path)), 40, 30), (region,))
        for path in sorted(folder.iterdir())
    ]


def send(server, project, predictions, folder, version="one"):
    return push(server, project, predictions, ["mug"], model_version=version, images=Upload(folder))


def held(server, name):
    """(tasks, predictions, uploads) that the server holds."""
    project = server.get("/api/projects/", title=name)["results"][0]["id"]
    tasks = list(server.tasks(project, include=["data", "predictions"]))
    assert len({task["data"]["key"] for task in tasks}) == len(tasks)
    uploads = server.get(f"/api/projects/{project}/file-uploads", all="true")
    return len(tasks), sum(len(task["predictions"]) for task in tasks), len(uploads)


IMPORT, UPLOAD, PREDICTIONS = r"/import$", r"commit_to_project", r"/import/predictions$"


@pytest.mark.parametrize(
    ("method", "path", "how", "times"),
    [
        ("POST", IMPORT, 500, 1),
        ("POST", IMPORT, 429, 2),
        ("POST", IMPORT, "lost", 1),  # it came through, and nobody knows
        ("POST", UPLOAD, "lost", 1),
        ("POST", UPLOAD, 503, 1),
        ("POST", r"/api/projects/$", "lost", 1),
        ("GET", r"/api/tasks/", "lost", 2),
        ("PATCH", r"/api/projects/", 502, 2),
    ],
)
def test_a_fault_that_passes(server, proxy, predictions, folder, method, path, how, times):
    name = title("fault")
    proxy.spoil(method, path, how, times)
    done = send(server, name, predictions, folder)
    assert proxy.faults[0][3] == 0  # it happened
    assert done.created == 8
    assert held(server, name) == (8, 8, 8)


@pytest.mark.parametrize("how", [500, "lost"])
def test_new_predictions_are_not_doubled_either(server, proxy, predictions, folder, how):
    name = title("fault")
    send(server, name, predictions, folder)
    proxy.spoil("POST", PREDICTIONS, how)
    assert send(server, name, predictions, folder, version="two").updated == 8
    assert held(server, name) == (8, 16, 8)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [(500, "fails with status 500"), (429, "asks to be left alone")],
)
def test_a_fault_that_stays_is_one_sentence_and_the_next_run_goes_on(
    server, proxy, predictions, folder, how, sentence, monkeypatch
):
    monkeypatch.setattr(sys.modules["reco_assist.label_studio.push"], "_BATCH", 3)
    name = title("fault")
    send(server, name, predictions[:3], folder)
    proxy.spoil("POST", IMPORT, how, 100)
    with pytest.raises(UnreachableError, match=sentence) as caught:
        send(server, name, predictions, folder)
    assert _SENTENCE.match(str(caught.value))
    proxy.faults.clear()
    send(server, name, predictions, folder)
    assert held(server, name) == (8, 8, 8)


def test_the_server_stops_in_the_middle(label_studio, predictions, folder, monkeypatch):
    monkeypatch.setattr(sys.modules["reco_assist.label_studio.push"], "_BATCH", 3)
    name = title("stop")
    batches = []

    def stop(count):
        batches.append(count)
        if len(batches) == 1:
            label_studio.stop()

    with Server(label_studio.url, label_studio.token, attempts=2, pause=0.02) as server:
        try:
            with pytest.raises(
                UnreachableError, match=r"No server answers at .*start Label Studio"
            ) as caught:
                push(
                    server,
                    name,
                    predictions,
                    ["mug"],
                    model_version="one",
                    images=Upload(folder),
                    on_images=stop,
                )
        finally:
            label_studio.start()
        assert _SENTENCE.match(str(caught.value))
        done = send(server, name, predictions, folder)
        assert (done.created, done.unchanged) == (5, 3)
        assert held(server, name) == (8, 8, 8)


def test_a_project_deleted_in_the_middle(server, label_studio, predictions, folder, monkeypatch):
    monkeypatch.setattr(sys.modules["reco_assist.label_studio.push"], "_BATCH", 3)
    name = title("deleted")

    def delete(_):
        project = server.get("/api/projects/", title=name)["results"][0]["id"]
        label_studio.client().projects.delete(project)

    with pytest.raises(ServerError, match="it may have been deleted") as caught:
        push(server, name, predictions, ["mug"], model_version="one", images=Upload(folder), on_images=delete)
    assert _SENTENCE.match(str(caught.value))
    assert not isinstance(caught.value, UnreachableError)
    assert send(server, name, predictions, folder).created == 8  # a new one of that title


def test_what_is_no_label_studio(tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with (
            Server(f"http://127.0.0.1:{other.server_port}", "0" * 40) as server,
            pytest.raises(ServerError, match="no Label Studio server"),
        ):
            pull(server, "anything", tmp_path)
        other.shutdown()


def test_a_disk_that_is_full_on_pull_leaves_what_was_there(
    server, label_studio, predictions, folder, tmp_path, monkeypatch
):
    name = title("full")
    done = send(server, name, predictions, folder)
    pull(server, name, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    task = next(server.tasks(done.project, include=["data"]))
    label_studio.client().annotations.create(id=task["id"], result=[], lead_time=1)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(StorageError, match="the disk is full") as caught:
            pull(server, name, tmp_path)
    assert _SENTENCE.match(str(caught.value))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert pull(server, name, tmp_path).fresh == 1
    with pytest.raises(ServerError, match="has no project"):
        pull(server, title("nothing"), tmp_path)
    other = title("other")
    send(server, other, predictions, folder)
    with pytest.raises(FormatError, match="holds what was pulled from"):
        pull(server, other, tmp_path)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_permissions_that_change_between_pulls(server, predictions, folder, label_studio, tmp_path):
    name = title("locked")
    done = send(server, name, predictions, folder)
    place = tmp_path / "pulled"
    pull(server, name, place)
    before = visible(place)
    task = next(server.tasks(done.project, include=["data"]))
    label_studio.client().annotations.create(id=task["id"], result=[], lead_time=1)
    place.chmod(0o555)
    with bound_by_permissions(), pytest.raises(StorageError, match="you may not write there"):
        pull(server, name, place)
    place.chmod(0o755)
    assert visible(place) == before
    assert pull(server, name, place).fresh == 1


def test_a_drive_of_images_that_is_unplugged_during_a_push(
    server, label_studio, predictions, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys.modules["reco_assist.label_studio.push"], "_BATCH", 1)
    name, away = title("unplugged"), tmp_path / "away"
    shutil.copytree(folder, tmp_path / "photos")

    def unplug(_):
        if not away.exists():
            shutil.move(tmp_path / "photos", away)

    def again(**options):
        return push(
            server,
            name,
            predictions,
            ["mug"],
            model_version="one",
            images=Upload(tmp_path / "photos"),
            **options,
        )

    with pytest.raises(InputError, match=r"is missing|cannot be read"):
        again(on_images=unplug)
    shutil.move(away, tmp_path / "photos")
    done = again()
    tasks = list(server.tasks(done.project, include=["data", "predictions"]))
    assert len({task["data"]["key"] for task in tasks}) == len(tasks) == len(predictions)
    assert all(len(task["predictions"]) == 1 for task in tasks)


def test_the_token_is_nowhere(server, label_studio, predictions, folder, tmp_path, caplog):
    caplog.set_level(0)
    name = title("token")
    done = send(server, name, predictions, folder)
    pull(server, name, tmp_path)
    texts = [json.dumps(done.to_json()), caplog.text, repr(server), repr(done)]
    texts += [path.read_text() for path in tmp_path.iterdir()]
    assert not any(label_studio.token in text for text in texts)
