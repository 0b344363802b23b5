"""The command line on real samples, with good and bad input; what a process of its own changes, in one."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image
from pycocotools.coco import COCO
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.concepts import Concept
from reco_assist.errors import RecoAssistError

pytestmark = pytest.mark.slow

WATCH = """
import os, sys

def note(line):
    with open(os.environ["NETWORK_LOG"], "a") as log:
        log.write(line + "\\n")

def hook(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        note(f"{event} {arguments!r}")

sys.addaudithook(hook)
note("watched")
"""


def reco(*arguments):
    """What `reco-assist` prints and how it ends, here: a process of its own takes seconds to load torch."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exception is not None and not isinstance(done.exception, SystemExit | RecoAssistError):
        raise done.exception
    wrong = f"error: {done.exception}\n" if isinstance(done.exception, RecoAssistError) else ""
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr + wrong)


def process(*arguments, limit=None, env=None, prefix=()):
    """Run `reco-assist` as a user does; `limit` is the largest file in bytes that it may write."""

    def shrink():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [*prefix, sys.executable, "-m", "reco_assist.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=None if limit is None else shrink,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
    )


def one_sentence(done, words):
    """Exit status 1 and a single line that says what is wrong."""
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert words in lines[0], lines[0]


@pytest.fixture(scope="module")
def network_log(tmp_path_factory):
    """Where processes that have it in their environment note that, and every look at the network."""
    folder = tmp_path_factory.mktemp("watch")
    (folder / "sitecustomize.py").write_text(WATCH)
    return folder / "network.log"


@pytest.fixture(scope="module")
def demo(tmp_path_factory, network_log):
    """The whole demo, run once: without any network where the system can take it away, and watched."""
    out = tmp_path_factory.mktemp("demo") / "out"
    apart = ["unshare", "--map-root-user", "--net"]
    can = shutil.which("unshare") and subprocess.run([*apart, "true"], check=False).returncode == 0
    paths = [str(network_log.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    watched = {"NETWORK_LOG": str(network_log), "PYTHONPATH": os.pathsep.join(paths)}
    done = process("demo", "--out", out, "--json", env=watched, prefix=apart if can else ())
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_the_demo_never_looks_at_the_network(demo, network_log):
    assert set(network_log.read_text().splitlines()) == {"watched"}


@pytest.fixture
def archive(demo):
    return demo[0] / "samples.reco"


@pytest.fixture
def mug(demo):
    return demo[0] / "mug.concept"


def test_the_demo_learns_both_concepts(demo):
    out, report = demo
    assert report == json.loads((out / "report.json").read_text())
    assert set(report["concepts"]) == {"mug", "fire extinguisher"}
    assert all(concept["iou"] >= 0.6 for concept in report["concepts"].values()), report
    assert report["seconds"] > 0


def test_the_demo_exports_everything(demo, truth):
    out, _ = demo
    coco = COCO(out / "coco.json")
    targets = {name.removeprefix("targets/") for name in truth.concepts if name.startswith("targets/")}
    assert {image["file_name"] for image in coco.dataset["images"]} == targets
    for annotation in coco.dataset["annotations"]:
        assert coco.annToMask(annotation).sum() == annotation["area"]
    tasks = json.loads((out / "label-studio.json").read_text())
    assert len(tasks) == len(targets)
    labels = {path.stem: np.asarray(Image.open(path)) for path in (out / "masks").glob("*.png")}
    assert len(labels) == len(targets)
    assert set(np.unique(np.concatenate([one.ravel() for one in labels.values()]))) == {0, 1, 2}
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 1000
    assert {path.name for path in out.glob("*.concept")} == {"mug.concept", "fire-extinguisher.concept"}


def test_a_second_demo_makes_the_same_files(demo, tmp_path):
    out, _ = demo
    before = {name: (out / name).read_bytes() for name in ("coco.json", "label-studio.json", "mug.concept")}
    assert process("demo", "--out", out, "--quiet").returncode == 0
    assert {name: (out / name).read_bytes() for name in before} == before


def test_index_says_what_became_of_each_file(tmp_path):
    for number in range(3):
        Image.new("RGB", (50, 40), (number * 60, 90, 30)).save(tmp_path / f"{number}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    done = reco("index", tmp_path / "x.reco", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["images"], report["added"], report["duplicates"]) == (3, 3, 1)
    assert report["rejected"][0]["path"].endswith("torn.jpg")
    again = json.loads(reco("index", tmp_path / "x.reco", tmp_path, "--json").stdout)
    assert (again["added"], again["images"]) == (0, 3)


def test_search_by_word_and_by_exemplar(archive, truth):
    done = reco("search", archive, "mug", "-k", "5", "--remaining", "--json")
    answer = json.loads(done.stdout)
    results = answer["results"]
    assert 0 <= answer["remaining"] <= 40
    assert answer["hints"] == []
    assert len(results) == 5
    assert [one["score"] for one in results] == sorted((one["score"] for one in results), reverse=True)
    assert all(Path(one["image"]).is_file() and len(one["hash"]) == 64 for one in results)
    exemplar = truth.exemplars()[0]
    shown = f"{exemplar.path}#{exemplar.source}"
    found = json.loads(reco("search", archive, "", "--exemplar", shown, "-k", "5", "--json").stdout)[
        "results"
    ]
    hits = ["fire extinguisher" in truth.concepts[f"archive/{Path(one['image']).name}"] for one in found]
    assert sum(hits) >= 4


def test_search_with_conditions(archive, demo):
    """Images that are masked already are left out; here the archive's own images stand in for targets."""
    everything = json.loads(reco("search", archive, "mug", "-k", "99", "--json").stdout)["results"]
    first, second, *rest = everything
    coco = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 64, "reco_hash": one["hash"]}
            for i, one in enumerate((first, second))
        ],
        "categories": [{"id": 1, "name": "mug"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]}
            | {"bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}
        ],
    }
    labelled = demo[0] / "labelled.json"
    labelled.write_text(json.dumps(coco))
    folder = Path(first["image"]).parent
    done = reco("search", archive, "mug", "-k", "99", "--json", "--without", labelled, "--folder", folder)
    assert [one["hash"] for one in json.loads(done.stdout)["results"]] == [
        one["hash"] for one in [second, *rest]
    ]


def test_embeddings_go_out_and_come_back_as_a_shortlist(archive, tmp_path, truth):
    reco("embeddings", archive, "--out", tmp_path / "vectors")
    done = reco("index", tmp_path / "x.reco", tmp_path / "vectors", "--like", "mug", "-k", "6", "--json")
    assert json.loads(done.stdout)["added"] == 6
    found = json.loads(reco("search", tmp_path / "x.reco", "mug", "--json").stdout)["results"]
    assert sum("mug" in truth.concepts[f"archive/{Path(one['image']).name}"] for one in found) >= 4


def test_learn_with_drop_and_segment_an_archive(archive, tmp_path):
    first = json.loads(
        reco("learn", archive, " mug ", "--out", tmp_path / "a.concept", "-k", "6", "--json").stdout
    )
    assert first["name"] == "mug"
    assert [one["hash"] for one in first["set"]] == first["kept"]
    assert all({"score", "support", "outlyingness"} < one.keys() for one in first["set"])
    assert first["quality"]["distinctiveness"] > 0.2
    assert first["hints"] == []
    path = next(
        one["image"]
        for one in json.loads(reco("search", archive, "mug", "-k", "6", "--json").stdout)["results"]
        if one["hash"] == first["kept"][2]
    )
    done = reco(
        "learn",
        archive,
        "mug",
        "--out",
        tmp_path / "b.concept",
        "-k",
        "6",
        "--drop",
        path,
        "--drop",
        first["kept"][4],
        "--swap",
    )
    assert done.returncode == 0, done.stderr
    assert "more are likely to show it" in done.stderr
    pruned = Concept.load(tmp_path / "b.concept").provenance
    assert pruned.swapped
    assert pruned.kept == tuple(digest for i, digest in enumerate(first["kept"]) if i not in {2, 4})
    done = reco(
        "segment", tmp_path / "b.concept", "--images", archive, "--out", tmp_path / "out", "--format", "coco",
        "--refine", "none", "--looks", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert coco["info"]["options"]["looks"] == 0
    assert len(coco["images"]) == 40
    assert all((SAMPLES / "archive" / image["file_name"]).is_file() for image in coco["images"])
    assert not (tmp_path / "out" / "masks").exists()


def test_a_run_without_any_mask_says_so_and_succeeds(mug, tmp_path):
    (tmp_path / "blank").mkdir()
    for number in range(2):
        Image.new("RGB", (80, 60), (30 + number, 30, 30)).save(tmp_path / "blank" / f"{number}.png")
    done = process("segment", mug, "--images", tmp_path / "blank", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "NO MASK AT ALL in 2 images" in done.stderr
    assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["images"]) == 2


def test_explain_names_what_made_a_mask(demo, truth):
    out, _ = demo
    document = json.loads((out / "coco.json").read_text())
    shown = max(document["images"], key=lambda image: len(image["reco_verdicts"]))
    done = reco("explain", out, shown["file_name"], "--archive", out / "samples.reco", "--json")
    assert done.returncode == 0, done.stderr
    by_name = {one["name"]: one for one in json.loads(done.stdout)["concepts"]}
    learnt = Concept.load(out / "fire-extinguisher.concept")
    found = by_name["fire extinguisher"]
    assert found["digest"] == learnt.digest
    assert found["weights"] == learnt.provenance.weights
    assert [one["region"] for one in found["exemplars"]] == [r for _, r in learnt.provenance.exemplars]
    cells = [(y, x) for one in found["seeds"] for y, x in one["cells"]]
    assert cells == [(seed.y, seed.x) for seed in learnt.provenance.seeds]
    assert {one["image"] for one in found["seeds"]} == set(found["kept"]) <= set(truth_names(truth))
    ids = {one["id"] for one in document["annotations"] if one["image_id"] == shown["id"]}
    assert {mask["id"] for one in by_name.values() for mask in one["masks"]} == ids
    assert by_name["mug"]["rivals"] == ["fire extinguisher"]
    text = reco("explain", out, shown["file_name"]).stdout
    assert learnt.provenance.weights[:12] in text
    assert "learnt by its word with" in text
    assert f"learnt by {len(learnt.provenance.exemplars)} exemplars with" in text
    one_sentence(process("explain", out, "nowhere.jpg"), "is not among the 21 images")


def test_explain_refuses_a_concept_that_was_swapped(demo, tmp_path):
    out, _ = demo
    shutil.copytree(out, tmp_path / "copy")
    files = sorted((tmp_path / "copy" / "concepts").iterdir())
    shutil.copy(files[0], files[1])
    name = json.loads((out / "coco.json").read_text())["images"][0]["file_name"]
    one_sentence(reco("explain", tmp_path / "copy", name), "is not the concept that the masks were made with")


def truth_names(truth):
    return [Path(file).name for file in truth.concepts]


def test_help_has_examples_and_loads_quickly():
    for command in ("index", "search", "learn", "segment", "demo", "lab"):
        done = reco(command, "--help")
        assert done.returncode == 0
        assert command == "demo" or f"Example: reco-assist {command}" in done.stdout
    code = "import sys, reco_assist.cli; assert not {'torch', 'lance', 'faiss', 'timm'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_wrong_usage_is_exit_status_2(archive):
    assert reco("search", archive).returncode == 2
    assert process("no-such-command").returncode == 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("index {new} {empty}", "no image"),
        ("index {new} {texts}", "no image"),
        ("index {new} {nowhere}", "nowhere"),
        ("index {new} {empty} --encoder clap", "choose one of offline"),
        ("search {archive} mug --device gpu9", "choose auto"),
        ("search {empty} mug", "archive"),
        ("search {foreign} mug", "encoder"),
        ("search {archive} _", "type a word"),
        ("search {archive} mug --without {photo}", "--without wants a coco.json that reco-assist wrote"),
        ("search {archive} x --exemplar {photo}#0,0,9999,9", "not inside"),
        ("search {archive} x --exemplar {nowhere}.jpg", "cannot be read"),
        ("learn {archive} _ --out {out}", "no name"),
        ("learn {archive} mug -k 4 --out {out} --drop x", "not among the 4"),
        ("learn {archive} mug --out {out} --method magic", "assist or paper"),
        (
            "learn {archive} mug -k 4 --out {out} --exemplar {photo}#9,9,90,90 --swap",
            "only what a word taught",
        ),
        ("learn {archive} mug -k 4 --out {photo}/x", "Cannot write"),
        ("segment {nowhere} --images {photos} --out {o}", "reco-assist learn"),
        ("segment {photo} --images {photos} --out {o}", "not a Concept"),
        ("segment {mug} --images {nowhere} --out {o}", "not a folder"),
        ("segment {mug} --images {texts} --out {o}", "no images"),
        ("segment {mug} --images {photos} --out {photos}", "another folder"),
        ("segment {mug} --images {photos} --out {o} --threshold 7", "0 to 1"),
        ("segment {mug} --images {photos} --out {o} --threshold much", "0 to 1"),
        ("segment {mug} --images {photos} --out {o} --format yolo", "choose one or more"),
        (
            "segment {mug} --images {photos} --out {o} --refine blur",
            "'blur': choose one of auto, saliency",
        ),
        ("segment {mug} --images {photos} --out {photo}/o", "Cannot write"),
        ("lab {nowhere}", "not a folder"),
    ],
)
def test_bad_input(archive, mug, tmp_path, command, words):
    places = {name: tmp_path / name for name in ("empty", "texts", "nowhere", "o", "foreign")}
    places |= {"archive": archive, "mug": mug, "new": tmp_path / "new.reco", "out": tmp_path / "out.concept"}
    places |= {"photos": SAMPLES / "targets", "photo": next((SAMPLES / "targets").glob("*.jpg"))}
    places["empty"].mkdir()
    places["texts"].mkdir()
    (places["texts"] / "notes.txt").write_text("no picture")
    foreign(archive, places["foreign"])
    arguments = ["" if word == "_" else word.format(**places) for word in command.split()]
    one_sentence(reco(*arguments), words)
    assert not places["out"].exists()
    assert not places["o"].exists()


def foreign(archive, path):
    """A copy of the archive's header that claims other weights."""
    path.mkdir()
    for part in archive.iterdir():
        if part.name != "archive.json":
            (path / part.name).symlink_to(part)
    header = json.loads((archive / "archive.json").read_text())
    (path / "archive.json").write_text(json.dumps({**header, "weights": "0" * 64}))


def test_k_larger_than_the_archive_is_said_and_works(archive, tmp_path):
    done = reco("learn", archive, "mug", "-k", "500", "--out", tmp_path / "x.concept")
    assert done.returncode == 0, done.stderr
    assert "holds 40 images, fewer than the 500 asked for" in done.stderr


def test_a_full_disk_is_one_sentence_and_loses_nothing(mug, tmp_path):
    """Files may grow to 5 kB only; then the limit is lifted and the run goes on."""
    out = tmp_path / "out"
    arguments = ["segment", mug, "--images", SAMPLES / "targets", "--out", out, "--refine", "none"]
    done = process(*arguments, limit=5_000)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Cannot write")
    assert not (out / "coco.json").exists()
    assert process(*arguments).returncode == 0
    assert json.loads((out / "coco.json").read_text())["info"]["options"]["looks"] == 4
