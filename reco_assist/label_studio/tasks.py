"""A project's tasks, with the predictions and annotations that the server holds of each."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from reco_assist.annotations import ImageRef
from reco_assist.errors import FormatError, reason, short
from reco_assist.formats.label_studio_export import image_name, part_names
from reco_assist.formats.label_studio_regions import Drawn, read_regions
from reco_assist.label_studio.project import Project
from reco_assist.masks import rle


@dataclass(frozen=True, slots=True)
class LSPrediction:
    """A prediction as the server holds it.

    Attributes:
        id: Its number.
        model_version: What made it.
        regions: Its regions.
    """

    id: int
    model_version: str
    regions: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class LSAnnotation:
    """An annotation.

    Attributes:
        id: Its number.
        who: Number of the annotator.
        parent: Number of the prediction that it began with; None where it began blank.
        skipped: Whether the annotator skipped the task.
        seconds: How long it took, as far as the editor knows.
        updated: When it was changed last, ISO 8601.
        regions: Its regions.
    """

    id: int
    who: int
    parent: int | None
    skipped: bool
    seconds: float
    updated: str
    regions: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class LSTask:
    """A task with all that was said about it.

    Attributes:
        task: Its number.
        updated: When it was changed last, as the server says.
        image: The image.
        url: Where the server has it.
        predictions: By number.
        annotations: By number.
    """

    task: int
    updated: str
    image: ImageRef
    url: str
    predictions: tuple[LSPrediction, ...] = ()
    annotations: tuple[LSAnnotation, ...] = ()

    @property
    def answered(self) -> tuple[LSAnnotation, ...]:
        """Annotations that were not skipped, the earliest change first."""
        return tuple(
            sorted((one for one in self.annotations if not one.skipped), key=lambda one: one.updated)
        )

    def prediction(self) -> LSPrediction | None:
        """The prediction that the annotators saw: that of the latest annotation, else the newest."""
        parents = {one.id: one for one in self.predictions}
        for annotation in reversed(self.answered):
            if annotation.parent in parents:
                return parents[annotation.parent]
        return self.predictions[-1] if self.predictions else None


def read_task(task: Mapping[str, Any], project: Project, notes: Counter[str]) -> LSTask | None:
    """A task as the server gives it, which anybody may have written.

    Args:
        task: With its data, annotations and predictions.
        project: Whose task it is.
        notes: Counts what was left out, by a sentence about it.

    Returns:
        None where nothing tells the size of the image.

    Raises:
        FormatError: It is damaged.
    """
    try:
        return _read_task(task, project, notes)
    except FormatError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        number = short(task.get("id") if isinstance(task, Mapping) else None, 20)
        raise FormatError(
            f"The task {number} of the project {project.title!r} is not of the form that Label Studio gives "
            f"tasks ({reason(error)}); mend or delete it there."
        ) from error


def _read_task(task: Mapping[str, Any], project: Project, notes: Counter[str]) -> LSTask | None:
    data, results = task["data"], [*task["annotations"], *task["predictions"]]
    sizes = [
        (region["original_width"], region["original_height"])
        for result in results
        for region in result["result"] or ()
        if "original_width" in region
    ]
    width, height = data.get("width") or 0, data.get("height") or 0
    if sizes and not width:
        width, height = sizes[0]
    variables = [data.get(variable) for variable in project.config.images.values()]
    url = next((str(one) for one in variables if one), "")
    if not width:
        if task["annotations"]:
            notes["annotated tasks, since nothing tells the size of their images,"] += 1
        return None
    name = image_name(data, url) or str(task["id"])
    width, height = int(width), int(height)
    rle.check_size(height, width)
    image = ImageRef(name, str(data.get("key") or f"task-{task['id']}"), width, height)
    # Who made an annotation is a number or, in some releases, an object.
    annotations = [
        LSAnnotation(
            one["id"],
            _number(one.get("completed_by")),
            one.get("parent_prediction") and int(one["parent_prediction"]),
            bool(one.get("was_cancelled")),
            _seconds(one.get("lead_time")),
            str(one.get("updated_at") or ""),
            read_regions(one["result"] or (), image, notes),
        )
        for one in task["annotations"]
    ]
    predictions = [
        LSPrediction(
            one["id"], str(one.get("model_version") or ""), read_regions(one["result"] or (), image, notes)
        )
        for one in task["predictions"]
    ]
    return LSTask(
        task["id"],
        str(task["updated_at"]),
        image,
        url,
        tuple(sorted(predictions, key=lambda one: one.id)),
        tuple(sorted(annotations, key=lambda one: one.id)),
    )


def part_tasks(tasks: Sequence[LSTask]) -> tuple[LSTask, ...]:
    """Tasks whose images have names of their own, as a data set needs them."""
    names = part_names([(one.image.file_name, one.url) for one in tasks])
    return tuple(
        replace(one, image=replace(one.image, file_name=name)) for one, name in zip(tasks, names, strict=True)
    )


def _number(who: object) -> int:
    number = who["id"] if isinstance(who, dict) else who
    return int(str(number or 0))


def _seconds(told: object) -> float:
    seconds = float(str(told or 0))
    if not math.isfinite(seconds):
        raise FormatError(f"A lead time is {seconds}; mend it there.")
    return round(seconds, 1)


def to_json(task: LSTask) -> dict[str, Any]:
    """A task as `pulled.json` keeps it; its names of the fields are those of the first release."""
    data = asdict(task)
    return {**data, "guesses": data.pop("predictions"), "answers": data.pop("annotations")}


def from_json(data: Mapping[str, Any]) -> LSTask:
    """A task that `to_json` wrote; whatever error arises, it did not."""
    image, url = ImageRef(**data["image"]), str(data["url"])
    if image.file_name == url.rsplit("/", 1)[-1]:  # what the first release called images it knew no name of
        image = replace(image, file_name=image_name({}, url) or image.file_name)
    rle.check_size(image.height, image.width)

    def drawn(regions: Sequence[Mapping[str, Any]]) -> tuple[Drawn, ...]:
        return tuple(
            Drawn(
                str(one["id"]),
                tuple(map(str, one["concepts"])),
                rle.from_coco(
                    {"size": [one["mask"]["height"], one["mask"]["width"]], "counts": one["mask"]["counts"]},
                    image.height,
                    image.width,
                ),
                str(one["origin"]),
            )
            for one in regions
        )

    return LSTask(
        int(data["task"]),
        str(data["updated"]),
        image,
        url,
        tuple(
            LSPrediction(one["id"], one["model_version"], drawn(one["regions"])) for one in data["guesses"]
        ),
        tuple(LSAnnotation(**{**one, "regions": drawn(one["regions"])}) for one in data["answers"]),
    )
