// From the network's output to a mask, and what share of it each class has.

/**
 * The mask of an output: itself, or the likeliest class of each pixel. Equal
 * scores give the first class, as numpy's argmax does; a quantised output
 * needs no scale for that, as scales are positive.
 *
 * @param {Uint8Array | Float32Array} output of one picture
 * @param {number} pixels
 * @return {Uint8Array} class ids
 */
export function toMask(output, pixels) {
  if (output.length === pixels) return output;
  const classes = output.length / pixels;
  const mask = new Uint8Array(pixels);
  for (let pixel = 0, at = 0; pixel < pixels; pixel++, at += classes) {
    let best = 0;
    for (let id = 1; id < classes; id++) {
      if (output[at + id] > output[at + best]) best = id;
    }
    mask[pixel] = best;
  }
  return mask;
}

/**
 * @param {Uint8Array} mask
 * @param {number} classes how many there are
 * @return {number[]} the share of each, 0 to 1
 */
export function classShares(mask, classes) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < mask.length; i++) counts[mask[i]]++;
  return Array.from(counts.subarray(0, classes), (n) => n / mask.length);
}
