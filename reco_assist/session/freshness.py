"""Freshness: which masks were made by what the concepts are now, and which before something changed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reco_assist.annotations.spec import ConceptSpec
from reco_assist.session.records import Result, rivals_of, short_hash
from reco_assist.session.session import Session

_LEARNT = "learnt/"  # and a recipe: the digest of what that makes


def note_concept(session: Session, plan: ConceptSpec, digest: str) -> None:
    """Keep what a plan comes to.

    Args:
        session: Where.
        plan: As its builder followed it.
        digest: Of the concept that the builder taught.
    """
    session.store.put("learn", {_LEARNT + _of_plan(plan): digest})


def note_student(session: Session, file: Path, digests: Mapping[str, str]) -> None:
    """Keep what a student's file comes to, by concept."""
    session.store.put(
        "load student", {_LEARNT + _of_student(file, name): digest for name, digest in digests.items()}
    )


class Freshness:
    """What the session's concepts are now, as far as it is known without learning them anew."""

    def __init__(self, session: Session) -> None:
        self._session = session
        known: dict[str, str] = dict(session.store.items(_LEARNT))
        self._known = set(known.values())
        student = session.student
        plans = {name: session.plan(name) for name in session.concepts}
        recipes = {
            name: _of_plan(plan) if student is None else _of_student(student, name)
            for name, plan in plans.items()
            if student is not None or plan.begun
        }
        self._now = {name: known.get(recipe) for name, recipe in recipes.items()}
        if student is not None:  # whom it was not loaded yet may know other concepts, or fewer
            self._now = {name: digest for name, digest in self._now.items() if digest is not None}
        digests = {name: digest for name, digest in self._now.items() if digest is not None}
        self._rivals = rivals_of(digests) if len(digests) == len(self._now) else None

    def outdated(self, result: Result) -> tuple[str, ...]:
        """Concepts whose masks in an image would come out otherwise now, or are missing."""
        return tuple(name for name in self._now if self._is_outdated(result, name))

    def _is_outdated(self, result: Result, name: str) -> bool:
        finding, digest = result.findings.get(name), self._now[name]
        if finding is None:
            return True
        if self._session.review(result.image.content_hash, name).state == "absent":
            return False  # what people say of an image holds whatever the mask was
        if digest is None:  # it changed, unless the session is of a release that did not keep this
            return finding.digest in self._known
        return not finding.is_of(digest, finding.rivals if self._rivals is None else self._rivals)


def _of_plan(plan: ConceptSpec) -> str:
    return short_hash(["plan", replace(plan, marks=(), begun=True).to_json()])


def _of_student(file: Path, name: str) -> str:
    try:
        status = file.stat()
    except OSError:
        return ""
    return short_hash(["student", str(file), status.st_size, status.st_mtime_ns, name])
