/** The stepper as a whole: its DOM and its wiring. */

import { Lifetime, h, spring } from "../shared/dom.js";
import { SUPPRESS, guard, take } from "../shared/keys.js";
import { watch } from "../shared/messages.js";
import { moveTab } from "./tabs.js";

/** @typedef {import("./types.js").Model} Model */
/** @typedef {import("./types.js").ToKernel} ToKernel */
/** @typedef {import("./types.js").Traits} Traits */

const GUARDED = /** @type {const} */ (["focusin", "keydown"]);

/** The widget's view. */
export class Stepper {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.lifetime = new Lifetime();
    this.heading = h("span", { class: "ra-stepper-heading" });
    this.note = h("span", { class: "ra-stepper-note" });
    this.busy = h("span", { class: "ra-stepper-busy", "aria-hidden": "true" });
    this.concepts = h("div", { class: "ra-stepper-concepts", role: "group", "aria-label": "Concepts" });
    this.steps = h("div", { class: "ra-stepper-steps", role: "tablist", "aria-label": "Steps" });
    this.message = h("span", {});
    const close = h("button", { type: "button", class: "ra-stepper-close", "aria-label": "Dismiss" }, "×");
    close.addEventListener("click", () => this.send({ type: "dismiss" }));
    this.alert = h("div", { class: "ra-stepper-alert", role: "alert", hidden: "" }, this.message, close);
    this.root = h(
      "div",
      { class: "ra-stepper", [SUPPRESS]: "true", role: "region", "aria-label": "Annotator" },
      h(
        "div",
        { class: "ra-stepper-top" },
        this.heading,
        this.concepts,
        spring(),
        this.busy,
        this.note,
      ),
      this.steps,
      this.alert,
    );
  }

  start() {
    const draw = () => this.draw();
    /** @type {typeof watch<Traits>} */ (watch)(this.lifetime, this.model, {
      heading: draw,
      note: draw,
      steps: draw,
      active: draw,
      concepts: draw,
      concept: draw,
      error: draw,
      busy: draw,
    });
    this.lifetime.listen(this.steps, "keydown", (event) => this.onKey(event));
    for (const type of GUARDED) this.lifetime.listen(document, type, (event) => this.guard(event), { capture: true });
    this.draw();
  }

  dispose() {
    this.lifetime.end();
    this.root.remove();
  }

  /** @param {ToKernel} message */
  send(message) {
    this.model.send(message);
  }

  /**
   * Guards the keys of the whole panel: its other buttons and fields are plain ipywidgets.
   * @param {FocusEvent | KeyboardEvent} event
   */
  guard(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest?.(".ra-annotator")?.contains(this.root)) guard(event, target);
  }

  draw() {
    const { model } = this;
    this.heading.textContent = model.get("heading");
    this.note.textContent = model.get("note");
    this.busy.classList.toggle("ra-on", model.get("busy"));
    const error = model.get("error");
    this.alert.hidden = error === "";
    this.message.textContent = error;
    this.drawConcepts();
    this.drawSteps();
  }

  drawConcepts() {
    const chosen = this.model.get("concept");
    const nodes = this.model.get("concepts").map(([name, colour], index) => {
      const dot = h("span", { class: "ra-stepper-dot", "aria-hidden": "true" });
      dot.style.background = colour;
      const pressed = String(index === chosen);
      const words = h("span", { class: "ra-stepper-name" }, name);
      const node = h("button", { type: "button", class: "ra-stepper-concept", "aria-pressed": pressed, title: name }, dot, words);
      node.addEventListener("click", () => this.send({ type: "concept", index }));
      return node;
    });
    const add = h("button", { type: "button", class: "ra-stepper-add" }, "+ Concept");
    add.addEventListener("click", () => this.send({ type: "add" }));
    this.concepts.replaceChildren(...nodes, ...(nodes.length > 0 ? [add] : []));
  }

  drawSteps() {
    const active = this.model.get("active");
    const focused = this.steps.contains(document.activeElement);
    const nodes = this.model.get("steps").map(([title, note, enabled, done], index) => {
      const node = h(
        "button",
        {
          type: "button",
          class: "ra-stepper-step",
          role: "tab",
          "aria-selected": String(index === active),
          tabindex: index === active ? "0" : "-1",
        },
        h("span", { class: "ra-stepper-number", "aria-hidden": "true" }, done ? "✓" : String(index + 1)),
        h(
          "span",
          { class: "ra-stepper-words" },
          h("span", { class: "ra-stepper-title" }, title),
          h("span", { class: "ra-stepper-sub", title: note }, note),
        ),
      );
      node.disabled = !enabled;
      node.classList.toggle("ra-done", done);
      node.addEventListener("click", () => this.send({ type: "step", index }));
      return node;
    });
    this.steps.replaceChildren(...nodes);
    if (focused) nodes[active]?.focus();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const enabled = this.model.get("steps").map((step) => step[2]);
    const next = moveTab(event.key, this.model.get("active"), enabled);
    if (next < 0) return;
    take(event);
    this.send({ type: "step", index: next });
  }
}
