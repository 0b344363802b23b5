"""What Label Studio says about annotations: its webhooks, and the lines of our log, checked in one place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reco_assist.errors import FormatError, InputError, reason
from reco_assist.json_files import text, whole
from reco_assist.label_studio.config import Config
from reco_assist.serving.marks import Region, check_regions

_PROJECT = re.compile(r"(\d*)(?:\.\d*)?")
_LEARNT = {"ANNOTATION_CREATED", "ANNOTATION_UPDATED"}
_DELETED = "ANNOTATIONS_DELETED"

MOST = 10_000
"""Corrections that may wait, and so annotations that one webhook may tell of."""


@dataclass(frozen=True, slots=True)
class Event:
    """What an annotation says now.

    Attributes:
        project: Number of its project.
        annotation: Its number.
        regions: What it marks; None where it was deleted, or skipped.
        deleted: Whether it is gone for good; numbers are not used again.
        task: Number of its task, for messages.
        data: Of the task.
        variable: Which of the data is the image, by the labelling configuration; None if that is not known.
        updated: When it was changed; None where the server did not say.
    """

    project: str
    annotation: int
    regions: tuple[Region, ...] | None
    deleted: bool = False
    task: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    variable: str | None = None
    updated: datetime | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Names the annotation among all projects."""
        return self.project, self.annotation

    def replaces(self, earlier: "Event") -> bool:
        """Whether it is the newer of two about the same annotation, this one having come later.

        Webhooks are sent by several threads of the server, and overtake each other.
        """
        if earlier.deleted or self.deleted:
            return not earlier.deleted
        return self.updated is None or earlier.updated is None or self.updated >= earlier.updated

    def record(self) -> dict[str, Any]:
        """The event as a line of the log."""
        return {
            "project": self.project,
            "annotation": self.annotation,
            "task": {"id": self.task, "data": dict(self.data)},
            "result": None if self.regions is None else list(self.regions),
            "deleted": self.deleted,
            "image": self.variable,
            "updated": None if self.updated is None else self.updated.isoformat(),
        }


def read_record(record: object, what: object = "a logged correction") -> Event:
    """The event of a line of the log. Older releases wrote neither `deleted`, `image` nor `updated`.

    Args:
        record: The line's value.
        what: The line, for the error.

    Raises:
        FormatError: It is none.
    """
    try:
        if not isinstance(record, dict):
            raise TypeError(f"it is a {type(record).__name__}")
        task, result, image = record["task"] or {}, record["result"], record.get("image")
        return Event(
            project_number(record),
            whole(record["annotation"]),
            None if result is None else check_regions(result),
            bool(record.get("deleted", result is None)),
            str(task.get("id", "")),
            _data(task),
            None if image is None else text(image),
            _moment(record.get("updated")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{what} is no correction ({reason(error)}): it teaches nothing.") from None


def read_webhook(data: Mapping[str, Any]) -> list[Event]:
    """What a webhook says about annotations; nothing for what it says about other things.

    Raises:
        FormatError: It is no webhook of Label Studio.
    """
    action, project = data.get("action"), project_number(data)
    try:
        if action in _LEARNT:
            annotation, task = data["annotation"], data["task"]
            result = check_regions(annotation.get("result") or [])
            regions = None if annotation.get("was_cancelled") else result
            event = Event(
                project,
                whole(annotation["id"]),
                regions,
                task=str(task.get("id", "")),
                data=_data(task),
                variable=image_variable(_config(data), result),
                updated=_moment(annotation.get("updated_at")),
            )
            return [event]
        if action == _DELETED:
            deleted = data.get("annotations") or ()
            if len(deleted) > MOST:
                raise ValueError(f"more than {MOST:,} annotations")
            return [Event(project, whole(one["id"]), None, deleted=True) for one in deleted]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = str(error) if isinstance(error, InputError) else f"{action}: {reason(error)}"
        raise FormatError(f"this is no webhook of Label Studio: {said}") from None
    return []


def project_number(data: Mapping[str, Any]) -> str:
    """A project's number: Label Studio sends '7.1700000000' (with the time it was made), 7 or {'id': 7}.

    Raises:
        FormatError: It is no number.
    """
    found = data.get("project")
    if isinstance(found, dict):
        found = found.get("id")
    told = "" if found is None else found
    match = _PROJECT.fullmatch(str(told)) if isinstance(told, str | int) else None
    if match is None:
        raise FormatError(f"the project is {str(found)[:60]!r}, expected a number")
    return match[1]


def image_variable(config: Config | None, regions: Sequence[Region]) -> str | None:
    """The variable of a task's data that holds the image which regions were drawn in.

    Args:
        config: The labelling configuration; None where it is not known.
        regions: They name their image where there are several.

    Returns:
        None where the configuration is not known, or does not say it.
    """
    if config is None:
        return None
    named = {config.images[one["to_name"]] for one in regions if one.get("to_name") in config.images}
    labelled = {config.images[one.image] for one in config.controls if one.image in config.images}
    for found in (named, labelled, set(config.images.values())):
        if len(found) == 1:
            return next(iter(found))
    return None


def _config(data: Mapping[str, Any]) -> Config | None:
    project = data.get("project")
    found = project.get("label_config") if isinstance(project, dict) else None
    try:
        return Config.parse(found) if isinstance(found, str) and found else None
    except FormatError:  # the project's predictions, or the server, may know better
        return None


def _data(task: Mapping[str, Any]) -> dict[str, Any]:
    data = task.get("data") or {}
    if not isinstance(data, dict):
        raise TypeError("the task's data are no object")
    return data


def _moment(found: object) -> datetime | None:
    if found is None:
        return None
    moment = datetime.fromisoformat(text(found))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
