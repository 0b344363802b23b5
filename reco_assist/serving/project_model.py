"""What the annotators of one project have taught: its corrections, and the Concepts that follow from them."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from reco_assist.concepts import Concept
from reco_assist.concepts.corrections import Correction, begin, correct
from reco_assist.encoders import Encoder
from reco_assist.errors import RecoAssistError
from reco_assist.files import make_folder, remove_file, write_bytes
from reco_assist.library import SUFFIX, file_name

_LOG = logging.getLogger(__name__)


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
    def of(cls, given: Mapping[str, Concept], learnt: Mapping[str, "Learnt"], seal: str) -> "Known":
        """What is given, and in its place or beside it what was learnt."""
        order = [*given, *sorted(set(learnt) - set(given))]
        concepts = {name: learnt[name].concept if name in learnt else given[name] for name in order}
        digests = [learnt[name].digest if name in learnt else given[name].digest for name in order]
        digest = sha256("".join([*digests, seal]).encode())
        return cls(concepts, frozenset(learnt), f"reco-assist {digest.hexdigest()[:12]}")


@dataclass(frozen=True, slots=True)
class Learnt:
    """A Concept that annotations made, with its digest, which is not quick to compute."""

    concept: Concept
    digest: str


@dataclass(slots=True)
class ProjectModel:
    """One project's corrections. For one thread, but for `known`.

    Attributes:
        given: The Concepts that every project starts with.
        known: What the project predicts with.
        encoder: The Concepts'.
        seal: Of what else predicts; part of the version.
        folder: Where the Concepts that were learnt are saved; None keeps them in memory.
    """

    given: Mapping[str, Concept]
    known: Known
    encoder: Encoder
    seal: str = ""
    folder: Path | None = None
    _corrections: dict[str, dict[int, Correction]] = field(default_factory=dict)
    _learnt: dict[str, Learnt] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)
    _saved: dict[str, str] = field(default_factory=dict)

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

        A Concept equals one that was learnt from the same annotations at once, in any order.

        Raises:
            StorageError: They cannot be saved; that is done at the next time.
        """
        touched, self._touched = self._touched, set()
        packed: dict[str, bytes] = {}
        for label in sorted(touched):
            try:
                self._learn(label, packed)
            except RecoAssistError as error:
                _LOG.warning("%r stays as it was: %s", label, error)
        if touched:
            self.known = Known.of(self.given, self._learnt, self.seal)
        self._save(packed)

    def tidy(self, labels: Collection[str]) -> None:
        """Remove the files of Concepts that no annotation teaches any more.

        Args:
            labels: All that annotations of the project have ever named.

        Raises:
            StorageError: One cannot be removed.
        """
        if self.folder is None or not self.folder.is_dir():
            return
        stays = set(self._places().values())
        ours = {name for label in {*labels, *self.given} for name in (file_name(label), _longer(label))}
        for name in sorted(ours - stays):
            remove_file(self.folder / name)

    def _learn(self, label: str, packed: dict[str, bytes]) -> None:
        corrections = [one for _, one in sorted(self._corrections.get(label, {}).items())]
        if label in self.given and corrections:
            concept = correct(self.given[label], corrections, reference_cells=self.encoder.reference_cells)
        elif any(one.shown is not None for one in corrections):
            concept = begin(label, corrections, self.encoder)
        else:
            self._learnt.pop(label, None)
            return
        packed[label] = concept.to_bytes()
        self._learnt[label] = Learnt(concept, sha256(packed[label]).hexdigest())

    def _save(self, packed: Mapping[str, bytes]) -> None:
        """Write what has changed, and what an earlier attempt could not write."""
        if self.folder is None or not self._learnt:
            return
        make_folder(self.folder)
        for label, name in self._places().items():
            if label in packed or self._saved.get(label) != name:
                self._saved.pop(label, None)
                raw = packed[label] if label in packed else self._learnt[label].concept.to_bytes()
                write_bytes(self.folder / name, raw)
                self._saved[label] = name

    def _places(self) -> dict[str, str]:
        """The file of each learnt Concept; of names that files do not tell apart, the second's is longer."""
        places: dict[str, str] = {}
        for label in sorted(self._learnt):
            taken = {name.casefold() for name in places.values()}
            name = file_name(label)
            places[label] = _longer(label) if name.casefold() in taken else name
        return places


def _longer(label: str) -> str:
    return f"{file_name(label).removesuffix(SUFFIX)}-{sha256(label.encode()).hexdigest()[:8]}{SUFFIX}"
