"""The queue of a review: every segmented image in its place, kept in order from one decision to the next."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from reco_assist.session.freshness import Freshness
from reco_assist.session.order import review_order, unpack_looks
from reco_assist.session.progress import Progress, figures
from reco_assist.session.records import STATES, Result, Review, State
from reco_assist.session.session import Session

_PARTED = 500  # images that are parted by their looks
_STEP = 100  # decisions after which these are chosen anew
_OF_AN_IMAGE = ("review/", "result/")  # keys that go on with a content hash
_OF_FRESHNESS = {"plan", "learnt", "student"}  # what they change is which masks are out of date
_OF_NEITHER = {
    *("mask", "file", "targets", "active", "draft", "order"),
    *("export", "pushed", "pulled", "categories", "label studio"),
}
# Keys of other kinds change what all images depend on.
_KNOWN = {"review", "result"} | _OF_FRESHNESS | _OF_NEITHER
_PENDING = 1

Place = tuple[int, float, str, int]
"""Part of the queue (0 decided, 1 pending, 2 skipped), place in it, file name, and position among results."""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One image of the queue.

    Attributes:
        result: The segmented target.
        state: Of the image: pending while any of its concepts is.
        doubt: Of its least certain concept that is still open.
        gain: How much its review may teach: the largest doubt or disagreement about a concept that is open.
        when: Number of its last decision.
    """

    result: Result
    state: State
    doubt: float
    gain: float
    when: int

    @property
    def content_hash(self) -> str:
        """Of the image."""
        return self.result.image.content_hash

    @property
    def chance(self) -> float:
        """Probability that any concept is in the image."""
        return max((finding.probability for finding in self.result.findings.values()), default=0.0)


class ReviewQueue:
    """All segmented images: those decided as they were decided, then the open ones in the session's order.

    Skipped ones come last, so that they are met again once the rest is done. A change of one image moves that
    image alone; when concepts come and go, all of them are looked at again.

    Args:
        session: What is reviewed; every reading below is of what it says at that time.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._count = -1
        self._fresh: Freshness | None = None  # until somebody asks what is out of date
        self._outdated: dict[str, tuple[str, ...]] = {}  # as of that
        self._begin()

    @property
    def items(self) -> list[ReviewItem]:
        """In the order of the review; a list of one's own."""
        with self._session.store.mutex:
            self._follow()
            first, last = self._pending
            return [*self._items[:first], *self._still_open(), *self._items[last:]]

    @property
    def states(self) -> bytes:
        """The state of each item, in their order, as positions in `STATES`."""
        with self._session.store.mutex:
            self._follow()
            return bytes(self._states)

    @property
    def progress(self) -> Progress:
        """Figures about the review."""
        with self._session.store.mutex:
            self._follow()
            return figures(np.array(self._states), np.array(self._chances))

    @property
    def outdated(self) -> dict[str, tuple[str, ...]]:
        """Concepts whose masks were made before something changed, by the content hash of their image."""
        with self._session.store.mutex:
            self._follow()
            if self._fresh is None:
                self._fresh = fresh = Freshness(self._session)
                found = {item.content_hash: fresh.outdated(item.result) for item in self._items}
                self._outdated = {content_hash: names for content_hash, names in found.items() if names}
            return dict(self._outdated)

    def position(self, content_hash: str) -> int | None:
        """Where an image is in the order; None where it is not."""
        with self._session.store.mutex:
            self._follow()
            place = self._places.get(content_hash)
            if place is None:
                return None
            if place[0] == _PENDING and self._session.order == "gain":
                hashes = [item.content_hash for item in self._still_open()]
                return self._pending[0] + hashes.index(content_hash)
            return bisect_left(self._order, place)

    def next_open(self, after: str = "") -> str:
        """The first image of the order that is pending, else one that was skipped, else the last decided.

        Args:
            after: Content hash of an image that is not meant, unless there is no other.

        Returns:
            A content hash; empty where there is no image.
        """
        with self._session.store.mutex:
            self._follow()
            last = self._pending[1]
            for item in [*self._still_open()[:2], *self._items[last : last + 2], *self._items[-1:]]:
                if item.content_hash != after and (item.state in {"pending", "skipped"} or not after):
                    return item.content_hash
            return after

    @property
    def _pending(self) -> tuple[int, int]:
        """Where the pending items begin and end."""
        return bisect_left(self._order, (_PENDING,)), bisect_left(self._order, (_PENDING + 1,))

    def _follow(self) -> None:
        """Look at what has changed since the last time."""
        store = self._session.store
        touched = store.touched(self._count)
        self._count = store.count
        kinds = {key.partition("/")[0] for key in touched or ()}
        if touched is None or not kinds <= _KNOWN:
            self._begin()
            return
        if kinds & _OF_FRESHNESS:
            self._fresh = None
        for content_hash in sorted({key.split("/")[1] for key in touched if key.startswith(_OF_AN_IMAGE)}):
            self._renew(self._session.result(content_hash))

    def _begin(self) -> None:
        """Look at everything."""
        session = self._session
        self._count = session.store.count
        self._names = session.concepts
        self._fresh = None
        self._places: dict[str, Place] = {}  # by content hash
        found = [self._item(result) for result in session.results() if self._is_meant(result)]
        for item in found:
            self._places[item.content_hash] = _place(item, len(self._places))
        self._items = sorted(found, key=lambda item: self._places[item.content_hash])
        self._order = sorted(self._places.values())
        self._states = bytearray(STATES.index(item.state) for item in self._items)
        self._chances = array("d", (item.chance for item in self._items))
        self._taught, self._made = list[ReviewItem](), 0

    def _renew(self, result: Result) -> None:
        """Take an image from its place and put it where it belongs now."""
        if not self._is_meant(result):
            return
        item, number = self._item(result), len(self._places)
        if (place := self._places.get(item.content_hash)) is not None:
            at, number = bisect_left(self._order, place), place[3]
            del self._order[at], self._items[at], self._states[at], self._chances[at]
        self._places[item.content_hash] = place = _place(item, number)
        at = bisect_left(self._order, place)
        self._order.insert(at, place)
        self._items.insert(at, item)
        self._states.insert(at, STATES.index(item.state))
        self._chances.insert(at, item.chance)
        if self._fresh is not None:
            self._outdated.pop(item.content_hash, None)
            if names := self._fresh.outdated(result):
                self._outdated[item.content_hash] = names
        if item.state == "pending":
            self._taught = []

    def _is_meant(self, result: Result) -> bool:
        return any(name in result.findings for name in self._names)

    def _still_open(self) -> list[ReviewItem]:
        """The pending items in the session's order: by doubt, or so that those come first that teach most.

        What was decided since that order was made is like what came first in it: the rest of it stays.
        """
        first, last = self._pending
        if self._session.order == "doubt":
            return self._items[first:last]
        left = [item for item in self._taught if self._places[item.content_hash][0] == _PENDING]
        if len(left) != last - first or self._made - len(left) >= _STEP:
            ranked = sorted(self._items[first:last], key=lambda item: -item.gain)  # stable
            near, self._made = ranked[:_PARTED], len(ranked)
            order = review_order(
                [item.gain for item in near],
                unpack_looks([item.result.look for item in near]),
                seen=unpack_looks([item.result.look for item in self._items[:first]]),
            )
            left = [near[place] for place in order] + ranked[_PARTED:]
        self._taught = left
        return left

    def _item(self, result: Result) -> ReviewItem:
        session, digest = self._session, result.image.content_hash
        names = [name for name in self._names if name in result.findings]
        reviews = {name: session.review(digest, name) for name in names}
        still = [result.findings[name] for name in names if not reviews[name].decided]
        return ReviewItem(
            result,
            _state(list(reviews.values())),
            max((one.doubt for one in still), default=0.0),
            max((max(one.doubt, one.disagreement) for one in still), default=0.0),
            max((review.when for review in reviews.values()), default=0),
        )


def _place(item: ReviewItem, number: int) -> Place:
    name = item.result.image.file_name
    if item.state == "pending":
        return _PENDING, -item.doubt, name, number
    if item.state == "skipped":
        return _PENDING + 1, item.when, name, number
    return _PENDING - 1, item.when, "", number


def _state(reviews: list[Review]) -> State:
    """One state for an image: what is open comes first, then the best that was said."""
    found = {review.state for review in reviews}
    order: tuple[State, ...] = ("pending", "skipped", "accepted", "rejected", "absent")
    return next((state for state in order if state in found), "pending")
