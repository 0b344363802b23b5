"""A COCO document in its plain form: every field as the table of `fields` says, ids unique and resolved."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reco_assist.errors import FormatError, reason
from reco_assist.formats.fields import FIELDS, RECOMPUTED, cut, finite
from reco_assist.formats.regions import has_mask, regions
from reco_assist.masks import Rle, rle

Record = Mapping[str, Any]
Id = int | str
"""COCO's ids are whole numbers; some tools write text, which is kept."""

PARTS = ("images", "annotations", "categories")
_KINDS = {"images": "image", "annotations": "annotation", "categories": "category", "licenses": "license"}


def plain(document: object, source: str) -> Mapping[str, Any]:
    """A document with every value in its plain form; what is plain already is kept, to the letter.

    Raises:
        FormatError: It is no COCO data set, or a value means nothing.
    """
    if not isinstance(document, Mapping) or not all(isinstance(document.get(part), list) for part in PARTS):
        raise FormatError(
            f"{source} is not a COCO data set: expected lists of images, annotations and categories"
        )
    images = _records(document, "images", source)
    categories = _records(document, "categories", source)
    annotations = _records(document, "annotations", source)
    sizes = _sizes(images, source)
    known = {"image_id": _ids(images, "image", source), "category_id": _ids(categories, "category", source)}
    annotations = [_resolved(one, known, source) for one in annotations]
    annotations = [
        _measured(one, sizes[one["image_id"]], source)
        for one in _numbered(annotations, "annotations", source)
    ]
    parts = {"images": images, "annotations": annotations, "categories": categories}
    if "licenses" in document:
        parts["licenses"] = _licences(document, source)
    return {key: parts[key] if key in parts else _finite(value, source) for key, value in document.items()}


def named(one: Record, part: str) -> str:
    """A record as a sentence names it."""
    file = f" ({cut(one['file_name'])})" if "file_name" in one else ""
    return f"{part} {cut(one.get('id'))}{file}"


def _records(document: Mapping[str, Any], part: str, source: str) -> list[Record]:
    return [_record(one, part, _KINDS[part], source) for one in document[part]]


def _licences(document: Mapping[str, Any], source: str) -> list[Record]:
    """The licences, which nothing needs: the list may be empty, and one without an id gets the next."""
    if not document["licenses"]:
        return []
    if not isinstance(document["licenses"], list):
        raise FormatError(f"{source} has {cut(document['licenses'])} as its licenses: give a list of records")
    return _numbered(_records(document, "licenses", source), "licenses", source)


def _record(one: Any, part: str, kind: str, source: str) -> Record:  # noqa: ANN401  (whatever a file holds)
    if not isinstance(one, Mapping):
        raise FormatError(f"{source} has {cut(one)} among its {part}: give records with fields")
    changed: dict[str, Any] = {}
    for field in FIELDS[part]:
        if field.needed or field.name in one:
            try:
                value = field.of(one)
            except FormatError as error:
                raise FormatError(f"{named(one, kind)} of {source} {error}") from None
            if value is not one[field.name]:
                changed[field.name] = value
    names = _NAMES[part]
    for key, value in one.items():
        if key not in names and type(value) not in (str, int, bool, type(None)):
            new = _finite(value, source)
            if new is not value:
                changed[key] = new
    return {**one, **changed} if changed else one


_NAMES = {part: {field.name for field in fields} for part, fields in FIELDS.items()}


def _finite(value: object, source: str) -> object:
    try:
        return finite(value)
    except RecursionError:
        raise FormatError(f"{source} is nested too deeply: give a file that a tool wrote") from None


def _ids(records: list[Record], kind: str, source: str) -> dict[Id, Id]:
    """The id that each way of writing it means."""
    found: dict[Id, Id] = {}
    for one in records:
        if one["id"] in found:
            raise _twice(one["id"], kind, source)
        found[one["id"]] = one["id"]
    for number in list(found):
        found.setdefault(_other_way(number), number)
    return found


def _other_way(number: Id) -> Id:
    """A number as its text; a number's text as the number."""
    if isinstance(number, int):
        return str(number)
    return int(number) if number.isascii() and number.isdecimal() and str(int(number)) == number else number


def _twice(number: Id, kind: str, source: str) -> FormatError:
    return FormatError(
        f"the id {cut(number)} is that of two records, {kind} both, in {source}: make it unique"
    )


def _sizes(images: list[Record], source: str) -> dict[Id, tuple[int, int]]:
    """Height and width of each image."""
    for one in images:
        try:
            rle.check_size(one["height"], one["width"])
        except FormatError as error:
            said = reason(error, 200)
            raise FormatError(f"{named(one, 'image')} of {source} has no usable size: {said}") from None
    return {one["id"]: (one["height"], one["width"]) for one in images}


def _resolved(one: Record, known: Mapping[str, Mapping[Id, Id]], source: str) -> Record:
    changed = {}
    for field, ids in known.items():
        if one[field] not in ids:
            raise FormatError(
                f"{named(one, 'annotation')} of {source} has the {field} {cut(one[field])}, which is "
                "not listed: add it, or leave the annotation out"
            )
        if ids[one[field]] != one[field]:
            changed[field] = ids[one[field]]
    return {**one, **changed} if changed else one


def _numbered(records: list[Record], part: str, source: str) -> list[Record]:
    """Records that all have an id, once."""
    taken: set[Id] = set()
    for one in records:
        number = one.get("id")
        if number in taken:
            raise _twice(number, part, source)
        if number is not None:
            taken.add(number)
    take = free_ids(taken)
    return [one if one.get("id") is not None else {**one, "id": take(None)} for one in records]


def _measured(one: Record, size: tuple[int, int], source: str) -> Record:
    """An annotation whose box and area are numbers, taken from its mask where they were none."""
    lost = [key for key in ("bbox", "area") if one.get(key) is RECOMPUTED]
    if not lost:
        return one
    if "bbox" in lost and not has_mask(one.get("segmentation")):
        raise FormatError(
            f"{named(one, 'annotation')} of {source} has neither a mask nor a box of finite numbers: give one"
        )
    [mask] = masked([one], [size], source)
    taken = {"bbox": list(rle.bbox(mask)), "area": rle.area(mask)}
    return {**one, **{key: taken[key] for key in lost}}


def masked(annotations: Sequence[Record], sizes: Sequence[tuple[int, int]], source: str) -> list[Rle]:
    """The pixels of annotations; see `regions.regions`.

    Raises:
        FormatError: A mask is damaged, in a sentence that names file and annotation.
    """
    try:
        return regions(annotations, sizes)
    except (FormatError, OverflowError) as error:
        if len(annotations) > 1:  # one after the other, to find which it is
            return [masked([one], [size], source)[0] for one, size in zip(annotations, sizes, strict=True)]
        raise FormatError(
            f"{named(annotations[0], 'annotation')} of {source} has no usable mask ({reason(error, 140)}): "
            "write it anew, or leave it out"
        ) from error


def free_ids(taken: Iterable[Id]) -> Callable[[Id | None], Id]:
    """Gives each wanted id if nobody has it, else the next number above all of them."""
    used = set(taken)
    highest = max((one for one in used if isinstance(one, int)), default=0)

    def take(wanted: Id | None) -> Id:
        nonlocal highest
        given = highest + 1 if wanted is None or wanted in used else wanted
        used.add(given)
        if isinstance(given, int):
            highest = max(highest, given)
        return given

    return take
