/** Drawing the image and its masks at the resolution of the screen. */

/** @typedef {import("./types.js").Layer} Layer */
/** @typedef {import("./types.js").Rect} Rect */
/** @typedef {import("./types.js").Size} Size */
/** @typedef {import("./types.js").View} View */

/**
 * What is to be drawn.
 * @typedef {object} Scene
 * @property {ImageBitmap | null} bitmap null where the image cannot be shown
 * @property {Size} grid in cells
 * @property {View} view
 * @property {Layer[]} layers bottom to top; none where masks are hidden
 * @property {Rect[]} windows outlined over the masks
 * @property {number} opacity of the fill, 0 for outlines only
 */

/**
 * Which cell each device pixel of an axis shows, -1 beside the image.
 * @param {number} pixels
 * @param {number} scale device pixels per cell
 * @param {number} offset of cell 0 in device pixels
 * @param {number} cells
 */
export function sampleAxis(pixels, scale, offset, cells) {
  const axis = new Int32Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const cell = Math.floor((pixel + 0.5 - offset) / scale);
    axis[pixel] = cell < 0 || cell >= cells ? -1 : cell;
  }
  return axis;
}

/**
 * "#rrggbb" as a little-endian RGBA word with the given alpha.
 * @param {string} colour
 * @param {number} alpha 0..1
 */
export function colourWord(colour, alpha) {
  const value = Number.parseInt(colour.slice(1), 16);
  const [red, green, blue] = [(value >> 16) & 255, (value >> 8) & 255, value & 255];
  return ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * Draws masks at the resolution of the screen, so that a frame costs the same at any image size and edges stay
 * one width at any zoom. Later layers cover earlier ones.
 * @param {Uint32Array} out cleared RGBA words, ys.length rows of xs.length
 * @param {Int32Array} xs cell column of each device column
 * @param {Int32Array} ys cell row of each device row
 * @param {number} stride cells in a row
 * @param {{scores: Uint8Array, threshold: number, fill: number, edge: number}[]} layers colours are words
 * @param {number} reach thickness of an edge in device pixels
 */
export function paintMasks(out, xs, ys, stride, layers, reach) {
  const [columns, rows] = [xs.length, ys.length];
  const rowOf = (/** @type {number} */ y) => (ys[y] < 0 ? -1 : ys[y] * stride);
  let firstX = 0;
  while (firstX < columns && xs[firstX] < 0) firstX += 1;
  let lastX = columns - 1;
  while (lastX >= firstX && xs[lastX] < 0) lastX -= 1;
  for (const { scores, threshold, fill, edge } of layers) {
    for (let y = 0; y < rows; y += 1) {
      if (ys[y] < 0) continue;
      const base = ys[y] * stride;
      // Beyond the screen the mask goes on as it is; beyond the image it ends.
      const above = rowOf(y < reach ? y : y - reach);
      const below = rowOf(y + reach < rows ? y + reach : y);
      for (let x = firstX, at = y * columns + firstX; x <= lastX; x += 1, at += 1) {
        const column = xs[x];
        if (scores[base + column] < threshold) continue;
        const left = x < reach ? column : xs[x - reach];
        const right = x + reach < columns ? xs[x + reach] : column;
        const border =
          above < 0 ||
          below < 0 ||
          scores[above + column] < threshold ||
          scores[below + column] < threshold ||
          left < 0 ||
          right < 0 ||
          scores[base + left] < threshold ||
          scores[base + right] < threshold;
        if (border) out[at] = edge;
        else if (fill !== 0) out[at] = fill;
      }
    }
  }
}

/**
 * Outlines windows, light on dark, so that they read on any photograph.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {number} ratio device pixels per CSS pixel
 */
function drawWindows(context, { windows, view }, ratio) {
  const scale = view.scale * ratio;
  for (const [colour, width] of /** @type {[string, number][]} */ ([["#000", 3], ["#fff", 1]])) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    for (const [x, y, w, h] of windows) {
      context.strokeRect(view.x * ratio + x * scale, view.y * ratio + y * scale, w * scale, h * scale);
    }
  }
}

/** Two canvases on top of each other, drawn once a frame of the browser where something has changed. */
export class Painter {
  #image;
  #masks;
  #screen;
  #scene;
  #dirty = { image: true, masks: true };
  #frame = 0;
  /** @type {ImageData | null} */ #pixels = null;

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
    context.imageSmoothingEnabled = (scale * grid.width) / bitmap.width < 4;
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
      edge: colourWord(colour, 1),
    }));
    paintMasks(words, xs, ys, grid.width, layers, Math.max(1, Math.round(ratio * (opacity === 0 ? 2 : 1.5))));
    context.putImageData(this.#pixels, 0, 0);
    drawWindows(context, scene, ratio);
  }
}
