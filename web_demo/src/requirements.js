// Which models this page can run, and what it tells of the others.

import {FITS} from "./fit_picture.js";
import {ModelError, readModel} from "./tflite_facts.js";

const FACTS_FORMAT = 1;
// Task -> its outputs that the page needs, each of one of some kinds.
const OUTPUTS = {
  segmentation: [["class_ids", "logits"]],
  detection: [["boxes"], ["box_classes"], ["box_scores"]],
};
const EXPORT = "Export it with export_tflite.py";

/**
 * @typedef {object} ModelFacts what drives the page
 * @property {string} task "segmentation" or "detection"
 * @property {string} name for instance "DLA-34-Up"
 * @property {string} precision for instance "int8"
 * @property {{name: string, color: number[]}[]} classes
 * @property {number} height of the pictures that the network takes
 * @property {number} width
 * @property {number[]} padColor RGB
 * @property {string} fit the rule for pictures of another size, of `FITS`
 * @property {number?} maxSide the longest side of a picture
 * @property {number[]} outputs places of what the page needs among all
 * @property {number?} miou on the validation pictures, 0 to 1
 * @property {number?} ap50 of a detector, likewise
 * @property {number?} threshold score from which on boxes are shown
 * @property {string?} digest of the file's other bytes, and
 * @property {number} digestAt where in the file it stands
 */

const isObject = (value) => value !== null && typeof value === "object"
  && !Array.isArray(value);
const isWhole = (low, high) => (value) => Number.isInteger(value)
  && value >= low && value <= high;
const LINE = ["a line of text", (value) => typeof value === "string"
  && /\S/.test(value) && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value)];
const OBJECT = ["an object", isObject];
const LIST = ["a list", (value) => Array.isArray(value) && value.length > 0];
const SIDE = ["a whole number from 1 to 32768", isWhole(1, 32768)];
const COLOR = ["three whole numbers from 0 to 255", (value) =>
  Array.isArray(value) && value.length === 3 && value.every(isWhole(0, 255))];
// Of masks, whose pixels have 8 bits.
const FEW = ["a list of 2 to 256", ({length}) => length >= 2 && length <= 256];
const NAMES = ["a list of different names", (value) =>
  new Set(value.map(({name}) => name)).size === value.length];

const SHARE = ["a number from 0 to 1", (value) =>
  typeof value === "number" && value >= 0 && value <= 1];

// What the facts of a file can be; it is `RULES` of
// `dla_keras/inference/tflite_facts.py`. "[]" is each of a list; what ends in
// "?" may be missing or null.
const RULES = [
  ["name", LINE],
  ["precision", LINE],
  ["input", OBJECT],
  ["input.height", SIDE],
  ["input.width", SIDE],
  ["input.channels", LINE],
  ["input.range", ["two whole numbers", (value) =>
    Array.isArray(value) && value.length === 2 && value.every(Number.isInteger)]],
  ["input.pad_color", COLOR],
  ["input.fit?", LINE],
  ["input.max_side?", SIDE],
  ["outputs", LIST],
  ["outputs[]", OBJECT],
  ["outputs[].kind", LINE],
  ["classes", LIST],
  ["classes[]", OBJECT],
  ["classes[].name", LINE],
  ["classes[].color", COLOR],
  ["metrics?", OBJECT],
  ["metrics.miou?", SHARE],
  ["metrics.ap50?", SHARE],
  ["metrics.best?", OBJECT],
  ["metrics.best.threshold?", SHARE],
  ["digest?", ["64 hexadecimal digits", (value) =>
    typeof value === "string" && /^[0-9a-f]{64}$/.test(value)]],
];

/**
 * Reads a file and checks that this page can run it.
 *
 * @param {Uint8Array} bytes of the file
 * @return {ModelFacts}
 * @throws {ModelError} with a sentence for the reader
 */
export function checkModel(bytes) {
  const {facts, inputs, outputs, digestAt} = readModel(bytes);
  checkTensors(inputs, outputs);
  if (!facts) {
    throw new ModelError(
      "It says nothing about its classes and colours: it holds no facts of"
      + ` dla_keras. ${EXPORT} of a current version.`);
  }
  checkFacts(facts);
  return {...withSize(facts, inputs[0], outputs), digestAt};
}

function checkTensors(inputs, outputs) {
  if (inputs.length !== 1 || !outputs.length) {
    throw new ModelError(
      "It should take one picture and give a mask or boxes. It has"
      + ` ${inputs.length} inputs and ${outputs.length} outputs.`);
  }
  const [image] = inputs;
  const open = [...image.signature, ...outputs[0].signature].includes(-1);
  if (open) {
    throw new ModelError(
      "Its size is left open (a dynamic batch, height or width), and a"
      + ` browser's runtime needs it fixed. ${EXPORT}, which fixes it.`);
  }
  for (const [tensor, verb] of [[image, "takes"], [outputs[0], "gives"]]) {
    if (tensor.type === "int8") {
      throw new ModelError(
        `It ${verb} int8 numbers, and a browser's runtime has no such`
        + ` pictures. ${EXPORT}: its int8 files take and give uint8.`);
    }
  }
  const [batch, , , channels] = image.shape;
  const isPicture = image.shape.length === 4 && batch === 1 && channels === 3;
  if (image.type !== "uint8" || !isPicture) {
    throw new ModelError(
      "It should take one RGB picture as uint8 (1, height, width, 3). It"
      + ` takes ${image.type} (${image.shape.join(", ")}).`);
  }
}

function checkFacts(facts) {
  if (facts.format !== FACTS_FORMAT) {
    throw new ModelError(
      `Its facts are of format ${shown(facts.format)}; this page reads format`
      + ` ${FACTS_FORMAT}. Update the page, or export the model again.`);
  }
  checkRule(facts, "task", LINE);
  if (!Object.hasOwn(OUTPUTS, facts.task)) {
    throw new ModelError(
      `It is made for ${facts.task}; this page draws masks and boxes.`);
  }
  for (const [path, rule] of RULES) checkRule(facts, path, rule);
  if (facts.task === "segmentation") {
    for (const rule of [FEW, NAMES]) checkRule(facts, "classes", rule);
  }
  const {input} = facts;
  const pixels = `${input.channels} ${input.range.join(" to ")}`;
  if (pixels !== "RGB 0 to 255") {
    throw new ModelError(
      `It takes pixels as ${pixels}; this page gives RGB 0 to 255.`);
  }
  if (!FITS.includes(input.fit ?? FITS[0])) {
    throw new ModelError(
      `It wants other pictures brought to its size by "${input.fit}"; this`
      + ` page knows ${FITS.join(", ")}. Update the page.`);
  }
}

function checkRule(facts, path, [expected, holds]) {
  const free = path.endsWith("?");
  let found = [["", facts]];
  for (const step of path.replace("?", "").split(".")) {
    const key = step.replace("[]", "");
    found = found.map(([place, inside]) =>
      [place ? `${place}.${key}` : key, inside?.[key]]);
    if (key === step) continue;
    found = found.flatMap(([place, list]) =>
      list.map((each, index) => [`${place}[${index}]`, each]));
  }
  for (const [place, value] of found) {
    if (holds(value) || (free && (value ?? null) === null)) continue;
    throw new ModelError(
      `Its facts are wrong: ${place} should be ${expected}; it is`
      + ` ${shown(value)}. ${EXPORT} again.`);
  }
}

/** A value in a few words: what lies in it may be deep. */
function shown(value) {
  if (isObject(value)) return "an object";
  if (Array.isArray(value) && value.some((each) => typeof each === "object")) {
    return `a list of ${value.length}`;
  }
  const text = JSON.stringify(value) ?? "missing";
  return text.length < 60 ? text : `${text.slice(0, 60)}...`;
}

function withSize(facts, image, outputs) {
  const [, height, width] = image.shape;
  const wanted = OUTPUTS[facts.task];
  const found = wanted.map((kinds) =>
    facts.outputs.findIndex(({kind}) => kinds.includes(kind)));
  if (found.includes(-1)) {
    const kinds = facts.outputs.map(({kind}) => kind).join(", ");
    const drawn = wanted.map((each) => each.join(" or ")).join(", ");
    throw new ModelError(`It gives ${kinds}; this page draws ${drawn}.`);
  }
  for (const index of found) {
    const {shape, type} = outputs[index] ?? {shape: []};
    const {kind} = facts.outputs[index];
    const expected = shapeOf(kind, height, width, facts, outputs[found[0]]);
    const agrees = shape.join() === expected.join()
      && (type === "float32" || !kind.startsWith("box"))
      && facts.input.height === height && facts.input.width === width;
    if (agrees) continue;
    throw new ModelError(
      `Its facts and its network differ: ${kind} of (${expected.join(", ")})`
      + ` were expected, they are ${type ?? "missing"} (${shape.join(", ")}),`
      + ` for pictures of ${facts.input.height} x ${facts.input.width}.`
      + ` ${EXPORT} again.`);
  }
  return {
    task: facts.task,
    name: facts.name,
    precision: facts.precision,
    classes: facts.classes,
    height,
    width,
    padColor: facts.input.pad_color,
    fit: facts.input.fit ?? FITS[0], // as files of earlier versions are meant
    maxSide: facts.input.max_side ?? null,
    outputs: found,
    miou: facts.metrics?.miou ?? null,
    ap50: facts.metrics?.ap50 ?? null,
    threshold: facts.metrics?.best?.threshold ?? null,
    digest: facts.digest ?? null,
  };
}

/** The shape of an output; that of boxes says itself how many there are. */
function shapeOf(kind, height, width, {classes}, {shape: [, count]}) {
  if (kind === "boxes") return [1, count, 4];
  if (kind.startsWith("box")) return [1, count];
  return [1, height, width, ...(kind === "logits" ? [classes.length] : [])];
}
