"""The session, the Annotator and the command line with a real Label Studio server."""

import json

import numpy as np
import pytest
from fakes import FakeEncoder, write_photos
from label_studio_server import title
from typer.testing import CliRunner

from reco_assist.archive import Archive
from reco_assist.cli.app import app
from reco_assist.errors import InputError
from reco_assist.formats import write_coco
from reco_assist.label_studio import read_pulled
from reco_assist.label_studio.outputs import note_images
from reco_assist.masks import brush
from reco_assist.session.corrections import correction_exemplars, measure_gain
from reco_assist.session.exporting import Choice, collect
from reco_assist.ui import Annotator

pytestmark = pytest.mark.slow


@pytest.fixture
def annotator(tmp_path):
    """An Annotator with twelve segmented targets."""
    write_photos(tmp_path / "photos", 30)
    write_photos(tmp_path / "targets", 12, seed=9)
    archive = Archive.create(tmp_path / "photos.reco", encoder=FakeEncoder())
    archive.add(tmp_path / "photos", progress=False, workers=1)
    made = Annotator(
        Archive.open(tmp_path / "photos.reco", encoder=FakeEncoder()), targets=tmp_path / "targets"
    )
    made.concept_page.word.value = "mug"
    made.concept_page.k.value = 8
    made.concept_page.find_button.click()
    assert made.wait(60)
    made.state.open(3)
    made.review_page.start_button.click()
    assert made.wait(60)
    assert made.stepper.error == ""
    return made


def test_the_annotator_pushes_pulls_and_learns(label_studio, annotator, tmp_path, monkeypatch):  # noqa: PLR0915
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    page, session = annotator.server_page, annotator.session
    for digest in session.files().values():  # something that people will take away
        session.masks.edit(digest, "mug", 0, 0, np.ones((6, 6), np.uint8))
    annotator.state.open(5)
    name = title("annotator")
    page.url.value, page.project.value = label_studio.url, name
    page.push_button.click()
    assert annotator.wait(60)
    assert "There is no token" in annotator.stepper.error
    page.token.value = label_studio.token
    assert page.token.value == ""  # it must not be saved with the notebook
    assert label_studio.token not in json.dumps(page.token.get_state(), default=str)
    page.push_button.click()
    assert annotator.wait(120)
    assert annotator.stepper.error == ""
    assert "12 tasks created" in page._pushed.value

    client = label_studio.client()
    project = next(one for one in client.projects.list() if one.title == name)
    corrected = {}
    tasks = list(client.tasks.list(project=project.id, fields="all"))
    for number, task in enumerate(tasks):
        height, width = task.data["height"], task.data["width"]
        mask = np.zeros((height, width), bool)
        mask[height // 4 : height // 2, width // 4 : width // 2] = number % 4 != 3
        mask[height // 3, width // 3] = False
        corrected[task.data["key"]] = mask
        region = {
            "id": "corrected",
            "type": "brushlabels",
            "from_name": "label",
            "to_name": "image",
            "origin": "manual",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": list(brush.encode(mask)), "brushlabels": ["mug"]},
        }
        client.annotations.create(id=task.id, result=[region] if mask.any() else [], lead_time=3)
    annotator.state.open(6)
    page.pull_button.click()
    assert annotator.wait(120)
    assert annotator.stepper.error == ""
    for digest, mask in corrected.items():
        np.testing.assert_array_equal(session.mask(digest, "mug"), mask)
        assert session.review(digest, "mug").state == ("accepted" if mask.any() else "absent")
    assert "<td>mug</td>" in page.table.value
    assert bytes(page.picture.value).startswith(b"\x89PNG")
    log = (session.folder / "audit.jsonl").read_text()
    assert label_studio.token not in log
    assert label_studio.url in log

    page.learn_button.click()
    assert annotator.wait(120)
    assert annotator.stepper.error == ""
    assert "9 corrected masks" in page._learnt.value
    assert "kept aside" in page._learnt.value
    plan = session.plan("mug")
    assert sum(not one.negative for one in plan.exemplars) == 9
    assert annotator.state.builders["mug"].found.exemplars
    annotator.state.open(0)
    assert annotator.stepper.error == ""

    pulled = read_pulled(session.folder / "corrections")
    shown, missing = correction_exemplars(pulled, "mug")
    assert missing == 0
    for one in shown:
        if not one.negative:
            np.testing.assert_array_equal(one.mask, corrected[one.content_hash])
        else:
            assert not (one.mask & corrected[one.content_hash]).any()
    assert any(one.negative for one in shown)
    gain = measure_gain(annotator.state.archive, pulled, "mug", k=8)
    assert (gain.images, gain.others) == (3, 1)
    with pytest.raises(InputError, match="not of 'cup'"):
        correction_exemplars(pulled, "cup")


def test_the_command_line(label_studio, annotator, tmp_path, monkeypatch):
    """`push` and `pull` of an output folder; exit 0, 1 and 2."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    out = tmp_path / "out"
    out.mkdir()
    predictions = collect(annotator.session, Choice(undecided=True))
    write_coco(out / "coco.json", lambda: predictions, ["mug"], info={"description": "a run"})
    note_images(out, tmp_path / "targets")
    place = ["--url", label_studio.url, "--project", title("command"), "--json", "-q"]
    done = CliRunner().invoke(app, ["push", str(out), *place], catch_exceptions=False)
    assert done.exit_code == 0
    sent = json.loads(done.stdout)
    assert sent["created"] == 12
    assert label_studio.token not in done.output
    again = json.loads(CliRunner().invoke(app, ["push", str(out), *place]).stdout)
    assert (again["created"], again["unchanged"]) == (0, 12)
    assert again["model_version"] == sent["model_version"]
    got = CliRunner().invoke(app, ["pull", str(out), *place], catch_exceptions=False)
    assert json.loads(got.stdout)["tasks"] == 12
    assert (out / "corrections" / "coco.json").is_file()
    assert read_pulled(out / "corrections").images == tmp_path / "targets"
    wrong = CliRunner().invoke(app, ["push", str(tmp_path), *place])
    assert isinstance(wrong.exception, InputError)
    assert "holds no coco.json" in str(wrong.exception)
    assert CliRunner().invoke(app, ["push", str(out)]).exit_code == 2
