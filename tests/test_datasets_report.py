"""The HTML report: right figures, one file, and nothing that a hostile name can do."""

from html.parser import HTMLParser

import numpy as np
import pytest
from browser import chromium, shoot, visited
from PIL import Image

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.datasets.report import write_report
from reco_assist.formats import Dataset, to_coco
from reco_assist.masks import rle

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}{% raw %}&lt;\u202e\u0007'
NAMES = ["mug", HOSTILE.replace("\u0007", ""), "N" * 300, "unseen"]


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def dataset(tmp_path):
    """Five photographs with sharp squares, in files of hostile names where the disk takes them."""
    made = []
    names = ["a.png", HOSTILE.replace("/", "|") + ".png", "long " * 40 + ".png", "d.png", "gone.png"]
    random = np.random.default_rng(0)
    for number, name in enumerate(names):
        pixels = np.kron(random.integers(0, 256, (12, 16, 3), np.uint8), np.ones((20, 20, 1), np.uint8))
        if name != "gone.png":
            Image.fromarray(pixels).save(tmp_path / name)
        regions = []
        for index, concept in enumerate(NAMES[:3]):
            mask = np.zeros(pixels.shape[:2], bool)
            mask[20 * number : 20 * number + 30 + 20 * index, 100 : 130 + 40 * number] = True
            regions.append(Region(concept, rle.encode(mask), 0.2 + 0.15 * number))
        regions.append(regions[0])  # the same mask twice
        verdicts = [Verdict(concept, concept != "unseen", 0.9) for concept in NAMES]
        image = ImageRef(name, f"{number:064}", pixels.shape[1], pixels.shape[0])
        made.append(Prediction(image, tuple(regions), tuple(verdicts)))
    return Dataset(to_coco(made, NAMES), "set <b>.json")


def test_the_page_is_one_file_without_a_script_and_says_what_is_there(dataset, tmp_path):
    problems = write_report(tmp_path / "report.html", dataset, title=HOSTILE, images=tmp_path).not_shown
    assert len(problems) == 1
    assert "gone.png" in problems[0]
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed", "link", "base", "form"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        addresses = [value for name, value in attributes.items() if name in {"src", "href"}]
        assert all(one.startswith(("data:image/jpeg;base64,", "#concept-")) for one in addresses), tag
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies
    assert "default-src 'none'" in policies[0]
    assert "{{ 7*7 }}" in page.text
    assert "49" not in page.text.split("Worth a look")[0]
    assert "No mask at all: unseen." in page.text
    assert "5 masks are there twice" in page.text
    rows = [tag for tag, _ in page.tags if tag == "tr"]
    assert len(rows) == 1 + len(NAMES)
    assert sum(tag == "img" for tag, _ in page.tags) > 12


def test_a_report_without_photographs_or_masks_still_tells_its_figures(dataset, tmp_path):
    write_report(tmp_path / "plain.html", dataset, title="plain")
    page = Page((tmp_path / "plain.html").read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "Name the folder of the images" in page.text
    empty = Dataset({"images": [], "annotations": [], "categories": []}, "empty.json")
    write_report(tmp_path / "empty.html", empty, title="empty")
    assert "Images without a mask" in (tmp_path / "empty.html").read_text()


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM")
def test_chromium_shows_it_in_light_and_dark_and_runs_nothing(dataset, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, dataset, title=HOSTILE, images=tmp_path)
    papers = []
    for dark in (False, True):
        with visited(path.as_uri(), dark=dark, width=1240) as page:
            shown = "Promise.all([...document.images].map(one => one.decode().then(() => one.naturalWidth)))"
            assert min(page.evaluate(shown)) > 0
            papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert page.problems == []
            assert [one for one in page.requests if not one.startswith(("file:", "data:"))] == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            shoot(page, "report-dark" if dark else "report-light")
    assert papers[0] != papers[1]
