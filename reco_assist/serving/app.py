"""The backend's HTTP side: Label Studio's contract for machine-learning backends, as a small ASGI app.

One thread does the computing. Everything else stays on the event loop, so that `/health` and `/setup` answer
at once however busy the model is. A request that cannot be answered in time is told so (503) while the server
still listens, and is not computed in vain.
"""

import asyncio
import hmac
import json
import logging
import re
from base64 import b64decode
from binascii import Error as BinasciiError
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from reco_assist.errors import RecoAssistError
from reco_assist.serving.teacher import Teacher

_LOG = logging.getLogger(__name__)
_LARGEST = 64 << 20  # bytes of a request
_WAITING = 64  # requests that may wait for the model
_LIMIT = 90.0  # seconds: Label Studio gives up after 100
_PROJECT = re.compile(r"(\d*)(?:\.\d*)?")
_LEARNT = {"ANNOTATION_CREATED", "ANNOTATION_UPDATED"}
_FORGOTTEN = "ANNOTATIONS_DELETED"


class _RefusedError(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Backend:
    """The routes."""

    def __init__(self, teacher: Teacher, *, limit: float, waiting: int) -> None:
        self._teacher = teacher
        self._limit = limit
        self._most = waiting
        self._count = 0  # requests that wait for the model
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._lessons: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Load the model while the server answers already; stop without finishing what waits."""
        self._pool.submit(self._quietly, self._teacher.load)
        yield
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def health(self, _: Request) -> Response:
        """Whether the server answers; it does."""
        return JSONResponse({"status": "UP", "model_class": "reco-assist"})

    async def setup(self, request: Request) -> Response:
        """Which version of the model a project has."""
        data = await _body(request)
        return JSONResponse({"model_version": self._teacher.version(_project(data))})

    async def versions(self, request: Request) -> Response:
        """The versions that can be asked for: the one there is."""
        project = _project({"project": request.query_params.get("project", "")})
        return JSONResponse({"versions": [self._teacher.version(project)]})

    async def predict(self, request: Request) -> Response:
        """Predict tasks; with a context, for what an annotator has just marked."""
        data = await _body(request)
        tasks, config = data.get("tasks"), data.get("label_config")
        parameters = data.get("params") or {}
        if not isinstance(tasks, list) or not isinstance(config, str) or not isinstance(parameters, dict):
            raise _RefusedError(400, "expected tasks (a list), label_config (XML) and params (an object)")
        context = parameters.get("context") or {}
        marks = context.get("result") or [] if isinstance(context, dict) else []
        if not all(isinstance(task, dict) for task in tasks) or not all(
            isinstance(one, dict) for one in marks
        ):
            raise _RefusedError(400, "every task and every region must be an object")
        project = _project(data)
        results = await self._compute(lambda: self._teacher.predict(project, tasks, config, marks))
        return JSONResponse({"results": results})

    async def webhook(self, request: Request) -> Response:
        """Take a correction: it is on disk when this answers, and is learnt when the model has time."""
        data = await _body(request)
        for event in _events(data):
            await asyncio.get_running_loop().run_in_executor(None, self._teacher.note, event)
            lesson = asyncio.get_running_loop().run_in_executor(
                self._pool, self._quietly, self._lesson(event)
            )
            self._lessons.add(lesson)
            lesson.add_done_callback(self._lessons.discard)
        return JSONResponse({"queued": len(self._lessons)})

    def _lesson(self, event: Mapping[str, Any]) -> Callable[[], None]:
        return lambda: self._teacher.learn(event)

    def _quietly(self, work: Callable[[], None]) -> None:
        """Work that nobody waits for: what goes wrong is logged."""
        try:
            work()
        except RecoAssistError as error:
            _LOG.warning("%s", error)
        except Exception:  # noqa: BLE001  (nobody waits for it who could be told; the log says all)
            _LOG.exception("a correction, or loading, failed")

    async def _compute(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401  (whatever the work returns)
        if self._count >= self._most:
            raise _RefusedError(
                503, f"{self._most} requests wait for the model already; ask again in a minute"
            )
        self._count += 1
        future = self._pool.submit(work)
        try:
            # Cancelling keeps a request that still waits from being computed for nobody.
            return await asyncio.wait_for(asyncio.wrap_future(future), self._limit)
        except TimeoutError:
            raise _RefusedError(
                503, f"the model is busy: no answer in {self._limit:.0f} s; ask again later"
            ) from None
        finally:
            self._count -= 1


class _Guard:
    """Lets in whoever knows the token, as a bearer or as the password of basic authentication."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse HTTP requests without the token, but for `/health`."""
        if scope["type"] == "http" and scope["path"] not in {"/", "/health"}:
            header = Request(scope).headers.get("authorization", "")
            if not hmac.compare_digest(_secret(header), self._token):
                refusal = _refusal(
                    401, "the token is missing or wrong: send it as a bearer, or as the password"
                )
                refusal.headers["www-authenticate"] = 'Basic realm="reco-assist"'
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(
    teacher: Teacher, *, token: str | None = None, limit: float = _LIMIT, waiting: int = _WAITING
) -> Starlette:
    """The ASGI application.

    Args:
        teacher: Predicts and learns.
        token: What requests must show; everybody is let in if None.
        limit: Seconds in which a prediction is answered or refused.
        waiting: Requests that may wait for the model.
    """
    backend = _Backend(teacher, limit=limit, waiting=waiting)
    routes = [
        Route("/", backend.health),
        Route("/health", backend.health),
        Route("/setup", backend.setup, methods=["POST"]),
        Route("/versions", backend.versions, methods=["GET", "POST"]),
        Route("/predict", backend.predict, methods=["POST"]),
        Route("/webhook", backend.webhook, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        lifespan=backend.lifespan,
        middleware=[Middleware(_Guard, token=token)] if token else [],
        exception_handlers={_RefusedError: _explain, RecoAssistError: _explain, Exception: _apologise},
    )


async def _body(request: Request) -> dict[str, Any]:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LARGEST:
            raise _RefusedError(413, f"a request may have {_LARGEST >> 20} MiB; send fewer tasks at once")
    try:
        # Large brush masks take a while to parse; the event loop has better things to do.
        found = await asyncio.get_running_loop().run_in_executor(None, json.loads, bytes(data))
    except (ValueError, RecursionError):
        raise _RefusedError(400, "the request's body is no JSON") from None
    if not isinstance(found, dict):
        raise _RefusedError(400, "the request's body must be a JSON object")
    return found


def _project(data: Mapping[str, Any]) -> str:
    """A project's number: Label Studio sends '7.1700000000' (with the time it was made), 7 or {'id': 7}."""
    found = data.get("project")
    if isinstance(found, dict):
        found = found.get("id")
    match = _PROJECT.fullmatch(str(found if found is not None else ""))
    if match is None:
        raise _RefusedError(400, f"the project is {found!r}, expected a number")
    return match[1]


def _events(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an event of Label Studio asks us to learn or forget; nothing for events of other kinds."""
    action, project = data.get("action"), _project(data)
    if action in _LEARNT:
        annotation, task = data.get("annotation"), data.get("task")
        if not isinstance(annotation, dict) or not isinstance(task, dict) or "id" not in annotation:
            raise _RefusedError(400, "expected an annotation with an id, and its task")
        if annotation.get("was_cancelled"):
            return []
        regions = annotation.get("result")
        kept = {"id": task.get("id"), "data": task.get("data")}
        return [{"project": project, "annotation": annotation["id"], "task": kept, "result": regions or []}]
    if action == _FORGOTTEN:
        gone = data.get("annotations") or []
        return [
            {"project": project, "annotation": one["id"], "task": None, "result": None}
            for one in gone
            if isinstance(one, dict) and "id" in one
        ]
    return []


def _secret(header: str) -> bytes:
    kind, _, value = header.partition(" ")
    if kind.lower() == "basic":
        try:
            return b64decode(value, validate=True).partition(b":")[2]
        except (BinasciiError, ValueError):
            return b""
    # Headers arrive as Latin-1, whatever they were written in.
    return value.encode("latin-1") if kind.lower() == "bearer" else b""


def _refusal(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"detail": reason}, status, {"retry-after": "30"} if status == 503 else None)


async def _explain(_: Request, error: Exception) -> Response:
    return _refusal(error.status if isinstance(error, _RefusedError) else 422, str(error))


async def _apologise(_: Request, error: Exception) -> Response:
    _LOG.error("a request failed", exc_info=error)
    return _refusal(500, "the backend failed; its log says why")
