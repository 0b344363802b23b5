/** The gallery as a whole: its DOM, its wiring, and the wall of tiles. */

import { Lifetime } from "../shared/dom.js";
import { Legend } from "../shared/legend.js";
import { receive, save, watch } from "../shared/messages.js";
import { PATIENCE } from "../shared/words.js";
import { Commands } from "./commands.js";
import { GAP, gridFor, visibleRange } from "./grid.js";
import { LEGEND } from "./keys.js";
import { buildPanel, showPanel } from "./panel.js";
import { Pictures } from "./pictures.js";
import { Preview } from "./preview.js";
import { GalleryState } from "./state.js";
import { Tile } from "./tiles.js";

/** @typedef {import("./types.js").Entry} Entry */
/** @typedef {import("./types.js").FromKernel} FromKernel */
/** @typedef {import("./types.js").Model} Model */
/** @typedef {import("./types.js").ToKernel} ToKernel */
/** @typedef {import("./types.js").Traits} Traits */

const SETTLED = 260; // ms until tiles that change places have arrived

/** The widget's view: asks the kernel for what is visible, and tells it what was decided. */
export class Gallery {
  /** @param {Model} model */
  constructor(model) {
    const run = (/** @type {string} */ command) => this.commands.run(command);
    this.model = model;
    this.uid = `ra-${Math.random().toString(36).slice(2, 9)}`;
    this.lifetime = new Lifetime();
    this.state = new GalleryState();
    this.commands = new Commands(this);
    this.legend = new Legend(LEGEND, () => run("close"));
    this.preview = new Preview({
      run,
      step: (key) => this.commands.step(key),
      box: (id, box) => this.send({ type: "exemplar", id, box }),
      painting: (id, { width, height, bits }) => this.send({ type: "painting", id, width, height }, [bits]),
      say: (text) => this.say(text),
    });
    this.ui = buildPanel(
      this.uid,
      {
        run,
        command: (name) => this.send({ type: "command", name }),
        filter: (name) => this.commands.filter(name),
        resize: (size) => save(model, "size", size),
      },
      this.preview.pane,
      this.legend.node,
    );
    this.pictures = new Pictures(
      () => ({ ids: this.inSight, heat: this.heatShown }),
      (thumbs, heats) => this.send({ type: "need", thumbs, heats }),
    );
    /** @type {Map<string, Tile>} */ this.tiles = new Map();
    this.grid = gridFor({ width: 120, height: 120 }, 120, 0);
    this.frame = 0;
    this.since = performance.now();
    this.timers = { settle: 0, patience: 0 };
  }

  start() {
    const { lifetime, ui } = this;
    this.commands.start(lifetime);
    this.preview.start(lifetime);
    lifetime.listen(ui.wall, "scroll", () => this.schedule());
    lifetime.onResize(() => this.layout(), ui.wall, this.preview.ui.stage);
    this.listen();
    this.showSize();
    this.send({ type: "ready" });
    this.timers.patience = window.setTimeout(() => this.refresh(), PATIENCE);
  }

  listen() {
    const { pictures, state } = this;
    /** @type {typeof receive<FromKernel>} */ (receive)(this.lifetime, this.model, {
      rows: ({ rows }) => (state.rows = rows),
      state: (_, buffers) => this.onState(buffers[0]),
      thumbs: ({ ids }, buffers) => {
        pictures.onThumbs(ids, buffers);
        this.schedule();
      },
      heats: ({ ids, shapes }, buffers) => {
        pictures.onHeats(ids, shapes, buffers);
        this.schedule();
      },
      preview: ({ id }, buffers) => this.preview.onPicture(id, buffers[0]),
      ack: ({ token }) => {
        state.acknowledge(token);
        this.update();
      },
      focus: ({ id }) => this.onFocus(id),
    });
    const refresh = () => this.refresh();
    /** @type {typeof watch<Traits>} */ (watch)(this.lifetime, this.model, {
      mode: refresh,
      title: refresh,
      status: refresh,
      error: refresh,
      busy: refresh,
      more: refresh,
      heat: refresh,
      size: () => this.showSize(),
      height: () => this.showSize(),
    });
  }

  dispose() {
    cancelAnimationFrame(this.frame);
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    this.lifetime.end();
    this.pictures.end();
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

  /** @param {DataView} records */
  onState(records) {
    if (this.state.shown.length > 0) this.animate();
    this.state.setRecords(records);
    // Seeds moved, so every heat map is out of date; those in sight are asked for again.
    this.pictures.heats.clear();
    this.update();
  }

  /** @param {string} id */
  onFocus(id) {
    // The wall may only just be shown again: it has no size before the next frame.
    requestAnimationFrame(() => {
      this.ui.wall.focus({ preventScroll: true });
      this.layout();
      const index = this.state.indexOf(id);
      if (index >= 0) this.commands.focusAt(index, false);
    });
  }

  // -- what is shown

  get mode() {
    return this.model.get("mode");
  }

  get heatShown() {
    return this.mode === "prune" && this.model.get("heat");
  }

  /** Images whose pictures are wanted. */
  get inSight() {
    const ids = [...this.tiles.keys()];
    const { focus } = this.state;
    return this.preview.open && focus && !ids.includes(focus) ? [...ids, focus] : ids;
  }

  showSize() {
    this.ui.sizer.value = String(this.model.get("size"));
    this.ui.stage.style.height = `${this.model.get("height")}px`;
    this.update();
  }

  update() {
    this.layout();
    this.refresh();
  }

  refresh() {
    showPanel(this.ui, this.model, this.state, this.since);
    this.schedule();
  }

  animate() {
    this.ui.spacer.classList.add("ra-moving");
    clearTimeout(this.timers.settle);
    this.timers.settle = window.setTimeout(() => this.ui.spacer.classList.remove("ra-moving"), SETTLED);
  }

  layout() {
    const { spacer, wall } = this.ui;
    const [width, count] = [wall.clientWidth - 2 * GAP, this.state.shown.length];
    if (width > 0) {
      this.grid = gridFor({ width, height: wall.clientHeight }, this.model.get("size"), count);
      spacer.style.height = `${Math.ceil(count / this.grid.columns) * this.grid.rowHeight}px`;
    }
    if (this.preview.open) this.preview.place();
    this.schedule();
  }

  schedule() {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    const { shown, focus } = this.state;
    const { wall } = this.ui;
    const { first, last } = visibleRange({ ...this.grid, scrollTop: wall.scrollTop, viewport: wall.clientHeight });
    const wanted = shown.slice(first, last);
    const ids = new Set(wanted.map((entry) => entry.id));
    for (const [id, tile] of this.tiles) {
      if (ids.has(id)) continue;
      tile.node.remove();
      this.tiles.delete(id);
    }
    wanted.forEach((entry, offset) => this.paintTile(entry, first + offset));
    if (focus) wall.setAttribute("aria-activedescendant", `${this.uid}-${focus}`);
    else wall.removeAttribute("aria-activedescendant");
    if (this.preview.open) this.fillPreview();
    this.pictures.want();
  }

  /**
   * @param {Entry} entry
   * @param {number} index
   */
  paintTile(entry, index) {
    let tile = this.tiles.get(entry.id);
    if (!tile) {
      tile = new Tile(`${this.uid}-${entry.id}`);
      this.tiles.set(entry.id, tile);
      this.ui.spacer.append(tile.node);
    }
    const { columns, tile: side, rowHeight } = this.grid;
    tile.place((index % columns) * (side + GAP), Math.floor(index / columns) * rowHeight, side);
    tile.show(entry, {
      mode: this.mode,
      index,
      count: this.state.shown.length,
      url: this.pictures.thumbs.get(entry.id) ?? "",
      unreadable: this.pictures.unreadable.has(entry.id),
      heat: this.heatOf(entry),
      focused: entry.id === this.state.focus,
      selected: this.state.selected.has(entry.id),
    });
  }

  fillPreview() {
    const { entry } = this.state;
    if (entry) this.preview.fill(entry, this.mode, this.heatOf(entry));
    else this.closePreview();
  }

  closePreview() {
    this.preview.close();
    this.ui.wall.focus();
  }

  /** @param {Entry} entry */
  heatOf(entry) {
    return this.heatShown ? (this.pictures.heats.get(entry.id) ?? null) : null;
  }

  /** @param {string} text for screen readers */
  say(text) {
    this.ui.live.textContent = text;
  }
}
