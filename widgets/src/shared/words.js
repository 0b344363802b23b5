/** Words on the screen that more than one widget says. */

/**
 * A long name in two parts, so that its end, which tells files apart, stays visible.
 * @param {string} label
 * @param {number} tail letters of the end
 * @param {number} [whole] names of so many letters are not parted
 * @returns {[head: string, tail: string]}
 */
export function splitLabel(label, tail, whole = tail) {
  const letters = [...label];
  if (letters.length <= whole) return [label, ""];
  return [letters.slice(0, -tail).join(""), letters.slice(-tail).join("")];
}

/** @param {string} text */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {number} count @param {string} noun */
export function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}

/** How long the kernel may be silent before we say so, in ms. */
export const PATIENCE = 8000;

export const NO_ANSWER =
  "The kernel does not answer. It may be busy with another cell, or stopped: then run this cell again.";

/**
 * What stands where nothing can be shown yet; "" once the kernel has answered.
 * @param {{busy: boolean, status: string, received: boolean, since: number}} now since: when it was asked, in ms
 */
export function waitingText({ busy, status, received, since }) {
  if (busy) return status || "Working…";
  if (received) return "";
  return performance.now() - since > PATIENCE - 100 ? NO_ANSWER : "Waiting for the kernel…";
}
