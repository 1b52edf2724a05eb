// From a picture of any size to what the network takes, and from its mask
// back to the picture's size: `fit_picture` and `Predictor` of
// `dla_keras/inference/predictor.py`.

import {resizeBilinear, resizeNearest} from "./resample.js";

/** What a file may say of pictures of another size than its own. */
export const FITS = ["pad", "letterbox", "stretch"];

/**
 * The size that a picture has in the network; what is left is border. It is
 * `Fit.content` of `dla_keras/data/fitting.py`.
 *
 * @param {number} height of the picture
 * @param {number} width of the picture
 * @param {{height: number, width: number, fit: string, maxSide: number?}} facts
 * @return {number[]} height and width
 */
export function contentSize(height, width, {height: rows, width: columns, fit, maxSide}) {
  const inside = ([tall, wide]) => tall <= rows && wide <= columns;
  if (fit === "stretch") return [rows, columns];
  if (fit === "pad") return inside([height, width]) ? [height, width] : [rows, columns];
  const longest = Math.max(height, width);
  const scaled = (part, whole) => [height, width].map(
    (side) => Math.max(1, rounded(side * part, whole)));
  const found = scaled(Math.min(maxSide ?? longest, longest), longest);
  if (inside(found)) return found;
  const tall = rows * width <= columns * height; // the height decides
  return tall ? scaled(rows, height) : scaled(columns, width);
}

/**
 * Brings a picture to the network's size by the file's rule, with a border at
 * the bottom and the right.
 *
 * @param {Uint8ClampedArray} rgba of the picture
 * @param {number} height of the picture
 * @param {number} width of the picture
 * @param {{height: number, width: number, padColor: number[], fit: string,
 *     maxSide: number?}} facts
 * @return {Uint8Array} RGB, `facts.height` x `facts.width` x 3
 */
export function fitPicture(rgba, height, width, facts) {
  const [tall, wide] = contentSize(height, width, facts);
  let content = new Uint8Array(height * width * 3);
  for (let to = 0, from = 0; to < content.length; from += 4) {
    content[to++] = rgba[from];
    content[to++] = rgba[from + 1];
    content[to++] = rgba[from + 2];
  }
  if (tall !== height || wide !== width) {
    content = resizeBilinear(content, height, width, tall, wide);
  }
  if (tall === facts.height && wide === facts.width) return content;
  const rgb = new Uint8Array(facts.height * facts.width * 3);
  for (let i = 0; i < rgb.length; i += 3) rgb.set(facts.padColor, i);
  for (let y = 0; y < tall; y++) {
    const row = content.subarray(y * wide * 3, (y + 1) * wide * 3);
    rgb.set(row, y * facts.width * 3);
  }
  return rgb;
}

/**
 * Cuts the border off a mask again, and brings it to the picture's size.
 *
 * @param {Uint8Array} mask `facts.height` x `facts.width`
 * @param {number} height of the picture
 * @param {number} width of the picture
 * @param {{height: number, width: number, fit: string, maxSide: number?}} facts
 * @return {Uint8Array} `height` x `width`
 */
export function unfitMask(mask, height, width, facts) {
  const [tall, wide] = contentSize(height, width, facts);
  const content = new Uint8Array(tall * wide);
  for (let y = 0; y < tall; y++) {
    const start = y * facts.width;
    content.set(mask.subarray(start, start + wide), y * wide);
  }
  if (tall === height && wide === width) return content;
  return resizeNearest(content, tall, wide, height, width);
}

/**
 * The largest middle part of a live frame with the network's proportions: a
 * frame is cropped, never squashed. The phone's app has the same rule.
 *
 * @param {number} width of the frame
 * @param {number} height of the frame
 * @param {{height: number, width: number}} facts
 * @return {{left: number, top: number, width: number, height: number}} pixels
 */
export function cropTo(width, height, facts) {
  const crop = {width, height};
  if (width * facts.height > height * facts.width) {
    crop.width = rounded(height * facts.width, facts.height);
  } else {
    crop.height = rounded(width * facts.height, facts.width);
  }
  const left = Math.floor((width - crop.width) / 2);
  const top = Math.floor((height - crop.height) / 2);
  return {left, top, ...crop};
}

/** A quotient to the nearest whole number, halves up. */
function rounded(dividend, divisor) {
  return Math.floor((2 * dividend + divisor) / (2 * divisor));
}
