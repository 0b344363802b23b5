/**
 * ExemplarGallery: a virtualised wall of thumbnails to prune retrieval results with the keyboard.
 *
 * Heavy content travels as custom messages with binary buffers, never as traits, so that nothing but view
 * settings is kept in a saved notebook.
 *
 *   browser -> kernel   ready · need {thumbs, heats} · preview {id} · keep {ids, kept, token} · feedback {id, sign}
 *                       absent {ids} · open {id} · exemplar {id, box} · painting {id, width, height} [1 bit a cell]
 *                       command {name: undo | redo | load_more}
 *   kernel -> browser   rows {rows} · state [records] · thumbs {ids} [one each] · heats {ids, shapes} [one each]
 *                       preview {id} [image] · ack {token} · focus {id}
 *
 * A decision shows at once and is replayed over every `state` that arrives before its `ack`, so that quick
 * keys never flicker and the kernel stays the only owner of the truth.
 */

import { Gallery } from "./gallery/widget.js";

/** @type {import("@anywidget/types").Render<import("./gallery/types.js").Traits>} */
function render({ model, el }) {
  const gallery = new Gallery(model);
  el.append(gallery.ui.root);
  gallery.start();
  return () => gallery.dispose();
}

export default { render };
