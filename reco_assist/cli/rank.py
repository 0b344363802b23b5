"""`reco-assist rank`."""

import csv
import io
from pathlib import Path
from typing import Annotated

import typer
from tqdm.auto import tqdm

from reco_assist.cli.options import (
    Device,
    EncoderName,
    Json,
    Quiet,
    Verbose,
    print_json,
    say,
    say_skipped,
    set_up,
)
from reco_assist.errors import InputError


def rank(
    files: Annotated[list[Path], typer.Argument(help="Concept files, or one student.")],
    images: Annotated[Path, typer.Option(help="A folder of images, or an archive.")],
    out: Annotated[Path, typer.Option(help="Where ranking.csv goes, with every image in its order.")],
    second: Annotated[
        Path | None, typer.Option(help="A student of the same concepts, or their Concept, to disagree with.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many images to print.")] = 20,
    encoder: EncoderName = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Say which images to review first: where masks are unsure, models disagree, and no two are alike.

    Doubt is 0 where a verdict and a mask are certain, disagreement 1 - IoU of the two models' masks. The
    larger counts, less where an image looks like one before it. A stopped run goes on where it was.

    Example: reco-assist rank mug.concept --second mugs/model.student --images ~/Pictures --out ranking
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.files import write_bytes
    from reco_assist.folders import make_output_folder
    from reco_assist.locks import only_writer
    from reco_assist.runs import list_targets
    from reco_assist.session.ranking import Ranking
    from reco_assist.student import load_predictor

    targets = list_targets(images, out=out)
    predictor = load_predictor(files, encoder=encoder, device=device)
    other = None if second is None else load_predictor([second], encoder=encoder, device=device)
    if other is not None and not set(other.digests) & set(predictor.digests):
        raise InputError(
            f"{second} finds {', '.join(other.digests)} and the first {', '.join(predictor.digests)}: "
            "give two that know the same concept"
        )
    with only_writer(make_output_folder(out)):
        ranking = Ranking(out, predictor, other)
        with tqdm(total=len(targets), unit="image", desc="rank", disable=True if quiet else None) as bar:
            for count in ranking.add(targets):
                bar.update(count)
        say_skipped(ranking.skipped, quiet=quiet)
        found = ranking.order(targets)
        rows = [(n, one.file_name, one.gain, one.doubt, one.disagreement) for n, one in enumerate(found, 1)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            [("rank", "image", "gain", "doubt", "disagreement"), *rows]
        )
        write_bytes(out / "ranking.csv", text.getvalue().encode("utf-8", "surrogateescape"))
    if json:
        keys = ("image", "gain", "doubt", "disagreement")
        print_json({"results": [dict(zip(keys, row[1:], strict=True)) for row in rows]})
        return
    typer.echo(f"{'rank':>5}  {'doubt':>5}  {'disagreement':>12}  image")
    for number, name, _, unsure, apart in rows[:k]:
        typer.echo(f"{number:>5}  {unsure:5.2f}  {apart if other else float('nan'):12.2f}  {name}")
    say(f"{out / 'ranking.csv'}: {len(found)} images in the order of review", quiet=quiet)
