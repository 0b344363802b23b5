"""`reco-assist doctor`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from reco_assist.cli.options import Json, Quiet, Verbose, print_json, say, set_up
from reco_assist.errors import Damage, InputError
from reco_assist.safe_paths import ARCHIVE_HEADER


def doctor(
    path: Annotated[Path, typer.Argument(help="An archive, a session or a concept file.")],
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; what is dropped can be made again.")
    ] = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Check an archive, a session or a concept for damage. Exit status 1 where any is left.

    Example: reco-assist doctor photos.reco --repair
    """
    set_up(verbose=verbose, quiet=quiet)
    found = _examine(path, repair=repair)
    left = [one for one in found if not one.mended]
    if json:
        print_json({"path": str(path), "damage": [asdict(one) for one in found]})
    else:
        for one in found:
            typer.echo(
                f"{'mended' if one.mended else 'damage'}: {one.what} {'' if one.mended else one.cure}".strip()
            )
        if not found:
            say(f"{path}: nothing is wrong", quiet=quiet)
    if left:
        raise typer.Exit(1)


def _examine(path: Path, *, repair: bool) -> list[Damage]:
    if (path / ARCHIVE_HEADER).is_file():
        from reco_assist.archive.doctor import examine_archive

        return examine_archive(path, repair=repair)
    if path.is_dir():
        from reco_assist.session.doctor import examine_session

        return examine_session(path, repair=repair)
    if path.is_file():
        from reco_assist.concepts import Concept

        Concept.load(path)
        return []
    raise InputError(f"there is nothing at {path}: name an archive, a session or a concept file")
