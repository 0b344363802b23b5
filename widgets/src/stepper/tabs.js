/** Moving among tabs with the keyboard. */

/**
 * Where an arrow key leads among tabs, or -1 if it is not for them; those that are disabled are passed over.
 * @param {string} key
 * @param {number} at
 * @param {boolean[]} enabled
 */
export function moveTab(key, at, enabled) {
  const all = enabled.length;
  const from = { ArrowRight: at, ArrowLeft: at, Home: -1, End: all }[key];
  if (from === undefined || all === 0) return -1;
  const direction = key === "ArrowRight" || key === "Home" ? 1 : -1;
  for (let step = 1; step <= all; step += 1) {
    const next = (((from + direction * step) % all) + all) % all;
    if (enabled[next]) return next;
  }
  return -1;
}
