"""A real JupyterLab or Notebook 7 with a real kernel in a real browser, for the tests that need one."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Event, Thread

import httpx

ARTEFACTS = Path(__file__).parents[1] / "test-artifacts"
_TOKEN = "browser-tests"
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Nothing moves any more: fonts and pictures are there, and no transition runs (spinners turn forever).
_SETTLED = """() => document.fonts.status === 'loaded'
  && ![...document.querySelectorAll('.ra-annotator .ra-loading')].some((one) => one.offsetParent)
  && document.getAnimations().every((one) =>
    one.playState !== 'running' || one.effect?.getComputedTiming().iterations === Infinity)
  && [...document.querySelectorAll('.ra-annotator img[src]')].every((one) => one.complete)"""


@cache
def chromium():
    """Path of a Chromium: what CHROMIUM names, the system's or Playwright's own; None without one."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        own = play.chromium.executable_path
    return own if Path(own).is_file() else None


class Lab:
    """JupyterLab, or Notebook 7, on a free port, in folders of its own."""

    def __init__(self, folder, *, dark=False, app="lab"):
        self.folder = folder
        self.dark = dark
        self.app = app
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def __enter__(self):
        config = self.folder / "config"
        (config / "labconfig").mkdir(parents=True, exist_ok=True)
        quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
        (config / "labconfig" / "page_config.json").write_text(json.dumps(quiet))
        themes = config / "settings" / "@jupyterlab" / "apputils-extension"
        themes.mkdir(parents=True, exist_ok=True)
        theme = "JupyterLab Dark" if self.dark else "JupyterLab Light"
        (themes / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(config),
            "JUPYTERLAB_SETTINGS_DIR": str(config / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(config / "workspaces"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
        }
        module = {"lab": "jupyterlab", "notebook": "notebook"}[self.app]
        command = [sys.executable, "-m", module, "--no-browser", "--allow-root", "--port-retries=0"]
        command += [f"--ServerApp.port={self.port}", f"--IdentityProvider.token={_TOKEN}"]
        command += [f"--ServerApp.root_dir={self.folder}"]
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        heard = Event()
        self._listener = Thread(target=self._listen, args=(heard,))
        self._listener.start()
        try:
            heard.wait(120)
            # It says so just before it listens.
            with httpx.Client(transport=httpx.HTTPTransport(retries=6)) as client:
                client.get(f"http://127.0.0.1:{self.port}/api")
        except httpx.TransportError:
            self.__exit__()
            raise AssertionError((self.folder / "lab.log").read_text()[-3000:]) from None
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._listener.join(20)

    def _listen(self, heard):
        """Keep what the server says, until its end; set `heard` once it says that it runs, or ends."""
        with (self.folder / "lab.log").open("w") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                if "is running at" in line:
                    heard.set()
        heard.set()

    def api(self, path, data=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}?token={_TOKEN}",
            data=None if data is None else json.dumps(data).encode(),
            method="GET" if data is None else "POST",
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def notebook(self, name, cells):
        """Write a notebook and start its kernel, so that Lab asks for none; returns its address."""
        empty = {"metadata": {}, "outputs": [], "execution_count": None}
        made = [
            {"cell_type": "code", "source": source, "id": f"c{number}", **empty}
            for number, source in enumerate(cells)
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        document = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        (self.folder / name).write_text(json.dumps(document))
        self.api("sessions", {"path": name, "type": "notebook", "name": "", "kernel": {"name": "python3"}})
        place = {"lab": f"lab/tree/{name}?reset&", "notebook": f"notebooks/{name}?"}[self.app]
        return f"http://127.0.0.1:{self.port}/{place}token={_TOKEN}"

    def kernel_process(self):
        """Process id of the kernel, to be killed."""
        [session] = self.api("sessions")
        kernel = session["kernel"]["id"]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if kernel in (entry / "cmdline").read_bytes().decode(errors="replace"):
                        return int(entry.name)
                except OSError:
                    continue
        raise AssertionError("the kernel's process was not found")


@contextmanager
def visited(address, *, dark=False, width=1440, height=1180, scale=1, touch=False):
    """A page in Chromium. Its problems and requests are noted in `page.problems` and `page.requests`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            device_scale_factor=scale,
            has_touch=touch,
        )
        page = context.new_page()
        # Long, because other work may share the machine; nothing waits for it where things go well.
        page.set_default_timeout(120_000)
        page.problems, page.requests = [], []
        page.on("pageerror", lambda error: page.problems.append(error.stack or str(error)))
        page.on("dialog", lambda dialog: _answer(page, dialog))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(address)
        try:
            yield page
        except BaseException:
            shoot(page, "failure")
            raise
        finally:
            browser.close()


def _answer(page, dialog):
    if dialog.type == "beforeunload":  # the notebook is not saved; whoever leaves it means it
        dialog.accept()
    else:
        page.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def opened(address, **look):
    """A page on a notebook, ready to run; the look is that of `visited`."""
    with visited(address, **look) as page:
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.locator(".jp-NotebookPanel-toolbar").wait_for()
        idle(page)
        if page.locator(".jp-FileBrowser:visible").count():
            # The file browser takes room that a curator would give to the pictures.
            page.keyboard.press("Control+b")
        yield page


def run_all(page):
    """Run every cell of the notebook, and wait for the panel.

    A page on a busy machine may ask for a kernel although one runs, or run cells before it listens to
    widgets; a person would answer, or run the cell again, and so does this.
    """
    from playwright.sync_api import TimeoutError as Late

    # Whenever it asks: also between a look and a click, which would wait behind the dialog for ever.
    select = page.locator(".jp-Dialog", has_text="Select Kernel").locator(".jp-mod-accept")
    page.add_locator_handler(select, lambda button: button.click())
    for seconds in (45, 90, 180):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        try:
            page.locator(".ra-annotator .ra-stepper").first.wait_for(timeout=seconds * 1000)
        except Late:
            continue
        return
    raise AssertionError("the notebook shows no panel")


def idle(page):
    """Wait until the kernel has nothing to do."""
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(state="attached")
    if page.locator("#jp-main-statusbar").is_visible():  # Notebook 7 has none
        page.get_by_text("| Idle").first.wait_for()


def until(page, condition, seconds=60):
    """Wait until a condition of the test's own holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        page.wait_for_timeout(50)


def settle(page):
    """Wait until the page shows what it is going to show: kernel idle, pictures there, nothing moving."""
    idle(page)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_function(_SETTLED)


def shoot(page, name, *, of=None):
    """Keep a picture for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    target = page if of is None else page.locator(of)
    target.screenshot(path=ARTEFACTS / f"{name}.png", scale="css")
