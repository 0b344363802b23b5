"""Batches that do not fit into memory, for real and by a device's word."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes import FakeEncoder

from reco_assist.encoders.batches import encode_within_memory
from reco_assist.errors import EncoderError

pytestmark = pytest.mark.slow


class Cramped(FakeEncoder):
    """Has room for a few images only."""

    def __init__(self, room, error):
        super().__init__()
        self._room, self._error = room, error

    def encode(self, pixels):
        if len(pixels) > self._room:
            raise self._error
        return super().encode(pixels)


def pixels(count):
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: out of memory"),  # the driver's word, where others fill the GPU
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    ],
    ids=["python", "cuda", "cpu", "driver", "mps"],
)
@pytest.mark.parametrize("count", [1, 5, 16])
def test_a_batch_is_halved_until_it_fits(error, count):
    cramped = Cramped(2, error)
    found, images = encode_within_memory(cramped, pixels(count)), pixels(count)
    assert max(cramped.batches) <= 2
    alone = [FakeEncoder().encode(one[None]) for one in images]
    torch.testing.assert_close(found.dense, torch.cat([one.dense for one in alone]))
    assert found.embedding.shape == (count, 32)
    assert found.language.shape == (count, 32, 4, 4)


def test_one_image_too_large_is_one_sentence():
    with pytest.raises(EncoderError, match="memory is too small to encode one image with fake"):
        encode_within_memory(Cramped(0, MemoryError()), pixels(3))


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="sizes differ"):
        encode_within_memory(Cramped(0, RuntimeError("sizes differ")), pixels(3))


def test_a_device_that_is_gone_is_one_sentence():
    gone = RuntimeError("CUDA error: unspecified launch failure\nmore")
    with pytest.raises(EncoderError, match=r"failed \(CUDA error: unspecified launch failure\): begin again"):
        encode_within_memory(Cramped(0, gone), pixels(3))


HUNGRY = """
import resource, torch
from fakes import FakeEncoder
from reco_assist.encoders.batches import encode_within_memory

class Hungry(FakeEncoder):
    def encode(self, pixels):
        torch.empty(len(pixels) * 300_000_000, dtype=torch.uint8)
        return super().encode(pixels)

hungry = Hungry()
hungry.encode(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1_000_000_000,) * 2)
features = encode_within_memory(hungry, torch.zeros(16, 3, 64, 64, dtype=torch.uint8))
print(len(features.dense), max(hungry.batches))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to limit a process's memory")
def test_a_process_that_really_runs_out_of_memory_goes_on():
    tests = str(Path(__file__).parent)
    paths = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HUNGRY], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    count, largest = map(int, done.stdout.split())
    assert count == 16
    assert largest <= 3
