"""A real Label Studio server on loopback, in its own environment, for the tests that need one.

`make test` makes the environment (`.venv-label-studio`). A migrated, empty database is kept in it, so
that only the first start takes its time.
"""

import ipaddress
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

HOME = Path(os.environ.get("LABEL_STUDIO_VENV", Path(__file__).parents[1] / ".venv-label-studio"))
EMAIL, PASSWORD = "tests@localhost.test", "only-for-tests-8"
LEGACY_TOKEN = "0123456789abcdef0123456789abcdef01234567"
_SEED = ("label_studio.sqlite3", ".env")


def missing():
    """Why there is no server here, in a line; empty where there is one."""
    if (HOME / ".ready").is_file():
        return ""
    return f"no Label Studio server: make {HOME.name}/.ready, which needs a package index"


class Server:
    """Label Studio on a free port, or the one that is given, with a data folder of its own."""

    def __init__(self, folder, port=0):
        self.folder = folder
        self.files = folder / "files"  # what local file serving may show
        self.data = folder / "data"
        self.files.mkdir(parents=True)
        self.data.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = LEGACY_TOKEN
        self._process = None
        # Whoever asks for anything off this host is sent here, and seen.
        self._proxy = socket.create_server(("127.0.0.1", 0))
        self._proxy.setblocking(False)

    def __enter__(self):
        seed = HOME / "seed"
        if seed.is_dir():
            for name in _SEED:
                shutil.copy(seed / name, self.data / name)
        self.start()
        if not seed.is_dir():
            self.stop()  # so that the database is whole
            fresh = HOME / f"seed-{os.getpid()}"
            fresh.mkdir()
            for name in _SEED:
                shutil.copy(self.data / name, fresh / name)
            fresh.rename(seed)
            self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self._proxy.close()

    def start(self):
        """Start, or start again, and wait until the server answers."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LABEL_STUDIO")},
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.data),
            "LABEL_STUDIO_USERNAME": EMAIL,
            "LABEL_STUDIO_PASSWORD": PASSWORD,
            "LABEL_STUDIO_USER_TOKEN": LEGACY_TOKEN,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.files),
            "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
            "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
            "LABEL_STUDIO_SENTRY_DSN": "",
            "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
            "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
            "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
            "fflag_feat_utc_210_prediction_validation_15082025": "true",
        }
        proxy = "http://{}:{}".format(*self._proxy.getsockname())
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            environment[name] = environment[name.upper()] = proxy
        environment["no_proxy"] = environment["NO_PROXY"] = "127.0.0.1,localhost"
        environment.pop("PYTHONPATH", None)
        log = self.folder / "server.log"
        command = [str(HOME / "bin" / "label-studio"), "start", "--no-browser"]
        command += ["--internal-host", "127.0.0.1", "--port", str(self.port)]
        if shutil.which("setpriv"):  # Linux ends the server with the tests, also where these are killed
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        with log.open("a") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                    if json.loads(answer.read())["status"] == "UP":
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError(log.read_text()[-3000:])
            time.sleep(0.2)

    def stop(self):
        """Stop the server, as a crash would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def off_host(self):
        """Off this host: requests that ended at our proxy, and addresses that connections are open to now."""
        found = []
        while True:
            try:
                caller, _ = self._proxy.accept()
            except BlockingIOError:
                break
            with caller:
                caller.settimeout(5)
                found.append(caller.recv(200).decode("latin-1"))
        return found, [address for address in self._remotes() if not address.is_loopback]

    def _remotes(self):
        """The other ends of the server's connections, by Linux's own tables."""
        links = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            fields = _read(stat).rpartition(")")[2].split()
            if fields and int(fields[2]) == self._process.pid:  # the process group
                links |= {_target(link) for link in (stat.parent / "fd").iterdir()}
        for table in ("tcp", "tcp6"):
            for line in _read(Path("/proc/net") / table).splitlines()[1:]:
                fields = line.split()
                if fields[3] != "0A" and f"socket:[{fields[9]}]" in links:  # 0A: it only listens
                    yield _address(fields[2].partition(":")[0])

    def client(self):
        """The project's own SDK on this server: what it says is not ours."""
        from label_studio_sdk import LabelStudio

        return LabelStudio(base_url=self.url, api_key=LEGACY_TOKEN)

    def personal_token(self):
        """A personal access token, as the account page gives it out."""
        request = urllib.request.Request(
            f"{self.url}/api/token/",
            data=json.dumps({}).encode(),
            headers={"Authorization": f"Token {LEGACY_TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())["token"]


def _read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def _target(link):
    try:
        return str(link.readlink())
    except OSError:  # closed since
        return ""


def _address(digits):
    """An address of /proc/net/tcp: words of 32 bits, little-endian."""
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return getattr(found, "ipv4_mapped", None) or found


def title(name):
    """A project title that no other test has."""
    return f"{name} {secrets.token_hex(4)}"
