"""Processes that decode images while the model runs, and survive images that kill a decoder."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

import reco_assist
from reco_assist.errors import ArchiveError, ImageError
from reco_assist.images import STORES_VARIABLE, MemoryShortError, allowed_stores, hint
from reco_assist.json_files import json_line, parse_json

log = logging.getLogger("reco_assist")

T = TypeVar("T")

# Our own package first, whichever way the parent found it, and nothing else of its search path: site-packages
# in front of the standard library would let old backports shadow it.
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop()); import reco_assist; del sys.path[0]; "
    "from reco_assist.archive.worker import main; main()"
)


class DecoderCrashError(ImageError):
    """An image that ends the process that decodes it."""


class _GoneError(Exception):
    """The decoding process is gone."""


@dataclass(frozen=True, slots=True)
class DecodedFile:
    """A decoded image, ready for the encoder.

    Attributes:
        pixels: (S, S, 3) uint8 RGB, read-only.
        width: Pixels of the full frame, EXIF orientation applied.
        height: Pixels of the full frame, EXIF orientation applied.
        thumbnail: A small JPEG.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    thumbnail: bytes


class DecodeProcess:
    """One decoding process, used by one thread.

    Not multiprocessing: its processes import the user's main script again, which fails for scripts without a
    `__main__` guard and loads torch into every worker.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._process = subprocess.Popen(  # noqa: S603  (our own interpreter, our own code)
            [sys.executable, "-P", "-c", _START, str(side), str(Path(reco_assist.__file__).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # C libraries grumble about odd files there; their images are reported by us.
            stderr=None if log.isEnabledFor(logging.DEBUG) else subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1", STORES_VARIABLE: " ".join(allowed_stores())},
        )
        try:
            self._reply()
        except _GoneError as error:
            self.kill()
            raise ArchiveError(
                f"{sys.executable} cannot start processes that decode images; check that reco-assist is "
                "installed there, and run with -vv to see why."
            ) from error

    def hash(self, path: Path) -> str:
        """Read a file and return its content hash.

        Raises:
            ImageError: The file cannot be read.
        """
        try:
            known = hint(path)
        except OSError:
            known = None  # the process says what is wrong
        self._ask([str(path), None if known is None else astuple(known)])
        return str(self._reply()["hash"])

    def decode(self) -> DecodedFile:
        """Decode the file that was hashed last.

        Raises:
            ImageError: It is not an image, or damaged.
        """
        self._ask(None)
        header = self._reply()
        pixels = np.frombuffer(self._read(3 * self._side**2), np.uint8).reshape(self._side, self._side, 3)
        return DecodedFile(pixels, header["width"], header["height"], self._read(header["thumbnail"]))

    def kill(self) -> None:
        """End the process, whatever it is doing; a waiting reader gets an error."""
        self._process.kill()
        self._process.wait()

    def _ask(self, request: list[object] | None) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json_line(request))
            self._process.stdin.flush()
        except OSError as error:
            raise _GoneError from error

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _GoneError
        header: dict[str, Any] = parse_json(line, "The answer of a decoding process")
        if "error" in header:
            raise (MemoryShortError if header["passing"] else ImageError)(header["error"])
        return header

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) < size:
            raise _GoneError
        return data


class DecodePool:
    """Threads that hold a decoding process each.

    Args:
        side: Side S in pixels of the square that images are resized to.
        workers: Number of processes.
    """

    def __init__(self, *, side: int, workers: int) -> None:
        self._side = side
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="reco-decode")
        self._own = threading.local()
        self._processes: set[DecodeProcess] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)

    def submit(self, work: Callable[[Callable[[], DecodeProcess], Path], T], path: Path) -> "Future[T]":
        """Run `work(process, path)` in the next free thread; calling `process` gives the thread's process.

        Work that kills its process is tried once more, since the system may have killed it for lack of
        memory; the future of work that kills two raises DecoderCrashError, and the pool goes on.
        """
        return self._threads.submit(self._run, work, path)

    def _run(self, work: Callable[[Callable[[], DecodeProcess], Path], T], path: Path) -> T:
        for _ in range(2):
            try:
                return work(self._process, path)
            except _GoneError:
                process: DecodeProcess = self._own.process
                process.kill()
                with self._lock:
                    self._processes.discard(process)
                del self._own.process
        raise DecoderCrashError(f"{path} makes the image decoder crash; leave it out, or save it anew.")

    def _process(self) -> DecodeProcess:
        if not hasattr(self._own, "process"):
            process = DecodeProcess(self._side)
            self._own.process = process
            with self._lock:
                self._processes.add(process)
                if self._closed:
                    raise _GoneError
        own: DecodeProcess = self._own.process
        return own
