/**
 * MaskCanvas: one image under the probability maps of its concepts, to threshold, correct and decide.
 *
 * Moving a threshold and painting never ask the kernel: mask = map >= threshold, then the strokes on top, drawn
 * here from the same bytes that are exported. Only what was committed is sent.
 *
 *   browser -> kernel   ready · decision {revision, action, concept, thresholds} · navigate {where, index}
 *                       threshold {revision, concept, value} · edit {revision, concept, rect} [2 bits a cell]
 *                       command {name: undo | redo | grid}
 *   kernel -> browser   frame {revision, id, label, index, width, height, uncertainty, exclusive, concepts}
 *                       [image, a deflated map per concept, deflated packed edits per concept] · empty
 *                       place {id, index} · focus · answer {token, outcome}
 *
 * Concepts are named, never numbered, and what is about a frame carries its revision: the kernel answers what was meant
 * for an older one and does not apply it. Every message but `ready` has a token and is answered after the frame that
 * comes of it; keys that are pressed until then wait, and are applied in their order.
 *
 * A concept's looks are the windows that decided its map: x, y, width and height in cells.
 *
 * Maps and strokes share the frame's grid of width x height cells, over which the image is stretched. A stroke
 * cell is 0 (as the map says), 1 (forced in) or 2 (forced out).
 */

import { MaskCanvas } from "./canvas/widget.js";

/** @type {import("@anywidget/types").Render<import("./canvas/types.js").Traits>} */
function render({ model, el }) {
  const canvas = new MaskCanvas(model);
  el.append(canvas.ui.root);
  canvas.start();
  return () => canvas.dispose();
}

export default { render };
