"""What the annotators of one project have taught: its corrections, and the Concepts that follow from them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from reco_assist.concepts import Concept
from reco_assist.concepts.corrections import Correction, begin, correct
from reco_assist.encoders import Encoder
from reco_assist.files import remove_file, write_bytes
from reco_assist.folders import make_folder
from reco_assist.library import SUFFIX, file_name


@dataclass(frozen=True, slots=True)
class Sealed:
    """A Concept with its digest, which is not quick to compute."""

    concept: Concept
    digest: str

    @classmethod
    def of(cls, concept: Concept) -> "Sealed":
        """With its digest."""
        return cls(concept, concept.digest)


@dataclass(frozen=True, slots=True)
class Known:
    """What a project predicts with, as it was at one moment. Never changed, but exchanged as a whole.

    Attributes:
        concepts: All, by name.
        taught: Names of those that annotations have changed or made.
        version: Names all of them.
    """

    concepts: Mapping[str, Concept]
    taught: frozenset[str]
    version: str

    @classmethod
    def of(cls, given: Mapping[str, Sealed], learnt: Mapping[str, Sealed], seal: str) -> "Known":
        """What is given, and in its place or beside it what was learnt."""
        order = [*given, *sorted(set(learnt) - set(given))]
        found = {name: learnt.get(name) or given[name] for name in order}
        digest = sha256("".join([*(one.digest for one in found.values()), seal]).encode())
        concepts = {name: one.concept for name, one in found.items()}
        return cls(concepts, frozenset(learnt), f"reco-assist {digest.hexdigest()[:12]}")


@dataclass(slots=True)
class ProjectModel:
    """One project's corrections. For one thread, but for `known`.

    Attributes:
        given: The Concepts that every project starts with.
        known: What the project predicts with.
        encoder: The Concepts'.
        folder: Where the Concepts that were learnt are saved.
        seal: Of what else predicts; part of the version.
    """

    given: Mapping[str, Sealed]
    known: Known
    encoder: Encoder
    folder: Path
    seal: str = ""
    _corrections: dict[str, dict[int, Correction]] = field(default_factory=dict)
    _learnt: dict[str, Sealed] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)  # labels that are not learnt since
    _seen: set[str] = field(default_factory=set)  # labels that ever were
    _saved: dict[str, tuple[str, str]] = field(default_factory=dict)  # file and digest

    def replace(self, annotation: int, corrections: Mapping[str, Correction]) -> None:
        """Take what an annotation says now, by label, in place of what it said before."""
        for label, known in self._corrections.items():
            if known.pop(annotation, None) is not None:
                self._touched.add(label)
        for label, correction in corrections.items():
            self._corrections.setdefault(label, {})[annotation] = correction
            self._touched.add(label)

    def publish(self) -> None:
        """Learn what has changed, exchange `known`, and save the Concepts.

        A Concept equals one that was learnt from the same annotations at once, in any order. What cannot be
        learnt or saved stays as it was, and is tried again by the next call.

        Raises:
            Exception: Whatever kept one from being learnt, when the others are done.
            StorageError: They cannot be saved.
        """
        problems: list[Exception] = []
        packed: dict[str, bytes] = {}
        before = len(self._touched)
        for label in sorted(self._touched):
            try:
                self._learn(label, packed)
            except Exception as error:  # noqa: BLE001  (raised below: the others are learnt first)
                problems.append(error)
            else:
                self._touched.discard(label)
        if len(self._touched) < before:
            self.known = Known.of(self.given, self._learnt, self.seal)
        self._save(packed)
        if problems:
            raise problems[0]

    def tidy(self, named: Collection[str], waiting: Collection[str]) -> None:
        """Remove the files of Concepts that no annotation teaches any more.

        Args:
            named: Labels that annotations of the project have ever named.
            waiting: Labels of Concepts that annotations may yet teach: the files of an earlier start stay.

        Raises:
            StorageError: One cannot be removed.
        """
        if not self.folder.is_dir():
            return
        stays = {*self._places().values(), *_files(set(waiting) - self._seen)}
        for name in sorted(_files({*named, *self.given}) - stays):
            remove_file(self.folder / name)

    def _learn(self, label: str, packed: dict[str, bytes]) -> None:
        corrections = [one for _, one in sorted(self._corrections.get(label, {}).items())]
        if label in self.given and corrections:
            concept = correct(
                self.given[label].concept, corrections, reference_cells=self.encoder.reference_cells
            )
        elif any(one.shown is not None for one in corrections):
            concept = begin(label, corrections, self.encoder)
        else:
            self._learnt.pop(label, None)
            self._saved.pop(label, None)
            self._seen.add(label)
            return
        packed[label] = concept.to_bytes()
        self._learnt[label] = Sealed(concept, sha256(packed[label]).hexdigest())
        self._seen.add(label)

    def _save(self, packed: Mapping[str, bytes]) -> None:
        """Write what has changed, and what an earlier attempt could not write."""
        for label, name in self._places().items():
            learnt = self._learnt[label]
            if self._saved.get(label) != (name, learnt.digest):
                raw = packed[label] if label in packed else learnt.concept.to_bytes()
                write_bytes(make_folder(self.folder) / name, raw)
                self._saved[label] = (name, learnt.digest)

    def _places(self) -> dict[str, str]:
        """The file of each learnt Concept; of names that files do not tell apart, the second's is longer."""
        places: dict[str, str] = {}
        for label in sorted(self._learnt):
            taken = {name.casefold() for name in places.values()}
            name = file_name(label)
            places[label] = _longer(label) if name.casefold() in taken else name
        return places


def _files(labels: Collection[str]) -> set[str]:
    """All names that the files of some Concepts may have."""
    return {name for label in labels for name in (file_name(label), _longer(label))}


def _longer(label: str) -> str:
    return f"{file_name(label).removesuffix(SUFFIX)}-{sha256(label.encode()).hexdigest()[:8]}{SUFFIX}"
