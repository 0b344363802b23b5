"""The models of all projects: what they predict, and what their annotations have taught them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from reco_assist.concepts import Concept
from reco_assist.concepts.corrections import Correction
from reco_assist.encoders import Encoder, load_encoder
from reco_assist.errors import ImageError, InputError, RecoAssistError, reason
from reco_assist.formats.label_studio import pre_annotation
from reco_assist.label_studio.config import Config
from reco_assist.serving.events import Event
from reco_assist.serving.images import ImageStore
from reco_assist.serving.marks import Region
from reco_assist.serving.pending import CorrectionLog, Pause, Pending
from reco_assist.serving.predicting import Predictor, Trained, fit
from reco_assist.serving.project_model import Known, ProjectModel, Sealed

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16  # corrections that are learnt before another project has its turn, or a prediction


class ProjectModels:
    """Predicts for Label Studio's tasks and learns from its annotations.

    `version`, `note` and `tell` may be called from anywhere and never wait for the model. `load`, `predict`,
    `learn` and `learn_next` take seconds and are called by one thread at a time.

    Args:
        concepts: What every project starts with.
        images: Where tasks' images come from.
        log: Keeps corrections, and what it holds already is learnt; without it they are forgotten at the end.
        encoder: The concepts'; loaded by name if None.
        student: Predicts what it was trained on, until a correction teaches a project's concept more.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        images: ImageStore,
        *,
        log: CorrectionLog | None = None,
        encoder: Encoder | None = None,
        student: Trained | None = None,
    ) -> None:
        if not concepts:
            raise InputError("there is no concept to predict with: name a concept file")
        names = [concept.name for concept in concepts]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"two concepts are named {twice!r}: rename one, or leave it out")
        self._given = {concept.name: concept for concept in concepts}
        self._sealed = {name: Sealed.of(concept) for name, concept in self._given.items()}
        self._images = images
        if log is None:
            self._temporary = TemporaryDirectory(prefix="reco-assist-")
            log = CorrectionLog(Path(self._temporary.name))
        self._folder = log.folder
        self._encoder = encoder
        self._student = student
        self._seal = "" if student is None else "".join(student.digests.values())
        self._known = Known.of(self._sealed, {}, self._seal)
        self._models: dict[str, ProjectModel] = {}
        self._unpublished: dict[str, Pause] = {}  # projects of which something could not be learnt or saved
        # Before any event comes: each is compared with what its annotation said last.
        self.pending = Pending(log)
        self._predictor: Predictor | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the concepts that every project starts with."""
        return tuple(self._given)

    def load(self) -> None:
        """Load the encoder, if that has not been done."""
        if self._encoder is None:
            first = next(iter(self._given.values()))
            self._encoder = load_encoder(first.provenance.encoder)
        self._predictor = self._predictor or Predictor(self._encoder, self._student)

    def version(self, project: str) -> str:
        """Names what a project's predictions come from: another version after each correction."""
        return self._known_by(project).version

    def tell(self, project: str, config: str) -> None:
        """Note a project's labelling configuration, XML."""
        self._images.tell(project, config)

    def predict(
        self,
        project: str,
        tasks: Sequence[Mapping[str, Any]],
        config: str,
        marks: Sequence[Region] = (),
    ) -> list[dict[str, Any]]:
        """Predictions of tasks, in their order; empty for a task whose image cannot be read.

        Args:
            project: Its number.
            tasks: With their data.
            config: The labelling configuration, XML.
            marks: Regions that an annotator has drawn in the first task just now: exemplars of their labels.

        Raises:
            InputError: The configuration has no label of a concept, or no task's image can be read.
            FormatError: The configuration is no XML.
        """
        self.load()
        parsed = Config.parse(config)
        self.tell(project, config)
        self.learn(project)  # what could not be learnt before, such as while the server was away
        known = self._known_by(project)
        names, shape, labels = fit(parsed, known, marks)
        results = []
        problems: list[str] = []
        for task in tasks:
            try:
                path = self._images.find(str(task.get("data", {}).get(names.data, "")))
                source = f"task {task.get('id')}"
                prediction = self._ready.segment(known, path, labels, marks, source=source)
            except ImageError as error:
                problems.append(str(error))
                _LOG.warning("task %s: %s", task.get("id"), error)
                results.append({"model_version": known.version, "score": 0.0, "result": []})
                continue
            results.append(pre_annotation(prediction, model_version=known.version, shape=shape, names=names))
        if problems and len(problems) == len(tasks):
            raise InputError(problems[0])
        return results

    def note(self, *events: Event) -> bool:
        """Keep events before they are acknowledged, and let them wait. Whether they say anything new.

        Raises:
            BusyError: Too many wait.
            StorageError: They cannot be kept; none of them is.
        """
        return self.pending.add(*events)

    def learn(self, project: str) -> None:
        """Learn some of what waits of a project, and publish it; what fails is logged and tried again."""
        self.load()
        if self._work(project) or self._is_late(project):
            self._publish(project)

    def learn_next(self) -> bool:
        """Learn some of what waits of the project whose turn it is; whether there is more to learn now.

        It is published when nothing new of the project waits, or when `learn` is called before.
        """
        self.load()
        project = self.pending.turn() or next(filter(self._is_late, self._unpublished), None)
        if project is not None:
            tried = self._work(project)
            if (tried and not self.pending.waits(project, new=True)) or self._is_late(project):
                self._publish(project)
        return self.due() == 0

    def due(self) -> float | None:
        """Seconds until there is something to learn, or to publish again; None where there is nothing."""
        waits = [self.pending.due(), *(late.left for late in list(self._unpublished.values()))]
        return min((one for one in waits if one is not None), default=None)

    @property
    def _ready(self) -> Predictor:
        if self._predictor is None:
            raise InputError("the encoder is not loaded: call load first")
        return self._predictor

    def _known_by(self, project: str) -> Known:
        model = self._models.get(project)
        return self._known if model is None else model.known

    def _is_late(self, project: str) -> bool:
        """Whether something of a project could not be published, and may be tried again now."""
        late = self._unpublished.get(project)
        return late is not None and late.over

    def _model(self, project: str) -> ProjectModel:
        model = self._models.get(project)
        if model is None:
            folder = self._folder / f"project-{project}"
            model = ProjectModel(self._sealed, self._known, self._ready.encoder, folder, self._seal)
            self._models[project] = model
        return model

    def _work(self, project: str) -> bool:
        """Learn some of what waits of a project, unpublished; whether there was anything to try."""
        return self.pending.work(
            project, lambda event: self._take(self._model(project), event), most=_AT_ONCE
        )

    def _publish(self, project: str) -> None:
        model = self._model(project)
        try:
            model.publish()
            if not self.pending.waits(project, new=True):
                # What failed may yet teach what it names; about Concepts that are given it always may.
                failed = self.pending.waits(project)
                waiting = self.pending.named(project, waiting=True) | set(self._given if failed else ())
                model.tidy(self.pending.named(project), waiting)
        except Exception as error:  # noqa: BLE001  (one project must not keep the others from being learnt)
            known = isinstance(error, RecoAssistError)
            _LOG.warning(
                "project %s has learnt what is not saved, and is tried again: %s",
                project,
                reason(error, 300),
                exc_info=not known,
            )
            self._unpublished.setdefault(project, Pause()).begin()
        else:
            self._unpublished.pop(project, None)

    def _take(self, model: ProjectModel, event: Event) -> bool:
        """Teach a project what an event says; False where that may succeed at another time."""
        source = f"label studio: project {event.project}, annotation {event.annotation}"
        try:
            found, problems = ({}, []) if event.regions is None else self._read(event, source)
        except Exception as error:  # noqa: BLE001  (one event must not keep the others from being learnt)
            if not isinstance(error, InputError) or isinstance(error, ImageError):
                known = isinstance(error, RecoAssistError)
                told = reason(error, 300)
                _LOG.warning("%s is not learnt yet, and is tried again: %s", source, told, exc_info=not known)
                return False
            found, problems = {}, [str(error)]  # of what was drawn, which stays as it is
        for problem in problems:
            _LOG.warning("%s teaches nothing about %s", source, problem)
        model.replace(event.annotation, found)
        return True

    def _read(self, event: Event, source: str) -> tuple[dict[str, Correction], list[str]]:
        path = self._images.of(event)
        return self._ready.read(self._given, path, event.regions or (), source=source)
