"""Work that takes longer than a click, one job after the other, beside the kernel's own thread.

A kernel that is busy with a cell or a click cannot answer the browser, so models run here.
"""

from collections.abc import Callable
from queue import Queue
from threading import Lock, Thread

from reco_assist.ui.guard import Guarded


class Worker:
    """A queue of jobs and the thread that does them.

    Args:
        fail: Called with one sentence when a job has failed.
        changed: Called when a job begins or ends.
    """

    def __init__(self, *, fail: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._fail = fail
        self._changed = changed
        self._jobs: Queue[Callable[[], object]] = Queue()
        self._open = 0
        self._count = Lock()
        # A daemon: closing the kernel must not wait for a long job, whose results are on disk anyway.
        Thread(target=self._work, daemon=True, name="reco-assist").start()

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        return self._open > 0

    def run(self, job: Callable[[], object]) -> None:
        """Do a job when those before it are done; returns at once."""
        with self._count:
            self._open += 1
        self._jobs.put(job)
        self._changed()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all jobs are done and shown; False if they were not within so many seconds."""
        with self._jobs.all_tasks_done:
            return self._jobs.all_tasks_done.wait_for(lambda: not self._jobs.unfinished_tasks, timeout)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            Guarded(job, self._fail)()
            with self._count:
                self._open -= 1
            self._changed()
            self._jobs.task_done()
