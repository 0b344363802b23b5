import random
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from reco_assist.annotations import ImageRef
from reco_assist.session import STATES, ConceptSpec, Finding, Result, ReviewQueue, Session
from reco_assist.session.freshness import note_concept

NAMES = ("mug", "spoon")
DONE = ("accepted", "rejected", "absent")


@pytest.fixture
def session(tmp_path):
    opened = Session.open(tmp_path / "job.session", who="tester")
    for name in NAMES:
        opened.set_plan(ConceptSpec(name, begun=True))
    yield opened
    opened.close()


def segmented(session, number, rng):
    """What a run leaves of an image, but for its maps."""
    digest = sha256(str(number).encode()).hexdigest()
    image = ImageRef(f"{number % 3}/{number:03}.jpg", digest, 64, 48)
    findings = {
        name: Finding("0" * 64, present=p > 0.5, probability=p, doubt=round(1 - abs(2 * p - 1), 3))
        for name, p in ((name, round(rng.random(), 2)) for name in NAMES)
    }
    result = Result(image, Path("/photos") / image.file_name, number, findings)
    file = {"hash": digest, "stamp": [1, 2]}
    session.store.put("segment", {f"result/{digest}": result.to_json(), f"file/{image.file_name}": file})
    return digest


def expected(session):
    """The order "doubt" by its definition, looked up anew."""
    decided, pending, skipped = [], [], []
    for result in session.results():
        digest = result.image.content_hash
        names = [name for name in session.concepts if name in result.findings]
        if not names:
            continue
        reviews = [session.review(digest, name) for name in names]
        states = {review.state for review in reviews}
        last = max(review.when for review in reviews)
        if "pending" in states:
            still = [result.findings[n].doubt for n, r in zip(names, reviews, strict=True) if not r.decided]
            pending.append((-max(still), result.image.file_name, digest))
        elif "skipped" in states:
            skipped.append((last, result.image.file_name, digest))
        else:
            decided.append((last, digest))
    decided.sort(key=lambda one: one[0])  # stable: those of one decision in the order of the results
    return [one[-1] for part in (decided, sorted(pending), sorted(skipped)) for one in part]


def hashed(item):
    return item.content_hash


def change(session, rng, digests):
    """Something that a session meets."""
    what = rng.random()
    if what < 0.3 or not digests:
        digests.append(segmented(session, len(digests), rng))
    elif what < 0.7:
        names = rng.sample(NAMES, rng.choice([1, 2]))
        session.decide(rng.choice(digests), {name: rng.choice(STATES) for name in names})
    elif what < 0.8:
        session.undo() if rng.random() < 0.7 else session.redo()
    elif what < 0.83:
        session.masks.set_thresholds(rng.choice(digests), {"mug": rng.randrange(1, 256)})
    elif what < 0.87:
        segmented(session, rng.randrange(len(digests)), rng)
    elif what < 0.9:
        names = session.concepts
        session.remove_concept("spoon") if "spoon" in names else session.set_plan(ConceptSpec("spoon"))
    elif what < 0.96:
        plan = session.change_plan("mug", lambda plan: replace(plan, k=rng.randrange(3, 6)), what="k")
        if rng.random() < 0.7:
            note_concept(session, plan, "0" * 64 if plan.k == 3 else f"{plan.k}" * 64)
    else:
        session.order = rng.choice(["doubt", "gain"])


@pytest.mark.parametrize("seed", range(4))
def test_an_order_that_is_kept_up_is_the_one_that_is_made_anew(session, seed):
    rng = random.Random(seed)
    kept, digests = ReviewQueue(session), []
    for _ in range(200):
        change(session, rng, digests)
        if rng.random() < 0.5:
            continue
        items = kept.items
        anew = ReviewQueue(session)
        if session.order == "doubt":
            assert [item.content_hash for item in items] == expected(session)
            assert items == anew.items
        else:  # those that are pending keep the order that they had when the review of them began
            first, last = (
                sum(item.state in states for item in items) for states in (DONE, (*DONE, "pending"))
            )
            assert items[:first] + items[last:] == anew.items[:first] + anew.items[last:]
            assert sorted(items[first:last], key=hashed) == sorted(anew.items[first:last], key=hashed)
        assert kept.outdated == anew.outdated
        assert [STATES[state] for state in kept.states] == [item.state for item in items]
        mine, theirs = kept.progress, anew.progress
        assert mine.positives_left == pytest.approx(theirs.positives_left)
        assert replace(mine, positives_left=0, hint="") == replace(theirs, positives_left=0, hint="")
        assert all(kept.position(item.content_hash) == place for place, item in enumerate(items))


def test_after_more_changes_than_are_remembered_all_is_looked_at_anew(session):
    rng = random.Random(0)
    kept, digest = ReviewQueue(session), segmented(session, 0, rng)
    for number in range(1200):
        session.masks.set_thresholds(digest, {"mug": 1 + number % 255})
    assert [item.content_hash for item in kept.items] == [digest]


def test_the_next_open_image_is_pending_before_it_is_skipped(session):
    rng = random.Random(0)
    kept = ReviewQueue(session)
    assert kept.next_open() == ""
    first, second, third = (segmented(session, number, rng) for number in range(3))
    order = [item.content_hash for item in kept.items]
    assert kept.next_open() == order[0]
    assert kept.next_open(order[0]) == order[1]
    session.decide(first, dict.fromkeys(NAMES, "accepted"))
    session.decide(second, dict.fromkeys(NAMES, "skipped"))
    assert kept.next_open(third) == second
    session.decide(third, dict.fromkeys(NAMES, "absent"))
    assert kept.next_open(second) == second
    session.decide(second, dict.fromkeys(NAMES, "rejected"))
    assert kept.next_open() == second  # the last that was decided
    assert kept.position("0" * 64) is None


def test_what_teaches_most_keeps_its_order_while_it_is_decided(session):
    rng = random.Random(3)
    digests = [segmented(session, number, rng) for number in range(30)]
    session.order = "gain"
    kept = ReviewQueue(session)
    order = [item.content_hash for item in kept.items]
    session.decide(order[0], dict.fromkeys(NAMES, "accepted"))
    session.decide(order[1], dict.fromkeys(NAMES, "skipped"))
    assert [item.content_hash for item in kept.items] == [order[0], *order[2:], order[1]]
    session.undo()
    assert sorted(item.content_hash for item in kept.items) == sorted(digests)
    assert [item.content_hash for item in kept.items] == [
        item.content_hash for item in ReviewQueue(session).items
    ]
