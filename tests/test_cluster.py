"""Joining Ray, without a Ray: what is tried, and what is said."""

import pytest

from reco_assist.cluster import Cluster
from reco_assist.errors import InputError

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.fixture
def starts(monkeypatch):
    """What happens at each start of Ray, in turn: an error, or nothing."""
    outcomes = []

    def init(*args, **options):
        if error := outcomes.pop(0):
            raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return outcomes


LATE = "The current node timed out during startup."


def test_ray_is_started_again_on_a_busy_machine(starts):
    starts += [Exception(LATE), Exception(LATE), None]
    Cluster().connect()
    assert not starts


@pytest.mark.parametrize(
    ("address", "errors", "said"),
    [
        (None, [Exception(LATE)] * 3, "ray start --head"),
        ("ray://nowhere:10001", [ConnectionError("no answer")], "no Ray cluster at 'ray://nowhere:10001'"),
    ],
)
def test_what_is_said_where_there_is_no_ray(starts, address, errors, said):
    starts += errors
    with pytest.raises(InputError, match=said):
        Cluster(address=address).connect()
