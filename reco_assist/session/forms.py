"""What the keys of a session may hold, checked before it is believed: a log may come from anybody."""

import math
import re
from collections.abc import Callable
from typing import Any

from reco_assist.annotations import LookAt
from reco_assist.image_files import MAX_PIXELS
from reco_assist.session.records import STATES

Form = Callable[[Any], bool]

_LARGEST = 2**63 - 1  # of a time in nanoseconds


def _text(value: Any) -> bool:  # noqa: ANN401  (any JSON value)
    return isinstance(value, str)


def _flag(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, bool)


def _integer(least: int = -_LARGEST - 1, most: int = _LARGEST) -> Form:
    return lambda value: type(value) is int and least <= value <= most


def _share(value: Any) -> bool:  # noqa: ANN401
    return type(value) in {int, float} and math.isfinite(value) and 0 <= value <= 1


def _hash(value: Any) -> bool:  # noqa: ANN401
    """It becomes part of the names of files."""
    return isinstance(value, str) and re.fullmatch("[0-9A-Za-z]{1,128}", value) is not None


def _one_of(*values: str) -> Form:
    return lambda value: isinstance(value, str) and value in values


def _list(form: Form, count: int | None = None) -> Form:
    return lambda value: (
        isinstance(value, list | tuple) and count in {None, len(value)} and all(form(one) for one in value)
    )


def _mark(value: Any) -> bool:  # noqa: ANN401
    return _list(lambda _: True, 2)(value) and _text(value[0]) and _integer(-1, 1)(value[1])


def _map(form: Form) -> Form:
    return lambda value: isinstance(value, dict) and all(map(_text, value)) and all(map(form, value.values()))


def _record(needed: dict[str, Form], **optional: Form) -> Form:
    forms = {**needed, **optional}
    return lambda value: (
        isinstance(value, dict)
        and needed.keys() <= value.keys() <= forms.keys()
        and all(forms[key](part) for key, part in value.items())
    )


def _or_none(form: Form) -> Form:
    return lambda value: value is None or form(value)


def _image(value: Any) -> bool:  # noqa: ANN401
    return _IMAGE(value) and value["width"] * value["height"] <= MAX_PIXELS


_SIDE = _integer(1, MAX_PIXELS)
_IMAGE = _record({"file_name": _text, "content_hash": _hash, "width": _SIDE, "height": _SIDE})
_RLE = _record({"height": _SIDE, "width": _SIDE, "counts": lambda value: isinstance(value, str | bytes)})
_EXAMPLE = _record(
    {"path": _text, "content_hash": _text, "box": _list(_integer(), 4)}, mask=_or_none(_RLE), negative=_flag
)
_PLAN = _record(
    {
        "name": _text,
        "k": _integer(),
        "examples": _list(_EXAMPLE),
        "contexts": _list(_text),
        "added": _list(_text),
        "dropped": _list(_text),
        "marks": _list(_mark),
        "begun": _flag,
    },
    swapped=_flag,
    method=_one_of("assist", "paper"),
)
_FINDING = _record(
    {"digest": _text, "present": _flag, "probability": _share, "doubt": _share},
    disagreement=_share,
    rivals=_text,
    looks=_list(LookAt.fits),
)
_RESULT = _record(
    {"image": _image, "path": _text, "fingerprint": _integer(0, 2**64 - 1), "findings": _map(_FINDING)},
    look=_text,
)

_KEYS: dict[str, Form] = {
    "concepts": _list(_text),
    "draft": _PLAN,
    "active": _text,
    "targets": _text,
    "student": _text,
    "order": _one_of("doubt", "gain"),
    "categories": _map(_integer(1)),
    "label studio": _map(_text),
}
_FAMILIES: dict[str, Form] = {
    "plan/": _PLAN,
    "result/": _RESULT,
    "file/": _record({"hash": _hash, "stamp": _list(_integer())}),
    "review/": _record({"state": _one_of(*STATES), "when": _integer(0)}),
    "mask/": _record({"threshold": _integer(1, 255), "strokes": _text}),
    "learnt/": _text,
}


def fits(key: str, value: Any) -> bool:  # noqa: ANN401
    """Whether a key may hold a value; those that this release does not know may hold anything.

    Args:
        key: Of the session's store.
        value: JSON; None, which stands for no value, always fits.
    """
    form = _KEYS.get(key) or _FAMILIES.get(key[: key.find("/") + 1])
    if form is None or value is None:
        return True
    named = key.startswith("result/") and form(value)
    return (value["image"]["content_hash"] == key.removeprefix("result/")) if named else form(value)
