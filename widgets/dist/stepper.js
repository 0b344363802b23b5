/* Made of widgets/src by npm run build. */

// src/shared/dom.js
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
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

// src/shared/keys.js
var SUPPRESS = "data-lm-suppress-shortcuts";
function guard(event, ...nodes) {
  const theirs = "key" in event && (event.ctrlKey || event.metaKey);
  for (const node of nodes) {
    if (theirs) node.removeAttribute(SUPPRESS);
    else node.setAttribute(SUPPRESS, "true");
  }
}
function take(event) {
  event.preventDefault();
  event.stopPropagation();
}

// src/shared/messages.js
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

// src/stepper/tabs.js
function moveTab(key, at, enabled) {
  const all = enabled.length;
  const from = { ArrowRight: at, ArrowLeft: at, Home: -1, End: all }[key];
  if (from === void 0 || all === 0) return -1;
  const direction = key === "ArrowRight" || key === "Home" ? 1 : -1;
  for (let step = 1; step <= all; step += 1) {
    const next = ((from + direction * step) % all + all) % all;
    if (enabled[next]) return next;
  }
  return -1;
}

// src/stepper/widget.js
var GUARDED = (
  /** @type {const} */
  ["focusin", "keydown"]
);
var Stepper = class {
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
        this.note
      ),
      this.steps,
      this.alert
    );
  }
  start() {
    const draw = () => this.draw();
    watch(this.lifetime, this.model, {
      heading: draw,
      note: draw,
      steps: draw,
      active: draw,
      concepts: draw,
      concept: draw,
      error: draw,
      busy: draw
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
    const target = (
      /** @type {Element} */
      event.target
    );
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
    this.concepts.replaceChildren(...nodes, ...nodes.length > 0 ? [add] : []);
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
          tabindex: index === active ? "0" : "-1"
        },
        h("span", { class: "ra-stepper-number", "aria-hidden": "true" }, done ? "✓" : String(index + 1)),
        h(
          "span",
          { class: "ra-stepper-words" },
          h("span", { class: "ra-stepper-title" }, title),
          h("span", { class: "ra-stepper-sub", title: note }, note)
        )
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
};

// src/stepper.js
function render({ model, el }) {
  const stepper = new Stepper(model);
  el.append(stepper.root);
  stepper.start();
  return () => stepper.dispose();
}
var stepper_default = { render };
export {
  stepper_default as default
};
