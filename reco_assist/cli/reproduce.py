"""`reco-assist reproduce`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm.auto import tqdm

from reco_assist.cli.options import Device, Json, Quiet, Verbose, existing_folder, print_json, say, set_up
from reco_assist.errors import InputError

if TYPE_CHECKING:
    from reco_assist.archive import Archive
    from reco_assist.reproduction import Benchmark, ScoreLog


def reproduce(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="coco-stuff, cityscapes or kitti-step.")],
    root: Annotated[Path, typer.Option(help="The data set's folder, as its publishers hand it out.")],
    archive: Annotated[
        Path | None,
        typer.Option(
            help="Images to learn from: a folder such as ImageNet's, or an archive. Default: --root."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where results go; by default reproduce-DATASET.")] = None,
    encoder: Annotated[
        str, typer.Option(metavar="NAME", help="The paper's models, or any of 'reco-assist models'.")
    ] = "paper",
    k: Annotated[int, typer.Option("-k", min=1, help="Images to retrieve for a word.")] = 50,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Score only so many images, spread evenly.")
    ] = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Run the paper's protocol on one of its data sets and print the scores beside the paper's.

    Every word is learnt by the paper's method, with five contexts, from the archive's images; pixels go to
    the likeliest of all words, with and without CRF. A stopped run goes on where it was.

    Example: reco-assist reproduce cityscapes --root cityscapes --archive ImageNet2012/train
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.encoders import load_encoder
    from reco_assist.reproduction import BENCHMARKS, Reproduction

    if dataset not in BENCHMARKS:
        raise InputError(f"there is no data set {dataset!r}: choose one of {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[dataset]
    samples = benchmark.samples(existing_folder(root))
    if limit is not None and limit < len(samples):
        samples = [samples[i * len(samples) // limit] for i in range(limit)]
    folder = out or Path(f"reproduce-{dataset}")
    model = load_encoder(encoder, device=device)
    if archive is None:
        say("no --archive: words are learnt from the data set's own images, unlike in the paper", quiet=quiet)
    learnt = _archive(archive, folder, [sample.image for sample in samples], model, progress=not quiet)
    run = Reproduction.open(benchmark, learnt, folder, k=k)
    off = True if quiet else None
    with tqdm(unit="word", desc="learn", disable=off) as bar:
        references = run.references(lambda _: bar.update())
    log = run.log()
    with tqdm(total=len(samples), unit="image", desc="segment", disable=off) as bar:
        for sample in samples:
            run.score(sample, references, log)
            bar.update()
    report = _report(benchmark, log, [sample.name for sample in samples])
    if json:
        print_json(report)
        return
    typer.echo(_table(report))


def _archive(
    given: Path | None,
    out: Path,
    own: list[Path],
    model: Any,  # noqa: ANN401  (an Encoder; naming it would load torch for --help)
    *,
    progress: bool,
) -> "Archive":
    """The archive that words are learnt from; images are indexed into the output folder."""
    from reco_assist.archive import Archive
    from reco_assist.folders import make_output_folder

    if given is not None and (given / "archive.json").is_file():
        return Archive.open(given, encoder=model)
    make_output_folder(out)
    path = out / "archive.reco"
    opened = Archive.open(path, encoder=model) if path.exists() else Archive.create(path, encoder=model)
    opened.add(own if given is None else [existing_folder(given)], progress=progress)
    return opened


def _report(benchmark: "Benchmark", log: "ScoreLog", names: list[str]) -> dict[str, Any]:
    from reco_assist.evaluation import class_ious, mean_iou, pixel_accuracy

    log.done = {name: log.done[name] for name in names}
    rows: dict[str, dict[str, Any]] = {}
    for key in ("plain", "crf"):
        matrix = log.total(key, len(benchmark.classes))
        ious = class_ious(matrix)
        rows[key] = {
            "miou": _percent(mean_iou(matrix)),
            "pixel_accuracy": _percent(pixel_accuracy(matrix)),
            "classes": {
                name: _percent(float(iou)) for name, iou in zip(benchmark.classes, ious, strict=True)
            },
        }
    return {
        "dataset": benchmark.name,
        "title": benchmark.title,
        "images": len(names),
        "paper": {"miou": benchmark.paper},
        **rows,
    }


def _percent(share: float) -> float | None:
    """In percent; None where there is nothing to take it of."""
    return None if math.isnan(share) else round(100 * share, 2)


def _table(report: dict[str, Any]) -> str:
    title = f"{report['title']}, {report['images']} images"
    width = max(len(title), 24)
    lines = [f"{title.ljust(width)}   mIoU   pixel accuracy"]
    lines.append(f"{'ReCo in the paper, CRF'.ljust(width)}  {report['paper']['miou']:5.1f}")
    for key, label in (("crf", "this run, CRF"), ("plain", "this run, without CRF")):
        cells = (report[key]["miou"], report[key]["pixel_accuracy"])
        numbers = ("    -" if cell is None else f"{cell:5.1f}" for cell in cells)
        lines.append(f"{label.ljust(width)}  " + "   ".join(numbers))
    return "\n".join(lines)
