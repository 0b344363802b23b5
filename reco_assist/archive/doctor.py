"""Check an archive on disk, and mend it by dropping only what can be made again.

The search index and the list of skipped files need no doctor: they are caches, made anew where damaged.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import lance

from reco_assist.archive.archive import TABLE, writing
from reco_assist.archive.header import Header
from reco_assist.archive.table import Row, Shape, Table, open_data, without_panic
from reco_assist.errors import ArchiveError, Damage, reason
from reco_assist.folders import temporary_leftovers
from reco_assist.images import STORES_VARIABLE, address, is_there, unnamed_store

_AGAIN = "drop them by --repair and run 'reco-assist index' again, which adds what is missing"
_ANEW = "restore the folder from a copy, or index the images into a new archive"


def examine_archive(path: str | Path, *, repair: bool = False) -> list[Damage]:
    """Look for damage in an archive.

    Args:
        path: The archive's folder.
        repair: Mend what can be mended. Images whose data cannot be read are dropped from the table; their
            files stay, and indexing them again adds them.

    Returns:
        What is wrong, the worst first; nothing where all is well.

    Raises:
        ArchiveError: There is no archive, its header is unusable, or another process writes to one that is
            to be repaired.
        StorageError: A repair cannot be written.
    """
    folder = Path(path).absolute()
    header = Header.load(folder)
    with writing(folder, "repair it afterwards") if repair else nullcontext():
        return list(_findings(folder, header, repair=repair))


def _findings(folder: Path, header: Header, *, repair: bool) -> Iterator[Damage]:
    try:
        data, schema = open_data(folder / TABLE)
    except (OSError, ValueError) as error:
        yield Damage(f"The table cannot be opened ({reason(error)}).", _ANEW)
        return
    if not schema.equals(header.shape.schema()):
        yield Damage("The table's columns are not those that the header states.", _ANEW)
        return
    yield from _unreadable(data, repair=repair)
    rows = _rows(folder, header.shape)
    yield from _doubled(folder, header.shape, rows, repair=repair)
    places = [Path(row.path) for row in rows]
    yield from _unnamed(places)
    if gone := [address(place) for place in places if not _may_be_there(place)]:
        yield Damage(
            f"{len(gone)} of {len(rows)} files are not where they were, such as {min(gone)}.",
            "connect their drive, index the folder that they were moved to, or forget them by Archive.remove",
        )
    yield from temporary_leftovers(folder, repair=repair)


def _may_be_there(place: Path) -> bool:
    try:
        return bool(unnamed_store(place)) or is_there(place)
    except OSError:  # no name of a store
        return False


def _unnamed(places: Sequence[Path]) -> Iterator[Damage]:
    """Images in stores that only the archive names: it may be somebody else's, so they are not looked for."""
    stores = Counter[str]()
    for place in places:
        with suppress(OSError):  # no name of a store: gone
            stores.update([unnamed_store(place) or ""])
    stores.pop("", None)
    if stores:
        yield Damage(
            f"{stores.total()} of {len(places)} images lie in stores that only the archive names, and were "
            "not looked for.",
            f"set {STORES_VARIABLE}={','.join(sorted(stores)[:3])} where you trust them",
        )


def _unreadable(data: lance.LanceDataset, *, repair: bool) -> Iterator[Damage]:
    """Parts of the table that are damaged; the parts without them are committed as a new version."""
    sound, lost = [], 0
    for fragment in data.get_fragments():
        try:
            with without_panic():
                for _ in fragment.to_batches():
                    pass
            sound.append(fragment.metadata)
        except (OSError, ValueError):
            lost += fragment.metadata.num_rows
    if not lost:
        return
    if repair:
        whole = lance.LanceOperation.Overwrite(data.schema, sound)
        lance.LanceDataset.commit(data.uri, whole, read_version=data.version)
    yield Damage(f"The data of {lost} images cannot be read.", _AGAIN, mended=repair)


def _rows(folder: Path, shape: Shape) -> list[Row]:
    try:
        return list(Table(folder / TABLE, shape).rows())
    except ArchiveError:  # told already, as unreadable parts
        return []


def _doubled(folder: Path, shape: Shape, rows: list[Row], *, repair: bool) -> Iterator[Damage]:
    counts = Counter(row.content_hash for row in rows)
    if doubled := sorted(digest for digest, count in counts.items() if count > 1):
        if repair:
            Table(folder / TABLE, shape).delete(doubled)
        yield Damage(f"{len(doubled)} images are listed more than once.", _AGAIN, mended=repair)
