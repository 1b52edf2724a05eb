// The worker's side of `runner.js`: one model, and pictures through it, one
// after another.

import {loadAndCompile, Tensor} from "../vendor/litert/index.js";
import {toBoxes} from "./boxes.js";
import {fitPicture, unfitMask} from "./fit_picture.js";
import {startLiteRt, throwIfFailed} from "./litert.js";
import {classShares, toMask} from "./mask.js";

let model;
let facts;
let surface; // where pictures become pixels, kept from frame to frame

/** Runs one request of the page and posts its answer. */
export async function receive({id, request, ...content}) {
  try {
    const {answer, transfer} = await REQUESTS[request](content, id);
    self.postMessage({id, answer}, transfer ?? []);
  } catch (error) {
    self.postMessage({id, error: error.message ?? String(error)});
  }
}

const REQUESTS = {
  /** @return the number of threads that the model runs on */
  async open({bytes, facts: wanted, threads}, id) {
    facts = wanted;
    const numThreads = await startLiteRt(threads, (share) =>
      self.postMessage({id, progress: share}));
    try {
      const cpuOptions = {numThreads};
      model = await loadAndCompile(bytes, {accelerator: "wasm", cpuOptions});
      // The first run is slow, and the one that may fail: not the reader's.
      await infer(new Uint8Array(facts.height * facts.width * 3));
    } catch (error) {
      throw new Error(
        `The browser's runtime refuses it: ${error.message ?? error}`);
    }
    return {answer: {threads: numThreads}};
  },

  /**
   * @return the picture, its mask and shares or what was found in it, and what
   *     took how long (ms)
   */
  async segment({picture}) {
    const {height, width} = picture;
    const times = {start: performance.now()};
    const input = fitPicture(pixels(picture), height, width, facts);
    times.prepared = performance.now();
    const outputs = await infer(input).catch((error) => {
      throw new Error(
        `The browser's runtime failed: ${error.message ?? error}. Choose the`
        + " model again, or another one.");
    });
    times.inferred = performance.now();
    const read = facts.task === "detection" ? readBoxes : readMask;
    const answer = read(outputs, height, width);
    times.end = performance.now();
    return {
      answer: {picture, ...answer, latency: split(times)},
      transfer: [picture, ...(answer.mask ? [answer.mask.buffer] : [])],
    };
  },
};

function readMask([output], height, width) {
  const fitted = toMask(output, facts.height * facts.width);
  const mask = unfitMask(fitted, height, width, facts);
  return {mask, shares: classShares(mask, facts.classes.length)};
}

function readBoxes(outputs, height, width) {
  return {found: toBoxes(outputs, height, width, facts)};
}

/** RGBA of a picture. */
function pixels(picture) {
  const {height, width} = picture;
  if (surface?.canvas.height !== height || surface?.canvas.width !== width) {
    const canvas = new OffscreenCanvas(width, height);
    surface = canvas.getContext("2d", {willReadFrequently: true});
  }
  surface.drawImage(picture, 0, 0);
  return surface.getImageData(0, 0, width, height).data;
}

async function infer(pixels) {
  const input = new Tensor(pixels, [1, facts.height, facts.width, 3]);
  let outputs = [];
  try {
    outputs = await model.run(input);
    throwIfFailed();
    return facts.outputs.map((index) => outputs[index].toTypedArray());
  } finally {
    // WebAssembly's memory has no garbage collection.
    input.delete();
    for (const output of outputs) output.delete();
  }
}

function split({start, prepared, inferred, end}) {
  return {
    prepare: prepared - start,
    infer: inferred - prepared,
    draw: end - inferred,
  };
}
