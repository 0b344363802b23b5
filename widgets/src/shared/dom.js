/** Making DOM: elements, icons, buttons, and listeners that end with the widget. Text never becomes HTML. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children strings become text nodes
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...Node} children
 */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** @param {string} path one of ICONS */
export function icon(path) {
  return svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: path }));
}

/**
 * @param {string} label accessible name and tooltip
 * @param {() => void} action
 * @param {{icon?: string, text?: string, key?: string, kind?: string}} [look]
 */
export function button(label, action, look = {}) {
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
export function slider(label, { min, max, step = 1 }) {
  return h("input", { type: "range", min: String(min), max: String(max), step: String(step), "aria-label": label, title: label });
}

/** Room between what stands left and what stands right in a bar. */
export function spring() {
  return h("div", { class: "ra-spring" });
}

/**
 * Where an event is within a node, in CSS pixels.
 * @param {HTMLElement} node
 * @param {PointerEvent | WheelEvent | MouseEvent} event
 */
export function pointIn(node, event) {
  const box = node.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

/** What ends with a widget's view: listeners, observers, timers. */
export class Lifetime {
  /** @type {(() => void)[]} */ #ends = [];

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
    const listener = /** @type {EventListener} */ (handler);
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
}
