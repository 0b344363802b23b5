"""Talking to a Label Studio server: its two kinds of token, its refusals, and patience.

Source: https://api.labelstud.io. The vendor's SDK is not used here: it cannot upload files, it sends a POST
again by itself although the server does not notice that, and answers with dicts or models as it happens.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx

from reco_assist.errors import InputError, ServerError, UnreachableError
from reco_assist.images import MAX_BYTES

TOKEN = "LABEL_STUDIO_API_KEY"  # noqa: S105  (the name of the variable)
"""The environment variable that holds the token, as for the vendor's SDK."""

_BUSY = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 30.0  # seconds
_PAGE = 50  # tasks of one answer, where they come with masks
_HEAVY = {"annotations", "predictions"}
_HOW = f"take a new one from Account & Settings and set {TOKEN}"


class Server:
    """A Label Studio server. Its token is held in memory only and shown nowhere.

    Args:
        url: Its address, as in the browser.
        token: A personal access token or a legacy token; that of the environment if None.
        attempts: How often something is asked for before giving up.
        pause: Seconds before the second attempt; each further one waits twice as long.
        timeout: Seconds without an answer after which an attempt has failed.

    Raises:
        InputError: The address is none, or there is no token.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        attempts: int = 6,
        pause: float = 0.5,
        timeout: float = 300,
    ) -> None:
        self.url = url.strip().rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"The server's address is {url!r}; give it as in the browser, http://host:8080.")
        self._token = (token or os.environ.get(TOKEN, "")).strip()
        if not self._token.isascii() or not self._token:
            raise InputError(f"There is no token for {self.url}; {_HOW}.")
        # A personal access token is a JWT that only buys short-lived ones; a legacy token is hexadecimal.
        self._personal = self._token.count(".") == 2
        self._access = ""
        self.attempts = attempts
        self._pause = pause
        self._http = httpx.Client(base_url=self.url, timeout=httpx.Timeout(timeout, connect=10))

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str, **parameters: object) -> Any:  # noqa: ANN401  (any JSON)
        """Ask for something, again and again until there is an answer.

        Raises:
            ServerError: It is refused.
            UnreachableError: There was no answer in all attempts.
        """
        return self.patiently("GET", path, params=parameters)

    def patiently(self, method: str, path: str, **content: Any) -> Any:  # noqa: ANN401  (any JSON)
        """Do something that may be done twice without harm; errors as for `get`."""
        for attempt in range(self.attempts):
            try:
                return self.once(method, path, **content)
            except UnreachableError:
                if attempt == self.attempts - 1:
                    raise
                self.wait(attempt)
        raise InputError("There are no attempts; allow at least one.")

    def remove(self, path: str) -> None:
        """Delete something that may be gone already; errors as for `get`."""
        with suppress(MissingError):
            self.patiently("DELETE", path)

    def wait(self, attempt: int) -> None:
        """Pause after a failed attempt, counted from 0."""
        time.sleep(min(self._pause * 2**attempt, _LONGEST_PAUSE))

    def once(self, method: str, path: str, **content: Any) -> Any:  # noqa: ANN401  (any JSON)
        """Do something once, such as a POST that must not be sent twice; errors as for `get`."""
        answer = self._send(method, path, **content)
        if answer.status_code == 401 and self._personal:
            self._access = ""  # it lives for five minutes
            answer = self._send(method, path, **content)
        self._judge(answer, f"{method} {path}")
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise self._stranger() from None

    def fetch(self, url: str) -> bytes | None:
        """A file that a task names; None if it is not there. The token goes to this server only."""
        own = url.startswith(("/", f"{self.url}/"))
        if not own and not url.startswith(("http://", "https://")):
            return None
        try:
            if own:
                request = self._http.stream("GET", url.removeprefix(self.url), headers=self._credentials())
            else:
                request = httpx.stream("GET", url, timeout=30, follow_redirects=True)
            with request as answer:
                return _within_limit(answer) if answer.status_code == 200 else None
        except (ServerError, httpx.HTTPError, httpx.InvalidURL):
            return None

    def tasks(
        self, project: int, *, include: Sequence[str], filters: Sequence[Mapping[str, Any]] = ()
    ) -> Iterator[dict[str, Any]]:
        """The tasks of a project, by number.

        Args:
            project: Its number.
            include: What is wanted of a task, such as `data`; annotations and predictions come with masks.
            filters: Conditions of the data manager, all of which must hold.

        Raises:
            ServerError: See `get`.
        """
        query: dict[str, Any] = {"ordering": ["tasks:id"]}
        if filters:
            query["filters"] = {"conjunction": "and", "items": list(filters)}
        whole = not _HEAVY.isdisjoint(include)
        # The server applies the choice to annotations too, which then come without their regions.
        choice = {} if "annotations" in include else {"include": ",".join(("id", *include))}
        page, size = 1, _PAGE if whole else 10 * _PAGE
        while True:
            found = self.get(
                "/api/tasks/",
                project=project,
                query=json.dumps(query),
                fields="all" if whole else "task_only",
                page=page,
                page_size=size,
                resolve_uri="false",
                **choice,
            )
            try:
                tasks, total = list(found["tasks"]), int(found["total"])
            except (KeyError, TypeError, ValueError):
                raise self._stranger() from None
            yield from tasks
            if page * size >= total or not tasks:
                return
            page += 1

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401  (see httpx)
        return self._exchange(method, path, headers=self._credentials(), **content)

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._bearer()}" if self._personal else f"Token {self._token}"}

    def _bearer(self) -> str:
        if not self._access:
            answer = self._exchange("POST", "/api/token/refresh/", json={"refresh": self._token})
            self._judge(answer, "POST /api/token/refresh/")
            try:
                self._access = str(answer.json()["access"])
            except (ValueError, KeyError, TypeError):
                raise self._stranger() from None
        return self._access

    def _exchange(self, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401  (see httpx)
        try:
            return self._http.request(method, path, **content)
        except httpx.ConnectError as error:
            raise UnreachableError(
                f"No server answers at {self.url} ({error}); start Label Studio, or check the address."
            ) from None
        except (httpx.TimeoutException, httpx.TransportError) as error:
            raise UnreachableError(
                f"The connection to {self.url} broke off ({type(error).__name__}); do it again to go on."
            ) from None

    def _judge(self, answer: httpx.Response, what: str) -> None:
        """Raise what an answer's status stands for."""
        status = answer.status_code
        if status < 300:
            return
        if status in _BUSY:
            reason = "asks to be left alone (429)" if status == 429 else f"fails with status {status}"
            raise UnreachableError(f"{self.url} {reason} at {what}; run the same again later to go on.")
        if status < 400:
            place = self._hidden(answer.headers.get("location", "elsewhere"))
            raise ServerError(f"{self.url} sends us to {place}; give the address that it ends up at.")
        if status == 401:
            raise ServerError(f"{self.url} does not accept the token; {_HOW}.")
        if status == 403:
            raise ServerError(
                f"The token's owner may not do this at {self.url} ({what}); ask for more rights."
            )
        if status == 404:
            raise MissingError(
                f"{self.url} has nothing at {what}; it may have been deleted, or is of another release."
            )
        # Hidden before it is cut: a part of a token is a secret too.
        said = self._hidden(_reason(answer))[:400].rstrip(".")
        raise ServerError(f"{self.url} refuses {what} with status {status}: {said}.")

    def _hidden(self, said: str) -> str:
        """What a server or a proxy says, which may echo what it was sent, without the token."""
        for secret in filter(None, (self._token, self._access)):
            said = said.replace(secret, "[token]")
        return said

    def _stranger(self) -> ServerError:
        return ServerError(f"What answers at {self.url} is no Label Studio server; give the address of one.")


class MissingError(ServerError):
    """What was asked for is not on the server."""


def _within_limit(answer: httpx.Response) -> bytes | None:
    """The body of an answer that is being read; None where it is larger than an image can be."""
    data = bytearray()
    for part in answer.iter_bytes():
        data += part
        if len(data) > MAX_BYTES:
            return None
    return bytes(data)


def _reason(answer: httpx.Response) -> str:
    """What the server says, on one line."""
    try:
        said = answer.json()
    except ValueError:
        return " ".join(answer.text.split()) or "no reason given"
    if isinstance(said, dict):
        said = said.get("validation_errors") or said.get("detail") or said
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return " ".join(text.split())
