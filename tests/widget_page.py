"""One widget alone in Chromium: the browser's half is what ships, the kernel's half is the test."""

import base64
from contextlib import contextmanager

from browser import chromium

from reco_assist.ui._assets import asset

_OPEN = """async ([source, css, traits]) => {
  document.head.append(Object.assign(document.createElement('style'), { textContent: css }));
  const widget = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  const listeners = {};
  const emit = (name, ...given) => (listeners[name] ?? []).forEach((listener) => listener(...given));
  window.sent = [];
  window.say = (message, buffers) => emit('msg:custom', message, buffers.map((text) =>
    new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer)));
  window.change = (name, value) => { traits[name] = value; emit(`change:${name}`); };
  widget.default.render({ el: document.body, model: {
    get: (name) => traits[name],
    set: (name, value) => window.change(name, value),
    save_changes: () => {},
    on: (name, listener) => (listeners[name] ??= []).push(listener),
    off: () => {},
    send: (message, _, buffers) => window.sent.push({ ...message, buffers: (buffers ?? []).map((one) =>
      btoa(String.fromCharCode(...one))) }),
  } });
}"""


class WidgetPage:
    """A page with a widget, and what it has sent."""

    def __init__(self, page):
        self.page = page

    def say(self, message, buffers=()):
        """What the kernel says."""
        self.page.evaluate(
            "([message, buffers]) => window.say(message, buffers)",
            [message, [base64.b64encode(bytes(one)).decode() for one in buffers]],
        )

    def change(self, name, value):
        """Another value of a trait."""
        self.page.evaluate("([name, value]) => window.change(name, value)", [name, value])

    def sent(self, kind):
        """Messages of a type so far, their buffers as bytes."""
        found = self.page.evaluate("(kind) => window.sent.filter((one) => one.type === kind)", kind)
        return [{**one, "buffers": [base64.b64decode(buffer) for buffer in one["buffers"]]} for one in found]


@contextmanager
def widget_page(name, widget, size=(1000, 700)):
    """A page with a widget's browser half, its traits as in Python.

    Args:
        name: Of its assets, such as `mask_canvas`.
        widget: An instance, for its traits.
        size: Of the window in CSS pixels.
    """
    from playwright.sync_api import sync_playwright

    traits = {trait: getattr(widget, trait) for trait in widget.keys if not trait.startswith("_")}
    plain = {trait: value for trait, value in traits.items() if isinstance(value, (str, int, float, bool))}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto("about:blank")
        sources = [asset(f"{name}.{kind}").read_text() for kind in ("js", "css")]
        page.evaluate(_OPEN, [*sources, plain])
        yield WidgetPage(page)
        browser.close()
