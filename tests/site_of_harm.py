"""A web server of the tests that answers as it is told, also what no server should."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "5ecre7" * 6 + "abcd"
PERSONAL = f"{'head' * 5}.{'5ecre7' * 6}.{'tail' * 5}"
SECRETS = (TOKEN, PERSONAL, "access-5ecre7")


class Site:
    """A web server that answers by a table of path -> (status, headers, body) and notes what it is shown.

    In place of an answer, a function is called with the handler, and sends what it likes.
    """

    def __init__(self):
        self.answers, self.seen = {}, []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def handle_one(self):
                self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
                site.seen.append((self.path, self.headers.get("authorization")))
                answer = site.answers.get(self.path.partition("?")[0], (404, {}, b"{}"))
                if callable(answer):
                    self.close_connection = True
                    with contextlib.suppress(OSError):  # whoever asked may have gone
                        answer(self)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = handle_one  # noqa: N815

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()


def reply(handler, value, status=200, headers=()):
    body = json.dumps(value).encode()
    handler.send_response(status)
    for name, one in {**dict(headers), "content-length": str(len(body))}.items():
        handler.send_header(name, one)
    handler.end_headers()
    handler.wfile.write(body)


def chatty(token, config, tasks):
    """Answers to all that a push and a pull of project 7 ask for, each with the token in its headers."""
    project = {"id": 7, "title": "rare", "label_config": config, "model_version": ""}
    echo = {"x-token": token, "set-cookie": f"session={token}"}
    tasks = list(tasks)

    def take(handler):
        for new in json.loads(handler.body):
            number = len(tasks) + 1
            tasks.append({"id": number, "total_predictions": len(new["predictions"]), **new})
        reply(handler, {"detail": token}, headers=echo)

    def listed(handler):
        reply(handler, {"tasks": tasks, "total": len(tasks)}, headers=echo)

    bodies = {
        "/api/token/refresh/": {"access": "access-5ecre7"},
        "/api/current-user/whoami": {"token": token},
        "/api/projects/7/": {**project, "token": token},
    }
    same = {path: (200, echo, json.dumps(body).encode()) for path, body in bodies.items()}
    return {**same, "/api/projects/7/import": take, "/api/tasks/": listed}
