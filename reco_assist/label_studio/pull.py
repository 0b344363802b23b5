"""Fetch what people made of the predictions, and only what is new since the last time."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from reco_assist.errors import InputError, ServerError
from reco_assist.files import write_bytes
from reco_assist.folders import make_output_folder
from reco_assist.formats import write_coco
from reco_assist.label_studio.project import find
from reco_assist.label_studio.pulled import POLICIES, STATE, Policy, Pulled, read_state, state
from reco_assist.label_studio.server import Server
from reco_assist.label_studio.tasks import part_tasks, read_task
from reco_assist.locks import only_writer

_WANTED = ("data", "annotations", "predictions", "updated_at")


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
        known, root = read_state(place / STATE, source)
        since = max((one.updated for one in known.values()), default="")
        notes: Counter[str] = Counter()
        fresh = 0
        for task in server.tasks(opened.id, include=_WANTED, filters=_since(since)):
            found = read_task(task, opened, notes)
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
            part_tasks(kept),
            images.absolute() if images is not None else root,
            policy,
            fresh,
            tuple(f"{count:,} {what} were left out." for what, count in notes.items()),
        )
        info = {"description": f"corrected in Label Studio, project {opened.title}", "policy": policy}
        predictions = [result.corrected(one) for one in result.answered]
        write_coco(place / "coco.json", partial(iter, predictions), result.concepts, info=info)
        # Last: after a failure before it, the next pull fetches the same again.
        write_bytes(place / STATE, state(replace(result, labelled=kept), source).encode())
        return result


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
