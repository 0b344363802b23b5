"""`reco-assist demo`."""

import json as json_module
import time
from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reco_assist.cli.options import Device, Json, Quiet, Verbose, print_json, say, set_up

if TYPE_CHECKING:
    from reco_assist.annotations import Prediction

_MUG, _EXTINGUISHER = "mug", "fire extinguisher"
_K = 12  # a third of the archive: more would bring in images of neither


def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """The whole job on the sample archive, from indexing to exported masks, compared with the exact ones.

    The mug is learnt by its word. The fire extinguisher, which the offline encoder does not know, is learnt
    from three exemplar boxes.
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.archive import Archive
    from reco_assist.concepts import learn_concept
    from reco_assist.encoders import load_encoder
    from reco_assist.files import write_bytes
    from reco_assist.folders import make_output_folder
    from reco_assist.runs import Run, list_targets
    from reco_assist.segmenter import Segmenter

    begun = time.perf_counter()
    samples = Path(str(files("reco_assist") / "samples"))
    truth = json_module.loads((samples / "samples.json").read_text())
    make_output_folder(out)
    encoder = load_encoder("offline", device=device)

    path = out / "samples.reco"
    archive = Archive.open(path, encoder=encoder) if path.exists() else Archive.create(path, encoder=encoder)
    archive.add(samples / "archive", progress=not quiet)
    say(f"1. indexed {len(archive)} images of rooms and workbenches", quiet=quiet)

    shown = [_exemplar(samples, truth, name) for name in truth["exemplars"][_EXTINGUISHER]]
    concepts = [
        learn_concept(archive, _MUG, k=_K),
        learn_concept(archive, _EXTINGUISHER, k=_K, exemplars=shown),
    ]
    for concept in concepts:
        concept.save(out / f"{concept.name.replace(' ', '-')}.concept")
    say(
        f"2. learnt {_MUG!r} from its word and {_EXTINGUISHER!r} from {len(shown)} exemplar boxes",
        quiet=quiet,
    )

    targets = list_targets(samples / "targets", out=out)
    with Run.open(out, Segmenter(concepts, encoder=encoder), targets) as run:
        run.segment(progress=not quiet)
        run.export()
        say(f"3. segmented {len(targets)} other images and exported COCO, Label Studio and PNG", quiet=quiet)
        scores = _compare(run.predictions(), samples, truth, out)
    seconds = round(time.perf_counter() - begun, 1)
    report = {"concepts": scores, "seconds": seconds}
    write_bytes(out / "report.json", (json_module.dumps(report, indent=1) + "\n").encode())
    if json:
        print_json(report)
        return
    for name, score in scores.items():
        say(f"   {name}: IoU {score['iou']:.2f} on {score['images']} images that show it", quiet=quiet)
    say(f"4. look at {out / 'sheet.png'} ({seconds:.0f} s in all)", quiet=quiet)


def _exemplar(samples: Path, truth: dict[str, Any], name: str) -> Any:  # noqa: ANN401  (an Exemplar)
    """The box around the extinguisher of a sample image, as a curator would draw it."""
    import numpy as np

    from reco_assist.retrieval import box_exemplar

    labels = _labels(samples, truth, name)
    rows, columns = np.nonzero(labels == _number(truth, _EXTINGUISHER))
    x, y = int(columns.min()), int(rows.min())
    return box_exemplar(samples / name, x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1)


def _compare(
    predictions: "Iterable[Prediction]", samples: Path, truth: dict[str, Any], out: Path
) -> dict[str, dict[str, float]]:
    """Score every image that shows a concept against its exact mask, and draw the sheet."""
    import numpy as np

    from reco_assist.formats import label_map
    from reco_assist.images import decode
    from reco_assist.masks.sheet import Tile, write_sheet

    names = [_MUG, _EXTINGUISHER]
    ious: dict[str, list[float]] = defaultdict(list)
    tiles = []
    for prediction in predictions:
        file = f"targets/{prediction.image.file_name}"
        exact, found = _labels(samples, truth, file), label_map(prediction, names)
        caption = []
        for index, name in enumerate(names, start=1):
            shown, masked = exact == _number(truth, name), found == index
            if shown.any():
                ious[name].append(float((shown & masked).sum() / (shown | masked).sum()))
                caption.append(f"{name} {ious[name][-1]:.2f}")
            elif masked.any():
                caption.append(f"false {name}")
        tiles.append(
            Tile(decode(samples / file).pixels, found, ", ".join(caption) or "neither, rightly empty")
        )
    title = "reco-assist demo: learnt from a word and three boxes, never from a mask"
    write_sheet(out / "sheet.png", tiles, names, title=title, columns=7)
    return {
        name: {"iou": round(float(np.mean(values)), 4), "images": len(values)}
        for name, values in ious.items()
    }


def _labels(samples: Path, truth: dict[str, Any], file: str) -> Any:  # noqa: ANN401  ((H, W) int32)
    from reco_assist.formats.png import read_label_map

    mask = next(image["mask"] for image in truth["images"] if image["file"] == file)
    return read_label_map(samples / mask)


def _number(truth: dict[str, Any], name: str) -> int:
    return next(int(number) for number, other in truth["classes"].items() if other == name)
