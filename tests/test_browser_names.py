"""Names that would run in a page, through the whole panel in real Chromium: nothing runs, all of it is text.

What happens to such names in Label Studio's own editor is in test_label_studio_browser.py.
"""

import numpy as np
import pytest
from browser import Lab, chromium, opened, run_all, settle, shoot, until
from conftest import SAMPLES
from label_studio_server import title
from PIL import Image
from test_browser import in_view, step, wait_for_step

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.archive import Archive
from reco_assist.images import content_hash
from reco_assist.session import ConceptSpec, Session
from reco_assist.session.results import add_result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
    pytest.mark.timeout(600),
]

RUNS = "<img src=x onerror=window.ran=1>"
NAME = f'mug "/>{RUNS}<script>window.ran=1</script>{{{{7*7}}}}'
FILES = [  # without their endings; each would run somewhere, if it were taken for what it looks like
    RUNS,
    f'">{RUNS}',
    "<svg onload=window.ran=1>",
    '"><script>window.ran=1',
    "' onmouseover='window.ran=1",
    "{{7*7}}${7*7}",
    "{{constructor.constructor('window.ran=1')()}}",
    "javascript:window.ran=1",
    "&lt;img src=x onerror=window.ran=1&gt;",  # undone twice, it is a tag again
    r"$\href{javascript:window.ran=1}{x}$",
]
CONTEXT = f"wall {RUNS}"

# What there would be in the page if a name had been taken for HTML or for a formula.
_MADE = """() => [...document.querySelectorAll(`.ra-annotator img[src="x"], .ra-annotator [onload],
  .ra-annotator [onerror], .ra-annotator [onmouseover], .ra-annotator script, .ra-annotator mjx-container,
  .ra-annotator a[href^="javascript:"]`)].map((one) => one.outerHTML)"""


def check(page):
    """Nothing of a name has run, become an element or asked for an address; and every pointer was over it."""
    for kind in (".ra-tile:visible", ".ra-stepper-concept", ".ra-chip:visible"):
        if page.locator(kind).count():
            page.locator(kind).first.hover()
    assert page.evaluate("window.ran") is None
    assert page.evaluate(_MADE) == []
    assert page.problems == []
    assert [address for address in page.requests if address.partition("?")[0].endswith("/x")] == []


def shows(page, selector, words):
    """Wait until the text of an element that can be seen holds these words, letter by letter."""
    in_view(page, selector).wait_for()
    until(
        page, lambda: any(words in text for text in page.locator(f"{selector}:visible").all_text_contents())
    )


def tiles(page):
    """Names under the pictures, put together again where they are cut in two, and their tooltips."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.ra-tile')].filter((one) => one.offsetParent)
          .map((one) => one.querySelector('.ra-name'))
          .map((one) => [one.textContent, one.title])"""
    )


def closer(page, label):
    """Open an image at a larger size, and find its whole name there."""
    tile = page.locator(".ra-tile:visible").filter(has=page.get_by_title(label, exact=True))
    tile.scroll_into_view_if_needed()
    tile.dblclick()
    in_view(page, ".ra-preview-stage img[src]").wait_for()
    shows(page, ".ra-preview", label)


def copy(source, place):
    """The samples under names of others."""
    place.mkdir()
    files = sorted(source.glob("*.jpg"))
    for number, path in enumerate(files[:24]):
        name = FILES[number] if number < len(FILES) else f"{number:02}"
        (place / f"{name}.jpg").write_bytes(path.read_bytes())


@pytest.fixture
def folder(encoder, tmp_path):
    """An archive, targets and a session that is begun, all of hostile names."""
    copy(SAMPLES / "archive", tmp_path / "photos")
    archive = Archive.create(tmp_path / f"{RUNS}.reco", encoder=encoder)
    archive.add(tmp_path / "photos", progress=False)
    targets = tmp_path / f"targets {RUNS}"
    targets.mkdir()
    for number, name in zip((8, 9, 12), FILES, strict=False):
        picture = (SAMPLES / "targets" / f"scene_{number:03}.jpg").read_bytes()
        (targets / f"{name}.jpg").write_bytes(picture)
    session = Session.open(tmp_path / f"{RUNS}.session")
    session.set_plan(ConceptSpec(NAME))
    session.close()
    return tmp_path


OPEN = f"""from reco_assist import Annotator
annotator = Annotator({RUNS + ".reco"!r}, targets={"targets " + RUNS!r}, who={RUNS!r})
annotator"""


def test_names_are_text_from_the_concept_to_the_export(folder):  # noqa: PLR0915  (the whole loop)
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [OPEN])) as page:
        run_all(page)
        page.get_by_text(f"“{NAME}”").wait_for()  # what the session offers to go on with
        shows(page, ".ra-stepper-heading", f"{RUNS}.reco")
        shows(page, ".ra-stepper-note", f"{RUNS}.session")
        page.get_by_role("button", name="Go on").click()
        shows(page, ".ra-stepper-concept", NAME)
        assert page.locator(".ra-question input").input_value() == NAME
        another = page.get_by_label("Another word")
        another.fill(CONTEXT)
        another.press("Enter")
        page.get_by_role("button", name=f"{CONTEXT}  ✕").wait_for()
        page.get_by_role("button", name="Browse the archive").click()
        in_view(page, ".ra-tile img[src]").wait_for()
        for name in FILES:
            closer(page, f"{name}.jpg")
            page.keyboard.press("Escape")
        settle(page)
        shoot(page, "names-1-concept")
        check(page)

        closer(page, f"{RUNS}.jpg")
        settle(page)
        for key in ("e", "ArrowDown", "Enter"):
            page.keyboard.press(key)
        page.get_by_role("button", name=f"1: {RUNS}.jpg  ✕").wait_for()
        page.keyboard.press("Escape")
        check(page)
        page.get_by_role("button", name=f"1: {RUNS}.jpg  ✕").click()

        page.get_by_role("button", name="Find images").click()
        wait_for_step(page, 2, "20 of 20 kept")
        step(page, 2).click()
        in_view(page, ".ra-tile .ra-seed").wait_for()
        settle(page)
        assert {text for text, _ in tiles(page)} & {f"{name}.jpg" for name in FILES}
        assert all(text == tooltip for text, tooltip in tiles(page))
        shoot(page, "names-2-prune")
        check(page)

        step(page, 3).click()
        place = page.get_by_label("Images to segment")
        place.fill(RUNS)
        page.get_by_role("button", name="Segment", exact=True).click()
        page.get_by_role("alert").get_by_text(f"{RUNS} is not a folder").wait_for()
        check(page)
        place.fill(f"targets {RUNS}")
        page.get_by_role("button", name="Segment", exact=True).click()
        page.get_by_text("3 of 3 segmented").wait_for()
        shows(page, ".ra-canvas", NAME)
        in_view(page, ".ra-canvas .ra-stage").click(position={"x": 10, "y": 10})
        label, seen = in_view(page, ".ra-canvas .ra-label"), []
        while len(seen) < 3:
            until(page, lambda: label.get_attribute("title") not in seen)
            seen.append(label.get_attribute("title"))
            assert label.text_content() == seen[-1]
            page.keyboard.press("ArrowRight")
        assert set(seen) == {f"{name}.jpg" for name in FILES[:3]}
        settle(page)
        shoot(page, "names-3-review")
        check(page)
        page.keyboard.press("a")
        wait_for_step(page, 3, "1 of 3 reviewed")
        page.get_by_role("button", name="Grid").click()
        in_view(page, ".ra-gallery .ra-tile img[src]").wait_for()
        settle(page)
        assert {text for text, _ in tiles(page)} == {f"{name}.jpg" for name in FILES[:3]}
        shoot(page, "names-4-grid")
        check(page)

        step(page, 4).click()
        page.get_by_label("Which images").select_option("All masks, also undecided ones")
        page.locator(".ra-large:visible", has_text="Export").click()
        shows(page, ".ra-hint", "3 images, masks")
        shows(page, ".ra-soft", f"{RUNS}-export: ")
        settle(page)
        shoot(page, "names-5-export")
        check(page)
    assert (folder / f"{RUNS}-export" / "coco.json").is_file()


def test_names_are_text_in_what_a_server_is_told_and_tells(folder, label_studio, monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    project = title(RUNS)
    session = Session.open(folder / f"{RUNS}.session")
    session.targets = folder / f"targets {RUNS}"
    for path in sorted(session.targets.iterdir()):
        with Image.open(path) as image:
            ref = ImageRef(path.name, content_hash(path.read_bytes()), *image.size)
            scores = np.zeros((1, *image.size[::-1]), np.uint8)
        scores[:, 40:120, 40:160] = 200
        add_result(
            session, ref, path, scores, [Verdict(NAME, present=True, probability=0.9)], {NAME: "digest"}
        )
    session.close()
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [OPEN])) as page:
        run_all(page)
        page.get_by_role("button", name="Go on").click()
        step(page, 5).click()
        page.get_by_label("Label Studio's address").fill(label_studio.url)
        page.get_by_label("Project, title or number").fill(project)
        page.get_by_label("Token").fill(label_studio.token)
        page.get_by_role("button", name="Push", exact=True).click()
        shows(page, ".ra-hint", "3 tasks created")
        client = label_studio.client()
        (made,) = [one for one in client.projects.list() if one.title == project]
        for task in client.tasks.list(project=made.id, fields="all"):
            (guess,) = [
                one if isinstance(one, dict) else one.model_dump(mode="json") for one in task.predictions
            ]
            client.annotations.create(id=task.id, result=guess["result"], parent_prediction=guess["id"])
        step(page, 6).click()
        page.get_by_role("button", name="Pull", exact=True).click()
        shows(page, ".ra-hint", "3 tasks are new or changed")
        shows(page, ".ra-table", NAME)
        settle(page)
        shoot(page, "names-6-pull")
        check(page)
