"""Fetch what people made of the predictions, and only what is new since the last time."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.errors import FormatError, InputError, ServerError, short
from reco_assist.files import make_output_folder, only_writer, write_bytes
from reco_assist.formats import write_coco
from reco_assist.formats.stream import dumps
from reco_assist.json_files import parse_json
from reco_assist.label_studio.project import Project, find
from reco_assist.label_studio.regions import Drawn, read_region
from reco_assist.label_studio.server import Server
from reco_assist.masks import rle

Policy = Literal["latest", "first", "majority"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
"""What counts where several people annotated an image."""

STATE = "pulled.json"
"""Everything that was pulled, decoded; the next pull goes on from it."""

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Guess:
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
class Answer:
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
class Labelled:
    """A task with all that was said about it.

    Attributes:
        task: Its number.
        updated: When it was changed last, as the server says.
        image: The image.
        url: Where the server has it.
        guesses: Predictions, by number.
        answers: Annotations, by number.
    """

    task: int
    updated: str
    image: ImageRef
    url: str
    guesses: tuple[Guess, ...] = ()
    answers: tuple[Answer, ...] = ()

    @property
    def answered(self) -> tuple[Answer, ...]:
        """Annotations that were not skipped, the earliest change first."""
        return tuple(sorted((one for one in self.answers if not one.skipped), key=lambda one: one.updated))

    def guess(self) -> Guess | None:
        """The prediction that the annotators saw: that of the latest annotation, else the newest."""
        parents = {one.id: one for one in self.guesses}
        for answer in reversed(self.answered):
            if answer.parent in parents:
                return parents[answer.parent]
        return self.guesses[-1] if self.guesses else None


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought.

    Attributes:
        folder: Where it lies.
        project: Title of the project.
        concepts: Its labels.
        labelled: Its tasks.
        images: The folder of the images, as far as it is known.
        policy: What counts where several people annotated an image.
        fresh: Tasks that are new, or changed since the last pull.
        notes: What the user should know, a sentence each.
    """

    folder: Path
    project: str
    concepts: tuple[str, ...]
    labelled: tuple[Labelled, ...]
    images: Path | None
    policy: Policy
    fresh: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def answered(self) -> list[Labelled]:
        """Tasks that somebody annotated."""
        return [one for one in self.labelled if one.answered]

    @property
    def skipped(self) -> int:
        """Tasks that were only skipped."""
        return sum(bool(one.answers) and not one.answered for one in self.labelled)

    def corrected(self, one: Labelled) -> Prediction:
        """What people say is in an image, by the policy."""
        regions = _regions(one, self.concepts, self.policy)
        seen = {region.concept for region in regions}
        verdicts = tuple(Verdict(name, name in seen, float(name in seen)) for name in self.concepts)
        return Prediction(one.image, regions, verdicts)


def pull(
    server: Server,
    project: str,
    folder: Path,
    *,
    images: Path | None = None,
    policy: Policy = "latest",
    on_tasks: Callable[[int], object] = lambda _: None,
) -> Pulled:
    """Fetch a project's annotations into a folder: `pulled.json`, and `coco.json` of the corrected masks.

    Images that nobody annotated, or that were only skipped, are not in `coco.json`; images in which nothing
    was marked are, without masks.

    Args:
        server: Where from.
        project: Title or number.
        folder: Where the results go. Only what changed since the last pull to it is fetched.
        images: The folder of the images, to be remembered for pictures and for learning.
        policy: Where several people annotated an image, the annotation that was changed last (`latest`), the
            `first`, or the pixels that more than half of them marked (`majority`).
        on_tasks: Called with the number of tasks that have been read, one by one.

    Raises:
        InputError: There is no such policy.
        ServerError: There is no such project, or the server refuses.
        FormatError: An annotation cannot be read, or the folder holds another project.
        StorageError: The folder cannot be written, or another process pulls into it; what was there stays.
    """
    if policy not in POLICIES:
        raise InputError(f"There is no policy {policy!r}; choose one of {', '.join(POLICIES)}.")
    opened = find(server, project)
    if opened is None:
        raise ServerError(f"{server.url} has no project {project!r}; check the title, or push to it first.")
    if not opened.config.concepts:
        raise ServerError(f"The project {opened.title!r} has no labels for regions of images; pull another.")
    place = make_output_folder(folder)
    with only_writer(place):
        source = f"{server.url}/projects/{opened.id}"
        known, root = _read_state(place / STATE, source)
        since = max((one.updated for one in known.values()), default="")
        notes: Counter[str] = Counter()
        fresh = 0
        for task in server.tasks(opened.id, include=_WANTED, filters=_since(since)):
            found = _checked(task, opened, notes)
            fresh += found is not None and known.get(found.task) != found
            if found is not None:
                known[found.task] = found
            on_tasks(1)
        listed = {one["id"] for one in server.tasks(opened.id, include=["updated_at"])}
        kept = tuple(known[task] for task in sorted(known.keys() & listed))
        result = Pulled(
            place,
            opened.title,
            opened.config.concepts,
            kept,
            images.absolute() if images is not None else root,
            policy,
            fresh,
            tuple(f"{count:,} {what}" for what, count in notes.items()),
        )
        info = {"description": f"corrected in Label Studio, project {opened.title}", "policy": policy}
        predictions = [result.corrected(one) for one in result.answered]
        write_coco(place / "coco.json", partial(iter, predictions), result.concepts, info=info)
        # Last: after a failure before it, the next pull fetches the same again.
        write_bytes(place / STATE, _state(result, source).encode())
        return result


def read_pulled(folder: Path) -> Pulled:
    """What an earlier `pull` left in a folder.

    Raises:
        InputError: It left nothing there.
        FormatError: It is damaged or of another release.
    """
    path = folder / STATE
    if not path.is_file():
        raise InputError(f"{folder} holds no corrections; run reco-assist pull first.")
    return _load(path)[0]


_WANTED = ("data", "annotations", "predictions", "updated_at")


def _since(moment: str) -> list[dict[str, Any]]:
    if not moment:
        return []
    # What changed in the same instant is read again; that costs little and loses nothing.
    return [
        {
            "filter": "filter:tasks:updated_at",
            "operator": "greater_or_equal",
            "type": "Datetime",
            "value": moment,
        }
    ]


def _checked(task: Mapping[str, Any], project: Project, notes: Counter[str]) -> Labelled | None:
    """A task as it came, which anybody may have written."""
    try:
        return _labelled(task, project, notes)
    except FormatError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        number = short(task.get("id") if isinstance(task, Mapping) else None, 20)
        raise FormatError(
            f"The task {number} of the project {project.title!r} is not of the form that Label Studio gives "
            f"tasks ({type(error).__name__}: {short(error)}); mend or delete it there."
        ) from error


def _labelled(task: Mapping[str, Any], project: Project, notes: Counter[str]) -> Labelled | None:
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
            notes["annotated tasks were left out: nothing tells the size of their images."] += 1
        return None
    name = str(data.get("file_name") or url.rsplit("/", 1)[-1] or task["id"])
    width, height = int(width), int(height)
    rle.check_size(height, width)
    image = ImageRef(name, str(data.get("key") or f"task-{task['id']}"), width, height)
    # Who made an annotation is a number or, in some releases, an object.
    answers = [
        Answer(
            one["id"],
            _number(one.get("completed_by")),
            one.get("parent_prediction") and int(one["parent_prediction"]),
            bool(one.get("was_cancelled")),
            _seconds(one.get("lead_time")),
            str(one.get("updated_at") or ""),
            _read(one["result"] or (), image, notes),
        )
        for one in task["annotations"]
    ]
    guesses = [
        Guess(one["id"], str(one.get("model_version") or ""), _read(one["result"] or (), image, notes))
        for one in task["predictions"]
    ]
    return Labelled(
        task["id"],
        str(task["updated_at"]),
        image,
        url,
        tuple(sorted(guesses, key=lambda one: one.id)),
        tuple(sorted(answers, key=lambda one: one.id)),
    )


def _number(who: object) -> int:
    number = who["id"] if isinstance(who, dict) else who
    return int(str(number or 0))


def _seconds(told: object) -> float:
    seconds = float(str(told or 0))
    if not math.isfinite(seconds):
        raise FormatError(f"A lead time is {seconds}; mend it there.")
    return round(seconds, 1)


def _read(results: Sequence[Mapping[str, Any]], image: ImageRef, notes: Counter[str]) -> tuple[Drawn, ...]:
    """Regions of a result; the parts that a mask was cut into are one again."""
    regions: dict[str, Drawn] = {}
    for result in results:
        try:
            found = read_region(result, height=image.height, width=image.width)
        except FormatError as error:
            raise FormatError(f"{short(image.file_name)}: {short(error, 200)}") from error
        if found is None:
            if result.get("type") not in {"choices", "textarea", "rating", "relation"}:
                notes["regions without a label, without a pixel or of another kind were left out."] += 1
            continue
        whole = found.id.partition("_")[0] if _is_part(found.id) else found.id
        before = regions.get(whole)
        if before is not None and before.concepts == found.concepts:
            origin = before.origin if before.origin == found.origin else "prediction-changed"
            mask = rle.encode(rle.decode(before.mask) | rle.decode(found.mask))
            regions[whole] = replace(before, mask=mask, origin=origin)
        else:
            regions[whole if before is None else found.id] = replace(found, id=whole)
    return tuple(regions.values())


def _is_part(region: str) -> bool:
    """Whether an id is ours for a part of a mask: 13 hexadecimal digits, an underscore and a number."""
    whole, _, part = region.partition("_")
    return len(whole) == 13 and part.isdecimal() and all(letter in "0123456789abcdef" for letter in whole)


def _regions(one: Labelled, concepts: Sequence[str], policy: Policy) -> tuple[Region, ...]:
    answers = one.answered
    if not answers:
        return ()
    if policy != "majority" or len(answers) == 1:
        chosen = answers[0] if policy == "first" else answers[-1]
        # Two regions of the same concept and pixels are one.
        masks = {(name, drawn.mask): None for drawn in chosen.regions for name in drawn.concepts}
        return tuple(Region(name, mask, 1.0) for name, mask in masks if name in concepts)
    found = []
    for name in concepts:
        votes = sum(union(answer.regions, name, one.image).astype(np.int16) for answer in answers)  # (H, W)
        agreed = np.asarray(votes) * 2 > len(answers)  # (H, W)
        if agreed.any():
            found.append(Region(name, rle.encode(agreed), 1.0))
    return tuple(found)


def union(regions: Sequence[Drawn], concept: str, image: ImageRef) -> NDArray[np.bool_]:
    """(H, W) bool: every pixel that regions of a concept hold."""
    mask = np.zeros((image.height, image.width), bool)
    for region in regions:
        if concept in region.concepts:
            mask |= rle.decode(region.mask)
    return mask


def _state(pulled: Pulled, source: str) -> str:
    return dumps(
        {
            "format": _FORMAT,
            "source": source,
            "project": pulled.project,
            "concepts": pulled.concepts,
            "images": None if pulled.images is None else str(pulled.images),
            "policy": pulled.policy,
            "tasks": [asdict(one) for one in pulled.labelled],
        }
    )


def _load(path: Path) -> tuple[Pulled, str]:
    """What was pulled, and where from."""
    try:
        data = parse_json(path.read_bytes(), path)
        if data["format"] != _FORMAT or data["policy"] not in POLICIES:
            raise ValueError
        return Pulled(
            path.parent,
            str(data["project"]),
            tuple(map(str, data["concepts"])),
            tuple(_from_json(one) for one in data["tasks"]),
            None if data["images"] is None else Path(data["images"]),
            data["policy"],
        ), str(data["source"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise FormatError(f"{path} is damaged or of another release; remove it and pull again.") from None


def _read_state(path: Path, source: str) -> tuple[dict[int, Labelled], Path | None]:
    if not path.is_file():
        return {}, None
    before, place = _load(path)
    if place != source:
        raise FormatError(f"{path.parent} holds what was pulled from {short(place)}; choose another folder.")
    return {one.task: one for one in before.labelled}, before.images


def _from_json(data: Mapping[str, Any]) -> Labelled:
    image = ImageRef(**data["image"])
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

    return Labelled(
        int(data["task"]),
        str(data["updated"]),
        image,
        str(data["url"]),
        tuple(Guess(one["id"], one["model_version"], drawn(one["regions"])) for one in data["guesses"]),
        tuple(Answer(**{**one, "regions": drawn(one["regions"])}) for one in data["answers"]),
    )
