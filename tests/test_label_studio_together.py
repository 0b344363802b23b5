"""Pushes to one project at the same moment, against a server in memory whose answers come in any order."""

import itertools
import random
import sys
import threading
import time
from contextlib import nullcontext, suppress

import numpy as np
import pytest

from reco_assist.annotations import ImageRef, Prediction, Region
from reco_assist.errors import ServerError, UnreachableError
from reco_assist.formats import label_config
from reco_assist.label_studio import Prefix, push
from reco_assist.label_studio.refusals import MissingError
from reco_assist.masks import rle

pytestmark = pytest.mark.slow

SEEDS = [*range(40), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(40, 1000))]
KEYS = [f"{number:064x}" for number in range(4)]
PLACES = Prefix("https://images.example/")


class Held:
    """As much of Label Studio as a push asks for; like it, it gives no number twice."""

    url = "http://labels.test"
    attempts = 50

    def __init__(self):
        self.lock = threading.Lock()
        self.before = self.after = lambda *_: None  # told of each request; may pause, or fail
        self.loses = lambda: False  # whether an import makes its tasks without their predictions
        self.drops = lambda: False  # whether an import is confirmed and makes no tasks
        self.late = lambda: False  # whether a list is as it was before the import
        self.numbers = itertools.count(1)
        self.made = []  # keys of all tasks that were ever made
        self.projects, self.all = {}, {}

    def get(self, path, form=None, /, **more):
        return self.once("GET", path, form, **more)

    def patiently(self, method, path, form=None, /, **content):
        while True:
            with suppress(UnreachableError):
                return self.once(method, path, form, **content)

    def remove(self, path):
        with suppress(MissingError):
            self.patiently("DELETE", path)

    def wait(self, _):
        time.sleep(0.001)

    def once(self, method, path, _=None, /, **content):
        self.before(method, path)
        with self.lock:
            answer = self.answer(method, path, content)
        self.after(method, path)
        return answer

    def answer(self, method, path, content):  # noqa: C901, PLR0912  (a case for each thing to ask for)
        match method, *path.strip("/").split("/")[1:]:
            case ["GET", "projects"]:
                return {
                    "results": [one for one in self.projects.values() if one["title"] == content["title"]]
                }
            case ["POST", "projects"]:
                number = len(self.projects) + 1
                self.projects[number] = {"id": number, "model_version": "", **content["json"]}
                return self.projects[number]
            case ["GET" | "PATCH", "projects", number]:
                return self.projects[int(number)]
            case ["POST", "projects", _, "import"]:
                loses, drops = self.loses(), self.drops()
                for one in content["json"] if not drops else ():
                    number = next(self.numbers)
                    made = [{"id": next(self.numbers), **each} for each in one["predictions"] if not loses]
                    self.all[number] = {"id": number, "data": one["data"], "predictions": made}
                    self.made.append(one["data"]["key"])
            case ["POST", "projects", _, "import", "predictions"]:
                for one in content["json"]:
                    self.all[one["task"]]["predictions"].append({**one, "id": next(self.numbers)})
            case ["GET", "tasks", number]:
                if int(number) not in self.all:
                    raise MissingError(path)
                return {**self.all[int(number)], "total_annotations": 0}
            case ["DELETE", "tasks", number]:
                if self.all.pop(int(number), None) is None:
                    raise MissingError(path)
            case ["DELETE", "projects", number]:
                del self.projects[int(number)]
            case ["DELETE", "predictions", number]:
                for task in self.all.values():
                    task["predictions"] = [one for one in task["predictions"] if one["id"] != int(number)]
        return {}

    def tasks(self, _, *, include, filters):
        self.before("GET", "/api/tasks/")
        keys = filters[0]["value"]
        with self.lock:
            found = [task for _, task in sorted(self.all.items()) if task["data"]["key"] in keys]
            found = [] if self.late() else found
            found = [
                {
                    **task,
                    "predictions": list(task["predictions"]),
                    "total_annotations": 0,
                    "total_predictions": len(task["predictions"]),
                }
                for task in found
            ]
        self.after("GET", "/api/tasks/")
        return iter(found)


def predictions(keys=KEYS, x=0):
    mask = np.zeros((30, 40), bool)
    mask[5:20, x : x + 20] = True
    region = Region("mug", rle.encode(mask), 0.5)
    return [Prediction(ImageRef(f"{key}.png", key, 40, 30), (region,)) for key in keys]


@pytest.fixture
def held(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules[push.__module__], "_BATCH", 2)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return Held()


def together(*pushes):
    """Run all at once; what any of them raises is raised."""
    failed = []

    def run(one):
        try:
            one()
        except BaseException as error:  # noqa: BLE001  (of another thread)
            failed.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in pushes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error


def send(held, made=None, version="one"):
    return push(held, "rare", made or predictions(), ["mug"], model_version=version, images=PLACES)


def settled(held):
    assert len(held.projects) == 1
    assert sorted(task["data"]["key"] for task in held.all.values()) == KEYS
    assert [len(task["predictions"]) for task in held.all.values()] == [1] * len(KEYS)


def test_two_pushes_on_one_machine_take_turns(held):
    """Without a turn, both look before either sends: each waits for the other after its look."""
    both = threading.Barrier(2)

    def pause(method, path):
        if (method, path) == ("GET", "/api/tasks/"):
            with suppress(threading.BrokenBarrierError):
                both.wait(0.2)
                both.reset()

    held.after = pause
    together(lambda: send(held), lambda: send(held))
    settled(held)
    assert sorted(held.made) == KEYS  # nothing was doubled, not even for a moment


def test_an_import_that_lost_its_predictions_is_seen(held):
    """As by the server's SQLite under load: confirmed, with tasks of which no prediction was kept."""
    lost = [True]
    held.loses = lambda: bool(lost and lost.pop())
    assert send(held).created == len(KEYS)
    settled(held)


def test_a_list_that_is_late_doubles_nothing(held):
    late = [True] * 2
    held.late = lambda: bool(held.made and late and late.pop())
    assert send(held).created == len(KEYS)
    settled(held)
    assert sorted(held.made) == KEYS


def test_tasks_that_the_server_has_lost_are_told_of_and_sent_by_the_next_push(held):
    lost = [True]
    held.drops = lambda: bool(lost and lost.pop())
    with pytest.raises(ServerError, match="shows other tasks than were sent"):
        send(held)
    assert not held.made
    send(held)
    settled(held)


def test_a_doubled_task_that_has_lost_its_predictions_is_seen(held):
    """The predictions of both together are as many as they should be."""

    def another(method, path):
        if (method, path) == ("POST", "/api/projects/1/import") and len(held.made) == 2:
            made = [{"data": {"key": key}, "predictions": []} for key in held.made]
            held.answer(method, path, {"json": made})

    held.after = another
    send(held)
    settled(held)


@pytest.mark.parametrize("seed", SEEDS)
def test_pushes_from_three_machines_end_with_everything_once(held, seed, monkeypatch):
    """Requests overtake each other, answers get lost, and imports lose predictions."""
    monkeypatch.setattr(sys.modules[push.__module__], "one_at_a_time", lambda _: nullcontext())
    chance = random.Random(seed)
    rate = chance.choice([0, 0.1, 0.3])

    def disturb(*_):
        time.sleep(chance.choice([0, 0, 0.001, 0.004]))
        if chance.random() < rate:
            raise UnreachableError("lost")

    held.projects[1] = {"id": 1, "title": "rare", "label_config": label_config(["mug"]), "model_version": ""}
    held.before = held.after = disturb
    held.loses = lambda: chance.random() < rate
    monkeypatch.setattr(held, "get", lambda path, *rest, **more: held.patiently("GET", path, *rest, **more))
    together(*(lambda: send(held),) * 3)
    settled(held)
