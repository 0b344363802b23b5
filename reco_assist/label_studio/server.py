"""Talking to a Label Studio server: its two kinds of token, its refusals, and patience.

Source: https://api.labelstud.io. The vendor's SDK is not used here: it cannot upload files, it sends a POST
again by itself although the server does not notice that, and answers with dicts or models as it happens.
Whatever answers is bounded: an exchange by `exchange`, a list by its number of tasks, its form by `forms`.
"""

import json
import logging
import os
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from reco_assist.errors import FormatError, InputError, ServerError, UnreachableError, short
from reco_assist.json_files import parse_json
from reco_assist.label_studio import foreign, forms
from reco_assist.label_studio.exchange import (
    ExchangeError,
    Line,
    RefusedError,
    Reply,
    TooLargeError,
    proxy_for,
)
from reco_assist.label_studio.forms import ANYTHING, Form
from reco_assist.label_studio.refusals import NEW_TOKEN, TOKEN, MissingError, OversizedError, judge, stranger

_LONGEST_PAUSE = 30.0  # seconds
ANSWER_LIMIT = 32 << 20
"""Bytes of an unpacked answer; pages of tasks are made smaller until they fit."""

IMAGE_LIMIT = 256 << 20
"""Bytes of an image that is fetched."""

_LISTS = 1_000_000  # and objects in an answer: an empty one takes thirty times the memory that it has letters
_TASKS = 1_000_000  # of a project
_PAGE = 32  # tasks of one answer, where they come with masks; a power of two, so that it can be halved
_HEAVY = {"annotations", "predictions"}
_ADDRESS = 100  # letters of a server's address, which errors quote
_ESCAPED = re.compile(rb"\\u[dD][89abAB]")
_log = logging.getLogger("reco_assist")


class Server:
    """A Label Studio server. Its token is held in memory only and shown nowhere.

    Args:
        url: Its address, as in the browser.
        token: A personal access token or a legacy token; that of the environment if None.
        attempts: How often something is asked for before giving up.
        pause: Seconds before the second attempt; each further one waits twice as long.
        timeout: Seconds after which an attempt has failed that has no whole answer.

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
        self._host = _host(self.url)
        self._token = (token or os.environ.get(TOKEN, "")).strip()
        if not self._token.isascii() or not self._token:
            raise InputError(f"There is no token for {self.url}; {NEW_TOKEN}.")
        # A personal access token is a JWT that only buys short-lived ones; a legacy token is hexadecimal.
        self._personal = self._token.count(".") == 2
        self._access = ""
        self._spent: deque[str] = deque(maxlen=8)  # what was bought before, which a server may still repeat
        self._secrets = {self._token}
        self.attempts = attempts
        self._pause = pause
        proxy = proxy_for(self.url)
        try:
            self._line = Line(proxy=proxy, seconds=timeout)
        except ExchangeError as error:
            raise InputError(f"No connection to {self.url}: {short(error)}; mend or unset it.") from None
        if proxy is not None and self.url.startswith("http://"):
            _log.warning(
                "The proxy %s sees the token for %s: use https, or name the server in NO_PROXY.",
                httpx.URL(proxy).host,
                self.url,
            )

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    def hide(self, secret: str) -> None:
        """Keep a secret that the server is sent, beside its own token, out of errors that quote it."""
        self._secrets.add(secret)

    def close(self) -> None:
        """Close the connections."""
        self._line.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str, form: Form = ANYTHING, /, **parameters: object) -> Any:  # noqa: ANN401  (any JSON)
        """Ask for something, again and again until there is an answer.

        Args:
            path: Where, after the server's address.
            form: What the answer must look like, see `forms`.
            **parameters: Of the query.

        Raises:
            ServerError: It is refused, or the answer is of another form or larger than any is.
            UnreachableError: There was no answer in all attempts.
        """
        return self.patiently("GET", path, form, params=parameters)

    def patiently(self, method: str, path: str, form: Form = ANYTHING, /, **content: Any) -> Any:  # noqa: ANN401
        """Do something that may be done twice without harm; arguments and errors as for `get` and `once`."""
        for attempt in range(self.attempts):
            try:
                return self.once(method, path, form, **content)
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

    def once(self, method: str, path: str, form: Form = ANYTHING, /, **content: Any) -> Any:  # noqa: ANN401
        """Do something once, such as a POST that must not be sent twice.

        Args:
            method: As in HTTP.
            path: Where, after the server's address.
            form: What the answer must look like, see `forms`.
            **content: What is sent, as for httpx.

        Raises:
            ServerError: See `get`.
        """
        reply = self._send(method, path, **content)
        if reply.status == 401 and self._personal:
            self._spent.append(self._access)
            self._access = ""  # it lives for five minutes
            reply = self._send(method, path, **content)
        judge(reply, self.url, f"{method} {path}", self._hidden)
        return self._value(reply.body, form)

    def fetch(self, url: str) -> bytes | None:
        """An image that a task names; None if it is not to be had. The token goes to this server only.

        What is on another web server is read from public addresses, and from the host of this server.
        """
        own = url.startswith(("/", f"{self.url}/"))
        if not own and not url.startswith(("http://", "https://")):
            return None
        if not own:
            return foreign.fetch(url, most=IMAGE_LIMIT, friend=self._host)
        place = self.url + url.removeprefix(self.url)
        try:
            reply = self._line.ask("GET", place, most=IMAGE_LIMIT, headers=self._credentials())
        except (ServerError, ExchangeError):
            return None
        return reply.body if reply.status == 200 else None

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
        size = _PAGE if whole else 8 * _PAGE
        done, seen = 0, set[int]()
        while True:
            try:
                found = self.get(
                    "/api/tasks/",
                    forms.tasks(*include),
                    project=project,
                    query=json.dumps(query),
                    fields="all" if whole else "task_only",
                    page=done // size + 1,
                    page_size=size,
                    resolve_uri="false",
                    **choice,
                )
            except OversizedError:
                if size == 1:
                    raise
                size //= 2
                continue
            fresh = [task for task in found["tasks"] if task["id"] not in seen]
            seen.update(task["id"] for task in fresh)
            yield from fresh
            done += size
            if done >= found["total"] or not found["tasks"]:
                return
            if not fresh or done >= _TASKS:
                raise ServerError(
                    f"The list of tasks of project {project} at {self.url} has no end, or more than "
                    f"{_TASKS:,} of them; split the project, or ask whoever runs the server."
                )

    def _send(self, method: str, path: str, **content: Any) -> Reply:  # noqa: ANN401  (see httpx)
        return self._exchange(method, path, headers=self._credentials(), **content)

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._bearer()}" if self._personal else f"Token {self._token}"}

    def _bearer(self) -> str:
        if not self._access:
            reply = self._exchange("POST", "/api/token/refresh/", json={"refresh": self._token})
            judge(reply, self.url, "POST /api/token/refresh/", self._hidden)
            access = str(self._value(reply.body, forms.ACCESS)["access"])
            if not access.isascii() or not access.isprintable():
                raise stranger(self.url)
            self._access = access
        return self._access

    def _exchange(self, method: str, path: str, **content: Any) -> Reply:  # noqa: ANN401  (see httpx)
        try:
            return self._line.ask(method, self.url + path, most=ANSWER_LIMIT, **content)
        except RefusedError as error:
            raise UnreachableError(
                f"No server answers at {self.url} ({short(error)}); start Label Studio, or check the address."
            ) from None
        except TooLargeError as error:
            raise OversizedError(
                f"{self.url} gives {error} to {method} {short(path)}; ask whoever runs the server."
            ) from None
        except ExchangeError as error:
            raise UnreachableError(
                f"The connection to {self.url} broke off ({short(error)}); do it again to go on."
            ) from None

    def _value(self, body: bytes, form: Form) -> Any:  # noqa: ANN401  (any JSON)
        """What an answer says."""
        if body.count(b"[") + body.count(b"{") > _LISTS:
            raise OversizedError(
                f"{self.url} gives an answer of too many parts; ask whoever runs the server."
            )
        try:
            value = parse_json(body.decode(), f"What {self.url} answers") if body else None
            if _ESCAPED.search(body):  # half of a pair is no text, and could not be written to a file
                json.dumps(value, ensure_ascii=False).encode()
        except (FormatError, UnicodeError, RecursionError):
            raise stranger(self.url) from None
        if not forms.fits(value, form):
            raise stranger(self.url)
        return value

    def _hidden(self, said: str) -> str:
        """What a server or a proxy says, which may echo what it was sent, without tokens."""
        for secret in filter(None, (*self._secrets, self._access, *self._spent)):
            for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
                said = said.replace(written, "[token]")
        return said


def _host(url: str) -> str:
    """The host of a server's address.

    Raises:
        InputError: It is no address, or holds a password, which errors and files would show.
    """
    try:
        place = httpx.URL(url)
        good = place.scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except (ValueError, httpx.InvalidURL):
        good = False
    if not good:
        raise InputError(
            f"The server's address is {short(url)!r}; give it as in the browser, http://host:8080."
        )
    if place.userinfo or place.query or place.fragment or len(url) > _ADDRESS:
        raise InputError(
            "The server's address holds a name, a password or a query, or is longer than "
            f"{_ADDRESS} letters; give http://host:8080 alone, and the token by {TOKEN}."
        )
    return place.host
