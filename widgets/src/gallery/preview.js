/** The larger image over the wall, on which examples are marked. */

import { button, h, spring } from "../shared/dom.js";
import { ICONS } from "../shared/icons.js";
import { blobOf } from "../shared/messages.js";
import { Drawer } from "./drawer.js";
import { fitInto, overlay } from "./marks.js";
import { HOW_TO_DRAW, WORDS, facts } from "./words.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Entry} Entry */
/** @typedef {import("./types.js").Mode} Mode */
/** @typedef {import("./types.js").Tool} Tool */

const MARGIN = 32; // CSS pixels around the picture, both sides together

/**
 * @typedef {object} Actions
 * @property {(command: string) => void} run a command of the keyboard
 * @property {(key: string) => void} step to another image
 * @property {(id: string, box: Box) => void} box one was drawn
 * @property {(id: string, painting: import("./drawer.js").Painting) => void} painting one was made
 * @property {(text: string) => void} say something to screen readers
 */

export class Preview {
  /** Of the image that is shown, "" for none. */
  id = "";
  #url = "";

  /** @param {Actions} actions */
  constructor(actions) {
    this.ui = buildPreview(actions);
    this.pane = this.ui.pane;
    this.drawer = new Drawer(this.ui.picture, {
      box: (box) => actions.box(this.id, box),
      painting: (painting) => actions.painting(this.id, painting),
      say: actions.say,
    });
    this.ui.image.addEventListener("load", () => this.place());
  }

  /** @param {import("../shared/dom.js").Lifetime} lifetime */
  start(lifetime) {
    const onPointer = (/** @type {PointerEvent} */ event) => {
      if (this.drawer.onPointer(event)) this.setTool("");
    };
    for (const type of /** @type {const} */ (["pointerdown", "pointermove", "pointerup", "pointercancel"])) {
      lifetime.listen(this.ui.picture, type, onPointer);
    }
    lifetime.add(() => URL.revokeObjectURL(this.#url));
  }

  get open() {
    return !this.pane.hidden;
  }

  get tool() {
    return this.drawer.tool;
  }

  /**
   * Shows an image; its thumbnail stands in until it has arrived.
   * @param {string} id
   * @param {string} thumbnail
   * @returns {boolean} whether it is another one than before, which then has to be asked for
   */
  show(id, thumbnail) {
    // What was painted is not lost by going on to another image.
    if (this.tool === "brush" && this.open) this.drawer.use();
    this.pane.hidden = false;
    if (id === this.id) return false;
    this.id = id;
    this.#load("");
    this.ui.image.src = thumbnail;
    return true;
  }

  close() {
    this.pane.hidden = true;
    this.id = "";
  }

  /**
   * @param {string} id
   * @param {DataView} buffer the encoded image; empty where it cannot be read
   */
  onPicture(id, buffer) {
    if (id !== this.id) return;
    if (buffer.byteLength === 0) this.ui.hint.textContent = "This image cannot be read.";
    else this.#load(URL.createObjectURL(blobOf(buffer)));
  }

  /** @param {Tool} tool */
  setTool(tool) {
    const { box, brush, hint, use } = this.ui;
    this.drawer.start(tool);
    this.pane.classList.toggle("ra-drawing", tool !== "");
    box.setAttribute("aria-pressed", String(tool === "box"));
    brush.setAttribute("aria-pressed", String(tool === "brush"));
    use.hidden = tool === "";
    hint.textContent = HOW_TO_DRAW[tool];
  }

  /** Fits the picture into its part of the panel. */
  place() {
    const { image, picture, stage } = this.ui;
    const { naturalWidth, naturalHeight } = image;
    const box = stage.getBoundingClientRect();
    if (!naturalWidth || box.width < 40) return;
    const size = fitInto(naturalWidth, naturalHeight, box.width - MARGIN, box.height - MARGIN);
    picture.style.width = `${size.width}px`;
    picture.style.height = `${size.height}px`;
    this.drawer.fit();
  }

  /**
   * Says what is known of the image.
   * @param {Entry} entry
   * @param {Mode} mode
   * @param {ImageData | null} heat
   */
  fill(entry, mode, heat) {
    const { keep, layer, less, list, more, name } = this.ui;
    overlay(layer, entry, heat, mode === "prune");
    this.pane.classList.toggle("ra-dropped", !entry.kept);
    name.textContent = entry.label;
    list.replaceChildren(...facts(entry, mode).flatMap(([fact, value]) => [h("dt", {}, fact), h("dd", {}, value)]));
    /** @type {HTMLElement} */ (keep.firstChild).textContent = entry.kept ? WORDS[mode].drop : WORDS[mode].keep;
    for (const node of [keep, more, less]) node.hidden = mode === "browse";
    more.setAttribute("aria-pressed", String(entry.feedback > 0));
    less.setAttribute("aria-pressed", String(entry.feedback < 0));
  }

  /** @param {string} url of the image itself, "" for none */
  #load(url) {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = url;
    if (url) this.ui.image.src = url;
  }
}

/** @param {Actions} actions */
function buildPreview({ run, step }) {
  const image = h("img", { alt: "", draggable: "false" });
  const layer = h("div", { class: "ra-layer" });
  const picture = h("div", { class: "ra-picture" }, image, layer);
  const stage = h("div", { class: "ra-preview-stage" }, picture);
  const name = h("div", { class: "ra-preview-name" });
  const list = h("dl", { class: "ra-facts" });
  const keep = button("Keep or drop", () => run("toggle"), { text: "Drop", key: "X", kind: "ra-plain" });
  const more = button("More like this", () => run("more"), { text: "More like this", key: "+", kind: "ra-plain" });
  const less = button("Less like this", () => run("less"), { text: "Less like this", key: "−", kind: "ra-plain" });
  const box = button("Draw a box around an example", () => run("box"), { text: "Draw a box", key: "E", kind: "ra-plain" });
  const brush = button("Paint an example", () => run("brush"), { text: "Paint", key: "P", kind: "ra-plain" });
  const use = button("Use it as an example", () => run("use"), { text: "Use it", key: "Enter", kind: "ra-plain ra-primary" });
  const hint = h("p", { class: "ra-hint" });
  const top = h(
    "div",
    { class: "ra-side-top" },
    button("Previous image", () => step("ArrowLeft"), { icon: ICONS.left, key: "←" }),
    button("Next image", () => step("ArrowRight"), { icon: ICONS.right, key: "→" }),
    spring(),
    button("Close", () => run("close"), { icon: ICONS.close, key: "Esc" }),
  );
  const side = h("div", { class: "ra-side" }, top, name, list, keep, more, less, box, brush, use, hint);
  const pane = h("div", { class: "ra-preview", role: "dialog", "aria-label": "Larger image", tabindex: "-1", hidden: "" }, stage, side);
  return { pane, stage, picture, image, layer, name, list, keep, more, less, box, brush, use, hint };
}
