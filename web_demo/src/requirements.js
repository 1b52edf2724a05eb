// Which models this page can run, and what it tells of the others.

import {FITS} from "./fit_picture.js";
import {ModelError, readModel} from "./tflite_facts.js";

const FACTS_FORMAT = 1;
const MASK_KINDS = ["class_ids", "logits"];
const EXPORT = "Export it with export_tflite.py";

/**
 * @typedef {object} ModelFacts what drives the page
 * @property {string} name for instance "DLA-34-Up"
 * @property {string} precision for instance "int8"
 * @property {{name: string, color: number[]}[]} classes
 * @property {number} height of the pictures that the network takes
 * @property {number} width
 * @property {number[]} padColor RGB
 * @property {string} fit the rule for pictures of another size, of `FITS`
 * @property {number?} maxSide the longest side of a picture
 * @property {number} outputIndex of the mask among the outputs
 * @property {number?} miou on the validation pictures, 0 to 1
 */

/**
 * Reads a file and checks that this page can run it.
 *
 * @param {Uint8Array} bytes of the file
 * @return {ModelFacts}
 * @throws {ModelError} with a sentence for the reader
 */
export function checkModel(bytes) {
  const {facts, inputs, outputs} = readModel(bytes);
  checkTensors(inputs, outputs);
  if (!facts) {
    throw new ModelError(
      "It says nothing about its classes and colours: it holds no facts of"
      + ` dla_keras. ${EXPORT} of a current version.`);
  }
  checkFacts(facts);
  return withSize(facts, inputs[0], outputs);
}

function checkTensors(inputs, outputs) {
  if (inputs.length !== 1 || !outputs.length) {
    throw new ModelError(
      "It should take one picture and give a mask. It has"
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
      `Its facts are of format ${facts.format}; this page reads format`
      + ` ${FACTS_FORMAT}. Update the page, or export the model again.`);
  }
  if (facts.task !== "segmentation") {
    throw new ModelError(
      `It is made for ${facts.task}; this page draws segmentation masks.`);
  }
  const isColor = (color) => Array.isArray(color) && color.length === 3
    && color.every((level) => Number.isInteger(level) && level >= 0
      && level <= 255);
  const {classes, input} = facts;
  const complete = Array.isArray(classes) && classes.length > 0
    && classes.length <= 256
    && classes.every(({name, color}) => name && isColor(color))
    && Array.isArray(facts.outputs) && isColor(input?.pad_color);
  if (!complete) {
    throw new ModelError(
      "Its facts are incomplete: classes with name and colour, outputs and"
      + ` the border's colour are needed. ${EXPORT} again.`);
  }
  const pixels = `${input.channels} ${input.range?.join(" to ")}`;
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

function withSize(facts, image, outputs) {
  const [, height, width] = image.shape;
  const outputIndex = facts.outputs.findIndex(
    ({kind}) => MASK_KINDS.includes(kind));
  if (outputIndex < 0) {
    const kinds = facts.outputs.map(({kind}) => kind).join(", ");
    throw new ModelError(
      `It gives ${kinds || "nothing"}; this page draws ${MASK_KINDS.join(" or ")}.`);
  }
  const logits = facts.outputs[outputIndex].kind === "logits";
  const expected = [1, height, width, ...(logits ? [facts.classes.length] : [])];
  const {shape} = outputs[outputIndex] ?? {shape: []};
  const agrees = shape.join() === expected.join()
    && facts.input.height === height && facts.input.width === width;
  if (!agrees) {
    throw new ModelError(
      "Its facts and its network differ: an output of"
      + ` (${expected.join(", ")}) was expected, it is (${shape.join(", ")}),`
      + ` for pictures of ${facts.input.height} x ${facts.input.width}.`
      + ` ${EXPORT} again.`);
  }
  return {
    name: facts.name,
    precision: facts.precision,
    classes: facts.classes,
    height,
    width,
    padColor: facts.input.pad_color,
    fit: facts.input.fit ?? FITS[0], // as files of earlier versions are meant
    maxSide: facts.input.max_side ?? null,
    outputIndex,
    miou: facts.metrics?.miou ?? null,
  };
}
