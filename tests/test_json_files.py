import contextlib
import errno
import gc
import json
import os

import pytest

from reco_assist.errors import FormatError, StorageError
from reco_assist.json_files import JsonLog, json_line, parse_json


def log_of(path, head=b""):
    log = JsonLog(path, head)
    return log, list(log.records())


def test_records_come_back_in_order(tmp_path):
    log = JsonLog(tmp_path / "log")
    log.append(json_line({"n": 1}), json_line([2]))
    log.append(json_line("three"))
    assert log_of(tmp_path / "log")[1] == [{"n": 1}, [2], "three"]


@pytest.mark.parametrize("torn", [b"{", b'{"n": 2}', b"\xff\xff", b""])
def test_what_a_kill_cut_short_is_cut_off_before_the_next_record(tmp_path, torn):
    path = tmp_path / "log"
    JsonLog(path).append(json_line({"n": 1}))
    with path.open("ab") as file:
        file.write(torn)
    log, before = log_of(path)
    assert before == [{"n": 1}]
    log.append(json_line({"n": 3}))
    assert log_of(path)[1] == [{"n": 1}, {"n": 3}]


def test_a_log_of_another_head_is_replaced_by_the_first_record(tmp_path):
    path = tmp_path / "log"
    JsonLog(path, b"one\n").append(json_line(1))
    log, found = log_of(path, b"two\n")
    assert found == []
    assert log_of(path, b"one\n")[1] == [1]  # nothing is lost by looking
    log.append(json_line(2))
    assert log_of(path, b"two\n")[1] == [2]
    assert path.read_bytes() == b"two\n2\n"


def test_records_are_cut(tmp_path):
    path = tmp_path / "log"
    log = JsonLog(path, b"head\n")
    log.append(*map(json_line, range(5)))
    log.cut(2)
    assert len(log) == 2
    log.append(json_line("x"))
    assert log_of(path, b"head\n")[1] == [0, 1, "x"]


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "log"
    log = JsonLog(path)
    log.append(json_line(1))

    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="disk is full"):
            log.append(json_line(2), json_line(3))
    assert path.read_bytes() == b"1\n"
    log.append(json_line(4))
    assert log_of(path)[1] == [1, 4]


def test_damaged_lines_are_told_or_refused(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"1\n{\n3\n")
    with pytest.raises(FormatError, match="Line 2 of"):
        list(JsonLog(path).records())
    told = []
    assert list(JsonLog(path).records(told.append)) == [1, 3]
    assert len(told) == 1
    assert "Line 2 of" in told[0]


@pytest.mark.parametrize("data", [b"[" * 100_000, b"{", b"\xff", "9" * 10_000, ""])
def test_what_is_no_json_is_one_sentence(data):
    with pytest.raises(FormatError, match="The answer is ") as caught:
        parse_json(data, "The answer")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("searching", [True, False])
def test_the_search_for_cycles_goes_on_as_before(monkeypatch, searching):
    seen = []
    monkeypatch.setattr(json, "loads", lambda data: seen.append(gc.isenabled()) or _refused(data))
    (gc.enable if searching else gc.disable)()
    try:
        for data in (b"1", b"{"):
            with contextlib.suppress(FormatError):
                parse_json(data, "The answer")
            assert gc.isenabled() is searching
    finally:
        gc.enable()
    assert seen == [False, False]


def _refused(data):
    if data == b"{":
        raise ValueError("a damaged text")
    return 1


def test_numbers_that_json_does_not_have_are_not_written():
    with pytest.raises(ValueError, match="JSON"):
        json_line(float("nan"))


def test_a_log_that_is_gone_or_cut_is_not_begun_anew(tmp_path):
    path = tmp_path / "log"
    log = JsonLog(path, b"head\n")
    log.append(json_line(1), json_line(2))
    assert list(log.lines(1)) == [b"2\n"]
    assert list(log.lines(2)) == []
    os.truncate(path, 6)
    with pytest.raises(StorageError, match="cut it"):
        log.append(json_line(3))
    path.rename(tmp_path / "away")
    with pytest.raises(StorageError, match="Cannot write"):
        log.append(json_line(3))
    assert not path.exists()


def test_a_log_of_no_record_can_be_made(tmp_path):
    JsonLog(tmp_path / "log", b"head\n").append()
    assert (tmp_path / "log").read_bytes() == b"head\n"


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_a_record_with_a_number_that_json_does_not_have_is_damaged(tmp_path, value):
    """It could not be written again."""
    path = tmp_path / "log"
    path.write_text(f'{{"a": 1}}\n{{"a": {value}}}\n')
    with pytest.raises(FormatError, match="no valid JSON"):
        list(JsonLog(path).records())
