"""Retrieval: ranks, folds, reads exemplars."""

import numpy as np
import pytest
from fakes import FakeEncoder, write_photos
from PIL import Image, ImageOps

from reco_assist.archive import Archive
from reco_assist.errors import InputError
from reco_assist.images import perceptual_hash
from reco_assist.retrieval import Query, read_exemplar, retrieve


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    paths = write_photos(folder, 12)
    with Image.open(paths[0]) as image:  # the same picture, smaller and compressed
        image.resize((36, 27)).save(folder / "copy.jpg", quality=70)
    made = Archive.create(tmp_path_factory.mktemp("fake") / "x.reco", encoder=FakeEncoder())
    made.add(folder, progress=False)
    return made


def query(archive, text="mug"):
    return Query(language=archive.encoder.encode_text(text).vector)


def test_results_come_best_first_and_as_many_as_there_are(archive):
    found = retrieve(archive, query(archive), k=100, fold=False)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) == len(archive) == 13


def test_near_duplicates_are_folded_under_the_better_one(archive):
    found = retrieve(archive, query(archive), k=100)
    assert len(found) == 12
    pair = next(one for one in found if one.folded)
    names = {archive.entry(pair.content_hash).path.name, archive.entry(pair.folded[0]).path.name}
    assert names == {"000.png", "copy.jpg"}


def test_folding_still_gives_k(archive):
    assert len(retrieve(archive, query(archive), k=12)) == 12


def test_words_find_mugs_in_the_samples(samples, truth):
    found = retrieve(samples, query(samples), k=8)
    shown = ["mug" in truth.concepts[f"archive/{one.path.name}"] for one in found]
    assert np.mean(shown) >= 0.75


def test_fingerprints_survive_compression_and_differ_between_pictures(tmp_path):
    marks = []
    for path in write_photos(tmp_path, 6):
        with Image.open(path) as image:
            marks.append(perceptual_hash(np.asarray(image)))
            image.save(tmp_path / "x.jpg", quality=60)
        with Image.open(tmp_path / "x.jpg") as image:
            assert (perceptual_hash(np.asarray(image)) ^ marks[-1]).bit_count() <= 4
    assert min((a ^ b).bit_count() for i, a in enumerate(marks) for b in marks[:i]) > 4


@pytest.mark.parametrize(
    ("options", "words"), [({"k": 0}, "at least 1"), ({"query": Query()}, "word or exemplars")]
)
def test_bad_input(archive, options, words):
    with pytest.raises(InputError, match=words):
        retrieve(archive, options.pop("query", query(archive)), **options)


@pytest.fixture
def photo(tmp_path):
    """A file whose EXIF orientation swaps its sides: 60 x 40 stored, 40 x 60 upright."""
    path = tmp_path / "odd: name #1.jpg"
    image = Image.new("RGB", (60, 40), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    return path


def test_boxes_are_in_the_upright_frame(photo):
    exemplar = read_exemplar(f"{photo}#30,45,10,15")
    assert exemplar.mask.shape == (60, 40)
    assert exemplar.mask.sum() == 150
    assert exemplar.mask[45:, 30:].all()
    assert exemplar.source == "30,45,10,15"


def test_masks_and_whole_images(photo, tmp_path):
    with Image.open(photo) as image:
        upright = np.zeros(ImageOps.exif_transpose(image).size[::-1], np.uint8)
    upright[10:20, 5:9] = 1
    Image.fromarray(upright).save(tmp_path / "mask.png")
    exemplar = read_exemplar(f"{photo}:{tmp_path / 'mask.png'}")
    assert exemplar.mask.sum() == 40
    assert read_exemplar(str(photo)).mask.all()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("#0,0,41,10", "40 x 60"),
        ("#-1,0,5,5", "not inside"),
        ("#0,0,0,5", "not inside"),
        (":missing.png", "missing.png"),
    ],
)
def test_bad_exemplars(photo, box, words):
    with pytest.raises(InputError, match=words):
        read_exemplar(f"{photo}{box}")


def test_masks_must_fit_and_show_something(photo, tmp_path):
    Image.new("L", (40, 60)).save(tmp_path / "empty.png")
    Image.new("L", (60, 40), 255).save(tmp_path / "turned.png")
    with pytest.raises(InputError, match="is empty"):
        read_exemplar(f"{photo}:{tmp_path / 'empty.png'}")
    with pytest.raises(InputError, match="60 x 40"):
        read_exemplar(f"{photo}:{tmp_path / 'turned.png'}")
