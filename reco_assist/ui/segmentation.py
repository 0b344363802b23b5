"""Segmentation: the job that makes the masks, in the background, and what it says of itself."""

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from reco_assist.errors import InputError
from reco_assist.session import ConceptSpec
from reco_assist.session.freshness import note_student
from reco_assist.ui.state import PanelState

if TYPE_CHECKING:
    from reco_assist.segmenter import Predictor


@dataclass(frozen=True, slots=True)
class _Stage:
    """How far the job is.

    Attributes:
        line: In words; empty before the first.
        done: Images.
        total: Images.
    """

    line: str = ""
    done: int = 0
    total: int = 1


class Segmentation:
    """Segments the targets with every concept of the job, or with a student.

    Attributes:
        stage: How far it is.
    """

    def __init__(self, state: PanelState) -> None:
        self._state = state
        self._cancelled = Event()
        self.stage = _Stage()

    def start(self, folder: str, student: str, *, decided: bool = False) -> None:
        """Segment what is new or out of date.

        Args:
            folder: Of the targets, as typed.
            student: File of a student, as typed; empty for the concepts.
            decided: See `job.segment`.

        Raises:
            InputError: There is no such folder or file.
        """
        session = self._state.session
        root, file = _folder(folder), _file(student)
        if session.targets != root:
            session.targets = root
        if session.student != file:
            session.student = file
        self._cancelled.clear()
        self.stage = _Stage("Learning the concepts …" if file is None else "Loading the student …")
        self._state.segmenting.run(lambda: self._run(decided=decided))

    def cancel(self) -> None:
        """Stop after the current batch."""
        self._cancelled.set()

    def _run(self, *, decided: bool) -> None:
        from reco_assist.session import job  # noqa: PLC0415  (loads the models' modules)

        state, session = self._state, self._state.session
        targets = job.list_targets(session)
        student = session.student
        predictor = self._concepts() if student is None else self._trained(student)
        skipped: tuple[tuple[str, str], ...] = ()
        for step in job.segment(session, predictor, targets, cancelled=self._cancelled, decided=decided):
            skipped = step.skipped
            self.stage = _Stage(f"{step.done:,} of {step.total:,}", step.done, max(1, step.total))
            state.changed()
        stopped = "; cancelled, Segment goes on" if self._cancelled.is_set() else ""
        left_out = f"; {len(skipped)} could not be read: {skipped[0][1]}" if skipped else ""
        self.stage = _Stage(
            f"{self.stage.line} segmented{stopped}{left_out}", self.stage.done, self.stage.total
        )

    def _concepts(self) -> "Predictor":
        from reco_assist.segmenter import Segmenter  # noqa: PLC0415  (loads the models' modules)

        state = self._state
        names = [name for name in state.session.concepts if state.session.plan(name).begun]
        if not names:
            raise InputError(
                "There is no concept to segment with; look for one in step 1, or name a student."
            )
        return Segmenter([state.concept(name) for name in names], encoder=state.encoder)

    def _trained(self, file: Path) -> "Predictor":
        """A student; what it finds becomes the job's concepts too."""
        from reco_assist.student import Student, StudentSegmenter  # noqa: PLC0415  (as above)

        session = self._state.session
        student = StudentSegmenter(Student.load(file))
        for name in student.digests:
            if name not in session.concepts:
                session.set_plan(ConceptSpec(name))
        note_student(session, file, student.digests)
        return student


def _folder(typed: str) -> Path:
    if not typed.strip():
        raise InputError("No folder is named; type the folder of the images to segment.")
    root = Path(typed.strip()).expanduser().absolute()
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; type the folder of the images to segment.")
    return root


def _file(typed: str) -> Path | None:
    if not typed.strip():
        return None
    file = Path(typed.strip()).expanduser().absolute()
    if not file.is_file():
        raise InputError(f"{file} is not a file; type that of a student, or leave it empty.")
    return file
