/** What the canvas's keys and buttons do. */

import { pointIn } from "../shared/dom.js";
import { commandFor, listenToKeys, take } from "../shared/keys.js";
import { save } from "../shared/messages.js";
import { COMMANDS, REPEATING } from "./keys.js";
import { nextBrush } from "./strokes.js";
import { imageAt } from "./timeline.js";

/** @typedef {import("./layers.js").Layers} Layers */
/** @typedef {import("./types.js").Action} Action */
/** @typedef {import("./types.js").Header} Header */
/** @typedef {import("./types.js").Tool} Tool */

/** @type {Record<Action, string>} */
const STATE_OF = { accept: "accepted", reject: "rejected", absent: "absent", skip: "skipped" };
const ANSWER = 1500; // ms that a decision may wait for the next image

export class Commands {
  /** The state that was decided last, until the next image shows. */
  waiting = "";
  #canvas;
  #timer = 0;

  /** @param {import("./widget.js").MaskCanvas} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
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
    lifetime.listen(ui.timeline, "click", (event) =>
      this.#navigate("go", imageAt(ui.timeline, event, this.#canvas.timeline.length)),
    );
    lifetime.add(() => clearTimeout(this.#timer));
  }

  /** The last decision has been answered with the next image, or never will be. */
  settle() {
    this.waiting = "";
    clearTimeout(this.#timer);
  }

  /** @param {string} command */
  run(command) {
    const { header, layers, legend, model, pointers, ui, viewport } = this.#canvas;
    if (command === "legend") return legend.toggle(!legend.open, ui.stage);
    if (command === "close") return legend.toggle(false, ui.stage);
    if (command === "outline") return save(model, "outline", !model.get("outline"));
    if (!header || !layers) return undefined;
    if (command in STATE_OF) return this.#decide(header, layers, /** @type {Action} */ (command));
    if (["next", "previous", "unsure"].includes(command)) return this.#navigate(command, header.index);
    if (["move", "brush", "eraser", "fill"].includes(command)) return this.#canvas.setTool(/** @type {Tool} */ (command));
    if (command.startsWith("concept-")) return this.#canvas.choose(Number(command.slice(8)) - 1);
    if (command.startsWith("brush-")) {
      return save(model, "brush", nextBrush(model.get("brush"), command === "brush-larger" ? 1 : -1));
    }
    if (command.startsWith("zoom-")) return viewport.zoom(command === "zoom-in" ? 1.25 : 0.8);
    if (command === "fit") return viewport.fit();
    if (command === "hide") return this.#canvas.hide(true);
    if (command === "pan") return pointers.pan(true);
    if (command === "fill-holes") return layers.fillHoles();
    if (command === "undo" || command === "redo") return this.#travel(layers, command);
    if (command === "grid") return this.#canvas.send({ type: "command", name: "grid" });
    return undefined;
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const command = commandFor(event, COMMANDS);
    if (command === null) return;
    if (target instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
    if (event.key === " " && target.closest("button")) return;
    take(event);
    if (event.repeat && !REPEATING.test(command)) return;
    if (command.startsWith("threshold")) this.#nudge(command === "threshold-up" ? 1 : -1, event.shiftKey);
    else this.run(command);
  }

  /**
   * @param {Header} header
   * @param {Layers} layers
   * @param {Action} action
   */
  #decide(header, layers, action) {
    // A second key before the next image shows cannot be meant for an image nobody has seen.
    if (this.waiting) return;
    layers.rest();
    this.waiting = STATE_OF[action];
    this.#timer = window.setTimeout(() => {
      this.settle();
      this.#canvas.refresh();
    }, ANSWER);
    const { active: concept, thresholds } = layers;
    this.#canvas.send({ type: "decision", id: header.id, action, concept, thresholds });
    this.#canvas.say(STATE_OF[action]);
    this.#canvas.refresh();
  }

  /**
   * @param {string} where
   * @param {number} index
   */
  #navigate(where, index) {
    this.#canvas.layers?.rest();
    this.#canvas.send({ type: "navigate", where, index });
  }

  /**
   * @param {Layers} layers
   * @param {"undo" | "redo"} direction
   */
  #travel(layers, direction) {
    if (layers.travel(direction)) this.#canvas.say(direction === "undo" ? "Undone" : "Done again");
    // Nothing left on this image: the session takes the last decision back.
    else this.#canvas.send({ type: "command", name: direction });
  }

  /**
   * @param {number} direction
   * @param {boolean} fast
   */
  #nudge(direction, fast) {
    const { layers } = this.#canvas;
    if (layers) layers.slide(layers.active, layers.current.threshold + direction * (fast ? 16 : 2));
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
