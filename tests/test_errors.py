"""What an error says, in a sentence of ours."""

import errno
import json
import os
import re
from pathlib import Path

import pytest

import reco_assist
from reco_assist.errors import reason

PACKAGE = Path(reco_assist.__file__).parent

# Ways to turn an exception into words.
ELSEWHERE = re.compile(
    r"(error|exception)!r|repr\((error|exception)\)|(error|exception)\)[^ \n]*\[|"
    r"splitlines\(\)\[|type\((error|exception)\)\.__name__|(?<!os)\.strerror"
)
ALLOWED = {
    ("archive/table.py", "type(error).__name__"): "asks for a class, and says nothing",
    ("label_studio/exchange.py", "type(error).__name__"): "its text may quote a token",
    ("student/network.py", "type(error).__name__"): "asks for a class, and says nothing",
}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/b"), os.strerror(errno.ENOSPC)),
        (OSError("no store"), "no store"),
        (KeyError("info"), "it has no 'info'"),
        (KeyError(), "KeyError"),
        (ValueError(" \n first line.\nsecond"), "first line"),
        (ValueError(""), "ValueError"),
        (ValueError("\x1b[2Ja\0b"), "[2Ja b"),
        (ValueError("x" * 5000), "x" * 119 + "…"),
        (json.JSONDecodeError("Expecting value", "", 0), "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_an_error_in_a_line(error, words):
    assert reason(error) == words


def test_errors_are_put_into_words_in_one_place():
    found = {
        (path.relative_to(PACKAGE).as_posix(), match[0])
        for path in PACKAGE.rglob("*.py")
        if path.name != "errors.py"
        for match in ELSEWHERE.finditer(path.read_text())
    }
    assert sorted(found - set(ALLOWED)) == [], "use errors.reason"
    assert sorted(set(ALLOWED) - found) == [], "take what is gone off the list"
