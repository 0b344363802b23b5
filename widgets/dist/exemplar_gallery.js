/* Made of widgets/src by npm run build. */

// src/shared/dom.js
var SVG = "http://www.w3.org/2000/svg";
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
function icon(path) {
  return svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: path }));
}
function button(label, action, look = {}) {
  const title = look.key ? `${label} (${look.key})` : label;
  const node = h("button", { type: "button", class: `ra-button ${look.kind ?? ""}`, title, "aria-label": label });
  if (look.icon) node.append(icon(look.icon));
  if (look.text) node.append(h("span", {}, look.text));
  if (look.text && look.key) node.append(h("kbd", { "aria-hidden": "true" }, look.key));
  node.addEventListener("click", action);
  return node;
}
function spring() {
  return h("div", { class: "ra-spring" });
}
var Lifetime = class {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @param {() => void} end */
  add(end) {
    this.#ends.push(end);
  }
  /**
   * @template {keyof HTMLElementEventMap} K
   * @param {EventTarget} target
   * @param {K} type
   * @param {(event: HTMLElementEventMap[K]) => void} handler
   * @param {AddEventListenerOptions} [options]
   */
  listen(target, type, handler, options) {
    const listener = (
      /** @type {EventListener} */
      handler
    );
    target.addEventListener(type, listener, options);
    this.add(() => target.removeEventListener(type, listener, options));
  }
  /**
   * @param {() => void} handler
   * @param {...Element} nodes
   */
  onResize(handler, ...nodes) {
    const observer = new ResizeObserver(handler);
    for (const node of nodes) observer.observe(node);
    this.add(() => observer.disconnect());
  }
  end() {
    for (const end of this.#ends) end();
    this.#ends = [];
  }
};

// src/shared/icons.js
var ICONS = {
  box: "M2.5 5V2.5H5M11 2.5h2.5V5M13.5 11v2.5H11M5 13.5H2.5V11M5.5 5.5h5v5h-5z",
  brush: "M13.5 2.5 7 9M7 9c-2.5-.5-3.5 1-3.5 2.5S3 13.5 2 14c3 .5 6 0 6.5-2.5C8.7 10.5 8 9.2 7 9Z",
  check: "M3 8.5l3.5 3.5L13 4.5",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  eraser: "M6 13.5 2.5 10 9.5 3l4 4-6.5 6.5zM6 6.5l4 4M6 13.5h8",
  fill: "M3 8.5 8 3.5l5 5-5 5zM6 1.5l3 3M3 8.5h10M14.5 12c0 .8-.4 1.3-1 1.3s-1-.5-1-1.3 1-2 1-2 1 1.2 1 2Z",
  heat: "M8 1.5c.5 3 4 4.5 4 8.3A4.2 4.2 0 0 1 8 14.5a4.2 4.2 0 0 1-4-4.7c0-2 1.2-2.8 1.8-4.3C7 6 7.3 7 7.3 8 8.5 6.5 8.5 4 8 1.5Z",
  left: "M10 3 5 8l5 5",
  move: "M8 1.5v13M1.5 8h13M6 3.5l2-2 2 2M6 12.5l2 2 2-2M3.5 6l-2 2 2 2M12.5 6l2 2-2 2",
  redo: "M10 3l3.5 3.5L10 10M13 6.5H6.5a4 4 0 0 0 0 8H10",
  right: "M6 3l5 5-5 5",
  undo: "M6 3 2.5 6.5 6 10M3 6.5h6.5a4 4 0 0 1 0 8H6"
};

// src/shared/legend.js
var Legend = class {
  /**
   * @param {Line[]} lines
   * @param {() => void} close
   */
  constructor(lines, close) {
    this.lines = lines.map(([keys, meaning, command = ""]) => ({ command, nodes: [h("dt", {}, keys), h("dd", {}, meaning)] }));
    const top = h("div", { class: "ra-legend-top" }, h("strong", {}, "Keys"), button("Close", close, { icon: ICONS.close, key: "Esc" }));
    const list = h("dl", {}, ...this.lines.flatMap((line) => line.nodes));
    this.node = h("div", { class: "ra-legend", role: "dialog", "aria-label": "Keys", tabindex: "-1", hidden: "" }, top, list);
  }
  get open() {
    return !this.node.hidden;
  }
  /**
   * @param {boolean} open
   * @param {HTMLElement} behind takes the focus when it closes
   * @param {string[]} [idle] commands that cannot be given now
   */
  toggle(open, behind, idle = []) {
    for (const { command, nodes } of this.lines) for (const node of nodes) node.hidden = idle.includes(command);
    this.node.hidden = !open;
    (open ? this.node : behind).focus();
  }
};

// src/shared/messages.js
function receive(lifetime, model, handlers) {
  const onMessage = (message, buffers) => {
    const handler = (
      /** @type {Record<string, (message: any, buffers: DataView[]) => void>} */
      handlers[message.type]
    );
    if (handler) handler(message, buffers);
    else console.warn(`reco-assist: the kernel sent "${message.type}", which this page does not know; reload it.`);
  };
  model.on("msg:custom", onMessage);
  lifetime.add(() => model.off("msg:custom", onMessage));
}
function watch(lifetime, model, handlers) {
  for (const [name, handler] of Object.entries(handlers)) {
    const event = (
      /** @type {any} */
      `change:${name}`
    );
    model.on(event, handler);
    lifetime.add(() => model.off(event, handler));
  }
}
function save(model, name, value) {
  model.set(name, value);
  model.save_changes();
}
function bytesOf(buffer) {
  return buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
function blobOf(buffer) {
  return new Blob([bytesOf(buffer).slice()]);
}

// src/shared/words.js
function splitLabel(label, tail, whole = tail) {
  const letters = [...label];
  if (letters.length <= whole) return [label, ""];
  return [letters.slice(0, -tail).join(""), letters.slice(-tail).join("")];
}
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}
var PATIENCE = 8e3;
var NO_ANSWER = "The kernel does not answer. It may be busy with another cell, or stopped: then run this cell again.";
function waitingText({ busy, status, received, since }) {
  if (busy) return status || "Working…";
  if (received) return "";
  return performance.now() - since > PATIENCE - 100 ? NO_ANSWER : "Waiting for the kernel…";
}

// src/shared/keys.js
var SUPPRESS = "data-lm-suppress-shortcuts";
var UNDO = {
  z: "undo",
  "Ctrl+z": "undo",
  "Shift+z": "redo",
  "Ctrl+Shift+z": "redo",
  y: "redo",
  "Ctrl+y": "redo"
};
function keyOf(event) {
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}
function commandFor(event, commands) {
  if (event.altKey) return null;
  const [control, key] = [event.ctrlKey || event.metaKey ? "Ctrl+" : "", keyOf(event)];
  const shifted = event.shiftKey ? commands[`${control}Shift+${key}`] : void 0;
  return shifted ?? commands[control + key] ?? null;
}
function guard(event, ...nodes) {
  const theirs = "key" in event && (event.ctrlKey || event.metaKey);
  for (const node of nodes) {
    if (theirs) node.removeAttribute(SUPPRESS);
    else node.setAttribute(SUPPRESS, "true");
  }
}
function listenToKeys(lifetime, root, handler) {
  lifetime.listen(root, "focusin", (event) => guard(
    event,
    root,
    /** @type {Element} */
    event.target
  ));
  lifetime.listen(root, "keydown", (event) => {
    guard(
      event,
      root,
      /** @type {Element} */
      event.target
    );
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    handler(event);
  });
}
function take(event) {
  event.preventDefault();
  event.stopPropagation();
}

// src/gallery/grid.js
var GAP = 8;
var CAPTION = 40;
var OVERSCAN = 2;
function gridFor({ width, height }, size, count) {
  const { columns, tile } = columnsFor(width, size);
  const rowHeight = tile + CAPTION + GAP;
  return { columns, rows: Math.max(1, Math.floor(height / rowHeight)), tile, rowHeight, count };
}
function columnsFor(width, size) {
  const columns = Math.max(1, Math.floor((width + GAP) / (size + GAP)));
  return { columns, tile: Math.max(1, Math.floor((width + GAP) / columns) - GAP) };
}
function visibleRange({ scrollTop, viewport, rowHeight, columns, count, overscan = OVERSCAN }) {
  const top = Math.floor(scrollTop / rowHeight) - overscan;
  const bottom = Math.ceil((scrollTop + viewport) / rowHeight) + overscan;
  const first = Math.min(count, Math.max(0, top * columns));
  return { first, last: Math.max(first, Math.min(count, bottom * columns)) };
}
function moveFocus(key, index, { columns, rows, count }) {
  if (count === 0) return -1;
  const step = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
    PageUp: -columns * rows,
    PageDown: columns * rows,
    Home: -count,
    End: count
  }[key] ?? 0;
  const target = index + step;
  if (key === "ArrowUp" && target < 0) return index;
  if (key === "ArrowDown" && target >= count) {
    return Math.floor(index / columns) < Math.floor((count - 1) / columns) ? count - 1 : index;
  }
  return Math.min(count - 1, Math.max(0, target));
}
function revealing(index, scrollTop, viewport, { columns, rowHeight }) {
  const top = Math.floor(index / columns) * rowHeight;
  return Math.max(Math.min(scrollTop, top), top + rowHeight + GAP - viewport);
}

// src/gallery/keys.js
var COMMANDS = {
  ...UNDO,
  ArrowLeft: "move",
  ArrowRight: "move",
  ArrowUp: "move",
  ArrowDown: "move",
  Home: "move",
  End: "move",
  PageUp: "move",
  PageDown: "move",
  "Ctrl+a": "select-all",
  " ": "toggle",
  x: "toggle",
  d: "drop",
  k: "keep",
  b: "drop-below",
  n: "absent",
  h: "heat",
  "+": "more",
  "=": "more",
  "-": "less",
  "−": "less",
  e: "box",
  p: "brush",
  Enter: "preview",
  Escape: "close",
  "?": "legend"
};
var LEGEND = [
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
  ["?", "This legend"]
];
var IDLE = {
  browse: ["toggle", "drop", "keep", "drop-below", "absent", "more", "less", "undo", "redo", "heat"],
  retrieve: ["absent", "heat"],
  prune: ["absent"],
  review: ["drop-below", "more", "less", "box", "brush", "heat"]
};

// src/gallery/state.js
var RECORD_BYTES = 24;
var KEPT = 1;
var OUTLIER = 2;
function decodeState(rows, records) {
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
      feedback: records.getInt8(at + 21)
    });
  }
  return entries;
}
function applyPending(entries, pending) {
  if (pending.length === 0) return entries;
  return entries.map((entry) => {
    let kept = entry.kept;
    for (const decision of pending) if (decision.ids.has(entry.id)) kept = decision.kept;
    return kept === entry.kept ? entry : { ...entry, kept };
  });
}
function verdictOf(entry) {
  if (entry.kept) return entry.feedback > 0 ? "accepted" : "left";
  return entry.feedback < 0 ? "absent" : "rejected";
}
var SHOWS = {
  all: () => true,
  kept: (entry) => entry.kept,
  dropped: (entry) => !entry.kept,
  outliers: (entry) => entry.outlier,
  left: (entry) => verdictOf(entry) === "left",
  accepted: (entry) => verdictOf(entry) === "accepted",
  rejected: (entry) => verdictOf(entry) === "rejected",
  absent: (entry) => verdictOf(entry) === "absent"
};
function filterEntries(entries, filter) {
  return entries.filter(SHOWS[filter]);
}
function rangeIds(entries, anchor, index) {
  const lo = Math.max(0, Math.min(anchor, index));
  return entries.slice(lo, Math.max(anchor, index) + 1).map((entry) => entry.id);
}
var GalleryState = class {
  /** @type {Row[]} */
  rows = [];
  /** @type {Entry[]} with decisions on their way */
  entries = [];
  /** @type {Entry[]} after the filter */
  shown = [];
  /** @type {Filter} */
  filter = "all";
  focus = "";
  /** @type {Set<string>} */
  selected = /* @__PURE__ */ new Set();
  /** Whether the kernel has said what there is. */
  received = false;
  /** @type {Entry[]} what the kernel last said */
  #base = [];
  /** @type {Pending[]} */
  #pending = [];
  /** @type {Map<string, number>} */
  #position = /* @__PURE__ */ new Map();
  #anchor = "";
  /** @param {DataView} records */
  setRecords(records) {
    this.received = true;
    this.#base = decodeState(this.rows, records);
    this.#recompute();
  }
  /** @param {Filter} filter */
  setFilter(filter) {
    this.filter = filter;
    this.#recompute();
  }
  /**
   * Position of an image among those that are shown, -1 for none.
   * @param {string} id
   */
  indexOf(id) {
    return this.#position.get(id) ?? -1;
  }
  get index() {
    return this.indexOf(this.focus);
  }
  /** @returns {Entry | undefined} the one in focus */
  get entry() {
    return this.shown[this.index];
  }
  /** What a command is about: the selection where the focus is in it, else the focus. */
  get targets() {
    return this.selected.has(this.focus) ? [...this.selected] : [this.focus];
  }
  // -- decisions
  /**
   * Shows a decision at once, until the kernel acknowledges it.
   * @param {string[]} ids
   * @param {boolean} kept
   * @param {boolean} review what is merely not rejected can still be accepted, and what is absent rejected
   * @param {string} token that the kernel gives back
   * @returns {string[]} those that it changes
   */
  decide(ids, kept, review, token) {
    const wanted = new Set(ids);
    const verdict = kept ? "accepted" : "rejected";
    const same = (entry) => review ? verdictOf(entry) === verdict : entry.kept === kept;
    const changed = this.entries.filter((entry) => wanted.has(entry.id) && !same(entry)).map((entry) => entry.id);
    if (changed.length === 0) return changed;
    this.#pending.push({ token, ids: new Set(changed), kept });
    this.#recompute();
    return changed;
  }
  /** @param {string} token */
  acknowledge(token) {
    this.#pending = this.#pending.filter((decision) => decision.token !== token);
    this.#recompute();
  }
  // -- focus and selection
  /**
   * @param {number} index
   * @param {boolean} extend the selection up to there
   */
  focusAt(index, extend) {
    this.focus = this.shown[index].id;
    if (!extend) this.#anchor = this.focus;
    const anchor = this.indexOf(this.#anchor);
    this.selected = new Set(extend ? rangeIds(this.shown, anchor < 0 ? index : anchor, index) : []);
  }
  /**
   * Takes one image into the selection, or out of it.
   * @param {string} id
   */
  toggleSelected(id) {
    if (this.selected.size === 0) this.selected.add(this.focus);
    if (!this.selected.delete(id)) this.selected.add(id);
    this.focus = id;
    this.#anchor = id;
  }
  #recompute() {
    this.entries = applyPending(this.#base, this.#pending);
    this.shown = filterEntries(this.entries, this.filter);
    const before = Math.max(0, this.index);
    this.#position = new Map(this.shown.map((entry, index) => [entry.id, index]));
    for (const id of this.selected) if (!this.#position.has(id)) this.selected.delete(id);
    if (this.#position.has(this.focus)) return;
    this.focus = this.shown[Math.min(before, this.shown.length - 1)]?.id ?? "";
    this.#anchor = this.focus;
  }
};

// src/gallery/words.js
var PRUNING = { kept: "kept", dropped: "dropped", keep: "Keep", drop: "Drop", hint: "Space keeps or drops · B drops all below · ? shows every key" };
var BROWSING = { ...PRUNING, hint: "Enter looks closer · E draws a box · P paints · ? shows every key" };
var REVIEWING = { kept: "accepted", dropped: "rejected", keep: "Accept", drop: "Reject", hint: "K accepts · D rejects · N not here · Enter opens · ? shows every key" };
var WORDS = { browse: BROWSING, retrieve: PRUNING, prune: PRUNING, review: REVIEWING };
var VERDICTS = { left: "left", accepted: "accepted", rejected: "rejected", absent: "not here" };
var FILTERS = [
  ["all", "All"],
  ["kept", "Kept"],
  ["dropped", "Dropped"],
  ["outliers", "Unlike the others"],
  ["left", "Left"],
  ["accepted", "Accepted"],
  ["rejected", "Rejected"],
  ["absent", "Not here"]
];
var NOTHING = {
  all: "",
  kept: "Every image is dropped.",
  dropped: "No image is dropped.",
  outliers: "No image is unlike the others.",
  left: "Every image is decided.",
  accepted: "No image is accepted yet.",
  rejected: "No image is rejected.",
  absent: "Of no image it was said that nothing is here."
};
var HOW_TO_DRAW = {
  "": "",
  box: "Drag a box around one example. By keyboard: arrows move it, Shift + arrows and [ ] size it, Enter takes it. Esc cancels.",
  brush: "Paint over one example, then take it. [ ] brush size, X eraser, Z undo, Esc cancels. By keyboard: arrows move, Space puts the brush down and up."
};
function describe(entry, mode) {
  const review = mode === "review";
  const parts = [entry.label, review ? VERDICTS[verdictOf(entry)] : entry.kept ? "kept" : "dropped"];
  if (!Number.isNaN(entry.score)) parts.push(`score ${entry.score.toFixed(2)}`);
  if (mode === "prune" && !Number.isNaN(entry.support)) parts.push(`support ${entry.support.toFixed(2)}`);
  if (entry.outlier) parts.push("unlike the others");
  if (entry.feedback !== 0 && !review) parts.push(entry.feedback > 0 ? "more like this" : "less like this");
  if (entry.duplicates > 0) parts.push(plural(entry.duplicates, "duplicate"));
  return parts.join(", ");
}
function badges(entry, mode) {
  const list = [];
  if (mode === "review") {
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
function facts(entry, mode) {
  const list = [];
  if (!Number.isNaN(entry.score)) list.push(["Score", entry.score.toFixed(3)]);
  if (!Number.isNaN(entry.support)) list.push(["Support", entry.support.toFixed(3)]);
  if (mode !== "browse") list.push(["Decision", entry.kept ? WORDS[mode].kept : WORDS[mode].dropped]);
  if (entry.outlier) list.push(["Note", "unlike the others"]);
  if (entry.duplicates > 0) list.push(["Folded", plural(entry.duplicates, "duplicate")]);
  if (entry.marks.length > 0) list.push(["Examples", entry.marks.length.toLocaleString()]);
  return list;
}
function counts(entries, mode) {
  if (entries.length === 0) return "";
  if (mode === "browse") return plural(entries.length, "image");
  if (mode !== "review") {
    const kept = entries.filter((entry) => entry.kept).length;
    return `${kept.toLocaleString()} kept · ${(entries.length - kept).toLocaleString()} dropped`;
  }
  return Object.entries(VERDICTS).map(([name, word]) => ({ name, word, count: entries.filter((entry) => verdictOf(entry) === name).length })).filter(({ name, count }) => count > 0 || name === "left").map(({ word, count }) => `${count.toLocaleString()} ${word}`).join(" · ");
}

// src/gallery/commands.js
var Commands = class {
  #gallery;
  #counter = 0;
  /** @param {import("./widget.js").Gallery} gallery */
  constructor(gallery) {
    this.#gallery = gallery;
  }
  /** @param {import("../shared/dom.js").Lifetime} lifetime */
  start(lifetime) {
    const { root, wall } = this.#gallery.ui;
    listenToKeys(lifetime, root, (event) => this.#onKey(event));
    lifetime.listen(wall, "click", (event) => this.#onClick(event));
    lifetime.listen(wall, "dblclick", (event) => {
      if (this.#hit(event) >= 0 && !onToggle(event)) this.run("preview");
    });
  }
  /** @param {string} command */
  run(command) {
    const { mode, model, preview, state } = this.#gallery;
    const { entry, index, shown, targets } = state;
    if (IDLE[mode].includes(command)) return;
    if (command === "undo" || command === "redo") this.#gallery.send({ type: "command", name: command });
    else if (command === "legend") this.#toggleLegend(!this.#gallery.legend.open);
    else if (command === "close") this.#close();
    else if (command === "heat") save(model, "heat", !model.get("heat"));
    else if (command === "select-all") this.#select(shown.map((item) => item.id));
    else if (!entry) return;
    else if (command === "toggle") this.#decide(targets, !entry.kept);
    else if (command === "drop" || command === "keep") this.#decide(targets, command === "keep");
    else if (command === "drop-below") this.#decide(shown.slice(index + 1).map((item) => item.id), false);
    else if (command === "absent") this.#deny(targets);
    else if (command === "more" || command === "less") this.#feedback(entry, command === "more" ? 1 : -1);
    else if (command === "preview" && mode === "review") this.#gallery.send({ type: "open", id: entry.id });
    else if (command === "preview") this.#openPreview("");
    else if (command === "box" || command === "brush") this.#openPreview(preview.tool === command ? "" : command);
    else if (command === "use" && preview.drawer.use()) preview.setTool("");
  }
  /** @param {Filter} name */
  filter(name) {
    this.#gallery.state.setFilter(name);
    this.#gallery.ui.wall.scrollTop = 0;
    this.#gallery.update();
  }
  /**
   * @param {string} key that moves the focus
   * @param {boolean} [extend] the selection
   */
  step(key, extend = false) {
    const { grid, preview, state } = this.#gallery;
    const index = moveFocus(key, Math.max(0, state.index), preview.open ? { ...grid, columns: 1 } : grid);
    if (index >= 0) this.focusAt(index, extend && !preview.open);
    if (preview.open) this.#openPreview("");
  }
  /**
   * @param {number} index
   * @param {boolean} extend the selection up to there
   */
  focusAt(index, extend) {
    const { grid, state, ui } = this.#gallery;
    state.focusAt(index, extend);
    ui.wall.scrollTop = revealing(index, ui.wall.scrollTop, ui.wall.clientHeight, grid);
    this.#gallery.refresh();
  }
  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { drawer } = this.#gallery.preview;
    const command = commandFor(event, COMMANDS);
    const onControl = (
      /** @type {HTMLElement} */
      event.target.closest("button, input") !== null
    );
    if (!onControl && drawer.onKey(event)) {
      take(event);
      return;
    }
    if (command === null) return;
    if (onControl && (event.key === " " || ["move", "preview"].includes(command) && event.key.length !== 1)) return;
    take(event);
    if (command === "move") this.step(event.key, event.shiftKey);
    else if (command === "preview" && drawer.tool !== "" && !onControl) this.run("use");
    else this.run(command);
  }
  /** @param {MouseEvent} event */
  #onClick(event) {
    const { state } = this.#gallery;
    const index = this.#hit(event);
    if (index < 0) return;
    const { id, kept } = state.shown[index];
    if (onToggle(event)) this.#decide(state.selected.has(id) ? [...state.selected] : [id], !kept);
    else if (event.ctrlKey || event.metaKey) {
      state.toggleSelected(id);
      this.#gallery.refresh();
    } else this.focusAt(index, event.shiftKey);
  }
  /**
   * Position of the image under the mouse, -1 for none.
   * @param {Event} event
   */
  #hit(event) {
    const tile = (
      /** @type {HTMLElement | null} */
      /** @type {HTMLElement} */
      event.target.closest(".ra-tile")
    );
    return this.#gallery.state.indexOf(tile?.dataset.id ?? "");
  }
  // -- decisions
  /**
   * @param {string[]} ids
   * @param {boolean} kept
   */
  #decide(ids, kept) {
    const { mode, state, uid } = this.#gallery;
    this.#counter += 1;
    const token = `${uid}-${this.#counter}`;
    const changed = state.decide(ids, kept, mode === "review", token);
    if (changed.length === 0) return;
    this.#gallery.send({ type: "keep", ids: changed, kept, token });
    this.#gallery.say(`${plural(changed.length, "image")} ${kept ? WORDS[mode].kept : WORDS[mode].dropped}`);
    this.#gallery.update();
  }
  /**
   * Says of images in a review that nothing is there.
   * @param {string[]} ids
   */
  #deny(ids) {
    this.#gallery.send({ type: "absent", ids });
    this.#gallery.say(`${plural(ids.length, "image")} not here`);
  }
  /**
   * @param {Entry} entry
   * @param {number} sign
   */
  #feedback(entry, sign) {
    const next = entry.feedback === sign ? 0 : sign;
    this.#gallery.send({ type: "feedback", id: entry.id, sign: next });
    this.#gallery.say(next === 0 ? "Mark removed" : next > 0 ? "More like this" : "Less like this");
  }
  // -- legend, preview and selection
  /** @param {string[]} ids */
  #select(ids) {
    this.#gallery.state.selected = new Set(ids);
    this.#gallery.refresh();
  }
  /** @param {boolean} open */
  #toggleLegend(open) {
    const { legend, mode, preview, ui } = this.#gallery;
    legend.toggle(open, preview.open ? preview.pane : ui.wall, IDLE[mode]);
  }
  #close() {
    const { legend, preview } = this.#gallery;
    if (legend.open) this.#toggleLegend(false);
    else if (preview.tool !== "") preview.setTool("");
    else if (preview.open) this.#gallery.closePreview();
    else this.#select([]);
  }
  /** @param {Tool} tool */
  #openPreview(tool) {
    const { pictures, preview, state } = this.#gallery;
    const wasOpen = preview.open;
    const another = preview.show(state.focus, pictures.thumbs.get(state.focus) ?? "");
    if (another) this.#gallery.send({ type: "preview", id: state.focus });
    preview.setTool(tool);
    this.#gallery.fillPreview();
    preview.place();
    if (!wasOpen || tool !== "") preview.pane.focus();
    this.#gallery.schedule();
  }
};
function onToggle(event) {
  return (
    /** @type {HTMLElement} */
    event.target.closest(".ra-toggle") !== null
  );
}

// src/gallery/panel.js
var MIN_SIZE = 96;
var MAX_SIZE = 320;
function buildPanel(uid, actions, ...above) {
  const { bar, ...top } = buildBar(actions);
  const { foot, ...bottom } = buildFoot(uid, actions);
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
      "aria-describedby": bottom.hint.id
    },
    spacer
  );
  const empty = h("div", { class: "ra-empty" });
  const stage = h("div", { class: "ra-stage" }, wall, empty, ...above);
  const live = h("div", { class: "ra-live", "aria-live": "polite" });
  const root = h(
    "div",
    { class: "ra-widget ra-gallery", [SUPPRESS]: "true", role: "region", "aria-label": "Image gallery" },
    ...[bar, alert, stage, foot, live]
  );
  return { root, ...top, alert, stage, wall, spacer, empty, ...bottom, live };
}
function buildBar(actions) {
  const title = h("span", { class: "ra-title" });
  const tally = h("span", { class: "ra-counts" });
  const filters = h("div", { class: "ra-segments", role: "group", "aria-label": "Show" });
  for (const [name, text] of FILTERS) {
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
    title: "Thumbnail size"
  });
  sizer.addEventListener("input", () => actions.resize(Number(sizer.value)));
  const heat = button("Heat maps", () => actions.run("heat"), { icon: ICONS.heat, text: "Heat maps", key: "H" });
  const bar = h(
    "div",
    { class: "ra-bar", role: "toolbar", "aria-label": "Gallery" },
    h("div", { class: "ra-heading" }, title, tally),
    filters,
    spring(),
    heat,
    button("Undo", () => actions.run("undo"), { icon: ICONS.undo, key: "Z", kind: "ra-decides" }),
    button("Redo", () => actions.run("redo"), { icon: ICONS.redo, key: "Y", kind: "ra-decides" }),
    sizer,
    button("Keys", () => actions.run("legend"), { text: "?", kind: "ra-round" })
  );
  return { bar, title, tally, filters, sizer, heat };
}
function buildFoot(uid, actions) {
  const status = h("span", { class: "ra-status" });
  const selection = h("span", { class: "ra-counts" });
  const hint = h("span", { class: "ra-hint", id: `${uid}-hint` });
  const more = button("Load more", () => actions.command("load_more"), { text: "Load more", kind: "ra-plain" });
  const spinner = h("span", { class: "ra-spinner", "aria-hidden": "true" });
  const foot = h("div", { class: "ra-foot" }, spinner, status, selection, spring(), hint, more);
  return { foot, status, selection, hint, more };
}
function showPanel(ui, model, state, since) {
  const [mode, busy] = [model.get("mode"), model.get("busy")];
  ui.root.dataset.mode = mode;
  ui.title.textContent = model.get("title");
  ui.tally.textContent = counts(state.entries, mode);
  showFilters(ui, mode, state);
  ui.heat.hidden = mode !== "prune";
  ui.heat.setAttribute("aria-pressed", String(model.get("heat")));
  ui.alert.textContent = model.get("error");
  ui.alert.hidden = model.get("error") === "";
  ui.status.textContent = model.get("status");
  ui.selection.textContent = state.selected.size > 1 ? `${state.selected.size.toLocaleString()} selected` : "";
  ui.hint.textContent = WORDS[mode].hint;
  ui.root.classList.toggle("ra-busy", busy);
  ui.more.hidden = !model.get("more");
  ui.more.disabled = busy;
  ui.empty.hidden = state.shown.length > 0;
  ui.empty.textContent = emptyText(model, state, since);
  ui.wall.setAttribute("aria-busy", String(busy));
}
function showFilters(ui, mode, state) {
  const outliers = state.entries.filter((entry) => entry.outlier).length;
  for (const node of ui.filters.querySelectorAll("button")) {
    const name = node.dataset.filter ?? "";
    node.setAttribute("aria-pressed", String(name === state.filter));
    node.hidden = name !== "all" && name in VERDICTS !== (mode === "review");
    if (name === "outliers") {
      node.hidden ||= outliers === 0 && state.filter !== "outliers";
      node.textContent = `Unlike the others ${outliers}`;
    }
  }
  ui.filters.hidden = state.entries.length === 0 || mode === "browse";
}
function emptyText(model, { entries, filter, received }, since) {
  const waiting = waitingText({ busy: model.get("busy"), status: model.get("status"), received, since });
  if (waiting || entries.length > 0) return waiting || NOTHING[filter];
  return model.get("title") ? "No images found. Try another word, or draw an exemplar." : "Nothing to show yet.";
}

// src/gallery/marks.js
var STOPS = [
  [0, 30, 20, 110, 0],
  [96, 110, 30, 150, 90],
  [170, 235, 90, 40, 165],
  [255, 255, 235, 110, 215]
];
function heatPixels(values) {
  const pixels = new Uint8ClampedArray(values.length * 4);
  values.forEach((value, index) => {
    const above = Math.max(1, STOPS.findIndex((stop) => value <= stop[0]));
    const [low, high] = [STOPS[above - 1], STOPS[above]];
    const part = (value - low[0]) / (high[0] - low[0]);
    for (let channel = 0; channel < 4; channel += 1) {
      pixels[index * 4 + channel] = low[channel + 1] + part * (high[channel + 1] - low[channel + 1]);
    }
  });
  return pixels;
}
function fitInto(width, height, boxWidth, boxHeight) {
  const scale = Math.min(boxWidth / width, boxHeight / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
function placeBox(node, [x, y, width, height]) {
  node.style.left = `${x * 100}%`;
  node.style.top = `${y * 100}%`;
  node.style.width = `${width * 100}%`;
  node.style.height = `${height * 100}%`;
}
function overlay(layer, entry, heat, seeds) {
  const parts = [];
  if (heat) {
    const canvas = h("canvas", { class: "ra-heat", width: String(heat.width), height: String(heat.height) });
    canvas.getContext("2d")?.putImageData(heat, 0, 0);
    parts.push(canvas);
  }
  for (const mark of entry.marks) parts.push(mark.length === 4 ? boxMark(mark) : outlineMark(mark));
  if (seeds && entry.kept && !Number.isNaN(entry.x)) {
    const seed = h("span", { class: "ra-seed" });
    seed.style.left = `${entry.x * 100}%`;
    seed.style.top = `${entry.y * 100}%`;
    parts.push(seed);
  }
  layer.replaceChildren(...parts);
}
function boxMark(box) {
  const node = h("span", { class: "ra-mark" });
  placeBox(node, box);
  return node;
}
function outlineMark(points) {
  const shapes = ["ra-under", "ra-over"].map((name) => svg("polygon", { class: name, points: points.join(" ") }));
  return svg("svg", { class: "ra-outline", viewBox: "0 0 1 1", preserveAspectRatio: "none" }, ...shapes);
}

// src/gallery/pictures.js
var BATCH = 48;
var MAX_IN_FLIGHT = 2;
var CACHE = 600;
var PATIENCE2 = 15e3;
var PAUSE = 30;
var Lru = class {
  /** @type {Map<string, V>} */
  #map = /* @__PURE__ */ new Map();
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
    if (value !== void 0) {
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
    if (old !== void 0) this.#evict(old);
    this.#map.delete(key);
    this.#map.set(key, value);
    while (this.#map.size > this.#capacity) {
      const [oldest, dropped] = (
        /** @type {[string, V]} */
        this.#map.entries().next().value
      );
      this.#map.delete(oldest);
      this.#evict(dropped);
    }
  }
  clear() {
    for (const value of this.#map.values()) this.#evict(value);
    this.#map.clear();
  }
};
var Pictures = class {
  /** @type {Lru<string>} */
  thumbs = new Lru(CACHE, (url) => URL.revokeObjectURL(url));
  /** @type {Set<string>} */
  unreadable = /* @__PURE__ */ new Set();
  /** @type {Map<string, ImageData | null>} */
  heats = /* @__PURE__ */ new Map();
  /** @type {{kind: Kind, ids: Set<string>, until: number}[]} */
  #inFlight = [];
  #timer = 0;
  #inSight;
  #ask;
  /**
   * @param {() => {ids: string[], heat: boolean}} inSight the images, and whether heat maps are shown
   * @param {(thumbs: string[], heats: string[]) => void} ask
   */
  constructor(inSight, ask) {
    this.#inSight = inSight;
    this.#ask = ask;
  }
  end() {
    clearTimeout(this.#timer);
    this.thumbs.clear();
  }
  /**
   * @param {string[]} ids
   * @param {DataView[]} buffers
   */
  onThumbs(ids, buffers) {
    ids.forEach((id, index) => {
      if (buffers[index].byteLength === 0) this.unreadable.add(id);
      else this.thumbs.set(id, URL.createObjectURL(blobOf(buffers[index])));
    });
    this.#landed("thumbs", ids);
  }
  /**
   * @param {string[]} ids
   * @param {[height: number, width: number][]} shapes 0 x 0 where there is no map
   * @param {DataView[]} buffers
   */
  onHeats(ids, shapes, buffers) {
    ids.forEach((id, index) => {
      const [height, width] = shapes[index];
      this.heats.set(id, height * width ? new ImageData(heatPixels(bytesOf(buffers[index])), width, height) : null);
    });
    this.#landed("heats", ids);
  }
  /** Asks for what is in sight and missing, soon. */
  want() {
    if (this.#timer === 0) this.#timer = window.setTimeout(() => this.#request(), PAUSE);
  }
  #request() {
    this.#timer = 0;
    this.#inFlight = this.#inFlight.filter((batch) => batch.until > performance.now());
    if (this.#inFlight.length >= MAX_IN_FLIGHT) {
      this.#timer = window.setTimeout(() => this.#request(), 1e3);
      return;
    }
    const { ids, heat } = this.#inSight();
    const thumbs = this.#missing("thumbs", ids, [this.thumbs, this.unreadable]);
    const heats = heat ? this.#missing("heats", ids, [this.heats]) : [];
    if (thumbs.length + heats.length > 0) this.#ask(thumbs, heats);
  }
  /**
   * @param {Kind} kind
   * @param {string[]} ids
   * @param {{has: (id: string) => boolean}[]} have
   */
  #missing(kind, ids, have) {
    const known = [...have, ...this.#inFlight.filter((batch2) => batch2.kind === kind).map((batch2) => batch2.ids)];
    const batch = ids.filter((id) => !known.some((held) => held.has(id))).slice(0, BATCH);
    if (batch.length > 0) this.#inFlight.push({ kind, ids: new Set(batch), until: performance.now() + PATIENCE2 });
    return batch;
  }
  /**
   * @param {Kind} kind
   * @param {string[]} ids
   */
  #landed(kind, ids) {
    this.#inFlight = this.#inFlight.filter((batch) => batch.kind !== kind || !ids.some((id) => batch.ids.has(id)));
  }
};

// src/gallery/drawer.js
var PAINTING = 512;
var UNDOABLE = 50;
function clamp(value, low = 0, high = 1) {
  return Math.min(high, Math.max(low, value));
}
function arrow(key, step) {
  return {
    dx: { ArrowLeft: -step, ArrowRight: step }[key] ?? 0,
    dy: { ArrowUp: -step, ArrowDown: step }[key] ?? 0
  };
}
function boxFromDrag(a, b) {
  const [x0, x1] = [clamp(Math.min(a.x, b.x)), clamp(Math.max(a.x, b.x))];
  const [y0, y1] = [clamp(Math.min(a.y, b.y)), clamp(Math.max(a.y, b.y))];
  return x1 - x0 < 0.01 || y1 - y0 < 0.01 ? null : [x0, y0, x1 - x0, y1 - y0];
}
function nudgeBox([x, y, width, height], key, resize) {
  const step = 0.02;
  const { dx, dy } = arrow(key, step);
  const grow = { "[": -step, "]": step }[key] ?? 0;
  const w = clamp(width + grow + (resize ? dx : 0), step, 1);
  const h2 = clamp(height + grow + (resize ? dy : 0), step, 1);
  const move = resize ? [0, 0] : [dx, dy];
  return [clamp(x - grow / 2 + move[0], 0, 1 - w), clamp(y - grow / 2 + move[1], 0, 1 - h2), w, h2];
}
function packPainting(pixels) {
  const count = pixels.length / 4;
  const bits = new Uint8Array(Math.ceil(count / 8));
  for (let cell = 0; cell < count; cell += 1) if (pixels[cell * 4 + 3] > 127) bits[cell >> 3] |= 128 >> (cell & 7);
  return bits;
}
var Drawer = class {
  /**
   * @param {HTMLElement} picture
   * @param {{box: (box: Box) => void, painting: (painting: Painting) => void, say: (text: string) => void}} report
   */
  constructor(picture, report) {
    this.picture = picture;
    this.report = report;
    this.tool = "";
    this.box = null;
    this.from = null;
    this.cursor = { x: 0.5, y: 0.5 };
    this.size = 0.1;
    this.erasing = false;
    this.down = false;
    this.past = [];
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
    if (this.tool === "" || (event.ctrlKey || event.metaKey || event.altKey) && !undo) return false;
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
    this.from = type === "pointerdown" || this.from && type === "pointermove" ? at : null;
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
    return (
      /** @type {CanvasRenderingContext2D} */
      this.canvas.getContext("2d", { willReadFrequently: true })
    );
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
    context.lineTo(b.x * width + (a.x === b.x && a.y === b.y ? 0.01 : 0), b.y * height);
    context.stroke();
  }
};

// src/gallery/preview.js
var MARGIN = 32;
var Preview = class {
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
      say: actions.say
    });
    this.ui.image.addEventListener("load", () => this.place());
  }
  /** @param {import("../shared/dom.js").Lifetime} lifetime */
  start(lifetime) {
    const onPointer = (event) => {
      if (this.drawer.onPointer(event)) this.setTool("");
    };
    for (
      const type of
      /** @type {const} */
      ["pointerdown", "pointermove", "pointerup", "pointercancel"]
    ) {
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
    keep.firstChild.textContent = entry.kept ? WORDS[mode].drop : WORDS[mode].keep;
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
};
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
    button("Close", () => run("close"), { icon: ICONS.close, key: "Esc" })
  );
  const side = h("div", { class: "ra-side" }, top, name, list, keep, more, less, box, brush, use, hint);
  const pane = h("div", { class: "ra-preview", role: "dialog", "aria-label": "Larger image", tabindex: "-1", hidden: "" }, stage, side);
  return { pane, stage, picture, image, layer, name, list, keep, more, less, box, brush, use, hint };
}

// src/gallery/tiles.js
var [TAIL, WHOLE] = [14, 18];
var Tile = class {
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
    this.bar = h("i");
    this.meter = h("span", { class: "ra-meter" }, this.bar);
    this.frame = h("div", { class: "ra-frame" }, this.picture, this.note, this.badges, this.toggle);
    this.name = h("div", { class: "ra-name" }, this.head, this.tail);
    this.node = h(
      "div",
      { class: "ra-tile", role: "option", id: domId, "aria-selected": "false" },
      this.frame,
      h("div", { class: "ra-caption" }, this.name, h("div", { class: "ra-numbers" }, this.score, this.meter))
    );
    this.side = 0;
    this.url = "";
    this.signature = "";
    this.heat = void 0;
    this.image.addEventListener("load", () => this.#fit());
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
    this.#fit();
  }
  /**
   * @param {Entry} entry
   * @param {Look} look
   */
  show(entry, look) {
    if (look.url !== this.url) {
      this.url = look.url;
      if (look.url) this.image.src = look.url;
      else this.image.removeAttribute("src");
    }
    const signature = JSON.stringify([entry, { ...look, url: look.url !== "", heat: null }]);
    if (signature === this.signature && look.heat === this.heat) return;
    this.signature = signature;
    this.heat = look.heat;
    this.#showState(entry, look);
    this.#showCaption(entry, look);
    const { drop, keep } = WORDS[look.mode];
    this.note.textContent = look.unreadable ? "Cannot be read" : "";
    this.toggle.replaceChildren(icon(entry.kept ? ICONS.close : ICONS.check));
    this.toggle.title = `${entry.kept ? drop : keep} (X)`;
    this.badges.replaceChildren(...badges(entry, look.mode).map(([kind, text]) => h("span", { class: `ra-badge ${kind}` }, text)));
    if (look.unreadable) this.layer.replaceChildren();
    else overlay(this.layer, entry, look.heat, look.mode === "prune");
  }
  /**
   * @param {Entry} entry
   * @param {Look} look
   */
  #showState(entry, look) {
    const { node } = this;
    node.dataset.id = entry.id;
    node.classList.toggle("ra-focused", look.focused);
    node.classList.toggle("ra-selected", look.selected);
    node.classList.toggle("ra-dropped", !entry.kept);
    node.classList.toggle("ra-loading", !look.url && !look.unreadable);
    node.setAttribute("aria-selected", String(look.selected || look.focused));
    node.setAttribute("aria-setsize", String(look.count));
    node.setAttribute("aria-posinset", String(look.index + 1));
    node.setAttribute("aria-label", describe(entry, look.mode));
  }
  /**
   * @param {Entry} entry
   * @param {Look} look
   */
  #showCaption(entry, look) {
    this.name.title = entry.label;
    [this.head.textContent, this.tail.textContent] = splitLabel(entry.label, TAIL, WHOLE);
    this.score.textContent = Number.isNaN(entry.score) ? "" : entry.score.toFixed(2);
    const known = look.mode === "prune" && !Number.isNaN(entry.support);
    this.meter.hidden = !known;
    this.meter.title = known ? `Support ${entry.support.toFixed(3)}: how well the other images agree with this seed` : "";
    this.bar.style.width = `${Math.min(1, Math.max(0, entry.support || 0)) * 100}%`;
  }
  #fit() {
    const { naturalWidth, naturalHeight } = this.image;
    if (!naturalWidth) return;
    const size = fitInto(naturalWidth, naturalHeight, this.side, this.side);
    this.picture.style.width = `${size.width}px`;
    this.picture.style.height = `${size.height}px`;
  }
};

// src/gallery/widget.js
var SETTLED = 260;
var Gallery = class {
  /** @param {Model} model */
  constructor(model) {
    const run = (command) => this.commands.run(command);
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
      say: (text) => this.say(text)
    });
    this.ui = buildPanel(
      this.uid,
      {
        run,
        command: (name) => this.send({ type: "command", name }),
        filter: (name) => this.commands.filter(name),
        resize: (size) => save(model, "size", size)
      },
      this.preview.pane,
      this.legend.node
    );
    this.pictures = new Pictures(
      () => ({ ids: this.inSight, heat: this.heatShown }),
      (thumbs, heats) => this.send({ type: "need", thumbs, heats })
    );
    this.tiles = /* @__PURE__ */ new Map();
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
    receive(this.lifetime, this.model, {
      rows: ({ rows }) => state.rows = rows,
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
      focus: ({ id }) => this.onFocus(id)
    });
    const refresh = () => this.refresh();
    watch(this.lifetime, this.model, {
      mode: refresh,
      title: refresh,
      status: refresh,
      error: refresh,
      busy: refresh,
      more: refresh,
      heat: refresh,
      size: () => this.showSize(),
      height: () => this.showSize()
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
    this.model.send(message, void 0, buffers);
  }
  // -- what the kernel says
  /** @param {DataView} records */
  onState(records) {
    if (this.state.shown.length > 0) this.animate();
    this.state.setRecords(records);
    this.pictures.heats.clear();
    this.update();
  }
  /** @param {string} id */
  onFocus(id) {
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
    tile.place(index % columns * (side + GAP), Math.floor(index / columns) * rowHeight, side);
    tile.show(entry, {
      mode: this.mode,
      index,
      count: this.state.shown.length,
      url: this.pictures.thumbs.get(entry.id) ?? "",
      unreadable: this.pictures.unreadable.has(entry.id),
      heat: this.heatOf(entry),
      focused: entry.id === this.state.focus,
      selected: this.state.selected.has(entry.id)
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
    return this.heatShown ? this.pictures.heats.get(entry.id) ?? null : null;
  }
  /** @param {string} text for screen readers */
  say(text) {
    this.ui.live.textContent = text;
  }
};

// src/exemplar_gallery.js
function render({ model, el }) {
  const gallery = new Gallery(model);
  el.append(gallery.ui.root);
  gallery.start();
  return () => gallery.dispose();
}
var exemplar_gallery_default = { render };
export {
  exemplar_gallery_default as default
};
