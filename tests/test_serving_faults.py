"""Faults and strangers at the backend: nothing acknowledged is lost, and nobody unknown is let in."""

import asyncio
import json
import os
import sys
import threading
import time
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
from children import start
from fakes import FakeEncoder
from test_faults import SEEDS, kill_at_random
from test_serving import (
    CONFIG,
    SHOWN,
    annotation,
    asking,
    concept,
    models,
    photos,
    predicted,
    stroke,
    task,
)
from typer.testing import CliRunner

from reco_assist.cli.app import app as command
from reco_assist.concepts import Concept
from reco_assist.errors import EncoderError, FormatError, ImageError, ServerError, StorageError
from reco_assist.label_studio import Server
from reco_assist.locks import only_writer
from reco_assist.segmenter import Segmenter
from reco_assist.serving import (
    ImageStore,
    ProjectModels,
    create_app,
    pending,
    predicting,
    project_model,
)
from reco_assist.serving import app as serving_app
from reco_assist.serving import events as serving_events
from reco_assist.serving import models as serving_models
from reco_assist.serving.events import Event, read_record, read_webhook
from reco_assist.serving.marks import check_regions
from reco_assist.serving.pending import BusyError, CorrectionLog, Pending

__all__ = ["concept", "photos"]  # fixtures


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Masks are not refined: that takes most of the time, and none of the faults is in it."""
    monkeypatch.setattr(predicting, "Segmenter", partial(Segmenter, refine="none"))


def event(number, name="a/001.png", result=None, project="7", **more):
    """What an annotation of a photograph says, a stroke if nothing else."""
    regions = (stroke(),) if result is None else tuple(result)
    return Event(project, number, regions, data=task(1, name)["data"], **more)


def gone(number, project="7"):
    return Event(project, number, None, deleted=True)


def kept(folder):
    """The corrections on disk, as Label Studio's numbers."""
    return [one.annotation for _, one in CorrectionLog(folder).events()]


def taught(made, *events):
    for one in events:
        made.note(one)
    for project in {one.project for one in events}:
        made.learn(project)
    return made


def replayed(made):
    """Learn all that can be learnt, as the server does in the background."""
    while made.learn_next():
        pass
    return made


# Who may ask


@pytest.mark.parametrize("path", ["/health", "/setup", "/predict", "/webhook", "/versions"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:9090"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "localhost@evil.example"}, 403),
        ({"host": ""}, 403),
        ({"host": "10.0.0.7:9090"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9091"}, 403),
        ({"host": "labels.test:9090"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:9090"}, 200),
        ({"origin": "http://127.0.0.1:9090"}, 200),
    ],
)
def test_pages_and_names_of_strangers_are_refused(concept, photos, path, headers, status):
    options = {"token": "s3cret", "hosts": ["labels.test"]}
    with asking(create_app(models(concept, photos), **options)) as client:
        content = {"action": "PROJECT_UPDATED", "project": 7, "tasks": [task(1, "a/001.png")]}
        content["label_config"] = CONFIG
        method = "GET" if path in {"/health", "/versions"} else "POST"
        answer = client.request(method, path, json=content if method == "POST" else None, headers=headers)
        assert answer.status_code == status, answer.text


def test_only_json_is_read(concept, photos, tmp_path):
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    with asking(create_app(made, token="s3cret")) as client:
        body = json.dumps(annotation(5, [stroke()], "a/001.png"))
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
            headers = {} if kind is None else {"content-type": kind}
            assert client.post("/webhook", content=body, headers=headers).status_code == 415
        assert kept(tmp_path) == []
        headers = {"content-type": "application/json; charset=utf-8"}
        assert client.post("/webhook", content=body, headers=headers).status_code == 200
    assert kept(tmp_path) == [5]


def test_where_all_addresses_are_listened_at_numbers_are_ours_and_names_are_not(concept, photos):
    made = create_app(models(concept, photos), token="s3cret", hosts=["0.0.0.0"])
    with asking(made) as client:
        for host, status in [("192.168.1.7:9090", 200), ("[fe80::1]:9090", 200), ("evil.example", 403)]:
            assert client.get("/health", headers={"host": host}).status_code == status


# What is refused on entry, and what a replay bears

MALFORMED = [
    {"result": "x"},
    {"result": 7},
    {"result": [1]},
    {"result": [{"type": "brushlabels", "value": "x"}]},
    {"result": [{"type": "brushlabels", "value": {"brushlabels": "thing"}}]},
    {"result": [{"type": "brushlabels", "value": {"brushlabels": [1]}}]},
    {"result": [stroke(label="a\0b")]},
    {"result": [stroke(label=" ")]},
    {"result": [{"type": ["brushlabels"], "value": {}}]},
    {"result": [{"type": "keypointlabels", "value": {"x": "1", "y": 2, "keypointlabels": ["thing"]}}]},
    {"result": [{"type": "keypointlabels", "value": {"keypointlabels": ["thing"]}}]},
    {"result": [{**stroke(), "original_width": -1}]},
    {"result": [{**stroke(), "original_width": 10**9}]},
    {"result": [{**stroke(), "to_name": 5}]},
    {"id": "5"},
    {"id": None},
    {"id": True},
    {"updated_at": "yesterday"},
    {"updated_at": 7},
]


def test_half_of_a_pair_is_no_label():
    with pytest.raises(FormatError):
        check_regions([stroke(label="\ud800")])


@pytest.mark.parametrize("changed", MALFORMED)
def test_a_malformed_webhook_is_refused_and_not_kept(concept, photos, tmp_path, changed):
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    with asking(create_app(made, token="s3cret")) as client:
        sent = annotation(5, [stroke()], "a/001.png")
        sent["annotation"] |= changed
        answer = client.post("/webhook", json=sent)
        assert answer.status_code == 400, answer.text
        assert 10 < len(answer.json()["detail"]) < 300
        for key, value in (("task", [1]), ("task", {"data": "x"}), ("annotation", "x"), ("project", "x")):
            odd = client.post("/webhook", json={**annotation(5, [stroke()], "a/001.png"), key: value})
            assert odd.status_code == 400
        raw = json.dumps({**annotation(5, [], "a/001.png"), "x": float("nan")})
        headers = {"content-type": "application/json"}
        assert client.post("/webhook", content=raw, headers=headers).status_code == 400
    assert kept(tmp_path) == []


def test_marks_are_checked_like_webhooks(concept, photos):
    with asking(create_app(models(concept, photos), token="s3cret")) as client:
        for changed in MALFORMED[1:14]:
            content = {"tasks": [task(1, "a/001.png")], "project": "7", "label_config": CONFIG}
            content["params"] = {"context": {"result": changed["result"]}}
            assert client.post("/predict", json=content).status_code == 400, changed


def test_a_replay_learns_the_rest_of_a_log_with_bad_events(concept, photos, tmp_path, caplog):
    """Lines that an older release has let in, and regions that do not fit their image."""
    log = CorrectionLog(tmp_path)
    small = {**stroke(), "original_width": 20}
    log.append(event(2, result=[small]))
    with (tmp_path / "corrections.jsonl").open("ab") as file:
        for line in (
            b'{"project":"7","annotation":1,"task":{"id":1,"data":{}},"result":"x"}',
            b"[]",
            b"{",
            b"[" * 5000,
        ):
            file.write(line + b"\n")
        good = {"project": "7", "annotation": 5, "task": task(1, "a/001.png"), "result": [stroke()]}
        file.write(json.dumps(good).encode() + b"\n")  # as the first release wrote it
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    replayed(made)
    assert made.version("7") == taught(models(concept, photos), event(5)).version("7")
    assert len([one for one in caplog.records if one.levelname == "WARNING"]) == 5
    for said in caplog.messages:
        assert "\n" not in said
        assert said.count("teaches nothing") <= 1
        assert said.count("corrections.jsonl") <= 1


@pytest.mark.parametrize("moment", ["at the start", "later", "when it is learnt"])
def test_a_log_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch, moment):
    log = CorrectionLog(tmp_path)
    log.append(event(5))
    read = {
        "at the start": lambda: CorrectionLog(tmp_path),
        "later": lambda: Pending(log),
        "when it is learnt": lambda: log.read(0),
    }[moment]

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    said = r"corrections.jsonl cannot be read \(Permission denied\): restore it"
    with pytest.raises(StorageError, match=said):
        read()


def test_an_event_that_fails_otherwise_is_told_of_and_tried_again_and_the_rest_learnt(
    concept, photos, caplog, monkeypatch
):
    made = models(concept, photos)
    real = made._images.find

    def find(error, address):
        if address.endswith("b/002.png"):
            raise error
        return real(address)

    for error in (ZeroDivisionError(), StorageError("the disk is full"), MemoryError(), ServerError("no")):
        with monkeypatch.context() as patch:
            patch.setattr(made._images, "find", partial(find, error))
            taught(made, event(4, "b/002.png"), event(5))
        assert made.version("7") == taught(models(concept, photos), event(5)).version("7")
        assert "annotation 4 is not learnt yet" in caplog.text
    at(monkeypatch, 1e9)
    made.learn("7")
    assert made.version("7") == taught(models(concept, photos), event(4, "b/002.png"), event(5)).version("7")


# The journal


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_no_link_in_a_state_of_a_stranger_is_followed(concept, photos, tmp_path):
    state, own = tmp_path / "state", tmp_path / "own"
    own.mkdir()
    state.mkdir()
    (state / "project-7").symlink_to(own)
    made = taught(models(concept, photos, log=CorrectionLog(state)), event(5))
    assert made.version("7") == taught(models(concept, photos), event(5)).version("7")
    assert not list(own.iterdir())


def test_a_line_that_a_kill_cut_short_is_not_glued_to_the_next(tmp_path):
    CorrectionLog(tmp_path).append(event(1))
    path = tmp_path / "corrections.jsonl"
    with path.open("ab") as file:
        file.write(path.read_bytes()[:100])
    CorrectionLog(tmp_path).append(event(3))
    assert kept(tmp_path) == [1, 3]


def test_records_are_read_as_they_were_written():
    sent = annotation(5, [stroke()], "a/001.png")
    sent["annotation"]["updated_at"] = "2026-03-01T10:00:00.123456Z"
    sent["project"]["label_config"] = CONFIG
    (one,) = read_webhook(sent)
    assert one.variable == "image"
    for made in (one, gone(5), event(6, result=[])):
        assert read_record(json.loads(json.dumps(made.record()))) == made


def test_a_webhook_that_lacks_something_is_refused_in_words():
    sent = annotation(5, [stroke()], "a/001.png")
    del sent["annotation"]["id"]
    with pytest.raises(FormatError, match=r"no webhook of Label Studio: ANNOTATION_CREATED: it has no 'id'$"):
        read_webhook(sent)


SERVE = """
import json, sys, threading
from functools import partial
from pathlib import Path
from fakes import FakeEncoder
from reco_assist.concepts import Concept
from reco_assist.serving import ImageStore, ProjectModels, predicting
from reco_assist.serving.events import Event
from reco_assist.serving.pending import CorrectionLog
predicting.Segmenter = partial(predicting.Segmenter, refine="none")
folder, first, region = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
made = ProjectModels([Concept.load(folder / "thing.concept")], ImageStore((folder / "photos",)),
                     encoder=FakeEncoder(), log=CorrectionLog(folder / "state"))
more = threading.Event()
def learn():
    while True:
        while made.learn_next():
            pass
        more.wait()
        more.clear()
threading.Thread(target=learn, daemon=True).start()
names = ("a/001.png", "b/002.png", "a/003.png")
for number in range(first, 100_000):
    data = {"image": "/data/local-files/?d=" + names[number % 3]}
    regions = None if number % 7 == 6 else (region,)
    made.note(Event("7", number % 9, regions, task=str(number), data=data))
    more.set()
    print(number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_backend_loses_nothing_acknowledged(concept, photos, tmp_path, seed):
    (tmp_path / "photos").symlink_to(photos)
    concept.save(tmp_path / "thing.concept")
    told = 0
    for life in range(2):  # killed twice in one folder
        child = start(SERVE, tmp_path, told + 1, json.dumps(stroke()))
        printed = kill_at_random(child, 100 * life + seed, 60)
        told = max([told, *(int(line) for line in printed if line.endswith("\n"))])
        logged = [one for _, one in CorrectionLog(tmp_path / "state").events()]
        assert {int(one.task) for one in logged} >= set(range(1, told + 1))
    assert told
    again = models(concept, photos, log=CorrectionLog(tmp_path / "state"))
    replayed(again)
    last = {one.annotation: one for one in logged}
    assert again.version("7") == taught(models(concept, photos), *last.values()).version("7")
    saved = Concept.load(tmp_path / "state" / "project-7" / "thing.concept")
    assert saved.digest == again._known_by("7").concepts["thing"].digest


def test_what_is_said_before_the_encoder_is_loaded_counts(concept, photos, tmp_path):
    """Webhooks are answered at once: annotation 5 is skipped, 6 deleted, and 7 seen for the first time."""
    first = models(concept, photos, log=CorrectionLog(tmp_path))
    for one in (event(5), event(6, "b/002.png"), event(8)):
        first.note(one)  # and killed
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    skipped = annotation(5, [stroke()], "a/001.png", action="ANNOTATION_UPDATED")
    skipped["annotation"]["was_cancelled"] = True
    (skip,) = read_webhook(skipped)
    for one in (skip, gone(6), event(7, "a/003.png")):
        assert made.note(one)
    replayed(made)
    assert made.version("7") == taught(models(concept, photos), event(7, "a/003.png"), event(8)).version("7")
    assert kept(tmp_path) == [5, 6, 8, 5, 6, 7]


def test_an_encoder_that_cannot_be_loaded_at_first_keeps_no_correction_from_being_learnt(
    concept, photos, tmp_path, monkeypatch
):
    CorrectionLog(tmp_path).append(event(5))
    made = ProjectModels([concept], ImageStore((photos,)), log=CorrectionLog(tmp_path))

    def fails(_):
        raise EncoderError("no weights")

    monkeypatch.setattr(serving_models, "load_encoder", fails)
    made.note(event(6, "b/002.png"))
    with pytest.raises(EncoderError):
        made.learn_next()
    monkeypatch.setattr(serving_models, "load_encoder", lambda _: FakeEncoder())
    made.note(event(5, "a/003.png"))
    replayed(made)
    expected = taught(models(concept, photos), event(5, "a/003.png"), event(6, "b/002.png"))
    assert made.version("7") == expected.version("7")


def test_an_event_that_cannot_be_written_is_not_acknowledged(concept, photos, tmp_path, monkeypatch):
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    with asking(create_app(made, token="s3cret")) as client:

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        sent = client.post("/webhook", json=annotation(5, [stroke()], "a/001.png"))
        assert sent.status_code == 503
        assert "disk is full" in sent.json()["detail"]
        monkeypatch.undo()
        assert client.post("/webhook", json=annotation(6, [stroke()], "a/001.png")).status_code == 200
        within(lambda: not made.pending.waits("7"))
    assert kept(tmp_path) == [6]
    assert made.version("7") == taught(models(concept, photos), event(6)).version("7")


# Images that come and go


class Flaky(ImageStore):
    """An image store that fails while it is told to."""

    def __init__(self, folder):
        super().__init__((folder,))
        self.away, self.asked = False, 0

    def find(self, address):
        self.asked += 1
        if self.away:
            raise ImageError(f"http://labels.test does not give {address}")
        return super().find(address)


def flaky(concept, photos, **options):
    images = Flaky(photos)
    return images, ProjectModels([concept], images, encoder=FakeEncoder(), **options)


def at(monkeypatch, seconds):
    """Let the pauses of what failed go by."""
    monkeypatch.setattr(pending, "monotonic", lambda: seconds)


def test_lessons_whose_images_are_away_at_the_start_are_learnt_later(concept, photos, tmp_path, monkeypatch):
    log = CorrectionLog(tmp_path)
    names = [f"{'ab'[n % 2 == 0]}/{n:03}.png" for n in range(1, 9)]
    events = [event(n, name) for n, name in enumerate(names, 1)]
    for one in events:
        log.append(one)
    images, made = flaky(concept, photos, log=CorrectionLog(tmp_path))
    images.away = True
    replayed(made)
    assert images.asked == 3  # a server that is gone is not asked for every image
    assert made.version("7") == models(concept, photos).version("7")
    images.away = False
    made.predict("7", [task(1, "a/001.png")], CONFIG)
    assert images.asked == 4  # not before a pause
    at(monkeypatch, 1e9)
    made.predict("7", [task(1, "a/001.png")], CONFIG)
    assert made.version("7") == taught(models(concept, photos), *events).version("7")
    assert not made.pending.waits("7")


def within(condition):
    """Wait until something is so."""
    until = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_when_images_come_back_all_that_waits_is_learnt_without_a_prediction(
    concept, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(pending.Pause, "begin", lambda one: setattr(one, "until", time.monotonic() + 0.05))
    events = [event(number, ("a/001.png", "b/002.png")[number % 2]) for number in range(1, 41)]
    CorrectionLog(tmp_path).append(*events)
    images, made = flaky(concept, photos, log=CorrectionLog(tmp_path))
    images.away = True
    with asking(create_app(made, token="s3cret")):
        within(lambda: images.asked >= 3 and not made.pending.waits("7", new=True))
        images.away = False
        within(lambda: not made.pending.waits("7"))
    assert made.version("7") == replayed(models(concept, photos, log=CorrectionLog(tmp_path))).version("7")


def test_after_a_prediction_the_rest_of_what_waits_is_learnt(concept, photos, tmp_path):
    events = [event(number, ("a/001.png", "b/002.png")[number % 2]) for number in range(1, 41)]
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    with asking(create_app(made, token="s3cret")) as client:
        for one in events:
            made.note(one)  # as if nobody had told the background
        predicted(client)
        within(lambda: not made.pending.waits("7"))
    assert made.version("7") == replayed(models(concept, photos, log=CorrectionLog(tmp_path))).version("7")


def test_what_could_not_be_saved_is_saved_without_a_prediction(concept, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(pending.Pause, "begin", lambda one: setattr(one, "until", time.monotonic() + 0.05))
    CorrectionLog(tmp_path).append(event(5))
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    real, fails = project_model.write_bytes, [True] * 3

    def full(*given):
        if fails:
            fails.pop()
            raise StorageError("the disk is full")
        real(*given)

    monkeypatch.setattr(project_model, "write_bytes", full)
    with asking(create_app(made, token="s3cret")):
        within(lambda: saved(tmp_path))
    assert saved(tmp_path) == {"thing.concept": made._known_by("7").concepts["thing"].to_bytes()}


def test_an_encoder_that_cannot_be_loaded_is_tried_again_without_a_prediction(concept, photos, monkeypatch):
    monkeypatch.setattr(pending.Pause, "begin", lambda one: setattr(one, "until", time.monotonic() + 0.05))
    asked = []

    def fails_twice(_):
        asked.append(1)
        if len(asked) <= 2:
            raise EncoderError("no weights")
        return FakeEncoder()

    monkeypatch.setattr(serving_models, "load_encoder", fails_twice)
    made = ProjectModels([concept], ImageStore((photos,)))
    made.note(event(5))
    with asking(create_app(made, token="s3cret")):
        within(lambda: not made.pending.waits("7"))
    assert made.version("7") == taught(models(concept, photos), event(5)).version("7")
    assert len(asked) == 3


def test_what_comes_while_images_fail_is_tried(tmp_path):
    waiting = Pending(CorrectionLog(tmp_path))
    waiting.add(*(event(number) for number in range(1, 5)))

    def fails(one):
        waiting.add(event(10 + one.annotation))
        return False

    assert waiting.work("7", fails, most=16)
    assert len(waiting) == 3  # 11, 12 and 13; 4 waits with what has failed
    tried = []
    waiting.work("7", lambda one: not tried.append(one.annotation), most=16)
    assert tried == [11, 12, 13]


def test_a_failure_among_others_that_are_learnt_holds_nothing_up(tmp_path):
    waiting = Pending(CorrectionLog(tmp_path))
    waiting.add(*(event(number) for number in range(1, 5)))
    waiting.work("7", lambda one: one.annotation != 2, most=16)
    assert waiting.turn() == "7"
    waiting.work("7", lambda one: one.annotation != 2, most=16)
    assert waiting.turn() is None
    assert waiting.due() > 0


def test_an_update_whose_image_fails_keeps_what_was_learnt(concept, photos, tmp_path, monkeypatch):
    images, made = flaky(concept, photos, log=CorrectionLog(tmp_path))
    taught(made, event(5))
    before = made.version("7")
    images.away = True
    later = event(5, result=[stroke(x=1)])
    taught(made, later)
    assert made.version("7") == before
    images.away = False
    at(monkeypatch, 1e9)
    made.learn("7")
    assert made.version("7") == taught(models(concept, photos), later).version("7")


def test_one_lost_image_keeps_no_other_from_being_learnt(concept, photos, monkeypatch):
    made = models(concept, photos)
    lost = [event(n, f"gone{n}.png") for n in range(1, 8)]
    taught(made, *lost, event(9))
    for hour in range(1, 9):
        at(monkeypatch, 1e6 * hour)
        made.learn("7")
    assert made.version("7") == taught(models(concept, photos), event(9)).version("7")
    taught(made, event(10, "b/002.png"))
    assert made.version("7") == taught(models(concept, photos), event(9), event(10, "b/002.png")).version("7")


@pytest.mark.parametrize("error", [MemoryError(), EncoderError("the encoder is gone")])
def test_a_concept_that_cannot_be_made_now_is_made_later(concept, photos, tmp_path, monkeypatch, error):
    made = models(concept, photos, log=CorrectionLog(tmp_path))

    def fails(*_, **__):
        raise error

    both = [stroke(), stroke(x=1, label="other")]
    with monkeypatch.context() as patch:
        patch.setattr(project_model, "correct", fails)
        taught(made, event(5, result=both))
        assert set(made._known_by("7").taught) == {"other"}  # the others are made
    at(monkeypatch, 1e9)
    made.learn("7")  # nothing waits any more
    assert made.version("7") == taught(models(concept, photos), event(5, result=both)).version("7")


def test_what_could_not_be_saved_is_saved_later(concept, photos, tmp_path, monkeypatch, caplog):
    made = models(concept, photos, log=CorrectionLog(tmp_path))

    def full(*_):
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(project_model, "write_bytes", full)
        for one in (event(5), event(6, "b/002.png")):
            taught(made, one)  # predictions know it all the same
    assert made.version("7") == taught(models(concept, photos), event(5), event(6, "b/002.png")).version("7")
    assert saved(tmp_path) == {}
    assert "the disk is full" in caplog.text
    made.learn("7")
    assert saved(tmp_path) == {}  # not before a pause
    at(monkeypatch, 1e9)
    made.learn("7")
    assert saved(tmp_path) == {"thing.concept": made._known_by("7").concepts["thing"].to_bytes()}


def test_projects_take_turns_and_each_is_published_once(concept, photos, tmp_path, monkeypatch):
    """A long log of one project keeps neither another project nor a prediction from its turn."""
    log = CorrectionLog(tmp_path)
    log.append(*(event(number) for number in range(1, 41)), event(1, project="8"))
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    published = []
    real = project_model.ProjectModel.publish
    monkeypatch.setattr(
        project_model.ProjectModel, "publish", lambda one: published.append(one.folder.name) or real(one)
    )
    turns = [made.learn_next() for _ in range(4)]
    assert turns == [True, True, True, False]  # 16 of 7, all of 8, 16 and 8 of 7
    assert published == ["project-8", "project-7"]


def test_a_long_log_is_learnt_in_the_background(concept, photos, tmp_path):
    events = [event(number, ("a/001.png", "b/002.png")[number % 2]) for number in range(1, 21)]
    CorrectionLog(tmp_path).append(*events)
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    with asking(create_app(made, token="s3cret")):
        until = time.monotonic() + 100
        while made.pending.waits("7"):
            assert time.monotonic() < until
            time.sleep(0.01)
    assert made.version("7") == replayed(models(concept, photos, log=CorrectionLog(tmp_path))).version("7")
    assert set(made._known_by("7").taught) == {"thing"}


def test_a_prediction_knows_what_was_learnt_before_although_more_waits(concept, photos, tmp_path):
    log = CorrectionLog(tmp_path)
    events = [event(number, ("a/001.png", "b/002.png")[number % 2]) for number in range(1, 41)]
    log.append(*events)
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    made.learn_next()
    made.predict("7", [task(1, "a/003.png")], CONFIG)
    assert made.pending.waits("7", new=True)
    assert set(made._known_by("7").taught) == {"thing"}


# What the files say


def saved(folder):
    return {path.name: path.read_bytes() for path in (folder / "project-7").glob("*")}


def test_saved_concepts_are_what_the_remaining_annotations_teach(concept, photos, tmp_path):
    made = models(concept, photos, log=CorrectionLog(tmp_path / "one"))
    other = stroke(label="other")
    taught(made, event(5), event(6, "b/002.png", [stroke(), other]), event(7, "a/003.png", [other]))
    assert set(saved(tmp_path / "one")) == {"thing.concept", "other.concept"}
    taught(made, gone(6))
    alone = models(concept, photos, log=CorrectionLog(tmp_path / "two"))
    taught(alone, event(5), event(7, "a/003.png", [other]))
    assert saved(tmp_path / "one") == saved(tmp_path / "two")
    taught(made, gone(7))
    assert "other.concept" not in saved(tmp_path / "one")
    taught(made, gone(5))
    assert saved(tmp_path / "one") == {}
    assert made.version("7") == models(concept, photos).version("7")


def test_a_file_whose_annotation_was_deleted_before_a_kill_goes_at_the_start(concept, photos, tmp_path):
    log = CorrectionLog(tmp_path)
    made = models(concept, photos, log=log)
    taught(made, event(5), event(6, "b/002.png", [stroke(label="other")]))
    (tmp_path / "project-7" / "mine.concept").write_bytes(b"of the user")
    made.note(gone(6))  # and killed
    replayed(models(concept, photos, log=CorrectionLog(tmp_path)))
    assert set(saved(tmp_path)) == {"thing.concept", "mine.concept"}


def test_a_lost_image_keeps_no_file_of_an_annotation_that_was_deleted(concept, photos, tmp_path):
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    lost = event(7, "gone.png", [stroke(label="third")])
    taught(made, event(5), event(6, "b/002.png", [stroke(label="other")]), lost)
    assert set(saved(tmp_path)) == {"thing.concept", "other.concept"}
    taught(made, gone(6))
    assert set(saved(tmp_path)) == {"thing.concept"}
    taught(made, gone(5))
    assert set(saved(tmp_path)) == set()


def test_a_concept_whose_images_are_away_at_the_start_keeps_its_file(concept, photos, tmp_path):
    other = event(6, "b/002.png", [stroke(label="other")])
    taught(models(concept, photos, log=CorrectionLog(tmp_path)), event(5, result=[]), other)
    before = saved(tmp_path)
    images, made = flaky(concept, photos, log=CorrectionLog(tmp_path))
    images.away = True
    made.note(gone(5))
    replayed(made)
    assert set(before) == {"thing.concept", "other.concept"}
    assert saved(tmp_path) == before


def test_a_skipped_annotation_teaches_nothing_any_more(concept, photos):
    made = taught(models(concept, photos), event(5))
    sent = annotation(5, [stroke()], "a/001.png", action="ANNOTATION_UPDATED")
    sent["annotation"]["was_cancelled"] = True
    taught(made, *read_webhook(sent))
    assert made.version("7") == models(concept, photos).version("7")


def test_labels_that_files_do_not_tell_apart_have_two_files(concept, photos, tmp_path):
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    taught(made, event(5, result=[stroke(label="a b"), stroke(x=2, label="a-b"), stroke(x=1, label="A B")]))
    names = {Concept.load(path).name for path in (tmp_path / "project-7").glob("*.concept")}
    assert names == {"a b", "a-b", "A B"}
    taught(made, event(5, result=[stroke(label="A B")]))
    names = {Concept.load(path).name for path in (tmp_path / "project-7").glob("*.concept")}
    assert names == {"A B"}


def test_only_touched_concepts_are_learnt_and_a_replay_learns_once(concept, photos, tmp_path, monkeypatch):
    learnt = []
    for name in ("correct", "begin"):
        real = getattr(project_model, name)

        def counted(first, *rest, real=real, **options):
            learnt.append(getattr(first, "name", first))
            return real(first, *rest, **options)

        monkeypatch.setattr(project_model, name, counted)
    log = CorrectionLog(tmp_path)
    made = models(concept, photos, log=log)
    taught(made, event(5, result=[stroke(label="x")]))
    learnt.clear()
    taught(made, event(6, "b/002.png", [stroke(label="y"), stroke()]))
    assert sorted(learnt) == ["thing", "y"]
    for number in range(7, 12):
        taught(made, event(number))
    learnt.clear()
    again = models(concept, photos, log=CorrectionLog(tmp_path))
    replayed(again)
    assert sorted(learnt) == ["thing", "x", "y"]
    assert again.version("7") == made.version("7")


# What is newer


def dated(number, day, x=6):
    sent = annotation(number, [stroke(x=x)], "a/001.png", action="ANNOTATION_UPDATED")
    sent["annotation"]["updated_at"] = f"2026-03-{day:02}T10:00:00Z"
    return sent


def test_webhooks_that_overtook_each_other_leave_the_newest(concept, photos, tmp_path):
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    with asking(create_app(made, token="s3cret")) as client:
        for day, x in ((2, 1), (9, 8), (3, 2), (8, 7)):
            assert client.post("/webhook", json=dated(5, day, x)).status_code == 200
        expected = predicted(client)[0]["model_version"]
    fresh = taught(models(concept, photos), *read_webhook(dated(5, 9, 8)))
    assert expected == fresh.version("7")
    again = models(concept, photos, log=CorrectionLog(tmp_path))
    replayed(again)
    assert again.version("7") == expected


def test_a_skip_that_overtook_its_annotation_counts(concept, photos, tmp_path):
    skip = dated(5, 2)
    skip["annotation"]["was_cancelled"] = True
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    taught(made, *read_webhook(skip), *read_webhook(dated(5, 1)))
    again = replayed(models(concept, photos, log=CorrectionLog(tmp_path)))
    assert made.version("7") == again.version("7") == models(concept, photos).version("7")


def test_what_was_deleted_stays_deleted(concept, photos, tmp_path):
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    taught(made, *read_webhook(dated(5, 2)), gone(5), *read_webhook(dated(5, 3)))
    taught(made, gone(6), event(6))
    assert made.version("7") == models(concept, photos).version("7")
    again = models(concept, photos, log=CorrectionLog(tmp_path))
    replayed(again)
    assert again.version("7") == models(concept, photos).version("7")


# Which image

TWO = (
    '<View><Image name="ref" value="$reference"/><Image name="img" value="$photo"/>'
    '<BrushLabels name="label" toName="img"><Label value="thing"/></BrushLabels></View>'
)


def of_two(number=5, **project):
    """An annotation of a task whose data name two images, the other one first."""
    sent = annotation(number, [stroke()], "x")
    sent["task"]["data"] = {
        "reference": "/data/local-files/?d=b/002.png",
        "photo": "/data/local-files/?d=a/001.png",
    }
    sent["project"] |= project
    return sent


@pytest.mark.parametrize("source", ["webhook", "setup", "predict", "server"])
def test_the_image_is_what_the_labelling_configuration_names(concept, photos, source):
    asked = []

    class Server:
        def once(self, method, path, form):
            asked.append((method, path))
            return {"label_config": TWO}

    images = ImageStore((photos,), Server() if source == "server" else None)
    made = ProjectModels([concept], images, encoder=FakeEncoder())
    with asking(create_app(made, token="s3cret")) as client:
        if source == "setup":
            client.post("/setup", json={"project": "7", "schema": TWO})
        if source == "predict":
            tasks = [{"id": 1, "data": of_two()["task"]["data"]}]
            client.post("/predict", json={"tasks": tasks, "project": "7", "label_config": TWO})
        sent = of_two(label_config=TWO) if source == "webhook" else of_two()
        assert client.post("/webhook", json=sent).json() == {"queued": 1}
        answer = client.post(
            "/predict",
            json={"tasks": [task(1, "a/001.png", photo="x")], "project": "8", "label_config": CONFIG},
        )
        assert answer.status_code == 200  # the correction was learnt before
    assert made.version("7") == taught(models(concept, photos), event(5)).version("7")
    assert asked == ([("GET", "/api/projects/7/")] if source == "server" else [])


def test_where_nobody_says_which_of_two_is_the_image_it_is_learnt_once_somebody_does(
    concept, photos, caplog, monkeypatch
):
    made = taught(models(concept, photos), *read_webhook(of_two()))
    assert made.version("7") == models(concept, photos).version("7")
    assert "which of 2 addresses" in caplog.text
    at(monkeypatch, 1e9)
    tasks = [{"id": 1, "data": of_two()["task"]["data"]}]
    made.predict("7", tasks, TWO)
    assert made.version("7") == taught(models(concept, photos), event(5)).version("7")


def test_a_task_without_the_named_image_teaches_nothing(concept, photos, caplog):
    sent = of_two(label_config=TWO)
    del sent["task"]["data"]["photo"]
    made = taught(models(concept, photos), *read_webhook(sent))
    assert made.version("7") == models(concept, photos).version("7")
    assert "no image under $photo" in caplog.text


# Load


def test_corrections_that_wait_take_no_memory(tmp_path):
    """An annotation may have megabytes of regions, and ten thousand may wait."""
    waiting = Pending(CorrectionLog(tmp_path))
    tracemalloc.start()
    for number in range(50):
        region = {"type": "brushlabels", "value": {"rle": [256 + number + one for one in range(20_000)]}}
        waiting.add(event(number, result=[region]))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(waiting) == 50
    assert held < 2_000_000  # as lists they are some 30 MB


def test_digests_of_given_concepts_are_computed_once(concept, photos, monkeypatch):
    asked = []
    real = Concept.digest.fget
    monkeypatch.setattr(Concept, "digest", property(lambda one: asked.append(one.name) or real(one)))
    made = models(concept, photos)
    for number in range(1, 5):
        taught(made, event(number, result=[stroke(label="other")], project=str(number % 2)))
    assert asked == ["thing"]


def test_a_webhook_of_many_deletions_is_one_write_and_all_or_nothing(concept, photos, tmp_path, monkeypatch):
    made = models(concept, photos, log=CorrectionLog(tmp_path))
    synced = []
    real = os.fsync

    def sync(descriptor):
        synced.append(descriptor)
        if len(synced) in fails:
            raise OSError(28, "No space left on device")
        real(descriptor)

    sent = {"action": "ANNOTATIONS_DELETED", "project": 7, "annotations": [{"id": n} for n in range(50)]}
    monkeypatch.setattr(os, "fsync", sync)
    with asking(create_app(made, token="s3cret")) as client:
        fails = {1, 2}
        assert client.post("/webhook", json=sent).status_code == 503
        assert kept(tmp_path) == []
        fails = set()
        synced.clear()
        assert client.post("/webhook", json=sent).status_code == 200
        assert len(synced) == 1
    assert kept(tmp_path) == list(range(50))


def test_requests_are_checked_and_answers_written_beside_the_event_loop(concept, photos, monkeypatch):
    where = []
    for name in ("check_regions", "read_webhook", "JSONResponse"):
        real = getattr(serving_app, name)

        def seen(*arguments, name=name, real=real):
            try:
                asyncio.get_running_loop()
                where.append(name)
            except RuntimeError:
                where.append(f"{name} aside")
            return real(*arguments)

        monkeypatch.setattr(serving_app, name, seen)
    with asking(create_app(models(concept, photos), token="s3cret")) as client:
        predicted(client)
        assert where == ["check_regions aside", "JSONResponse aside"]
        client.post("/webhook", json=annotation(5, [stroke()], "a/001.png"))
        assert where[2] == "read_webhook aside"


def test_more_corrections_than_may_wait_are_refused_and_not_kept(tmp_path):
    log = CorrectionLog(tmp_path)
    waiting = Pending(log, most=3)
    for number in range(1, 4):
        assert waiting.add(event(number))
    with pytest.raises(BusyError, match="3 corrections wait"):
        waiting.add(event(4))
    assert waiting.add(event(2))  # an update of one that waits takes no room
    assert kept(tmp_path) == [1, 2, 3, 2]
    waiting.work("7", lambda _: True, most=16)
    assert waiting.add(event(4))


def test_what_has_failed_and_what_comes_together_count_among_what_waits(tmp_path):
    waiting = Pending(CorrectionLog(tmp_path), most=3)
    with pytest.raises(BusyError):
        waiting.add(*(event(number) for number in range(1, 5)))
    assert kept(tmp_path) == []
    waiting.add(*(event(number) for number in range(1, 4)))
    waiting.work("7", lambda _: False, most=16)
    with pytest.raises(BusyError):
        waiting.add(event(4))
    assert waiting.add(event(2))


def test_a_webhook_of_more_annotations_than_may_wait_is_refused(monkeypatch):
    monkeypatch.setattr(serving_events, "MOST", 3)
    sent = {"action": "ANNOTATIONS_DELETED", "project": 7, "annotations": [{"id": n} for n in range(3)]}
    assert len(read_webhook(sent)) == 3
    sent["annotations"].append({"id": 3})
    with pytest.raises(FormatError, match="more than 3 annotations"):
        read_webhook(sent)


def test_a_full_queue_is_503_with_a_time_to_come_back(concept, photos, monkeypatch):
    made = models(concept, photos)
    monkeypatch.setattr(made.pending, "_most", 0)
    with asking(create_app(made, token="s3cret")) as client:
        answer = client.post("/webhook", json=annotation(5, [stroke()], "a/001.png"))
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


def test_setup_versions_and_health_answer_while_concepts_are_learnt(concept, photos, monkeypatch):
    begun, done = threading.Event(), threading.Event()
    real = project_model.correct

    def slowly(*arguments, **options):
        begun.set()
        assert done.wait(60)
        return real(*arguments, **options)

    monkeypatch.setattr(project_model, "correct", slowly)
    made = models(concept, photos)
    before = made.version("7")
    with asking(create_app(made, token="s3cret")) as client:
        try:
            client.post("/webhook", json=annotation(5, [stroke()], "a/001.png"))
            assert begun.wait(60)
            assert client.get("/health").status_code == 200
            assert client.post("/setup", json={"project": "7"}).json() == {"model_version": before}
            assert client.get("/versions?project=7").json() == {"versions": [before]}
            sent = client.post("/webhook", json=annotation(6, [stroke()], "b/002.png"))
            assert sent.status_code == 200  # kept meanwhile
        finally:
            done.set()
        predicted(client)
    assert made.version("7") != before


# Places


@pytest.mark.parametrize("address", ["http://[", "http://[x]/a.png", "//[" + "x" * 1000])
def test_what_is_no_address_is_one_sentence(photos, address):
    with pytest.raises(ImageError, match="is no address that can be read; mend it") as caught:
        ImageStore((photos,)).find(address)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", [r"\\host\share\x.png", r"//host/share", r"C:\x.png", r"\x.png", "C:x.png"])
def test_names_of_other_machines_are_not_asked_for(photos, monkeypatch, name):
    looked = []
    real = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path, **more: looked.append(path) or real(path, **more))
    with pytest.raises(ImageError):
        ImageStore((photos,)).find(f"/data/local-files/?d={name}")
    assert not any("\\" in str(path) or ":" in str(path) for path in looked)
    assert all(Path(path).is_relative_to(photos) for path in looked[1:])


def test_an_image_that_a_full_disk_cut_short_is_not_kept(photos, monkeypatch):
    class Server:
        url = "http://labels.test"

        def fetch(self, _):
            return (photos / "a" / "001.png").read_bytes()

    store = ImageStore((), Server())
    real = os.fsync

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError):
        store.find("/data/x.png")
    monkeypatch.setattr(os, "fsync", real)
    assert store.find("/data/x.png").read_bytes() == (photos / "a" / "001.png").read_bytes()
    store.close()


def test_two_backends_do_not_share_a_state(concept, photos, tmp_path):
    concept.save(tmp_path / "thing.concept")
    options = ["--concept", str(tmp_path / "thing.concept"), "--files", str(photos)]
    (tmp_path / "state").mkdir()
    with only_writer(tmp_path / "state"):
        done = CliRunner().invoke(command, ["serve", *options, "--state", str(tmp_path / "state")])
    assert done.exit_code != 0
    assert "another backend" in str(done.exception)


def test_a_backend_that_stops_closes_its_connection(concept, photos, tmp_path, monkeypatch):
    concept.save(tmp_path / "thing.concept")
    closed = []
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "5ecre7")
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)
    monkeypatch.setattr(Server, "close", lambda one: closed.append(one.url))
    options = ["--concept", str(tmp_path / "thing.concept"), "--server", "http://127.0.0.1:9"]
    done = CliRunner().invoke(command, ["serve", *options, "--state", str(tmp_path / "state")])
    assert done.exit_code == 0, done.exception
    assert closed == ["http://127.0.0.1:9"]


def test_the_token_is_asked_for(concept, photos):
    with asking(create_app(models(concept, photos), token="s3cret"), headers={}) as client:
        sent = client.post("/webhook", json=annotation(5, [stroke()], "a/001.png"))
        assert sent.status_code == 401
        assert client.get("/versions", headers=SHOWN).status_code == 200
