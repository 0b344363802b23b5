/** How far the review is: in words, and as a strip with one mark an image. */

export const STATES = ["pending", "accepted", "rejected", "absent", "skipped"];

/** @type {Record<string, string>} */
export const BADGES = { pending: "Pending", accepted: "✓ Accepted", rejected: "✕ Rejected", absent: "∅ Not here", skipped: "→ Skipped" };

/** @type {[top: number, height: number, colour: string][]} per state; height tells them apart where colour does not */
const MARKS = [
  [0.35, 0.3, "--ra-line"],
  [0, 1, "--ra-good"],
  [0.6, 0.4, "--ra-bad"],
  [0, 0.4, "--ra-soft"],
  [0.4, 0.2, "--ra-soft"],
];

/**
 * "12 / 340 · 8 accepted · 3 rejected": where the curator is and what is done.
 * @param {Uint8Array} timeline
 * @param {number} index
 */
export function positionText(timeline, index) {
  if (timeline.length === 0) return "";
  const counts = STATES.map((_, state) => timeline.reduce((sum, value) => sum + Number(value === state), 0));
  const parts = [`${(index + 1).toLocaleString()} / ${timeline.length.toLocaleString()}`];
  for (const state of [1, 2, 3]) if (counts[state] > 0) parts.push(`${counts[state].toLocaleString()} ${STATES[state]}`);
  parts.push(`${(counts[0] + counts[4]).toLocaleString()} left`);
  return parts.join(" · ");
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} timeline
 * @param {number} index of the image that is shown, -1 for none
 */
export function drawTimeline(canvas, timeline, index) {
  canvas.hidden = timeline.length === 0;
  const ratio = window.devicePixelRatio;
  const box = canvas.getBoundingClientRect();
  if (canvas.hidden || box.width === 0) return;
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round(box.height * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  const style = getComputedStyle(canvas);
  const step = canvas.width / timeline.length;
  const gap = step > 4 * ratio ? ratio : 0;
  timeline.forEach((state, at) => {
    const [top, height, colour] = MARKS[state];
    context.fillStyle = style.getPropertyValue(colour);
    context.fillRect(at * step, top * canvas.height, Math.max(1, step - gap), height * canvas.height);
  });
  if (index < 0) return;
  const here = Math.round((index + 0.5) * step);
  context.fillStyle = style.getPropertyValue("--ra-text");
  context.fillRect(here - ratio, 0, 2 * ratio, canvas.height);
}

/**
 * The image under a click on the strip.
 * @param {HTMLCanvasElement} canvas
 * @param {MouseEvent} event
 * @param {number} count of images
 */
export function imageAt(canvas, event, count) {
  const box = canvas.getBoundingClientRect();
  const index = Math.floor(((event.clientX - box.left) / box.width) * count);
  return Math.min(count - 1, Math.max(0, index));
}
