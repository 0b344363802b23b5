"""Options that several commands share, and how they speak."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from reco_assist.errors import InputError

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
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


def existing_folder(path: Path) -> Path:
    """The folder itself.

    Raises:
        InputError: There is none.
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder: name the folder that holds the images")
    return path
