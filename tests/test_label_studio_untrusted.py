"""A server that means harm, or tasks that somebody else wrote: no token given away, no file read outside."""

import copy
import json
import logging
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from predictions import CONCEPTS, predictions
from site_of_harm import PERSONAL, SECRETS, TOKEN, chatty
from test_hostile_input import BOUNDED, damaged, survives
from test_session import Job
from typer.testing import CliRunner

from reco_assist.annotations import ImageRef
from reco_assist.cli.app import app
from reco_assist.errors import FormatError, InputError, ServerError
from reco_assist.formats import label_config, write_coco
from reco_assist.images import content_hash
from reco_assist.label_studio import Prefix, Server, Upload, server
from reco_assist.label_studio.comparison import find_image
from reco_assist.label_studio.config import Config
from reco_assist.label_studio.project import Project
from reco_assist.label_studio.pulled import Pulled
from reco_assist.label_studio.tasks import LSTask, read_task
from reco_assist.masks import brush
from reco_assist.session.labelling import pull, push


@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
def test_redirects_to_another_host_are_not_followed(sites, token):
    ours, other = sites
    ours.answers["/api/token/refresh/"] = (200, {}, b'{"access": "access-5ecre7"}')
    for path in ("/api/projects/", "/data/upload/a.png"):
        ours.answers[path] = (302, {"location": f"{other.url}/steal"}, b"")
    with Server(ours.url, token, attempts=1) as opened:
        with pytest.raises(ServerError, match=r"sends us to .*steal; give the address") as caught:
            opened.get("/api/projects/")
        assert opened.fetch("/data/upload/a.png") is None
        assert opened.fetch(f"{ours.url}/data/upload/a.png") is None
    assert other.seen == []
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_the_token_goes_to_its_own_server_only(sites):
    ours, other = sites
    for path in ("/a.png", "/b.png"):
        other.answers[path] = (200, {}, b"pixels")
    ours.answers["/data/a.png"] = (200, {}, b"ours")
    with Server(ours.url, TOKEN, attempts=1) as opened:
        assert opened.fetch("/data/a.png") == b"ours"
        assert opened.fetch(f"{other.url}/a.png") == b"pixels"
        host = other.url.removeprefix("http:")
        assert opened.fetch(f"{host}/b.png") is None  # begins like a path of our server
        assert opened.fetch(f"{ours.url}.example.invalid/x") is None
        assert opened.fetch("file:///etc/passwd") is None
        assert opened.fetch("http://[") is None
    assert {authorization for _, authorization in other.seen} == {None}
    assert ours.seen[0] == ("/data/a.png", f"Token {TOKEN}")


def test_answers_larger_than_any_image_are_left(sites, monkeypatch):
    ours, other = sites
    monkeypatch.setattr(server, "IMAGE_LIMIT", 1000)
    for site in sites:
        site.answers["/a.png"] = (200, {}, bytes(1001))
        site.answers["/b.png"] = (200, {}, bytes(1000))
    with Server(ours.url, TOKEN) as opened:
        assert [opened.fetch(path) for path in ("/a.png", f"{other.url}/a.png")] == [None, None]
        assert len(opened.fetch("/b.png")) == len(opened.fetch(f"{other.url}/b.png")) == 1000


@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 418, 429, 500])
def test_no_answer_brings_a_token_into_an_error_or_a_log(sites, token, status, caplog):
    """Some servers and proxies echo what they were sent."""
    caplog.set_level(logging.DEBUG)
    ours, _ = sites
    sent = [token] if token == TOKEN else [token, "access-5ecre7"]
    echo = json.dumps({"detail": f"you sent {sent}"}).encode()
    ours.answers["/api/token/refresh/"] = (200, {}, b'{"access": "access-5ecre7"}')
    ours.answers["/api/tasks/"] = (status, {}, echo)
    with Server(ours.url, token, attempts=1) as opened:
        with pytest.raises(ServerError) as caught:
            list(opened.tasks(1, include=["data"]))
        said = f"{caught.value} {caught.value!r} {opened!r} {caplog.text}"
    assert str(caught.value).endswith(".")
    assert not any(secret in said for secret in sent)


@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
@pytest.mark.parametrize("before", [0, 180, 380, 395])
def test_no_token_is_in_a_redirect_or_in_a_reason_that_is_cut(sites, token, before):
    ours, _ = sites
    ours.answers["/api/token/refresh/"] = (200, {}, b'{"access": "access-5ecre7"}')
    for status in (302, 400):
        for body in (("x" * before + token).encode(), json.dumps({"detail": "x" * before + token}).encode()):
            ours.answers["/api/projects/"] = (status, {"location": f"/?token={token}"}, body)
            with (
                Server(ours.url, token, attempts=1) as opened,
                pytest.raises(ServerError, match=r"sends us to|refuses") as caught,
            ):
                opened.get("/api/projects/")
            assert token[:6] not in str(caught.value)


@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
def test_a_session_that_pushes_and_pulls_writes_no_token(sites, token, tmp_path, caplog, capfd):
    for name in ("reco_assist", "httpx"):  # httpcore, asked to, logs all headers that it gets
        caplog.set_level(logging.DEBUG, logger=name)
    job, ours = Job(tmp_path), sites[0]
    digest = job.add("a.png")
    config = label_config(["mug", "spoon"])
    ours.answers = chatty(token, config, [])
    pushed = push(job.session, ours.url, "7", token=token, images=Prefix("https://images.example/"))
    assert pushed.created == 1
    task = copy.deepcopy(TASK)
    task["data"]["key"] = digest
    ours.answers = chatty(token, config, [task])
    pulled = pull(job.session, ours.url, "7", token=token)
    assert len(pulled.answered) == 1
    assert set(job.session.undo().keys) == {f"review/{digest}/{name}" for name in ("mug", "spoon")}  # one act
    ours.answers["/api/projects/7/"] = (400, {}, json.dumps({"detail": token}).encode())
    with pytest.raises(ServerError, match="refuses") as caught:
        push(job.session, ours.url, "7", token=token)
    job.session.close()
    assert any(token in (authorization or "") for _, authorization in ours.seen) or token == PERSONAL
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"audit.jsonl", "pulled.json", "coco.json", "comparison.png"} <= {path.name for path in written}
    assert [path for path, data in written.items() if any(one.encode() in data for one in SECRETS)] == []
    said = f"{pushed!r} {pushed} {pulled!r} {caught.value!r} {caplog.text} {capfd.readouterr()}"
    assert not any(secret in said for secret in SECRETS)


@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
def test_the_command_line_that_pushes_and_pulls_shows_no_token(sites, token, tmp_path, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    out = tmp_path / "out"
    out.mkdir()
    made = predictions(2)
    write_coco(out / "coco.json", lambda: made, CONCEPTS, info={"description": "a run"})
    config = label_config(CONCEPTS)
    ours = sites[0]
    where = ["--url", ours.url, "--project", "7", "-vv"]
    push = ["push", str(out), "--image-url", "https://images.example/", *where]
    said = ""
    for command, tasks, status in (
        (push, [], 200),
        (["pull", str(out), *where], [TASK], 200),
        (push, [], 400),
    ):
        ours.answers = chatty(token, config, tasks)
        if status == 400:
            ours.answers["/api/projects/7/import"] = (400, {}, json.dumps({"detail": token}).encode())
        done = CliRunner().invoke(app, command)
        assert done.exit_code == (status == 400), done.output
        said += f"{done.output} {done.exception!r}"
    assert "2 tasks created" in said
    assert "refuses" in said
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"coco.json", "pulled.json", "comparison.json"} <= {path.name for path in written}
    assert [path for path, data in written.items() if any(one.encode() in data for one in SECRETS)] == []
    assert not any(secret in said for secret in SECRETS)


@pytest.mark.parametrize("body", [b"[]", b"7", b"<html>", b'{"access": null', b"\xff\xfe"])
def test_what_answers_a_refresh_with_something_else_is_no_label_studio(sites, body):
    sites[0].answers["/api/token/refresh/"] = (200, {}, body)
    with (
        Server(sites[0].url, PERSONAL, attempts=1) as opened,
        pytest.raises(ServerError, match="no Label Studio"),
    ):
        opened.get("/api/projects/")


SQUARE = np.ones((30, 40), bool)
TASK = {
    "id": 7,
    "updated_at": "2025-01-01T00:00:00Z",
    "data": {"image": "/data/a.png", "key": "k", "file_name": "a.png", "width": 40, "height": 30},
    "annotations": [
        {
            "id": 1,
            "completed_by": {"id": 3},
            "parent_prediction": 2,
            "was_cancelled": False,
            "lead_time": 1.5,
            "updated_at": "2025-01-01T00:00:00Z",
            "result": [
                {
                    "id": "r",
                    "type": kind,
                    "original_width": 40,
                    "original_height": 30,
                    "value": {kind: ["mug"], **value},
                }
                for kind, value in {
                    "brushlabels": {"format": "rle", "rle": list(brush.encode(SQUARE))},
                    "polygonlabels": {"points": [[1, 2], [50, 4], [20, 25]]},
                    "rectanglelabels": {"x": 1, "y": 2, "width": 30, "height": 40, "rotation": 9},
                    "ellipselabels": {"x": 20, "y": 20, "radiusX": 9, "radiusY": 5},
                }.items()
            ],
        }
    ],
    "predictions": [{"id": 2, "model_version": "one", "result": []}],
}
PROJECT = Project(1, "p", Config.parse(label_config(["mug"], shape="brush")), False)


@BOUNDED
@given(damaged(TASK), st.sampled_from(["latest", "majority"]))
def test_tasks_of_others(tmp_path, task, policy):
    def read():
        found = read_task(task, PROJECT, Counter())
        if found is not None:
            pulled = Pulled(tmp_path, "p", ("mug",), (found,), tmp_path, policy)
            pulled.corrected(found)
            find_image(pulled, found)

    survives(read)


def test_a_healthy_task_is_read():
    found = read_task(copy.deepcopy(TASK), PROJECT, Counter())
    assert [len(one.regions) for one in found.annotations] == [1]  # parts of one id are one mask
    assert found.annotations[0].regions[0].concepts == ("mug",)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "a\0b", ""])
def test_names_of_tasks_and_of_data_sets_do_not_leave_the_images_folder(tmp_path, name):
    (tmp_path / "photos").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    image = ImageRef(name, content_hash(b"secret"), 40, 30)
    one = LSTask(1, "", image, "")
    assert find_image(Pulled(tmp_path, "p", (), (one,), tmp_path / "photos", "latest"), one) is None
    source = Upload(tmp_path / "photos")
    for send in (lambda: source.prepare(None, 1, [image]), lambda: source.addresses(None, 1, [image])):
        with pytest.raises((InputError, AttributeError), match=r"leads out of|no attribute") as caught:
            send()
        assert isinstance(caught.value, InputError) or caught.value.obj is None  # asked the server first


HOSTILE = [
    '"/><Style>*{display:none}</Style><Label value="x',
    "<script>alert(1)</script>",
    "<!-- a --> <![CDATA[ b ]]> &amp; &#60; &undefined;",
    "' onerror='alert(1)'",
    "$image {{ 7*7 }} %s",
    "\u202emug\u2066",
    "a" * 2000,
]


@pytest.mark.parametrize("shape", ["brush", "polygon"])
def test_hostile_names_in_the_labelling_configuration_stay_names(shape):
    """Read back by a parser that is not ours, with the same tags as harmless names give."""
    root = etree.fromstring(label_config(HOSTILE, shape=shape).encode())
    plain = etree.fromstring(label_config([str(n) for n in range(len(HOSTILE))], shape=shape).encode())
    assert [one.get("value") for one in root.iter("Label")] == HOSTILE
    assert [one.tag for one in root.iter()] == [one.tag for one in plain.iter()]
    assert [sorted(one.keys()) for one in root.iter()] == [sorted(one.keys()) for one in plain.iter()]
    assert Config.parse(label_config(HOSTILE, shape=shape)).concepts == tuple(HOSTILE)


def test_a_configuration_full_of_entities_is_refused():
    bomb = '<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    for odd in ("<View>\ud800</View>", "<View>\0</View>"):
        with pytest.raises(FormatError, match="no XML"):
            Config.parse(odd)
    with pytest.raises(FormatError, match="no XML"):
        Config.parse(bomb + "]><View>&j;</View>")
    with pytest.raises(FormatError, match="no XML"):
        Config.parse(
            '<!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/hostname">]><View><Label value="&x;"/></View>'
        )
    with pytest.raises(ET.ParseError):
        ET.fromstring("<a>&x;</a>")
