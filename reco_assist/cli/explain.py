"""`reco-assist explain`."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reco_assist.cli.options import Json, Quiet, Verbose, existing_folder, print_json, set_up
from reco_assist.errors import FormatError, InputError
from reco_assist.json_files import text
from reco_assist.safe_paths import inside

if TYPE_CHECKING:
    from reco_assist.archive import Archive
    from reco_assist.concepts import Concept
    from reco_assist.formats import Dataset


_WAYS: Mapping[str, str] = {
    "near": "decided by the whole image together with a nearer look at",
    "far": "decided by a look of its own at",
    "tile": "decided by the tile at",
}


def explain(
    out: Annotated[Path, typer.Argument(help="The results of 'reco-assist segment'.")],
    image: Annotated[str, typer.Argument(help="An image of them, as coco.json names it.")],
    archive: Annotated[
        Path | None, typer.Option(help="The archive that the concepts were learnt from, to name its images.")
    ] = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Say where the masks of an image come from: seeds, exemplars, contexts, encoder weights, threshold.

    Example: reco-assist explain masks desk.jpg --archive photos.reco
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.archive import Archive
    from reco_assist.formats import read_coco

    dataset = read_coco(existing_folder(out) / "coco.json")
    found = _explain(dataset, out, image, None if archive is None else Archive.open(archive))
    if json:
        print_json(found)
    else:
        typer.echo("\n".join(_lines(found)))


def _explain(dataset: "Dataset", out: Path, file_name: str, archive: "Archive | None") -> dict[str, Any]:
    number = dataset.find(file_name)
    if number is None:
        raise InputError(
            f"{file_name} is not among the {len(dataset.images)} images of {out}: check its name"
        )
    from reco_assist.formats.fields import cut

    shown = dataset.images[number]
    try:
        about = dataset.document["info"]
        made = {text(one["name"]): text(one["digest"]) for one in about["concepts"]}
        options = {text(key): value for key, value in dict(about["options"]).items()}
        digest = text(shown["reco_hash"])
        masks: dict[str, list[dict[str, Any]]] = {name: [] for name in made}
        for one in dataset.annotations[number]:
            kept = {key: one[key] for key in ("id", "area", "bbox", "score")}
            masks[dataset.concept(one)].append(kept)
        concepts = [
            {
                "name": name,
                "verdict": shown["reco_verdicts"][name],
                "masks": masks[name],
                "digest": learnt,
                **_origin(_concept(out, learnt), archive),
                "rivals": [] if options.get("overlap") else sorted(set(made) - {name}),
            }
            for name, learnt in made.items()
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):  # of a Concept's file, which says so itself
            raise
        raise FormatError(
            f"{out / 'coco.json'} does not say where its masks come from ({cut(error, 80)}): segment again"
        ) from error
    return {"image": file_name, "hash": digest, "options": options, "concepts": concepts}


def _concept(out: Path, digest: str) -> "Concept":
    from reco_assist.concepts import Concept
    from reco_assist.runs import CONCEPTS

    path = inside(out / CONCEPTS, f"{digest}.concept")
    concept = Concept.load(path)
    if concept.digest != digest:
        raise FormatError(f"{path} is not the concept that the masks were made with: segment again")
    return concept


def _origin(concept: "Concept", archive: "Archive | None") -> dict[str, Any]:
    """What a Concept was learnt from; images by their path where an archive still has them."""
    origin = concept.provenance
    paths = {} if archive is None else {one.content_hash: one.file_name for one in archive.images()}

    def name(digest: str) -> str:
        return paths.get(digest, digest)

    return {
        "method": concept.method,
        "word": concept.text is not None,
        "familiarity": origin.familiarity,
        "nearest": list(origin.nearest),
        "encoder": origin.encoder,
        "weights": origin.weights,
        "archive": origin.archive,
        "kept": [name(digest) for digest in origin.kept],
        "dropped": [name(digest) for digest in origin.dropped],
        "seeds": [
            {"image": name(digest), "cells": [[seed.y, seed.x] for seed in cells]}
            for digest, cells in groupby(origin.seeds, key=lambda seed: seed.content_hash)
        ],
        "exemplars": [{"image": name(digest), "region": region} for digest, region in origin.exemplars],
        "contexts": list(origin.contexts),
        "version": origin.version,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    settings = ", ".join(f"{key} {value}" for key, value in found["options"].items())
    lines = [f"{found['image']} (SHA-256 {found['hash'][:12]}…)", f"  settings: {settings or 'defaults'}"]
    for one in found["concepts"]:
        verdict, masks = one["verdict"], one["masks"]
        is_there = "present" if verdict["present"] else "absent"
        shown = [f"{len(one['exemplars'])} exemplars"] if one["exemplars"] else []
        by = " and ".join([*shown, *(["its word"] if one["word"] else [])]) or "its word, sides swapped"
        lines += ["", f"{one['name']}: {is_there}, probability {verdict['probability']}, {len(masks)} masks"]
        lines += [f"  mask {m['id']}: {m['area']} pixels in {m['bbox']}, score {m['score']}" for m in masks]
        lines += [f"  {_WAYS[look['kind']]} {look['box']}" for look in verdict.get("looks", [])]
        lines.append(f"  learnt by {by} with the {one['method']} method, reco-assist {one['version']}")
        lines.append(f"  from {len(one['kept'])} images of archive {one['archive'][:12]}…")
        lines += [f"  dropped {image}" for image in one["dropped"]]
        if one["nearest"]:
            lines.append(f"  word explained by {', '.join(one['nearest'])}, familiarity {one['familiarity']}")
        lines += [f"  exemplar {x['image']}: {x['region']}" for x in one["exemplars"]]
        for seed in one["seeds"]:
            cells = " ".join(f"{y},{x}" for y, x in seed["cells"])
            lines.append(f"  seeds in {seed['image']}: cells (y,x) {cells}")
        if one["contexts"] or one["rivals"]:
            lines.append(f"  competing: {', '.join([*one['contexts'], *one['rivals']])}")
        lines.append(f"  encoder {one['encoder']}, weights {one['weights'][:12]}…")
        lines.append(f"  concept {one['digest'][:12]}…")
    return lines
