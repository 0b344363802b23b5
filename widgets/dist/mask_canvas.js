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
function slider(label, { min, max, step = 1 }) {
  return h("input", { type: "range", min: String(min), max: String(max), step: String(step), "aria-label": label, title: label });
}
function spring() {
  return h("div", { class: "ra-spring" });
}
function pointIn(node, event) {
  const box = node.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
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
async function inflate(buffer) {
  const stream = blobOf(buffer).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// src/shared/words.js
function splitLabel(label, tail, whole = tail) {
  const letters = [...label];
  if (letters.length <= whole) return [label, ""];
  return [letters.slice(0, -tail).join(""), letters.slice(-tail).join("")];
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

// src/canvas/inputs.js
var Inputs = class {
  /** @type {string[]} */
  #queue = [];
  /** @type {Set<string>} messages that may bring another image and are not answered */
  #open = /* @__PURE__ */ new Set();
  #apply;
  /** @param {(command: string, waited: boolean) => void} apply */
  constructor(apply) {
    this.#apply = apply;
  }
  /** Whether the image on the screen may be about to change. */
  get waiting() {
    return this.#open.size > 0;
  }
  /** How many commands wait. */
  get count() {
    return this.#queue.length;
  }
  /**
   * Applies a command, now or when its turn comes.
   * @param {string} command
   */
  give(command) {
    if (this.waiting) this.#queue.push(command);
    else this.#apply(command, false);
  }
  /**
   * What is given from now on waits for the answer to a message.
   * @param {string} token of the message
   */
  hold(token) {
    this.#open.add(token);
  }
  /**
   * The kernel has answered, and what came of it is on the screen.
   * @param {string} token
   */
  answered(token) {
    this.#open.delete(token);
    while (!this.waiting && this.#queue.length > 0) this.#apply(
      /** @type {string} */
      this.#queue.shift(),
      true
    );
  }
  /**
   * Gives up what waits: the images that it was meant for will not come.
   * @returns {number} how many commands that were
   */
  drop() {
    return this.#queue.splice(0).length;
  }
};

// src/canvas/keys.js
var COMMANDS = {
  ...UNDO,
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
  "Shift+ArrowUp": "threshold-up-fast",
  "Shift+ArrowDown": "threshold-down-fast",
  ...Object.fromEntries(Array.from("123456789", (digit) => [digit, `concept-${digit}`])),
  v: "move",
  b: "brush",
  e: "eraser",
  f: "fill",
  "Shift+f": "fill-holes",
  "[": "brush-smaller",
  "]": "brush-larger",
  h: "hide",
  " ": "pan",
  o: "outline",
  w: "windows",
  "+": "zoom-in",
  "=": "zoom-in",
  "-": "zoom-out",
  "−": "zoom-out",
  0: "fit",
  "?": "legend",
  Escape: "close"
};
var REPEATING = /^(threshold|brush-|zoom|next|previous|undo|redo)/;
var LEGEND = [
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
  ["W", "Windows that decided the mask"],
  ["+ − wheel", "Zoom"],
  ["0", "Fit"],
  ["?", "This legend"]
];

// src/canvas/strokes.js
var LARGEST = 512;
function brushSpans(a, b, diameter, width, height) {
  const radius = Math.max(diameter / 2, 0.71);
  const spans = (
    /** @type {Span[]} */
    []
  );
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const inside = (x, y) => {
    const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / length));
    return (x - a.x - along * dx) ** 2 + (y - a.y - along * dy) ** 2 <= radius * radius;
  };
  const top = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(a.y, b.y) + radius));
  const left = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius));
  const right = Math.min(width - 1, Math.ceil(Math.max(a.x, b.x) + radius));
  for (let y = top; y <= bottom; y += 1) {
    let first = left;
    while (first <= right && !inside(first + 0.5, y + 0.5)) first += 1;
    let last = right;
    while (last >= first && !inside(last + 0.5, y + 0.5)) last -= 1;
    if (first <= last) spans.push([y, first, last]);
  }
  return spans;
}
function grow(rect, spans) {
  let [left, top, right, bottom] = rect ? [rect[0], rect[1], rect[0] + rect[2], rect[1] + rect[3]] : [Infinity, Infinity, 0, 0];
  for (const [y, first, last] of spans) {
    left = Math.min(left, first);
    right = Math.max(right, last + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  return right === 0 ? null : [left, top, right - left, bottom - top];
}
function nextBrush(size, direction) {
  const next = direction > 0 ? Math.max(size + 1, Math.round(size * 1.2)) : Math.min(size - 1, Math.round(size / 1.2));
  return Math.min(LARGEST, Math.max(1, next));
}

// src/canvas/timeline.js
var STATES = ["pending", "accepted", "rejected", "absent", "skipped"];
var BADGES = { pending: "Pending", accepted: "✓ Accepted", rejected: "✕ Rejected", absent: "∅ Not here", skipped: "→ Skipped" };
var MARKS = [
  [0.35, 0.3, "--ra-line"],
  [0, 1, "--ra-good"],
  [0.6, 0.4, "--ra-bad"],
  [0, 0.4, "--ra-soft"],
  [0.4, 0.2, "--ra-soft"]
];
function positionText(timeline, index) {
  if (timeline.length === 0) return "";
  const counts = STATES.map((_, state) => timeline.reduce((sum, value) => sum + Number(value === state), 0));
  const parts = [`${(index + 1).toLocaleString()} / ${timeline.length.toLocaleString()}`];
  for (const state of [1, 2, 3]) if (counts[state] > 0) parts.push(`${counts[state].toLocaleString()} ${STATES[state]}`);
  parts.push(`${(counts[0] + counts[4]).toLocaleString()} left`);
  return parts.join(" · ");
}
function drawTimeline(canvas, timeline, index) {
  canvas.hidden = timeline.length === 0;
  const ratio = window.devicePixelRatio;
  const box = canvas.getBoundingClientRect();
  if (canvas.hidden || box.width === 0) return;
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round(box.height * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  const style = getComputedStyle(canvas);
  const step = canvas.width / timeline.length;
  const gap = step > 4 * ratio ? ratio : 0;
  timeline.forEach((state, at) => {
    const [top, height, colour] = MARKS[state];
    context.fillStyle = style.getPropertyValue(colour);
    context.fillRect(at * step, top * canvas.height, Math.max(1, step - gap), height * canvas.height);
  });
  if (index < 0) return;
  const here = Math.round((index + 0.5) * step);
  context.fillStyle = style.getPropertyValue("--ra-text");
  context.fillRect(here - ratio, 0, 2 * ratio, canvas.height);
}
function imageAt(canvas, event, count) {
  const box = canvas.getBoundingClientRect();
  const index = Math.floor((event.clientX - box.left) / box.width * count);
  return Math.min(count - 1, Math.max(0, index));
}

// src/canvas/commands.js
var STATE_OF = { accept: "accepted", reject: "rejected", absent: "absent", skip: "skipped" };
var GIVEN_UP = { applied: "", stale: "The image had changed meanwhile", failed: "The last key failed" };
var Commands = class {
  /** What was decided last: its image, and the state until the kernel has answered. */
  #decided = { id: "", state: "" };
  #canvas;
  #since = 0;
  #timer = 0;
  /** @param {import("./widget.js").MaskCanvas} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.inputs = new Inputs((command, waited) => this.#apply(command, waited));
  }
  /** @param {import("../shared/dom.js").Lifetime} lifetime */
  start(lifetime) {
    const { ui, viewport, pointers } = this.#canvas;
    const release = () => {
      this.#canvas.hide(false);
      pointers.pan(false);
    };
    listenToKeys(lifetime, ui.root, (event) => this.#onKey(event));
    lifetime.listen(ui.root, "keyup", (event) => {
      const command = commandFor(event, COMMANDS);
      if (command === "hide") this.#canvas.hide(false);
      if (command === "pan") pointers.pan(false);
    });
    lifetime.listen(ui.root, "focusout", release);
    lifetime.listen(ui.stage, "dblclick", () => this.#canvas.tool === "move" && viewport.fit());
    lifetime.listen(ui.stage, "wheel", (event) => this.#onWheel(event), { passive: false });
    lifetime.listen(ui.timeline, "click", (event) => this.run(`go-${imageAt(ui.timeline, event, this.#canvas.timeline.length)}`));
    lifetime.add(() => clearTimeout(this.#timer));
  }
  /** The state that was decided and is not confirmed, or "". */
  get decided() {
    return this.#decided.state;
  }
  /** What the curator reads while keys wait, or "". */
  get waitingText() {
    const { count, waiting } = this.inputs;
    const late = waiting && performance.now() - this.#since > PATIENCE - 100;
    if (count === 0) return late ? NO_ANSWER : "";
    return `${plural(count, "input")} waiting for the next image${late ? `. ${NO_ANSWER}` : " …"}`;
  }
  /** @param {string} command that concerns the image at its turn, the view at once */
  run(command) {
    const { header, legend, model, pointers, ui, viewport } = this.#canvas;
    this.#canvas.notice = "";
    if (command === "legend") return legend.toggle(!legend.open, ui.stage);
    if (command === "close") return legend.toggle(false, ui.stage);
    if (command === "outline") return save(model, "outline", !model.get("outline"));
    if (!header) return void 0;
    if (command === "windows") return this.#showWindows();
    if (["move", "brush", "eraser", "fill"].includes(command)) return this.setTool(
      /** @type {Tool} */
      command
    );
    if (command.startsWith("brush-")) {
      return save(model, "brush", nextBrush(model.get("brush"), command === "brush-larger" ? 1 : -1));
    }
    if (command.startsWith("zoom-")) return viewport.zoom(command === "zoom-in" ? 1.25 : 0.8);
    if (command === "fit") return viewport.fit();
    if (command === "hide") return this.#canvas.hide(true);
    if (command === "pan") return pointers.pan(true);
    this.inputs.give(command);
    return this.#canvas.refresh();
  }
  #showWindows() {
    const { layers, model } = this.#canvas;
    save(model, "windows", !model.get("windows"));
    if (!model.get("windows") || !layers) return this.#canvas.say("Windows hidden");
    const { name, looks } = layers.current.concept;
    if (looks.length > 0) return this.#canvas.say(`${plural(looks.length, "window")} decided the mask of ${name}`);
    return this.#canvas.tell(`No window decided the mask of ${name}: the whole image did.`);
  }
  /** @param {Tool} tool */
  setTool(tool) {
    const { pointers, ui } = this.#canvas;
    this.#canvas.tool = tool;
    ui.stage.dataset.tool = tool;
    for (const node of ui.tools.querySelectorAll("button")) {
      if (node.dataset.tool) node.setAttribute("aria-pressed", String(node.dataset.tool === tool));
    }
    if (tool === "move" || tool === "fill") pointers.hideRing();
  }
  /**
   * The kernel has answered a message, and what came of it is on the screen.
   * @param {string} token
   * @param {Outcome} outcome
   */
  answered(token, outcome) {
    if (outcome !== "applied") this.#giveUp(GIVEN_UP[outcome], outcome === "stale");
    this.inputs.answered(token);
    if (!this.inputs.waiting) this.#decided.state = "";
    this.#canvas.refresh();
  }
  /** Another part of the panel, or another view of the image, chose a concept. */
  follow() {
    const { layers, model } = this.#canvas;
    const index = layers?.named(model.get("active")) ?? -1;
    if (layers && index >= 0 && index !== layers.active) this.#activate(layers, index);
  }
  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const target = (
      /** @type {HTMLElement} */
      event.target
    );
    const command = commandFor(event, COMMANDS);
    if (command === null) return;
    if (target instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
    if (event.key === " " && target.closest("button")) return;
    take(event);
    if (event.repeat && (this.inputs.waiting || !REPEATING.test(command))) return;
    this.run(command);
  }
  /**
   * @param {string} command
   * @param {boolean} waited for the image that is shown now
   */
  #apply(command, waited) {
    const { header, layers } = this.#canvas;
    if (!header || !layers) this.#giveUp("There is no image any more", true);
    else if (command in STATE_OF) this.#decide(
      header,
      layers,
      /** @type {Action} */
      command,
      waited
    );
    else if (command.startsWith("go-")) this.#navigate("go", Number(command.slice(3)));
    else if (["next", "previous", "unsure"].includes(command)) this.#navigate(command, header.index);
    else if (command.startsWith("concept-")) this.#choose(layers, Number(command.slice(8)) - 1);
    else if (command.startsWith("threshold-")) this.#nudge(layers, command);
    else if (command === "fill-holes") layers.fillHoles();
    else if (command === "undo" || command === "redo") this.#travel(layers, command);
    else if (command === "grid") this.#ask({ type: "command", name: "grid" });
  }
  /**
   * @param {Header} header
   * @param {Layers} layers
   * @param {Action} action
   * @param {boolean} waited
   */
  #decide(header, layers, action, waited) {
    if (waited && header.id === this.#decided.id && this.#canvas.state !== "pending") {
      this.#giveUp("No further image is pending", true);
      return;
    }
    layers.rest();
    this.#decided = { id: header.id, state: STATE_OF[action] };
    const { thresholds, current } = layers;
    const { revision } = header;
    this.#ask({ type: "decision", revision, action, concept: current.concept.name, thresholds });
    this.#canvas.say(STATE_OF[action]);
  }
  /**
   * @param {string} where
   * @param {number} index
   */
  #navigate(where, index) {
    this.#canvas.layers?.rest();
    this.#ask({ type: "navigate", where, index });
  }
  /**
   * @param {Layers} layers
   * @param {"undo" | "redo"} direction
   */
  #travel(layers, direction) {
    if (layers.travel(direction)) this.#canvas.say(direction === "undo" ? "Undone" : "Done again");
    else this.#ask({ type: "command", name: direction });
  }
  /**
   * @param {Layers} layers
   * @param {number} index of a concept
   */
  #choose(layers, index) {
    if (!layers.all[index]) return;
    this.#activate(layers, index);
    save(this.#canvas.model, "active", layers.current.concept.name);
    this.#canvas.say(layers.current.concept.name);
  }
  /**
   * @param {Layers} layers
   * @param {number} index of a concept that is there
   */
  #activate(layers, index) {
    layers.rest();
    layers.active = index;
    this.#canvas.painter.redraw("masks");
    this.#canvas.refresh();
  }
  /**
   * @param {Layers} layers
   * @param {string} command threshold-up, threshold-down, or either with -fast
   */
  #nudge(layers, command) {
    const step = (command.startsWith("threshold-up") ? 1 : -1) * (command.endsWith("-fast") ? 16 : 2);
    layers.slide(layers.active, layers.current.threshold + step);
  }
  /**
   * Sends what may bring another image; later keys wait for the answer.
   * @param {ToKernel} message
   */
  #ask(message) {
    this.inputs.hold(this.#canvas.send(message));
    this.#since = performance.now();
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#canvas.refresh(), PATIENCE);
  }
  /**
   * @param {string} why
   * @param {boolean} one more key than those that wait is lost
   */
  #giveUp(why, one) {
    const count = this.inputs.drop() + Number(one);
    if (count > 0) this.#canvas.tell(`${why}: ${plural(count, "input")} not applied.`);
  }
  /** @param {WheelEvent} event */
  #onWheel(event) {
    const { header, ui, viewport } = this.#canvas;
    if (!header || !(event.ctrlKey || ui.root.contains(document.activeElement))) return;
    event.preventDefault();
    viewport.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 15e-4)), pointIn(ui.stage, event));
  }
};

// src/canvas/cells.js
var FORCE_ON = 1;
var FORCE_OFF = 2;
function cellsOf(map, edits) {
  const scores = burn(map, edits);
  return { map, edits, scores, histogram: histogramOf(scores) };
}
function burn(map, edits) {
  const scores = map.slice();
  for (let cell = 0; cell < scores.length; cell += 1) {
    if (edits[cell] === FORCE_ON) scores[cell] = 255;
    else if (edits[cell] === FORCE_OFF) scores[cell] = 0;
  }
  return scores;
}
function histogramOf(scores) {
  const histogram = new Uint32Array(256);
  for (let cell = 0; cell < scores.length; cell += 1) histogram[scores[cell]] += 1;
  return histogram;
}
function coverage(histogram, threshold) {
  let inside = 0;
  let all = 0;
  for (let value = 0; value < 256; value += 1) {
    all += histogram[value];
    if (value >= threshold) inside += histogram[value];
  }
  return all === 0 ? 0 : inside / all;
}
function packCells(cells) {
  const packed = new Uint8Array(Math.ceil(cells.length / 4));
  for (let cell = 0; cell < cells.length; cell += 1) packed[cell >> 2] |= cells[cell] << (cell & 3) * 2;
  return packed;
}
function unpackCells(packed, count) {
  const cells = new Uint8Array(count);
  for (let cell = 0; cell < count; cell += 1) cells[cell] = packed[cell >> 2] >> (cell & 3) * 2 & 3;
  return cells;
}
function crop(cells, stride, [x, y, width, height]) {
  const part = new Uint8Array(width * height);
  for (let row = 0; row < height; row += 1) {
    const from = (y + row) * stride + x;
    part.set(cells.subarray(from, from + width), row * width);
  }
  return part;
}
function paste(cells, stride, [x, y, width, height], part) {
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      force(cells, (y + row) * stride + x + column, part[row * width + column]);
    }
  }
}
function force(cells, cell, value) {
  const score = value === FORCE_ON ? 255 : value === FORCE_OFF ? 0 : cells.map[cell];
  cells.histogram[cells.scores[cell]] -= 1;
  cells.histogram[score] += 1;
  cells.edits[cell] = value;
  cells.scores[cell] = score;
}

// src/canvas/concepts.js
var BINS = 64;
var ConceptRow = class {
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
      h("kbd", { "aria-hidden": "true" }, index < 9 ? String(index + 1) : "")
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
      h("div", { class: "ra-row ra-soft" }, h("span", {}, "Threshold"), this.value, spring(), this.facts),
      this.histogram,
      this.slider
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
    if (active) this.#drawHistogram();
  }
  #drawHistogram() {
    const { histogram, threshold, concept } = this.layer;
    const box = this.histogram.getBoundingClientRect();
    const ratio = window.devicePixelRatio;
    this.histogram.width = Math.max(1, Math.round(box.width * ratio));
    this.histogram.height = Math.max(1, Math.round(box.height * ratio));
    const context = this.histogram.getContext("2d");
    if (!context) return;
    const each = histogram.length / BINS;
    const bins = Array.from(
      { length: BINS },
      (_, bin) => Math.sqrt(histogram.slice(bin * each, bin * each + each).reduce((a, b) => a + b, 0))
    );
    const highest = Math.max(...bins.slice(1), 1);
    const step = this.histogram.width / BINS;
    bins.forEach((value, bin) => {
      const height = Math.min(1, value / highest) * this.histogram.height;
      const inside = bin * each + each - 1 >= threshold;
      context.globalAlpha = inside ? 1 : 0.3;
      context.fillStyle = inside ? concept.colour : getComputedStyle(this.node).color;
      context.fillRect(bin * step, this.histogram.height - height, Math.max(1, step - ratio), height);
    });
  }
};

// src/canvas/frame.js
async function unpackFrame(count, buffers) {
  const [bitmap, maps, edits] = await Promise.all([
    createImageBitmap(blobOf(buffers[0])).catch(() => null),
    // its masks can still be worked on
    Promise.all(buffers.slice(1, 1 + count).map(inflate)),
    Promise.all(buffers.slice(1 + count).map(inflate))
  ]);
  return { bitmap, maps, edits };
}

// src/canvas/history.js
var HISTORY_BYTES = 64 * 1024 * 1024;
var History = class {
  /** @type {Change[]} */
  #done = [];
  /** @type {Change[]} */
  #undone = [];
  #limit;
  /** @param {number} [limit] in bytes */
  constructor(limit = HISTORY_BYTES) {
    this.#limit = limit;
  }
  /** @param {Change} change */
  push(change) {
    this.#done.push(change);
    this.#undone = [];
    const cost = (item) => item.patches.reduce((sum, patch) => sum + patch.before.length + patch.after.length, 64);
    let total = this.#done.reduce((sum, item) => sum + cost(item), 0);
    while (total > this.#limit && this.#done.length > 1) total -= cost(
      /** @type {Change} */
      this.#done.shift()
    );
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
};

// src/canvas/regions.js
function boundsOf(region, stride) {
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
function flood(scores, threshold, width, start) {
  const region = new Uint8Array(scores.length);
  const stack = new Int32Array(scores.length);
  const inside = scores[start] >= threshold;
  region[start] = 1;
  stack[0] = start;
  return { region, count: spread(region, stack, 1, scores, threshold, width, inside), inside };
}
function holes(scores, threshold, width) {
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
function spread(region, stack, depth, scores, threshold, width, inside) {
  const { length } = scores;
  let count = 0;
  while (depth > 0) {
    depth -= 1;
    const cell = stack[depth];
    count += 1;
    const x = cell % width;
    for (let side = 0; side < 4; side += 1) {
      if (side === 0 && x === 0 || side === 1 && x === width - 1) continue;
      const next = side === 0 ? cell - 1 : side === 1 ? cell + 1 : side === 2 ? cell - width : cell + width;
      if (next < 0 || next >= length || region[next] === 1 || scores[next] >= threshold !== inside) continue;
      region[next] = 1;
      stack[depth] = next;
      depth += 1;
    }
  }
  return count;
}

// src/canvas/layers.js
var REST = 400;
var Layers = class {
  /** @type {Layer[]} */
  all;
  active = 0;
  #header;
  #report;
  #history = new History();
  /** @type {{last: Point, value: number, before: Uint8Array[], rect: Rect | null} | null} */
  #stroke = null;
  /** @type {{concept: number, before: number, timer: number | undefined} | null} */
  #moving = null;
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
      ...cellsOf(maps[index], unpackCells(edits[index], count))
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
    const moving = this.#moving ?? { concept, before: layer.threshold, timer: void 0 };
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
};

// src/canvas/paint.js
function sampleAxis(pixels, scale, offset, cells) {
  const axis = new Int32Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const cell = Math.floor((pixel + 0.5 - offset) / scale);
    axis[pixel] = cell < 0 || cell >= cells ? -1 : cell;
  }
  return axis;
}
function colourWord(colour, alpha) {
  const value = Number.parseInt(colour.slice(1), 16);
  const [red, green, blue] = [value >> 16 & 255, value >> 8 & 255, value & 255];
  return (Math.round(alpha * 255) << 24 | blue << 16 | green << 8 | red) >>> 0;
}
function paintMasks(out, xs, ys, stride, layers, reach) {
  const [columns, rows] = [xs.length, ys.length];
  const rowOf = (y) => ys[y] < 0 ? -1 : ys[y] * stride;
  let firstX = 0;
  while (firstX < columns && xs[firstX] < 0) firstX += 1;
  let lastX = columns - 1;
  while (lastX >= firstX && xs[lastX] < 0) lastX -= 1;
  for (const { scores, threshold, fill, edge } of layers) {
    for (let y = 0; y < rows; y += 1) {
      if (ys[y] < 0) continue;
      const base = ys[y] * stride;
      const above = rowOf(y < reach ? y : y - reach);
      const below = rowOf(y + reach < rows ? y + reach : y);
      for (let x = firstX, at = y * columns + firstX; x <= lastX; x += 1, at += 1) {
        const column = xs[x];
        if (scores[base + column] < threshold) continue;
        const left = x < reach ? column : xs[x - reach];
        const right = x + reach < columns ? xs[x + reach] : column;
        const border = above < 0 || below < 0 || scores[above + column] < threshold || scores[below + column] < threshold || left < 0 || right < 0 || scores[base + left] < threshold || scores[base + right] < threshold;
        if (border) out[at] = edge;
        else if (fill !== 0) out[at] = fill;
      }
    }
  }
}
function drawWindows(context, { windows, view }, ratio) {
  const scale = view.scale * ratio;
  for (
    const [colour, width] of
    /** @type {[string, number][]} */
    [["#000", 3], ["#fff", 1]]
  ) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    for (const [x, y, w, h2] of windows) {
      context.strokeRect(view.x * ratio + x * scale, view.y * ratio + y * scale, w * scale, h2 * scale);
    }
  }
}
var Painter = class {
  #image;
  #masks;
  #screen;
  #scene;
  #dirty = { image: true, masks: true };
  #frame = 0;
  /** @type {ImageData | null} */
  #pixels = null;
  /**
   * @param {HTMLCanvasElement} image
   * @param {HTMLCanvasElement} masks
   * @param {() => Size} screen in CSS pixels
   * @param {() => Scene | null} scene asked when it is drawn
   */
  constructor(image, masks, screen, scene) {
    this.#image = image;
    this.#masks = masks;
    this.#screen = screen;
    this.#scene = scene;
  }
  /** @param {"image" | "masks"} what the image implies its masks */
  redraw(what) {
    this.#dirty.masks = true;
    if (what === "image") this.#dirty.image = true;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }
  end() {
    cancelAnimationFrame(this.#frame);
  }
  #draw() {
    this.#frame = 0;
    const ratio = window.devicePixelRatio;
    const { width, height } = this.#screen();
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (columns === 0 || rows === 0) return;
    for (const canvas of [this.#image, this.#masks]) {
      if (canvas.width === columns && canvas.height === rows) continue;
      canvas.width = columns;
      canvas.height = rows;
      this.#dirty = { image: true, masks: true };
    }
    const scene = this.#scene();
    if (this.#dirty.image) this.#drawImage(scene, ratio);
    if (this.#dirty.masks) this.#drawMasks(scene, ratio);
    this.#dirty = { image: false, masks: false };
  }
  /**
   * @param {Scene | null} scene
   * @param {number} ratio device pixels per CSS pixel
   */
  #drawImage(scene, ratio) {
    const context = this.#image.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, this.#image.width, this.#image.height);
    if (!scene?.bitmap) return;
    const { bitmap, grid, view } = scene;
    const scale = view.scale * ratio;
    context.imageSmoothingEnabled = scale * grid.width / bitmap.width < 4;
    context.imageSmoothingQuality = "medium";
    context.drawImage(bitmap, view.x * ratio, view.y * ratio, grid.width * scale, grid.height * scale);
  }
  /**
   * @param {Scene | null} scene
   * @param {number} ratio device pixels per CSS pixel
   */
  #drawMasks(scene, ratio) {
    const { width, height } = this.#masks;
    const context = this.#masks.getContext("2d");
    if (!context) return;
    if (!scene || scene.layers.length === 0) {
      context.clearRect(0, 0, width, height);
      return;
    }
    if (this.#pixels?.width !== width || this.#pixels.height !== height) this.#pixels = new ImageData(width, height);
    const words = new Uint32Array(this.#pixels.data.buffer);
    words.fill(0);
    const { grid, view, opacity } = scene;
    const xs = sampleAxis(width, view.scale * ratio, view.x * ratio, grid.width);
    const ys = sampleAxis(height, view.scale * ratio, view.y * ratio, grid.height);
    const layers = scene.layers.map(({ scores, threshold, concept: { colour } }) => ({
      scores,
      threshold,
      fill: opacity === 0 ? 0 : colourWord(colour, opacity),
      edge: colourWord(colour, 1)
    }));
    paintMasks(words, xs, ys, grid.width, layers, Math.max(1, Math.round(ratio * (opacity === 0 ? 2 : 1.5))));
    context.putImageData(this.#pixels, 0, 0);
    drawWindows(context, scene, ratio);
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

// src/canvas/panel.js
function buildPanel(run, legend) {
  const { bar, ...top } = buildBar(run);
  const { stage, ...middle } = buildStage();
  const { tools, ...controls } = buildTools(run);
  const timeline = h("canvas", { class: "ra-timeline", role: "img", "aria-label": "Progress; click to go to an image" });
  const alert = h("div", { class: "ra-alert", role: "alert", hidden: "" });
  const concepts = h("div", { class: "ra-concepts", role: "radiogroup", "aria-label": "Concepts" });
  const decisions = buildDecisions(run);
  const side = h("div", { class: "ra-side" }, concepts, tools, spring(), decisions);
  const main = h("div", { class: "ra-main" }, stage, side, legend);
  const status = h("span", { class: "ra-soft ra-status" });
  const zoom = h("span", { class: "ra-soft" });
  const foot = h(
    "div",
    { class: "ra-foot" },
    h("span", { class: "ra-spinner", "aria-hidden": "true" }),
    status,
    spring(),
    zoom,
    button("Fit", () => run("fit"), { text: "Fit", key: "0" })
  );
  const live = h("div", { class: "ra-live", "aria-live": "polite" });
  const root = h(
    "div",
    { class: "ra-widget ra-canvas", [SUPPRESS]: "true", role: "region", "aria-label": "Mask review" },
    ...[bar, timeline, alert, main, foot, live]
  );
  return { root, ...top, timeline, alert, main, stage, ...middle, concepts, tools, ...controls, decisions, status, zoom, live };
}
function buildBar(run) {
  const label = h("span", { class: "ra-label" });
  const badge = h("span", { class: "ra-state" });
  const uncertainty = h("span", { class: "ra-soft" });
  const position = h("span", { class: "ra-soft" });
  const bar = h(
    "div",
    { class: "ra-bar" },
    label,
    badge,
    uncertainty,
    spring(),
    position,
    button("Previous image", () => run("previous"), { icon: ICONS.left, key: "←" }),
    button("Next image", () => run("next"), { icon: ICONS.right, key: "→" }),
    button("Keys", () => run("legend"), { text: "?", kind: "ra-round" })
  );
  return { bar, label, badge, uncertainty, position };
}
function buildStage() {
  const image = h("canvas", { class: "ra-image" });
  const masks = h("canvas", { class: "ra-masks" });
  const pointer = h("div", { class: "ra-pointer", hidden: "" });
  const note = h("div", { class: "ra-note" });
  const stage = h(
    "div",
    { class: "ra-stage", tabindex: "0", role: "application", "aria-label": "Image with masks", "aria-describedby": "" },
    ...[image, masks, pointer, note]
  );
  return { stage, image, masks, pointer, note };
}
function buildTools(run) {
  const row = h("div", { class: "ra-row", role: "group", "aria-label": "Tool" });
  for (
    const [name, title, key] of
    /** @type {[Tool, string, string][]} */
    [
      ["move", "Move", "V"],
      ["brush", "Brush", "B"],
      ["eraser", "Eraser", "E"],
      ["fill", "Fill a hole or remove a piece", "F"]
    ]
  ) {
    const node = button(title, () => run(name), { icon: ICONS[name], key });
    node.dataset.tool = name;
    row.append(node);
  }
  row.append(
    spring(),
    button("Undo", () => run("undo"), { icon: ICONS.undo, key: "Z" }),
    button("Redo", () => run("redo"), { icon: ICONS.redo, key: "Y" })
  );
  const brush = slider("Brush size ([ and ])", { min: 0, max: 100 });
  const brushValue = h("output", { class: "ra-soft" });
  const opacity = slider("Opacity of the masks", { min: 0, max: 100 });
  const opacityValue = h("output", { class: "ra-soft" });
  const outline = button("Outlines only", () => run("outline"), { text: "Outlines", key: "O", kind: "ra-plain" });
  const windows = button("Windows that decided the mask", () => run("windows"), { text: "Windows", key: "W", kind: "ra-plain" });
  const fillHoles = button("Fill every hole", () => run("fill-holes"), { text: "Fill holes", key: "⇧F", kind: "ra-plain" });
  const tools = h(
    "div",
    { class: "ra-tools" },
    row,
    h("label", { class: "ra-setting" }, h("span", {}, "Brush"), brush, brushValue),
    h("label", { class: "ra-setting" }, h("span", {}, "Opacity"), opacity, opacityValue),
    h("div", { class: "ra-row" }, outline, fillHoles),
    h("div", { class: "ra-row" }, windows)
  );
  return { tools, brush, brushValue, opacity, opacityValue, outline, windows };
}
function buildDecisions(run) {
  return h(
    "div",
    { class: "ra-decisions" },
    button("Accept", () => run("accept"), { text: "Accept", key: "A", kind: "ra-primary" }),
    button("Reject", () => run("reject"), { text: "Reject", key: "R", kind: "ra-plain" }),
    button("Not here: the concept is absent", () => run("absent"), { text: "Not here", key: "N", kind: "ra-plain" }),
    button("Skip", () => run("skip"), { text: "Skip", key: "S", kind: "ra-plain" }),
    button("Next unsure image", () => run("unsure"), { text: "Next unsure", key: "U", kind: "ra-plain" })
  );
}

// src/canvas/pointer.js
var Pointers = class {
  #stage;
  #ring;
  #target;
  #panning = false;
  /** @type {Map<number, Point>} */
  #down = /* @__PURE__ */ new Map();
  /** @type {{distance: number, x: number, y: number} | null} */
  #pinch = null;
  /**
   * @param {HTMLElement} stage
   * @param {HTMLElement} ring that shows the brush
   * @param {Target} target
   */
  constructor(stage, ring, target) {
    this.#stage = stage;
    this.#ring = ring;
    this.#target = target;
  }
  /** @param {import("../shared/dom.js").Lifetime} lifetime */
  start(lifetime) {
    const stage = this.#stage;
    lifetime.listen(stage, "pointerdown", (event) => this.#onDown(event));
    lifetime.listen(stage, "pointermove", (event) => this.#onMove(event));
    lifetime.listen(stage, "pointerup", (event) => this.#onUp(event));
    lifetime.listen(stage, "pointercancel", (event) => this.#onUp(event));
    lifetime.listen(stage, "pointerleave", () => this.hideRing());
  }
  hideRing() {
    this.#ring.hidden = true;
  }
  /** @param {boolean} panning whatever the tool */
  pan(panning) {
    this.#panning = panning;
    this.#stage.classList.toggle("ra-panning", panning);
    if (panning) this.hideRing();
  }
  /** @param {PointerEvent} event */
  #onDown(event) {
    const { layers, viewport, tool, brush, waiting } = this.#target;
    if (!layers || event.button > 1) return;
    this.#stage.focus({ preventScroll: true });
    event.preventDefault();
    this.#stage.setPointerCapture(event.pointerId);
    const point = pointIn(this.#stage, event);
    this.#down.set(event.pointerId, point);
    if (this.#down.size === 2) {
      layers.cancel();
      this.#pinch = this.#measure();
    }
    if (this.#down.size > 1 || this.#pans(event)) return;
    const cell = viewport.cellAt(point);
    if (waiting) this.#target.tell("The next image is on its way: paint on it once it shows.");
    else if (tool === "fill") layers.fill(cell);
    else layers.begin(cell, tool === "eraser", brush);
  }
  /** @param {PointerEvent} event */
  #onMove(event) {
    const { layers, viewport, brush } = this.#target;
    const point = pointIn(this.#stage, event);
    this.#placeRing(point, event.pointerType);
    const last = this.#down.get(event.pointerId);
    if (!last) return;
    this.#down.set(event.pointerId, point);
    if (this.#pinch) this.#onPinch(this.#pinch);
    else if (layers?.drawing) {
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length > 0 ? parts : [event]) {
        layers.drawTo(viewport.cellAt(pointIn(this.#stage, part)), brush);
      }
    } else if (this.#pans(event)) viewport.move(point.x - last.x, point.y - last.y);
  }
  /** @param {PointerEvent} event */
  #onUp(event) {
    this.#down.delete(event.pointerId);
    if (this.#down.size < 2) this.#pinch = null;
    this.#target.layers?.end();
  }
  /** @param {{distance: number, x: number, y: number}} before */
  #onPinch(before) {
    const { viewport } = this.#target;
    const now = this.#measure();
    viewport.move(now.x - before.x, now.y - before.y);
    viewport.zoom(now.distance / before.distance, now);
    this.#pinch = now;
  }
  #measure() {
    const [a, b] = [...this.#down.values()];
    return { distance: Math.hypot(a.x - b.x, a.y - b.y) || 1, x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  }
  /** @param {PointerEvent} event */
  #pans(event) {
    return this.#target.tool === "move" || this.#panning || (event.buttons & 4) !== 0;
  }
  /**
   * @param {Point} point
   * @param {string} type of pointer
   */
  #placeRing(point, type) {
    const { layers, viewport, tool, brush } = this.#target;
    const paints = tool === "brush" || tool === "eraser";
    this.#ring.hidden = !layers || this.#panning || type === "touch" || !paints;
    if (this.#ring.hidden) return;
    const size = Math.max(3, brush * viewport.view.scale);
    this.#ring.style.width = `${size}px`;
    this.#ring.style.height = `${size}px`;
    this.#ring.style.transform = `translate(${point.x - size / 2}px, ${point.y - size / 2}px)`;
  }
};

// src/canvas/status.js
var BRUSH_STEP = 1.0643;
var TAIL = 24;
function brushOf(place) {
  return Math.round(BRUSH_STEP ** place);
}
function showStatus(ui, { header, model, timeline, state, status, note }) {
  ui.label.replaceChildren(...splitLabel(header?.label ?? "", TAIL).map((part) => h("span", {}, part)));
  ui.label.title = header?.label ?? "";
  ui.badge.textContent = BADGES[state] ?? "";
  ui.badge.dataset.state = state;
  ui.badge.hidden = header === null;
  ui.uncertainty.textContent = header?.uncertainty == null ? "" : `uncertainty ${header.uncertainty.toFixed(2)}`;
  ui.position.textContent = header ? positionText(timeline, header.index) : "";
  ui.alert.textContent = model.get("error");
  ui.alert.hidden = model.get("error") === "";
  ui.status.textContent = status;
  ui.root.classList.toggle("ra-busy", model.get("busy"));
  ui.note.textContent = note;
  ui.note.hidden = note === "";
  showSettings(ui, model);
  for (const node of ui.decisions.querySelectorAll("button")) node.disabled = header === null;
  drawTimeline(ui.timeline, timeline, header?.index ?? -1);
}
function showSettings(ui, model) {
  const [brush, percent] = [model.get("brush"), Math.round(model.get("opacity") * 100)];
  ui.brush.value = String(Math.log(brush) / Math.log(BRUSH_STEP));
  ui.brushValue.textContent = `${brush} px`;
  ui.opacity.value = String(percent);
  ui.opacityValue.textContent = `${percent} %`;
  ui.outline.setAttribute("aria-pressed", String(model.get("outline")));
  ui.windows.setAttribute("aria-pressed", String(model.get("windows")));
}

// src/canvas/view.js
var MARGIN = 12;
var KEPT = 48;
var MAX_SCALE = 40;
function fitView(grid, screen) {
  const scale = Math.max(
    1e-3,
    Math.min((screen.width - 2 * MARGIN) / grid.width, (screen.height - 2 * MARGIN) / grid.height)
  );
  return { scale, x: (screen.width - grid.width * scale) / 2, y: (screen.height - grid.height * scale) / 2 };
}
function zoomAt(view, factor, point, fitted) {
  const scale = Math.min(Math.max(MAX_SCALE, fitted), Math.max(fitted / 2, view.scale * factor));
  const ratio = scale / view.scale;
  return { scale, x: point.x - (point.x - view.x) * ratio, y: point.y - (point.y - view.y) * ratio };
}
function clampView(view, grid, screen) {
  const limit = (at, size, room) => Math.min(room - KEPT, Math.max(KEPT - size, at));
  return {
    scale: view.scale,
    x: limit(view.x, grid.width * view.scale, screen.width),
    y: limit(view.y, grid.height * view.scale, screen.height)
  };
}
var Viewport = class {
  /** @type {View} */
  view = { scale: 1, x: 0, y: 0 };
  #fitted = true;
  /** @type {Size | null} */
  #grid = null;
  #screen;
  #changed;
  /**
   * @param {() => Size} screen in CSS pixels
   * @param {() => void} changed
   */
  constructor(screen, changed) {
    this.#screen = screen;
    this.#changed = changed;
  }
  /**
   * Looks at another grid of cells, or at none.
   * @param {Size | null} grid
   */
  lookAt(grid) {
    this.#grid = grid;
  }
  /**
   * The cell under a point of the screen, with its fraction.
   * @param {Point} point
   * @returns {Point}
   */
  cellAt(point) {
    return { x: (point.x - this.view.x) / this.view.scale, y: (point.y - this.view.y) / this.view.scale };
  }
  fit() {
    if (!this.#grid) return;
    this.#set(fitView(this.#grid, this.#screen()));
    this.#fitted = true;
  }
  /** The screen has another size now. */
  resize() {
    if (this.#fitted) this.fit();
  }
  /**
   * @param {number} dx
   * @param {number} dy
   */
  move(dx, dy) {
    this.#set({ ...this.view, x: this.view.x + dx, y: this.view.y + dy });
  }
  /**
   * @param {number} factor
   * @param {Point} [point] of the screen; its middle where none is given
   */
  zoom(factor, point) {
    if (!this.#grid) return;
    const screen = this.#screen();
    const about = point ?? { x: screen.width / 2, y: screen.height / 2 };
    this.#set(zoomAt(this.view, factor, about, fitView(this.#grid, screen).scale));
  }
  /** @param {View} view */
  #set(view) {
    if (!this.#grid) return;
    this.#fitted = false;
    this.view = clampView(view, this.#grid, this.#screen());
    this.#changed();
  }
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

// src/canvas/widget.js
var MaskCanvas = class {
  /** @param {Model} model */
  constructor(model) {
    const run = (command) => this.commands.run(command);
    this.model = model;
    this.lifetime = new Lifetime();
    this.legend = new Legend(LEGEND, () => run("close"));
    this.ui = buildPanel(run, this.legend.node);
    this.header = null;
    this.layers = null;
    this.rows = [];
    this.bitmap = null;
    this.tool = "move";
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
    this.notice = "";
    this.loading = 0;
    this.shown = Promise.resolve();
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
    receive(this.lifetime, this.model, {
      frame: (header, buffers) => {
        this.shown = this.onFrame(header, buffers).catch((error) => this.tell(`The image cannot be unpacked: ${error}`));
      },
      empty: () => this.clear(),
      answer: ({ token, outcome }) => {
        const ours = token.startsWith(`${this.uid}-`);
        if (ours) void this.shown.then(() => this.commands.answered(token, outcome));
      },
      place: ({ id, index }) => this.place(id, index),
      // It may only just be shown again: what is hidden takes no focus.
      focus: () => requestAnimationFrame(() => this.ui.stage.focus({ preventScroll: true }))
    });
    const refresh = () => this.refresh();
    const repaint = () => this.repaint();
    watch(this.lifetime, this.model, {
      active: () => this.commands.follow(),
      timeline: refresh,
      status: refresh,
      error: refresh,
      busy: refresh,
      opacity: repaint,
      outline: repaint,
      windows: repaint,
      brush: refresh,
      height: () => this.showHeight()
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
    this.model.send({ ...message, token }, void 0, buffers);
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
      rest: () => layers.rest()
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
      tell: (text) => this.tell(text)
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
      opacity: this.model.get("outline") ? 0 : this.model.get("opacity")
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
};

// src/mask_canvas.js
function render({ model, el }) {
  const canvas = new MaskCanvas(model);
  el.append(canvas.ui.root);
  canvas.start();
  return () => canvas.dispose();
}
var mask_canvas_default = { render };
export {
  mask_canvas_default as default
};
