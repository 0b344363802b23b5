/** Undo and redo of changes to one image. */

/** @typedef {import("./types.js").Change} Change */

const HISTORY_BYTES = 64 * 1024 * 1024;

/** Changes in their order, the oldest forgotten once they take too much memory. */
export class History {
  /** @type {Change[]} */ #done = [];
  /** @type {Change[]} */ #undone = [];
  #limit;

  /** @param {number} [limit] in bytes */
  constructor(limit = HISTORY_BYTES) {
    this.#limit = limit;
  }

  /** @param {Change} change */
  push(change) {
    this.#done.push(change);
    this.#undone = [];
    const cost = (/** @type {Change} */ item) => item.patches.reduce((sum, patch) => sum + patch.before.length + patch.after.length, 64);
    let total = this.#done.reduce((sum, item) => sum + cost(item), 0);
    while (total > this.#limit && this.#done.length > 1) total -= cost(/** @type {Change} */ (this.#done.shift()));
  }

  undo() {
    const change = this.#done.pop();
    if (change) this.#undone.push(change);
    return change;
  }

  redo() {
    const change = this.#undone.pop();
    if (change) this.#done.push(change);
    return change;
  }
}
