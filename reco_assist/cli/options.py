"""Options that several commands share, and how they speak."""

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reco_assist.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from reco_assist.cluster import Cluster
    from reco_assist.formats import Dataset

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Engine = Annotated[
    str, typer.Option(help="local, or ray: a Ray cluster that finds the images at the same paths.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of the Ray cluster; without it Ray runs on this machine."),
]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for everything.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and results.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs to read.")]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME",
        help="The encoder it was made with, where its weight files lie elsewhere now.",
    ),
]
Exemplars = Annotated[
    list[str] | None,
    typer.Option(
        "--exemplar",
        metavar="FILE[#x,y,w,h]|FILE:MASK.png",
        help="An image, a box in it (pixels), or its mask, that shows the concept. May be repeated.",
    ),
]

_MASKS = 1000  # between two looks of a progress bar


def set_up(*, verbose: int, quiet: bool) -> None:
    """Send the package's log to standard error, as loud as asked for."""
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.ERROR)
    logging.getLogger("reco_assist").setLevel(level)


def say(text: str, *, quiet: bool = False) -> None:
    """A line for people, on standard error: standard output is for results."""
    if not quiet:
        typer.echo(text, err=True)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def words(text: str | None) -> list[str] | None:
    """'tree, sky' as a list; None stays None."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def choose_cluster(engine: str, address: str | None, device: str) -> "Cluster | None":
    """The Ray cluster that does the work; None for this process.

    Raises:
        InputError: There is no such engine, or an address was given without Ray.
    """
    if engine not in ("local", "ray"):
        raise InputError(f"--engine is {engine!r}: choose local or ray")
    if engine == "local":
        if address is not None:
            raise InputError(f"--ray-address {address} needs --engine ray: add it")
        return None
    from reco_assist.cluster import Cluster

    return Cluster(address=address, device=device)


def existing_folder(path: Path) -> Path:
    """The folder itself.

    Raises:
        InputError: There is none.
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder: name the folder that holds the images")
    return path


def say_skipped(skipped: "Sequence[tuple[str, str]]", *, quiet: bool) -> None:
    """Name the images that were left out, and count them."""
    for name, reason in skipped:
        say(f"skipped {name}: {reason}", quiet=quiet)
    if skipped:
        count = f"{len(skipped):,} images were" if len(skipped) > 1 else "1 image was"
        say(f"{count} left out", quiet=quiet)


def read_drawn(
    source: Path,
    *,
    images: Path | None,
    files: "Collection[str]" = (),
    names: "Mapping[int, str] | None" = None,
    quiet: bool,
) -> "Dataset":
    """A data set without masks that have no pixel; says how many those were, and what its reader left out.

    Args:
        source: See `formats.read_dataset`, as the others.
        images: Folder of the images.
        files: Names of images for label maps.
        names: What the numbers of label maps mean.
        quiet: Say nothing.
    """
    from tqdm.auto import tqdm

    from reco_assist.formats import read_dataset

    dataset = read_dataset(source, images=images, files=files, names=names)
    say_skipped(dataset.skipped, quiet=quiet)
    annotations = dataset.document["annotations"]
    with tqdm(total=len(annotations), unit="mask", desc="read", disable=True if quiet else None) as bar:
        for start in range(0, len(annotations), _MASKS):
            bar.update(len(dataset.masks(annotations[start : start + _MASKS])))
    blank = len(annotations) - len(dataset.drawn.document["annotations"])
    say_blank(source, blank, quiet=quiet)
    return dataset.drawn


def say_blank(source: Path, blank: int, *, quiet: bool) -> None:
    """Count the masks of a data set that have no pixel."""
    if blank:
        count = f"{blank:,} masks without a pixel were" if blank > 1 else "1 mask without a pixel was"
        say(f"{source}: {count} left out", quiet=quiet)
