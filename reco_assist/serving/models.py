"""The models of all projects: what they predict, and what their annotations have taught them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reco_assist.concepts import Concept
from reco_assist.encoders import Encoder, load_encoder
from reco_assist.errors import EncoderError, ImageError, InputError, RecoAssistError
from reco_assist.formats.label_studio import pre_annotation
from reco_assist.label_studio.config import Config
from reco_assist.serving.configs import Configs, Server
from reco_assist.serving.events import Event, image_variable
from reco_assist.serving.images import ImageStore
from reco_assist.serving.journal import CorrectionLog
from reco_assist.serving.marks import Region, labels_of
from reco_assist.serving.pending import Pending
from reco_assist.serving.predicting import Predictor, Trained, fit
from reco_assist.serving.project_model import Known, ProjectModel

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16  # corrections that are learnt before a prediction is made again


class ProjectModels:
    """Predicts for Label Studio's tasks and learns from its annotations.

    `version`, `note` and `tell` may be called from anywhere and never wait for the model. `load`, `predict`
    and `learn` take seconds and are called by one thread at a time.

    Args:
        concepts: What every project starts with.
        images: Where tasks' images come from.
        log: Keeps corrections; without it they are forgotten at the end.
        encoder: The concepts'; loaded by name if None.
        student: Predicts what it was trained on, until a correction teaches a project's concept more.
        server: Asked for labelling configurations that nobody tells of.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        images: ImageStore,
        *,
        log: CorrectionLog | None = None,
        encoder: Encoder | None = None,
        student: Trained | None = None,
        server: Server | None = None,
    ) -> None:
        if not concepts:
            raise InputError("there is no concept to predict with: name a concept file")
        names = [concept.name for concept in concepts]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"two concepts are named {twice!r}: rename one, or leave it out")
        self._given = {concept.name: concept for concept in concepts}
        self._images = images
        self._log = log
        self._encoder = encoder
        self._student = student
        self._seal = "" if student is None else "".join(student.digests.values())
        self._known = Known.of(self._given, {}, self._seal)
        self._models: dict[str, ProjectModel] = {}
        self._named: dict[str, set[str]] = {}  # labels of a project's annotations, past ones too
        self._configs = Configs(server)
        self.pending = Pending(None if log is None else log.append)
        self._predictor: Predictor | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the concepts that every project starts with."""
        return tuple(self._given)

    def load(self) -> None:
        """Load the encoder and learn what the log holds, if that has not been done."""
        if self._predictor is not None:
            return
        if self._encoder is None:
            first = next(iter(self._given.values()))
            self._encoder = load_encoder(first.provenance.encoder)
        self._predictor = Predictor(self._encoder, self._student)
        for event in () if self._log is None else self._log.events():
            self._name(event)
            self.pending.restore(event)
        for project in self.pending.projects():
            self._learn(project)

    def version(self, project: str) -> str:
        """Names what a project's predictions come from: another version after each correction."""
        return self._known_by(project).version

    def tell(self, project: str, config: str) -> None:
        """Note a project's labelling configuration, XML."""
        self._configs.tell(project, config)

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
            ServerError: The configuration is no XML.
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

    def note(self, event: Event) -> bool:
        """Keep an event before it is acknowledged, and let it wait for `learn`. Whether it says anything new.

        Raises:
            BusyError: Too many wait.
            StorageError: It cannot be kept.
        """
        added = self.pending.add(event)
        if added:
            self._name(event)
        return added

    def learn(self, project: str) -> None:
        """Learn some of what waits of a project; what fails is logged, and kept if it may succeed later."""
        self.load()
        if self.pending.waits(project):
            self._learn(project, most=_AT_ONCE)

    @property
    def _ready(self) -> Predictor:
        if self._predictor is None:
            raise InputError("the encoder is not loaded: call load first")
        return self._predictor

    def _known_by(self, project: str) -> Known:
        model = self._models.get(project)
        return self._known if model is None else model.known

    def _name(self, event: Event) -> None:
        labels = (label for region in event.regions or () for label in labels_of(region))
        self._named.setdefault(event.project, set()).update(labels)

    def _learn(self, project: str, *, most: int | None = None) -> None:
        model = self._models.get(project) or self._begin(project)
        self.pending.work(project, lambda event: self._take(model, event), most=most)
        try:
            model.publish()
            if not self.pending.waits(project):  # what waits may teach a Concept whose file is there already
                model.tidy(list(self._named.get(project, ())))
        except RecoAssistError as error:
            _LOG.warning("what project %s has learnt is not saved: %s", project, error)

    def _begin(self, project: str) -> ProjectModel:
        folder: Path | None = None if self._log is None else self._log.folder / f"project-{project}"
        made = ProjectModel(self._given, self._known, self._ready.encoder, self._seal, folder)
        self._models[project] = made
        return made

    def _take(self, model: ProjectModel, event: Event) -> bool:
        """Teach a project what an event says; False where that may succeed at another time."""
        source = f"label studio: project {event.project}, annotation {event.annotation}"
        try:
            found, problems = ({}, []) if event.regions is None else self._read(event, source)
        except (ImageError, EncoderError) as error:
            _LOG.warning("%s is not learnt yet, and is tried again: %s", source, error)
            return False
        except RecoAssistError as error:
            found, problems = {}, [str(error)]
        except Exception:  # noqa: BLE001  (one bad event must not keep the others from being learnt)
            _LOG.exception("%s teaches nothing: it failed", source)
            found, problems = {}, []
        for problem in problems:
            _LOG.warning("%s teaches nothing about %s", source, problem)
        model.replace(event.annotation, found)
        return True

    def _read(self, event: Event, source: str) -> Any:  # noqa: ANN401  (see Predictor.read)
        path = self._images.find(self._address(event))
        return self._ready.read(self._given, path, event.regions or (), source=source)

    def _address(self, event: Event) -> str:
        """The address of the image that an annotation was made in."""
        variable = event.variable or image_variable(self._configs.find(event.project), event.regions or ())
        if variable is not None:
            address = event.data.get(variable)
            if not isinstance(address, str):
                raise InputError(
                    f"task {event.task} has no image under ${variable} in its data: add it there"
                )
            return address
        found = [one for one in event.data.values() if isinstance(one, str) and one.startswith(("/", "http"))]
        if len(found) != 1:
            raise ImageError(
                f"which of {len(found)} addresses of task {event.task} is the image is not known: connect by "
                "--server, or let Label Studio ask for a prediction"
            )
        return found[0]
