"""Merge a data set into another one, whose ids, records and order stay as they are."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from reco_assist.errors import InputError
from reco_assist.formats import Dataset, is_crowd
from reco_assist.formats.matching import pair_images, pair_masks
from reco_assist.formats.plain import Id, Record, free_ids
from reco_assist.formats.stream import dumps
from reco_assist.masks import rle

Mode = Literal["add", "correct"]


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged data set and what became of the new one's records.

    Attributes:
        dataset: The result.
        images: New images that were added.
        matched: Images that both had.
        added: Masks that were added, by concept.
        known: Masks that the base had already, by concept.
        changed: Masks of the base that were replaced by their correction, by concept.
        removed: Masks of the base that the correction took away, by concept.
    """

    dataset: Dataset
    images: int
    matched: int
    added: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)


def merge(base: Dataset, new: Dataset, *, mode: Mode = "add", prefix: str = "") -> Merged:
    """Merge a data set into another. Merging the same one again changes nothing.

    Categories are the same by name, images by file name or content. New records keep their ids where those
    are free and get the next free ones otherwise; no id of the base changes. New masks without a pixel are
    left out.

    Args:
        base: Somebody's data set.
        new: What is to be added to it.
        mode: add: masks are added unless the base has the very same. correct: in the images of `new` its
            masks take the place of the base's, for the concepts that `new` judges there, unless they cover
            the same pixels in all; a corrected mask keeps the id and the other fields of the one it corrects.
            Crowds of the base stay.
        prefix: Put before the file names of `new`: "val/" where the base says "val/a.jpg" and `new` "a.jpg".
            Names that are added have their clean form: relative to the data set, with slashes.

    Raises:
        InputError: An image has another size in the two data sets.
        FormatError: A mask that must be compared is damaged.
    """
    new = new.drawn.prefixed(prefix)
    pairs = pair_images(base, new)
    _check_sizes(base, new, pairs)
    licences, licence_ids = _adopt(
        base, new, "licenses", lambda one: dumps([one.get("name"), one.get("url")])
    )
    categories, category_ids = _adopt(base, new, "categories", lambda one: one["name"], base.concepts)
    take = free_ids(one["id"] for one in base.document["images"])
    images = list(base.document["images"])
    for number, image in new.images.items():
        if number not in pairs:
            pairs[number] = take(number)
            record = {**image, "id": pairs[number]}
            if "license" in record:
                record["license"] = licence_ids.get(record["license"], record["license"])
            images.append(record)
    result = Merged(
        base,
        images=len(images) - len(base.document["images"]),
        matched=len(new.images) - (len(images) - len(base.document["images"])),
    )
    annotations = _annotations(base, new, pairs, category_ids, mode, result)
    document = {**base.document, "images": images, "annotations": annotations, "categories": categories}
    if licences or "licenses" in base.document:
        document["licenses"] = licences
    return Merged(
        replace(base, document=document, checked=True),
        result.images,
        result.matched,
        result.added,
        result.known,
        result.changed,
        result.removed,
    )


def _annotations(
    base: Dataset,
    new: Dataset,
    pairs: Mapping[Id, Id],
    category_ids: Mapping[Id, Id],
    mode: Mode,
    result: Merged,
) -> list[Record]:
    """The base's annotations, corrected where that was asked for, then the new ones."""
    take = free_ids(one["id"] for one in base.document["annotations"])
    fates: dict[Id, Record | None] = {}  # of the base's annotations: their correction, None if removed
    fresh: list[Record] = []
    for number, image in new.images.items():
        olds, news = (
            _grouped(base, base.annotations.get(pairs[number], ())),
            _grouped(new, new.annotations[number]),
        )
        judged = _judged(new, image, news) if mode == "correct" else set()
        for key in [*news, *((name, False) for name in judged if (name, False) not in news)]:
            name, crowd = key
            before, after = olds.get(key, []), news.get(key, [])
            places = pair_masks(base.masks(before), new.masks(after))
            same = {j for _, j, overlap in places if overlap == 1}
            result.known[name] += len(same)
            left = [one for j, one in enumerate(after) if j not in same]
            if (
                mode == "correct"
                and not crowd
                and name in judged
                and not _same_pixels(base, before, new, after)
            ):
                left = _correct(before, after, places, fates)
                result.changed[name] += sum(overlap < 1 for *_, overlap in places)
                result.removed[name] += len(before) - len(places)
            elif mode == "correct" and not crowd and name in judged:
                left = []
            result.added[name] += len(left)
            fresh += [
                {
                    **one,
                    "id": take(one["id"]),
                    "image_id": pairs[number],
                    "category_id": category_ids[one["category_id"]],
                }
                for one in left
            ]
    kept = [fates.get(one["id"], one) for one in base.document["annotations"]]
    return [*(one for one in kept if one is not None), *fresh]


def _correct(
    before: list[Record],
    after: list[Record],
    places: list[tuple[int, int, float]],
    fates: dict[Id, Record | None],
) -> list[Record]:
    """Note what becomes of old annotations; returns the new ones that correct none of them."""
    partner = {i: (j, overlap) for i, j, overlap in places}
    for i, old in enumerate(before):
        if i not in partner:
            fates[old["id"]] = None
        elif partner[i][1] < 1:
            own = {key: old[key] for key in ("id", "image_id", "category_id")}
            fates[old["id"]] = {**old, **after[partner[i][0]], **own}
    corrected = {j for _, j, _ in places}
    return [one for j, one in enumerate(after) if j not in corrected]


def _same_pixels(base: Dataset, before: list[Record], new: Dataset, after: list[Record]) -> bool:
    """Whether annotations cover the same pixels in all: sessions join the instances that touch."""
    return rle.union(base.masks(before)) == rle.union(new.masks(after))


def _judged(new: Dataset, image: Record, news: Mapping[tuple[str, bool], object]) -> set[str]:
    """The concepts that a data set says something about in an image: all, unless it lists its verdicts."""
    verdicts = image.get("reco_verdicts")
    names = set(new.categories.values()) if verdicts is None else set(verdicts)
    return names | {name for name, _ in news}


def _grouped(dataset: Dataset, annotations: Iterable[Record]) -> dict[tuple[str, bool], list[Record]]:
    groups: dict[tuple[str, bool], list[Record]] = defaultdict(list)
    for one in annotations:
        groups[dataset.concept(one), is_crowd(one)].append(one)
    return groups


def _adopt(
    base: Dataset,
    new: Dataset,
    part: str,
    key: Callable[[Record], object],
    preferred: Mapping[Any, Id] | None = None,
) -> tuple[list[Record], dict[Id, Id]]:
    """The base's list with what only the new one has at its end, and the base's id for each new id."""
    records: list[Record] = list(base.document.get(part) or ())
    known: dict[Any, Id] = dict(preferred or {})
    for one in records:
        known.setdefault(key(one), one["id"])
    take = free_ids(one["id"] for one in records)
    ids: dict[Id, Id] = {}
    for one in new.document.get(part) or ():
        if key(one) not in known:
            known[key(one)] = take(one["id"])
            records.append({**one, "id": known[key(one)]})
        ids[one["id"]] = known[key(one)]
    return records, ids


def _check_sizes(base: Dataset, new: Dataset, pairs: Mapping[Id, Id]) -> None:
    for number, partner in pairs.items():
        ours, theirs = new.images[number], base.images[partner]
        if (ours["height"], ours["width"]) != (theirs["height"], theirs["width"]):
            raise InputError(
                f"{ours['file_name']} has {ours['width']} x {ours['height']} pixels in {new.source} and "
                f"{theirs['width']} x {theirs['height']} in {base.source}: they are two pictures; rename one"
            )
