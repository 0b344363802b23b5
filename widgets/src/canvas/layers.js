/** The concepts of the image on the screen, as the curator corrects them. */

import { FORCE_OFF, FORCE_ON, cellsOf, crop, force, packCells, paste, unpackCells } from "./cells.js";
import { History } from "./history.js";
import { boundsOf, flood, holes } from "./regions.js";
import { brushSpans, grow } from "./strokes.js";

/** @typedef {import("./types.js").Header} Header */
/** @typedef {import("./types.js").Layer} Layer */
/** @typedef {import("./types.js").Patch} Patch */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Rect} Rect */

/**
 * Whom the layers tell.
 * @typedef {object} Report
 * @property {(concept: number, value: number) => void} threshold one came to rest
 * @property {(concept: number, rect: Rect, packed: Uint8Array) => void} edit cells were changed
 * @property {(concept: number) => void} moved a threshold is shown elsewhere
 * @property {() => void} painted masks look different
 * @property {() => void} changed a change is complete
 * @property {(text: string) => void} tell the curator something
 */

const REST = 400; // ms until a threshold that was moved by keys counts as chosen

export class Layers {
  /** @type {Layer[]} */ all;
  active = 0;
  #header;
  #report;
  #history = new History();
  /** @type {{last: Point, value: number, before: Uint8Array[], rect: Rect | null} | null} */ #stroke = null;
  /** @type {{concept: number, before: number, timer: number | undefined} | null} */ #moving = null;

  /**
   * @param {Header} header
   * @param {Uint8Array[]} maps one per concept
   * @param {Uint8Array[]} edits packed, one per concept
   * @param {Report} report
   */
  constructor(header, maps, edits, report) {
    const count = header.width * header.height;
    this.#header = header;
    this.#report = report;
    this.all = header.concepts.map((concept, index) => ({
      concept,
      threshold: concept.threshold,
      ...cellsOf(maps[index], unpackCells(edits[index], count)),
    }));
  }

  get current() {
    return this.all[this.active];
  }

  /** @param {string} name of a concept; -1 where it is not in the image */
  named(name) {
    return this.all.findIndex((layer) => layer.concept.name === name);
  }

  /** Of every concept, by its name. */
  get thresholds() {
    return Object.fromEntries(this.all.map((layer) => [layer.concept.name, layer.threshold]));
  }

  /** Bottom to top: the chosen concept lies over the others. */
  get stacked() {
    return [...this.all.filter((layer) => layer !== this.current), this.current];
  }

  // -- thresholds

  /**
   * Shows a threshold at once; the kernel hears of it when it comes to rest.
   * @param {number} concept
   * @param {number} value
   */
  slide(concept, value) {
    const layer = this.all[concept];
    if (this.#moving?.concept !== concept) this.rest();
    const moving = this.#moving ?? { concept, before: layer.threshold, timer: undefined };
    this.#moving = moving;
    layer.threshold = Math.min(255, Math.max(1, value));
    this.#report.moved(concept);
    clearTimeout(moving.timer);
    moving.timer = setTimeout(() => this.rest(), REST);
  }

  /** The threshold that was moving is where it should be. */
  rest() {
    const moving = this.#moving;
    this.#moving = null;
    if (!moving) return;
    clearTimeout(moving.timer);
    const { threshold } = this.all[moving.concept];
    if (threshold === moving.before) return;
    this.#history.push({ patches: [], threshold: { concept: moving.concept, before: moving.before, after: threshold } });
    this.#report.threshold(moving.concept, threshold);
  }

  // -- strokes

  get drawing() {
    return this.#stroke !== null;
  }

  /**
   * Puts a brush down on the active concept.
   * @param {Point} at in cells
   * @param {boolean} erase
   * @param {number} brush diameter in cells
   */
  begin(at, erase, brush) {
    this.rest();
    this.#stroke = { last: at, value: erase ? FORCE_OFF : FORCE_ON, before: this.#snapshot(), rect: null };
    this.drawTo(at, brush);
  }

  /**
   * @param {Point} to in cells
   * @param {number} brush diameter in cells
   */
  drawTo(to, brush) {
    const stroke = this.#stroke;
    if (!stroke) return;
    const { width, height } = this.#header;
    const spans = brushSpans(stroke.last, to, brush, width, height);
    for (const [y, first, last] of spans) {
      for (let x = first; x <= last; x += 1) this.#force(y * width + x, stroke.value);
    }
    stroke.last = to;
    stroke.rect = grow(stroke.rect, spans);
    this.#report.painted();
  }

  /** Lifts the brush: the stroke counts. */
  end() {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (stroke) this.#commit(stroke.before, stroke.rect);
  }

  /** Drops a stroke that turned out to be a pinch. */
  cancel() {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (!stroke?.rect) return;
    const { before, rect } = stroke;
    const { width } = this.#header;
    this.all.forEach((layer, index) => paste(layer, width, rect, crop(before[index], width, rect)));
    this.#report.painted();
  }

  // -- regions

  /**
   * Fills the hole that a point is in, or removes the piece that it is on.
   * @param {Point} at in cells
   */
  fill(at) {
    const { width, height } = this.#header;
    const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const { region, count, inside } = flood(this.current.scores, this.current.threshold, width, y * width + x);
    if (!inside && count > region.length / 2) {
      this.#report.tell("That is the background: click inside a hole, or on a piece to remove it.");
      return;
    }
    this.#forceRegion(region, inside ? FORCE_OFF : FORCE_ON);
  }

  fillHoles() {
    const region = holes(this.current.scores, this.current.threshold, this.#header.width);
    if (region.includes(1)) this.#forceRegion(region, FORCE_ON);
    else this.#report.tell("There is no hole to fill.");
  }

  // -- undo

  /**
   * Takes the last change of this image back, or makes it again.
   * @param {"undo" | "redo"} direction
   * @returns {boolean} whether there was one
   */
  travel(direction) {
    this.rest();
    const change = direction === "undo" ? this.#history.undo() : this.#history.redo();
    if (!change) return false;
    const side = direction === "undo" ? "before" : "after";
    for (const { concept, rect, [side]: packed } of change.patches) {
      paste(this.all[concept], this.#header.width, rect, unpackCells(packed, rect[2] * rect[3]));
      this.#report.edit(concept, rect, packed);
    }
    if (change.threshold) {
      const { concept, [side]: value } = change.threshold;
      this.all[concept].threshold = value;
      this.#report.threshold(concept, value);
    }
    this.#report.changed();
    return true;
  }

  /** The strokes of every layer, to tell later what changed. */
  #snapshot() {
    return this.all.map((layer) => layer.edits.slice());
  }

  /**
   * Forces one cell of the active concept in or out.
   * @param {number} cell
   * @param {number} value
   */
  #force(cell, value) {
    force(this.current, cell, value);
    if (!this.#header.exclusive || value !== FORCE_ON) return;
    for (const layer of this.all) {
      if (layer !== this.current && layer.scores[cell] >= layer.threshold) force(layer, cell, FORCE_OFF);
    }
  }

  /**
   * @param {Uint8Array} region 1 where to force
   * @param {number} value
   */
  #forceRegion(region, value) {
    const before = this.#snapshot();
    for (let cell = region.indexOf(1); cell >= 0; cell = region.indexOf(1, cell + 1)) this.#force(cell, value);
    this.#commit(before, boundsOf(region, this.#header.width));
  }

  /**
   * Remembers and reports what changed within a rectangle.
   * @param {Uint8Array[]} before edits of every layer before the change
   * @param {Rect | null} rect
   */
  #commit(before, rect) {
    /** @type {Patch[]} */
    const patches = [];
    if (!rect) return;
    this.all.forEach((layer, concept) => {
      const [was, now] = [before[concept], layer.edits].map((cells) => packCells(crop(cells, this.#header.width, rect)));
      if (was.every((value, index) => value === now[index])) return;
      patches.push({ concept, rect, before: was, after: now });
      this.#report.edit(concept, rect, now);
    });
    if (patches.length > 0) this.#history.push({ patches });
    this.#report.changed();
  }
}
