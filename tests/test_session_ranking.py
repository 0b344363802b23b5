"""Which images to review first, from two predictors that are read off the pixels."""

import csv
import json

import numpy as np
import pytest
from fakes import write_photos, write_student
from PIL import Image
from typer.testing import CliRunner

from reco_assist.annotations import Verdict
from reco_assist.cli.app import app
from reco_assist.errors import InputError
from reco_assist.folders import make_output_folder
from reco_assist.locks import only_writer
from reco_assist.segmenter import ProbabilityMaps, Skipped, Target, load
from reco_assist.session.order import pack_look, review_order, unpack_looks
from reco_assist.session.ranking import Ranking


class Bright:
    """Finds what is brighter than a level, and is as sure as the first pixel says."""

    def __init__(self, level):
        self.level, self.seen = level, []
        self.digests = {"thing": str(level)}

    def segment(self, targets):
        found = []
        for one in load(targets, 16):
            self.seen.append(one.target.file_name)
            if isinstance(one, Skipped):
                found.append(one)
                continue
            grey = one.squares[0].mean(-1)  # (16, 16)
            maps = np.where(grey > self.level, 255, 0).astype(np.uint8)[None]
            verdict = Verdict("thing", True, round(float(one.squares[0][0, 0, 0]) / 255, 2))
            found.append(ProbabilityMaps(one.reference, (verdict,), maps, np.ones(4, np.float32)))
        return found


@pytest.fixture
def targets(tmp_path):
    for name, first, rest in (("a", 250, 200), ("b", 160, 200), ("c", 255, 120)):
        pixels = np.full((16, 16, 3), 20, np.uint8)
        pixels[8:, 8:] = rest
        pixels[0, 0] = first
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    return [Target(path, path.name) for path in sorted(tmp_path.glob("*.png"))]


def test_doubt_and_disagreement_decide(targets, tmp_path):
    alone = Ranking(tmp_path, Bright(100))
    assert sum(alone.add(targets)) == 4
    assert [one.file_name for one in alone.order(targets)] == ["b.png", "a.png", "c.png"]
    assert [name for name, _ in alone.skipped] == ["torn.png"]
    both = Ranking(tmp_path, Bright(100), Bright(150))  # other predictors: nothing is taken over
    list(both.add(targets))
    first = both.order(targets)[0]
    assert (first.file_name, first.gain) == ("c.png", first.disagreement)
    assert first.disagreement == pytest.approx(1 - 1 / 65, abs=1e-4)  # the corner is seen by both


def test_a_killed_ranking_goes_on(targets, tmp_path):
    whole = Ranking(tmp_path, Bright(100))
    list(whole.add(targets[:2]))
    path = tmp_path / "ranking.jsonl"
    path.write_bytes(path.read_bytes()[:-7])  # killed while it wrote the second line
    again = Bright(100)
    ranking = Ranking(tmp_path, again)
    list(ranking.add(targets))
    assert again.seen == ["b.png", "c.png", "torn.png"]
    fresh = Ranking(tmp_path, Bright(100))
    assert fresh.order(targets) == ranking.order(targets)
    assert len(fresh.order(targets)) == 3


def test_an_image_that_changed_is_ranked_again(targets, tmp_path):
    list(Ranking(tmp_path, Bright(100)).add(targets))
    pixels = np.full((16, 16, 3), 20, np.uint8)
    pixels[0, 0] = 130
    Image.fromarray(pixels).save(targets[0].path)
    targets[1].path.write_bytes(b"no picture any more")
    again = Bright(100)
    ranking = Ranking(tmp_path, again)
    list(ranking.add(targets))
    assert again.seen == ["a.png", "b.png", "torn.png"]
    assert [one.file_name for one in ranking.order(targets)] == ["a.png", "c.png"]


def test_packed_looks_keep_angles():
    random = np.random.default_rng(0)
    looks = random.standard_normal((40, 300)).astype(np.float32)
    looks[1] = 3 * looks[0] + 0.1 * looks[1]
    packed = unpack_looks([*(pack_look(look) for look in looks), ""])
    unit = packed[:40] / np.linalg.norm(packed[:40], axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.98
    assert np.abs(unit[2:] @ unit[0]).max() < 0.6
    assert not packed[40].any()
    order = review_order([1, 0.9, *[0.8] * 38], packed[:40])
    assert order[0] == 0
    assert order.index(1) > 30  # it looks like the first


@pytest.mark.slow
def test_the_command_prints_and_writes_the_order(tmp_path):
    write_photos(tmp_path / "photos", 5)
    for number in range(2):
        write_student(tmp_path / f"{number}.student", "mug", seed=number)
    write_student(tmp_path / "cup.student", "cup")
    words = ["rank", tmp_path / "0.student", "--images", tmp_path / "photos", "--out", tmp_path / "ranking"]
    words = [*map(str, words), "--second"]
    run = CliRunner()
    done = run.invoke(app, [*words, str(tmp_path / "1.student"), "--json", "-q"], catch_exceptions=False)
    results = json.loads(done.stdout)["results"]
    assert len(results) == 5
    assert any(one["disagreement"] for one in results)
    with (tmp_path / "ranking" / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [one["image"] for one in results]
    table = run.invoke(app, [*words, str(tmp_path / "1.student"), "-k", "2"], catch_exceptions=False).stdout
    assert [line.split()[-1] for line in table.splitlines()[1:3]] == [one["image"] for one in results[:2]]
    with pytest.raises(InputError, match="finds cup"):
        run.invoke(app, [*words, str(tmp_path / "cup.student")], catch_exceptions=False)


def test_figures_that_a_stranger_or_a_fault_wrote_are_made_again(targets, tmp_path):
    whole = Ranking(tmp_path, Bright(100))
    list(whole.add(targets))
    path = tmp_path / "ranking.jsonl"
    head, *lines = path.read_bytes().splitlines(keepends=True)
    first = json.loads(lines[0])
    for lie in (5, {"x": 1}, {**first, "doubt": "1"}, {**first, "look": "?"}, {**first, "look": [1]}):
        path.write_bytes(
            b"".join([head, json.dumps(lie).encode() + b"\n", *lines[1:], b"[" * 99_999 + b"\n"])
        )
        again = Bright(100)
        ranking = Ranking(tmp_path, again)
        list(ranking.add(targets))
        assert again.seen == ["a.png", "torn.png"]
        assert ranking.order(targets) == whole.order(targets)


def test_two_rankings_into_one_folder_are_refused(tmp_path):
    write_photos(tmp_path / "photos", 2)
    write_student(tmp_path / "m.student", "mug")
    words = ["rank", str(tmp_path / "m.student"), "--images", str(tmp_path / "photos"), "--out"]
    with only_writer(make_output_folder(tmp_path / "out")):
        done = CliRunner().invoke(app, [*words, str(tmp_path / "out")])
    assert "Another process is writing to" in str(done.exception)
    assert not (tmp_path / "out" / "ranking.jsonl").exists()
