"""How a review goes: what comes next, how much is left, and whether going on pays."""

from dataclasses import dataclass

from reco_assist.session.freshness import Freshness
from reco_assist.session.order import review_order, unpack_looks
from reco_assist.session.records import STATES, Result, Review, State
from reco_assist.session.session import Session

_RECENT = 20
_PARTED = 500  # images that are parted by their looks: a queue is made anew after each decision
_POOR = 0.1  # of the last decisions accepted: below it positives have become rare
_FEW = 0.05  # of the positives so far: when fewer are left, they are not worth the looking


@dataclass(frozen=True, slots=True)
class Card:
    """One image of the queue.

    Attributes:
        result: The segmented target.
        state: Of the image: pending while any of its concepts is.
        doubt: Of its least certain concept that is still open.
        gain: How much its review may teach: the largest doubt or disagreement about a concept that is open.
        when: Number of its last decision.
        outdated: Concepts whose masks were made before something changed.
        open_outdated: Whether one of these is still open.
    """

    result: Result
    state: State
    doubt: float
    gain: float
    when: int
    outdated: tuple[str, ...] = ()
    open_outdated: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Figures about a review.

    Attributes:
        counts: Images by state.
        acceptance: Share of accepted images among the last decided ones, at most 20; None before the first.
        recent: How many those are.
        positives_left: Expected number of images among the undecided ones that will be accepted.
        hint: A sentence when going on is unlikely to pay, else empty.
    """

    counts: dict[State, int]
    acceptance: float | None
    recent: int
    positives_left: float
    hint: str

    @property
    def left(self) -> int:
        """Images without a decision."""
        return self.counts["pending"] + self.counts["skipped"]


def queue(session: Session) -> list[Card]:
    """All segmented images: those decided as they were decided, then the open ones in the session's order.

    Skipped ones come last, so that they are met again once the rest is done.
    """
    names = set(session.concepts)
    fresh = Freshness(session)
    cards = [
        _card(session, result, fresh.outdated(result))
        for result in session.results()
        if names & result.findings.keys()
    ]

    def place(card: Card) -> tuple[int, float, str]:
        if card.state in {"pending", "skipped"}:
            late = 1 + (card.state == "skipped")
            return late, -card.doubt if late == 1 else card.when, card.result.image.file_name
        return 0, card.when, ""

    cards.sort(key=place)
    return cards if session.order == "doubt" else _by_gain(cards)


def _by_gain(cards: list[Card]) -> list[Card]:
    """Cards in their places, the pending ones so that those come first whose review teaches most."""
    pending = [card for card in cards if card.state == "pending"]
    pending.sort(key=lambda card: -card.gain)  # stable: else by doubt and name
    near = pending[:_PARTED]
    first = next((i for i, card in enumerate(cards) if card.state == "pending"), len(cards))
    done = cards[:first]
    order = review_order(
        [card.gain for card in near],
        unpack_looks([card.result.look for card in near]),
        seen=unpack_looks([card.result.look for card in done]),
    )
    return [*done, *(near[i] for i in order), *pending[_PARTED:], *cards[first + len(pending) :]]


def progress(cards: list[Card]) -> Progress:
    """Figures about a review, from its queue."""
    counts: dict[State, int] = dict.fromkeys(STATES, 0)
    for card in cards:
        counts[card.state] += 1
    decided = [card for card in cards if card.state in {"accepted", "rejected", "absent"}]
    recent = decided[-_RECENT:]
    accepted = sum(card.state == "accepted" for card in recent)
    rate = accepted / len(recent) if recent else None
    # The segmenter's own probabilities, corrected by how they fared with this curator.
    expected = sum(_chance(card) for card in decided)
    correction = (counts["accepted"] + 1) / (expected + 1)
    open_cards = [card for card in cards if card.state in {"pending", "skipped"}]
    remaining = sum(min(1.0, _chance(card) * correction) for card in open_cards)
    hint = _hint(rate, len(recent), counts["accepted"], len(open_cards), remaining)
    return Progress(counts, rate, len(recent), remaining, hint)


def _hint(rate: float | None, recent: int, accepted: int, left: int, remaining: float) -> str:
    if rate is None or recent < _RECENT or not left:
        return ""
    if rate <= _POOR and remaining <= max(1.0, _FEW * accepted):
        return (
            f"Going on is unlikely to pay: of the last {recent} images {round(rate * recent)} were accepted, "
            f"and about {remaining:.0f} of the {left} left are expected to be."
        )
    if rate == 1:
        return f"The last {recent} were all accepted, and the {left} left are surer: accept them all?"
    return ""


def _card(session: Session, result: Result, outdated: tuple[str, ...]) -> Card:
    digest = result.image.content_hash
    names = [name for name in session.concepts if name in result.findings]
    reviews = {name: session.review(digest, name) for name in names}
    still = [result.findings[name] for name in names if not reviews[name].decided]
    return Card(
        result,
        _state(list(reviews.values())),
        max((one.doubt for one in still), default=0.0),
        max((max(one.doubt, one.disagreement) for one in still), default=0.0),
        max((review.when for review in reviews.values()), default=0),
        outdated,
        any(name not in reviews or not reviews[name].decided for name in outdated),
    )


def _state(reviews: list[Review]) -> State:
    """One state for an image: what is open comes first, then the best that was said."""
    found = {review.state for review in reviews}
    order: tuple[State, ...] = ("pending", "skipped", "accepted", "rejected", "absent")
    return next((state for state in order if state in found), "pending")


def _chance(card: Card) -> float:
    """Probability that any concept is in the image."""
    return max((finding.probability for finding in card.result.findings.values()), default=0.0)
