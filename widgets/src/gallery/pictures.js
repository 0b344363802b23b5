/** Thumbnails and heat maps: kept while they are useful, asked for once they come into sight. */

import { blobOf, bytesOf } from "../shared/messages.js";
import { heatPixels } from "./marks.js";

const BATCH = 48;
const MAX_IN_FLIGHT = 2;
const CACHE = 600;
const PATIENCE = 15000; // ms until a request counts as lost
const PAUSE = 30; // ms in which tiles come together to one request

/** @typedef {"thumbs" | "heats"} Kind */

/**
 * A map that forgets what was used least recently.
 * @template V
 */
export class Lru {
  /** @type {Map<string, V>} */
  #map = new Map();
  #capacity;
  #evict;

  /**
   * @param {number} capacity
   * @param {(value: V) => void} evict called with every value that leaves
   */
  constructor(capacity, evict) {
    this.#capacity = capacity;
    this.#evict = evict;
  }

  get size() {
    return this.#map.size;
  }

  /** @param {string} key */
  has(key) {
    return this.#map.has(key);
  }

  /** @param {string} key */
  get(key) {
    const value = this.#map.get(key);
    if (value !== undefined) {
      this.#map.delete(key);
      this.#map.set(key, value);
    }
    return value;
  }

  /**
   * @param {string} key
   * @param {V} value
   */
  set(key, value) {
    const old = this.#map.get(key);
    if (old !== undefined) this.#evict(old);
    this.#map.delete(key);
    this.#map.set(key, value);
    while (this.#map.size > this.#capacity) {
      const [oldest, dropped] = /** @type {[string, V]} */ (this.#map.entries().next().value);
      this.#map.delete(oldest);
      this.#evict(dropped);
    }
  }

  clear() {
    for (const value of this.#map.values()) this.#evict(value);
    this.#map.clear();
  }
}

export class Pictures {
  /** @type {Lru<string>} */ thumbs = new Lru(CACHE, (url) => URL.revokeObjectURL(url));
  /** @type {Set<string>} */ unreadable = new Set();
  /** @type {Map<string, ImageData | null>} */ heats = new Map();
  /** @type {{kind: Kind, ids: Set<string>, until: number}[]} */ #inFlight = [];
  #timer = 0;
  #inSight;
  #ask;

  /**
   * @param {() => {ids: string[], heat: boolean}} inSight the images, and whether heat maps are shown
   * @param {(thumbs: string[], heats: string[]) => void} ask
   */
  constructor(inSight, ask) {
    this.#inSight = inSight;
    this.#ask = ask;
  }

  end() {
    clearTimeout(this.#timer);
    this.thumbs.clear();
  }

  /**
   * @param {string[]} ids
   * @param {DataView[]} buffers
   */
  onThumbs(ids, buffers) {
    ids.forEach((id, index) => {
      if (buffers[index].byteLength === 0) this.unreadable.add(id);
      else this.thumbs.set(id, URL.createObjectURL(blobOf(buffers[index])));
    });
    this.#landed("thumbs", ids);
  }

  /**
   * @param {string[]} ids
   * @param {[height: number, width: number][]} shapes 0 x 0 where there is no map
   * @param {DataView[]} buffers
   */
  onHeats(ids, shapes, buffers) {
    ids.forEach((id, index) => {
      const [height, width] = shapes[index];
      this.heats.set(id, height * width ? new ImageData(heatPixels(bytesOf(buffers[index])), width, height) : null);
    });
    this.#landed("heats", ids);
  }

  /** Asks for what is in sight and missing, soon. */
  want() {
    // Not pushed back by the next paint: a long scroll must not starve the wall.
    if (this.#timer === 0) this.#timer = window.setTimeout(() => this.#request(), PAUSE);
  }

  #request() {
    this.#timer = 0;
    // A request that was never answered (kernel restarted, error) must not block the wall for good.
    this.#inFlight = this.#inFlight.filter((batch) => batch.until > performance.now());
    if (this.#inFlight.length >= MAX_IN_FLIGHT) {
      this.#timer = window.setTimeout(() => this.#request(), 1000);
      return;
    }
    const { ids, heat } = this.#inSight();
    const thumbs = this.#missing("thumbs", ids, [this.thumbs, this.unreadable]);
    const heats = heat ? this.#missing("heats", ids, [this.heats]) : [];
    if (thumbs.length + heats.length > 0) this.#ask(thumbs, heats);
  }

  /**
   * @param {Kind} kind
   * @param {string[]} ids
   * @param {{has: (id: string) => boolean}[]} have
   */
  #missing(kind, ids, have) {
    const known = [...have, ...this.#inFlight.filter((batch) => batch.kind === kind).map((batch) => batch.ids)];
    const batch = ids.filter((id) => !known.some((held) => held.has(id))).slice(0, BATCH);
    if (batch.length > 0) this.#inFlight.push({ kind, ids: new Set(batch), until: performance.now() + PATIENCE });
    return batch;
  }

  /**
   * @param {Kind} kind
   * @param {string[]} ids
   */
  #landed(kind, ids) {
    this.#inFlight = this.#inFlight.filter((batch) => batch.kind !== kind || !ids.some((id) => batch.ids.has(id)));
  }
}
