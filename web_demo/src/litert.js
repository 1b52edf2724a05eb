// Starts LiteRT's WebAssembly build inside a worker. It has three of them:
// with threads, without, and for browsers without relaxed SIMD.

import {loadLiteRt, supportsFeature} from "../vendor/litert/index.js";
import {download} from "./download.js";

const FOLDER = new URL("../vendor/litert/", import.meta.url).href;

// The smallest module with a SIMD instruction: a function that drops a v128.
const SIMD_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1,
  8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

// LiteRT may fail without an exception and give zeros; then it says so here.
const errors = [];

/** @throws {Error} with what LiteRT complained of, if it did */
export function throwIfFailed() {
  if (errors.length) throw new Error(errors[0]);
}

/**
 * @param {number} threads 1, or more where `crossOriginIsolated`
 * @param {(share: number?) => void} onProgress of the download
 * @return {Promise<number>} how many threads there are
 * @throws {Error} with a sentence, in a browser that cannot
 */
export async function startLiteRt(threads, onProgress) {
  if (!self.WebAssembly || !WebAssembly.validate(SIMD_PROBE)) {
    throw new Error(
      "This browser cannot run models: it has no WebAssembly with SIMD."
      + " Chrome and Edge have it since version 91, Firefox since 89, Safari"
      + " since 16.4.");
  }
  const relaxed = await supportsFeature("relaxedSimd");
  const threaded = threads > 1 && relaxed && self.crossOriginIsolated;
  const build = threaded ? "threaded_" : relaxed ? "" : "compat_";
  const base = `${FOLDER}litert_wasm_${build}internal`;
  // The loader takes these from here: in a worker it cannot know its own URL,
  // and a binary fetched here has a progress bar.
  self.Module = {
    wasmBinary: await download(`${base}.wasm`, onProgress),
    mainScriptUrlOrBlob: `${base}.js`,
    locateFile: (name) => FOLDER + name,
    printErr: (line) => {
      if (line.startsWith("ERROR: ")) errors.push(line.slice(7));
    },
  };
  // It would start the graphics card, which this page has no use for.
  const gpu = {requestAdapter: async () => null};
  Object.defineProperty(navigator, "gpu", {value: gpu});
  await loadLiteRt(`${base}.js`);
  return threaded ? threads : 1;
}
