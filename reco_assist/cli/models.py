"""`reco-assist models` and `reco-assist models fetch`."""

from typing import Annotated, Any

import typer

from reco_assist.cli.options import Json, Quiet, Verbose, print_json, say, set_up

models = typer.Typer(
    help="Encoders: presets, their licences and sizes, and whether their weights are on this machine.",
    epilog="Example: reco-assist models fetch clip",
    invoke_without_command=True,
    rich_markup_mode=None,
)

_GRAMMAR = """
Encoders are named
  offline | clip | paper                       a preset of the list
  clip:MODEL/TAG[,dense=self|maskclip][,size=N][,window=N]
                                               an open_clip model and its published weights
  vit:MODEL[,size=N][,blocks=I/J][,stride=N][,position=N]
                                               a timm model, for --dense
  clip:MODEL@FILE, vit:MODEL@FILE              weights of your own (options before the @)
  A + B, A + B + C                             words and images + dense; retrieval + language + dense"""


@models.callback()
def listing(context: typer.Context, json: Json = False) -> None:
    """List presets with their models, licences and sizes, and whether the weights are on this machine."""
    if context.invoked_subcommand is not None:
        return
    rows = _rows()
    if json:
        print_json({"presets": rows})
        return
    for row in rows:
        here = "on this machine" if row["here"] else "to be fetched"
        typer.echo(f"{row['name']}: {row['summary']} ({row['megabytes']} MB, {here})")
        for model in row["models"]:
            mark = "yes" if model["here"] else "no"
            size = f"{model['megabytes']:>5} MB"
            typer.echo(f"  {model['name']:<62} {size}  {model['licence']:<11} here: {mark}")
    typer.echo(_GRAMMAR)


@models.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A preset or any other encoder.")],
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Download an encoder's weights and tokenizers, compare their hashes and load them once.

    Example: reco-assist models fetch clip
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.encoders.load import fetch_encoder

    found = []
    for model, path, digest in fetch_encoder(name):
        say(f"{model}: {path} (SHA-256 {digest[:12]}, loads)", quiet=quiet)
        found.append({"name": model, "path": str(path), "sha256": digest})
    if json:
        print_json({"models": found})


def _rows() -> list[dict[str, Any]]:
    from reco_assist.encoders import PRESETS
    from reco_assist.encoders.load import is_here

    rows = []
    for preset in PRESETS.values():
        parts = [
            {"name": model, "licence": licence, "megabytes": megabytes, "here": is_here(model)}
            for model, licence, megabytes in zip(
                preset.models, preset.licences, preset.megabytes, strict=True
            )
        ]
        rows.append(
            {
                "name": preset.name,
                "summary": preset.summary,
                "k": preset.k,
                "megabytes": sum(preset.megabytes),
                "here": all(part["here"] for part in parts),
                "models": parts,
            }
        )
    return rows
