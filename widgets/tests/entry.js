/** One image of a gallery for the tests. */

/** @param {string} id */
export const entry = (id, more = {}) => ({
  id,
  label: `${id}.jpg`,
  duplicates: 0,
  marks: [],
  score: 0.5,
  support: Number.NaN,
  x: Number.NaN,
  y: Number.NaN,
  kept: true,
  outlier: false,
  feedback: 0,
  ...more,
});
