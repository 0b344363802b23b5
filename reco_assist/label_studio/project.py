"""Finding a project by its title or number, or making one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reco_assist.errors import InputError, ServerError, UnreachableError, short
from reco_assist.formats import label_config
from reco_assist.formats.label_studio import Shape, Tool
from reco_assist.label_studio.config import Config
from reco_assist.label_studio.forms import FOUND_PROJECTS, PROJECT
from reco_assist.label_studio.refusals import MissingError
from reco_assist.label_studio.server import Server


@dataclass(frozen=True, slots=True)
class Project:
    """A project on a server.

    Attributes:
        id: Its number.
        title: Its title.
        config: Its labelling configuration.
        model_version: Whose predictions the label stream shows.
        created: Whether it was made just now.
    """

    id: int
    title: str
    config: Config
    model_version: str
    created: bool = False


def find(server: Server, project: str) -> Project | None:
    """The project of a number, or of a title; None if there is none of that title.

    Raises:
        InputError: The title is none.
        ServerError: There is none of that number, or several of that title.
    """
    wanted = project.strip()
    if not 3 <= len(wanted) <= 50 and not wanted.isdecimal():
        raise InputError(f"The project {project!r} is no number and no title of 3 to 50 letters; give one.")
    if wanted.isdecimal():
        try:
            return _project(server.get(f"/api/projects/{wanted}/", PROJECT))
        except MissingError:
            raise ServerError(
                f"{server.url} has no project {wanted}; it may have been deleted: give a title for a new one."
            ) from None
    same = _same_title(server, wanted)
    if len(same) > 1:
        numbers = short(", ".join(map(str, sorted(same))))
        raise ServerError(f"{server.url} has several projects {wanted!r} ({numbers}); give a number instead.")
    return _project(server.get(f"/api/projects/{same[0]}/", PROJECT)) if same else None


def _same_title(server: Server, title: str) -> list[int]:
    found = server.get("/api/projects/", FOUND_PROJECTS, title=title, include="id,title", page_size=100)
    return [one["id"] for one in found["results"] if one["title"] == title]


def open_or_create(
    server: Server, project: str, concepts: Sequence[str], *, shape: Shape, also: Sequence[Tool]
) -> Project:
    """A project to push to. One without a configuration gets ours; errors as for `find`."""
    config = label_config(concepts, shape=shape, also=also)
    attempt = 0
    while (found := find(server, project)) is None:
        try:
            content = {"title": project.strip(), "label_config": config}
            made = _project(server.once("POST", "/api/projects/", PROJECT, json=content), created=True)
        except UnreachableError:  # it may have been made all the same: look before the next attempt
            attempt += 1
            if attempt == server.attempts:
                raise
            server.wait(attempt - 1)
            continue
        # Another push may have made one meanwhile. The first stays; whoever came later sees both.
        if min(_same_title(server, made.title), default=made.id) == made.id:
            return made
        server.remove(f"/api/projects/{made.id}/")
    if found.config.blank:
        return _project(
            server.patiently("PATCH", f"/api/projects/{found.id}/", PROJECT, json={"label_config": config})
        )
    return found


def _project(data: dict[str, Any], *, created: bool = False) -> Project:
    return Project(
        data["id"],
        short(data["title"]),
        Config.parse(data["label_config"] or "<View/>"),
        str(data.get("model_version") or ""),
        created,
    )
