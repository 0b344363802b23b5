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
import { STATES, positionText } from "./timeline.js";
import { Viewport } from "./view.js";
import { Lifetime } from "../shared/dom.js";
import { Legend } from "../shared/legend.js";
import { bytesOf, receive, save, watch } from "../shared/messages.js";
import { PATIENCE, waitingText } from "../shared/words.js";

/** @typedef {import("./types.js").FromKernel} FromKernel */
/** @typedef {import("./types.js").Header} Header */
/** @typedef {import("./types.js").Layer} Layer */
/** @typedef {import("./types.js").Model} Model */
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
    /** @type {import("./types.js").Tool} */ this.tool = "move";
    this.uid = Math.random().toString(36).slice(2, 9);
    this.counter = 0;
    const screen = () => ({ width: this.ui.stage.clientWidth, height: this.ui.stage.clientHeight });
    this.painter = new Painter(this.ui.image, this.ui.masks, screen, () => this.scene());
    this.viewport = new Viewport(screen, () => {
      this.ui.zoom.textContent = `${Math.round(this.viewport.view.scale * 100)} %`;
      this.painter.redraw("image");
    });
    this.pointers = new Pointers(this.ui.stage, this.ui.pointer, this);
    this.commands = new Commands(this);
    this.hidden = false;
    this.notice = ""; // what the curator was told last
    this.loading = 0;
    this.shown = Promise.resolve(); // once the last frame that arrived is on the screen
    this.received = false;
    this.since = performance.now();
    this.patience = 0;
  }

  start() {
    const { lifetime, model, ui } = this;
    lifetime.listen(ui.brush, "input", () => save(model, "brush", brushOf(Number(ui.brush.value))));
    lifetime.listen(ui.opacity, "input", () => save(model, "opacity", Number(ui.opacity.value) / 100));
    lifetime.onResize(() => {
      this.viewport.resize();
      this.painter.redraw("image");
      this.refresh();
    }, ui.stage);
    this.pointers.start(lifetime);
    this.commands.start(lifetime);
    this.listen();
    this.showHeight();
    this.commands.setTool("move");
    this.refresh();
    this.send({ type: "ready" });
    this.patience = window.setTimeout(() => this.refresh(), PATIENCE);
  }

  listen() {
    /** @type {typeof receive<FromKernel>} */ (receive)(this.lifetime, this.model, {
      frame: (header, buffers) => {
        this.shown = this.onFrame(header, buffers).catch((error) => this.tell(`The image cannot be unpacked: ${error}`));
      },
      empty: () => this.clear(),
      answer: ({ token, outcome }) => {
        const ours = token.startsWith(`${this.uid}-`); // and not another view's
        if (ours) void this.shown.then(() => this.commands.answered(token, outcome));
      },
      place: ({ id, index }) => this.place(id, index),
      // It may only just be shown again: what is hidden takes no focus.
      focus: () => requestAnimationFrame(() => this.ui.stage.focus({ preventScroll: true })),
    });
    const refresh = () => this.refresh();
    const repaint = () => this.repaint();
    /** @type {typeof watch<Traits>} */ (watch)(this.lifetime, this.model, {
      active: () => this.commands.follow(),
      timeline: refresh,
      status: refresh,
      error: refresh,
      busy: refresh,
      opacity: repaint,
      outline: repaint,
      windows: repaint,
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
   * @returns {string} the token that its answer will have
   */
  send(message, buffers) {
    this.counter += 1;
    const token = `${this.uid}-${this.counter}`;
    this.model.send({ ...message, token }, undefined, buffers);
    return token;
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
    const ticket = ++this.loading;
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
    this.painter.redraw("image");
  }

  /**
   * @param {Layers} layers
   * @param {Layer} layer
   * @param {number} index
   */
  rowFor(layers, layer, index) {
    return new ConceptRow(layer, index, {
      choose: () => this.commands.run(`concept-${index + 1}`),
      slide: (value) => layers.slide(index, value),
      rest: () => layers.rest(),
    });
  }

  /**
   * Whom an image's layers tell what is done to them.
   * @param {Header} header
   * @returns {import("./layers.js").Report}
   */
  report({ revision, concepts }) {
    return {
      threshold: (index, value) => this.send({ type: "threshold", revision, concept: concepts[index].name, value }),
      edit: (index, rect, packed) => this.send({ type: "edit", revision, concept: concepts[index].name, rect }, [packed]),
      moved: (concept) => {
        this.rows[concept].show(concept === this.layers?.active);
        this.painter.redraw("masks");
      },
      painted: () => this.painter.redraw("masks"),
      changed: () => this.repaint(),
      tell: (text) => this.tell(text),
    };
  }

  // -- what is shown

  get timeline() {
    const value = this.model.get("timeline");
    return value ? bytesOf(value) : new Uint8Array();
  }

  /** What has become of the image. */
  get state() {
    return STATES[this.timeline[this.header?.index ?? -1] ?? 0];
  }

  /** Whether the image may be about to change. */
  get waiting() {
    return this.commands.inputs.waiting;
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
      windows: this.model.get("windows") ? this.layers.current.concept.looks : [],
      opacity: this.model.get("outline") ? 0 : this.model.get("opacity"),
    };
  }

  repaint() {
    this.painter.redraw("masks");
    this.refresh();
  }

  refresh() {
    const { commands, header, layers, model, note, timeline, ui, waiting } = this;
    const state = commands.decided || this.state;
    const status = this.notice || commands.waitingText || model.get("status");
    showStatus(ui, { header, model, timeline, state, status, note });
    ui.root.classList.toggle("ra-waiting", waiting);
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

  /** @param {string} text that stays until something else is done */
  tell(text) {
    this.notice = text;
    this.say(text);
    this.refresh();
  }

  /** @param {boolean} hidden masks */
  hide(hidden) {
    if (hidden === this.hidden) return;
    this.hidden = hidden;
    this.painter.redraw("masks");
  }
}
