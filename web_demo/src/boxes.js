// From a detector's outputs to boxes in a picture: those that are sure enough,
// how many of each class, and how they are drawn.

import {contentSize} from "./fit_picture.js";

/**
 * @typedef {object} Found
 * @property {number[]} box top, left, bottom and right, pixels of the picture
 * @property {number} id of its class
 * @property {number} score 0 to 1
 */

/**
 * The boxes of one picture, the surest first, in its own pixels. It is
 * `BoxPredictor` of `dla_keras/inference/predictor.py`, in float32 as there.
 *
 * @param {Float32Array[]} outputs shares of the network's sides, class ids,
 *     and scores
 * @param {number} height of the picture
 * @param {number} width of the picture
 * @param {{height: number, width: number, fit: string, maxSide: number?}} facts
 * @return {Found[]}
 */
export function toBoxes([places, ids, scores], height, width, facts) {
  const content = contentSize(height, width, facts);
  const axes = [
    {side: facts.height, scale: Math.fround(height / content[0]), most: height},
    {side: facts.width, scale: Math.fround(width / content[1]), most: width},
  ];
  const pixel = (at) => {
    const {side, scale, most} = axes[at % 2];
    const found = Math.fround(Math.fround(places[at] * side) * scale);
    return Math.min(Math.max(found, 0), most);
  };
  const all = Array.from(scores, (score, index) => ({
    box: [0, 1, 2, 3].map((side) => pixel(4 * index + side)), id: ids[index], score,
  }));
  // Not what lies in the border, nor what has a size below 0.
  return all.filter(({box: [top, left, bottom, right]}) => top < bottom && left < right);
}

/** @return {Found[]} those of this score at least */
export function above(found, score) {
  return found.filter((each) => each.score >= score);
}

/** @return {number[]} how many there are of each class */
export function classCounts(found, classes) {
  const counts = new Array(classes).fill(0);
  for (const {id} of found) counts[id]++;
  return counts;
}

/** @return {Found?} the smallest box around a point of the picture */
export function boxAt(found, x, y) {
  const area = ({box: [top, left, bottom, right]}) => (bottom - top) * (right - left);
  return found
    .filter(({box: [top, left, bottom, right]}) =>
      top <= y && y < bottom && left <= x && x < right)
    .sort((a, b) => area(a) - area(b))[0];
}

/** @return {string} for instance "car 0.87" */
export function boxLabel({id, score}, classes) {
  return `${classes[id]?.name ?? id} ${score.toFixed(2)}`;
}

/**
 * Draws boxes with their classes and scores, as `draw_boxes` of
 * `dla_keras/inference/prediction_files.py` does.
 *
 * @param {CanvasRenderingContext2D} surface
 * @param {Found[]} found
 * @param {{name: string, color: number[]}[]} classes
 * @param {number} scale of the surface to the picture
 */
export function paintBoxes(surface, found, classes, scale) {
  const longest = Math.max(surface.canvas.width, surface.canvas.height);
  const line = Math.max(1, Math.round(longest / 400));
  const letters = Math.max(9, Math.round(longest / 50));
  surface.clearRect(0, 0, surface.canvas.width, surface.canvas.height);
  surface.font = `${letters}px system-ui, sans-serif`;
  surface.textBaseline = "top";
  surface.lineWidth = line;
  for (const each of found.toReversed()) { // the surest on top
    const [top, left, bottom, right] = each.box.map((side) => side * scale);
    const color = classes[each.id]?.color ?? [255, 255, 255];
    const text = boxLabel(each, classes);
    surface.strokeStyle = surface.fillStyle = `rgb(${color.join(" ")})`;
    surface.strokeRect(left, top, right - left, bottom - top);
    const {width} = surface.measureText(text);
    surface.fillRect(left, top, width + 2 * line, letters + 2 * line);
    const dark = color[0] + color[1] + color[2] < 380;
    surface.fillStyle = dark ? "white" : "black";
    surface.fillText(text, left + line, top + line);
  }
}
