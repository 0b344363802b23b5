/** Keys: which command one stands for, and how the notebook is kept from taking it as its own. */

/** JupyterLab leaves keys alone where the focused element, or one around it, has this mark. */
export const SUPPRESS = "data-lm-suppress-shortcuts";

/** Chords of every widget that can undo. */
export const UNDO = {
  z: "undo",
  "Ctrl+z": "undo",
  "Shift+z": "redo",
  "Ctrl+Shift+z": "redo",
  y: "redo",
  "Ctrl+y": "redo",
};

/**
 * @typedef {object} Key of a keyboard event
 * @property {string} key
 * @property {boolean} [ctrlKey]
 * @property {boolean} [metaKey]
 * @property {boolean} [altKey]
 * @property {boolean} [shiftKey]
 */

/**
 * A key's name, letters small: caps lock must not switch the keyboard off.
 * @param {Key} event
 */
export function keyOf(event) {
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/**
 * The command a key stands for, or null if it is not ours (then the event is left alone). A chord of its own goes
 * before the same key without Shift; Ctrl and Cmd are one.
 * @param {Key} event
 * @param {Record<string, string>} commands by chord: "x", "Shift+x", "Ctrl+x", "Ctrl+Shift+x"
 * @returns {string | null}
 */
export function commandFor(event, commands) {
  if (event.altKey) return null;
  const [control, key] = [event.ctrlKey || event.metaKey ? "Ctrl+" : "", keyOf(event)];
  const shifted = event.shiftKey ? commands[`${control}Shift+${key}`] : undefined;
  return shifted ?? commands[control + key] ?? null;
}

/**
 * Keeps the notebook from taking plain keys as its own (twice D would delete the cell), while Ctrl S and its like go
 * on working. The mark must be on the focused element: selectors such as `:focus` are matched from there upwards.
 * @param {FocusEvent | KeyboardEvent} event
 * @param {...Element} nodes
 */
export function guard(event, ...nodes) {
  const theirs = "key" in event && (event.ctrlKey || event.metaKey);
  for (const node of nodes) {
    if (theirs) node.removeAttribute(SUPPRESS);
    else node.setAttribute(SUPPRESS, "true");
  }
}

/**
 * Guards a widget's keys while the focus is inside, and keeps plain ones from going further.
 * @param {import("./dom.js").Lifetime} lifetime
 * @param {HTMLElement} root
 * @param {(event: KeyboardEvent) => void} handler
 */
export function listenToKeys(lifetime, root, handler) {
  lifetime.listen(root, "focusin", (event) => guard(event, root, /** @type {Element} */ (event.target)));
  lifetime.listen(root, "keydown", (event) => {
    guard(event, root, /** @type {Element} */ (event.target));
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    handler(event);
  });
}

/**
 * The key was for us, and for nobody else.
 * @param {KeyboardEvent} event
 */
export function take(event) {
  event.preventDefault();
  event.stopPropagation();
}
