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
  clip:MODEL/TAG[,dense=self|maskclip][,size=N][,window=N][,precision=P]
                                               an open_clip model and its published weights
  vit:MODEL[,size=N][,blocks=I/J][,stride=N][,position=N][,precision=P]
                                               a timm model, for --dense
  P is float32, float16 or bfloat16            (half precision on a GPU if left out, else float32)
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
        typer.echo(f"{row['name']}: {row['summary']} (about {row['megabytes']} MB, {here})")
        for model in row["models"]:
            mark = "yes" if model["here"] else "no"
            size = f"{'' if model['measured'] else '~'}{model['megabytes']}"
            typer.echo(f"  {model['name']:<62} {size:>5} MB  here: {mark:<3}  {model['licence']}")
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
            {"name": model, "licence": licence, "here": is_here(model), **_size(model, megabytes)}
            for model, licence, megabytes in zip(
                preset.models, preset.licences, preset.megabytes, strict=True
            )
        ]
        rows.append(
            {
                "name": preset.name,
                "summary": preset.summary,
                "k": preset.k,
                "megabytes": sum(part["megabytes"] for part in parts),
                "here": all(part["here"] for part in parts),
                "models": parts,
            }
        )
    return rows


def _size(model: str, stated: int) -> dict[str, Any]:
    """Megabytes of a model's file where it is on this machine, and otherwise what its weights should take."""
    from reco_assist.encoders.load import found

    file = found(model)
    return {
        "megabytes": stated if file is None else round(file.stat().st_size / 1e6),
        "measured": file is not None,
    }
