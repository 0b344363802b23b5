"""The backend's HTTP side: Label Studio's contract for machine-learning backends, as a small ASGI app.

One thread does the computing. Requests are read and checked in others, so that the event loop is free and
`/health` and `/setup` answer soon however busy the model is. A request that cannot be answered in time is
told so (503) while the server still listens; one that the model has not begun with is not computed any more.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reco_assist.errors import FormatError, RecoAssistError, StorageError, reason
from reco_assist.json_files import parse_json
from reco_assist.serving.events import project_number, read_webhook
from reco_assist.serving.guard import Guard, refusal
from reco_assist.serving.marks import Region, check_regions
from reco_assist.serving.models import ProjectModels
from reco_assist.serving.pending import BusyError, Pause

_LOG = logging.getLogger(__name__)
_LARGEST = 64 << 20  # bytes of a request
_WAITING = 64  # requests that may wait for the model
_LIMIT = 90.0  # seconds: Label Studio gives up after 100

T = TypeVar("T")


class _RefusedError(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request for predictions says; see `ProjectModels.predict`."""

    project: str
    tasks: list[dict[str, Any]]
    config: str
    marks: tuple[Region, ...]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "_Asked":
        tasks, config = data.get("tasks"), data.get("label_config")
        parameters = data.get("params") or {}
        if not isinstance(tasks, list) or not isinstance(config, str) or not isinstance(parameters, dict):
            raise _RefusedError(400, "expected tasks (a list), label_config (XML) and params (an object)")
        if not all(isinstance(task, dict) and isinstance(task.get("data", {}), dict) for task in tasks):
            raise _RefusedError(400, "every task must be an object, and its data too")
        context = parameters.get("context") or {}
        marks = check_regions(context.get("result") or [] if isinstance(context, dict) else [])
        return cls(project_number(data), tasks, config, marks)


class _Backend:
    """The routes."""

    def __init__(self, models: ProjectModels, *, limit: float, waiting: int) -> None:
        self._models = models
        self._limit = limit
        self._most = waiting
        self._count = 0  # requests that wait for the model
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._learns = False  # whether learning waits for the model, once for all projects
        self._pause = Pause()  # after which the encoder, if that cannot be loaded, is tried again
        self._alarm: asyncio.TimerHandle | None = None  # when to learn again what could not be learnt
        self._open = True

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Load the model, and learn, while the server answers already; stop without finishing what waits."""
        self._loop = asyncio.get_running_loop()
        self._learn_soon()
        yield
        self._open = False
        if self._alarm is not None:
            self._alarm.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def health(self, _: Request) -> Response:
        """Whether the server answers; it does."""
        return JSONResponse({"status": "UP", "model_class": "reco-assist"})

    async def setup(self, request: Request) -> Response:
        """Which version of the model a project has."""
        data = await _body(request)
        project = project_number(data)
        if isinstance(schema := data.get("schema"), str) and schema:
            self._models.tell(project, schema)
        return JSONResponse({"model_version": self._models.version(project)})

    async def versions(self, request: Request) -> Response:
        """The versions that can be asked for: the one there is."""
        project = project_number({"project": request.query_params.get("project", "")})
        return JSONResponse({"versions": [self._models.version(project)]})

    async def predict(self, request: Request) -> Response:
        """Predict tasks; with a context, for what an annotator has just marked."""
        data = await _body(request)
        asked = await _aside(lambda: _Asked.read(data))

        def work() -> Response:  # writing masks as JSON takes a while, too
            try:
                found = self._models.predict(asked.project, asked.tasks, asked.config, asked.marks)
            finally:  # it learns some of what waits, and only some
                self._learn_when_due()
            return JSONResponse({"results": found})

        return await self._compute(work)

    async def webhook(self, request: Request) -> Response:
        """Take corrections: they are on disk when this answers, and are learnt when the model has time."""
        data = await _body(request)
        if await _aside(lambda: self._models.note(*read_webhook(data))):
            self._learn_soon()
        return JSONResponse({"queued": len(self._models.pending)})

    def _learn_soon(self) -> None:
        if self._open and not self._learns:
            self._learns = True
            self._pool.submit(self._learn)

    def _learn(self) -> None:
        """Learn a little, and the rest after what has come meanwhile; what goes wrong is logged."""
        self._learns = False
        try:
            self._models.learn_next()
        except Exception as error:  # noqa: BLE001  (nobody waits for it who could be told; the log says all)
            known = isinstance(error, RecoAssistError)
            _LOG.warning("nothing is learnt now: %s", reason(error, 300), exc_info=not known)
            self._pause.begin()
        else:
            self._pause = Pause()
        self._learn_when_due()

    def _learn_when_due(self) -> None:
        """Learn when there is something to be learnt next; called by the model's thread."""
        due = self._models.due()
        if due is not None:
            self._loop.call_soon_threadsafe(self._learn_in, max(due, self._pause.left))

    def _learn_in(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_later(seconds, self._learn_soon) if self._open else None

    async def _compute(self, work: Callable[[], T]) -> T:
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


def create_app(
    models: ProjectModels,
    *,
    token: str,
    hosts: Collection[str] = (),
    limit: float = _LIMIT,
    waiting: int = _WAITING,
) -> Starlette:
    """The ASGI application.

    Args:
        models: Predict and learn.
        token: What requests must show.
        hosts: Names and addresses, beside those of this machine itself, by which it may be asked.
        limit: Seconds in which a prediction is answered or refused.
        waiting: Requests that may wait for the model.
    """
    backend = _Backend(models, limit=limit, waiting=waiting)
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
        middleware=[Middleware(Guard, token=token, hosts=hosts)],
        exception_handlers={_RefusedError: _explain, RecoAssistError: _explain, Exception: _apologise},
    )


async def _body(request: Request) -> dict[str, Any]:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LARGEST:
            raise _RefusedError(413, f"a request may have {_LARGEST >> 20} MiB; send fewer tasks at once")
    found = await _aside(lambda: parse_json(bytes(data), "The request's body", finite=True))
    if not isinstance(found, dict):
        raise _RefusedError(400, "the request's body must be a JSON object")
    return found


async def _aside(work: Callable[[], T]) -> T:
    """Work in another thread: large requests and disks take a while, and the event loop serves others."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def _explain(_: Request, error: Exception) -> Response:
    if isinstance(error, _RefusedError):
        return refusal(error.status, str(error))
    if isinstance(error, BusyError | StorageError):
        return refusal(503, str(error))  # what is not on disk is not acknowledged, and may be sent again
    return refusal(400 if isinstance(error, FormatError) else 422, str(error))


async def _apologise(_: Request, error: Exception) -> Response:
    _LOG.error("a request failed", exc_info=error)
    return refusal(500, "the backend failed; its log says why")
