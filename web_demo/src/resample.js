// Pillow's BILINEAR and NEAREST, to the bit: Python's pictures and masks are
// resized by them (`dla_keras/inference/predictor.py`), so the browser's must be.

// Pillow works on bytes with weights of this many fractional bits.
const PRECISION = 32 - 8 - 2;

/**
 * Shrinks with antialiasing, enlarges bilinearly.
 *
 * @param {Uint8Array} pixels RGB, rows x columns x 3
 * @param {number} height
 * @param {number} width
 * @param {number} toHeight
 * @param {number} toWidth
 * @return {Uint8Array}
 */
export function resizeBilinear(pixels, height, width, toHeight, toWidth) {
  const rows = height - toHeight;
  const columns = width - toWidth;
  // The first pass rounds, so the order of both matters. Before Pillow 13 the
  // columns were always first, which differs by 1 of 255 here and there.
  if (rows > 0 && rows > 2 * columns) {
    const flat = resizeRows(pixels, height, width, toHeight);
    return resizeColumns(flat, toHeight, width, toWidth);
  }
  const narrow = resizeColumns(pixels, height, width, toWidth);
  return resizeRows(narrow, height, toWidth, toHeight);
}

function resizeColumns(pixels, height, width, toWidth) {
  if (toWidth === width) return pixels;
  const result = new Uint8Array(height * toWidth * 3);
  const taps = weights(width, toWidth);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++) {
      blend(pixels, y * width * 3, 3, taps[x], result, (y * toWidth + x) * 3);
    }
  }
  return result;
}

function resizeRows(pixels, height, width, toHeight) {
  if (toHeight === height) return pixels;
  const result = new Uint8Array(toHeight * width * 3);
  weights(height, toHeight).forEach((tap, y) => {
    for (let x = 0; x < width; x++) {
      blend(pixels, x * 3, width * 3, tap, result, (y * width + x) * 3);
    }
  });
  return result;
}

/** The weighted sum of some RGB pixels, `step` bytes apart. */
function blend(source, offset, step, {first, factors}, target, at) {
  let red = 1 << (PRECISION - 1);
  let green = red;
  let blue = red;
  let from = offset + first * step;
  for (let i = 0; i < factors.length; i++, from += step) {
    red += source[from] * factors[i];
    green += source[from + 1] * factors[i];
    blue += source[from + 2] * factors[i];
  }
  // Weights are positive and sum to one: no clipping is needed.
  target[at] = red >> PRECISION;
  target[at + 1] = green >> PRECISION;
  target[at + 2] = blue >> PRECISION;
}

/** For each target pixel the first source pixel and the weights from there. */
function weights(size, toSize) {
  const scale = size / toSize;
  const support = Math.max(scale, 1); // of the triangle, each way
  return Array.from({length: toSize}, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), size);
    const factors = Array.from({length: end - first}, (_, j) =>
      Math.max(0, 1 - Math.abs((j + first - center + 0.5) * (1 / support))));
    const sum = factors.reduce((total, factor) => total + factor, 0);
    return {
      first,
      factors: Int32Array.from(factors, (factor) =>
        Math.trunc((factor / sum) * (1 << PRECISION) + 0.5)),
    };
  });
}

/**
 * Resizes a mask without mixing classes.
 *
 * @param {Uint8Array} mask rows x columns
 * @param {number} height
 * @param {number} width
 * @param {number} toHeight
 * @param {number} toWidth
 * @return {Uint8Array}
 */
export function resizeNearest(mask, height, width, toHeight, toWidth) {
  const columns = nearest(width, toWidth);
  const result = new Uint8Array(toHeight * toWidth);
  nearest(height, toHeight).forEach((row, y) => {
    for (let x = 0; x < toWidth; x++) {
      result[y * toWidth + x] = mask[row * width + columns[x]];
    }
  });
  return result;
}

/** The source index of each target index, summed up step by step as there. */
function nearest(size, toSize) {
  const step = size / toSize;
  let position = step / 2;
  return Int32Array.from({length: toSize}, () => {
    const index = Math.trunc(position);
    position += step;
    return index;
  });
}
