"""The paper's protocols on miniature data sets in their published folders."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakeEncoder, write_photos
from PIL import Image
from sklearn.metrics import confusion_matrix
from torchvision.datasets import Cityscapes
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from reco_assist.archive import Archive
from reco_assist.cli import app
from reco_assist.cosegment import paper_probability, text_saliency
from reco_assist.errors import InputError
from reco_assist.images import squash
from reco_assist.refine import PAPER_CRF, label_crf
from reco_assist.reproduction import BENCHMARKS, Reproduction
from reco_assist.reproduction import labels as known


def test_coco_things_are_numbered_as_coco_does():
    """torchvision names COCO's 91 categories, from 1 and with N/A for those that were never annotated."""
    categories = FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"][1:]
    things = {number: name for number, name in known.COCO_STUFF_FINE.items() if number < 91}
    assert things == {number: name for number, name in enumerate(categories) if name != "N/A"}


def test_coco_stuff_is_complete():
    stuff = [number for number in known.COCO_STUFF_FINE if number >= 91]
    assert stuff == list(range(91, 182))
    assert len(known.COCO_STUFF_FINE) == len(set(known.COCO_STUFF_FINE.values())) == 171
    assert len(known.COCO_STUFF_COARSE) == 27
    coarse = {known.COCO_STUFF_COARSE[index] for index in known.COCO_STUFF_TO_COARSE.values()}
    assert coarse == set(known.COCO_STUFF_COARSE)
    # COCO's hierarchy: things fall into the first 12 classes, stuff into the other 15.
    for number, index in known.COCO_STUFF_TO_COARSE.items():
        assert (index < 12) == (number < 91)
    named = {
        name: known.COCO_STUFF_COARSE[known.COCO_STUFF_TO_COARSE[i]]
        for i, name in known.COCO_STUFF_FINE.items()
    }
    expected = {"broccoli": "food things", "salad": "food stuff", "bench": "outdoor", "sky other": "sky"}
    expected |= {"clouds": "sky", "wall tile": "wall", "river": "water", "road": "ground", "tree": "plant"}
    assert expected.items() <= named.items()


def test_street_classes_are_those_of_cityscapes():
    scored = [one for one in Cityscapes.classes if one.id >= 7]
    words = {"parking": "parking lot"}
    assert list(known.CITYSCAPES) == [words.get(one.name, one.name) for one in scored]
    assert [one.id - known.CITYSCAPES_FIRST for one in scored] == list(range(27))
    trained = sorted((one for one in scored if 0 <= one.train_id < 255), key=lambda one: one.train_id)
    assert list(known.KITTI_STEP) == [one.name for one in trained]


def photo(random, size):
    coarse = random.integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def marks(random, numbers, size):
    coarse = random.choice(np.array(numbers, np.uint8), (3, 4))
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST))


@pytest.fixture
def trees(tmp_path):
    """A few images of each data set where its publishers put them, some without a partner."""
    random = np.random.default_rng(0)

    def save(path, image):
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)

    coco, city, kitti = (tmp_path / name for name in BENCHMARKS)
    for number, size in (
        ("000000000139", (400, 330)),
        ("000000000285", (320, 480)),
        ("000000000632", (330, 330)),
    ):
        save(coco / "images" / "val2017" / f"{number}.jpg", photo(random, size))
        numbers = [0, 2, 21, 105, 148, 181, 255]
        save(
            coco / "annotations" / "val2017" / f"{number}.png", Image.fromarray(marks(random, numbers, size))
        )
    curated = coco / "curated" / "val2017" / "Coco164kFull_Stuff_Coarse.txt"
    curated.parent.mkdir(parents=True)
    curated.write_text("000000000139\n000000000285\n")
    for name in ("lindau/lindau_000000_000019", "munster/munster_000000_000019"):
        save(city / "leftImg8bit" / "val" / f"{name}_leftImg8bit.png", photo(random, (512, 256)))
        numbers = [0, 3, 7, 8, 11, 21, 23, 26, 33]
        labels = Image.fromarray(marks(random, numbers, (512, 256)))
        save(city / "gtFine" / "val" / f"{name}_gtFine_labelIds.png", labels)
    save(
        city / "leftImg8bit" / "val" / "lindau" / "lindau_000001_000019_leftImg8bit.png",
        photo(random, (512, 256)),
    )
    for name in ("0002/000000", "0002/000001"):
        save(kitti / "training" / "image_02" / f"{name}.png", photo(random, (124, 37)))
        panoptic = np.zeros((37, 124, 3), np.uint8)
        panoptic[..., 0] = marks(random, [0, 2, 8, 10, 13, 255], (124, 37))
        panoptic[..., 1:] = random.integers(0, 9, (37, 124, 2))  # instance ids
        save(kitti / "panoptic_maps" / "val" / f"{name}.png", Image.fromarray(panoptic))
    return tmp_path


@pytest.fixture
def archive(tmp_path):
    write_photos(tmp_path / "photos", 12)
    made = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    made.add(tmp_path / "photos", workers=1, progress=False)
    return made


CRF = replace(PAPER_CRF, iterations=2)
COUNTS = {"coco-stuff": 2, "cityscapes": 2, "kitti-step": 2}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_table_is_what_a_hand_computes(trees, archive, monkeypatch, capsys, tmp_path, name):
    """Masks from the product's own formula word by word, counts by scikit-learn, means by numpy."""
    benchmark = BENCHMARKS[name]
    if len(benchmark.words) > 30:  # all 171 take a minute
        benchmark = replace(benchmark, words=benchmark.words[::9], class_of=benchmark.class_of[::9])
        monkeypatch.setitem(BENCHMARKS, name, benchmark)
    monkeypatch.setattr("reco_assist.encoders.load_encoder", lambda *_, **__: archive.encoder)
    monkeypatch.setattr("reco_assist.reproduction.protocol.PAPER_CRF", CRF)
    report = run(monkeypatch, capsys, name, trees / name, archive.path, tmp_path / "out", "--json")
    assert (report["images"], report["paper"]["miou"]) == (COUNTS[name], benchmark.paper)
    references = Reproduction.open(benchmark, archive, tmp_path / "out", k=2).references()
    truths, plain, refined = [], [], []
    for sample in benchmark.samples(trees / name):
        image, truth = benchmark.read(sample)
        maps = np.zeros((len(benchmark.words), *truth.shape))
        seen = np.zeros(truth.shape)
        height, width = truth.shape
        for left in {0} if height == width else {0, 18, 36, 54, 72, 87}:
            here = np.s_[:, left : left + height]
            pixels = torch.from_numpy(squash(image[here], 64)).permute(2, 0, 1)[None]
            features = archive.encoder.encode(pixels)
            for index in range(len(benchmark.words)):
                saliency = text_saliency(features.language, references.text[index])
                p = paper_probability(
                    features.dense, references.visual[index], saliency, size=(height, height)
                )
                maps[index][here] += p[0].numpy()
            seen[here] += 1
        maps /= seen
        softmax = np.exp(maps) / np.exp(maps).sum(0)
        class_of = np.array(benchmark.class_of)
        truths.append(truth.ravel())
        plain.append(class_of[maps.argmax(0)].ravel())
        refined.append(class_of[label_crf(softmax.astype(np.float32), image, params=CRF).argmax(0)].ravel())
    for key, found in (("plain", plain), ("crf", refined)):
        miou, accuracy = by_hand(np.concatenate(truths), np.concatenate(found), len(benchmark.classes))
        # Maps that are added in another order may differ in the last bit, and a pixel with them.
        assert report[key]["miou"] == pytest.approx(100 * miou, abs=0.05)
        assert report[key]["pixel_accuracy"] == pytest.approx(100 * accuracy, abs=0.05)
    table = run(monkeypatch, capsys, name, trees / name, archive.path, tmp_path / "out")
    rows = [line.split() for line in table.splitlines()]
    assert rows[1][-1] == str(benchmark.paper)
    for row, key in ((rows[2], "crf"), (rows[3], "plain")):
        assert row[-2:] == [f"{report[key][figure]:.1f}" for figure in ("miou", "pixel_accuracy")]


def by_hand(truth, found, classes):
    counted = truth != 255
    matrix = confusion_matrix(truth[counted], found[counted], labels=range(classes))
    hits, union = np.diag(matrix), matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    return np.mean(hits[union > 0] / union[union > 0]), hits.sum() / counted.sum()


def run(monkeypatch, capsys, name, root, archive, out, *more):
    """The command, in this process so that a fake encoder can stand in."""
    arguments = [
        "reproduce",
        name,
        "--root",
        root,
        "--archive",
        archive,
        "--out",
        out,
        "-k",
        "2",
        "-q",
        *more,
    ]
    monkeypatch.setattr(sys, "argv", ["reco-assist", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code in (0, None)
    printed = capsys.readouterr().out
    return json.loads(printed) if "--json" in more else printed


def test_labels_are_read_as_they_are_scored(trees):
    image, truth = BENCHMARKS["coco-stuff"].read(BENCHMARKS["coco-stuff"].samples(trees / "coco-stuff")[1])
    assert image.shape == (320, 320, 3)
    assert truth.shape == (320, 320)
    whole = np.asarray(Image.open(trees / "coco-stuff" / "annotations" / "val2017" / "000000000285.png"))
    assert (
        known.COCO_STUFF_TO_COARSE.get(int(whole[80 + 160, 160]), 255) == truth[160, 160]
    )  # centre of 320 x 480
    city = BENCHMARKS["cityscapes"]
    assert {city.decode(np.array([[number]], np.uint8))[0, 0] for number in range(7)} == {255}
    assert [city.decode(np.array([[number]], np.uint8))[0, 0] for number in (7, 33, 34)] == [0, 26, 255]


def test_a_stopped_run_goes_on(trees, archive, tmp_path):
    """A line that was cut short is made again, what was whole is not; another k begins anew."""
    benchmark = BENCHMARKS["kitti-step"]
    samples = benchmark.samples(trees / "kitti-step")
    first = Reproduction.open(benchmark, archive, tmp_path / "out", k=2)
    references, log = first.references(), first.log()
    for sample in samples:
        first.score(sample, references, log)
    total = log.total("crf", 19)
    path = tmp_path / "out" / "images.jsonl"
    path.write_text(path.read_text()[:-20])
    archive.encoder.batches.clear()
    again = Reproduction.open(benchmark, archive, tmp_path / "out", k=2)
    same = again.references()
    assert torch.equal(same.visual, references.visual)
    assert archive.encoder.batches == []
    log = again.log()
    assert list(log.done) == [samples[0].name]
    for sample in samples:
        again.score(sample, same, log)
    assert np.array_equal(log.total("crf", 19), total)
    assert not Reproduction.open(benchmark, archive, tmp_path / "out", k=3).log().done


def test_references_are_the_papers(archive, tmp_path):
    """Contexts keep their own reference, and vegetation has the tree's, as in the released code."""
    from reco_assist.concepts import PAPER_CONTEXTS, learn_concept

    found = Reproduction.open(BENCHMARKS["cityscapes"], archive, tmp_path / "out", k=3).references()
    words = BENCHMARKS["cityscapes"].words
    car = learn_concept(archive, "car", k=3, method="paper", contexts=PAPER_CONTEXTS)
    assert torch.allclose(found.visual[words.index("car")], car.foreground, atol=1e-6)
    road = learn_concept(archive, "road", k=3, method="paper", contexts=["tree", "sky", "building"])
    assert torch.allclose(found.visual[words.index("road")], road.foreground, atol=1e-6)
    tree = learn_concept(archive, "tree", k=3, method="paper", contexts=[])
    assert torch.allclose(found.visual[words.index("vegetation")], tree.foreground, atol=1e-6)


def test_other_folders_are_refused(tmp_path):
    for benchmark in BENCHMARKS.values():
        with pytest.raises(InputError, match="publishers hand it out"):
            benchmark.samples(tmp_path)
