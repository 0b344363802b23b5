/**
 * ExemplarGallery: a virtualised wall of thumbnails to prune retrieval results with the keyboard.
 *
 * Heavy content travels as custom messages with binary buffers, never as traits, so that nothing but view
 * settings is kept in a saved notebook.
 *
 *   browser -> kernel   ready · need {thumbs, heats} · preview {id} · keep {ids, kept, token} · feedback {id, sign}
 *                       open {id} · exemplar {id, box} · painting {id, width, height} [1 bit a cell]
 *                       command {name: undo | redo | load_more}
 *   kernel -> browser   rows {rows} · state [records] · thumbs {ids} [one each] · heats {ids, shapes} [one each]
 *                       preview {id} [image] · ack {token} · focus {id}
 *
 * A decision shows at once and is replayed over every `state` that arrives before its `ack`, so that quick
 * keys never flicker and the kernel stays the only owner of the truth.
 *
 * This module has no imports: anywidget loads it from a blob: URL, where relative ones cannot resolve.
 */

/**
 * @typedef {object} Traits
 * @property {"browse" | "retrieve" | "prune" | "review"} mode what the images are shown for; `browse` decides nothing
 * @property {string} title what is looked for; shown as text
 * @property {string} status one line about what goes on
 * @property {string} error one sentence about what failed
 * @property {boolean} busy the kernel is at work on this gallery
 * @property {boolean} more further results can be loaded
 * @property {boolean} heat heat maps are shown
 * @property {number} size thumbnail side in CSS pixels
 * @property {number} height of the scrolling wall in CSS pixels
 */

/** @typedef {import("@anywidget/types").AnyModel<Traits>} Model */
/** @typedef {[id: string, label: string, duplicates: number, marks: number[][]]} Row a mark is [x, y, w, h], or the points of an outline [x, y, x, y, x, y …], in 0..1 */
/** @typedef {"" | "box" | "brush"} Tool */
/**
 * @typedef {object} Entry one image as it stands now
 * @property {string} id
 * @property {string} label
 * @property {number} duplicates
 * @property {number[][]} marks
 * @property {number} score
 * @property {number} support NaN where unknown
 * @property {number} x of the seed, 0..1, NaN where there is none
 * @property {number} y of the seed, 0..1, NaN where there is none
 * @property {boolean} kept
 * @property {boolean} outlier
 * @property {number} feedback -1 less, 0 none, 1 more like this
 */
/** @typedef {{token: string, ids: Set<string>, kept: boolean}} Pending */
/** @typedef {"left" | "accepted" | "rejected" | "absent"} Verdict of a review; what was skipped is left too */
/** @typedef {"all" | "kept" | "dropped" | "outliers" | Verdict} Filter */

const RECORD_BYTES = 24;
const KEPT = 1;
const OUTLIER = 2;
const GAP = 8;
const CAPTION = 40;
const OVERSCAN = 2;
const BATCH = 48;
const MAX_IN_FLIGHT = 2;
const CACHE = 600;
const PATIENCE = 15000;
const MIN_SIZE = 96;
const MAX_SIZE = 320;
const PAINTING = 512; // cells of the longer side
const SUPPRESS = "data-lm-suppress-shortcuts";
const SVG = "http://www.w3.org/2000/svg";

const PRUNING = { kept: "kept", dropped: "dropped", keep: "Keep", drop: "Drop", hint: "Space keeps or drops · B drops all below · ? shows every key" };
const BROWSING = { ...PRUNING, hint: "Enter looks closer · E draws a box · P paints · ? shows every key" };
const REVIEWING = { kept: "accepted", dropped: "rejected", keep: "Accept", drop: "Reject", hint: "K accepts · D rejects · N not here · Enter opens · ? shows every key" };

/** @type {Record<Verdict, string>} */
const VERDICTS = { left: "left", accepted: "accepted", rejected: "rejected", absent: "not here" };

const HOW_TO_DRAW = {
  "": "",
  box: "Drag a box around one example. By keyboard: arrows move it, Shift + arrows and [ ] size it, Enter takes it. Esc cancels.",
  brush: "Paint over one example, then take it. [ ] brush size, X eraser, Z undo, Esc cancels. By keyboard: arrows move, Space puts the brush down and up.",
};

/** @type {[keys: string, meaning: string, command?: string][]} those of a command show where it means something */
export const LEGEND = [
  ["← → ↑ ↓", "Move"],
  ["Home End PgUp PgDn", "Move far"],
  ["Shift + move or click", "Select a range"],
  ["Ctrl + click, Ctrl A", "Add to the selection, select all"],
  ["Space or X", "Keep or drop", "toggle"],
  ["D", "Drop", "drop"],
  ["K", "Keep", "keep"],
  ["B", "Drop all below here", "drop-below"],
  ["N", "Not here: every concept is absent", "absent"],
  ["+ −", "More, less like this", "more"],
  ["E", "Draw a box around an example", "box"],
  ["P", "Paint an example", "brush"],
  ["H", "Heat maps", "heat"],
  ["Enter", "Look closer"],
  ["Z", "Undo", "undo"],
  ["Y or Shift Z", "Redo", "redo"],
  ["Esc", "Close, clear the selection"],
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
    return { y: "redo", a: "select-all" }[key] ?? null;
  }
  if (key === "z") return event.shiftKey ? "redo" : "undo";
  return (
    {
      ArrowLeft: "move",
      ArrowRight: "move",
      ArrowUp: "move",
      ArrowDown: "move",
      Home: "move",
      End: "move",
      PageUp: "move",
      PageDown: "move",
      " ": "toggle",
      x: "toggle",
      d: "drop",
      k: "keep",
      b: "drop-below",
      n: "absent",
      h: "heat",
      y: "redo",
      "+": "more",
      "=": "more",
      "-": "less",
      "−": "less",
      e: "box",
      p: "brush",
      Enter: "preview",
      Escape: "close",
      "?": "legend",
    }[key] ?? null
  );
}

/**
 * Where a movement key leads from `index`.
 * @param {string} key
 * @param {number} index
 * @param {{columns: number, rows: number, count: number}} grid `rows` is how many fit on a page
 */
export function moveFocus(key, index, { columns, rows, count }) {
  if (count === 0) return -1;
  const step =
    {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      PageUp: -columns * rows,
      PageDown: columns * rows,
      Home: -count,
      End: count,
    }[key] ?? 0;
  const target = index + step;
  if (key === "ArrowUp" && target < 0) return index;
  if (key === "ArrowDown" && target >= count) {
    // The last row may be shorter: go down into it, but not sideways within it.
    return Math.floor(index / columns) < Math.floor((count - 1) / columns) ? count - 1 : index;
  }
  return Math.min(count - 1, Math.max(0, target));
}

/**
 * How many columns fit, and how wide each is made to fill the row.
 * @param {number} width
 * @param {number} size wished tile side
 */
export function columnsFor(width, size) {
  const columns = Math.max(1, Math.floor((width + GAP) / (size + GAP)));
  return { columns, tile: Math.max(1, Math.floor((width + GAP) / columns) - GAP) };
}

/**
 * Indices [first, last) of the tiles worth rendering.
 * @param {{scrollTop: number, viewport: number, rowHeight: number, columns: number, count: number, overscan?: number}} at
 */
export function visibleRange({ scrollTop, viewport, rowHeight, columns, count, overscan = OVERSCAN }) {
  const top = Math.floor(scrollTop / rowHeight) - overscan;
  const bottom = Math.ceil((scrollTop + viewport) / rowHeight) + overscan;
  const first = Math.min(count, Math.max(0, top * columns));
  return { first, last: Math.max(first, Math.min(count, bottom * columns)) };
}

/**
 * The ids between two positions, both included, in either direction.
 * @param {{id: string}[]} entries
 * @param {number} anchor
 * @param {number} index
 */
export function rangeIds(entries, anchor, index) {
  const lo = Math.max(0, Math.min(anchor, index));
  return entries.slice(lo, Math.max(anchor, index) + 1).map((entry) => entry.id);
}

/**
 * Entries in display order, from the static rows and the kernel's records.
 *
 * A record is 24 little-endian bytes: row u32, score f32, support f32, seed x f32, seed y f32, flags u8
 * (1 kept, 2 outlier), feedback i8, two spare.
 * @param {Row[]} rows
 * @param {DataView} records
 * @returns {Entry[]}
 */
export function decodeState(rows, records) {
  const entries = [];
  for (let at = 0; at + RECORD_BYTES <= records.byteLength; at += RECORD_BYTES) {
    const row = rows[records.getUint32(at, true)];
    if (!row) continue;
    const flags = records.getUint8(at + 20);
    entries.push({
      id: row[0],
      label: row[1],
      duplicates: row[2],
      marks: row[3],
      score: records.getFloat32(at + 4, true),
      support: records.getFloat32(at + 8, true),
      x: records.getFloat32(at + 12, true),
      y: records.getFloat32(at + 16, true),
      kept: (flags & KEPT) !== 0,
      outlier: (flags & OUTLIER) !== 0,
      feedback: records.getInt8(at + 21),
    });
  }
  return entries;
}

/**
 * Replays decisions that the kernel has not acknowledged over what it last said.
 * @param {Entry[]} entries
 * @param {Pending[]} pending oldest first
 */
export function applyPending(entries, pending) {
  if (pending.length === 0) return entries;
  return entries.map((entry) => {
    let kept = entry.kept;
    for (const decision of pending) if (decision.ids.has(entry.id)) kept = decision.kept;
    return kept === entry.kept ? entry : { ...entry, kept };
  });
}

/**
 * What a review has come to about an image.
 * @param {Entry} entry
 * @returns {Verdict}
 */
export function verdictOf(entry) {
  if (entry.kept) return entry.feedback > 0 ? "accepted" : "left";
  return entry.feedback < 0 ? "absent" : "rejected";
}

/**
 * @param {Entry[]} entries
 * @param {Filter} filter
 */
export function filterEntries(entries, filter) {
  if (filter in VERDICTS) return entries.filter((entry) => verdictOf(entry) === filter);
  if (filter === "kept") return entries.filter((entry) => entry.kept);
  if (filter === "dropped") return entries.filter((entry) => !entry.kept);
  if (filter === "outliers") return entries.filter((entry) => entry.outlier);
  return entries;
}

/**
 * Size of a picture fitted into a box, aspect kept, never enlarged beyond the box.
 * @param {number} width
 * @param {number} height
 * @param {number} boxWidth
 * @param {number} boxHeight
 */
export function fitInto(width, height, boxWidth, boxHeight) {
  const scale = Math.min(boxWidth / width, boxHeight / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * The box between two points of a drag as [x, y, w, h] in 0..1, or null if it is too small to mean anything.
 * @param {{x: number, y: number}} a
 * @param {{x: number, y: number}} b
 */
export function boxFromDrag(a, b) {
  const clamp = (/** @type {number} */ value) => Math.min(1, Math.max(0, value));
  const [x0, x1] = [clamp(Math.min(a.x, b.x)), clamp(Math.max(a.x, b.x))];
  const [y0, y1] = [clamp(Math.min(a.y, b.y)), clamp(Math.max(a.y, b.y))];
  return x1 - x0 < 0.01 || y1 - y0 < 0.01 ? null : [x0, y0, x1 - x0, y1 - y0];
}

/**
 * A box [x, y, w, h] in 0..1 after an arrow key moved it, or moved its right or lower edge, or after [ or ] scaled it.
 * @param {number[]} box
 * @param {string} key
 * @param {boolean} resize
 */
export function nudgeBox([x, y, width, height], key, resize) {
  const step = 0.02;
  const dx = { ArrowLeft: -step, ArrowRight: step }[key] ?? 0;
  const dy = { ArrowUp: -step, ArrowDown: step }[key] ?? 0;
  const grow = { "[": -step, "]": step }[key] ?? 0;
  const clamp = (/** @type {number} */ value, /** @type {number} */ low, /** @type {number} */ high) => Math.min(high, Math.max(low, value));
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

/**
 * RGBA pixels of a heat map: dark blue and clear where low, orange to yellow and opaque where high.
 * @param {Uint8Array} values
 */
export function heatPixels(values) {
  const stops = [
    [0, 30, 20, 110, 0],
    [96, 110, 30, 150, 90],
    [170, 235, 90, 40, 165],
    [255, 255, 235, 110, 215],
  ];
  const pixels = new Uint8ClampedArray(values.length * 4);
  values.forEach((value, index) => {
    const above = Math.max(1, stops.findIndex((stop) => value <= stop[0]));
    const [low, high] = [stops[above - 1], stops[above]];
    const part = (value - low[0]) / (high[0] - low[0]);
    for (let channel = 0; channel < 4; channel += 1) {
      pixels[index * 4 + channel] = low[channel + 1] + part * (high[channel + 1] - low[channel + 1]);
    }
  });
  return pixels;
}

/**
 * A long name in two parts, so that its end, which tells files apart, stays visible.
 * @param {string} label
 * @returns {[head: string, tail: string]}
 */
export function splitLabel(label) {
  const letters = [...label];
  if (letters.length <= 18) return [label, ""];
  return [letters.slice(0, -14).join(""), letters.slice(-14).join("")];
}

/**
 * A map that forgets what was used least recently.
 * @template V
 */
export class Lru {
  /** @type {Map<string, V>} */
  #map = new Map();
  #capacity;
  #evict;

  /**
   * @param {number} capacity
   * @param {(value: V) => void} evict called with every value that leaves
   */
  constructor(capacity, evict) {
    this.#capacity = capacity;
    this.#evict = evict;
  }

  get size() {
    return this.#map.size;
  }

  /** @param {string} key */
  has(key) {
    return this.#map.has(key);
  }

  /** @param {string} key */
  get(key) {
    const value = this.#map.get(key);
    if (value !== undefined) {
      this.#map.delete(key);
      this.#map.set(key, value);
    }
    return value;
  }

  /**
   * @param {string} key
   * @param {V} value
   */
  set(key, value) {
    const old = this.#map.get(key);
    if (old !== undefined) this.#evict(old);
    this.#map.delete(key);
    this.#map.set(key, value);
    while (this.#map.size > this.#capacity) {
      const [oldest, dropped] = /** @type {[string, V]} */ (this.#map.entries().next().value);
      this.#map.delete(oldest);
      this.#evict(dropped);
    }
  }

  clear() {
    for (const value of this.#map.values()) this.#evict(value);
    this.#map.clear();
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
  undo: "M6 3 2.5 6.5 6 10M3 6.5h6.5a4 4 0 0 1 0 8H6",
  redo: "M10 3l3.5 3.5L10 10M13 6.5H6.5a4 4 0 0 0 0 8H10",
  heat: "M8 1.5c.5 3 4 4.5 4 8.3A4.2 4.2 0 0 1 8 14.500a4.200 4.200 0 0 1-4-4.700c0-2 1.200-2.800 1.800-4.300C7 6 7.300 7 7.300 8 8.500 6.500 8.500 4 8 1.500Z",
  box: "M2.500 5V2.500H5M11 2.500h2.500V5M13.500 11v2.500H11M5 13.500H2.500V11M5.500 5.500h5v5h-5z",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  check: "M3 8.500l3.500 3.500L13 4.500",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
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

/** @param {DataView | ArrayBuffer} buffer */
function bytesOf(buffer) {
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer)
    : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** @param {DataView | ArrayBuffer} buffer */
function objectUrl(buffer) {
  // A view of a larger message must be copied: the blob would otherwise take all of it.
  return URL.createObjectURL(new Blob([bytesOf(buffer).slice()]));
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {number} count @param {string} noun */
function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}

// ------------------------------------------------------------------------------------------------------- view

/** @type {import("@anywidget/types").Render<Traits>} */
function render({ model, el }) {
  const gallery = new Gallery(model);
  el.append(gallery.ui.root);
  gallery.start();
  return () => gallery.dispose();
}

/**
 * What the controls can ask the view to do.
 * @typedef {object} Actions
 * @property {(command: string) => void} run a command of the keyboard
 * @property {(name: string) => void} command one that the kernel carries out
 * @property {(key: string) => void} step
 * @property {(name: Filter) => void} filter
 * @property {(size: number) => void} resize
 */

/**
 * All of the widget's DOM, by name.
 * @param {string} uid
 * @param {Actions} actions
 */
function buildUi(uid, actions) {
  const title = h("span", { class: "ra-title" });
  const counts = h("span", { class: "ra-counts" });
  const filters = h("div", { class: "ra-segments", role: "group", "aria-label": "Show" });
  for (const [name, text] of /** @type {[Filter, string][]} */ ([
    ["all", "All"],
    ["kept", "Kept"],
    ["dropped", "Dropped"],
    ["outliers", "Unlike the others"],
    ["left", "Left"],
    ["accepted", "Accepted"],
    ["rejected", "Rejected"],
    ["absent", "Not here"],
  ])) {
    const node = h("button", { type: "button", "data-filter": name, "aria-pressed": "false" }, text);
    node.addEventListener("click", () => actions.filter(name));
    filters.append(node);
  }
  const sizer = h("input", {
    type: "range",
    class: "ra-sizer",
    min: String(MIN_SIZE),
    max: String(MAX_SIZE),
    step: "8",
    "aria-label": "Thumbnail size",
    title: "Thumbnail size",
  });
  sizer.addEventListener("input", () => actions.resize(Number(sizer.value)));
  const heatButton = button("Heat maps", () => actions.run("heat"), { icon: ICONS.heat, text: "Heat maps", key: "H" });
  const bar = h(
    "div",
    { class: "ra-bar", role: "toolbar", "aria-label": "Gallery" },
    h("div", { class: "ra-heading" }, title, counts),
    filters,
    h("div", { class: "ra-spring" }),
    heatButton,
    button("Undo", () => actions.run("undo"), { icon: ICONS.undo, key: "Z", kind: "ra-decides" }),
    button("Redo", () => actions.run("redo"), { icon: ICONS.redo, key: "Y", kind: "ra-decides" }),
    sizer,
    button("Keys", () => actions.run("legend"), { text: "?", kind: "ra-round" }),
  );
  const alert = h("div", { class: "ra-alert", role: "alert", hidden: "" });
  const spacer = h("div", { class: "ra-spacer", role: "presentation" });
  const wall = h(
    "div",
    {
      class: "ra-wall",
      role: "listbox",
      tabindex: "0",
      "aria-multiselectable": "true",
      "aria-label": "Images",
      "aria-describedby": `${uid}-hint`,
    },
    spacer,
  );
  const empty = h("div", { class: "ra-empty" });
  const moreButton = button("Load more", () => actions.command("load_more"), { text: "Load more", kind: "ra-plain" });
  const status = h("span", { class: "ra-status" });
  const selectionText = h("span", { class: "ra-counts" });
  const hint = h("span", { class: "ra-hint", id: `${uid}-hint` }, PRUNING.hint);
  const foot = h(
    "div",
    { class: "ra-foot" },
    h("span", { class: "ra-spinner", "aria-hidden": "true" }),
    status,
    selectionText,
    h("div", { class: "ra-spring" }),
    hint,
    moreButton,
  );
  const live = h("div", { class: "ra-live", "aria-live": "polite" });
  const stage = h("div", { class: "ra-stage" }, wall, empty);
  const preview = buildPreview(actions);
  const legend = buildLegend(actions);
  const root = h(
    "div",
    { class: "ra-gallery", [SUPPRESS]: "true", role: "region", "aria-label": "Image gallery" },
    bar,
    alert,
    stage,
    foot,
    live,
  );
  stage.append(preview.previewPane, legend);
  return {
    root,
    title,
    counts,
    filters,
    sizer,
    heatButton,
    alert,
    spacer,
    wall,
    empty,
    moreButton,
    status,
    selectionText,
    hint,
    live,
    stage,
    legend,
    ...preview,
  };
}

/** @param {Actions} actions */
function buildPreview(actions) {
  const previewImage = h("img", { alt: "", draggable: "false" });
  const previewLayer = h("div", { class: "ra-layer" });
  const previewPicture = h("div", { class: "ra-picture" }, previewImage, previewLayer);
  const previewStage = h("div", { class: "ra-preview-stage" }, previewPicture);
  const previewName = h("div", { class: "ra-preview-name" });
  const previewFacts = h("dl", { class: "ra-facts" });
  const previewKeep = button("Keep or drop", () => actions.run("toggle"), { text: "Drop", key: "X", kind: "ra-plain" });
  const previewBox = button("Draw a box around an example", () => actions.run("box"), { text: "Draw a box", key: "E", kind: "ra-plain" });
  const previewBrush = button("Paint an example", () => actions.run("brush"), { text: "Paint", key: "P", kind: "ra-plain" });
  const previewUse = button("Use it as an example", () => actions.run("use"), { text: "Use it", key: "Enter", kind: "ra-plain ra-primary" });
  const previewMore = button("More like this", () => actions.run("more"), { text: "More like this", key: "+", kind: "ra-plain" });
  const previewLess = button("Less like this", () => actions.run("less"), { text: "Less like this", key: "−", kind: "ra-plain" });
  const previewHint = h("p", { class: "ra-hint" });
  const previewPane = h(
    "div",
    { class: "ra-preview", role: "dialog", "aria-label": "Larger image", tabindex: "-1", hidden: "" },
    previewStage,
    h(
      "div",
      { class: "ra-side" },
      h(
        "div",
        { class: "ra-side-top" },
        button("Previous image", () => actions.step("ArrowLeft"), { icon: ICONS.left, key: "←" }),
        button("Next image", () => actions.step("ArrowRight"), { icon: ICONS.right, key: "→" }),
        h("div", { class: "ra-spring" }),
        button("Close", () => actions.run("close"), { icon: ICONS.close, key: "Esc" }),
      ),
      previewName,
      previewFacts,
      previewKeep,
      previewMore,
      previewLess,
      previewBox,
      previewBrush,
      previewUse,
      previewHint,
    ),
  );
  return {
    previewPane,
    previewStage,
    previewPicture,
    previewImage,
    previewLayer,
    previewName,
    previewFacts,
    previewKeep,
    previewMore,
    previewLess,
    previewBox,
    previewBrush,
    previewUse,
    previewHint,
  };
}

/** @param {Actions} actions */
function buildLegend(actions) {
  const list = h("dl");
  for (const [keys, meaning, command = ""] of LEGEND) {
    list.append(h("dt", { "data-command": command }, keys), h("dd", { "data-command": command }, meaning));
  }
  return h(
    "div",
    { class: "ra-legend", role: "dialog", "aria-label": "Keys", tabindex: "-1", hidden: "" },
    h("div", { class: "ra-legend-top" }, h("strong", {}, "Keys"), button("Close", () => actions.run("close"), { icon: ICONS.close, key: "Esc" })),
    list,
  );
}


/** The widget's view: owns its DOM, asks the kernel for what is visible, and tells it what was decided. */
class Gallery {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.uid = `ra-${Math.random().toString(36).slice(2, 9)}`;
    /** @type {Row[]} */ this.rows = [];
    /** @type {Entry[]} what the kernel last said */ this.base = [];
    /** @type {Entry[]} with pending decisions */ this.entries = [];
    /** @type {Entry[]} after the filter */ this.shown = [];
    /** @type {Map<string, number>} */ this.position = new Map();
    /** @type {Pending[]} */ this.pending = [];
    /** @type {Filter} */ this.filter = "all";
    this.focus = "";
    this.anchor = "";
    /** @type {Set<string>} */ this.selected = new Set();
    this.received = false;
    /** @type {Lru<string>} */ this.thumbs = new Lru(CACHE, (url) => URL.revokeObjectURL(url));
    /** @type {Set<string>} */ this.unreadable = new Set();
    /** @type {Map<string, ImageData | null>} */ this.heats = new Map();
    /** @type {{kind: string, ids: Set<string>, until: number}[]} */ this.inFlight = [];
    /** @type {Map<string, Tile>} */ this.tiles = new Map();
    this.grid = { columns: 1, rows: 1, tile: 120, rowHeight: 168, count: 0 };
    this.frame = 0;
    this.counter = 0;
    this.timers = { request: 0, settle: 0, patience: 0 };
    this.preview = { url: "", id: "" };
    /** @type {(() => void)[]} */ this.cleanups = [];
    this.ui = buildUi(this.uid, {
      run: (command) => this.run(command),
      command: (name) => this.command(name),
      step: (key) => this.step(key),
      filter: (name) => this.setFilter(name),
      resize: (size) => this.resize(size),
    });
    this.drawer = new Drawer(this.ui.previewPicture, {
      box: (box) => this.model.send({ type: "exemplar", id: this.preview.id, box }),
      painting: ({ width, height, bits }) =>
        this.model.send({ type: "painting", id: this.preview.id, width, height }, undefined, [bits]),
      say: (text) => this.say(text),
    });
  }

  start() {
    this.listen(this.ui.root, "focusin", (event) => this.guard(/** @type {Element} */ (event.target), true));
    this.listen(this.ui.root, "keydown", (event) => this.onKey(/** @type {KeyboardEvent} */ (event)));
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      this.listen(this.ui.previewPicture, type, (event) => {
        if (this.drawer.onPointer(/** @type {PointerEvent} */ (event))) this.setTool("");
      });
    }
    this.listen(this.ui.wall, "scroll", () => this.schedule());
    this.listen(this.ui.wall, "click", (event) => this.onClick(/** @type {MouseEvent} */ (event)));
    this.listen(this.ui.wall, "dblclick", (event) => this.onDoubleClick(/** @type {MouseEvent} */ (event)));
    const observer = new ResizeObserver(() => this.layout());
    observer.observe(this.ui.wall);
    observer.observe(this.ui.previewStage);
    this.cleanups.push(() => observer.disconnect());

    const onMessage = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => this.onMessage(message, buffers);
    this.model.on("msg:custom", onMessage);
    this.cleanups.push(() => this.model.off("msg:custom", onMessage));
    for (const name of /** @type {(keyof Traits)[]} */ (["mode", "title", "status", "error", "busy", "more", "heat", "size", "height"])) {
      const onChange = () => this.onTrait(name);
      this.model.on(`change:${name}`, onChange);
      this.cleanups.push(() => this.model.off(`change:${name}`, onChange));
    }
    this.onTrait("size");
    this.model.send({ type: "ready" });
    this.timers.patience = window.setTimeout(() => this.refresh(), 8000);
    this.refresh();
  }

  /**
   * @param {EventTarget} target
   * @param {string} type
   * @param {(event: Event) => void} handler
   */
  listen(target, type, handler) {
    target.addEventListener(type, handler);
    this.cleanups.push(() => target.removeEventListener(type, handler));
  }

  dispose() {
    cancelAnimationFrame(this.frame);
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    for (const cleanup of this.cleanups) cleanup();
    this.thumbs.clear();
    if (this.preview.url) URL.revokeObjectURL(this.preview.url);
    this.ui.root.remove();
  }

  // -- what the kernel says

  /** @param {keyof Traits} name */
  onTrait(name) {
    if (name === "size" || name === "height") {
      this.ui.sizer.value = String(this.model.get("size"));
      this.ui.stage.style.height = `${this.model.get("height")}px`;
      this.layout();
    }
    this.refresh();
  }

  /**
   * @param {any} message
   * @param {DataView[]} buffers
   */
  onMessage(message, buffers) {
    if (message.type === "rows") this.rows = message.rows;
    if (message.type === "state") this.onState(buffers[0]);
    if (message.type === "ack") {
      this.pending = this.pending.filter((decision) => decision.token !== message.token);
      this.recompute();
    }
    if (message.type === "thumbs") this.onThumbs(message.ids, buffers);
    if (message.type === "heats") this.onHeats(message.ids, message.shapes, buffers);
    if (message.type === "preview") this.onPreview(message.id, buffers[0]);
    if (message.type === "focus") this.onFocus(message.id);
  }

  /** @param {DataView} records */
  onState(records) {
    const before = this.shown;
    this.received = true;
    this.base = decodeState(this.rows, records);
    // Seeds moved, so every heat map is out of date; those in sight are asked for again.
    this.heats.clear();
    if (before.length > 0) this.animate();
    this.recompute();
  }

  /**
   * @param {string[]} ids
   * @param {DataView[]} buffers
   */
  onThumbs(ids, buffers) {
    ids.forEach((id, index) => {
      if (buffers[index].byteLength === 0) this.unreadable.add(id);
      else this.thumbs.set(id, objectUrl(buffers[index]));
    });
    this.landed("thumbs", ids);
  }

  /**
   * @param {string[]} ids
   * @param {[number, number][]} shapes height, width; 0 x 0 where there is no map
   * @param {DataView[]} buffers
   */
  onHeats(ids, shapes, buffers) {
    ids.forEach((id, index) => {
      const [height, width] = shapes[index];
      this.heats.set(id, height * width ? new ImageData(heatPixels(bytesOf(buffers[index])), width, height) : null);
    });
    this.landed("heats", ids);
  }

  /**
   * @param {string} kind
   * @param {string[]} ids
   */
  landed(kind, ids) {
    this.inFlight = this.inFlight.filter((batch) => batch.kind !== kind || !ids.some((id) => batch.ids.has(id)));
    this.schedule();
  }

  /** @param {string} id */
  onFocus(id) {
    // The wall may only just be shown again: it has no size before the next frame.
    requestAnimationFrame(() => {
      this.ui.wall.focus({ preventScroll: true });
      this.layout();
      const index = this.position.get(id);
      if (index !== undefined) this.focusAt(index, false);
    });
  }

  // -- what is shown

  recompute() {
    this.entries = applyPending(this.base, this.pending);
    this.shown = filterEntries(this.entries, this.filter);
    const oldIndex = this.position.get(this.focus) ?? 0;
    this.position = new Map(this.shown.map((entry, index) => [entry.id, index]));
    for (const id of this.selected) if (!this.position.has(id)) this.selected.delete(id);
    if (!this.position.has(this.focus)) {
      this.focus = this.shown[Math.min(oldIndex, this.shown.length - 1)]?.id ?? "";
      this.anchor = this.focus;
    }
    this.layout();
    this.refresh();
  }

  animate() {
    this.ui.spacer.classList.add("ra-moving");
    clearTimeout(this.timers.settle);
    this.timers.settle = window.setTimeout(() => this.ui.spacer.classList.remove("ra-moving"), 260);
  }

  layout() {
    const width = this.ui.wall.clientWidth - 2 * GAP;
    if (width > 0) {
      const { columns, tile } = columnsFor(width, this.model.get("size"));
      const rowHeight = tile + CAPTION + GAP;
      const rows = Math.max(1, Math.floor(this.ui.wall.clientHeight / rowHeight));
      this.grid = { columns, rows, tile, rowHeight, count: this.shown.length };
      this.ui.spacer.style.height = `${Math.ceil(this.shown.length / columns) * rowHeight}px`;
    }
    if (!this.ui.previewPane.hidden) this.placePreview();
    this.schedule();
  }

  schedule() {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    const { columns, rowHeight, count } = this.grid;
    const range = visibleRange({
      scrollTop: this.ui.wall.scrollTop,
      viewport: this.ui.wall.clientHeight,
      rowHeight,
      columns,
      count,
    });
    const wanted = this.shown.slice(range.first, range.last);
    const ids = new Set(wanted.map((entry) => entry.id));
    for (const [id, tile] of this.tiles) {
      if (ids.has(id)) continue;
      tile.node.remove();
      this.tiles.delete(id);
    }
    wanted.forEach((entry, offset) => this.paintTile(entry, range.first + offset));
    if (this.focus) this.ui.wall.setAttribute("aria-activedescendant", `${this.uid}-${this.focus}`);
    else this.ui.wall.removeAttribute("aria-activedescendant");
    if (!this.ui.previewPane.hidden) this.fillPreview();
    // Not pushed back by the next paint: a long scroll must not starve the wall.
    if (this.timers.request === 0) this.timers.request = window.setTimeout(() => this.request(), 30);
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
      index,
      count: this.shown.length,
      url: this.thumbs.get(entry.id) ?? "",
      unreadable: this.unreadable.has(entry.id),
      heat: this.heatShown ? (this.heats.get(entry.id) ?? null) : null,
      focused: entry.id === this.focus,
      selected: this.selected.has(entry.id),
      prune: this.model.get("mode") === "prune",
      review: this.reviewing,
    });
  }

  get heatShown() {
    return this.model.get("mode") === "prune" && this.model.get("heat");
  }

  request() {
    this.timers.request = 0;
    // A request that was never answered (kernel restarted, error) must not block the wall for good.
    this.inFlight = this.inFlight.filter((batch) => batch.until > performance.now());
    if (this.inFlight.length >= MAX_IN_FLIGHT) {
      this.timers.request = window.setTimeout(() => this.request(), 1000);
      return;
    }
    const ids = [...this.tiles.keys()];
    if (!this.ui.previewPane.hidden && this.focus && !ids.includes(this.focus)) ids.push(this.focus);
    const missing = (/** @type {string} */ kind, /** @type {{has: (id: string) => boolean}[]} */ ...have) => {
      have.push(...this.inFlight.filter((batch) => batch.kind === kind).map((batch) => batch.ids));
      const batch = ids.filter((id) => !have.some((known) => known.has(id))).slice(0, BATCH);
      if (batch.length > 0) this.inFlight.push({ kind, ids: new Set(batch), until: performance.now() + PATIENCE });
      return batch;
    };
    const thumbs = missing("thumbs", this.thumbs, this.unreadable);
    const heats = this.heatShown ? missing("heats", this.heats) : [];
    if (thumbs.length + heats.length > 0) this.model.send({ type: "need", thumbs, heats });
  }

  refresh() {
    const mode = this.model.get("mode");
    const kept = this.entries.filter((entry) => entry.kept).length;
    const outliers = this.entries.filter((entry) => entry.outlier).length;
    const total = this.entries.length;
    this.ui.title.textContent = this.model.get("title");
    const decided = this.reviewing ? this.verdicts() : `${kept.toLocaleString()} kept · ${(total - kept).toLocaleString()} dropped`;
    this.ui.counts.textContent = total === 0 ? "" : this.browsing ? plural(total, "image") : decided;
    this.ui.root.dataset.mode = mode;
    this.ui.hint.textContent = this.words.hint;
    for (const node of this.ui.filters.querySelectorAll("button")) {
      const name = node.dataset.filter ?? "";
      node.setAttribute("aria-pressed", String(name === this.filter));
      node.hidden = name !== "all" && name in VERDICTS !== this.reviewing;
      if (name === "outliers") {
        node.hidden ||= outliers === 0 && this.filter !== "outliers";
        node.textContent = `Unlike the others ${outliers}`;
      }
    }
    this.ui.filters.hidden = total === 0 || this.browsing;
    this.ui.heatButton.hidden = mode !== "prune";
    this.ui.heatButton.setAttribute("aria-pressed", String(this.model.get("heat")));
    this.ui.alert.textContent = this.model.get("error");
    this.ui.alert.hidden = this.model.get("error") === "";
    this.ui.status.textContent = this.model.get("status");
    this.ui.selectionText.textContent = this.selected.size > 1 ? `${this.selected.size.toLocaleString()} selected` : "";
    this.ui.root.classList.toggle("ra-busy", this.model.get("busy"));
    this.ui.moreButton.hidden = !this.model.get("more");
    /** @type {HTMLButtonElement} */ (this.ui.moreButton).disabled = this.model.get("busy");
    this.ui.empty.hidden = this.shown.length > 0;
    this.ui.empty.textContent = this.emptyText(total);
    this.ui.wall.setAttribute("aria-busy", String(this.model.get("busy")));
    this.schedule();
  }

  /** How many images have come to what. */
  verdicts() {
    return Object.entries(VERDICTS)
      .map(([name, word]) => [filterEntries(this.entries, /** @type {Verdict} */ (name)).length, word])
      .filter(([count, word]) => count || word === "left")
      .map(([count, word]) => `${count.toLocaleString()} ${word}`)
      .join(" · ");
  }

  get reviewing() {
    return this.model.get("mode") === "review";
  }

  get browsing() {
    return this.model.get("mode") === "browse";
  }

  /** Commands that make no sense for what the images are shown for. */
  get idle() {
    const heat = this.model.get("mode") === "prune" ? [] : ["heat"];
    if (this.browsing) return ["toggle", "drop", "keep", "drop-below", "absent", "more", "less", "undo", "redo", ...heat];
    return this.reviewing ? ["drop-below", "more", "less", "box", "brush", ...heat] : ["absent", ...heat];
  }

  get words() {
    return this.reviewing ? REVIEWING : this.browsing ? BROWSING : PRUNING;
  }

  /** @param {number} total */
  emptyText(total) {
    if (this.model.get("busy")) return this.model.get("status") || "Working…";
    if (!this.received) {
      return performance.now() - this.startedAt > 7900
        ? "The kernel does not answer. It may be busy with another cell, or stopped: then run this cell again."
        : "Waiting for the kernel…";
    }
    if (total === 0) return this.model.get("title") ? "No images found. Try another word, or draw an exemplar." : "Nothing to show yet.";
    return {
      all: "",
      kept: "Every image is dropped.",
      dropped: "No image is dropped.",
      outliers: "No image is unlike the others.",
      left: "Every image is decided.",
      accepted: "No image is accepted yet.",
      rejected: "No image is rejected.",
      absent: "Of no image it was said that nothing is here.",
    }[this.filter];
  }

  startedAt = performance.now();

  // -- keyboard and pointer

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
    const onControl = target.closest("button, input");
    if (!onControl && this.drawer.onKey(event)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (command === null) return;
    if (command === "preview" && this.drawer.tool !== "" && !onControl) {
      event.preventDefault();
      this.run("use");
      return;
    }
    if (onControl && ["move", "toggle", "preview"].includes(command) && event.key.length !== 1) return;
    if (onControl && event.key === " ") return;
    event.preventDefault();
    event.stopPropagation();
    if (command === "move") this.step(event.key, event.shiftKey);
    else this.run(command);
  }

  /** @param {string} command */
  run(command) {
    const index = this.position.get(this.focus) ?? -1;
    const entry = this.shown[index];
    if (this.idle.includes(command)) return;
    if (command === "undo" || command === "redo") this.command(command);
    else if (command === "legend") this.toggleLegend(this.ui.legend.hidden !== false);
    else if (command === "close") this.close();
    else if (command === "heat") this.toggleHeat();
    else if (command === "select-all") this.select(this.shown.map((item) => item.id));
    else if (!entry) return;
    else if (command === "toggle") this.decide(this.targets(), !entry.kept);
    else if (command === "drop" || command === "keep") this.decide(this.targets(), command === "keep");
    else if (command === "drop-below") this.decide(this.shown.slice(index + 1).map((item) => item.id), false);
    else if (command === "absent") this.deny(this.targets());
    else if (command === "more" || command === "less") this.feedback(entry, command === "more" ? 1 : -1);
    else if (command === "preview" && this.reviewing) this.model.send({ type: "open", id: entry.id });
    else if (command === "preview") this.openPreview("");
    else if (command === "box" || command === "brush") this.openPreview(this.drawer.tool === command ? "" : command);
    else if (command === "use" && this.drawer.use()) this.setTool("");
  }

  targets() {
    return this.selected.has(this.focus) ? [...this.selected] : [this.focus];
  }

  /**
   * @param {string[]} ids
   * @param {boolean} kept
   */
  decide(ids, kept) {
    const wanted = new Set(ids);
    // In a review what is merely not rejected can still be accepted, and what is absent rejected.
    const same = (/** @type {Entry} */ entry) =>
      this.reviewing ? verdictOf(entry) === (kept ? "accepted" : "rejected") : entry.kept === kept;
    const changed = this.entries.filter((entry) => wanted.has(entry.id) && !same(entry)).map((entry) => entry.id);
    if (changed.length === 0) return;
    this.counter += 1;
    const token = `${this.uid}-${this.counter}`;
    this.pending.push({ token, ids: new Set(changed), kept });
    this.model.send({ type: "keep", ids: changed, kept, token });
    this.say(`${plural(changed.length, "image")} ${kept ? this.words.kept : this.words.dropped}`);
    this.recompute();
  }

  /**
   * Says of images in a review that nothing is there.
   * @param {string[]} ids
   */
  deny(ids) {
    for (const id of ids) this.model.send({ type: "feedback", id, sign: -1 });
    this.say(`${plural(ids.length, "image")} not here`);
  }

  /**
   * @param {Entry} entry
   * @param {number} sign
   */
  feedback(entry, sign) {
    const next = entry.feedback === sign ? 0 : sign;
    this.model.send({ type: "feedback", id: entry.id, sign: next });
    this.say(next === 0 ? "Mark removed" : next > 0 ? "More like this" : "Less like this");
  }

  /** @param {string} name */
  command(name) {
    this.model.send({ type: "command", name });
  }

  /** @param {number} size */
  resize(size) {
    this.model.set("size", size);
    this.model.save_changes();
  }

  toggleHeat() {
    if (this.model.get("mode") !== "prune") return;
    this.model.set("heat", !this.model.get("heat"));
    this.model.save_changes();
  }

  /** @param {string} text */
  say(text) {
    this.ui.live.textContent = text;
  }

  /** @param {Filter} filter */
  setFilter(filter) {
    this.filter = filter;
    this.ui.wall.scrollTop = 0;
    this.recompute();
  }

  /** @param {string[]} ids */
  select(ids) {
    this.selected = new Set(ids);
    this.refresh();
  }

  /**
   * @param {string} key
   * @param {boolean} [extend]
   */
  step(key, extend = false) {
    const inPreview = !this.ui.previewPane.hidden;
    const grid = inPreview ? { ...this.grid, columns: 1, rows: this.grid.rows } : this.grid;
    const index = moveFocus(key, this.position.get(this.focus) ?? 0, grid);
    if (index >= 0) this.focusAt(index, extend && !inPreview);
    if (inPreview) this.openPreview("");
  }

  /**
   * @param {number} index
   * @param {boolean} extend
   */
  focusAt(index, extend) {
    this.focus = this.shown[index].id;
    if (!extend) this.anchor = this.focus;
    this.selected = new Set(extend ? rangeIds(this.shown, this.position.get(this.anchor) ?? index, index) : []);
    this.reveal(index);
    this.refresh();
  }

  /** @param {number} index */
  reveal(index) {
    const { columns, rowHeight } = this.grid;
    const top = Math.floor(index / columns) * rowHeight;
    if (top < this.ui.wall.scrollTop) this.ui.wall.scrollTop = top;
    const overflow = top + rowHeight + GAP - this.ui.wall.clientHeight;
    if (overflow > this.ui.wall.scrollTop) this.ui.wall.scrollTop = overflow;
  }

  /** @param {Event} event */
  hit(event) {
    const node = /** @type {HTMLElement} */ (event.target).closest(".ra-tile");
    return node ? (this.position.get(/** @type {HTMLElement} */ (node).dataset.id ?? "") ?? -1) : -1;
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const index = this.hit(event);
    if (index < 0) return;
    const { id, kept } = this.shown[index];
    if (/** @type {HTMLElement} */ (event.target).closest(".ra-toggle")) {
      this.decide(this.selected.has(id) ? [...this.selected] : [id], !kept);
    } else if (event.ctrlKey || event.metaKey) {
      if (this.selected.size === 0) this.selected.add(this.focus);
      if (!this.selected.delete(id)) this.selected.add(id);
      this.focus = id;
      this.anchor = id;
      this.refresh();
    } else {
      this.focusAt(index, event.shiftKey);
    }
  }

  /** @param {MouseEvent} event */
  onDoubleClick(event) {
    if (this.hit(event) >= 0 && !(/** @type {HTMLElement} */ (event.target).closest(".ra-toggle"))) this.run("preview");
  }

  // -- legend and preview

  /** @param {boolean} open */
  toggleLegend(open) {
    for (const node of /** @type {NodeListOf<HTMLElement>} */ (this.ui.legend.querySelectorAll("[data-command]"))) {
      node.hidden = this.idle.includes(node.dataset.command ?? "");
    }
    this.ui.legend.hidden = !open;
    (open ? this.ui.legend : this.ui.previewPane.hidden ? this.ui.wall : this.ui.previewPane).focus();
  }

  close() {
    if (!this.ui.legend.hidden) this.toggleLegend(false);
    else if (this.drawer.tool !== "") this.setTool("");
    else if (!this.ui.previewPane.hidden) this.closePreview();
    else this.select([]);
  }

  closePreview() {
    this.ui.previewPane.hidden = true;
    this.preview.id = "";
    this.ui.wall.focus();
  }

  /** @param {Tool} tool */
  openPreview(tool) {
    const wasHidden = this.ui.previewPane.hidden;
    // What was painted is not lost by going on to another image.
    if (this.drawer.tool === "brush" && !wasHidden) this.drawer.use();
    this.ui.previewPane.hidden = false;
    if (this.preview.id !== this.focus) {
      this.preview.id = this.focus;
      if (this.preview.url) URL.revokeObjectURL(this.preview.url);
      this.preview.url = "";
      // The thumbnail stands in until the full image arrives.
      this.ui.previewImage.onload = () => this.placePreview();
      this.ui.previewImage.src = this.thumbs.get(this.focus) ?? "";
      this.model.send({ type: "preview", id: this.focus });
    }
    this.setTool(tool);
    this.fillPreview();
    this.placePreview();
    if (wasHidden || tool !== "") this.ui.previewPane.focus();
    this.schedule();
  }

  /**
   * @param {string} id
   * @param {DataView} buffer
   */
  onPreview(id, buffer) {
    if (id !== this.preview.id) return;
    if (buffer.byteLength === 0) {
      this.ui.previewHint.textContent = "This image cannot be read.";
      return;
    }
    this.preview.url = objectUrl(buffer);
    this.ui.previewImage.src = this.preview.url;
  }

  /** @param {Tool} tool */
  setTool(tool) {
    this.drawer.start(tool);
    this.ui.previewPane.classList.toggle("ra-drawing", tool !== "");
    this.ui.previewBox.setAttribute("aria-pressed", String(tool === "box"));
    this.ui.previewBrush.setAttribute("aria-pressed", String(tool === "brush"));
    this.ui.previewUse.hidden = tool === "";
    this.ui.previewHint.textContent = HOW_TO_DRAW[tool];
  }

  placePreview() {
    const { naturalWidth, naturalHeight } = this.ui.previewImage;
    const box = this.ui.previewStage.getBoundingClientRect();
    if (!naturalWidth || box.width < 40) return;
    const size = fitInto(naturalWidth, naturalHeight, box.width - 32, box.height - 32);
    this.ui.previewPicture.style.width = `${size.width}px`;
    this.ui.previewPicture.style.height = `${size.height}px`;
  }

  fillPreview() {
    const entry = this.shown[this.position.get(this.focus) ?? -1];
    if (!entry) {
      this.closePreview();
      return;
    }
    const heat = this.heatShown ? (this.heats.get(entry.id) ?? null) : null;
    overlay(this.ui.previewLayer, entry, heat, this.model.get("mode") === "prune");
    this.ui.previewPane.classList.toggle("ra-dropped", !entry.kept);
    this.ui.previewName.textContent = entry.label;
    /** @type {[string, string][]} */
    const facts = [];
    if (!Number.isNaN(entry.score)) facts.push(["Score", entry.score.toFixed(3)]);
    if (!Number.isNaN(entry.support)) facts.push(["Support", entry.support.toFixed(3)]);
    if (!this.browsing) facts.push(["Decision", entry.kept ? this.words.kept : this.words.dropped]);
    if (entry.outlier) facts.push(["Note", "unlike the others"]);
    if (entry.duplicates > 0) facts.push(["Folded", plural(entry.duplicates, "duplicate")]);
    if (entry.marks.length > 0) facts.push(["Examples", entry.marks.length.toLocaleString()]);
    this.ui.previewFacts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    /** @type {HTMLElement} */ (this.ui.previewKeep.firstChild).textContent = entry.kept ? this.words.drop : this.words.keep;
    this.ui.previewKeep.hidden = this.browsing;
    this.ui.previewMore.hidden = this.ui.previewLess.hidden = this.browsing;
    this.ui.previewMore.setAttribute("aria-pressed", String(entry.feedback > 0));
    this.ui.previewLess.setAttribute("aria-pressed", String(entry.feedback < 0));
  }
}

/** Marks one example on the larger image, as a box or with a brush, by pointer or by keyboard. */
class Drawer {
  /**
   * @param {HTMLElement} picture
   * @param {{box: (box: number[]) => void, painting: (painting: {width: number, height: number, bits: Uint8Array}) => void, say: (text: string) => void}} report
   */
  constructor(picture, report) {
    this.picture = picture;
    this.report = report;
    /** @type {Tool} */ this.tool = "";
    /** @type {number[] | null} [x, y, w, h] in 0..1 */ this.box = null;
    /** @type {{x: number, y: number} | null} where a drag began or came to, in 0..1 */ this.from = null;
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
    const { clientWidth: width, clientHeight: height } = this.picture;
    const scale = PAINTING / Math.max(1, width, height);
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.canvas.hidden = tool !== "brush";
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
      const bits = packPainting(this.context().getImageData(0, 0, width, height).data);
      if (bits.every((byte) => byte === 0)) return false;
      this.report.painting({ width, height, bits });
    } else return false;
    this.report.say("Example taken");
    return true;
  }

  context() {
    return /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { willReadFrequently: true }));
  }

  remember() {
    this.past.push(this.context().getImageData(0, 0, this.canvas.width, this.canvas.height));
    if (this.past.length > 50) this.past.shift();
  }

  /**
   * Paints, or erases, from one point to another, both in 0..1.
   * @param {{x: number, y: number}} a
   * @param {{x: number, y: number}} b
   */
  paint(a, b) {
    const context = this.context();
    const { width, height } = this.canvas;
    context.globalCompositeOperation = this.erasing ? "destination-out" : "source-over";
    context.strokeStyle = "#ff9f1c";
    context.lineCap = "round";
    context.lineWidth = this.size * Math.max(width, height);
    context.beginPath();
    context.moveTo(a.x * width, a.y * height);
    context.lineTo(b.x * width, b.y * height);
    context.stroke();
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} whether the key was for drawing
   */
  onKey(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const undo = key === "z" && !event.shiftKey && !event.altKey;
    if (this.tool === "" || ((event.ctrlKey || event.metaKey || event.altKey) && !undo)) return false;
    const arrow = key.startsWith("Arrow");
    if (this.tool === "box") {
      if (!arrow && key !== "[" && key !== "]") return false;
      this.box = this.box ? nudgeBox(this.box, key, event.shiftKey) : [0.3, 0.3, 0.4, 0.4];
      const [x, y, width, height] = this.box.map((value) => `${Math.round(value * 100)} %`);
      this.report.say(`Box at ${x}, ${y}, ${width} wide, ${height} high`);
    } else if (arrow) this.travel(key, event.shiftKey ? 0.08 : 0.02);
    else if (key === " ") this.dip();
    else if (key === "x") this.erasing = !this.erasing;
    else if (key === "[") this.size = Math.max(0.01, this.size / 1.25);
    else if (key === "]") this.size = Math.min(0.6, this.size * 1.25);
    else if (undo) this.undo();
    else return false;
    this.show();
    return true;
  }

  /**
   * @param {string} key
   * @param {number} step
   */
  travel(key, step) {
    const dx = { ArrowLeft: -step, ArrowRight: step }[key] ?? 0;
    const dy = { ArrowUp: -step, ArrowDown: step }[key] ?? 0;
    const to = { x: Math.min(1, Math.max(0, this.cursor.x + dx)), y: Math.min(1, Math.max(0, this.cursor.y + dy)) };
    if (this.down) this.paint(this.cursor, to);
    this.cursor = to;
  }

  dip() {
    this.down = !this.down;
    if (this.down) {
      this.remember();
      this.paint(this.cursor, this.cursor);
    }
    this.report.say(this.down ? "Brush down" : "Brush up");
  }

  undo() {
    const last = this.past.pop();
    if (last) this.context().putImageData(last, 0, 0);
    this.down = false;
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
      if (this.tool === "brush") this.remember();
    }
    const done = this.tool === "box" ? this.onBoxPointer(event.type, at) : this.onBrushPointer(event, at);
    this.show();
    return done;
  }

  /**
   * @param {string} type
   * @param {{x: number, y: number}} at
   */
  onBoxPointer(type, at) {
    if (type === "pointerdown") this.from = at;
    if (this.from) this.box = type === "pointercancel" ? null : boxFromDrag(this.from, at);
    if (type !== "pointerup" && type !== "pointercancel") return false;
    this.from = null;
    return this.use();
  }

  /**
   * @param {PointerEvent} event
   * @param {{x: number, y: number}} at
   */
  onBrushPointer(event, at) {
    this.cursor = at;
    if (event.type === "pointerdown" || this.from) this.paint(this.from ?? at, at);
    this.from = event.type === "pointerdown" || (this.from && event.type === "pointermove") ? at : null;
    return false;
  }
}

/**
 * @param {HTMLElement} node
 * @param {number[]} box [x, y, w, h] in 0..1
 */
function placeBox(node, [x, y, width, height]) {
  node.style.left = `${x * 100}%`;
  node.style.top = `${y * 100}%`;
  node.style.width = `${width * 100}%`;
  node.style.height = `${height * 100}%`;
}

/** @param {number[]} box [x, y, w, h] in 0..1 */
function boxMark(box) {
  const node = h("span", { class: "ra-mark" });
  placeBox(node, box);
  return node;
}

/** @param {number[]} points [x, y, x, y, x, y …] in 0..1 */
function outlineMark(points) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "ra-outline");
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("preserveAspectRatio", "none");
  for (const name of ["ra-under", "ra-over"]) {
    const shape = document.createElementNS(SVG, "polygon");
    shape.setAttribute("class", name);
    shape.setAttribute("points", points.join(" "));
    svg.append(shape);
  }
  return svg;
}

/**
 * Draws heat map, seed and marked examples over a picture.
 * @param {HTMLElement} layer
 * @param {Entry} entry
 * @param {ImageData | null} heat
 * @param {boolean} prune
 */
function overlay(layer, entry, heat, prune) {
  const parts = [];
  if (heat) {
    const canvas = h("canvas", { class: "ra-heat", width: String(heat.width), height: String(heat.height) });
    canvas.getContext("2d")?.putImageData(heat, 0, 0);
    parts.push(canvas);
  }
  for (const mark of entry.marks) parts.push(mark.length === 4 ? boxMark(mark) : outlineMark(mark));
  if (prune && entry.kept && !Number.isNaN(entry.x)) {
    const seed = h("span", { class: "ra-seed" });
    seed.style.left = `${entry.x * 100}%`;
    seed.style.top = `${entry.y * 100}%`;
    parts.push(seed);
  }
  layer.replaceChildren(...parts);
}

/** One thumbnail. Its DOM is touched only where something changed. */
class Tile {
  /** @param {string} domId */
  constructor(domId) {
    this.image = h("img", { alt: "", draggable: "false", decoding: "async" });
    this.layer = h("div", { class: "ra-layer" });
    this.picture = h("div", { class: "ra-picture" }, this.image, this.layer);
    this.note = h("div", { class: "ra-note" });
    this.toggle = h("span", { class: "ra-toggle", "aria-hidden": "true" });
    this.badges = h("div", { class: "ra-badges", "aria-hidden": "true" });
    this.head = h("span", { class: "ra-head" });
    this.tail = h("span", { class: "ra-tail" });
    this.score = h("span", { class: "ra-score" });
    this.meter = h("span", { class: "ra-meter" }, h("i"));
    this.frame = h("div", { class: "ra-frame" }, this.picture, this.note, this.badges, this.toggle);
    this.name = h("div", { class: "ra-name" }, this.head, this.tail);
    this.node = h(
      "div",
      { class: "ra-tile", role: "option", id: domId, "aria-selected": "false" },
      this.frame,
      h("div", { class: "ra-caption" }, this.name, h("div", { class: "ra-numbers" }, this.score, this.meter)),
    );
    this.side = 0;
    this.url = "";
    this.signature = "";
    /** @type {ImageData | null | undefined} */ this.heat = undefined;
    this.image.addEventListener("load", () => this.fit());
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} side
   */
  place(x, y, side) {
    this.node.style.transform = `translate(${x}px, ${y}px)`;
    if (side === this.side) return;
    this.side = side;
    this.node.style.width = `${side}px`;
    this.frame.style.height = `${side}px`;
    this.fit();
  }

  fit() {
    const { naturalWidth, naturalHeight } = this.image;
    if (!naturalWidth) return;
    const size = fitInto(naturalWidth, naturalHeight, this.side, this.side);
    this.picture.style.width = `${size.width}px`;
    this.picture.style.height = `${size.height}px`;
  }

  /**
   * @param {Entry} entry
   * @param {{index: number, count: number, url: string, unreadable: boolean, heat: ImageData | null, focused: boolean, selected: boolean, prune: boolean, review: boolean}} look
   */
  show(entry, look) {
    if (look.url !== this.url) {
      this.url = look.url;
      if (look.url) this.image.src = look.url;
      else this.image.removeAttribute("src");
    }
    const signature = JSON.stringify([entry, look.index, look.count, look.unreadable, look.focused, look.selected, look.prune, look.review, look.url !== ""]);
    if (signature === this.signature && look.heat === this.heat) return;
    this.signature = signature;
    this.heat = look.heat;
    const { node } = this;
    node.dataset.id = entry.id;
    node.classList.toggle("ra-focused", look.focused);
    node.classList.toggle("ra-selected", look.selected);
    node.classList.toggle("ra-dropped", !entry.kept);
    node.classList.toggle("ra-loading", !look.url && !look.unreadable);
    node.setAttribute("aria-selected", String(look.selected || look.focused));
    node.setAttribute("aria-setsize", String(look.count));
    node.setAttribute("aria-posinset", String(look.index + 1));
    node.setAttribute("aria-label", describe(entry, look.prune, look.review));
    this.name.title = entry.label;
    [this.head.textContent, this.tail.textContent] = splitLabel(entry.label);
    this.score.textContent = Number.isNaN(entry.score) ? "" : entry.score.toFixed(2);
    const showSupport = look.prune && !Number.isNaN(entry.support);
    this.meter.hidden = !showSupport;
    this.meter.title = showSupport ? `Support ${entry.support.toFixed(3)}: how well the other images agree with this seed` : "";
    /** @type {HTMLElement} */ (this.meter.firstChild).style.width = `${Math.min(1, Math.max(0, entry.support || 0)) * 100}%`;
    this.note.textContent = look.unreadable ? "Cannot be read" : "";
    this.toggle.replaceChildren(icon(entry.kept ? ICONS.close : ICONS.check));
    const words = look.review ? REVIEWING : PRUNING;
    this.toggle.title = `${entry.kept ? words.drop : words.keep} (X)`;
    this.badges.replaceChildren(...badges(entry, look.review).map(([kind, text]) => h("span", { class: `ra-badge ${kind}` }, text)));
    if (look.unreadable) this.layer.replaceChildren();
    else overlay(this.layer, entry, look.heat, look.prune);
  }
}

/**
 * @param {Entry} entry
 * @param {boolean} review
 * @returns {[kind: string, text: string][]}
 */
function badges(entry, review) {
  /** @type {[string, string][]} */
  const list = [];
  if (review) {
    const verdict = verdictOf(entry);
    if (verdict === "left") return entry.feedback < 0 ? [["ra-less", "Skipped"]] : [];
    return [[verdict === "accepted" ? "ra-more" : "ra-out", capital(VERDICTS[verdict])]];
  }
  if (!entry.kept) list.push(["ra-out", "Dropped"]);
  else if (entry.outlier) list.push(["ra-warn", "Unlike the others"]);
  if (entry.feedback > 0) list.push(["ra-more", "+ More"]);
  if (entry.feedback < 0) list.push(["ra-less", "− Less"]);
  if (entry.duplicates > 0) list.push(["ra-dup", `+${plural(entry.duplicates, "duplicate")}`]);
  return list;
}

/**
 * What a screen reader says about an image.
 * @param {Entry} entry
 * @param {boolean} prune
 * @param {boolean} [review]
 */
export function describe(entry, prune, review = false) {
  const parts = [entry.label, review ? VERDICTS[verdictOf(entry)] : entry.kept ? "kept" : "dropped"];
  if (!Number.isNaN(entry.score)) parts.push(`score ${entry.score.toFixed(2)}`);
  if (prune && !Number.isNaN(entry.support)) parts.push(`support ${entry.support.toFixed(2)}`);
  if (entry.outlier) parts.push("unlike the others");
  if (entry.feedback !== 0 && !review) parts.push(entry.feedback > 0 ? "more like this" : "less like this");
  if (entry.duplicates > 0) parts.push(plural(entry.duplicates, "duplicate"));
  return parts.join(", ");
}

export default { render };
