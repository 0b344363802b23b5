/** What the canvas's keys and buttons do. */

import { pointIn } from "../shared/dom.js";
import { commandFor, listenToKeys, take } from "../shared/keys.js";
import { save } from "../shared/messages.js";
import { NO_ANSWER, PATIENCE, plural } from "../shared/words.js";
import { Inputs } from "./inputs.js";
import { COMMANDS, REPEATING } from "./keys.js";
import { nextBrush } from "./strokes.js";
import { imageAt } from "./timeline.js";

/** @typedef {import("./layers.js").Layers} Layers */
/** @typedef {import("./types.js").Action} Action */
/** @typedef {import("./types.js").Header} Header */
/** @typedef {import("./types.js").Outcome} Outcome */
/** @typedef {import("./types.js").Tool} Tool */
/** @typedef {import("./types.js").ToKernel} ToKernel */

/** @type {Record<Action, string>} */
const STATE_OF = { accept: "accepted", reject: "rejected", absent: "absent", skip: "skipped" };

/** @type {Record<Outcome, string>} why keys that waited are given up */
const GIVEN_UP = { applied: "", stale: "The image had changed meanwhile", failed: "The last key failed" };

export class Commands {
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
    if (!header) return undefined;
    if (command === "windows") return this.#showWindows();
    if (["move", "brush", "eraser", "fill"].includes(command)) return this.setTool(/** @type {Tool} */ (command));
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
    const target = /** @type {HTMLElement} */ (event.target);
    const command = commandFor(event, COMMANDS);
    if (command === null) return;
    if (target instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
    if (event.key === " " && target.closest("button")) return;
    take(event);
    // A key that is held goes on once its image shows; only presses wait.
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
    else if (command in STATE_OF) this.#decide(header, layers, /** @type {Action} */ (command), waited);
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
      // It was meant for the image after the one that is still shown.
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
    // Nothing left on this image: the session takes the last decision back.
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
    // Without the focus a plain wheel scrolls the notebook, as everywhere else in it.
    if (!header || !(event.ctrlKey || ui.root.contains(document.activeElement))) return;
    event.preventDefault();
    viewport.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), pointIn(ui.stage, event));
  }
}
