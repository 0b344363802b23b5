"""The concepts of each project: what they predict, and what its annotators have taught them."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import ImageRef, Prediction
from reco_assist.concepts import Concept
from reco_assist.concepts.corrections import Correction, begin, correct, read_correction
from reco_assist.encoders import Encoder, load_encoder
from reco_assist.errors import ImageError, InputError, RecoAssistError
from reco_assist.files import make_folder
from reco_assist.formats.label_studio import Names, Shape, pre_annotation
from reco_assist.images import decode
from reco_assist.label_studio.config import Config
from reco_assist.label_studio.regions import read_region
from reco_assist.library import file_name
from reco_assist.masks import rle
from reco_assist.segmenter import Segmenter, Target
from reco_assist.serving.images import ImageStore
from reco_assist.serving.journal import CorrectionLog

_LOG = logging.getLogger(__name__)
_POINT = 0.02  # radius of a click, as a share of the image's longer side
_MARK = 3.0  # corrections that a mark in the image at hand counts for
_SHAPES: tuple[Shape, ...] = ("brush", "polygon")


@dataclass(slots=True)
class _Project:
    """What a project's annotators have taught: corrections by (label, annotation), and their results."""

    corrections: dict[tuple[str, str], Correction] = field(default_factory=dict)
    concepts: dict[str, Concept] = field(default_factory=dict)


class Trained(Protocol):
    """A trained student: quicker than Concepts, and not to be taught between two predictions."""

    @property
    def digests(self) -> dict[str, str]:
        """Its digest by the names of what it finds."""

    def predict(self, images: Iterable[Target]) -> Iterator[Prediction]:
        """Masks of images, in their order."""


class Teacher:
    """Predicts for Label Studio's tasks and learns from its annotations.

    The versions are cheap and safe to ask for at any time; `load`, `predict` and `learn` take seconds and are
    called by one thread at a time.

    Args:
        concepts: What every project starts with.
        images: Where tasks' images come from.
        log: Keeps corrections; without it they are forgotten at the end.
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
        self._concepts = {concept.name: concept for concept in concepts}
        self._images = images
        self._log = log
        self._encoder = encoder
        self._student = student
        self._projects: dict[str, _Project] = {}
        self._loaded = False
        self._lock = Lock()  # of what the projects have learnt; held for vectors only, never for an image

    def load(self) -> None:
        """Load the encoder and learn what the log holds, if that has not been done."""
        if self._loaded:
            return
        self._loaded = True
        if self._encoder is None:
            first = next(iter(self._concepts.values()))
            self._encoder = load_encoder(first.provenance.encoder)
        if self._log is not None:
            last = {(str(event["project"]), str(event["annotation"])): event for event in self._log.events()}
            for event in last.values():
                try:
                    self.learn(event)
                except RecoAssistError as error:
                    _LOG.warning("a correction was not learnt again: %s", error)

    def version(self, project: str) -> str:
        """Names what a project's predictions come from: another version after each correction."""
        with self._lock:
            concepts = self._known(project)
        parts = [concept.digest for concept in concepts.values()]
        parts += [] if self._student is None else self._student.digests.values()
        digest = sha256("".join(parts).encode())
        return f"reco-assist {digest.hexdigest()[:12]}"

    def predict(
        self,
        project: str,
        tasks: Sequence[Mapping[str, Any]],
        config: str,
        marks: Sequence[Mapping[str, Any]] = (),
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
        names, shape, labels = self._fit(project, config, marks)
        results = []
        problems: list[str] = []
        for task in tasks:
            try:
                path = self._images.find(str(task.get("data", {}).get(names.data, "")))
                prediction = self._segment(project, task, path, labels, marks)
            except ImageError as error:
                problems.append(str(error))
                _LOG.warning("task %s: %s", task.get("id"), error)
                results.append({"model_version": self.version(project), "score": 0.0, "result": []})
                continue
            version = self.version(project)
            results.append(pre_annotation(prediction, model_version=version, shape=shape, names=names))
        if problems and len(problems) == len(tasks):
            raise InputError(problems[0])
        return results

    def note(self, event: Mapping[str, Any]) -> None:
        """Keep an event before it is acknowledged; see `CorrectionLog`."""
        if self._log is not None:
            self._log.append(event)

    def learn(self, event: Mapping[str, Any]) -> None:
        """Teach a project's concepts what an annotation says, or forget it.

        Args:
            event: `project`, `annotation` (its number), `task` with its data, and `result`, the regions; None
                where the annotation was deleted.

        Raises:
            InputError: It says nothing that can be learnt.
            ImageError: Its image cannot be read.
        """
        self.load()
        project, number, result = str(event["project"]), str(event["annotation"]), event["result"]
        with self._lock:
            state = self._projects.setdefault(project, _Project())
            for key in [key for key in state.corrections if key[1] == number]:
                del state.corrections[key]
            self._renew(state)
        if result is None:
            return
        path = self._images.find(_address(event["task"]))
        picture = decode(path)
        masks = _masks(result, picture.height, picture.width)
        base = self._predict(list(self._concepts.values()), path)
        for label in {*masks, *self._concepts}:
            corrected = masks.get(label, np.zeros((picture.height, picture.width), np.bool_))
            predicted = _union(base, label)
            if not corrected.any() and not predicted.any():
                continue  # both say that it is not there
            source = f"label studio: project {project}, annotation {number}"
            try:
                correction = read_correction(self._ready, path, corrected, predicted=predicted, source=source)
            except InputError as error:
                _LOG.warning("annotation %s teaches %r nothing: %s", number, label, error)
                continue
            with self._lock:
                state.corrections[label, number] = correction
                self._renew(state)
        self._save(project, state)

    @property
    def _ready(self) -> Encoder:
        if self._encoder is None:
            raise InputError("the encoder is not loaded: call load first")
        return self._encoder

    def _known(self, project: str) -> dict[str, Concept]:
        state = self._projects.get(project)
        return {**self._concepts, **({} if state is None else state.concepts)}

    def _renew(self, state: _Project) -> None:
        """Learn a project's concepts anew from all its corrections: their order does not matter."""
        by_label: dict[str, list[Correction]] = {}
        for (label, _), correction in sorted(state.corrections.items()):
            by_label.setdefault(label, []).append(correction)
        state.concepts = {}
        for label, corrections in by_label.items():
            known = self._concepts.get(label)
            if known is not None:
                state.concepts[label] = correct(known, corrections, ordinary=self._ready.ordinary)
            elif any(one.shown is not None for one in corrections):
                state.concepts[label] = begin(label, corrections, self._ready)

    def _save(self, project: str, state: _Project) -> None:
        """Write what was learnt as Concept files, to be used elsewhere."""
        if self._log is not None:
            folder = make_folder(self._log.folder / f"project-{project}")
            for concept in state.concepts.values():
                concept.save(folder / file_name(concept.name))

    def _fit(
        self, project: str, config: str, marks: Sequence[Mapping[str, Any]]
    ) -> tuple[Names, Shape, list[str]]:
        """What the configuration calls things, and the labels that can be predicted."""
        parsed = Config.parse(config)
        with self._lock:
            able = set(self._known(project))
        able |= {label for mark in marks for label in _labels(mark)}
        labels = [label for label in parsed.concepts if label in able]
        for shape in _SHAPES:
            if labels and (names := parsed.names(shape, labels)) is not None:
                return names, shape, labels
        known = ", ".join(repr(name) for name in sorted(able))
        raise InputError(
            f"the labelling configuration has no BrushLabels or PolygonLabels with one of {known}: add it"
        )

    def _segment(
        self,
        project: str,
        task: Mapping[str, Any],
        path: Path,
        labels: Sequence[str],
        marks: Sequence[Mapping[str, Any]],
    ) -> Prediction:
        with self._lock:
            known = self._known(project)
        marked: dict[str, NDArray[np.bool_]] = {}
        if marks:
            picture = decode(path)
            marked = _masks(marks, picture.height, picture.width)
        for label, mask in marked.items():
            shown = read_correction(self._ready, path, mask, source=f"task {task.get('id')}", weight=_MARK)
            concept = known.get(label)
            known[label] = (
                begin(label, [shown], self._ready)
                if concept is None
                else correct(concept, [shown], ordinary=self._ready.ordinary)
            )
        wanted = [known[label] for label in labels if label in known and (not marked or label in marked)]
        rivals = [concept for name, concept in known.items() if name not in {one.name for one in wanted}]
        if self._student is not None and not marked:
            return self._with_student(self._student, project, wanted, path)
        # What the annotator marks is there: nothing decides about its presence.
        return self._predict(wanted, path, rivals=rivals if marked else [], presence=not marked)

    def _with_student(
        self, student: Trained, project: str, wanted: Sequence[Concept], path: Path
    ) -> Prediction:
        """The student's answer for what it knows and nobody has corrected yet, the concepts' for the rest."""
        with self._lock:
            state = self._projects.get(project)
            taught = set() if state is None else set(state.concepts)
        own = {one.name for one in wanted if one.name in student.digests and one.name not in taught}
        rest = [one for one in wanted if one.name not in own]
        if not own:
            return self._predict(rest, path)
        trained = next(iter(student.predict([Target(path, path.name)])))
        learnt = self._predict(rest, path) if rest else Prediction(trained.image)
        return Prediction(
            learnt.image,
            (*(one for one in trained.regions if one.concept in own), *learnt.regions),
            (*(one for one in trained.verdicts if one.concept in own), *learnt.verdicts),
        )

    def _predict(
        self,
        concepts: Sequence[Concept],
        path: Path,
        *,
        rivals: Sequence[Concept] = (),
        presence: bool = True,
    ) -> Prediction:
        names = {concept.name for concept in concepts}
        segmenter = Segmenter(
            [*concepts, *rivals], encoder=self._ready, presence="auto" if presence else "off"
        )
        prediction = next(segmenter.predict([Target(path, path.name)]))
        return Prediction(
            prediction.image,
            tuple(region for region in prediction.regions if region.concept in names),
            tuple(verdict for verdict in prediction.verdicts if verdict.concept in names),
        )


def _address(task: Mapping[str, Any]) -> str:
    """The address of a task's image: the one value of its data that looks like one."""
    data = task.get("data") or {}
    found = [value for value in data.values() if isinstance(value, str) and value.startswith(("/", "http"))]
    if not found:
        raise ImageError(f"Task {task.get('id')} has no address of an image in its data.")
    return found[0]


def _labels(region: Mapping[str, Any]) -> tuple[str, ...]:
    value = region.get("value") or {}
    return tuple(str(label) for label in value.get(region.get("type")) or ())


def _masks(regions: Sequence[Mapping[str, Any]], height: int, width: int) -> dict[str, NDArray[np.bool_]]:
    """The pixels (H, W) of each label; those of clicks are small discs."""
    masks: dict[str, NDArray[np.bool_]] = {}
    for region in regions:
        if region.get("type") == "keypointlabels":
            mask = _disc(region["value"], height, width)
            labels = _labels(region)
        else:
            drawn = read_region(region, height=height, width=width)
            if drawn is None:
                continue
            mask, labels = rle.decode(drawn.mask), drawn.concepts
        for label in labels:
            masks[label] = masks[label] | mask if label in masks else mask
    return masks


def _disc(value: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[:height, :width] + 0.5  # (H, W)
    away = np.hypot(x - float(value["x"]) * width / 100, y - float(value["y"]) * height / 100)
    disc: NDArray[np.bool_] = away <= max(1.0, _POINT * max(height, width))
    return disc


def _union(prediction: Prediction, label: str) -> NDArray[np.bool_]:
    image: ImageRef = prediction.image
    union = rle.union([region.mask for region in prediction.regions if region.concept == label])
    return np.zeros((image.height, image.width), np.bool_) if union is None else rle.decode(union)
