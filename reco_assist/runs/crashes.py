"""Images that crash a decoder: they end a run once, and the next run leaves them out.

Targets are decoded in the process that holds the model. A run that dies leaves a mark, and the next one first
has the images of the batch at which it died decoded in a process of their own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from reco_assist.archive.decoding import DecodePool, DecodeProcess, DecoderCrashError
from reco_assist.concepts import REFINE_SIDE
from reco_assist.errors import ImageError, StorageError
from reco_assist.files import remove_file, write_bytes
from reco_assist.segmenter import Target


@contextmanager
def marked(mark: Path) -> Iterator[bool]:
    """Keep a mark while a block runs; whoever dies in it leaves the mark behind.

    Args:
        mark: An empty file that is made.

    Yields:
        Whether the mark was there already.

    Raises:
        StorageError: It cannot be made.
    """
    died = mark.exists()
    write_bytes(mark, b"")
    try:
        yield died
    finally:
        with suppress(StorageError):  # the next run then looks where it need not
            remove_file(mark)


def crashing(targets: Sequence[Target]) -> dict[Target, str]:
    """Those of some targets that crash the decoder, and why they cannot be used, in one sentence each."""

    def look(process: Callable[[], DecodeProcess], path: Path) -> None:
        process().hash(path)
        process().decode()

    found = {}
    with DecodePool(side=REFINE_SIDE // 2, workers=1) as pool:
        for target, tried in [(target, pool.submit(look, target.path)) for target in targets]:
            try:
                tried.result()
            except DecoderCrashError as error:
                found[target] = f"{target.file_name}: {error}"
            except ImageError:
                continue  # said by whoever reads it next
    return found
