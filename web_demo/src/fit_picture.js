// From a picture of any size to what the network takes, and from its mask
// back to the picture's size: `fit_picture` and `Predictor` of
// `dla_keras/inference/predictor.py`.

import {resizeBilinear, resizeNearest} from "./resample.js";

/**
 * Pads a picture that fits at the bottom and the right; shrinks another one.
 *
 * @param {Uint8ClampedArray} rgba of the picture
 * @param {number} height of the picture
 * @param {number} width of the picture
 * @param {{height: number, width: number, padColor: number[]}} facts
 * @return {Uint8Array} RGB, `facts.height` x `facts.width` x 3
 */
export function fitPicture(rgba, height, width, facts) {
  if (!fits(height, width, facts)) {
    const rgb = new Uint8Array(height * width * 3);
    copyRows(rgba, height, width, rgb, width);
    return resizeBilinear(rgb, height, width, facts.height, facts.width);
  }
  const rgb = new Uint8Array(facts.height * facts.width * 3);
  for (let i = 0; i < rgb.length; i += 3) rgb.set(facts.padColor, i);
  copyRows(rgba, height, width, rgb, facts.width);
  return rgb;
}

/**
 * Cuts the border off a mask again, or enlarges it.
 *
 * @param {Uint8Array} mask `facts.height` x `facts.width`
 * @param {number} height of the picture
 * @param {number} width of the picture
 * @param {{height: number, width: number}} facts
 * @return {Uint8Array} `height` x `width`
 */
export function unfitMask(mask, height, width, facts) {
  if (!fits(height, width, facts)) {
    return resizeNearest(mask, facts.height, facts.width, height, width);
  }
  const result = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    const start = y * facts.width;
    result.set(mask.subarray(start, start + width), y * width);
  }
  return result;
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

function fits(height, width, facts) {
  return height <= facts.height && width <= facts.width;
}

function copyRows(rgba, height, width, rgb, stride) {
  for (let y = 0; y < height; y++) {
    let to = y * stride * 3;
    for (let from = y * width * 4; from < (y + 1) * width * 4; from += 4) {
      rgb[to++] = rgba[from];
      rgb[to++] = rgba[from + 1];
      rgb[to++] = rgba[from + 2];
    }
  }
}
