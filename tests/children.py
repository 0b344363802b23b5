"""Processes of the tests that begin with torch loaded: forks of one that does nothing else.

They are killed like any other; what is saved is the seconds that each would take to load the same modules.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
    "OMP_NUM_THREADS": "1",
}
_FORKING = """
import sys
import reco_assist.cli.app, reco_assist.runs, reco_assist.serving, reco_assist.student, test_session
from children import fork_for
fork_for(int(sys.argv[1]))
"""


class Child:
    """A process that runs a script; what of `subprocess.Popen` the tests use.

    Attributes:
        pid: Of the process.
        stdin: Text, to be written.
        stdout: Text, to be read.
        returncode: None while it runs, or while nobody asked; negative for a signal.
    """

    def __init__(self, script, arguments, env):
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (it is theirs and ours)
        theirs, ours = zip(*(os.pipe() for _ in range(2)), strict=True)  # what they read, what we write
        into, status = theirs[0], theirs[1]
        told, out = os.pipe()
        wanted = json.dumps([script, [str(one) for one in arguments], env]).encode()
        with _nursery() as line:
            socket.send_fds(line, [len(wanted).to_bytes(8)], [into, out, self._said.fileno(), ours[1]])
            line.sendall(wanted)
        for one in (into, out, ours[1]):
            os.close(one)
        self.stdin, self.stdout = os.fdopen(ours[0], "w"), os.fdopen(told)
        self._status = os.fdopen(status)
        self.pid, self.returncode = int(self._status.readline()), None

    def send_signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self):
        if self.returncode is None:
            self.returncode = int(self._status.readline())
        return self.returncode

    def communicate(self, text=""):
        """Write, and return all that it says on its standard output and error until it ends."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(text)
            self.stdin.close()
        told = self.stdout.read()
        self.wait()
        self._said.seek(0)
        return told, self._said.read()


def start(script, *arguments, env=None):
    """Run a script as `python -c` does, with these arguments and more in its environment."""
    return Child(script, arguments, env or {})


@contextlib.contextmanager
def _nursery():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(_parent(), [b"x"], [theirs.fileno()])
        yield ours


@cache
def _parent():
    """A line to the process that forks, which is started when it is first needed."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", _FORKING, str(theirs.fileno())]
    process = subprocess.Popen(command, env=ENVIRONMENT, pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)  # what it ends by
    return ours


def fork_for(line):
    """Fork a child for each request; the process between waits for it and tells its pid and how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is pytest's
    parent = socket.socket(fileno=line)
    while True:
        data, lines, _, _ = socket.recv_fds(parent, 1, 1)
        if not data:
            return
        asked = socket.socket(fileno=lines[0])
        size, files, _, _ = socket.recv_fds(asked, 8, 4)
        script, arguments, env = json.loads(_all(asked, int.from_bytes(size)))
        asked.close()
        if os.fork() == 0:
            parent.close()
            _watch(script, arguments, env, files)
        for one in files:
            os.close(one)
        with contextlib.suppress(ChildProcessError):  # those that have ended meanwhile
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _watch(script, arguments, env, files):
    *standard, status = files
    pid = os.fork()
    if pid == 0:
        os.close(status)
        for number, one in enumerate(standard):
            os.dup2(one, number)
            os.close(one)
        _run(script, arguments, env)
    for one in standard:
        os.close(one)
    os.write(status, f"{pid}\n".encode())
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        os.write(status, f"{ended}\n".encode())
    os._exit(0)


def _run(script, arguments, env):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(env)
    sys.argv = ["-c", *arguments]
    code = 1
    try:
        exec(compile(script, "<string>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except BaseException:  # noqa: BLE001  (as the interpreter does)
        sys.excepthook(*sys.exc_info())
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _all(line, size):
    read = b""
    while len(read) < size:
        read += line.recv(size - len(read))
    return read
