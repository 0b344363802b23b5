/** Mouse, pen and fingers on the image: painting, moving it, and pinching. */

import { pointIn } from "../shared/dom.js";

/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Tool} Tool */

/**
 * @typedef {object} Target what the pointer works on
 * @property {import("./layers.js").Layers | null} layers
 * @property {import("./view.js").Viewport} viewport
 * @property {Tool} tool
 * @property {number} brush diameter in cells
 * @property {boolean} waiting the image may be about to change
 * @property {(text: string) => void} tell the curator something
 */

/** Turns pointers on the stage into strokes and views, and shows the brush under the mouse. */
export class Pointers {
  #stage;
  #ring;
  #target;
  #panning = false;
  /** @type {Map<number, Point>} */ #down = new Map();
  /** @type {{distance: number, x: number, y: number} | null} */ #pinch = null;

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
      // Fast strokes arrive several points at a time; scripted events bring none.
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
}
