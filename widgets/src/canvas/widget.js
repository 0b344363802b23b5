/** The canvas as a whole: its DOM, its wiring, and the image that is shown. */

import { Commands } from "./commands.js";
import { ConceptRow } from "./concepts.js";
import { unpackFrame } from "./frame.js";
import { LEGEND } from "./keys.js";
import { Layers } from "./layers.js";
import { Painter } from "./paint.js";
import { buildPanel } from "./panel.js";
import { Pointers } from "./pointer.js";
import { brushOf, showStatus } from "./status.js";
import { positionText } from "./timeline.js";
import { Viewport } from "./view.js";
import { Lifetime } from "../shared/dom.js";
import { Legend } from "../shared/legend.js";
import { bytesOf, receive, save, watch } from "../shared/messages.js";
import { PATIENCE, waitingText } from "../shared/words.js";

/** @typedef {import("./types.js").FromKernel} FromKernel */
/** @typedef {import("./types.js").Header} Header */
/** @typedef {import("./types.js").Layer} Layer */
/** @typedef {import("./types.js").Model} Model */
/** @typedef {import("./types.js").Tool} Tool */
/** @typedef {import("./types.js").ToKernel} ToKernel */
/** @typedef {import("./types.js").Traits} Traits */

/** The widget's view: owns the DOM and the visible frame. */
export class MaskCanvas {
  /** @param {Model} model */
  constructor(model) {
    const run = (/** @type {string} */ command) => this.commands.run(command);
    this.model = model;
    this.lifetime = new Lifetime();
    this.legend = new Legend(LEGEND, () => run("close"));
    this.ui = buildPanel(run, this.legend.node);
    /** @type {Header | null} */ this.header = null;
    /** @type {Layers | null} */ this.layers = null;
    /** @type {ConceptRow[]} */ this.rows = [];
    /** @type {ImageBitmap | null} */ this.bitmap = null;
    /** @type {Tool} */ this.tool = "move";
    const screen = () => ({ width: this.ui.stage.clientWidth, height: this.ui.stage.clientHeight });
    this.painter = new Painter(this.ui.image, this.ui.masks, screen, () => this.scene());
    this.viewport = new Viewport(screen, () => {
      this.ui.zoom.textContent = `${Math.round(this.viewport.view.scale * 100)} %`;
      this.painter.redraw("image");
    });
    this.pointers = new Pointers(this.ui.stage, this.ui.pointer, this);
    this.commands = new Commands(this);
    this.hidden = false;
    this.loading = 0;
    this.received = false;
    this.since = performance.now();
    this.patience = 0;
  }

  start() {
    const { lifetime, model, ui } = this;
    lifetime.listen(ui.brush, "input", () => save(model, "brush", brushOf(Number(ui.brush.value))));
    lifetime.listen(ui.opacity, "input", () => save(model, "opacity", Number(ui.opacity.value) / 100));
    lifetime.onResize(() => this.onResize(), ui.stage);
    this.pointers.start(lifetime);
    this.commands.start(lifetime);
    this.listen();
    this.showHeight();
    this.setTool("move");
    this.refresh();
    this.send({ type: "ready" });
    this.patience = window.setTimeout(() => this.refresh(), PATIENCE);
  }

  listen() {
    /** @type {typeof receive<FromKernel>} */ (receive)(this.lifetime, this.model, {
      frame: (header, buffers) => void this.onFrame(header, buffers),
      empty: () => this.clear(),
      place: ({ id, index }) => this.place(id, index),
      // It may only just be shown again: what is hidden takes no focus.
      focus: () => requestAnimationFrame(() => this.ui.stage.focus({ preventScroll: true })),
    });
    const refresh = () => this.refresh();
    const repaint = () => {
      this.painter.redraw("masks");
      this.refresh();
    };
    /** @type {typeof watch<Traits>} */ (watch)(this.lifetime, this.model, {
      active: () => this.follow(),
      timeline: refresh,
      status: refresh,
      error: refresh,
      busy: refresh,
      opacity: repaint,
      outline: repaint,
      brush: refresh,
      height: () => this.showHeight(),
    });
  }

  dispose() {
    this.layers?.rest();
    this.painter.end();
    clearTimeout(this.patience);
    this.lifetime.end();
    this.loading += 1;
    this.bitmap?.close();
    this.ui.root.remove();
  }

  /**
   * @param {ToKernel} message
   * @param {Uint8Array[]} [buffers]
   */
  send(message, buffers) {
    this.model.send(message, undefined, buffers);
  }

  // -- what the kernel says

  /**
   * The shown image has another position now: the queue was sorted anew.
   * @param {string} id
   * @param {number} index
   */
  place(id, index) {
    if (this.header?.id !== id) return;
    this.header.index = index;
    this.refresh();
  }

  clear() {
    this.loading += 1;
    this.received = true;
    this.show(null, null, null);
    this.refresh();
  }

  /**
   * @param {Header} header
   * @param {DataView[]} buffers
   */
  async onFrame(header, buffers) {
    this.loading += 1;
    const ticket = this.loading;
    this.received = true;
    this.ui.root.classList.add("ra-loading");
    const { bitmap, maps, edits } = await unpackFrame(header.concepts.length, buffers);
    if (ticket !== this.loading) {
      bitmap?.close();
      return;
    }
    this.layers?.rest();
    const sameImage = this.header?.id === header.id;
    const layers = new Layers(header, maps, edits, this.report(header));
    layers.active = Math.max(0, layers.named(this.model.get("active")));
    this.show(header, layers, bitmap);
    if (!sameImage) this.viewport.fit();
    this.refresh();
    this.say(`${header.label}, ${positionText(this.timeline, header.index)}`);
  }

  /**
   * Puts an image on the screen, or takes it away.
   * @param {Header | null} header
   * @param {Layers | null} layers
   * @param {ImageBitmap | null} bitmap
   */
  show(header, layers, bitmap) {
    this.bitmap?.close();
    this.header = header;
    this.layers = layers;
    this.bitmap = bitmap;
    this.viewport.lookAt(header);
    this.rows = layers ? layers.all.map((layer, index) => this.rowFor(layers, layer, index)) : [];
    this.ui.concepts.replaceChildren(...this.rows.map((row) => row.node));
    this.ui.root.classList.remove("ra-loading");
    this.commands.settle();
    this.painter.redraw("image");
  }

  /**
   * @param {Layers} layers
   * @param {Layer} layer
   * @param {number} index
   */
  rowFor(layers, layer, index) {
    return new ConceptRow(layer, index, {
      choose: () => this.choose(index),
      slide: (value) => layers.slide(index, value),
      rest: () => layers.rest(),
    });
  }

  /**
   * Whom an image's layers tell what is done to them.
   * @param {Header} header
   * @returns {import("./layers.js").Report}
   */
  report({ id }) {
    return {
      threshold: (concept, value) => this.send({ type: "threshold", id, concept, value }),
      edit: (concept, rect, packed) => this.send({ type: "edit", id, concept, rect }, [packed]),
      moved: (concept) => {
        this.rows[concept].show(concept === this.layers?.active);
        this.painter.redraw("masks");
      },
      painted: () => this.painter.redraw("masks"),
      changed: () => {
        this.painter.redraw("masks");
        this.refresh();
      },
      tell: (text) => this.tell(text),
    };
  }

  // -- what is shown

  get timeline() {
    const value = this.model.get("timeline");
    return value ? bytesOf(value) : new Uint8Array();
  }

  get brush() {
    return this.model.get("brush");
  }

  /** @returns {import("./paint.js").Scene | null} */
  scene() {
    if (!this.header || !this.layers) return null;
    return {
      bitmap: this.bitmap,
      grid: this.header,
      view: this.viewport.view,
      layers: this.hidden ? [] : this.layers.stacked.filter((layer) => !layer.concept.absent),
      opacity: this.model.get("outline") ? 0 : this.model.get("opacity"),
    };
  }

  refresh() {
    const { header, layers, model, timeline } = this;
    showStatus(this.ui, { header, model, timeline, waiting: this.commands.waiting, note: this.note });
    this.rows.forEach((row, index) => row.show(index === layers?.active));
  }

  showHeight() {
    this.ui.main.style.setProperty("--ra-height", `${this.model.get("height")}px`);
    this.refresh();
  }

  get note() {
    if (this.header) return this.bitmap ? "" : "This image cannot be shown; its masks still can.";
    const { model, received, since } = this;
    return waitingText({ busy: model.get("busy"), status: model.get("status"), received, since }) || "No image to review yet.";
  }

  /** @param {string} text for screen readers */
  say(text) {
    this.ui.live.textContent = text;
  }

  /** @param {string} text */
  tell(text) {
    this.ui.status.textContent = text;
    this.say(text);
  }

  onResize() {
    this.viewport.resize();
    this.painter.redraw("image");
    this.refresh();
  }

  // -- what is chosen

  /** @param {Tool} tool */
  setTool(tool) {
    this.tool = tool;
    this.ui.stage.dataset.tool = tool;
    for (const node of this.ui.tools.querySelectorAll("button")) {
      if (node.dataset.tool) node.setAttribute("aria-pressed", String(node.dataset.tool === tool));
    }
    if (tool === "move" || tool === "fill") this.pointers.hideRing();
  }

  /** @param {boolean} hidden masks */
  hide(hidden) {
    if (hidden === this.hidden) return;
    this.hidden = hidden;
    this.painter.redraw("masks");
  }

  /** @param {number} index of a concept */
  choose(index) {
    if (!this.layers?.all[index]) return;
    this.activate(index);
    save(this.model, "active", this.layers.current.concept.name);
    this.say(this.layers.current.concept.name);
  }

  /** Another part of the panel, or another view of the image, chose a concept. */
  follow() {
    const index = this.layers?.named(this.model.get("active")) ?? -1;
    if (index >= 0 && index !== this.layers?.active) this.activate(index);
  }

  /** @param {number} index of a concept that is there */
  activate(index) {
    const { layers } = this;
    if (!layers) return;
    layers.rest();
    layers.active = index;
    this.painter.redraw("masks");
    this.refresh();
  }
}
