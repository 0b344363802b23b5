"""A library of concepts, on the real encoder and the sample photographs."""

import json
import os
import shutil
import stat
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from conftest import SAMPLES
from PIL import Image
from torch.nn.functional import cosine_similarity
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.concepts import Concept, learn_concept, merge_concepts, rename_concept
from reco_assist.errors import EncoderError, InputError, StorageError
from reco_assist.library import Library, file_name
from reco_assist.masks import rle
from reco_assist.segmenter import Segmenter, Target

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two(samples):
    """The same thing as two curators taught it: by six images and by twelve, with a context each."""
    return (
        learn_concept(samples, "mug", k=6, contexts=["bottle"]),
        learn_concept(samples, "mug", k=12, contexts=["bottle", "lamp"]),
    )


@pytest.fixture(scope="module")
def merged(samples, two):
    return merge_concepts(*two, name="coffee mug", archive=samples)


def iou(concept, encoder, truth):
    """Mean over the sample targets that show a mug."""
    files = [name for name, shown in truth.concepts.items() if name.startswith("targets/") and "mug" in shown]
    segmenter = Segmenter([concept], encoder=encoder, presence="off", instances="none")
    overlaps = []
    for name in files:
        prediction = next(segmenter.predict([Target(SAMPLES / name, name)]))
        exact = truth.labels(name) == 1
        mask = rle.decode(prediction.regions[0].mask) if prediction.regions else np.zeros_like(exact)
        overlaps.append((mask & exact).sum() / (mask | exact).sum())
    return float(np.mean(overlaps))


def test_a_merged_concept_lies_between_and_segments_as_well(samples, two, merged, encoder, truth, tmp_path):
    assert merged.name == "coffee mug"
    for part in ("foreground", "background", "text"):
        a, b, between = (getattr(one, part) for one in (*two, merged))
        apart = cosine_similarity(a, b, dim=0)
        assert cosine_similarity(a, between, dim=0) >= apart - 1e-6
        assert cosine_similarity(b, between, dim=0) >= apart - 1e-6
        assert torch.isclose(between.norm(), a.norm(), atol=1e-5)
    # Twelve images weigh more than six.
    assert cosine_similarity(two[1].foreground, merged.foreground, dim=0) > cosine_similarity(
        two[0].foreground, merged.foreground, dim=0
    )
    assert merged.provenance.contexts == ("bottle", "lamp")
    assert len(merged.contexts) == 2
    assert set(merged.provenance.kept) == {*two[0].provenance.kept, *two[1].provenance.kept}
    merged.save(tmp_path / "m.concept")
    assert Concept.load(tmp_path / "m.concept").digest == merged.digest
    scores = [iou(one, encoder, truth) for one in (*two, merged)]
    assert scores[2] >= min(scores[:2]) - 0.01
    assert scores[2] > 0.3


def test_a_concept_merged_with_itself_stays_what_it_is(samples, two):
    again = merge_concepts(two[0], two[0], name=two[0].name, archive=samples)
    for part in ("foreground", "background", "text", "contexts"):
        torch.testing.assert_close(getattr(again, part), getattr(two[0], part), atol=1e-6, rtol=1e-5)
    assert (again.presence, again.quality) == (two[0].presence, two[0].quality)
    assert (again.saliency, again.threshold) == (pytest.approx(two[0].saliency), two[0].threshold)


def test_concepts_that_cannot_be_merged_are_refused(samples, two):
    paper = learn_concept(samples, "mug", k=4, method="paper", contexts=[])
    with pytest.raises(InputError, match="method"):
        merge_concepts(two[0], paper, name="x", archive=samples)
    with pytest.raises(InputError, match="no name"):
        rename_concept(two[0], " \n")
    from dataclasses import replace

    stranger = replace(two[0], provenance=replace(two[0].provenance, weights="0" * 64))
    with pytest.raises(EncoderError):
        merge_concepts(stranger, two[1], name="x", archive=samples)
    lost = replace(two[0], provenance=replace(two[0].provenance, kept=("0" * 64,)))
    with pytest.raises(InputError, match="none of the images"):
        merge_concepts(lost, lost, name="x", archive=samples)


def test_a_library_lists_draws_and_renames(samples, two, tmp_path):
    library = Library(tmp_path / "concepts")
    with pytest.raises(InputError, match="no folder"):
        library.items()
    path = library.add(two[0], archive=samples)
    assert library.add(two[0]) == path  # the same again is fine
    with pytest.raises(InputError, match="another concept"):
        library.add(two[1])
    (tmp_path / "concepts" / "broken.concept").write_bytes(b"no concept")
    broken, item = library.items()
    assert broken.concept is None
    assert "not a Concept" in broken.problem
    assert item.thumbnail is not None
    assert Image.open(item.thumbnail).size == (256, 256)
    renamed = library.rename(path, '  <b> "mug" / 2')
    assert not path.exists()
    (item,) = [one for one in library.items() if one.concept is not None]
    assert item.path == renamed
    assert item.concept.name == '<b> "mug" / 2'
    assert item.thumbnail is not None  # moved along
    assert item.concept.foreground.equal(two[0].foreground)

    class Names(HTMLParser):
        tags = ()

        def handle_starttag(self, tag, attrs):
            self.tags = {*self.tags, tag}

    page = Names()
    page.feed(library._repr_html_())
    assert page.tags == {"div", "img", "b"}
    assert "<b> " not in library._repr_html_()


@pytest.mark.parametrize("name", ["../../x", "a/b", "CON:", "...", "x" * 500, "Geländer ☂"])
def test_file_names_stay_in_the_folder(name, tmp_path):
    path = tmp_path / file_name(name)
    path.write_bytes(b"")
    assert path.parent == tmp_path
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert path.suffix == ".concept"


def test_the_commands_list_and_compare(samples, two, merged, tmp_path):
    Library(tmp_path).add(two[0])
    merged.save(tmp_path / "merged.concept")

    def run(*arguments):
        done = CliRunner().invoke(app, ["concepts", *map(str, arguments), "--json", "--quiet"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    sheet = tmp_path / "all.png"
    listed = run("list", tmp_path, "--archive", samples.path, "--sheet", sheet)["concepts"]
    assert [one["name"] for one in listed] == ["coffee mug", "mug"]
    assert all(one["thumbnail"] for one in listed)
    assert sheet.is_file()
    files = [tmp_path / "mug.concept", tmp_path / "merged.concept"]
    (tmp_path / "photos").mkdir()
    for path in sorted((SAMPLES / "targets").glob("*.jpg"))[::4]:
        shutil.copy(path, tmp_path / "photos")
    found = run("compare", *files, "--images", tmp_path / "photos", "--sheet", tmp_path / "diff.png")
    assert set(found["present"]) == {"mug", "merged"}
    overlaps = [one["iou"] for one in found["images"]]
    assert overlaps == sorted(overlaps)
    assert 0.3 < found["mean_iou"] <= 1
    assert (tmp_path / "diff.png").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")
def test_a_renamed_concept_keeps_its_permissions_and_no_link_is_followed(two, tmp_path):
    library = Library(tmp_path / "library")
    path = library.add(two[0])
    path.chmod(0o600)
    path = library.rename(path, "cup")
    assert (path.name, stat.S_IMODE(path.stat().st_mode)) == ("cup.concept", 0o600)
    (tmp_path / "own").mkdir()
    picture = tmp_path / "own" / f"{Concept.load(path).digest[:32]}.jpg"
    picture.write_text("mine")
    (library.folder / ".thumbnails").symlink_to(tmp_path / "own")
    with pytest.raises(StorageError, match="symbolic link"):
        library.rename(path, "beaker")
    assert [one.name for one in library.folder.glob("*.concept")] == ["cup.concept"]
    assert [one.name for one in (tmp_path / "own").iterdir()] == [picture.name]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
@pytest.mark.parametrize("way", ["the picture", "their folder", "damaged", "huge"])
def test_a_thumbnail_of_a_stranger_shows_nothing_of_the_user(two, tmp_path, way):
    library = Library(tmp_path / "library")
    library.add(two[0])
    own = tmp_path / "own"
    own.mkdir()
    name = f"{two[0].digest[:32]}.jpg"
    side = 2000 if way == "huge" else 64
    Image.new("RGB", (side, side)).save(own / name)
    pictures = library.folder / ".thumbnails"
    if way == "their folder":
        pictures.symlink_to(own)
    else:
        pictures.mkdir()
        if way == "the picture":
            (pictures / name).symlink_to(own / name)
        else:
            data = (own / name).read_bytes()
            (pictures / name).write_bytes(data if way == "huge" else data[:300])
    (item,) = library.items()
    assert item.concept is not None
    assert item.thumbnail is None
    assert "<img" not in library._repr_html_()


class KilledError(BaseException):
    pass


def test_a_rename_that_is_killed_between_two_steps_loses_nothing(two, tmp_path, monkeypatch):
    """At each call that changes the disk; the same again completes it."""
    real = {name: getattr(os, name) for name in ("replace", "link", "unlink")}
    for stop in range(99):
        library = Library(tmp_path / str(stop))
        path = library.add(two[0])
        (library.folder / ".thumbnails").mkdir()
        Image.new("RGB", (256, 256)).save(library.folder / ".thumbnails" / f"{two[0].digest[:32]}.jpg")
        left = stop

        def killed(name):
            def call(*given, **more):
                nonlocal left
                left -= 1
                if left < 0:
                    raise KilledError
                return real[name](*given, **more)

            return call

        for name in real:
            monkeypatch.setattr(os, name, killed(name))
        try:
            library.rename(path, "beaker")
        except KilledError:
            ended = False
        else:
            ended = True
        monkeypatch.undo()
        (item,) = library.items()
        assert item.thumbnail is not None, stop
        assert item.concept.foreground.equal(two[0].foreground)
        library.rename(item.path, "beaker")
        (item,) = library.items()
        assert (item.path.name, item.concept.name) == ("beaker.concept", "beaker")
        assert item.thumbnail is not None
        if ended:
            break
    assert stop >= 4
