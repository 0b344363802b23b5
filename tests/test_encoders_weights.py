"""What a downloaded file's name says of its hash is compared with the file."""

from hashlib import sha256
from pathlib import Path

import pytest
import torch

from reco_assist.encoders.weights import Source, verify
from reco_assist.errors import EncoderError
from reco_assist.files import file_hash

DATA = b"weights" * 100
DIGEST = sha256(DATA).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path / "torch" / "checkpoints"


def file_at(path: Path, data: bytes = DATA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", [f"vit-{DIGEST[:8]}.pth", f"vit-{DIGEST}.bin", DIGEST, "vit-b.pth"])
def test_a_file_is_what_its_name_says(cache, name):
    path = file_at(cache / name)
    verify(path, file_hash(path))


@pytest.mark.parametrize("name", [f"vit-{DIGEST[:8]}.pth", f"vit-{DIGEST[:12]}.pth", DIGEST])
def test_another_file_under_the_name_is_noticed(cache, name):
    path = file_at(cache / name, DATA + b"!")
    with pytest.raises(EncoderError, match=f"expected {DIGEST[:8]}"):
        verify(path, file_hash(path))


def test_a_file_of_ones_own_may_end_in_a_date(cache, tmp_path):
    path = file_at(tmp_path / "mine-20240101.pth")
    verify(path, file_hash(path))


def test_a_download_is_compared_before_it_has_its_name(cache, tmp_path):
    """Over an address that answers at once: a file of this machine."""
    good = file_at(tmp_path / "published" / f"vit-{DIGEST[:8]}.pth")
    fetched = Source(address=good.as_uri()).fetch(progress=False)
    assert fetched == cache / good.name
    assert fetched.read_bytes() == DATA
    bad = file_at(tmp_path / "published" / "vit-0123abcd.pth")
    with pytest.raises(RuntimeError, match="invalid hash value"):
        Source(address=bad.as_uri()).fetch(progress=False)
    assert [path.name for path in cache.iterdir()] == [good.name]
