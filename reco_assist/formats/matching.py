"""Which images of two data sets are the same."""

from collections.abc import Callable

from reco_assist.formats.dataset import Dataset
from reco_assist.formats.names import name_key
from reco_assist.formats.plain import Id, Record


def pair_images(old: Dataset, new: Dataset) -> dict[Id, Id]:
    """The old image of each new one that both data sets have: of its name, or else of its content.

    Args:
        old: One data set.
        new: The other.

    Returns:
        Ids of old images by ids of new ones; no old image is there twice.
    """
    ways: tuple[Callable[[Dataset, Record], str | None], ...] = (
        lambda dataset, image: dataset.name(image),
        lambda dataset, image: name_key(dataset.name(image)),
        lambda _, image: image.get("reco_hash"),
    )
    pairs: dict[Id, Id] = {}
    for way in ways:
        taken = set(pairs.values())
        free: dict[str, list[Id]] = {}
        for number, image in old.images.items():
            if number not in taken and (key := way(old, image)):
                free.setdefault(key, []).append(number)
        for number, image in new.images.items():
            if number not in pairs and (rest := free.get(way(new, image) or "")):
                pairs[number] = rest.pop(0)
    return pairs
