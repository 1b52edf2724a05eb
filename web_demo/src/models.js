// Where models come from, and one of them at a time running.

import {download} from "./download.js";
import {checkModel} from "./requirements.js";
import {Runner} from "./runner.js";
import {isIntact} from "./tflite_facts.js";

/**
 * @typedef {object} ModelSource
 * @property {string} name of its file
 * @property {(onProgress: (share: number?) => void) => Promise<Uint8Array>}
 *     bytes fetches or reads it
 * @property {number?} miou of the file itself, where it was measured
 */

/** @return {ModelSource} of a file that the reader chose */
export function fileSource(file) {
  return {
    name: file.name,
    bytes: async () => {
      const buffer = await file.arrayBuffer().catch(() => {
        throw new Error("It could not be read: it was moved or changed, or is"
          + " larger than this browser's memory. Choose it again.");
      });
      return new Uint8Array(buffer);
    },
  };
}

/** @return {URL} of a shipped model or picture */
export function shippedUrl(name) {
  return new URL(`models/${encodeURIComponent(name)}`, document.baseURI);
}

/** @return {ModelSource} of a shipped model, an entry of the list */
export function shippedSource({file, miou}) {
  const url = shippedUrl(file);
  return {name: file, bytes: (onProgress) => download(url, onProgress), miou};
}

/** @return {Promise<{models: object[], samples: string[]}>} what is shipped */
export async function shippedList() {
  const bytes = await download("models/list.json", () => {});
  try {
    const {models, samples} = JSON.parse(new TextDecoder().decode(bytes));
    return {models: [...models], samples: [...samples]};
  } catch {
    throw new Error("models/list.json is no list of models: write the site again.");
  }
}

/** @return {string} for instance "DLA-46-C, int8, 2.0 MB" */
export function label({file, bytes, name, precision}) {
  const size = `${(bytes / 1e6).toFixed(1)} MB`;
  return name ? `${name}, ${precision}, ${size}` : `${file}, ${size}`;
}

/** @return {string} what the page says of a model that runs, and its source */
export function describe({facts, threads}, source = {}) {
  const {name, precision, height, width, classes, miou, ap50, checked} = facts;
  // The facts were written before anybody could score the file.
  const score = source.miou === undefined
    ? miou !== null && `mIoU ${miou.toFixed(3)} before export`
    : `mIoU ${source.miou.toFixed(3)}`;
  return [
    name,
    precision,
    `${height} × ${width} pixels`,
    `${classes.length} classes`,
    score,
    ap50 !== null && `AP50 ${ap50.toFixed(3)} before export`,
    threads === 1 ? "1 thread" : `${threads} threads`,
    checked ? "" : "not checked for damage, which takes https",
  ].filter(Boolean).join(" · ");
}

/**
 * Opens a model in a worker.
 *
 * @param {ModelSource} source
 * @param {number} threads at most
 * @param {(what: string, share: number?) => void} onLoading
 * @return {Promise<Runner>}
 * @throws {Error} with a sentence
 */
export async function openModel(source, threads, onLoading) {
  const {name} = source;
  try {
    const bytes = await source.bytes(
      (share) => onLoading(`Loading ${name}`, share));
    const facts = checkModel(bytes);
    facts.checked = await isIntact(bytes, facts);
    return await Runner.open(bytes, facts, threads, (share) =>
      onLoading(
        share === 1 ? `Starting ${name}` : "Loading the runtime",
        share === 1 ? null : share));
  } catch (error) {
    throw new Error(`${name} cannot be used. ${error.message}`);
  }
}
