"""Send predictions to a project, so that doing it again, or after any failure, doubles nothing.

The server is the only memory: what it holds is looked up by content hash before each batch, and after it,
until every image has one task with one prediction of ours. An attempt that failed may have come through all
the same, one that was confirmed may have lost a part, and another machine may push meanwhile. On this one
pushes to a project take turns at batches, so that none is looked up while another is being sent.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from reco_assist.annotations import Prediction
from reco_assist.errors import InputError, ServerError, UnreachableError
from reco_assist.formats.checks import check_prediction, number_concepts
from reco_assist.formats.label_studio import Names, Shape, Tool, pre_annotation, task_data
from reco_assist.formats.stream import dumps
from reco_assist.label_studio import forms
from reco_assist.label_studio.images import Source
from reco_assist.label_studio.project import Project, open_or_create
from reco_assist.label_studio.refusals import MissingError
from reco_assist.label_studio.server import Server
from reco_assist.locks import one_at_a_time

_REQUEST_LIMIT = 10_000_000  # bytes of JSON; the server fails without a reason at some 250 MB
_BRUSH_LIMIT = 32_000_000
"""Pixels times masks of an image above which the brush editor takes ten seconds and more to open it."""

_ROUNDS = 20  # in which pushes that disturb one another have come to an end
_LOOKS = 4  # for tasks that were sent and are not listed
_BATCH = 50  # tasks that are looked up and sent together


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push.

    Attributes:
        url: The project's page.
        project: Its number.
        title: Its title.
        model_version: Whose predictions the label stream shows now.
        created: Tasks that were made.
        updated: Tasks that were there and got new predictions.
        unchanged: Tasks that had these very predictions.
        polygons: Images that were sent as polygons because masks would be slow to edit.
        notes: What the user should know, a sentence each.
    """

    url: str
    project: int
    title: str
    model_version: str
    created: int
    updated: int
    unchanged: int
    polygons: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "notes": list(self.notes)}

    def __str__(self) -> str:
        counts = f"{self.created:,} tasks created, {self.updated:,} updated, {self.unchanged:,} unchanged"
        return f"{self.url}: {counts}"


def push(
    server: Server,
    project: str,
    predictions: Sequence[Prediction],
    concepts: Sequence[str],
    *,
    model_version: str,
    images: Source,
    shape: Shape | Literal["auto"] = "auto",
    boxes: bool = False,
    on_images: Callable[[int], object] = lambda _: None,
) -> Pushed:
    """Make a task with a pre-annotation of every image, or update those that are there.

    Args:
        server: Where to.
        project: Title or number. A title that is not there begins a project.
        predictions: One for each image.
        concepts: Names of the labels.
        model_version: What made the predictions, as the server shall show it.
        images: How the images get there.
        shape: `brush` masks, `polygon`, or brush for all images but those above `_BRUSH_LIMIT` (auto).
        boxes: Offer the annotators a tool for boxes too, if the project is made.
        on_images: Called with the number of images that are done, batch by batch.

    Raises:
        InputError: Something is not fit to be sent, or an image is missing.
        ServerError: The project does not fit, or the server refuses; nothing was sent in the first case.
        UnreachableError: The server stopped to answer; the same push goes on where it was.
        StorageError: The system's temporary folder cannot be written, by which pushes take turns.
    """
    numbers = number_concepts(concepts)
    if not predictions or not model_version:
        raise InputError("There is nothing to push: no image was segmented, or the model has no version.")
    for prediction in predictions:
        check_prediction(prediction, numbers)
    large = {one.image.content_hash for one in predictions if shape == "auto" and _cost(one) > _BRUSH_LIMIT}
    main: Shape = "polygon" if shape == "polygon" else "brush"
    tools: list[Tool] = [*(["polygon"] if large else []), *(["box"] if boxes else [])]  # type: ignore[list-item]
    server.get("/api/current-user/whoami", {})  # a wrong token shows before anything else
    with one_at_a_time(f"{server.url} {project.strip()}"):
        opened = open_or_create(server, project, concepts, shape=main, also=tools)
    turn = f"{server.url}/projects/{opened.id}"
    job = _Job(server, opened, images, model_version, *_names(opened, concepts, main, large=bool(large)))
    refs = {one.image.content_hash: one.image for one in predictions}
    with one_at_a_time(turn):
        images.prepare(server, opened.id, list(refs.values()))
    unique = {one.image.content_hash: one for one in reversed(predictions)}  # copies of an image are one task
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    for batch in _batches(list(reversed(unique.values()))):
        with one_at_a_time(turn):
            sent = job.send(batch, large)
        for outcome, number in sent.items():
            counts[outcome] += number
        on_images(len(batch))
    server.patiently("PATCH", f"/api/projects/{opened.id}/", json={"model_version": model_version})
    return Pushed(
        f"{server.url}/projects/{opened.id}/data",
        opened.id,
        opened.title,
        model_version,
        polygons=len(large) if job.polygon else 0,
        notes=_notes(job, large, predictions, unique),
        **counts,
    )


def _cost(prediction: Prediction) -> int:
    return prediction.image.width * prediction.image.height * len(prediction.regions)


def _names(
    project: Project, concepts: Sequence[str], main: Shape, *, large: bool
) -> tuple[Shape, Names, Names | None]:
    names = project.config.check(main, concepts, project.title)
    return main, names, project.config.names("polygon", concepts) if large else None


def _notes(
    job: "_Job", large: set[str], predictions: Sequence[Prediction], unique: Mapping[str, Prediction]
) -> tuple[str, ...]:
    notes = []
    if large and job.polygon:
        notes.append(
            f"{len(large):,} images are so large that masks would be slow to edit: they were sent as "
            "polygons, simplified by at most a pixel and cut at holes."
        )
    elif large:
        notes.append(
            f"{len(large):,} images are so large that masks are slow to edit, but the project has no "
            "PolygonLabels tag for these labels; add one and push again, or be patient there."
        )
    if copies := len(predictions) - len(unique):
        notes.append(f"{copies:,} images are copies of others and share their tasks.")
    return tuple(notes)


def _batches(predictions: Sequence[Prediction]) -> Iterator[Sequence[Prediction]]:
    for start in range(0, len(predictions), _BATCH):
        yield predictions[start : start + _BATCH]


@dataclass(frozen=True, slots=True)
class _Job:
    """A push to one project.

    Attributes:
        server: Where to.
        project: The project.
        images: How the images get there.
        model_version: Of the predictions.
        shape: What regions are sent as.
        names: What the configuration calls things for it.
        polygon: The same for large images; None where they are sent like the others.
    """

    server: Server
    project: Project
    images: Source
    model_version: str
    shape: Shape
    names: Names
    polygon: Names | None

    def send(self, predictions: Sequence[Prediction], large: set[str]) -> dict[str, int]:
        """Bring some images' tasks up to date, again and again while the server fails."""
        # Whatever an earlier attempt has brought about counts as what it was meant to be.
        outcomes: dict[str, str] = {}
        attempt = rounds = 0
        while True:
            try:
                if self._send_once(predictions, large, outcomes):
                    break
                rounds += 1
                if rounds > _ROUNDS:
                    raise self._unsettled()
            except UnreachableError:
                attempt += 1
                if attempt == self.server.attempts:
                    raise
                self.server.wait(attempt - 1)
        ended = list(outcomes.values())
        return {outcome: ended.count(outcome) for outcome in ("created", "updated", "unchanged")}

    def _send_once(
        self, predictions: Sequence[Prediction], large: set[str], outcomes: dict[str, str]
    ) -> bool:
        """Send what is not there, and remove what is there twice; whether all is there once now."""
        keys = [one.image.content_hash for one in predictions]
        present, changed = self._present(keys)
        wanted = {one.image.content_hash: self._pre_annotation(one, large) for one in predictions}
        fresh = [one for one in predictions if one.image.content_hash not in present]
        for key in keys:
            if key not in present:
                outcomes[key] = "created"
        stale: list[dict[str, Any]] = []
        expected = dict.fromkeys(keys, 1)
        for key, task in present.items():
            own = [one for one in task["predictions"] if one.get("model_version") == self.model_version]
            kept = [one for one in sorted(own, key=itemgetter("id")) if _same(one, wanted[key])][:1]
            outcomes.setdefault(key, "unchanged" if own and own == kept else "updated")
            for one in own:
                if one not in kept:
                    self.server.remove(f"/api/predictions/{one['id']}/")
                    changed = True
            if not kept:
                stale.append({"task": task["id"], **wanted[key]})
            expected[key] = len(task["predictions"]) - len(own) + 1
        for part in _parts(stale):
            self.server.once("POST", f"/api/projects/{self.project.id}/import/predictions", json=part)
        if fresh:
            images = [one.image for one in fresh]
            places = self.images.addresses(self.server, self.project.id, images)
            tasks = [
                {
                    "data": task_data(image, places[image.content_hash], names=self.names),
                    "predictions": [wanted[image.content_hash]],
                }
                for image in images
            ]
            for part in _parts(tasks):
                self.server.once("POST", f"/api/projects/{self.project.id}/import", json=part)
        return not (changed or fresh or stale) or self._is_settled(expected)

    def _is_settled(self, expected: Mapping[str, int]) -> bool:
        """Whether each key has one task with as many predictions."""
        for look in range(_LOOKS):
            if look:
                self.server.wait(look - 1)  # the list may be late, and sending what it lacks would double it
            tasks, predictions = self._counts(list(expected))
            if all(tasks[key] for key in expected):
                return all(tasks[key] == 1 and predictions[key] == count for key, count in expected.items())
        raise self._unsettled()

    def _counts(self, keys: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
        """How many tasks each key has, and how many predictions they have together."""
        tasks, predictions = Counter[str](), Counter[str]()
        include = ["data", "total_predictions"]
        for task in self.server.tasks(self.project.id, include=include, filters=_of(keys)):
            number = task.get("total_predictions")
            tasks[_key(task)] += 1
            predictions[_key(task)] += number if isinstance(number, int) else 1
        return tasks, predictions

    def _unsettled(self) -> ServerError:
        return ServerError(
            f"{self.server.url} shows other tasks than were sent, again and again; look at the project "
            "there, and at the server's log."
        )

    def _pre_annotation(self, prediction: Prediction, large: set[str]) -> dict[str, Any]:
        as_polygon = self.polygon is not None and prediction.image.content_hash in large
        return pre_annotation(
            prediction,
            model_version=self.model_version,
            shape="polygon" if as_polygon else self.shape,
            names=self.polygon if as_polygon else self.names,
        )

    def _present(self, keys: Sequence[str]) -> tuple[dict[str, dict[str, Any]], bool]:
        """The tasks that are there, one a key, and whether others of a key were removed.

        Others go if nobody has worked on them.
        """
        where = _of(keys)
        light = self.server.tasks(self.project.id, include=["data"], filters=where)
        if not any(True for _ in light):  # predictions are megabytes: ask for them only where there are some
            return {}, False
        include = ["data", "predictions", "total_annotations"]
        listed = self.server.tasks(self.project.id, include=include, filters=where)
        wanted = set(keys)
        found = [task for task in listed if _key(task) in wanted]
        found.sort(key=lambda task: (_key(task), -task["total_annotations"], task["id"]))
        present = {}
        removed = False
        for key, same in groupby(found, key=_key):
            present[key], *doubled = list(same)
            for task in doubled:
                if not task["total_annotations"]:
                    self._remove(task["id"])
                    removed = True
        return present, removed

    def _remove(self, task: int) -> None:
        """Remove a task, if nobody has begun to annotate it since it was listed."""
        path = f"/api/tasks/{task}/"
        with suppress(MissingError):
            if not self.server.get(path, forms.TASK)["total_annotations"]:
                self.server.remove(path)


def _of(keys: Sequence[str]) -> list[dict[str, Any]]:
    """The condition that chooses the tasks of some images."""
    return [{"filter": "filter:tasks:data.key", "operator": "in_list", "type": "List", "value": list(keys)}]


def _key(task: Mapping[str, Any]) -> str:
    """The content hash of a task's image, as the task says."""
    return str(task["data"].get("key"))


def _same(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a prediction is there already; ids of regions depend on their masks."""
    return _facts(there) == _facts(wanted)


def _facts(prediction: Mapping[str, Any]) -> tuple[float, list[tuple[Any, ...]]]:
    regions = [
        (str(one.get("id")), str(one.get("type")), str(one.get("from_name")), _score(one))
        for one in prediction["result"] or ()
    ]
    return _score(prediction), sorted(regions)


def _score(record: Mapping[str, Any]) -> float:
    score = record.get("score")
    return round(score, 4) if isinstance(score, int | float) else 0


def _parts(records: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Records in requests of at most `_REQUEST_LIMIT`, one alone where it is larger."""
    part: list[dict[str, Any]] = []
    size = 0
    for record in records:
        length = len(dumps(record))
        if part and size + length > _REQUEST_LIMIT:
            yield part
            part, size = [], 0
        part.append(record)
        size += length
    if part:
        yield part
