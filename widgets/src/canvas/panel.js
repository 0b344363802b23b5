/** All of the canvas's DOM, by name. */

import { button, h, slider, spring } from "../shared/dom.js";
import { ICONS } from "../shared/icons.js";
import { SUPPRESS } from "../shared/keys.js";

/** @typedef {(command: string) => void} Run carries out a command of the keyboard */
/** @typedef {import("./types.js").Tool} Tool */
/** @typedef {ReturnType<typeof buildPanel>} Panel */

/**
 * @param {Run} run
 * @param {HTMLElement} legend
 */
export function buildPanel(run, legend) {
  const { bar, ...top } = buildBar(run);
  const { stage, ...middle } = buildStage();
  const { tools, ...controls } = buildTools(run);
  const timeline = h("canvas", { class: "ra-timeline", role: "img", "aria-label": "Progress; click to go to an image" });
  const alert = h("div", { class: "ra-alert", role: "alert", hidden: "" });
  const concepts = h("div", { class: "ra-concepts", role: "radiogroup", "aria-label": "Concepts" });
  const decisions = buildDecisions(run);
  const side = h("div", { class: "ra-side" }, concepts, tools, spring(), decisions);
  const main = h("div", { class: "ra-main" }, stage, side, legend);
  const status = h("span", { class: "ra-soft ra-status" });
  const zoom = h("span", { class: "ra-soft" });
  const foot = h(
    "div",
    { class: "ra-foot" },
    h("span", { class: "ra-spinner", "aria-hidden": "true" }),
    status,
    spring(),
    zoom,
    button("Fit", () => run("fit"), { text: "Fit", key: "0" }),
  );
  const live = h("div", { class: "ra-live", "aria-live": "polite" });
  const root = h(
    "div",
    { class: "ra-widget ra-canvas", [SUPPRESS]: "true", role: "region", "aria-label": "Mask review" },
    ...[bar, timeline, alert, main, foot, live],
  );
  return { root, ...top, timeline, alert, main, stage, ...middle, concepts, tools, ...controls, decisions, status, zoom, live };
}

/** @param {Run} run */
function buildBar(run) {
  const label = h("span", { class: "ra-label" });
  const badge = h("span", { class: "ra-state" });
  const uncertainty = h("span", { class: "ra-soft" });
  const position = h("span", { class: "ra-soft" });
  const bar = h(
    "div",
    { class: "ra-bar" },
    label,
    badge,
    uncertainty,
    spring(),
    position,
    button("Previous image", () => run("previous"), { icon: ICONS.left, key: "←" }),
    button("Next image", () => run("next"), { icon: ICONS.right, key: "→" }),
    button("Keys", () => run("legend"), { text: "?", kind: "ra-round" }),
  );
  return { bar, label, badge, uncertainty, position };
}

function buildStage() {
  const image = h("canvas", { class: "ra-image" });
  const masks = h("canvas", { class: "ra-masks" });
  const pointer = h("div", { class: "ra-pointer", hidden: "" });
  const note = h("div", { class: "ra-note" });
  const stage = h(
    "div",
    { class: "ra-stage", tabindex: "0", role: "application", "aria-label": "Image with masks", "aria-describedby": "" },
    ...[image, masks, pointer, note],
  );
  return { stage, image, masks, pointer, note };
}

/** @param {Run} run */
function buildTools(run) {
  const row = h("div", { class: "ra-row", role: "group", "aria-label": "Tool" });
  for (const [name, title, key] of /** @type {[Tool, string, string][]} */ ([
    ["move", "Move", "V"],
    ["brush", "Brush", "B"],
    ["eraser", "Eraser", "E"],
    ["fill", "Fill a hole or remove a piece", "F"],
  ])) {
    const node = button(title, () => run(name), { icon: ICONS[name], key });
    node.dataset.tool = name;
    row.append(node);
  }
  row.append(
    spring(),
    button("Undo", () => run("undo"), { icon: ICONS.undo, key: "Z" }),
    button("Redo", () => run("redo"), { icon: ICONS.redo, key: "Y" }),
  );
  const brush = slider("Brush size ([ and ])", { min: 0, max: 100 });
  const brushValue = h("output", { class: "ra-soft" });
  const opacity = slider("Opacity of the masks", { min: 0, max: 100 });
  const opacityValue = h("output", { class: "ra-soft" });
  const outline = button("Outlines only", () => run("outline"), { text: "Outlines", key: "O", kind: "ra-plain" });
  const windows = button("Windows that decided the mask", () => run("windows"), { text: "Windows", key: "W", kind: "ra-plain" });
  const fillHoles = button("Fill every hole", () => run("fill-holes"), { text: "Fill holes", key: "⇧F", kind: "ra-plain" });
  const tools = h(
    "div",
    { class: "ra-tools" },
    row,
    h("label", { class: "ra-setting" }, h("span", {}, "Brush"), brush, brushValue),
    h("label", { class: "ra-setting" }, h("span", {}, "Opacity"), opacity, opacityValue),
    h("div", { class: "ra-row" }, outline, fillHoles),
    h("div", { class: "ra-row" }, windows),
  );
  return { tools, brush, brushValue, opacity, opacityValue, outline, windows };
}

/** @param {Run} run */
function buildDecisions(run) {
  return h(
    "div",
    { class: "ra-decisions" },
    button("Accept", () => run("accept"), { text: "Accept", key: "A", kind: "ra-primary" }),
    button("Reject", () => run("reject"), { text: "Reject", key: "R", kind: "ra-plain" }),
    button("Not here: the concept is absent", () => run("absent"), { text: "Not here", key: "N", kind: "ra-plain" }),
    button("Skip", () => run("skip"), { text: "Skip", key: "S", kind: "ra-plain" }),
    button("Next unsure image", () => run("unsure"), { text: "Next unsure", key: "U", kind: "ra-plain" }),
  );
}
