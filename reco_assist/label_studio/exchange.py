"""HTTP exchanges that end, whoever answers: bounded in bytes, in time and in what may be unpacked.

httpx bounds the silence between two bytes, not an answer as a whole, and unpacks whatever it is sent. Here
one clock ends all of an exchange, which therefore runs on an event loop in a thread of its own (a notebook's
main thread has one already), and bodies are unpacked in small steps that are counted.
"""

import asyncio
import os
import ssl
import threading
import urllib.request
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any, TypeVar

import httpx

_STEP = 1 << 16  # bytes that are unpacked at once
_CONNECT = 10  # seconds
_PACKED = {"gzip", "x-gzip"}

T = TypeVar("T")


class ExchangeError(Exception):
    """An exchange came to no good end; its text says why, without what was sent."""


class RefusedError(ExchangeError):
    """No connection was to be had."""


class TooLargeError(ExchangeError):
    """An answer is larger than it may be."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that has ended.

    Attributes:
        status: Its HTTP status.
        location: Where it sends us; empty where it does not.
        body: Its bytes, unpacked.
    """

    status: int
    location: str
    body: bytes


class Line:
    """Connections over which exchanges run, one after another or from several threads.

    Redirects are not followed and no cookie is kept, so that what is sent goes to the address that was asked.

    Args:
        proxy: Address of a proxy; None connects directly, whatever the environment says.
        seconds: After which an exchange is given up.

    Raises:
        ExchangeError: The proxy's address is none, or of a kind that is not installed.
    """

    def __init__(self, *, proxy: str | None = None, seconds: float) -> None:
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._closed = False
        try:
            transport = httpx.AsyncHTTPTransport(proxy=proxy, verify=_authorities())
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ExchangeError(f"the proxy of the environment cannot be used ({error})") from None
        # The clock counts; httpx need not.
        self._http = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(None, connect=_CONNECT))

    def ask(self, method: str, url: str, *, most: int, **content: Any) -> Reply:  # noqa: ANN401  (see httpx)
        """One exchange.

        Args:
            method: As in HTTP.
            url: The whole address.
            most: Bytes of the unpacked answer.
            **content: What is sent, as for httpx.

        Raises:
            ExchangeError: It failed, see its kinds, or took too long, or the connections are closed.
        """
        return self._run(lambda: self._ask(method, url, most, content))

    def close(self) -> None:
        """Close the connections. Closing twice is no harm."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            loop = self._running()
        asyncio.run_coroutine_threadsafe(self._http.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        """The loop, begun by whoever needs it first; the lock is held."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="reco-exchange")
            self._thread.start()
        return self._loop

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        with self._lock:  # several threads may ask at once, and the loop is one
            if self._closed:
                raise ExchangeError("the connection was closed")
            future = asyncio.run_coroutine_threadsafe(work(), self._running())
        try:
            return future.result()
        except BaseException:  # Ctrl-C too: nobody waits for the answer any more
            future.cancel()
            raise

    async def _ask(self, method: str, url: str, most: int, content: dict[str, Any]) -> Reply:
        headers = {"Accept-Encoding": "gzip", **content.pop("headers", {})}
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._http.stream(method, url, headers=headers, **content) as answer,
            ):
                body = await _read(answer, most)
                return Reply(answer.status_code, answer.headers.get("location", ""), body)
        except httpx.ConnectError as error:
            raise RefusedError(_reason(error)) from None
        except TimeoutError:
            raise ExchangeError(f"no whole answer in {self._seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ExchangeError(type(error).__name__) from None  # its text may quote a header
        finally:
            self._http.cookies.clear()


@cache
def _authorities() -> ssl.SSLContext:
    """Whom https trusts, also by the environment's SSL_CERT_FILE; reading it takes a quarter of a second."""
    return httpx.create_ssl_context()


def _reason(error: BaseException) -> str:
    """What the system says about a connection that failed; libraries wrap it, one error for each address."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if cause is not None:
        return _reason(cause)
    number = (error.errno or 0) if isinstance(error, OSError) else 0
    return os.strerror(number) if number > 0 else str(error) or "no connection"


async def _read(answer: httpx.Response, most: int) -> bytes:
    """The body of an answer, unpacked."""
    packing = answer.headers.get("content-encoding", "").strip().lower()
    if packing not in {"", "identity", *_PACKED}:
        raise ExchangeError("an answer that is packed in a way that was not asked for")
    data = bytearray()
    unpack = zlib.decompressobj(31) if packing in _PACKED else None
    async for part in answer.aiter_raw():
        rest = part
        while rest:
            if unpack is None:
                data += rest
                rest = b""
            else:
                try:
                    data += unpack.decompress(rest, _STEP)
                except zlib.error:
                    raise ExchangeError("an answer whose packing is damaged") from None
                rest = unpack.unconsumed_tail
            if len(data) > most:
                raise TooLargeError(f"an answer of more than {most >> 20:,} MiB")
    if unpack is not None and data and not unpack.eof:
        raise ExchangeError("an answer that was cut short")
    return bytes(data)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        address = ip_address(host)
        return address.is_loopback or address.is_unspecified
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address: none for this machine itself.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count, or the system's settings.
    """
    place = httpx.URL(url)
    if is_loopback(place.host) or urllib.request.proxy_bypass(place.host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(place.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
