/**
 * MaskCanvas: one image under the probability maps of its concepts, to threshold, correct and decide.
 *
 * Moving a threshold and painting never ask the kernel: mask = map >= threshold, then the strokes on top, drawn
 * here from the same bytes that are exported. Only what was committed is sent.
 *
 *   browser -> kernel   ready · decision {id, action, concept, thresholds} · navigate {where, index}
 *                       threshold {id, concept, value} · edit {id, concept, rect} [2 bits a cell]
 *                       command {name: undo | redo | grid}
 *   kernel -> browser   frame {id, label, index, width, height, uncertainty, exclusive, concepts}
 *                       [image, a deflated map per concept, deflated packed edits per concept] · empty
 *                       place {id, index} · focus
 *
 * Maps and strokes share the frame's grid of width x height cells, over which the image is stretched. A stroke
 * cell is 0 (as the map says), 1 (forced in) or 2 (forced out).
 *
 * This module has no imports: anywidget loads it from a blob: URL, where relative ones cannot resolve.
 */

/**
 * @typedef {object} Traits
 * @property {DataView} timeline one byte per image of the job, a position in STATES
 * @property {string} status one line about what goes on
 * @property {string} error one sentence about what failed
 * @property {boolean} busy the kernel is at work
 * @property {number} opacity of the mask's fill, 0..1
 * @property {boolean} outline only outlines are drawn
 * @property {number} brush diameter in cells
 * @property {number} height of the image area in CSS pixels
 */

/** @typedef {import("@anywidget/types").AnyModel<Traits>} Model */
/** @typedef {[x: number, y: number, width: number, height: number]} Rect in cells */
/** @typedef {{scale: number, x: number, y: number}} View screen = cell * scale + offset, in CSS pixels */
/** @typedef {"move" | "brush" | "eraser" | "fill"} Tool */
/** @typedef {{name: string, colour: string, threshold: number, presence: number | null, absent: boolean}} Concept */
/** @typedef {{id: string, label: string, index: number, width: number, height: number, uncertainty: number | null, exclusive: boolean, concepts: Concept[]}} Header */
/**
 * @typedef {object} Layer one concept's cells
 * @property {Concept} concept
 * @property {number} threshold as shown
 * @property {Uint8Array} map as the kernel sent it
 * @property {Uint8Array} edits 0, 1 or 2 per cell
 * @property {Uint8Array} scores the map with the strokes burnt in, 255 in and 0 out
 * @property {Uint32Array} histogram of scores
 */
/** @typedef {{concept: number, rect: Rect, before: Uint8Array, after: Uint8Array}} Patch packed cells */
/** @typedef {{patches: Patch[], threshold?: {concept: number, before: number, after: number}}} Change */

export const STATES = ["pending", "accepted", "rejected", "absent", "skipped"];
const STATE_OF = { accept: "accepted", reject: "rejected", absent: "absent", skip: "skipped" };
const FORCE_ON = 1;
const FORCE_OFF = 2;
const HISTORY_BYTES = 64 * 1024 * 1024;
const MAX_SCALE = 40;
const SUPPRESS = "data-lm-suppress-shortcuts";
const SVG = "http://www.w3.org/2000/svg";

/** @type {[keys: string, meaning: string][]} */
export const LEGEND = [
  ["A", "Accept"],
  ["R", "Reject"],
  ["N", "Not here: the concept is absent"],
  ["S", "Skip"],
  ["U", "Next unsure image"],
  ["← →", "Previous, next image"],
  ["G", "All images as a grid"],
  ["↑ ↓", "Threshold (Shift: faster)"],
  ["1 – 9", "Choose a concept"],
  ["B", "Brush"],
  ["E", "Eraser"],
  ["F", "Fill a hole, or remove a piece"],
  ["Shift F", "Fill every hole"],
  ["[ ]", "Brush size"],
  ["V", "Move (or hold Space)"],
  ["Z", "Undo"],
  ["Shift Z or Y", "Redo"],
  ["H (hold)", "Hide the masks"],
  ["O", "Outlines only"],
  ["+ − wheel", "Zoom"],
  ["0", "Fit"],
  ["?", "This legend"],
];

// ---------------------------------------------------------------------------------------------- pure functions

/**
 * The command a key stands for, or null if it is not ours (then the event is left alone).
 * @param {{key: string, ctrlKey?: boolean, metaKey?: boolean, altKey?: boolean, shiftKey?: boolean}} event
 * @returns {string | null}
 */
export function commandFor(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.altKey) return null;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") return event.shiftKey ? "redo" : "undo";
    return key === "y" ? "redo" : null;
  }
  if (/^[1-9]$/.test(key)) return `concept-${key}`;
  if (key === "z") return event.shiftKey ? "redo" : "undo";
  if (key === "f") return event.shiftKey ? "fill-holes" : "fill";
  return (
    {
      a: "accept",
      r: "reject",
      n: "absent",
      s: "skip",
      u: "unsure",
      g: "grid",
      ArrowLeft: "previous",
      ArrowRight: "next",
      ArrowUp: "threshold-up",
      ArrowDown: "threshold-down",
      v: "move",
      b: "brush",
      e: "eraser",
      "[": "brush-smaller",
      "]": "brush-larger",
      y: "redo",
      h: "hide",
      " ": "pan",
      o: "outline",
      "+": "zoom-in",
      "=": "zoom-in",
      "-": "zoom-out",
      "−": "zoom-out",
      0: "fit",
      "?": "legend",
      Escape: "close",
    }[key] ?? null
  );
}

/**
 * "12 / 340 · 8 accepted · 3 rejected": where the curator is and what is done.
 * @param {Uint8Array} timeline
 * @param {number} index
 */
export function positionText(timeline, index) {
  if (timeline.length === 0) return "";
  const counts = STATES.map((_, state) => timeline.reduce((sum, value) => sum + Number(value === state), 0));
  const parts = [`${(index + 1).toLocaleString()} / ${timeline.length.toLocaleString()}`];
  for (const state of [1, 2, 3]) if (counts[state] > 0) parts.push(`${counts[state].toLocaleString()} ${STATES[state]}`);
  parts.push(`${(counts[0] + counts[4]).toLocaleString()} left`);
  return parts.join(" · ");
}

/**
 * A long path in two parts, so that its end, which tells images apart, stays visible.
 * @param {string} label
 * @returns {[head: string, tail: string]}
 */
export function splitLabel(label) {
  const letters = [...label];
  return [letters.slice(0, -24).join(""), letters.slice(-24).join("")];
}

/**
 * Scores with the strokes burnt in, so that drawing needs one comparison a cell.
 * @param {Uint8Array} map
 * @param {Uint8Array} edits
 */
export function burn(map, edits) {
  const scores = map.slice();
  for (let cell = 0; cell < scores.length; cell += 1) {
    if (edits[cell] === FORCE_ON) scores[cell] = 255;
    else if (edits[cell] === FORCE_OFF) scores[cell] = 0;
  }
  return scores;
}

/** @param {Uint8Array} scores */
export function histogramOf(scores) {
  const histogram = new Uint32Array(256);
  for (let cell = 0; cell < scores.length; cell += 1) histogram[scores[cell]] += 1;
  return histogram;
}

/**
 * Part of all cells that are in the mask, 0..1.
 * @param {Uint32Array} histogram
 * @param {number} threshold
 */
export function coverage(histogram, threshold) {
  let inside = 0;
  let all = 0;
  for (let value = 0; value < 256; value += 1) {
    all += histogram[value];
    if (value >= threshold) inside += histogram[value];
  }
  return all === 0 ? 0 : inside / all;
}

/**
 * Four cells a byte, the first in the lowest bits; the last byte is filled with zeros.
 * @param {Uint8Array} cells
 */
export function packCells(cells) {
  const packed = new Uint8Array(Math.ceil(cells.length / 4));
  for (let cell = 0; cell < cells.length; cell += 1) packed[cell >> 2] |= cells[cell] << ((cell & 3) * 2);
  return packed;
}

/**
 * @param {Uint8Array} packed
 * @param {number} count
 */
export function unpackCells(packed, count) {
  const cells = new Uint8Array(count);
  for (let cell = 0; cell < count; cell += 1) cells[cell] = (packed[cell >> 2] >> ((cell & 3) * 2)) & 3;
  return cells;
}

/**
 * @param {Uint8Array} cells
 * @param {number} stride width of the whole grid
 * @param {Rect} rect
 */
export function crop(cells, stride, [x, y, width, height]) {
  const part = new Uint8Array(width * height);
  for (let row = 0; row < height; row += 1) {
    const from = (y + row) * stride + x;
    part.set(cells.subarray(from, from + width), row * width);
  }
  return part;
}

/**
 * Writes a part of the strokes, and what follows from it, into a layer.
 * @param {{map: Uint8Array, edits: Uint8Array, scores: Uint8Array, histogram: Uint32Array}} layer
 * @param {number} stride
 * @param {Rect} rect
 * @param {Uint8Array} part
 */
export function paste(layer, stride, [x, y, width, height], part) {
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      force(layer, (y + row) * stride + x + column, part[row * width + column]);
    }
  }
}

/**
 * Sets one stroke cell, and keeps scores and histogram in step.
 * @param {{map: Uint8Array, edits: Uint8Array, scores: Uint8Array, histogram: Uint32Array}} layer
 * @param {number} cell
 * @param {number} value 0, 1 or 2
 */
function force(layer, cell, value) {
  const score = value === FORCE_ON ? 255 : value === FORCE_OFF ? 0 : layer.map[cell];
  layer.histogram[layer.scores[cell]] -= 1;
  layer.histogram[score] += 1;
  layer.edits[cell] = value;
  layer.scores[cell] = score;
}

/**
 * The smallest rectangle that holds every marked cell, or null.
 * @param {Uint8Array} region
 * @param {number} stride
 * @returns {Rect | null}
 */
export function boundsOf(region, stride) {
  let [left, top, right, bottom] = [stride, -1, -1, -1];
  for (let cell = region.indexOf(1); cell >= 0; cell = region.indexOf(1, cell + 1)) {
    const x = cell % stride;
    if (top < 0) top = Math.floor(cell / stride);
    bottom = Math.floor(cell / stride);
    if (x < left) left = x;
    if (x > right) right = x;
  }
  return top < 0 ? null : [left, top, right - left + 1, bottom - top + 1];
}

/**
 * The smallest rectangle around a rectangle and the spans of a brush.
 * @param {Rect | null} rect
 * @param {[y: number, first: number, last: number][]} spans
 * @returns {Rect | null}
 */
export function grow(rect, spans) {
  let [left, top, right, bottom] = rect ? [rect[0], rect[1], rect[0] + rect[2], rect[1] + rect[3]] : [Infinity, Infinity, 0, 0];
  for (const [y, first, last] of spans) {
    left = Math.min(left, first);
    right = Math.max(right, last + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  return right === 0 ? null : [left, top, right - left, bottom - top];
}

/**
 * Cells whose centres lie within a round brush drawn from a to b, as rows of [y, first x, last x].
 * @param {{x: number, y: number}} a in cells
 * @param {{x: number, y: number}} b in cells
 * @param {number} diameter
 * @param {number} width
 * @param {number} height
 * @returns {[y: number, first: number, last: number][]}
 */
export function brushSpans(a, b, diameter, width, height) {
  // Half a cell more than nothing, so that a brush of 1 always hits the cell below the pointer.
  const radius = Math.max(diameter / 2, 0.71);
  const spans = /** @type {[number, number, number][]} */ ([]);
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const inside = (/** @type {number} */ x, /** @type {number} */ y) => {
    const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / length));
    return (x - a.x - along * dx) ** 2 + (y - a.y - along * dy) ** 2 <= radius * radius;
  };
  const top = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(a.y, b.y) + radius));
  const left = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius));
  const right = Math.min(width - 1, Math.ceil(Math.max(a.x, b.x) + radius));
  for (let y = top; y <= bottom; y += 1) {
    // The brushed area is convex: one span a row.
    let first = left;
    while (first <= right && !inside(first + 0.5, y + 0.5)) first += 1;
    let last = right;
    while (last >= first && !inside(last + 0.5, y + 0.5)) last -= 1;
    if (first <= last) spans.push([y, first, last]);
  }
  return spans;
}

/**
 * Marks in `region` every cell that is 4-connected to the starts through cells of the same membership.
 * @param {Uint8Array} region 1 at the starts, 0 elsewhere; written
 * @param {Int32Array} stack the starts first; room for every cell, as each is pushed once
 * @param {number} depth how many starts there are
 * @param {Uint8Array} scores
 * @param {number} threshold
 * @param {number} width
 * @param {boolean} inside membership to follow
 * @returns {number} how many cells are marked
 */
function spread(region, stack, depth, scores, threshold, width, inside) {
  const { length } = scores;
  let count = 0;
  while (depth > 0) {
    depth -= 1;
    const cell = stack[depth];
    count += 1;
    const x = cell % width;
    for (let side = 0; side < 4; side += 1) {
      if ((side === 0 && x === 0) || (side === 1 && x === width - 1)) continue;
      const next = side === 0 ? cell - 1 : side === 1 ? cell + 1 : side === 2 ? cell - width : cell + width;
      if (next < 0 || next >= length || region[next] === 1 || scores[next] >= threshold !== inside) continue;
      region[next] = 1;
      stack[depth] = next;
      depth += 1;
    }
  }
  return count;
}

/**
 * The 4-connected region of equal membership around a cell: 1 for its cells, and how many there are.
 * @param {Uint8Array} scores
 * @param {number} threshold
 * @param {number} width
 * @param {number} start
 */
export function flood(scores, threshold, width, start) {
  const region = new Uint8Array(scores.length);
  const stack = new Int32Array(scores.length);
  const inside = scores[start] >= threshold;
  region[start] = 1;
  stack[0] = start;
  return { region, count: spread(region, stack, 1, scores, threshold, width, inside), inside };
}

/**
 * 1 for every cell outside the mask that the mask encloses: what cannot be reached from the border.
 * @param {Uint8Array} scores
 * @param {number} threshold
 * @param {number} width
 */
export function holes(scores, threshold, width) {
  const reached = new Uint8Array(scores.length);
  const stack = new Int32Array(scores.length);
  let depth = 0;
  for (let cell = 0; cell < scores.length; cell += 1) {
    const x = cell % width;
    const border = x === 0 || x === width - 1 || cell < width || cell >= scores.length - width;
    if (!border || scores[cell] >= threshold) continue;
    reached[cell] = 1;
    stack[depth] = cell;
    depth += 1;
  }
  spread(reached, stack, depth, scores, threshold, width, false);
  for (let cell = 0; cell < scores.length; cell += 1) reached[cell] = Number(reached[cell] === 0 && scores[cell] < threshold);
  return reached;
}

/**
 * Which cell each device pixel of an axis shows, -1 beside the image.
 * @param {number} pixels
 * @param {number} scale device pixels per cell
 * @param {number} offset of cell 0 in device pixels
 * @param {number} cells
 */
export function sampleAxis(pixels, scale, offset, cells) {
  const axis = new Int32Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const cell = Math.floor((pixel + 0.5 - offset) / scale);
    axis[pixel] = cell < 0 || cell >= cells ? -1 : cell;
  }
  return axis;
}

/**
 * "#rrggbb" as a little-endian RGBA word with the given alpha.
 * @param {string} colour
 * @param {number} alpha 0..1
 */
export function colourWord(colour, alpha) {
  const value = Number.parseInt(colour.slice(1), 16);
  const [red, green, blue] = [(value >> 16) & 255, (value >> 8) & 255, value & 255];
  return ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * Draws masks at the resolution of the screen, so that a frame costs the same at any image size and edges stay
 * one width at any zoom. Later layers cover earlier ones.
 * @param {Uint32Array} out cleared RGBA words, ys.length rows of xs.length
 * @param {Int32Array} xs cell column of each device column
 * @param {Int32Array} ys cell row of each device row
 * @param {number} stride cells in a row
 * @param {{scores: Uint8Array, threshold: number, fill: number, edge: number}[]} layers colours are words
 * @param {number} reach thickness of an edge in device pixels
 */
export function paintMasks(out, xs, ys, stride, layers, reach) {
  const [columns, rows] = [xs.length, ys.length];
  const rowOf = (/** @type {number} */ y) => (ys[y] < 0 ? -1 : ys[y] * stride);
  let firstX = 0;
  while (firstX < columns && xs[firstX] < 0) firstX += 1;
  let lastX = columns - 1;
  while (lastX >= firstX && xs[lastX] < 0) lastX -= 1;
  for (const { scores, threshold, fill, edge } of layers) {
    for (let y = 0; y < rows; y += 1) {
      if (ys[y] < 0) continue;
      const base = ys[y] * stride;
      // Beyond the screen the mask goes on as it is; beyond the image it ends.
      const above = rowOf(y < reach ? y : y - reach);
      const below = rowOf(y + reach < rows ? y + reach : y);
      for (let x = firstX, at = y * columns + firstX; x <= lastX; x += 1, at += 1) {
        const column = xs[x];
        if (scores[base + column] < threshold) continue;
        const left = x < reach ? column : xs[x - reach];
        const right = x + reach < columns ? xs[x + reach] : column;
        const border =
          above < 0 ||
          below < 0 ||
          scores[above + column] < threshold ||
          scores[below + column] < threshold ||
          left < 0 ||
          right < 0 ||
          scores[base + left] < threshold ||
          scores[base + right] < threshold;
        if (border) out[at] = edge;
        else if (fill !== 0) out[at] = fill;
      }
    }
  }
}

/**
 * The view that shows everything, centred.
 * @param {{width: number, height: number}} grid in cells
 * @param {{width: number, height: number}} screen in CSS pixels
 * @returns {View}
 */
export function fitView(grid, screen) {
  const margin = 12;
  const scale = Math.max(
    1e-3,
    Math.min((screen.width - 2 * margin) / grid.width, (screen.height - 2 * margin) / grid.height),
  );
  return { scale, x: (screen.width - grid.width * scale) / 2, y: (screen.height - grid.height * scale) / 2 };
}

/**
 * Zooms about a point of the screen, which stays where it is; never smaller than half of what fits.
 * @param {View} view
 * @param {number} factor
 * @param {{x: number, y: number}} point
 * @param {number} fitted scale at which everything fits
 * @returns {View}
 */
export function zoomAt(view, factor, point, fitted) {
  const scale = Math.min(Math.max(MAX_SCALE, fitted), Math.max(fitted / 2, view.scale * factor));
  const ratio = scale / view.scale;
  return { scale, x: point.x - (point.x - view.x) * ratio, y: point.y - (point.y - view.y) * ratio };
}

/**
 * Keeps a piece of the image on the screen.
 * @param {View} view
 * @param {{width: number, height: number}} grid
 * @param {{width: number, height: number}} screen
 * @returns {View}
 */
export function clampView(view, grid, screen) {
  const keep = 48;
  const limit = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ room) =>
    Math.min(room - keep, Math.max(keep - size, at));
  return {
    scale: view.scale,
    x: limit(view.x, grid.width * view.scale, screen.width),
    y: limit(view.y, grid.height * view.scale, screen.height),
  };
}

/**
 * The next brush size: about a fifth larger or smaller, at least one cell.
 * @param {number} size
 * @param {number} direction -1 or 1
 */
export function nextBrush(size, direction) {
  const next = direction > 0 ? Math.max(size + 1, Math.round(size * 1.2)) : Math.min(size - 1, Math.round(size / 1.2));
  return Math.min(512, Math.max(1, next));
}

/** Undo and redo of changes, the oldest forgotten once they take too much memory. */
export class History {
  /** @type {Change[]} */ #done = [];
  /** @type {Change[]} */ #undone = [];
  #limit;

  /** @param {number} [limit] in bytes */
  constructor(limit = HISTORY_BYTES) {
    this.#limit = limit;
  }

  /** @param {Change} change */
  push(change) {
    this.#done.push(change);
    this.#undone = [];
    const cost = (/** @type {Change} */ item) => item.patches.reduce((sum, patch) => sum + patch.before.length + patch.after.length, 64);
    let total = this.#done.reduce((sum, item) => sum + cost(item), 0);
    while (total > this.#limit && this.#done.length > 1) total -= cost(/** @type {Change} */ (this.#done.shift()));
  }

  undo() {
    const change = this.#done.pop();
    if (change) this.#undone.push(change);
    return change;
  }

  redo() {
    const change = this.#undone.pop();
    if (change) this.#done.push(change);
    return change;
  }
}

// ------------------------------------------------------------------------------------------------- DOM helpers

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children strings become text nodes, never HTML
 * @returns {HTMLElementTagNameMap[K]}
 */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** @param {string} path */
function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

const ICONS = {
  move: "M8 1.500v13M1.500 8h13M6 3.500l2-2 2 2M6 12.500l2 2 2-2M3.500 6l-2 2 2 2M12.500 6l2 2-2 2",
  brush: "M13.500 2.500 7 9M7 9c-2.500-.500-3.500 1-3.500 2.500S3 13.500 2 14c3 .500 6 0 6.500-2.500C8.700 10.500 8 9.200 7 9Z",
  eraser: "M6 13.500 2.500 10 9.500 3l4 4-6.500 6.500zM6 6.500l4 4M6 13.500h8",
  fill: "M3 8.500 8 3.500l5 5-5 5zM6 1.500l3 3M3 8.500h10M14.500 12c0 .800-.400 1.300-1 1.300s-1-.500-1-1.300 1-2 1-2 1 1.200 1 2Z",
  undo: "M6 3 2.500 6.500 6 10M3 6.500h6.500a4 4 0 0 1 0 8H6",
  redo: "M10 3l3.500 3.500L10 10M13 6.500H6.500a4 4 0 0 0 0 8H10",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  outline: "M3 5.500C3 3.500 5 2.500 8 2.500s5.500 2 5.500 5.500-2.500 5.500-5 5.500S3 11 3 8.500z",
};

/**
 * @param {string} label accessible name and tooltip
 * @param {() => void} action
 * @param {{icon?: string, text?: string, key?: string, kind?: string}} [look]
 */
function button(label, action, look = {}) {
  const title = look.key ? `${label} (${look.key})` : label;
  const node = h("button", { type: "button", class: `ra-button ${look.kind ?? ""}`, title, "aria-label": label });
  if (look.icon) node.append(icon(look.icon));
  if (look.text) node.append(h("span", {}, look.text));
  if (look.text && look.key) node.append(h("kbd", { "aria-hidden": "true" }, look.key));
  node.addEventListener("click", action);
  return node;
}

/**
 * @param {string} label
 * @param {{min: number, max: number, step?: number}} range
 */
function slider(label, { min, max, step = 1 }) {
  return h("input", { type: "range", min: String(min), max: String(max), step: String(step), "aria-label": label, title: label });
}

/** @param {DataView | ArrayBuffer} buffer */
function bytesOf(buffer) {
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer)
    : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** @param {DataView} buffer zlib stream */
async function inflate(buffer) {
  const stream = new Blob([bytesOf(buffer).slice()]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// ------------------------------------------------------------------------------------------------------- view

/** @type {import("@anywidget/types").Render<Traits>} */
function render({ model, el }) {
  const canvas = new MaskCanvas(model);
  el.append(canvas.ui.root);
  canvas.start();
  return () => canvas.dispose();
}

/**
 * All of the widget's DOM, by name.
 * @param {(command: string) => void} run
 */
function buildUi(run) {
  const tools = buildTools(run);
  const decisions = buildDecisions(run);
  const label = h("span", { class: "ra-label" });
  const badge = h("span", { class: "ra-state" });
  const uncertainty = h("span", { class: "ra-soft" });
  const position = h("span", { class: "ra-soft" });
  const timeline = h("canvas", { class: "ra-timeline", role: "img", "aria-label": "Progress; click to go to an image" });
  const image = h("canvas", { class: "ra-image" });
  const masks = h("canvas", { class: "ra-masks" });
  const pointer = h("div", { class: "ra-pointer", hidden: "" });
  const note = h("div", { class: "ra-note" });
  const stage = h(
    "div",
    { class: "ra-stage", tabindex: "0", role: "application", "aria-label": "Image with masks", "aria-describedby": "" },
    image,
    masks,
    pointer,
    note,
  );
  const concepts = h("div", { class: "ra-concepts", role: "radiogroup", "aria-label": "Concepts" });
  const alert = h("div", { class: "ra-alert", role: "alert", hidden: "" });
  const status = h("span", { class: "ra-soft ra-status" });
  const zoom = h("span", { class: "ra-soft" });
  const live = h("div", { class: "ra-live", "aria-live": "polite" });
  const legend = buildLegend(run);
  const side = h("div", { class: "ra-side" }, concepts, tools.panel, h("div", { class: "ra-spring" }), decisions.panel);
  const main = h("div", { class: "ra-main" }, stage, side, legend);
  const root = h(
    "div",
    { class: "ra-canvas", [SUPPRESS]: "true", role: "region", "aria-label": "Mask review" },
    h(
      "div",
      { class: "ra-bar" },
      label,
      badge,
      uncertainty,
      h("div", { class: "ra-spring" }),
      position,
      button("Previous image", () => run("previous"), { icon: ICONS.left, key: "←" }),
      button("Next image", () => run("next"), { icon: ICONS.right, key: "→" }),
      button("Keys", () => run("legend"), { text: "?", kind: "ra-round" }),
    ),
    timeline,
    alert,
    main,
    h(
      "div",
      { class: "ra-foot" },
      h("span", { class: "ra-spinner", "aria-hidden": "true" }),
      status,
      h("div", { class: "ra-spring" }),
      zoom,
      button("Fit", () => run("fit"), { text: "Fit", key: "0" }),
    ),
    live,
  );
  return { root, label, badge, uncertainty, position, timeline, image, masks, pointer, note, stage, concepts, alert, status, zoom, live, legend, main, ...tools, ...decisions };
}

/** @param {(command: string) => void} run */
function buildTools(run) {
  const tools = h("div", { class: "ra-row", role: "group", "aria-label": "Tool" });
  for (const [name, title, key] of /** @type {[Tool, string, string][]} */ ([
    ["move", "Move", "V"],
    ["brush", "Brush", "B"],
    ["eraser", "Eraser", "E"],
    ["fill", "Fill a hole or remove a piece", "F"],
  ])) {
    const node = button(title, () => run(name), { icon: ICONS[name], key });
    node.dataset.tool = name;
    tools.append(node);
  }
  tools.append(
    h("div", { class: "ra-spring" }),
    button("Undo", () => run("undo"), { icon: ICONS.undo, key: "Z" }),
    button("Redo", () => run("redo"), { icon: ICONS.redo, key: "Y" }),
  );
  const brush = slider("Brush size ([ and ])", { min: 0, max: 100 });
  const brushValue = h("output", { class: "ra-soft" });
  const opacity = slider("Opacity of the masks", { min: 0, max: 100 });
  const opacityValue = h("output", { class: "ra-soft" });
  const outline = button("Outlines only", () => run("outline"), { text: "Outlines", key: "O", kind: "ra-plain" });
  const fillHoles = button("Fill every hole", () => run("fill-holes"), { text: "Fill holes", key: "⇧F", kind: "ra-plain" });
  const panel = h(
    "div",
    { class: "ra-tools" },
    tools,
    h("label", { class: "ra-setting" }, h("span", {}, "Brush"), brush, brushValue),
    h("label", { class: "ra-setting" }, h("span", {}, "Opacity"), opacity, opacityValue),
    h("div", { class: "ra-row" }, outline, fillHoles),
  );
  return { panel, tools, brush, brushValue, opacity, opacityValue, outline };
}

/** @param {(command: string) => void} run */
function buildDecisions(run) {
  const accept = button("Accept", () => run("accept"), { text: "Accept", key: "A", kind: "ra-primary" });
  const reject = button("Reject", () => run("reject"), { text: "Reject", key: "R", kind: "ra-plain" });
  const absent = button("Not here: the concept is absent", () => run("absent"), { text: "Not here", key: "N", kind: "ra-plain" });
  const skip = button("Skip", () => run("skip"), { text: "Skip", key: "S", kind: "ra-plain" });
  const unsure = button("Next unsure image", () => run("unsure"), { text: "Next unsure", key: "U", kind: "ra-plain" });
  return { panel: h("div", { class: "ra-decisions" }, accept, reject, absent, skip, unsure) };
}

/** @param {(command: string) => void} run */
function buildLegend(run) {
  const list = h("dl");
  for (const [keys, meaning] of LEGEND) list.append(h("dt", {}, keys), h("dd", {}, meaning));
  const top = h("div", { class: "ra-legend-top" }, h("strong", {}, "Keys"), button("Close", () => run("close"), { icon: ICONS.close, key: "Esc" }));
  return h("div", { class: "ra-legend", role: "dialog", "aria-label": "Keys", tabindex: "-1", hidden: "" }, top, list);
}

/** The controls of one concept: choose it, see how much it covers, move its threshold. */
class ConceptRow {
  /**
   * @param {Layer} layer
   * @param {number} index
   * @param {{choose: () => void, slide: (value: number) => void, rest: () => void}} actions
   */
  constructor(layer, index, actions) {
    const { concept } = layer;
    this.layer = layer;
    this.swatch = h("span", { class: "ra-swatch" });
    this.swatch.style.background = concept.colour;
    this.area = h("span", { class: "ra-soft" });
    this.pick = h(
      "button",
      { type: "button", class: "ra-pick", role: "radio", "aria-checked": "false", title: concept.name },
      this.swatch,
      h("span", { class: "ra-concept-name" }, concept.name),
      this.area,
      h("kbd", { "aria-hidden": "true" }, index < 9 ? String(index + 1) : ""),
    );
    this.pick.addEventListener("click", actions.choose);
    this.facts = h("span", { title: "Probability that the concept is in the image" });
    this.histogram = h("canvas", { class: "ra-histogram", "aria-hidden": "true" });
    this.slider = slider(`Threshold of ${concept.name}`, { min: 1, max: 255 });
    this.value = h("output");
    this.slider.addEventListener("input", () => actions.slide(Number(this.slider.value)));
    this.slider.addEventListener("change", actions.rest);
    this.body = h(
      "div",
      { class: "ra-concept-body" },
      h("div", { class: "ra-row ra-soft" }, h("span", {}, "Threshold"), this.value, h("div", { class: "ra-spring" }), this.facts),
      this.histogram,
      this.slider,
    );
    this.node = h("div", { class: "ra-concept" }, this.pick, this.body);
  }

  /** @param {boolean} active */
  show(active) {
    const { concept, threshold, histogram } = this.layer;
    this.node.classList.toggle("ra-absent", concept.absent);
    this.pick.setAttribute("aria-checked", String(active));
    this.body.hidden = !active;
    const percent = coverage(histogram, threshold) * 100;
    this.area.textContent = concept.absent ? "absent" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
    this.area.title = "Part of the image inside the mask";
    this.facts.textContent = concept.presence === null ? "" : `presence ${concept.presence.toFixed(2)}`;
    this.slider.value = String(threshold);
    this.value.textContent = (threshold / 255).toFixed(2);
    if (active) this.drawHistogram();
  }

  drawHistogram() {
    const { histogram, threshold, concept } = this.layer;
    const box = this.histogram.getBoundingClientRect();
    const ratio = window.devicePixelRatio;
    this.histogram.width = Math.max(1, Math.round(box.width * ratio));
    this.histogram.height = Math.max(1, Math.round(box.height * ratio));
    const context = this.histogram.getContext("2d");
    if (!context) return;
    // Roots, because the few cells of a small object count as much as the many of the background.
    const bins = Array.from({ length: 64 }, (_, bin) => Math.sqrt(histogram.slice(bin * 4, bin * 4 + 4).reduce((a, b) => a + b, 0)));
    const highest = Math.max(...bins.slice(1), 1);
    const step = this.histogram.width / 64;
    bins.forEach((value, bin) => {
      const height = Math.min(1, value / highest) * this.histogram.height;
      context.globalAlpha = bin * 4 + 3 >= threshold ? 1 : 0.3;
      context.fillStyle = bin * 4 + 3 >= threshold ? concept.colour : getComputedStyle(this.node).color;
      context.fillRect(bin * step, this.histogram.height - height, Math.max(1, step - ratio), height);
    });
  }
}

/** The widget's view: owns the DOM, the visible frame and its undo history. */
class MaskCanvas {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.ui = buildUi((command) => this.run(command));
    /** @type {Header | null} */ this.header = null;
    /** @type {Layer[]} */ this.layers = [];
    /** @type {ConceptRow[]} */ this.rows = [];
    /** @type {ImageBitmap | null} */ this.bitmap = null;
    this.history = new History();
    this.active = 0;
    /** @type {Tool} */ this.tool = "move";
    /** @type {View} */ this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    this.hidden = false;
    this.panning = false;
    /** @type {Map<number, {x: number, y: number}>} */ this.pointers = new Map();
    /** @type {{last: {x: number, y: number}, value: number, before: Uint8Array[], rect: Rect | null} | null} */ this.stroke = null;
    /** @type {{distance: number, x: number, y: number} | null} */ this.pinch = null;
    this.uncommitted = -1;
    this.thresholdBefore = 0;
    this.waiting = "";
    this.loading = 0;
    this.received = false;
    this.started = performance.now();
    this.frame = 0;
    this.dirty = { image: true, masks: true };
    this.timers = { commit: 0, patience: 0, waiting: 0 };
    /** @type {ImageData | null} */ this.pixels = null;
    /** @type {(() => void)[]} */ this.cleanups = [];
  }

  start() {
    const { ui } = this;
    this.listen(ui.root, "focusin", (event) => this.guard(/** @type {Element} */ (event.target), true));
    this.listen(ui.root, "keydown", (event) => this.onKey(/** @type {KeyboardEvent} */ (event)));
    this.listen(ui.root, "keyup", (event) => this.onKeyUp(/** @type {KeyboardEvent} */ (event)));
    this.listen(ui.root, "focusout", () => this.release());
    this.listen(ui.stage, "pointerdown", (event) => this.onPointerDown(/** @type {PointerEvent} */ (event)));
    this.listen(ui.stage, "pointermove", (event) => this.onPointerMove(/** @type {PointerEvent} */ (event)));
    this.listen(ui.stage, "pointerup", (event) => this.onPointerUp(/** @type {PointerEvent} */ (event)));
    this.listen(ui.stage, "pointercancel", (event) => this.onPointerUp(/** @type {PointerEvent} */ (event)));
    this.listen(ui.stage, "pointerleave", () => (ui.pointer.hidden = true));
    this.listen(ui.stage, "dblclick", () => this.tool === "move" && this.fit());
    this.listen(ui.stage, "wheel", (event) => this.onWheel(/** @type {WheelEvent} */ (event)), { passive: false });
    this.listen(ui.timeline, "click", (event) => this.onTimeline(/** @type {MouseEvent} */ (event)));
    this.listen(ui.brush, "input", () => this.save("brush", Math.round(1.0643 ** Number(ui.brush.value))));
    this.listen(ui.opacity, "input", () => this.save("opacity", Number(ui.opacity.value) / 100));
    const observer = new ResizeObserver(() => this.onResize());
    observer.observe(ui.stage);
    this.cleanups.push(() => observer.disconnect());
    const onMessage = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => this.onMessage(message, buffers);
    this.model.on("msg:custom", onMessage);
    this.cleanups.push(() => this.model.off("msg:custom", onMessage));
    for (const name of /** @type {(keyof Traits)[]} */ (["timeline", "status", "error", "busy", "opacity", "outline", "brush", "height"])) {
      const onChange = () => this.onTrait(name);
      this.model.on(`change:${name}`, onChange);
      this.cleanups.push(() => this.model.off(`change:${name}`, onChange));
      this.onTrait(name);
    }
    this.setTool("move");
    this.refresh();
    this.model.send({ type: "ready" });
    this.timers.patience = window.setTimeout(() => this.refresh(), 8000);
  }

  /**
   * @param {EventTarget} target
   * @param {string} type
   * @param {(event: Event) => void} handler
   * @param {AddEventListenerOptions} [options]
   */
  listen(target, type, handler, options) {
    target.addEventListener(type, handler, options);
    this.cleanups.push(() => target.removeEventListener(type, handler));
  }

  dispose() {
    this.flush();
    cancelAnimationFrame(this.frame);
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    for (const cleanup of this.cleanups) cleanup();
    this.loading += 1;
    this.bitmap?.close();
    this.ui.root.remove();
  }

  // -- what the kernel says

  /** @param {keyof Traits} name */
  onTrait(name) {
    if (name === "height") this.ui.main.style.setProperty("--ra-height", `${this.model.get("height")}px`);
    if (name === "opacity" || name === "outline") this.redraw("masks");
    this.refresh();
  }

  /**
   * @param {any} message
   * @param {DataView[]} buffers
   */
  onMessage(message, buffers) {
    if (message.type === "frame") void this.onFrame(message, buffers);
    if (message.type === "empty") this.clear();
    if (message.type === "place") this.place(message.id, message.index);
    // It may only just be shown again: what is hidden takes no focus.
    if (message.type === "focus") requestAnimationFrame(() => this.ui.stage.focus({ preventScroll: true }));
  }

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
    this.header = null;
    this.layers = [];
    this.rows = [];
    this.bitmap?.close();
    this.bitmap = null;
    this.ui.concepts.replaceChildren();
    this.settle();
    this.redraw("image");
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
    const count = header.concepts.length;
    const cells = header.width * header.height;
    const [bitmap, maps, edits] = await Promise.all([
      createImageBitmap(new Blob([bytesOf(buffers[0]).slice()])).catch(() => null),
      Promise.all(buffers.slice(1, 1 + count).map(inflate)),
      Promise.all(buffers.slice(1 + count).map(inflate)),
    ]);
    if (ticket !== this.loading) {
      bitmap?.close();
      return;
    }
    this.flush();
    this.bitmap?.close();
    this.bitmap = bitmap;
    const sameImage = this.header?.id === header.id;
    this.header = header;
    this.stroke = null;
    this.history = new History();
    this.layers = header.concepts.map((concept, index) => {
      const layer = { concept, threshold: concept.threshold, map: maps[index], edits: unpackCells(edits[index], cells) };
      const scores = burn(layer.map, layer.edits);
      return { ...layer, scores, histogram: histogramOf(scores) };
    });
    this.active = Math.min(this.active, count - 1);
    this.rows = this.layers.map((layer, index) => this.rowFor(layer, index));
    this.ui.concepts.replaceChildren(...this.rows.map((row) => row.node));
    this.ui.root.classList.remove("ra-loading");
    this.settle();
    if (!sameImage) this.fit();
    this.redraw("image");
    this.refresh();
    this.say(`${header.label}, ${positionText(this.timeline, header.index)}`);
  }

  /**
   * @param {Layer} layer
   * @param {number} index
   */
  rowFor(layer, index) {
    return new ConceptRow(layer, index, {
      choose: () => this.choose(index),
      slide: (value) => this.slide(index, value),
      rest: () => this.flush(),
    });
  }

  get timeline() {
    const value = this.model.get("timeline");
    return value ? bytesOf(value) : new Uint8Array();
  }

  /** The last decision has been answered with the next image, or never will be. */
  settle() {
    this.waiting = "";
    clearTimeout(this.timers.waiting);
  }

  // -- panels

  refresh() {
    const { ui, header } = this;
    const state = this.waiting || STATES[this.timeline[header?.index ?? -1] ?? 0];
    ui.label.replaceChildren(...splitLabel(header?.label ?? "").map((part) => h("span", {}, part)));
    ui.label.title = header?.label ?? "";
    ui.badge.textContent = { pending: "Pending", accepted: "✓ Accepted", rejected: "✕ Rejected", absent: "∅ Not here", skipped: "→ Skipped" }[state] ?? "";
    ui.badge.dataset.state = state;
    ui.badge.hidden = header === null;
    ui.uncertainty.textContent = header?.uncertainty == null ? "" : `uncertainty ${header.uncertainty.toFixed(2)}`;
    ui.position.textContent = header ? positionText(this.timeline, header.index) : "";
    ui.alert.textContent = this.model.get("error");
    ui.alert.hidden = this.model.get("error") === "";
    ui.status.textContent = this.model.get("status");
    ui.root.classList.toggle("ra-busy", this.model.get("busy"));
    ui.note.textContent = this.noteText();
    ui.note.hidden = ui.note.textContent === "";
    const brush = this.model.get("brush");
    ui.brush.value = String(Math.log(brush) / Math.log(1.0643));
    ui.brushValue.textContent = `${brush} px`;
    ui.opacity.value = String(Math.round(this.model.get("opacity") * 100));
    ui.opacityValue.textContent = `${Math.round(this.model.get("opacity") * 100)} %`;
    ui.outline.setAttribute("aria-pressed", String(this.model.get("outline")));
    this.rows.forEach((row, index) => row.show(index === this.active));
    for (const node of ui.panel.querySelectorAll("button")) node.disabled = header === null;
    this.drawTimeline();
  }

  noteText() {
    if (this.header) return this.bitmap ? "" : "This image cannot be shown; its masks still can.";
    if (this.model.get("busy")) return this.model.get("status") || "Working…";
    if (this.received) return "No image to review yet.";
    return performance.now() - this.started > 7900
      ? "The kernel does not answer. It may be busy with another cell, or stopped: then run this cell again."
      : "Waiting for the kernel…";
  }

  drawTimeline() {
    const { timeline: canvas } = this.ui;
    const states = this.timeline;
    canvas.hidden = states.length === 0;
    const ratio = window.devicePixelRatio;
    const box = canvas.getBoundingClientRect();
    if (canvas.hidden || box.width === 0) return;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    const context = canvas.getContext("2d");
    if (!context) return;
    const style = getComputedStyle(this.ui.root);
    const step = canvas.width / states.length;
    const gap = step > 4 * ratio ? ratio : 0;
    states.forEach((value, index) => {
      // Height tells the states apart where colour does not: full, low, middle, a dot.
      const [top, height, colour] = /** @type {[number, number, string][]} */ ([
        [0.35, 0.3, "--ra-line"],
        [0, 1, "--ra-good"],
        [0.6, 0.4, "--ra-bad"],
        [0, 0.4, "--ra-soft"],
        [0.4, 0.2, "--ra-soft"],
      ])[value];
      context.fillStyle = style.getPropertyValue(colour);
      context.fillRect(index * step, top * canvas.height, Math.max(1, step - gap), height * canvas.height);
    });
    if (!this.header) return;
    const here = Math.round((this.header.index + 0.5) * step);
    context.fillStyle = style.getPropertyValue("--ra-text");
    context.fillRect(here - ratio, 0, 2 * ratio, canvas.height);
  }

  /** @param {string} text */
  say(text) {
    this.ui.live.textContent = text;
  }

  /**
   * @template {keyof Traits} K
   * @param {K} name
   * @param {Traits[K]} value
   */
  save(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  // -- commands

  /**
   * Keeps the notebook from taking plain keys as its own, while Ctrl S and its like go on working. The mark must
   * be on the focused element: selectors such as `:focus` are matched from there upwards.
   * @param {Element} target
   * @param {boolean} on
   */
  guard(target, on) {
    for (const node of [this.ui.root, target]) {
      if (on) node.setAttribute(SUPPRESS, "true");
      else node.removeAttribute(SUPPRESS);
    }
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const command = commandFor(event);
    this.guard(target, !event.ctrlKey && !event.metaKey);
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    if (command === null) return;
    const onSlider = target instanceof HTMLInputElement;
    if (onSlider && event.key.startsWith("Arrow")) return;
    if (event.key === " " && target.closest("button")) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat && !/^(threshold|brush|zoom|next|previous|undo|redo)/.test(command)) return;
    if (command.startsWith("threshold")) this.nudge(command === "threshold-up" ? 1 : -1, event.shiftKey);
    else this.run(command);
  }

  /** @param {KeyboardEvent} event */
  onKeyUp(event) {
    const command = commandFor(event);
    if (command === "hide") this.hide(false);
    if (command === "pan") this.setPanning(false);
  }

  release() {
    this.hide(false);
    this.setPanning(false);
  }

  /** @param {string} command */
  run(command) {
    if (command === "legend") return this.toggleLegend(this.ui.legend.hidden !== false);
    if (command === "close") return this.toggleLegend(false);
    if (command === "outline") return this.save("outline", !this.model.get("outline"));
    if (!this.header) return undefined;
    if (command in STATE_OF) return this.decide(/** @type {keyof typeof STATE_OF} */ (command));
    if (["next", "previous", "unsure"].includes(command)) return this.navigate(command, this.header.index);
    if (["move", "brush", "eraser", "fill"].includes(command)) return this.setTool(/** @type {Tool} */ (command));
    if (command.startsWith("concept-")) return this.choose(Number(command.slice(8)) - 1);
    if (command.startsWith("brush-")) return this.save("brush", nextBrush(this.model.get("brush"), command === "brush-larger" ? 1 : -1));
    if (command.startsWith("zoom-")) return this.zoom(command === "zoom-in" ? 1.25 : 0.8, this.centre());
    if (command === "fit") return this.fit();
    if (command === "hide") return this.hide(true);
    if (command === "pan") return this.setPanning(true);
    if (command === "fill-holes") return this.fillHoles();
    if (command === "undo" || command === "redo") return this.travel(command);
    if (command === "grid") return this.model.send({ type: "command", name: "grid" });
    return undefined;
  }

  /** @param {keyof typeof STATE_OF} action */
  decide(action) {
    // A second key before the next image shows cannot be meant for an image nobody has seen.
    if (!this.header || this.waiting) return;
    this.flush();
    this.waiting = STATE_OF[action];
    this.timers.waiting = window.setTimeout(() => {
      this.settle();
      this.refresh();
    }, 1500);
    const thresholds = this.layers.map((layer) => layer.threshold);
    this.model.send({ type: "decision", id: this.header.id, action, concept: this.active, thresholds });
    this.say(STATE_OF[action]);
    this.refresh();
  }

  /**
   * @param {string} where
   * @param {number} index
   */
  navigate(where, index) {
    this.flush();
    this.model.send({ type: "navigate", where, index });
  }

  /** @param {MouseEvent} event */
  onTimeline(event) {
    const box = this.ui.timeline.getBoundingClientRect();
    const count = this.timeline.length;
    const index = Math.floor(((event.clientX - box.left) / box.width) * count);
    this.navigate("go", Math.min(count - 1, Math.max(0, index)));
  }

  /** @param {boolean} open */
  toggleLegend(open) {
    this.ui.legend.hidden = !open;
    (open ? this.ui.legend : this.ui.stage).focus();
  }

  /** @param {Tool} tool */
  setTool(tool) {
    this.tool = tool;
    this.ui.stage.dataset.tool = tool;
    for (const node of this.ui.tools.querySelectorAll("button")) {
      if (node.dataset.tool) node.setAttribute("aria-pressed", String(node.dataset.tool === tool));
    }
    if (tool === "move" || tool === "fill") this.ui.pointer.hidden = true;
  }

  /** @param {boolean} hidden */
  hide(hidden) {
    if (hidden === this.hidden) return;
    this.hidden = hidden;
    this.redraw("masks");
  }

  /** @param {boolean} panning */
  setPanning(panning) {
    this.panning = panning;
    this.ui.stage.classList.toggle("ra-panning", panning);
    if (panning) this.ui.pointer.hidden = true;
  }

  /** @param {number} index */
  choose(index) {
    if (!this.layers[index]) return;
    this.flush();
    this.active = index;
    this.redraw("masks");
    this.refresh();
    this.say(this.layers[index].concept.name);
  }

  // -- thresholds

  /**
   * @param {number} direction
   * @param {boolean} fast
   */
  nudge(direction, fast) {
    const layer = this.layers[this.active];
    if (layer) this.slide(this.active, layer.threshold + direction * (fast ? 16 : 2));
  }

  /**
   * Shows a threshold at once; the kernel hears of it when it comes to rest.
   * @param {number} index
   * @param {number} value
   */
  slide(index, value) {
    const layer = this.layers[index];
    if (this.uncommitted !== index) {
      this.flush();
      this.uncommitted = index;
      this.thresholdBefore = layer.threshold;
    }
    layer.threshold = Math.min(255, Math.max(1, value));
    this.rows[index].show(index === this.active);
    this.redraw("masks");
    clearTimeout(this.timers.commit);
    this.timers.commit = window.setTimeout(() => this.flush(), 400);
  }

  flush() {
    clearTimeout(this.timers.commit);
    const index = this.uncommitted;
    this.uncommitted = -1;
    if (index < 0 || !this.header) return;
    const { threshold } = this.layers[index];
    if (threshold === this.thresholdBefore) return;
    this.history.push({ patches: [], threshold: { concept: index, before: this.thresholdBefore, after: threshold } });
    this.sendThreshold(index);
  }

  /** @param {number} concept */
  sendThreshold(concept) {
    this.model.send({ type: "threshold", id: this.header?.id, concept, value: this.layers[concept].threshold });
  }

  // -- strokes

  /** The strokes of every layer, to tell later what changed. */
  snapshot() {
    return this.layers.map((layer) => layer.edits.slice());
  }

  /**
   * Forces one cell of the active concept in or out.
   * @param {number} cell
   * @param {number} value
   */
  force(cell, value) {
    force(this.layers[this.active], cell, value);
    if (!this.header?.exclusive || value !== FORCE_ON) return;
    this.layers.forEach((layer, index) => {
      if (index !== this.active && layer.scores[cell] >= layer.threshold) force(layer, cell, FORCE_OFF);
    });
  }

  /**
   * Draws the open stroke on to a point.
   * @param {{x: number, y: number}} to in cells
   */
  paint(to) {
    if (!this.header || !this.stroke) return;
    const { width, height } = this.header;
    const spans = brushSpans(this.stroke.last, to, this.model.get("brush"), width, height);
    for (const [y, first, last] of spans) {
      for (let x = first; x <= last; x += 1) this.force(y * width + x, this.stroke.value);
    }
    this.stroke.last = to;
    this.stroke.rect = grow(this.stroke.rect, spans);
    this.redraw("masks");
  }

  /**
   * Remembers and sends what changed within a rectangle.
   * @param {Uint8Array[]} before edits of every layer before the change
   * @param {Rect | null} rect
   */
  commit(before, rect) {
    const { width = 0 } = this.header ?? {};
    /** @type {Patch[]} */
    const patches = [];
    if (!rect) return;
    this.layers.forEach((layer, concept) => {
      const [was, now] = [before[concept], layer.edits].map((cells) => packCells(crop(cells, width, rect)));
      if (was.every((value, index) => value === now[index])) return;
      patches.push({ concept, rect, before: was, after: now });
      this.sendPatch(concept, rect, now);
    });
    if (patches.length > 0) this.history.push({ patches });
    this.redraw("masks");
    this.refresh();
  }

  /**
   * @param {number} concept
   * @param {Rect} rect
   * @param {Uint8Array} packed
   */
  sendPatch(concept, rect, packed) {
    this.model.send({ type: "edit", id: this.header?.id, concept, rect }, undefined, [packed]);
  }

  /** Drops a stroke that turned out to be a pinch. */
  cancelStroke() {
    const { stroke, header } = this;
    this.stroke = null;
    if (!stroke?.rect || !header) return;
    const { before, rect } = stroke;
    this.layers.forEach((layer, index) => paste(layer, header.width, rect, crop(before[index], header.width, rect)));
    this.redraw("masks");
  }

  /** @param {"undo" | "redo"} direction */
  travel(direction) {
    this.flush();
    const change = direction === "undo" ? this.history.undo() : this.history.redo();
    if (!change) {
      // Nothing left on this image: the session takes the last decision back.
      this.model.send({ type: "command", name: direction });
      return;
    }
    const side = direction === "undo" ? "before" : "after";
    for (const patch of change.patches) {
      const layer = this.layers[patch.concept];
      const { width = 0 } = this.header ?? {};
      paste(layer, width, patch.rect, unpackCells(patch[side], patch.rect[2] * patch.rect[3]));
      this.sendPatch(patch.concept, patch.rect, patch[side]);
    }
    if (change.threshold) {
      this.layers[change.threshold.concept].threshold = change.threshold[side];
      this.sendThreshold(change.threshold.concept);
    }
    this.redraw("masks");
    this.refresh();
    this.say(direction === "undo" ? "Undone" : "Done again");
  }

  /** @param {{x: number, y: number}} at in cells */
  fill(at) {
    if (!this.header) return;
    const { width, height } = this.header;
    const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const layer = this.layers[this.active];
    const { region, count, inside } = flood(layer.scores, layer.threshold, width, y * width + x);
    if (!inside && count > region.length / 2) {
      this.tell("That is the background: click inside a hole, or on a piece to remove it.");
      return;
    }
    this.forceRegion(region, inside ? FORCE_OFF : FORCE_ON);
  }

  fillHoles() {
    const layer = this.layers[this.active];
    if (!this.header || !layer) return;
    const region = holes(layer.scores, layer.threshold, this.header.width);
    if (region.includes(1)) this.forceRegion(region, FORCE_ON);
    else this.tell("There is no hole to fill.");
  }

  /**
   * @param {Uint8Array} region 1 where to force
   * @param {number} value
   */
  forceRegion(region, value) {
    const before = this.snapshot();
    const rect = boundsOf(region, this.header?.width ?? 0);
    for (let cell = region.indexOf(1); cell >= 0; cell = region.indexOf(1, cell + 1)) this.force(cell, value);
    this.commit(before, rect);
  }

  /** @param {string} text */
  tell(text) {
    this.ui.status.textContent = text;
    this.say(text);
  }

  // -- pointer

  /** @param {PointerEvent | WheelEvent | MouseEvent} event */
  at(event) {
    const box = this.ui.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** @param {{x: number, y: number}} point on the screen */
  cellAt(point) {
    return { x: (point.x - this.view.x) / this.view.scale, y: (point.y - this.view.y) / this.view.scale };
  }

  /** @param {PointerEvent} event */
  onPointerDown(event) {
    if (!this.header || event.button > 1) return;
    this.ui.stage.focus({ preventScroll: true });
    event.preventDefault();
    this.ui.stage.setPointerCapture(event.pointerId);
    const point = this.at(event);
    this.pointers.set(event.pointerId, point);
    if (this.pointers.size === 2) {
      this.cancelStroke();
      this.pinch = this.measurePinch();
    }
    if (this.pointers.size > 1 || this.pansWith(event)) return;
    if (this.tool === "fill") this.fill(this.cellAt(point));
    if (this.tool !== "brush" && this.tool !== "eraser") return;
    this.flush();
    const cell = this.cellAt(point);
    this.stroke = { last: cell, value: this.tool === "brush" ? FORCE_ON : FORCE_OFF, before: this.snapshot(), rect: null };
    this.paint(cell);
  }

  /** @param {PointerEvent} event */
  pansWith(event) {
    return this.tool === "move" || this.panning || (event.buttons & 4) !== 0;
  }

  /** @param {PointerEvent} event */
  onPointerMove(event) {
    const point = this.at(event);
    this.placePointer(point, event.pointerType);
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    this.pointers.set(event.pointerId, point);
    if (this.pinch) this.onPinch();
    else if (this.stroke) {
      // Fast strokes arrive several points at a time; scripted events bring none.
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length > 0 ? parts : [event]) this.paint(this.cellAt(this.at(part)));
    } else if (this.pansWith(event)) {
      this.setView({ ...this.view, x: this.view.x + point.x - last.x, y: this.view.y + point.y - last.y });
    }
  }

  /** @param {PointerEvent} event */
  onPointerUp(event) {
    this.pointers.delete(event.pointerId);
    if (this.pointers.size < 2) this.pinch = null;
    if (!this.stroke) return;
    const { before, rect } = this.stroke;
    this.stroke = null;
    this.commit(before, rect);
  }

  measurePinch() {
    const [a, b] = [...this.pointers.values()];
    return { distance: Math.hypot(a.x - b.x, a.y - b.y) || 1, x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  }

  onPinch() {
    const before = this.pinch;
    const now = this.measurePinch();
    if (!before) return;
    this.setView({ ...this.view, x: this.view.x + now.x - before.x, y: this.view.y + now.y - before.y });
    this.zoom(now.distance / before.distance, now);
    this.pinch = now;
  }

  /** @param {WheelEvent} event */
  onWheel(event) {
    // Without the focus a plain wheel scrolls the notebook, as everywhere else in it.
    if (!this.header || !(event.ctrlKey || this.ui.root.contains(document.activeElement))) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), this.at(event));
  }

  /**
   * @param {{x: number, y: number}} point
   * @param {string} type of pointer
   */
  placePointer(point, type) {
    const { pointer } = this.ui;
    pointer.hidden = !this.header || this.panning || type === "touch" || !["brush", "eraser"].includes(this.tool);
    if (pointer.hidden) return;
    const size = Math.max(3, this.model.get("brush") * this.view.scale);
    pointer.style.width = `${size}px`;
    pointer.style.height = `${size}px`;
    pointer.style.transform = `translate(${point.x - size / 2}px, ${point.y - size / 2}px)`;
  }

  // -- view and drawing

  screen() {
    return { width: this.ui.stage.clientWidth, height: this.ui.stage.clientHeight };
  }

  centre() {
    const { width, height } = this.screen();
    return { x: width / 2, y: height / 2 };
  }

  fit() {
    if (!this.header) return;
    this.setView(fitView(this.header, this.screen()));
    this.fitted = true;
  }

  /**
   * @param {number} factor
   * @param {{x: number, y: number}} point
   */
  zoom(factor, point) {
    if (this.header) this.setView(zoomAt(this.view, factor, point, fitView(this.header, this.screen()).scale));
  }

  /** @param {View} view */
  setView(view) {
    if (!this.header) return;
    this.fitted = false;
    this.view = clampView(view, this.header, this.screen());
    this.ui.zoom.textContent = `${Math.round(this.view.scale * 100)} %`;
    this.redraw("image");
  }

  onResize() {
    if (this.fitted) this.fit();
    this.redraw("image");
    this.refresh();
  }

  /** @param {"image" | "masks"} what the image implies its masks */
  redraw(what) {
    this.dirty.masks = true;
    if (what === "image") this.dirty.image = true;
    if (this.frame === 0) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    const ratio = window.devicePixelRatio;
    const { width, height } = this.screen();
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (columns === 0 || rows === 0) return;
    for (const canvas of [this.ui.image, this.ui.masks]) {
      if (canvas.width === columns && canvas.height === rows) continue;
      canvas.width = columns;
      canvas.height = rows;
      this.dirty = { image: true, masks: true };
    }
    if (this.dirty.image) this.drawImage(ratio);
    if (this.dirty.masks) this.drawMasks(ratio);
    this.dirty = { image: false, masks: false };
  }

  /** @param {number} ratio */
  drawImage(ratio) {
    const context = this.ui.image.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, this.ui.image.width, this.ui.image.height);
    if (!this.bitmap || !this.header) return;
    const { scale, x, y } = this.view;
    const scaleInBitmap = (scale * this.header.width * ratio) / this.bitmap.width;
    context.imageSmoothingEnabled = scaleInBitmap < 4;
    context.imageSmoothingQuality = "medium";
    context.drawImage(this.bitmap, x * ratio, y * ratio, this.header.width * scale * ratio, this.header.height * scale * ratio);
  }

  /** @param {number} ratio */
  drawMasks(ratio) {
    const { masks } = this.ui;
    const context = masks.getContext("2d");
    if (!context) return;
    if (!this.header || this.hidden) {
      context.clearRect(0, 0, masks.width, masks.height);
      return;
    }
    if (this.pixels?.width !== masks.width || this.pixels.height !== masks.height) {
      this.pixels = new ImageData(masks.width, masks.height);
    }
    const words = new Uint32Array(this.pixels.data.buffer);
    words.fill(0);
    const scale = this.view.scale * ratio;
    const xs = sampleAxis(masks.width, scale, this.view.x * ratio, this.header.width);
    const ys = sampleAxis(masks.height, scale, this.view.y * ratio, this.header.height);
    const alpha = this.model.get("outline") ? 0 : this.model.get("opacity");
    // The chosen concept lies on top.
    const order = [...this.layers.filter((_, index) => index !== this.active), this.layers[this.active]];
    const visible = order
      .filter((layer) => !layer.concept.absent)
      .map((layer) => ({
        scores: layer.scores,
        threshold: layer.threshold,
        fill: alpha === 0 ? 0 : colourWord(layer.concept.colour, alpha),
        edge: colourWord(layer.concept.colour, 1),
      }));
    paintMasks(words, xs, ys, this.header.width, visible, Math.max(1, Math.round(ratio * (alpha === 0 ? 2 : 1.5))));
    context.putImageData(this.pixels, 0, 0);
  }
}

export default { render };
