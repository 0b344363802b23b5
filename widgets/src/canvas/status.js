/** What the panel says about the image, the job and the settings. */

import { h } from "../shared/dom.js";
import { splitLabel } from "../shared/words.js";
import { BADGES, drawTimeline, positionText } from "./timeline.js";

const BRUSH_STEP = 1.0643; // from 1 to 512 cells in 100 steps of the slider
const TAIL = 24; // letters of a path that stay visible

/** @param {number} place of the slider, 0..100 */
export function brushOf(place) {
  return Math.round(BRUSH_STEP ** place);
}

/**
 * @param {import("./panel.js").Panel} ui
 * @param {object} now
 * @param {import("./types.js").Header | null} now.header
 * @param {import("./types.js").Model} now.model
 * @param {Uint8Array} now.timeline
 * @param {string} now.state of the image, as decided
 * @param {string} now.status one line about what goes on
 * @param {string} now.note where no image can be shown
 */
export function showStatus(ui, { header, model, timeline, state, status, note }) {
  ui.label.replaceChildren(...splitLabel(header?.label ?? "", TAIL).map((part) => h("span", {}, part)));
  ui.label.title = header?.label ?? "";
  ui.badge.textContent = BADGES[state] ?? "";
  ui.badge.dataset.state = state;
  ui.badge.hidden = header === null;
  ui.uncertainty.textContent = header?.uncertainty == null ? "" : `uncertainty ${header.uncertainty.toFixed(2)}`;
  ui.position.textContent = header ? positionText(timeline, header.index) : "";
  ui.alert.textContent = model.get("error");
  ui.alert.hidden = model.get("error") === "";
  ui.status.textContent = status;
  ui.root.classList.toggle("ra-busy", model.get("busy"));
  ui.note.textContent = note;
  ui.note.hidden = note === "";
  showSettings(ui, model);
  for (const node of ui.decisions.querySelectorAll("button")) node.disabled = header === null;
  drawTimeline(ui.timeline, timeline, header?.index ?? -1);
}

/**
 * @param {import("./panel.js").Panel} ui
 * @param {import("./types.js").Model} model
 */
function showSettings(ui, model) {
  const [brush, percent] = [model.get("brush"), Math.round(model.get("opacity") * 100)];
  ui.brush.value = String(Math.log(brush) / Math.log(BRUSH_STEP));
  ui.brushValue.textContent = `${brush} px`;
  ui.opacity.value = String(percent);
  ui.opacityValue.textContent = `${percent} %`;
  ui.outline.setAttribute("aria-pressed", String(model.get("outline")));
  ui.windows.setAttribute("aria-pressed", String(model.get("windows")));
}
