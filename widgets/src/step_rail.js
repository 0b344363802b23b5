/**
 * StepRail: the top of the Annotator. Which archive, which concept, which of the steps, and what went wrong.
 *
 *   browser -> kernel   step {index} · concept {index} · add · dismiss
 *
 * This module has no imports: anywidget loads it from a blob: URL, where relative ones cannot resolve.
 */

/**
 * @typedef {object} Traits
 * @property {string} heading what is worked on; shown as text
 * @property {string} note one line about where the work is kept
 * @property {[title: string, note: string, enabled: boolean, done: boolean][]} steps in their order
 * @property {number} active position of the open step
 * @property {[name: string, colour: string][]} concepts of the job
 * @property {number} concept position of the chosen one, -1 for none
 * @property {string} error one sentence about what failed; empty hides it
 * @property {boolean} busy work goes on
 */

/** @typedef {import("@anywidget/types").AnyModel<Traits>} Model */

const SUPPRESS = "data-lm-suppress-shortcuts";
const GUARDED = /** @type {const} */ (["focusin", "keydown"]);

/**
 * Where an arrow key leads among tabs, or -1 if it is not for them; those that are disabled are passed over.
 * @param {string} key
 * @param {number} at
 * @param {boolean[]} enabled
 */
export function moveTab(key, at, enabled) {
  const all = enabled.length;
  const from = { ArrowRight: at, ArrowLeft: at, Home: -1, End: all }[key];
  if (from === undefined || all === 0) return -1;
  const direction = key === "ArrowRight" || key === "Home" ? 1 : -1;
  for (let step = 1; step <= all; step += 1) {
    const next = (((from + direction * step) % all) + all) % all;
    if (enabled[next]) return next;
  }
  return -1;
}

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

/** @type {import("@anywidget/types").Render<Traits>} */
function render({ model, el }) {
  const rail = new Rail(model);
  el.append(rail.root);
  return rail.start();
}

class Rail {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.heading = h("span", { class: "ra-rail-heading" });
    this.note = h("span", { class: "ra-rail-note" });
    this.busy = h("span", { class: "ra-rail-busy", "aria-hidden": "true" });
    this.concepts = h("div", { class: "ra-rail-concepts", role: "group", "aria-label": "Concepts" });
    this.steps = h("div", { class: "ra-rail-steps", role: "tablist", "aria-label": "Steps" });
    this.message = h("span", {});
    const close = h("button", { type: "button", class: "ra-rail-close", "aria-label": "Dismiss" }, "×");
    close.addEventListener("click", () => this.model.send({ type: "dismiss" }));
    this.alert = h("div", { class: "ra-rail-alert", role: "alert", hidden: "" }, this.message, close);
    this.root = h(
      "div",
      { class: "ra-rail", [SUPPRESS]: "true", role: "region", "aria-label": "Annotator" },
      h(
        "div",
        { class: "ra-rail-top" },
        this.heading,
        this.concepts,
        h("span", { class: "ra-rail-spring" }),
        this.busy,
        this.note,
      ),
      this.steps,
      this.alert,
    );
  }

  start() {
    const names = /** @type {(keyof Traits)[]} */ (["heading", "note", "steps", "active", "concepts", "concept", "error", "busy"]);
    const draw = () => this.draw();
    for (const name of names) this.model.on(`change:${name}`, draw);
    const onKey = (/** @type {KeyboardEvent} */ event) => this.onKey(event);
    this.steps.addEventListener("keydown", onKey);
    const guard = (/** @type {FocusEvent | KeyboardEvent} */ event) => this.guard(event);
    for (const type of GUARDED) document.addEventListener(type, guard, true);
    this.draw();
    return () => {
      for (const name of names) this.model.off(`change:${name}`, draw);
      this.steps.removeEventListener("keydown", onKey);
      for (const type of GUARDED) document.removeEventListener(type, guard, true);
    };
  }

  /**
   * Keeps the notebook from taking plain keys on the panel's buttons and fields as its own (twice D would delete
   * the cell), while Ctrl S and its like go on working. The mark must be on the focused element.
   * @param {FocusEvent | KeyboardEvent} event
   */
  guard(event) {
    const target = /** @type {Element} */ (event.target);
    if (!target.closest?.(".ra-annotator")?.contains(this.root)) return;
    if ("key" in event && (event.ctrlKey || event.metaKey)) target.removeAttribute(SUPPRESS);
    else target.setAttribute(SUPPRESS, "true");
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
      const dot = h("span", { class: "ra-rail-dot", "aria-hidden": "true" });
      dot.style.background = colour;
      const pressed = String(index === chosen);
      const words = h("span", { class: "ra-rail-name" }, name);
      const node = h("button", { type: "button", class: "ra-rail-concept", "aria-pressed": pressed, title: name }, dot, words);
      node.addEventListener("click", () => this.model.send({ type: "concept", index }));
      return node;
    });
    const add = h("button", { type: "button", class: "ra-rail-add" }, "+ Concept");
    add.addEventListener("click", () => this.model.send({ type: "add" }));
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
          class: "ra-rail-step",
          role: "tab",
          "aria-selected": String(index === active),
          tabindex: index === active ? "0" : "-1",
        },
        h("span", { class: "ra-rail-number", "aria-hidden": "true" }, done ? "✓" : String(index + 1)),
        h(
          "span",
          { class: "ra-rail-words" },
          h("span", { class: "ra-rail-title" }, title),
          h("span", { class: "ra-rail-sub", title: note }, note),
        ),
      );
      node.disabled = !enabled;
      node.classList.toggle("ra-done", done);
      node.addEventListener("click", () => this.model.send({ type: "step", index }));
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
    event.preventDefault();
    event.stopPropagation();
    this.model.send({ type: "step", index: next });
  }
}

export default { render };
