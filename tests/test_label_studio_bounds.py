"""Whatever answers in place of Label Studio: it ends, in bounded memory, as a value or a sentence."""

import asyncio
import gzip
import itertools
import json
import logging
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from predictions import CONCEPTS, predictions
from site_of_harm import PERSONAL, SECRETS, TOKEN, chatty, reply

from reco_assist.annotations import ImageRef
from reco_assist.errors import FormatError, InputError, ServerError, UnreachableError
from reco_assist.formats import label_config
from reco_assist.images import content_hash
from reco_assist.label_studio import LocalFiles, Prefix, Server, Upload, pull, push, read_pulled, server
from reco_assist.serving.connecting import connect


def test_a_list_of_tasks_without_end_ends(sites, monkeypatch):
    ours = sites[0]
    ours.answers["/api/tasks/"] = (200, {}, b'{"tasks": [], "total": 1000000000}')
    with Server(ours.url, TOKEN, attempts=1) as opened:
        assert list(opened.tasks(1, include=["data"])) == []
        ours.answers["/api/tasks/"] = (200, {}, b'{"tasks": [{"id": 7, "data": {}}], "total": 1000000000}')
        with pytest.raises(ServerError, match="has no end"):
            list(itertools.islice(opened.tasks(1, include=["data"]), 1000))
        monkeypatch.setattr(server, "_TASKS", 10_000)
        numbers = itertools.count()

        def page(handler):
            reply(handler, {"tasks": [{"id": next(numbers), "data": {}}], "total": 10**12})

        ours.answers["/api/tasks/"] = page
        with pytest.raises(ServerError, match="more than 10,000 of them"):
            list(itertools.islice(opened.tasks(1, include=["data"]), 20_000))


def test_pages_that_are_too_large_are_made_smaller(sites, monkeypatch):
    ours, made = sites[0], [{"id": number, "data": {"text": "x" * 100}} for number in range(300)]

    def page(handler):
        query = {key: values[0] for key, values in parse_qs(urlsplit(handler.path).query).items()}
        start, size = (int(query["page"]) - 1) * int(query["page_size"]), int(query["page_size"])
        reply(handler, {"tasks": made[start : start + size], "total": len(made)})

    ours.answers["/api/tasks/"] = page
    monkeypatch.setattr(server, "ANSWER_LIMIT", 2000)
    with Server(ours.url, TOKEN, attempts=1) as opened:
        assert list(opened.tasks(1, include=["data"])) == made
        made[250]["data"]["text"] *= 30
        with pytest.raises(ServerError, match="gives an answer of more than 0 MiB to GET /api/tasks/"):
            list(opened.tasks(1, include=["data"]))


def test_no_answer_grows_the_memory_beyond_its_bound(sites, monkeypatch):
    ours = sites[0]
    monkeypatch.setattr(server, "ANSWER_LIMIT", 1 << 20, raising=False)
    monkeypatch.setattr(server, "IMAGE_LIMIT", 1 << 20, raising=False)
    bomb = (200, {"content-encoding": "gzip"}, gzip.compress(bytes(300 << 20)))
    ours.answers = {"/api/projects/": bomb, "/a.png": bomb, "/small.png": (200, {}, b"pixels")}
    with Server(ours.url, TOKEN, attempts=1) as opened:
        assert opened.fetch("/small.png") == b"pixels"  # what is made once is there
        tracemalloc.start()
        with pytest.raises(ServerError, match="more than 1 MiB"):
            opened.get("/api/projects/")
        assert opened.fetch("/a.png") is None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-encoding": "br"}, b"{}"),
        ({"content-encoding": "gzip, gzip"}, gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0)),
        ({"content-encoding": "gzip"}, b"{}"),
        ({"content-encoding": "gzip"}, gzip.compress(b"{}", mtime=0)[:-4]),
    ],
)
def test_answers_that_are_packed_otherwise_than_asked_for(sites, headers, body):
    sites[0].answers["/api/projects/"] = (200, headers, body)
    with (
        Server(sites[0].url, TOKEN, attempts=1) as opened,
        pytest.raises(UnreachableError, match=r"broke off \(an answer"),
    ):
        opened.get("/api/projects/")


@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_answer_that_drips_does_not_outlive_the_timeout(sites, part):
    """It would be whole after some seconds, each byte in good time."""

    def drip(handler):
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nx-slow: " + b"x" * 100 + b"\r\n\r\n"
        body = b" " * 98 + b"{}"
        slow, fast = (head, b"") if part == "headers" else (body, head)
        handler.wfile.write(fast)
        for byte in slow:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.03)
        handler.wfile.write(body if part == "headers" else b"")

    sites[0].answers["/api/projects/"] = drip
    with (
        Server(sites[0].url, TOKEN, attempts=1, timeout=0.3) as opened,
        pytest.raises(UnreachableError, match=r"broke off \(no whole answer in 0.3 s\)"),
    ):
        opened.get("/api/projects/")


def test_a_connection_is_used_again_and_works_after_a_fault(sites):
    ours = sites[0]
    ours.answers["/slow"] = lambda _: time.sleep(0.5)
    ours.answers["/good"] = (200, {}, b'{"good": true}')
    with Server(ours.url, TOKEN, attempts=1, timeout=0.2) as opened:
        for _ in range(3):
            with pytest.raises(UnreachableError):
                opened.get("/slow")
            assert opened.get("/good") == {"good": True}


NONSENSE = [
    b"",
    b"[]",
    b"7",
    b"null",
    b'"text"',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" + b"[]," * 1_100_000 + b"[]]",
    b'{"results": 7, "tasks": 7, "total": 7, "id": 7}',
    b'{"results": [[]], "tasks": [[]], "total": 7, "id": "../1", "title": 7, "label_config": 7}',
    b'{"results": [{"id": "../../users/1", "title": "rare"}], "tasks": [{"id": true}], "total": 1}',
    b'{"results": [{"id": 1, "title": "\\ud800"}], "tasks": [], "total": 0, "id": 1, "title": "\\ud800"}',
    b'{"total": 1e999, "tasks": [], "results": {}}',
    b"\xff\xfe{\x00}\x00",
]


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
def test_answers_of_another_form_are_refused_by_everything_that_asks(sites, body, tmp_path):
    ours, image = sites[0], ImageRef("a.png", content_hash(b"a"), 40, 30)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"a")
    made, web = predictions(1), Prefix("https://i.example/")
    asked = {
        "/api/projects/": lambda: pull(opened, "rare", tmp_path / "out"),
        "/api/projects/7/": lambda: pull(opened, "7", tmp_path / "out"),
        "/api/tasks/": lambda: list(opened.tasks(7, include=["data", "annotations"])),
        "/api/projects/7/file-uploads": lambda: Upload(tmp_path / "photos").prepare(opened, 7, [image]),
        "/api/storages/localfiles": lambda: LocalFiles(tmp_path / "photos", tmp_path).prepare(opened, 7, []),
        "/api/current-user/whoami": lambda: push(
            opened, "7", made, CONCEPTS, model_version="one", images=web
        ),
        "/api/ml/": lambda: connect(opened, "7", "http://127.0.0.1:9", None),
    }
    if body == b"[]":  # there is none
        for path in ("/api/projects/7/file-uploads", "/api/storages/localfiles", "/api/ml/"):
            del asked[path]
    if body.startswith(b'{"') and b"ud800" not in body and not body.startswith(b'{"a'):
        del asked["/api/current-user/whoami"]  # anybody may be who we are
    for path, ask in asked.items():
        ours.answers = {**chatty(TOKEN, label_config(["mug"]), []), path: (200, {}, body)}
        with (
            Server(ours.url, TOKEN, attempts=1) as opened,
            pytest.raises(ServerError, match=r"no Label Studio server|ask whoever runs") as caught,
        ):
            ask()
        assert len(str(caught.value)) <= 300


def test_what_a_server_says_is_one_short_line_without_commands_to_a_terminal(sites):
    ours = sites[0]
    said = {"detail": "\x1b]0;owned\x07\x1b[2J" + "no\n" * 5000}
    with Server(ours.url, TOKEN, attempts=1) as opened:
        for status in (302, 400, 401, 403, 404, 409, 418, 429, 500, 599):
            headers = {"location": "/" + "x" * 5000}
            ours.answers["/api/" + "p" * 900] = (status, headers, json.dumps(said).encode())
            with pytest.raises(ServerError) as caught:
                opened.get("/api/" + "p" * 900)
            assert len(str(caught.value)) <= 300
            assert str(caught.value).isprintable()


def test_images_elsewhere_are_fetched_from_public_addresses_and_the_servers_host_only(sites):
    ours, other = sites
    other.answers["/a.png"] = (200, {}, b"pixels")
    named = other.url.replace("127.0.0.1", "localhost")
    with Server(ours.url, TOKEN) as opened:
        assert opened.fetch(f"{other.url}/a.png") == b"pixels"  # the host that the user named
        for address in (
            f"{named}/a.png",
            f"http://[::ffff:127.0.0.1]:{urlsplit(other.url).port}/a.png",
            f"http://0.0.0.0:{urlsplit(other.url).port}/a.png",
            f"http://127.1:{urlsplit(other.url).port}/a.png",
            f"http://2130706433:{urlsplit(other.url).port}/a.png",
            "http://169.254.169.254/latest/meta-data",
        ):
            assert opened.fetch(address) is None
        other.answers["/away.png"] = (302, {"location": f"{named}/a.png"}, b"")
        assert opened.fetch(f"{other.url}/away.png") is None
    assert [path for path, _ in other.seen] == ["/a.png", "/away.png"]
    assert {authorization for _, authorization in other.seen} == {None}


def test_redirects_of_images_elsewhere_are_few_and_carry_no_token(sites):
    ours, other = sites
    for step in range(9):
        other.answers[f"/{step}"] = (302, {"location": f"/{step + 1}", "set-cookie": "a=b"}, b"")
    other.answers["/9"] = (200, {}, b"pixels")
    other.answers["/home"] = (302, {"location": f"{ours.url}/data/a.png"}, b"")
    ours.answers["/data/a.png"] = (200, {}, b"ours")
    with Server(ours.url, TOKEN) as opened:
        assert opened.fetch(f"{other.url}/6") == b"pixels"
        assert opened.fetch(f"{other.url}/5") is None
        assert opened.fetch(f"{other.url}/home") == b"ours"
    assert {authorization for _, authorization in ours.seen + other.seen} == {None}
    assert "/4" not in dict(other.seen)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
def test_a_proxy_of_the_environment_never_sees_what_goes_to_this_machine(sites, monkeypatch, token, variable):
    ours, proxy = sites
    monkeypatch.setenv(variable, proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    ours.answers = chatty(token, label_config(["mug"]), [])
    for url in (ours.url, ours.url.replace("127.0.0.1", "localhost")):
        with Server(url, token, attempts=1) as opened:
            assert opened.get("/api/projects/7/")["id"] == 7
            assert opened.fetch("/data/a.png") is None
    assert proxy.seen == []


@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
def test_a_proxy_that_sees_the_token_is_told_in_a_line(sites, monkeypatch, caplog, token):
    proxy, url = sites[1], "http://labels.example.invalid"
    monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://name:5ecret@"))
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    proxy.answers = {url + path: answer for path, answer in chatty(token, label_config(["mug"]), []).items()}
    caplog.set_level(logging.WARNING, logger="reco_assist")
    with Server(url, token, attempts=1) as opened:
        assert opened.get("/api/projects/7/")["id"] == 7
    assert all(authorization for path, authorization in proxy.seen if "refresh" not in path)
    (said,) = caplog.messages
    assert said.startswith("The proxy 127.0.0.1 sees the token for http://labels.example.invalid: use https")
    assert not any(secret in said for secret in (*SECRETS, "5ecret"))
    Server("https://labels.example.invalid", token).close()
    monkeypatch.setenv("no_proxy", "example.invalid")
    with Server(url, token, attempts=1) as opened, pytest.raises(UnreachableError, match="No server answers"):
        opened.get("/api/projects/7/")
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("url", ["http://labels.example.invalid", "https://labels.example.invalid"])
@pytest.mark.parametrize("proxy", ["gopher://proxy", "http://proxy:port", "http://\x00"])
def test_a_proxy_of_the_environment_that_is_none_is_a_sentence(monkeypatch, url, proxy):
    monkeypatch.setattr("urllib.request.getproxies", lambda: dict.fromkeys(("http", "https"), proxy))
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda _: False)
    with pytest.raises(InputError, match="No connection to http"):
        Server(url, TOKEN)


def test_threads_that_ask_at_once_share_one_event_loop(sites, monkeypatch):
    ours, made, real = sites[0], [], asyncio.new_event_loop
    ours.answers["/good"] = (200, {}, b"{}")

    def slowly():
        made.append(real())
        time.sleep(0.05)
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", slowly)
    with Server(ours.url, TOKEN, attempts=1) as opened, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: opened.get("/good"), range(4))) == [{}] * 4
    assert len(made) == 1
    with pytest.raises(UnreachableError, match="was closed"):
        opened.get("/good")


def test_what_was_closed_before_it_was_asked_stays_closed(sites):
    ours = sites[0]
    ours.answers["/good"] = (200, {}, b"{}")
    opened = Server(ours.url, TOKEN, attempts=1)
    opened.close()
    opened.close()
    assert opened._line._http.is_closed
    with pytest.raises(UnreachableError, match="was closed"):
        opened.get("/good")
    assert not ours.seen


@pytest.mark.parametrize(
    "url",
    [
        "http://me:5ecret@host",
        "http://host/?token=5ecret",
        "http://[",
        "http://",
        "ftp://host",
        "x" * 999,
        "http://h/" + "x" * 99,
    ],
)
def test_addresses_that_are_none_or_hold_secrets_are_refused(url):
    with pytest.raises(InputError, match=r"^The server's address") as caught:
        Server(url, TOKEN)
    assert "5ecret" not in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_an_access_that_was_spent_is_in_no_error_either(sites):
    """A server that takes no access any more, and says which it was shown when asked for another."""
    ours, said = sites[0], iter([(200, {}, b'{"access": "access-5ecre7"}')])
    echo = (400, {}, b'{"detail": "no new one after access-5ecre7"}')

    def refresh(handler):
        status, _, body = next(said, echo)
        reply(handler, json.loads(body), status)

    ours.answers = {"/api/token/refresh/": refresh, "/api/projects/": (401, {}, b"{}")}
    with (
        Server(ours.url, PERSONAL, attempts=1) as opened,
        pytest.raises(ServerError, match=r"no new one after \[token\]"),
    ):
        opened.get("/api/projects/")


@pytest.mark.parametrize("secret", ["backend-5ecre7", 'a "quoted\\ one', "schlüssel"])
def test_a_refusal_to_connect_does_not_show_the_token_of_the_backend(sites, secret):
    """Servers say what of a request they do not like by repeating it."""
    ours = sites[0]
    ours.answers = chatty(TOKEN, label_config(CONCEPTS), [])
    ours.answers["/api/ml/"] = lambda handler: reply(
        handler,
        [] if handler.command == "GET" else {"detail": {"basic_auth_pass": secret}},
        200 if handler.command == "GET" else 400,
    )
    with (
        Server(ours.url, TOKEN, attempts=1) as opened,
        pytest.raises(ServerError, match=r"\[token\]") as caught,
    ):
        connect(opened, "7", "http://127.0.0.1:9", secret)
    assert secret not in str(caught.value)
    assert "quoted" not in str(caught.value)


def test_a_push_that_others_disturb_without_end_ends(sites):
    """The server says that each task is there twice, however often it is asked."""
    ours, made = sites[0], predictions(1)
    ours.answers = chatty(TOKEN, label_config(CONCEPTS), [])

    def doubled(handler):
        wants_all = "fields=all" in handler.path
        key = made[0].image.content_hash
        task = {
            "id": 1,
            "data": {"key": key},
            "total_predictions": 2,
            "total_annotations": 0,
            "predictions": [],
        }
        reply(handler, {"tasks": [] if wants_all else [task], "total": 1})

    ours.answers["/api/tasks/"] = doubled
    with Server(ours.url, TOKEN, attempts=1) as opened, pytest.raises(ServerError, match="again and again"):
        push(opened, "7", made, CONCEPTS, model_version="one", images=Prefix("https://images.example/"))


STATE = {
    "format": 1,
    "source": "http://127.0.0.1/projects/7",
    "project": "rare",
    "concepts": ["mug"],
    "images": None,
    "policy": "latest",
    "tasks": [
        {
            "task": 1,
            "updated": "2025-01-01T00:00:00Z",
            "image": {"file_name": "a.png", "content_hash": "k", "width": 2, "height": 2},
            "url": "/data/a.png",
            "guesses": [
                {
                    "id": 2,
                    "model_version": "one",
                    "regions": [
                        {
                            "id": "r",
                            "concepts": ["mug"],
                            "mask": {"height": 2, "width": 2, "counts": "04"},
                            "origin": "manual",
                        }
                    ],
                }
            ],
            "answers": [],
        }
    ],
}


def test_what_was_pulled_before_is_read_again(tmp_path):
    (tmp_path / "pulled.json").write_text(json.dumps(STATE))
    assert read_pulled(tmp_path).labelled[0].image.file_name == "a.png"


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.update(tasks=7),
        lambda state: state.update(tasks=[7]),
        lambda state: state.update(policy="last"),
        lambda state: state["tasks"][0].pop("image"),
        lambda state: state["tasks"][0]["image"].update(height=10**9, width=10**9),
        lambda state: state["tasks"][0]["guesses"][0]["regions"][0]["mask"].update(counts="~~~"),
        lambda state: state["tasks"][0]["guesses"][0]["regions"][0]["mask"].update(height=10**9),
        lambda state: state["tasks"][0].update(answers=[{"id": 1}]),
    ],
)
def test_a_strangers_folder_of_corrections_is_refused_in_a_sentence(tmp_path, damage):
    state = json.loads(json.dumps(STATE))
    damage(state)
    (tmp_path / "pulled.json").write_text(json.dumps(state))
    with pytest.raises(FormatError, match=r"is damaged or of another release; remove it and pull again"):
        read_pulled(tmp_path)
    (tmp_path / "pulled.json").write_text("[" * 100_000)
    with pytest.raises(FormatError, match="damaged"):
        read_pulled(tmp_path)
