"""`reco-assist train`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from tqdm.auto import tqdm

from reco_assist.cli.options import (
    Device,
    Json,
    Quiet,
    Verbose,
    print_json,
    say,
    say_blank,
    say_skipped,
    set_up,
)


def train(
    teacher: Annotated[list[Path], typer.Argument(help="Concept files, or a student to learn from.")],
    images: Annotated[Path, typer.Option(help="A folder of unlabelled images, or an archive.")],
    out: Annotated[Path, typer.Option(help="Folder of the student: model.student and model.onnx.")],
    corrected: Annotated[
        list[Path] | None, typer.Option(help="COCO file of corrected masks of some of the images.")
    ] = None,
    encoder: Annotated[str, typer.Option(help="offline, or a name of segmentation-models.")] = "offline",
    weights: Annotated[Path | None, typer.Option(help="State dict of the encoder, a local file.")] = None,
    size: Annotated[int, typer.Option(help="Side of the square input, a multiple of 32.")] = 320,
    iterations: Annotated[
        int | None,
        typer.Option(min=1, help="Optimizer steps: 20,000, or 400 with --freeze.", show_default=False),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Fit the steps into so many minutes.")] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Keep the encoder as it is: for CPUs and short runs.")
    ] = False,
    batch: Annotated[int, typer.Option(min=2, help="Images a step.")] = 8,
    accumulate: Annotated[int, typer.Option(min=1, help="Parts of a batch, to save memory.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = "32-true",
    seed: Annotated[int, typer.Option(help="Of everything that is random.")] = 0,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Train a student segmenter on a teacher's masks (ReCo+). A stopped run goes on where it was.

    In short runs on a CPU students came out a little above their teacher, on one concept. Compare the two by
    'reco-assist evaluate' before you rely on it.

    Example: reco-assist train mug.concept --images ~/Pictures --out mugs --freeze
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.folders import make_output_folder
    from reco_assist.locks import only_writer
    from reco_assist.runs import list_targets
    from reco_assist.student import (
        FROZEN,
        Design,
        Examples,
        Recipe,
        Student,
        export_onnx,
        load_predictor,
        read_corrected_masks,
    )
    from reco_assist.student import train as learn

    predictor = load_predictor(teacher, device=device)
    names = tuple(predictor.digests)
    design = Design(names, encoder, size)
    recipe = FROZEN if freeze else Recipe()
    recipe = replace(recipe, batch=batch, accumulate=accumulate, seed=seed)
    if iterations is not None:
        recipe = replace(recipe, iterations=iterations, check_every=min(500, max(1, iterations // 10)))
    if minutes is not None:
        recipe = replace(recipe, check_every=50, patience=0)  # how long to train was said
    targets = list_targets(images, out=out)
    corrections = [read_corrected_masks(path, names) for path in corrected or ()]
    for path, one in zip(corrected or (), corrections, strict=True):
        say_blank(path, one.blank, quiet=quiet)
    with only_writer(make_output_folder(out)):
        examples = Examples(
            out / "examples",
            concepts=names,
            side=size,
            teacher=predictor.digests,
            corrections=corrections,
        )
        off = True if quiet else None
        with tqdm(total=len(targets), unit="image", desc="label", disable=off) as bar:
            for count in examples.add(predictor, targets):
                bar.update(count)
        say_skipped(examples.skipped, quiet=quiet)
        with tqdm(unit="step", desc="train", disable=off) as bar:
            for moment in learn(
                examples,
                design,
                recipe,
                out,
                weights=weights,
                minutes=minutes,
                device=device,
                precision=precision,
            ):
                bar.total = moment.iterations
                bar.update(moment.step - bar.n)
                held = {} if moment.score is None else {"iou": f"{moment.score:.3f}"}
                bar.set_postfix(loss=f"{moment.loss:.3f}", **held)
        student = Student.load(out / "model.student")
        difference = export_onnx(student, out / "model.onnx")
    if json:
        print_json(
            {
                "student": str(out / "model.student"),
                "onnx": str(out / "model.onnx"),
                "onnx_difference": difference,
                "design": asdict(design),
                "provenance": dict(student.provenance),
            }
        )
        return
    say(f"{out / 'model.student'}: trained on {len(examples)} images", quiet=quiet)
