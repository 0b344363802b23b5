"""What a server's statuses mean, each in a sentence that says what to do."""

import json
from collections.abc import Callable

from reco_assist.errors import FormatError, ServerError, UnreachableError, short
from reco_assist.json_files import parse_json
from reco_assist.label_studio.exchange import Reply

TOKEN = "LABEL_STUDIO_API_KEY"  # noqa: S105  (the name of the variable)
"""The environment variable that holds the token, as for the vendor's SDK."""

NEW_TOKEN = f"take a new one from Account & Settings and set {TOKEN}"
"""What to do without a token, or with one that is not taken."""

_BUSY = {408, 425, 429, 500, 502, 503, 504}
_SENTENCE = 300  # letters
_REASON = 1 << 20  # letters; what is longer gives no reason that anybody reads


class MissingError(ServerError):
    """What was asked for is not on the server."""


class OversizedError(ServerError):
    """An answer is larger than any that we ask for."""


def stranger(url: str) -> ServerError:
    """The error about something else that answers in place of a Label Studio server."""
    return ServerError(f"What answers at {url} is no Label Studio server; give the address of one.")


def judge(reply: Reply, url: str, what: str, hidden: Callable[[str], str]) -> None:
    """Raise what an answer's status stands for.

    Args:
        reply: The answer.
        url: Of the server.
        what: What was asked for.
        hidden: Takes the secrets out of what a server or a proxy says, which may echo what it was sent.

    Raises:
        UnreachableError: It may be asked again.
        MissingError: It is not there.
        ServerError: It is refused otherwise.
    """
    status, what = reply.status, short(what)
    if 200 <= status < 300:
        return
    if status < 200:
        raise stranger(url)
    if status in _BUSY:
        reason = "asks to be left alone (429)" if status == 429 else f"fails with status {status}"
        raise UnreachableError(f"{url} {reason} at {what}; run the same again later to go on.")
    if status < 400:
        place = short(hidden(reply.location or "elsewhere"))
        raise ServerError(f"{url} sends us to {place}; give the address that it ends up at.")
    if status == 401:
        raise ServerError(f"{url} does not accept the token; {NEW_TOKEN}.")
    if status == 403:
        raise ServerError(f"The token's owner may not do this at {url} ({what}); ask for more rights.")
    if status == 404:
        raise MissingError(
            f"{url} has nothing at {what}; it may have been deleted, or is of another release."
        )
    before = f"{url} refuses {what} with status {status}: "
    # Hidden before it is cut: a part of a token is a secret too.
    said = short(hidden(_reason(reply.body)), max(_SENTENCE - 1 - len(before), 40))
    raise ServerError(f"{before}{said.rstrip('.')}.")


def _reason(body: bytes) -> str:
    """What the server says."""
    text = body.decode(errors="replace")
    try:
        said = parse_json(text, "an answer") if len(text) < _REASON else text
    except FormatError:
        said = text
    if isinstance(said, dict):
        said = said.get("validation_errors") or said.get("detail") or said
    if not isinstance(said, str):
        try:
            said = json.dumps(said, ensure_ascii=False)
        except RecursionError:
            said = text
    return said or "no reason given"
