/** Which part of the image is on the screen, and how large. */

/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Size} Size */
/** @typedef {import("./types.js").View} View */

const MARGIN = 12; // CSS pixels around an image that fits
const KEPT = 48; // CSS pixels of the image that cannot be moved away
const MAX_SCALE = 40;

/**
 * The view that shows everything, centred.
 * @param {Size} grid in cells
 * @param {Size} screen in CSS pixels
 * @returns {View}
 */
export function fitView(grid, screen) {
  const scale = Math.max(
    1e-3,
    Math.min((screen.width - 2 * MARGIN) / grid.width, (screen.height - 2 * MARGIN) / grid.height),
  );
  return { scale, x: (screen.width - grid.width * scale) / 2, y: (screen.height - grid.height * scale) / 2 };
}

/**
 * Zooms about a point of the screen, which stays where it is; never smaller than half of what fits.
 * @param {View} view
 * @param {number} factor
 * @param {Point} point
 * @param {number} fitted scale at which everything fits
 * @returns {View}
 */
export function zoomAt(view, factor, point, fitted) {
  const scale = Math.min(Math.max(MAX_SCALE, fitted), Math.max(fitted / 2, view.scale * factor));
  const ratio = scale / view.scale;
  return { scale, x: point.x - (point.x - view.x) * ratio, y: point.y - (point.y - view.y) * ratio };
}

/**
 * Keeps a piece of the image on the screen.
 * @param {View} view
 * @param {Size} grid
 * @param {Size} screen
 * @returns {View}
 */
export function clampView(view, grid, screen) {
  const limit = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ room) =>
    Math.min(room - KEPT, Math.max(KEPT - size, at));
  return {
    scale: view.scale,
    x: limit(view.x, grid.width * view.scale, screen.width),
    y: limit(view.y, grid.height * view.scale, screen.height),
  };
}

/** The view of the image on the screen, as the curator moves it. */
export class Viewport {
  /** @type {View} */ view = { scale: 1, x: 0, y: 0 };
  #fitted = true;
  /** @type {Size | null} */ #grid = null;
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
}
