"""Ask a hostile server on loopback for everything that push, pull and the backend ask for.

    python scripts/fuzz_server.py [--seconds 60] [--seed 0]

Each answer is damaged in its size, type, packing, pace, redirects, pages or status. Every question must end
as a value or as an error of ours of at most 300 printable letters, in bounded memory and time, without a
token in it, the server's or the backend's, and no request to another host may hold one. Whatever does not is
printed with its seed, and ends the run with status 1.
"""

import argparse
import gzip
import json
import logging
import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from reco_assist.annotations import ImageRef, Prediction, Verdict
from reco_assist.errors import RecoAssistError
from reco_assist.formats import label_config
from reco_assist.images import content_hash
from reco_assist.label_studio import LocalFiles, Prefix, Server, Upload, compare, draw, pull, push, server
from reco_assist.serving.connecting import connect

TOKENS = ("5ecre7" * 6 + "abcd", f"{'head' * 5}.{'5ecre7' * 6}.{'tail' * 5}")
ACCESS = "access-5ecre7"  # what a personal token buys
BACKEND = "backend-5ecre7"  # what the server is told, and nobody else
SECRETS = (*TOKENS, ACCESS, BACKEND)
LONGEST = 300  # letters of a sentence
TIMEOUT = 0.5  # seconds of an exchange
PATIENCE = 60.0  # seconds of a whole question, which may be many exchanges
GROWTH = 400  # MiB of memory in the whole run; answers may have 4 MiB
PIXELS = b"\x89PNG\r\n\x1a\n"

server.ANSWER_LIMIT = server.IMAGE_LIMIT = 4 << 20
server._TASKS = 2000  # noqa: SLF001  (a million would take the whole run)

NUMBERS = [0, -1, 1, 2**31, 2**64, 10**30, 0.5, 1e308, -0.0]
TEXTS = [
    "",
    "x",
    "../../1",
    "a\0b",
    "\ud800",
    "\x1b[2J",
    "\u202emug",
    "o" * 5000,
    "<View>" * 2000,
    "2025-01-01",
]
ODD = [None, True, [], {}, [[]], [{}], {"id": 1}, *NUMBERS, *TEXTS, SECRETS[0]]


def healthy(config: str, key: str) -> dict[str, Any]:
    """What a server would answer, by path."""
    region = {
        "id": "r",
        "type": "polygonlabels",
        "from_name": "label",
        "original_width": 40,
        "original_height": 30,
        "value": {"polygonlabels": ["mug"], "points": [[1, 2], [50, 4], [20, 25]]},
    }
    annotation = {"id": 1, "completed_by": 3, "parent_prediction": 2, "lead_time": 1.5, "result": [region]}
    task: dict[str, Any] = {
        "id": 7,
        "updated_at": "2025-01-01T00:00:00Z",
        "data": {"image": "/data/a.png", "key": key, "file_name": "a.png", "width": 40, "height": 30},
        "annotations": [annotation],
        "predictions": [{"id": 2, "model_version": "one", "score": 0.5, "result": [region]}],
        "total_annotations": 1,
        "total_predictions": 1,
    }
    project = {"id": 7, "title": "rare", "label_config": config, "model_version": ""}
    return {
        "/api/token/refresh/": {"access": ACCESS},
        "/api/current-user/whoami": {"id": 1},
        "/api/projects/": {"results": [project], "count": 1},
        "/api/projects/7/": project,
        "/api/projects/7/import": {},
        "/api/projects/7/import/predictions": {},
        "/api/projects/7/file-uploads": [{"id": 1, "file": f"/data/upload/7/12345678-{key[:16]}-a.png"}],
        "/api/storages/localfiles": [{"id": 1, "path": "/photos"}],
        "/api/ml/": [{"id": 1, "url": "http://127.0.0.1:9"}],
        "/api/webhooks/": [{"id": 1, "url": "http://127.0.0.1:9/webhook"}],
        "/api/tasks/": {"tasks": [task, {**task, "id": 8, "data": {**task["data"], "key": "k"}}], "total": 2},
    }


class Hostile:
    """A server whose answers are damaged by chance; `elsewhere` stands for another host."""

    def __init__(self, chance: random.Random, good: dict[str, Any]) -> None:
        self.chance, self.good = chance, good
        self.rate = 0.3
        self.leaks: list[str] = []
        self.foreign = 0  # requests to the other host
        hostile = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def log_message(self, *_: object) -> None:
                pass

            def handle_one(self) -> None:
                with suppress(OSError):  # whoever asked has gone
                    self.rfile.read(int(self.headers.get("content-length") or 0))
                    hostile.answer(self)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one  # noqa: N815

        class Elsewhere(Handler):
            def handle_one(self) -> None:
                hostile.foreign += 1
                with suppress(OSError):
                    body = self.rfile.read(int(self.headers.get("content-length") or 0))
                    sent = f"{self.requestline}\n{self.headers}\n{body!r}"
                    if "authorization" in self.headers or any(one in sent for one in SECRETS):
                        hostile.leaks.append(f"sent elsewhere: {sent[:300]!r}")
                    self.send_error(404)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one  # noqa: N815

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Whoever asked has gone."""

        self._sites = [Quiet(("127.0.0.1", 0), kind) for kind in (Handler, Elsewhere)]
        self.url, self.elsewhere = (f"http://127.0.0.1:{site.server_port}" for site in self._sites)
        for site in self._sites:
            site.daemon_threads = True
            threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request, well or not."""
        chance = self.chance
        value = self.good.get(handler.path.partition("?")[0], {})
        body = json.dumps(value).encode() if handler.path.startswith("/api/") else PIXELS
        status, headers = 200, dict[str, str]()
        if chance.random() > self.rate:
            self.send(handler, status, headers, body)
            return
        match chance.randrange(11):
            case 0:
                body = json.dumps(damaged(chance, value)).encode()
            case 1:
                body = json.dumps(damaged(chance, value), ensure_ascii=False).encode("utf-8", "surrogatepass")
            case 2:
                status = chance.choice([100, 204, 301, 302, 307, 400, 401, 403, 404, 418, 429, 500, 503, 599])
                headers["location"] = chance.choice(
                    ["", "/", handler.path, f"{self.elsewhere}/x", "//", "http://[", "x" * 9000, SECRETS[0]]
                )
                body = json.dumps(
                    {"detail": chance.choice([*TEXTS, *SECRETS, " ".join(SECRETS) * 99])}
                ).encode()
            case 3:
                body = chance.choice([b"[", b'{"a":', b"[[],", b'{"":{},']) * chance.choice(
                    [10, 5000, 900_000]
                )
            case 4:
                headers["content-encoding"] = chance.choice(
                    ["gzip", "x-gzip", "br", "zstd", "deflate", "gzip, gzip"]
                )
                body = gzip.compress(chance.choice([body, bytes(40 << 20), b" " * (6 << 20)]), 1)
                body = body[: chance.choice([len(body), len(body) // 2, 1])]
            case 5:
                self.drip(handler, body)
                return
            case 6:
                body = body[: chance.randrange(len(body) + 1)]
            case 7:
                self.lie(handler, body)
                return
            case 8:
                headers = {
                    chance.choice(["set-cookie", "link", "x"]): chance.choice(["a=b", "y" * 60_000, *SECRETS])
                }
            case 9:
                self.endless(handler)
                return
            case _:
                body = chance.randbytes(chance.choice([0, 1, 100, 100_000]))
        self.send(handler, status, headers, body)

    def send(
        self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        """A whole answer."""
        handler.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def drip(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Byte by byte, headers too, for longer than anybody waits."""
        whole = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        start = self.chance.choice([0, 10, 60])
        handler.wfile.write(whole[:start])
        for byte in whole[start : start + 40]:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)
        handler.close_connection = True

    def lie(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """A length that is wrong, or no HTTP at all."""
        length = self.chance.choice(
            [b"-1", b"9999999999999", b"1e9", b"0, 7", b"", str(len(body) + 9).encode()]
        )
        handler.wfile.write(
            self.chance.choice(
                [
                    b"HTTP/1.1 200 OK\r\ncontent-length: " + length + b"\r\n\r\n" + body,
                    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFF\r\n" + body,
                    b"HTTP/9.9 200\r\n\r\n",
                    b"HTTP/1.1 20000 OK\r\n\r\n",
                    b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
                    b"SSH-2.0-OpenSSH_9\r\n",
                    b"HTTP/1.1 200 OK\r\nlocation: \xff\xfe\r\nx" + b"y" * 200_000,
                ]
            )
        )
        handler.close_connection = True

    def endless(self, handler: BaseHTTPRequestHandler) -> None:
        """A body, or headers, without end."""
        start = self.chance.choice([b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
        handler.wfile.write(start)
        handler.close_connection = True
        until = time.monotonic() + 2 * TIMEOUT
        while time.monotonic() < until:
            handler.wfile.write(b"x: y\r\n" * 2000)

    def close(self) -> None:
        """Stop."""
        for site in self._sites:
            site.shutdown()
            site.server_close()


def damaged(chance: random.Random, value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """The value with some nodes replaced, removed or repeated."""
    if chance.random() < 0.1:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {key: damaged(chance, one) for key, one in value.items() if chance.random() > 0.05}
    if isinstance(value, list):
        return [damaged(chance, one) for one in value for _ in range(chance.choice([1, 1, 1, 0, 2]))]
    return value


def questions(url: str, elsewhere: str, folder: Path, key: str) -> dict[str, Callable[[Server], object]]:
    """Everything that asks a server, by name."""
    photos = folder / "photos"
    image = ImageRef("a.png", key, 40, 30)
    made = [Prediction(image, (), (Verdict("mug", present=False, probability=0.1),))]

    def pulled(opened: Server) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            got = pull(opened, "rare", Path(out), images=photos)
            str(compare(got))
            draw(got, Path(out) / "picture.png", fetch=opened.fetch)
            pull(opened, "7", Path(out), policy="majority")

    def pushed(opened: Server) -> None:
        for images in (Upload(photos), LocalFiles(photos, folder), Prefix("https://images.example/")):
            push(opened, "rare", made, ["mug"], model_version="one", images=images)

    return {
        "pull": pulled,
        "push": pushed,
        "tasks": lambda opened: sum(1 for _ in opened.tasks(7, include=["data", "predictions"])),
        "connect": lambda opened: connect(opened, "7", "http://127.0.0.1:9", BACKEND),
        "fetch": lambda opened: [
            opened.fetch(place) for place in ("/data/a.png", f"{url}/b", f"{elsewhere}/c", "http://[")
        ],
    }


def main() -> None:
    """Ask until time is up; a finding ends the run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable()
    kept = tempfile.TemporaryDirectory()
    folder = Path(kept.name)
    (folder / "photos").mkdir()
    (folder / "photos" / "a.png").write_bytes(PIXELS)
    key = content_hash(PIXELS)
    hostile = Hostile(random.Random(options.seed), healthy(label_config(["mug"], also=["polygon"]), key))
    asked = questions(hostile.url, hostile.elsewhere, folder, key)
    ends: Counter[str] = Counter()
    slowest, before = 0.0, _memory()
    begun = time.monotonic()
    number = options.seed
    while time.monotonic() - begun < options.seconds:
        number += 1
        hostile.chance = random.Random(number)
        hostile.rate = hostile.chance.choice([0.02, 0.1, 0.3, 1])
        name = hostile.chance.choice(list(asked))
        start = time.monotonic()
        token = hostile.chance.choice(TOKENS)
        try:
            with Server(hostile.url, token, attempts=2, pause=0.001, timeout=TIMEOUT) as opened:
                asked[name](opened)
            end = "value"
        except RecoAssistError as error:
            end = type(error).__name__
            if len(str(error)) > LONGEST or not str(error).isprintable():
                sys.exit(f"seed {number}, {name}: a sentence of {len(str(error))} letters: {error!r}")
            held = [token, *([ACCESS] if "." in token else ()), *([BACKEND] if name == "connect" else ())]
            if any(secret in repr(error) for secret in held):
                sys.exit(f"seed {number}, {name}: a token is in {error!r}")
        took = time.monotonic() - start
        slowest = max(slowest, took)
        ends[f"{name}: {end}"] += 1
        if hostile.leaks or took > PATIENCE or _memory() - before > GROWTH:
            sys.exit(f"seed {number}, {name}: {took:.1f} s, {_memory() - before} MiB, {hostile.leaks}")
    hostile.close()
    for end, count in sorted(ends.items()):
        print(f"{count:7,}  {end}")
    print(
        f"{sum(ends.values()):,} questions, {hostile.foreign:,} requests elsewhere, "
        f"the slowest {slowest:.1f} s, {_memory() - before} MiB of growth"
    )


def _memory() -> int:
    """MiB that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
