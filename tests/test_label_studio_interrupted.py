"""Pushes and pulls that are killed, stopped or run at the same time, against a real server."""

import json
import os
import re
import signal

import numpy as np
import pytest
from children import start
from label_studio_server import title
from PIL import Image
from test_faults import kill_at_random, visible

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.errors import StorageError
from reco_assist.folders import make_output_folder
from reco_assist.formats import write_coco
from reco_assist.images import content_hash, read_bytes
from reco_assist.label_studio import TOKEN, Server, Upload, pull, push
from reco_assist.label_studio.outputs import read_output
from reco_assist.locks import only_writer
from reco_assist.masks import rle

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]
IMAGES = 6
SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 50))]

# The command line; a line is printed after each request, and the first one waits to be told to go.
COMMAND = """
import sys
import reco_assist.label_studio.push
from reco_assist.cli import app
from reco_assist.label_studio import Server
sys.modules["reco_assist.label_studio.push"]._BATCH = 2
once = Server.once

def noisy(self, method, path, *form, **content):
    answer = once(self, method, path, *form, **content)
    print(method, path, flush=True)
    return answer

Server.once = noisy
print("ready", flush=True)
sys.stdin.readline()
app.main()
"""
PULLS = """
import sys
from pathlib import Path
from reco_assist.label_studio import Server, pull
url, token, project, folder = sys.argv[1:]
with Server(url, token) as server:
    while True:
        Path(folder, "pulled.json").unlink(missing_ok=True)
        pull(server, project, Path(folder), on_tasks=lambda _: print("task", flush=True))
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What a segment run leaves: images and their masks."""
    folder = tmp_path_factory.mktemp("run")
    make_output_folder(folder / "out")
    made = []
    for number in range(IMAGES):
        path = folder / f"{number}.png"
        Image.new("RGB", (40, 30), (number * 20, 90, 90)).save(path)
        mask = np.zeros((30, 40), bool)
        mask[5:20, number : number + 20] = True
        image = ImageRef(path.name, content_hash(read_bytes(path)), 40, 30)
        made.append(Prediction(image, (Region("mug", rle.encode(mask), 0.5),), (Verdict("mug", True, 0.5),)))
    write_coco(folder / "out" / "coco.json", lambda: iter(made), ["mug"], info={"description": "a run"})
    return folder / "out"


@pytest.fixture
def server(label_studio):
    with Server(label_studio.url, label_studio.token) as opened:
        yield opened


def started(label_studio, *arguments):
    return start(COMMAND, *arguments, "--url", label_studio.url, env={TOKEN: label_studio.token})


def go(child):
    child.stdin.write("go\n")
    child.stdin.flush()


def send(server, name, out, version=None):
    found = read_output(out)
    return push(
        server,
        name,
        found.predictions,
        found.concepts,
        model_version=version or found.model_version,
        images=Upload(out.parent),
    )


def held(server, name):
    """(tasks, predictions) of the one project of that title, after checking that no image has two tasks."""
    (project,) = server.get("/api/projects/", title=name)["results"]
    tasks = list(server.tasks(project["id"], include=["data", "predictions"]))
    assert len({task["data"]["key"] for task in tasks}) == len(tasks)
    return len(tasks), sum(len(task["predictions"]) for task in tasks)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_push_is_finished_by_the_next(label_studio, server, out, seed):
    name = title("killed")
    child = started(label_studio, "push", out, "--images", out.parent, "--project", name)
    child.stdout.readline()
    go(child)
    kill_at_random(child, seed, 24)
    send(server, name, out)
    assert held(server, name) == (IMAGES, IMAGES)


@pytest.fixture(scope="module")
def corrected(label_studio, out):
    """A project with an annotation."""
    name = title("corrected")
    with Server(label_studio.url, label_studio.token) as server:
        done = send(server, name, out)
        task = next(server.tasks(done.project, include=["data"]))
        annotation = {"result": [], "lead_time": 1}
        server.once("POST", f"/api/tasks/{task['id']}/annotations/", json=annotation)
    return name


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_pull_leaves_whole_files_and_the_next_one_mends_it(
    label_studio, server, corrected, tmp_path, seed
):
    arguments = [label_studio.url, label_studio.token, corrected, str(tmp_path / "pulled")]
    child = start(PULLS, *arguments)
    kill_at_random(child, seed, 5 * IMAGES)
    for data in visible(tmp_path / "pulled").values():
        json.loads(data)
    pull(server, corrected, tmp_path / "pulled")
    pull(server, corrected, tmp_path / "fresh")
    assert visible(tmp_path / "pulled") == visible(tmp_path / "fresh")


@pytest.mark.parametrize(("command", "after"), [("push", r"POST .*/import$"), ("pull", r"GET /api/tasks/")])
def test_ctrl_c_stops_a_push_and_a_pull_which_go_on_when_run_again(
    label_studio, server, corrected, out, command, after
):
    name = title("stopped") if command == "push" else corrected
    arguments = [command, out, "--images", out.parent, "--project", name]
    child = started(label_studio, *arguments)
    child.stdout.readline()
    go(child)
    while not re.match(after, line := child.stdout.readline()):
        assert line, child.communicate()[1]
    child.send_signal(signal.SIGINT)
    told = child.communicate()[1]
    assert child.returncode == 130, told
    assert "stopped: run the same command again to go on" in told
    assert "Traceback" not in told
    again = started(label_studio, *arguments)
    told = again.communicate("go\n")[1]
    assert again.returncode == 0, told
    assert held(server, name) == (IMAGES, IMAGES)
    assert command == "push" or pull(server, name, out / "corrections").fresh == 0


def test_two_pushes_at_the_same_moment_double_nothing(label_studio, server, out):
    name = title("two")
    arguments = ["push", out, "--images", out.parent, "--project", name]
    children = [started(label_studio, *arguments) for _ in range(2)]
    for child in children:
        child.stdout.readline()
    for child in children:
        go(child)
    for child in children:
        told = child.communicate()[1]
        assert child.returncode == 0, told
    assert held(server, name) == (IMAGES, IMAGES)


def test_two_pulls_into_one_folder_are_refused(server, corrected, tmp_path):
    with (
        only_writer(make_output_folder(tmp_path)),
        pytest.raises(StorageError, match="Another process is writing to"),
    ):
        pull(server, corrected, tmp_path)
    assert not (tmp_path / "pulled.json").exists()
    assert pull(server, corrected, tmp_path).fresh == IMAGES
