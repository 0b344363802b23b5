/** Commands that wait for the kernel: each is applied in its turn, to the image that is on the screen by then. */

/** @typedef {import("./types.js").Outcome} Outcome */

export class Inputs {
  /** @type {string[]} */ #queue = [];
  /** @type {Set<string>} messages that may bring another image and are not answered */ #open = new Set();
  #apply;

  /** @param {(command: string, waited: boolean) => void} apply */
  constructor(apply) {
    this.#apply = apply;
  }

  /** Whether the image on the screen may be about to change. */
  get waiting() {
    return this.#open.size > 0;
  }

  /** How many commands wait. */
  get count() {
    return this.#queue.length;
  }

  /**
   * Applies a command, now or when its turn comes.
   * @param {string} command
   */
  give(command) {
    if (this.waiting) this.#queue.push(command);
    else this.#apply(command, false);
  }

  /**
   * What is given from now on waits for the answer to a message.
   * @param {string} token of the message
   */
  hold(token) {
    this.#open.add(token);
  }

  /**
   * The kernel has answered, and what came of it is on the screen.
   * @param {string} token
   */
  answered(token) {
    this.#open.delete(token);
    while (!this.waiting && this.#queue.length > 0) this.#apply(/** @type {string} */ (this.#queue.shift()), true);
  }

  /**
   * Gives up what waits: the images that it was meant for will not come.
   * @returns {number} how many commands that were
   */
  drop() {
    return this.#queue.splice(0).length;
  }
}
