"""Who may ask the backend: whoever knows the token, by this machine's own name, and no page of a stranger's.

A browser on this machine can be made to ask it by any page that is open: directly, which tells itself by the
page's origin, or by a name of the page's own that leads here (DNS rebinding), which tells itself by the host.
"""

import hmac
from base64 import b64decode
from binascii import Error as BinasciiError
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  (recognised, not listened at)
_OPEN = {"/", "/health"}  # Label Studio asks for these without the token


def refusal(status: int, reason: str) -> JSONResponse:
    """The answer to a request that is not served."""
    return JSONResponse({"detail": reason}, status, {"retry-after": "30"} if status == 503 else None)


class Guard:
    """Refuses requests before anything is read of them.

    Args:
        app: What is guarded.
        token: The secret, shown as a bearer or as the password of basic authentication.
        hosts: Names and addresses, beside those of this machine itself, by which it may be asked.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}
        self._everywhere = not _EVERYWHERE.isdisjoint(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        refused = self._judge(scope) if scope["type"] == "http" else None
        await (self._app if refused is None else refused)(scope, receive, send)

    def _judge(self, scope: Scope) -> JSONResponse | None:
        headers = Request(scope).headers
        host = headers.get("host", "")
        if not self._is_own(_name(host)):
            reason = (
                f"this is not {host[:100]!r}: ask by an address it listens at, or name it by --public-host"
            )
            return refusal(403, reason)
        origin = headers.get("origin", "").lower()
        if origin and origin not in {f"http://{host}".lower(), f"https://{host}".lower()}:
            return refusal(403, f"pages of {origin[:100]!r} may not ask this backend")
        if scope["path"] not in _OPEN and not hmac.compare_digest(_secret(headers), self._token):
            refused = refusal(401, "the token is missing or wrong: send it as a bearer, or as the password")
            refused.headers["www-authenticate"] = 'Basic realm="reco-assist"'
            return refused
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            return refusal(415, f"the content type is {kind[:100]!r}, expected application/json")
        return None

    def _is_own(self, name: str) -> bool:
        """Whether a request by this name is meant for us; numbers cannot be made to lead elsewhere."""
        return name in self._hosts or (self._everywhere and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _secret(headers: Headers) -> bytes:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            return b64decode(value, validate=True).partition(b":")[2]
        except (BinasciiError, ValueError):
            return b""
    # Headers arrive as Latin-1, whatever they were written in.
    return value.encode("latin-1") if kind.lower() == "bearer" else b""
