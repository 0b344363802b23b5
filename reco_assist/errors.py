"""Every error that reco-assist raises on purpose.

They form a tree::

    RecoAssistError
    ├── InputError       an argument, file or folder that was given cannot be used
    │   ├── ImageError   one image cannot be read (reported and skipped in bulk work)
    │   └── FormatError  a file is not of the kind or version that was expected
    ├── EncoderError     a model, its weights or its identity does not fit
    ├── ArchiveError     an archive is missing, incompatible, busy or damaged
    ├── StorageError     a place cannot be written: full, read-only, gone
    └── ServerError      a labelling server refuses
        └── UnreachableError    or does not answer: it may if asked again

A message is one sentence that says what was given, what was expected and what to do.
The command line prints it alone (exit status 1); notebooks show it in the panel.
"""

from dataclasses import dataclass


class RecoAssistError(Exception):
    """Base of every error that reco-assist raises on purpose."""


class InputError(RecoAssistError, ValueError):
    """An argument, file or folder that was given cannot be used."""


class ImageError(InputError):
    """One image cannot be read."""


class FormatError(InputError):
    """A file is not of the kind or version that was expected."""


class EncoderError(RecoAssistError):
    """A model, its weights or its identity does not fit."""


class ArchiveError(RecoAssistError):
    """An archive is missing, incompatible, busy or damaged."""


class StorageError(RecoAssistError, OSError):
    """A place cannot be written: full, read-only or gone."""


class ServerError(RecoAssistError):
    """A labelling server refuses what it is asked for."""


class UnreachableError(ServerError):
    """A labelling server does not answer, or is too busy; it may answer if asked again."""


class RecoAssistWarning(UserWarning):
    """Something the user should know, though the work went on."""


def short(said: object, most: int = 80) -> str:
    """What somebody else wrote, for a sentence of ours: on one line, cut, and nothing that moves a cursor.

    Args:
        said: Its text counts.
        most: Letters.
    """
    text = str(said)[: 100 * most]
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def reason(error: BaseException, most: int = 120) -> str:
    """What an error says, in a line, for a sentence of ours: a system's words, never Python's.

    Args:
        error: Of a library, of the system, or ours.
        most: Letters.
    """
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, KeyError) and error.args:  # its text is the key's, in quotes
        said = f"it has no {error.args[0]!r}"
    first = next((line for line in said[: 100 * most].splitlines() if line.strip()), type(error).__name__)
    return short(first.strip().rstrip("."), most)


def unknown_format(what: object, found: object, newest: int) -> str:
    """The sentence about stored data whose format number this release does not know.

    Args:
        what: The data, as the user knows it.
        found: The number that it states, or whatever stands in its place.
        newest: The newest format that this release reads; it reads all older ones too.
    """
    if isinstance(found, int) and found > newest:
        return (
            f"{what} is of format {found}, which is newer than format {newest} of this release: "
            "update reco-assist."
        )
    return f"{what} states the format {repr(found)[:40]}, which no release wrote: restore it from a copy."


_GPU_FAILS = ("CUDA error", "CUDA driver error", "cuDNN error", "HIP error", "NCCL error")


def gpu_failure(error: BaseException) -> str | None:
    """The sentence about a GPU that failed, None where an error says something else.

    Torch has a class of its own for this only in its later releases, and not for every library of a GPU.

    Args:
        error: Whatever a model raised.
    """
    first = str(error).partition("\n")[0]
    if not isinstance(error, RuntimeError) or not first.startswith(_GPU_FAILS):
        return None
    return (
        f"the GPU failed ({first.rstrip('.')}): begin again, in a notebook after a restart of its kernel; "
        "it goes on where it was, and --device cpu does without a GPU"
    )


@dataclass(frozen=True, slots=True)
class Damage:
    """Something wrong with stored data, found by looking for it.

    Attributes:
        what: What is wrong, one sentence.
        cure: What mends it, as an instruction.
        mended: Whether it has been mended.
    """

    what: str
    cure: str
    mended: bool = False
