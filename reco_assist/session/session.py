"""One labelling job on disk: what is looked for, what was found, and what the curator said about it."""

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.annotations.decide import AUTOMATIC, claimed, despeckled
from reco_assist.annotations.spec import ConceptSpec
from reco_assist.errors import InputError, StorageError
from reco_assist.files import make_folder, rename, write_bytes
from reco_assist.image_files import load_map
from reco_assist.images import decode, perceptual_hash
from reco_assist.masks.edits import apply_edits, check_threshold, edits_of_text, edits_to_text
from reco_assist.session.order import disagreement, doubt, pack_look
from reco_assist.session.records import (
    STATES,
    Correction,
    Finding,
    Order,
    Result,
    Review,
    State,
    rivals_of,
)
from reco_assist.session.store import LOG, Moved, Store

REVIEW = "review"
"""The scope of undo that decisions belong to."""

_OPEN: dict[Path, "Session"] = {}  # sessions of this process by folder


class Session:
    """State of a labelling job. Every change is on disk before the call that makes it returns.

    Holds no widget and no model: notebooks and scripts work on it alike. Opened by `Session.open`.

    Attributes:
        folder: Where it lies.
        store: The keys and values below it, with the audit log.
    """

    def __init__(self, store: Store) -> None:
        self.folder = store.folder
        self.store = store

    @classmethod
    def open(cls, folder: str | Path, *, who: str | None = None) -> Self:
        """Open a session, or begin one where there is none.

        Opening a folder again in one process (a notebook's cell run twice) closes the earlier object.

        Args:
            folder: By convention its name ends in `.session`.
            who: Name of the curator for the audit log; the login name if None.

        Raises:
            StorageError: It cannot be written, or another process has it open.
            FormatError: Its log is damaged or of another version.
        """
        place = Path(folder).resolve()
        if place in _OPEN:
            _OPEN.pop(place).close()
        session = cls(Store(place, who=who))
        _OPEN[place] = session
        return session

    @staticmethod
    def beside(archive: Path) -> Path:
        """Where the session of an archive lies by default: `photos.reco` has `photos.session`."""
        return archive.with_suffix(".session")

    def close(self) -> None:
        """Let other processes open it. A closed session can be read but not changed."""
        self.store.close()

    def set_aside(self) -> Path:
        """Close the session and rename its folder, so that another can begin in its place.

        Returns:
            The new name.
        """
        self.close()
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        place = self.folder.with_name(f"{self.folder.stem}-{stamp}{self.folder.suffix}")
        return rename(self.folder, place)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to go on with: no concept was ever looked for, and none was begun."""
        return not self.concepts and self.draft == ConceptSpec("")

    @property
    def last_change(self) -> datetime | None:
        """When something was changed last; None where nothing was."""
        last = self.store.last_change
        return None if last is None else datetime.fromisoformat(last)

    # ------------------------------------------------------------------------------------ concepts

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts, in the order of their categories."""
        return tuple(self.store.get("concepts") or ())

    def plan(self, name: str) -> ConceptSpec:
        """How a concept is to be learnt.

        Raises:
            InputError: The job has no such concept.
        """
        data = self.store.get(f"plan/{name}")
        if data is None:
            raise InputError(f"There is no concept {name!r} in this session; add it first.")
        return ConceptSpec.from_json(data)

    def set_plan(self, plan: ConceptSpec, *, what: str = "plan", undoable: bool = False) -> None:
        """Add a concept, or change how it is learnt.

        Args:
            plan: With its name trimmed.
            what: The change, for the audit log.
            undoable: Whether `undo` of the plan's own scope can take it back.

        Raises:
            InputError: The name is no name.
        """
        name = plan.name
        if not name.strip() or name != name.strip() or any(ord(letter) < 32 for letter in name):
            raise InputError("The concept has no name; type a word or a short phrase such as 'coffee mug'.")
        key = f"plan/{name}"
        values = {key: plan.to_json()}
        with self.store.mutex:
            if undoable:
                self.store.put(what, values, scope=self.scope(name))
            elif name in self.concepts:
                self.store.put(what, values, forget=[key])
            else:
                self.store.put("add concept", {"concepts": [*self.concepts, name], **values}, forget=[key])

    def change_plan(
        self, name: str, change: Callable[[ConceptSpec], ConceptSpec], *, what: str, undoable: bool = False
    ) -> ConceptSpec:
        """Change how a concept is learnt, from what its plan is at this moment, whichever thread asks.

        Args:
            name: Of the concept.
            change: Gives the plan that follows a plan; may raise to refuse.
            what: The change, for the audit log.
            undoable: See `set_plan`.

        Returns:
            The changed plan.

        Raises:
            InputError: The job has no such concept.
        """
        with self.store.mutex:
            plan = change(self.plan(name))
            self.set_plan(plan, what=what, undoable=undoable)
            return plan

    @property
    def draft(self) -> ConceptSpec:
        """The plan of the next concept, which has no name yet: its examples and contexts."""
        data = self.store.get("draft")
        return ConceptSpec("") if data is None else ConceptSpec.from_json(data)

    @draft.setter
    def draft(self, plan: ConceptSpec) -> None:
        self.store.put("question", {"draft": None if plan == ConceptSpec("") else plan.to_json()})

    def remove_concept(self, name: str) -> None:
        """Take a concept out of the job; what was decided about it stays as it is, whatever is undone."""
        with self.store.mutex:
            left = [other for other in self.concepts if other != name]
            plan = f"plan/{name}"
            decided = [
                key
                for key in self.store.within_reach
                if key.startswith("review/") and key.split("/", 2)[2] == name
            ]
            self.store.put("remove concept", {"concepts": left, plan: None}, forget=[plan, *decided])

    @property
    def active(self) -> str | None:
        """The concept that is worked on; the first until another is chosen, None where there is none."""
        names, chosen = self.concepts, self.store.get("active")
        return chosen if chosen in names else next(iter(names), None)

    @active.setter
    def active(self, name: str) -> None:
        self.store.put("choose concept", {"active": name})

    @staticmethod
    def scope(name: str) -> str:
        """The scope of undo that pruning a concept belongs to."""
        return f"set/{name}"

    def undo(self, scope: str = REVIEW) -> Moved | None:
        """Take the last change of a scope back; returns what it was, None if nothing was left."""
        return self.store.undo(scope)

    def redo(self, scope: str = REVIEW) -> Moved | None:
        """Make the change again that was undone last; returns what it was, None if nothing was left."""
        return self.store.redo(scope)

    # ------------------------------------------------------------------------------------- results

    @property
    def targets(self) -> Path | None:
        """The folder of images to segment."""
        found = self.store.get("targets")
        return None if found is None else Path(found)

    @targets.setter
    def targets(self, folder: Path) -> None:
        self.store.put("choose targets", {"targets": str(folder)})

    @property
    def student(self) -> Path | None:
        """The student that segments; None where the concepts do."""
        found = self.store.get("student")
        return None if found is None else Path(found)

    @student.setter
    def student(self, file: Path | None) -> None:
        self.store.put("choose student", {"student": None if file is None else str(file)})

    @property
    def order(self) -> Order:
        """In which order open images are reviewed."""
        return self.store.get("order") or "doubt"

    @order.setter
    def order(self, order: Order) -> None:
        self.store.put("choose order", {"order": order})

    def results(self) -> list[Result]:
        """Every segmented target once, in the order in which they were segmented."""
        return [Result.from_json(data) for _, data in self.store.items("result/")]

    def result(self, content_hash: str) -> Result:
        """A segmented target.

        Raises:
            InputError: It was not segmented.
        """
        data = self.store.get(f"result/{content_hash}")
        if data is None:
            raise InputError(f"The image {content_hash[:12]} is not among the segmented ones.")
        return Result.from_json(data)

    def files(self) -> dict[str, str]:
        """Content hash of every segmented file by its name; copies of an image share one."""
        return {name: data["hash"] for name, data in self.store.items("file/")}

    def is_done(
        self, file_name: str, path: Path, digests: Mapping[str, str], *, decided: bool = False
    ) -> bool:
        """Whether a file has not changed, and its masks were made by these very concepts or need no others.

        Args:
            file_name: As data sets name it.
            path: The file.
            digests: Digest of each concept by its name.
            decided: Count the masks too about which somebody has decided.
        """
        known = self.store.get(f"file/{file_name}")
        if known is None or known["stamp"] != _stamp(path):
            return False
        findings = self.store.get(f"result/{known['hash']}")["findings"]
        rivals = rivals_of(digests)
        return all(
            name in findings
            and (
                Finding(**findings[name]).is_of(digest, rivals)
                or self._stays(self.review(known["hash"], name), decided=decided)
            )
            for name, digest in digests.items()
        )

    @staticmethod
    def _stays(review: Review, *, decided: bool) -> bool:
        """Whether a mask stays whatever made it; that a concept is absent holds for any mask."""
        return review.state == "absent" or (review.decided and not decided)

    def add_result(
        self,
        image: ImageRef,
        path: Path,
        maps: NDArray[np.uint8],
        verdicts: Sequence[Verdict],
        digests: Mapping[str, str],
        *,
        specks: bool = False,
        embedding: NDArray[np.float32] | None = None,
        decided: bool = False,
    ) -> Result:
        """Keep what a segmenter made of a target. What the curator decided already stays as it is.

        Concepts share no pixel: each map is kept where it is the largest of those that are still open and
        where no accepted mask of the job lies, without the specks that the automatic threshold leaves. What
        was decided claims the pixels of its mask and no others: a rejected or absent concept claims none.

        Args:
            image: The target.
            path: Its file.
            maps: (K, H, W) uint8 refined probability.
            verdicts: One per map.
            digests: Digest of each concept by its name, in the order of the maps.
            specks: Keep the specks: people drew them.
            embedding: (d,) what the image as a whole looks like; None if unknown.
            decided: Replace the masks too that were accepted or rejected; where one comes out otherwise, it
                is open again.

        Raises:
            StorageError: It cannot be written.
        """
        known = self.store.get(f"result/{image.content_hash}")
        earlier = Result.from_json(known).findings if known else {}
        findings = dict(earlier)
        free = np.ones(maps.shape[1:], bool)  # (H, W)
        rivals = rivals_of(digests)
        fixed = {
            name
            for name, finding in earlier.items()
            if self._stays(
                self.review(image.content_hash, name),
                decided=decided and name in digests and not finding.is_of(digests[name], rivals),
            )
        }
        for name in fixed & set(self.concepts):
            free &= ~self.mask(image.content_hash, name)
        names = list(digests)
        still = [k for k, name in enumerate(names) if name not in fixed]
        for k, owned in zip(still, claimed(maps[still], free=free), strict=True):
            name, verdict = names[k], verdicts[k]
            scores = owned if specks else despeckled(owned)  # (H, W)
            findings[name] = Finding(
                digests[name],
                verdict.present,
                verdict.probability,
                doubt(scores, verdict.probability),
                self._changed(image.content_hash, name, digests[name], scores, earlier.get(name)),
                rivals,
            )
            self._reopen(image.content_hash, name, scores)
            write_bytes(self.map_path(image.content_hash, name), _png(scores))
        pixels = decode(path, reduce_to=64).pixels
        look = (known or {}).get("look", "") if embedding is None else pack_look(embedding)
        result = Result(image, path, perceptual_hash(pixels), findings, look)
        file = {"hash": image.content_hash, "stamp": _stamp(path)}
        values = {f"file/{image.file_name}": file, f"result/{image.content_hash}": result.to_json()}
        self.store.put("segment", values)
        return result

    def _reopen(self, content_hash: str, concept: str, scores: NDArray[np.uint8]) -> None:
        """Take back what was decided about another mask than this map (H, W) uint8 gives, for good."""
        key = f"review/{content_hash}/{concept}"
        if self.store.get(key) is None and key not in self.store.within_reach:
            return
        threshold = self.correction(content_hash, concept).threshold
        now = apply_edits(scores, threshold, self.strokes(content_hash, concept))
        if not np.array_equal(now, self.drawn(content_hash, concept)):
            # Before the map is there: killed in between, nobody has accepted what nobody saw.
            taken = {key: None} if self.review(content_hash, concept).decided else {}
            self.store.put("segment anew", taken, forget=[key])

    def _changed(
        self, content_hash: str, concept: str, digest: str, scores: NDArray[np.uint8], earlier: Finding | None
    ) -> float:
        """How far a map (H, W) uint8 disagrees with the one it replaces, if something else had made that."""
        if earlier is None:
            return 0.0
        if earlier.digest == digest:
            return earlier.disagreement
        before = self.scores(content_hash, concept)  # (H, W)
        return round(disagreement(before >= AUTOMATIC, scores >= AUTOMATIC), 4)

    def scores(self, content_hash: str, concept: str) -> NDArray[np.uint8]:
        """(H, W) uint8 refined probability: the bytes that are shown and exported."""
        image = self.result(content_hash).image
        path = self.map_path(content_hash, concept)
        if not path.is_file():
            return np.zeros((image.height, image.width), np.uint8)
        return load_map(path, height=image.height, width=image.width)

    # ------------------------------------------------------------------------------------- reviews

    def review(self, content_hash: str, concept: str) -> Review:
        """What the curator decided about a concept in an image so far."""
        data = self.store.get(f"review/{content_hash}/{concept}")
        return Review(**data) if data else Review()

    def decide(self, content_hash: str, decisions: Mapping[str, State]) -> None:
        """Say what becomes of concepts in an image; see `decide_many`.

        Args:
            content_hash: The image.
            decisions: By concept.

        Raises:
            InputError: The image was not segmented.
        """
        self.decide_many({content_hash: decisions})

    def decide_many(self, decisions: Mapping[str, Mapping[str, State]]) -> None:
        """Say what becomes of concepts in images; one undo takes all of it back.

        Args:
            decisions: By concept, by the content hash of the image.

        Raises:
            InputError: An image was not segmented, or a state is none; nothing is decided then.
        """
        said = {state for states in decisions.values() for state in states.values()}
        if unknown := sorted(said.difference(STATES)):
            raise InputError(f"The decision is {unknown[0]!r}; give one of {', '.join(STATES)}.")
        values = {}
        with self.store.mutex:
            number = self.store.count + 1
            for content_hash, states in decisions.items():
                self.result(content_hash)
                for name, state in states.items():
                    review = Review(state, 0 if state == "pending" else number)
                    values[f"review/{content_hash}/{name}"] = asdict(review)
            self.store.put(", ".join(sorted(said)), values, scope=REVIEW)

    def correction(self, content_hash: str, concept: str) -> Correction:
        """How the mask of a concept in an image was adjusted so far."""
        data = self.store.get(f"mask/{content_hash}/{concept}")
        return Correction(**data) if data else Correction()

    def set_thresholds(self, content_hash: str, thresholds: Mapping[str, int]) -> None:
        """Move the thresholds, 1 to 255, of concepts in an image; the canvas keeps its own undo of this.

        Raises:
            InputError: A threshold is out of range.
        """
        values = {}
        with self.store.mutex:
            for name, threshold in thresholds.items():
                check_threshold(threshold)
                changed = replace(self.correction(content_hash, name), threshold=threshold)
                values[f"mask/{content_hash}/{name}"] = None if changed == Correction() else asdict(changed)
            self.store.put("threshold", values)

    def edit(self, content_hash: str, concept: str, x: int, y: int, cells: NDArray[np.uint8]) -> None:
        """Put brush corrections into a rectangle of an image; the canvas keeps its own undo of this.

        Args:
            content_hash: The image.
            concept: Whose mask is corrected.
            x: Column of the first cell.
            y: Row of the first cell.
            cells: (h, w) uint8 of 0 (none), 1 (forced in), 2 (forced out): the new content.

        Raises:
            InputError: The rectangle does not lie in the image.
        """
        with self.store.mutex:
            strokes = self.strokes(content_hash, concept)
            height, width = cells.shape
            if x < 0 or y < 0 or y + height > strokes.shape[0] or x + width > strokes.shape[1]:
                raise InputError(
                    f"A stroke at {x},{y} of {width} x {height} cells does not lie in the image."
                )
            strokes[y : y + height, x : x + width] = cells
            text = edits_to_text(strokes) if strokes.any() else ""
            changed = replace(self.correction(content_hash, concept), strokes=text)
            value = None if changed == Correction() else asdict(changed)
            self.store.put("stroke", {f"mask/{content_hash}/{concept}": value})

    def strokes(self, content_hash: str, concept: str) -> NDArray[np.uint8]:
        """(H, W) uint8 brush corrections of a concept in an image: 0 none, 1 forced in, 2 forced out."""
        image = self.result(content_hash).image
        shape = (image.height, image.width)
        packed = self.correction(content_hash, concept).strokes
        if not packed:
            return np.zeros(shape, np.uint8)
        return edits_of_text(packed, shape).copy()

    def drawn(self, content_hash: str, concept: str) -> NDArray[np.bool_]:
        """(H, W) bool: the map at its threshold under the strokes, as the canvas draws it."""
        threshold = self.correction(content_hash, concept).threshold
        scores = self.scores(content_hash, concept)
        return apply_edits(scores, threshold, self.strokes(content_hash, concept))

    def mask(self, content_hash: str, concept: str) -> NDArray[np.bool_]:
        """(H, W) bool: what is exported: as drawn, but empty where it was rejected or is absent."""
        mask = self.drawn(content_hash, concept)
        if self.review(content_hash, concept).state in {"rejected", "absent"}:
            mask[:] = False
        return mask

    def forget_files(self, content_hashes: Collection[str]) -> None:
        """Let the files of some images count as not segmented; results and decisions stay until they are."""
        gone = {f"file/{name}": None for name, digest in self.files().items() if digest in content_hashes}
        self.store.put("forget", gone)

    def map_path(self, content_hash: str, concept: str) -> Path:
        """Where the map of a concept in an image lies.

        Raises:
            StorageError: The session's folder is gone, or cannot be written.
        """
        if not (self.folder / LOG).is_file():  # making it anew would part the maps from the log
            raise StorageError(
                f"Cannot write {self.folder}: it is not where it was; connect its drive, or move it back."
            )
        # Concept names are any text; file names are not.
        name = sha256(concept.encode()).hexdigest()[:16]
        return make_folder(self.folder / "maps" / content_hash[:2]) / f"{content_hash}-{name}.png"


def _png(scores: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(scores).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
