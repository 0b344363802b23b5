"""The fields of a COCO data set: which forms are accepted, and what each becomes. One table says it all.

A record whose fields have their plain forms is kept as it is, to the letter; of others a copy is made. What
the table does not name is kept too, but for numbers that JSON does not have.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reco_assist.annotations import LookAt
from reco_assist.errors import FormatError
from reco_assist.formats.regions import has_mask, rings


class _RefusedError(ValueError):
    """A value has none of the accepted forms."""


class _Recomputed:
    """Stands for a value that is no number and can be taken from the mask."""


RECOMPUTED = _Recomputed()

_LONGEST = 255  # bytes of a name, on any disk


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the table.

    Attributes:
        name: Of the field.
        accepted: The accepted forms, as the sentence of a refusal says them.
        becomes: What other forms than the plain one become, in words.
        read: The plain value of a value; raises `ValueError` where it has none of the forms.
        needed: Whether a record without the field is refused.
    """

    name: str
    accepted: str
    becomes: str
    read: Callable[[Any], Any]
    needed: bool = False

    def of(self, record: Mapping[str, Any]) -> Any:  # noqa: ANN401  (any plain value)
        """The plain value of a record's field.

        Raises:
            FormatError: It has none of the accepted forms: the end of a sentence about the record.
        """
        if self.name not in record:
            raise FormatError(f"has no {self.name}: give {self.accepted}")
        value = record[self.name]
        try:
            return self.read(value)
        except (ValueError, OverflowError):
            raise FormatError(f"has the {self.name} {cut(value)}: give {self.accepted}") from None


def cut(value: object, most: int = 40) -> str:
    """A value as a sentence can hold it."""
    said = repr(value)
    return said if len(said) <= most else said[: most - 3] + "..."


def listed(names: Iterable[str], most: int = 80) -> str:
    """Names as a sentence can hold them."""
    said = ", ".join(names)
    return said if len(said) <= most else said[: most - 3] + "..."


def whole(value: Any) -> int:  # noqa: ANN401  (whatever a file holds)
    """A whole number: 64, 64.0 or "64"."""
    match value:
        case bool():
            raise _RefusedError
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if re.fullmatch(r"\s*[+-]?[0-9]{1,18}(\.0*)?\s*", value):
            return int(value.partition(".")[0])
    raise _RefusedError(f"{cut(value)} is no whole number")


def number(value: Any) -> float:  # noqa: ANN401
    """A finite number, or its text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _RefusedError(f"{cut(value)} is no number")
    found = float(value) if isinstance(value, str) else value
    if not math.isfinite(found):
        raise _RefusedError(f"{cut(value)} is no finite number")
    return found


def _side(value: Any) -> int:  # noqa: ANN401
    side = whole(value)
    if side < 1:
        raise _RefusedError
    return side


def _id(value: Any) -> int | str:  # noqa: ANN401
    return value if isinstance(value, str) and value else whole(value)


def _own_id(value: Any) -> int | str | None:  # noqa: ANN401
    return None if value is None else _id(value)


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str) and value.strip():
        return value
    return str(whole(value))


def _file(value: Any) -> str:  # noqa: ANN401
    name = _text(value)
    if "\0" in name or any(
        len(part.encode(errors="replace")) > _LONGEST for part in re.split(r"[/\\]", name)
    ):
        raise _RefusedError
    return name


def _flag(value: Any) -> int | bool:  # noqa: ANN401
    if isinstance(value, bool):
        return value
    if value is None or value in ("false", "False"):
        return 0
    flag = 1 if value in ("true", "True") else whole(value)
    if flag not in (0, 1):
        raise _RefusedError
    return flag


def _score(value: Any) -> float | None:  # noqa: ANN401
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return number(value)


def _area(value: Any) -> float | _Recomputed:  # noqa: ANN401
    try:
        return number(value)
    except ValueError:
        return RECOMPUTED


def _box(value: Any) -> Any:  # noqa: ANN401
    if value is None or value == []:
        return value
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise _RefusedError
    try:
        plain = [number(one) for one in value]
    except ValueError:
        return RECOMPUTED
    return value if all(new is old for new, old in zip(plain, value, strict=True)) else plain


def _segmentation(value: Any) -> Any:  # noqa: ANN401
    if not has_mask(value):
        return value
    if isinstance(value, Mapping):
        if "size" not in value or not isinstance(value.get("counts"), str | bytes | list):
            raise _RefusedError
        return finite(value)
    rings(value)
    return value


def _verdicts(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, Mapping):
        raise _RefusedError
    for verdict in value.values():
        if not isinstance(verdict, Mapping) or not isinstance(verdict.get("present"), bool):
            raise _RefusedError
        looks = verdict.get("looks", [])
        if not isinstance(looks, list) or not all(map(LookAt.fits, looks)):
            raise _RefusedError
        if not isinstance(chance := verdict.get("probability"), int | float) or not 0 <= chance <= 1:
            raise _RefusedError
    return value


def _hash(value: Any) -> str | None:  # noqa: ANN401
    if value is not None and not isinstance(value, str):
        raise _RefusedError
    return value


_KEPT = "kept as it is"
_WHOLE = "64.0 and '64' become 64"

FIELDS: Mapping[str, tuple[Field, ...]] = {
    "images": (
        Field("id", "a whole number or a text, once", "1.0 becomes 1", _id, needed=True),
        Field(
            "file_name",
            "a text whose parts have up to 255 bytes",
            "a number becomes its text",
            _file,
            needed=True,
        ),
        Field("height", "a whole number of pixels from 1", _WHOLE, _side, needed=True),
        Field("width", "a whole number of pixels from 1", _WHOLE, _side, needed=True),
        Field("reco_hash", "a text", _KEPT, _hash),
        Field("license", "a whole number or a text", "null is none", _own_id),
        Field("reco_verdicts", "present and probability, 0 to 1, for each concept", _KEPT, _verdicts),
    ),
    "categories": (
        Field("id", "a whole number or a text, once", "1.0 becomes 1", _id, needed=True),
        Field("name", "a text", "a number becomes its text", _text, needed=True),
        Field("reco_query", "a text", "a number becomes its text", _text),
    ),
    "licenses": (
        Field(
            "id", "a whole number or a text, once", "null or nothing becomes the next free number", _own_id
        ),
    ),
    "annotations": (
        Field(
            "id", "a whole number or a text, once", "null or nothing becomes the next free number", _own_id
        ),
        Field("image_id", "the id of an image that is listed", "1.0 and '1' become 1", _id, needed=True),
        Field("category_id", "the id of a category that is listed", "1.0 and '1' become 1", _id, needed=True),
        Field(
            "segmentation",
            "an RLE with size and counts, or lists of finite numbers x1, y1, x2, y2 ...",
            "null, [] and [[]] are no mask: the box counts",
            _segmentation,
        ),
        Field(
            "bbox", "x, y, width and height, finite numbers", "what is no number is taken from the mask", _box
        ),
        Field("area", "a number", "what is no number is taken from the mask", _area),
        Field("iscrowd", "0 or 1", "null becomes 0", _flag),
        Field("ignore", "0 or 1, the same as iscrowd", "null becomes 0", _flag),
        Field("score", "a number", "null and NaN are no score", _score),
    ),
}
"""The fields of each part that are looked at, in the order in which they are."""


def finite(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """A value with null in place of the numbers that JSON does not have; itself where it has none."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case list():
            new = [finite(one) for one in value]
            return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
        case dict():
            named = {key: finite(one) for key, one in value.items()}
            return named if any(named[key] is not value[key] for key in value) else value
    return value


def file_name(said: str) -> str:
    """The name of an image or a file as a list of another tool has it, by the row of the table.

    Raises:
        FormatError: It can be the name of none: the end of a sentence about the list.
    """
    return str(field_of("images", "file_name").of({"file_name": said}))


def field_of(part: str, name: str) -> Field:
    """The row of the table about a field of a part's records."""
    return next(one for one in FIELDS[part] if one.name == name)
