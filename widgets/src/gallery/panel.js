/** The gallery's DOM around its tiles, by name, and what it says about the images and the job. */

import { button, h, spring } from "../shared/dom.js";
import { ICONS } from "../shared/icons.js";
import { SUPPRESS } from "../shared/keys.js";
import { waitingText } from "../shared/words.js";
import { FILTERS, NOTHING, VERDICTS, WORDS, counts } from "./words.js";

const MIN_SIZE = 96;
const MAX_SIZE = 320;

/** @typedef {import("./types.js").Filter} Filter */
/** @typedef {ReturnType<typeof buildPanel>} Panel */

/**
 * What the controls can ask the view to do.
 * @typedef {object} Actions
 * @property {(command: string) => void} run a command of the keyboard
 * @property {(name: string) => void} command one that the kernel carries out
 * @property {(name: Filter) => void} filter
 * @property {(size: number) => void} resize
 */

/**
 * @param {string} uid
 * @param {Actions} actions
 * @param {...HTMLElement} above what may cover the wall
 */
export function buildPanel(uid, actions, ...above) {
  const { bar, ...top } = buildBar(actions);
  const { foot, ...bottom } = buildFoot(uid, actions);
  const alert = h("div", { class: "ra-alert", role: "alert", hidden: "" });
  const spacer = h("div", { class: "ra-spacer", role: "presentation" });
  const wall = h(
    "div",
    {
      class: "ra-wall",
      role: "listbox",
      tabindex: "0",
      "aria-multiselectable": "true",
      "aria-label": "Images",
      "aria-describedby": bottom.hint.id,
    },
    spacer,
  );
  const empty = h("div", { class: "ra-empty" });
  const stage = h("div", { class: "ra-stage" }, wall, empty, ...above);
  const live = h("div", { class: "ra-live", "aria-live": "polite" });
  const root = h(
    "div",
    { class: "ra-widget ra-gallery", [SUPPRESS]: "true", role: "region", "aria-label": "Image gallery" },
    ...[bar, alert, stage, foot, live],
  );
  return { root, ...top, alert, stage, wall, spacer, empty, ...bottom, live };
}

/** @param {Actions} actions */
function buildBar(actions) {
  const title = h("span", { class: "ra-title" });
  const tally = h("span", { class: "ra-counts" });
  const filters = h("div", { class: "ra-segments", role: "group", "aria-label": "Show" });
  for (const [name, text] of FILTERS) {
    const node = h("button", { type: "button", "data-filter": name, "aria-pressed": "false" }, text);
    node.addEventListener("click", () => actions.filter(name));
    filters.append(node);
  }
  const sizer = h("input", {
    type: "range",
    class: "ra-sizer",
    min: String(MIN_SIZE),
    max: String(MAX_SIZE),
    step: "8",
    "aria-label": "Thumbnail size",
    title: "Thumbnail size",
  });
  sizer.addEventListener("input", () => actions.resize(Number(sizer.value)));
  const heat = button("Heat maps", () => actions.run("heat"), { icon: ICONS.heat, text: "Heat maps", key: "H" });
  const bar = h(
    "div",
    { class: "ra-bar", role: "toolbar", "aria-label": "Gallery" },
    h("div", { class: "ra-heading" }, title, tally),
    filters,
    spring(),
    heat,
    button("Undo", () => actions.run("undo"), { icon: ICONS.undo, key: "Z", kind: "ra-decides" }),
    button("Redo", () => actions.run("redo"), { icon: ICONS.redo, key: "Y", kind: "ra-decides" }),
    sizer,
    button("Keys", () => actions.run("legend"), { text: "?", kind: "ra-round" }),
  );
  return { bar, title, tally, filters, sizer, heat };
}

/**
 * @param {string} uid
 * @param {Actions} actions
 */
function buildFoot(uid, actions) {
  const status = h("span", { class: "ra-status" });
  const selection = h("span", { class: "ra-counts" });
  const hint = h("span", { class: "ra-hint", id: `${uid}-hint` });
  const more = button("Load more", () => actions.command("load_more"), { text: "Load more", kind: "ra-plain" });
  const spinner = h("span", { class: "ra-spinner", "aria-hidden": "true" });
  const foot = h("div", { class: "ra-foot" }, spinner, status, selection, spring(), hint, more);
  return { foot, status, selection, hint, more };
}

/**
 * @param {Panel} ui
 * @param {import("./types.js").Model} model
 * @param {import("./state.js").GalleryState} state
 * @param {number} since when the kernel was asked, in ms
 */
export function showPanel(ui, model, state, since) {
  const [mode, busy] = [model.get("mode"), model.get("busy")];
  ui.root.dataset.mode = mode;
  ui.title.textContent = model.get("title");
  ui.tally.textContent = counts(state.entries, mode);
  showFilters(ui, mode, state);
  ui.heat.hidden = mode !== "prune";
  ui.heat.setAttribute("aria-pressed", String(model.get("heat")));
  ui.alert.textContent = model.get("error");
  ui.alert.hidden = model.get("error") === "";
  ui.status.textContent = model.get("status");
  ui.selection.textContent = state.selected.size > 1 ? `${state.selected.size.toLocaleString()} selected` : "";
  ui.hint.textContent = WORDS[mode].hint;
  ui.root.classList.toggle("ra-busy", busy);
  ui.more.hidden = !model.get("more");
  ui.more.disabled = busy;
  ui.empty.hidden = state.shown.length > 0;
  ui.empty.textContent = emptyText(model, state, since);
  ui.wall.setAttribute("aria-busy", String(busy));
}

/**
 * @param {Panel} ui
 * @param {import("./types.js").Mode} mode
 * @param {import("./state.js").GalleryState} state
 */
function showFilters(ui, mode, state) {
  const outliers = state.entries.filter((entry) => entry.outlier).length;
  for (const node of ui.filters.querySelectorAll("button")) {
    const name = node.dataset.filter ?? "";
    node.setAttribute("aria-pressed", String(name === state.filter));
    node.hidden = name !== "all" && name in VERDICTS !== (mode === "review");
    if (name === "outliers") {
      node.hidden ||= outliers === 0 && state.filter !== "outliers";
      node.textContent = `Unlike the others ${outliers}`;
    }
  }
  ui.filters.hidden = state.entries.length === 0 || mode === "browse";
}

/**
 * What stands on the wall where no image does.
 * @param {import("./types.js").Model} model
 * @param {import("./state.js").GalleryState} state
 * @param {number} since when the kernel was asked, in ms
 */
function emptyText(model, { entries, filter, received }, since) {
  const waiting = waitingText({ busy: model.get("busy"), status: model.get("status"), received, since });
  if (waiting || entries.length > 0) return waiting || NOTHING[filter];
  return model.get("title") ? "No images found. Try another word, or draw an exemplar." : "Nothing to show yet.";
}
