"""The curves of a training run in a real JupyterLab, while they grow, in both themes."""

import pytest
from browser import Lab, chromium, idle, opened, shoot, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium() is None, reason="no Chromium here")]

CELL = """
import time
from pathlib import Path
from reco_assist.student import Moment
from reco_assist.ui import watch

def moments():
    for step in range(1, 301):
        if step == 200:
            while not Path("go").exists():
                time.sleep(.05)
        score = .7 * (1 - .99 ** step) if step % 50 == 0 else None
        yield Moment(step, 300, .2 + .98 ** step, score, score, seconds=300. - step, looked=score is not None)

watch(moments())
"""

LOOK = """() => {
  const drawing = document.querySelector(".widget-html svg");
  const ink = (one) => getComputedStyle(one);
  return {
    text: drawing.parentElement.innerText,
    ink: ink(drawing.querySelector("text")).fill,
    page: ink(document.querySelector(".jp-Notebook")).backgroundColor,
    width: drawing.getBoundingClientRect().width,
    dots: drawing.querySelectorAll("use").length,
    joins: ink(document.querySelector(".jp-Toolbar svg")).strokeLinejoin,
  };
}"""


def brightness(colour):
    return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_curves_grow_while_a_student_is_taught(tmp_path, dark):
    with (
        Lab(tmp_path, dark=dark) as lab,
        opened(lab.notebook("job.ipynb", [CELL]), dark=dark, height=700) as page,
    ):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.locator(".widget-html svg").wait_for()
        until(page, lambda: "held-out IoU" in page.evaluate(LOOK)["text"], 120)
        during = page.evaluate(LOOK)
        (tmp_path / "go").touch()
        until(page, lambda: "step 300 of 300" in page.evaluate(LOOK)["text"], 120)
        idle(page)
        after = page.evaluate(LOOK)
        shoot(page, f"curve-{'dark' if dark else 'light'}")
    assert page.problems == []
    assert after["dots"] > during["dots"] > 0
    assert after["width"] < 700
    assert (brightness(after["ink"]) > brightness(after["page"])) == dark
    assert after["joins"] == "miter"  # the drawing changes nothing else on the page
