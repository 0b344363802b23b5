/** Marking one example on the larger image, as a box or with a brush, by pointer or by keyboard. */

import { h } from "../shared/dom.js";
import { keyOf } from "../shared/keys.js";
import { fitInto, placeBox } from "./marks.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Tool} Tool */
/** @typedef {{width: number, height: number, bits: Uint8Array}} Painting */

const PAINTING = 512; // cells of the longer side
const UNDOABLE = 50;

/** @param {number} value @param {number} [low] @param {number} [high] */
function clamp(value, low = 0, high = 1) {
  return Math.min(high, Math.max(low, value));
}

/**
 * How far an arrow key leads.
 * @param {string} key
 * @param {number} step
 */
function arrow(key, step) {
  return {
    dx: { ArrowLeft: -step, ArrowRight: step }[key] ?? 0,
    dy: { ArrowUp: -step, ArrowDown: step }[key] ?? 0,
  };
}

/**
 * The box between two points of a drag, or null if it is too small to mean anything.
 * @param {Point} a
 * @param {Point} b
 * @returns {Box | null}
 */
export function boxFromDrag(a, b) {
  const [x0, x1] = [clamp(Math.min(a.x, b.x)), clamp(Math.max(a.x, b.x))];
  const [y0, y1] = [clamp(Math.min(a.y, b.y)), clamp(Math.max(a.y, b.y))];
  return x1 - x0 < 0.01 || y1 - y0 < 0.01 ? null : [x0, y0, x1 - x0, y1 - y0];
}

/**
 * A box after an arrow key moved it, or moved its right or lower edge, or after [ or ] scaled it.
 * @param {Box} box
 * @param {string} key
 * @param {boolean} resize
 * @returns {Box}
 */
export function nudgeBox([x, y, width, height], key, resize) {
  const step = 0.02;
  const { dx, dy } = arrow(key, step);
  const grow = { "[": -step, "]": step }[key] ?? 0;
  const w = clamp(width + grow + (resize ? dx : 0), step, 1);
  const h = clamp(height + grow + (resize ? dy : 0), step, 1);
  const move = resize ? [0, 0] : [dx, dy];
  return [clamp(x - grow / 2 + move[0], 0, 1 - w), clamp(y - grow / 2 + move[1], 0, 1 - h), w, h];
}

/**
 * One bit a cell, the first in the highest bit, of what is more than half opaque.
 * @param {Uint8ClampedArray} pixels RGBA
 */
export function packPainting(pixels) {
  const count = pixels.length / 4;
  const bits = new Uint8Array(Math.ceil(count / 8));
  for (let cell = 0; cell < count; cell += 1) if (pixels[cell * 4 + 3] > 127) bits[cell >> 3] |= 128 >> (cell & 7);
  return bits;
}

export class Drawer {
  /**
   * @param {HTMLElement} picture
   * @param {{box: (box: Box) => void, painting: (painting: Painting) => void, say: (text: string) => void}} report
   */
  constructor(picture, report) {
    this.picture = picture;
    this.report = report;
    /** @type {Tool} */ this.tool = "";
    /** @type {Box | null} */ this.box = null;
    /** @type {Point | null} where a drag began or came to, in 0..1 */ this.from = null;
    this.cursor = { x: 0.5, y: 0.5 };
    this.size = 0.1; // diameter of the brush, part of the longer side
    this.erasing = false;
    this.down = false; // the pen of the keyboard
    /** @type {ImageData[]} */ this.past = [];
    this.rubber = h("span", { class: "ra-rubber", hidden: "" });
    this.canvas = h("canvas", { class: "ra-painting", hidden: "" });
    this.ring = h("span", { class: "ra-ring", hidden: "" });
    picture.append(this.rubber, this.canvas, this.ring);
  }

  /**
   * Begins anew with a tool, or with none.
   * @param {Tool} tool
   */
  start(tool) {
    this.tool = tool;
    this.box = null;
    this.from = null;
    this.erasing = false;
    this.down = false;
    this.past = [];
    this.cursor = { x: 0.5, y: 0.5 };
    this.canvas.hidden = tool !== "brush";
    this.fit();
  }

  /**
   * The picture has the aspect of its image now. So has the painting, or its brush would be an ellipse; what is
   * painted already stays as it is, and lies over the picture.
   */
  fit() {
    if (this.past.length === 0) {
      const { clientWidth: width, clientHeight: height } = this.picture;
      const size = fitInto(Math.max(1, width), Math.max(1, height), PAINTING, PAINTING);
      this.canvas.width = size.width;
      this.canvas.height = size.height;
    }
    this.show();
  }

  show() {
    this.rubber.hidden = !this.box;
    if (this.box) placeBox(this.rubber, this.box);
    this.ring.hidden = this.tool !== "brush";
    const side = this.size * Math.max(this.picture.clientWidth, this.picture.clientHeight);
    this.ring.style.width = this.ring.style.height = `${side}px`;
    this.ring.style.margin = `${-side / 2}px`;
    this.ring.style.left = `${this.cursor.x * 100}%`;
    this.ring.style.top = `${this.cursor.y * 100}%`;
    this.ring.classList.toggle("ra-erasing", this.erasing);
    this.ring.classList.toggle("ra-down", this.down);
  }

  /** Reports what was drawn; false where that is nothing. */
  use() {
    if (this.tool === "box" && this.box) {
      this.report.box(this.box);
    } else if (this.tool === "brush") {
      const { width, height } = this.canvas;
      const bits = packPainting(this.#context().getImageData(0, 0, width, height).data);
      if (bits.every((byte) => byte === 0)) return false;
      this.report.painting({ width, height, bits });
    } else return false;
    this.report.say("Example taken");
    return true;
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} whether the key was for drawing
   */
  onKey(event) {
    const key = keyOf(event);
    const undo = key === "z" && !event.shiftKey && !event.altKey;
    if (this.tool === "" || ((event.ctrlKey || event.metaKey || event.altKey) && !undo)) return false;
    const used = this.tool === "box" ? this.#onBoxKey(key, event.shiftKey) : this.#onBrushKey(key, event.shiftKey, undo);
    if (used) this.show();
    return used;
  }

  /**
   * @param {PointerEvent} event
   * @returns {boolean} whether a box was finished by it
   */
  onPointer(event) {
    if (this.tool === "") return false;
    const frame = this.picture.getBoundingClientRect();
    const at = { x: (event.clientX - frame.left) / frame.width, y: (event.clientY - frame.top) / frame.height };
    if (event.type === "pointerdown") {
      event.preventDefault();
      this.picture.setPointerCapture(event.pointerId);
      this.down = false;
      if (this.tool === "brush") this.#remember();
    }
    const done = this.tool === "box" ? this.#onBoxPointer(event.type, at) : this.#onBrushPointer(event.type, at);
    this.show();
    return done;
  }

  // -- box

  /**
   * @param {string} key
   * @param {boolean} resize
   */
  #onBoxKey(key, resize) {
    if (!key.startsWith("Arrow") && key !== "[" && key !== "]") return false;
    this.box = this.box ? nudgeBox(this.box, key, resize) : [0.3, 0.3, 0.4, 0.4];
    const [x, y, width, height] = this.box.map((value) => `${Math.round(value * 100)} %`);
    this.report.say(`Box at ${x}, ${y}, ${width} wide, ${height} high`);
    return true;
  }

  /**
   * @param {string} type
   * @param {Point} at
   */
  #onBoxPointer(type, at) {
    if (type === "pointerdown") this.from = at;
    if (this.from) this.box = type === "pointercancel" ? null : boxFromDrag(this.from, at);
    if (type !== "pointerup" && type !== "pointercancel") return false;
    this.from = null;
    return this.use();
  }

  // -- brush

  /**
   * @param {string} key
   * @param {boolean} far
   * @param {boolean} undo
   */
  #onBrushKey(key, far, undo) {
    if (key.startsWith("Arrow")) this.#travel(key, far ? 0.08 : 0.02);
    else if (key === " ") this.#dip();
    else if (key === "x") this.erasing = !this.erasing;
    else if (key === "[") this.size = Math.max(0.01, this.size / 1.25);
    else if (key === "]") this.size = Math.min(0.6, this.size * 1.25);
    else if (undo) this.#undo();
    else return false;
    return true;
  }

  /**
   * @param {string} type
   * @param {Point} at
   */
  #onBrushPointer(type, at) {
    this.cursor = at;
    if (type === "pointerdown" || this.from) this.#paint(this.from ?? at, at);
    this.from = type === "pointerdown" || (this.from && type === "pointermove") ? at : null;
    return false;
  }

  /**
   * @param {string} key
   * @param {number} step
   */
  #travel(key, step) {
    const { dx, dy } = arrow(key, step);
    const to = { x: clamp(this.cursor.x + dx), y: clamp(this.cursor.y + dy) };
    if (this.down) this.#paint(this.cursor, to);
    this.cursor = to;
  }

  #dip() {
    this.down = !this.down;
    if (this.down) {
      this.#remember();
      this.#paint(this.cursor, this.cursor);
    }
    this.report.say(this.down ? "Brush down" : "Brush up");
  }

  #undo() {
    const last = this.past.pop();
    if (last) this.#context().putImageData(last, 0, 0);
    this.down = false;
  }

  #context() {
    return /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { willReadFrequently: true }));
  }

  #remember() {
    this.past.push(this.#context().getImageData(0, 0, this.canvas.width, this.canvas.height));
    if (this.past.length > UNDOABLE) this.past.shift();
  }

  /**
   * Paints, or erases, from one point to another, both in 0..1.
   * @param {Point} a
   * @param {Point} b
   */
  #paint(a, b) {
    const context = this.#context();
    const { width, height } = this.canvas;
    context.globalCompositeOperation = this.erasing ? "destination-out" : "source-over";
    context.strokeStyle = "#ff9f1c";
    context.lineCap = "round";
    context.lineWidth = this.size * Math.max(width, height);
    context.beginPath();
    context.moveTo(a.x * width, a.y * height);
    // A line of no length is not drawn, and a dab is one.
    context.lineTo(b.x * width + (a.x === b.x && a.y === b.y ? 0.01 : 0), b.y * height);
    context.stroke();
  }
}
