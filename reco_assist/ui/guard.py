"""Guard: no failure of what a click, a key or a message asks for vanishes; it is said in words."""

import logging
from collections.abc import Callable

from reco_assist.errors import RecoAssistError, gpu_failure, reason

_log = logging.getLogger(__name__)


class Guarded:
    """A callback of a widget. Jupyter would put its exceptions into a log that nobody reads.

    Attributes:
        action: What is called, with whatever the widget gives.
        report: Called with one sentence when it has failed.
    """

    def __init__(self, action: Callable[..., object], report: Callable[[str], None]) -> None:
        self.action = action
        self.report = report

    def __call__(self, *given: object) -> None:
        """Do it; returns without an exception, whatever happens."""
        try:
            self.action(*given)
        except Exception as error:  # noqa: BLE001  (whatever it is, the panel must say so and live on)
            self.report(_in_words(error))


Guard = Callable[[Callable[..., object]], Guarded]
"""Makes a callback one that reports its failures."""


def _in_words(error: Exception) -> str:
    """One sentence for the panel. What was not foreseen goes to the log with all its details."""
    if isinstance(error, RecoAssistError):
        return sentence(str(error))
    if (failure := gpu_failure(error)) is not None:
        return sentence(failure)
    _log.error("unexpected error", exc_info=error)
    return (
        f"Something unexpected went wrong ({reason(error)}); your work is saved, and the "
        "details are in the notebook's log."
    )


def sentence(words: str) -> str:
    """Words as a sentence of their own; nothing stays nothing."""
    end = "" if not words or words.endswith((".", "?", "!")) else "."
    return words[:1].upper() + words[1:] + end
