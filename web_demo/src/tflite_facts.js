// What a `.tflite` file says about itself: its tensors, and the facts that
// the export wrote into it. The numbers are field indices of the TFLite schema.

import {OutOfBounds, Table} from "./flatbuffer.js";

/** A file that the page refuses; its message is a sentence for the reader. */
export class ModelError extends Error {}

const IDENTIFIER = "TFL3"; // bytes 4 to 8
const FACTS_NAME = "DLA_KERAS";
const NO_DIGEST = "0".repeat(64);
const MODEL = {subgraphs: 2, buffers: 4, metadata: 6};
const SUBGRAPH = {tensors: 0, inputs: 1, outputs: 2};
const TENSOR = {shape: 0, type: 1, signature: 7};
const BUFFER = {data: 0};
const METADATA = {name: 0, buffer: 1};
const TYPES = [
  "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16",
  "complex64", "int8", "float64", "complex128", "uint64", "resource",
  "variant", "uint32", "uint16", "int4", "bfloat16",
];

/**
 * @typedef {object} TensorFacts
 * @property {string} type for instance "uint8"
 * @property {number[]} shape
 * @property {number[]} signature the shape with -1 for each open side
 */

/**
 * Reads what a file holds, and that all of it is there.
 *
 * @param {Uint8Array} bytes of the file
 * @return {{facts: object?, digestAt: number, inputs: TensorFacts[],
 *     outputs: TensorFacts[]}} `facts` is null where the export wrote none.
 * @throws {ModelError}
 */
export function readModel(bytes) {
  const identifier = String.fromCharCode(...bytes.subarray(4, 8));
  if (bytes.length < 8 || identifier !== IDENTIFIER) {
    throw new ModelError("It is no .tflite file: it does not begin like one.");
  }
  try {
    return parse(Table.root(bytes), bytes.byteOffset);
  } catch (error) {
    if (!(error instanceof OutOfBounds)) throw error;
    throw new ModelError(
      `It is cut short or damaged: it has ${bytes.length.toLocaleString("en")}`
      + " bytes and points beyond them. Download or export it again.");
  }
}

/**
 * Checks the digest that a file's facts hold of all its other bytes, counted
 * with zeros in the digest's place.
 *
 * @param {Uint8Array} bytes of the file
 * @param {{digest: string?, digestAt: number}} facts
 * @return {Promise<boolean>} whether there is nothing to check, or it holds;
 *     false where the browser has no digests, as on a page without https
 * @throws {ModelError} if it is another
 */
export async function isIntact(bytes, {digest, digestAt}) {
  if (!digest || digest === NO_DIGEST) return true;
  if (!globalThis.crypto?.subtle) return false;
  const plain = bytes.slice();
  plain.set(new TextEncoder().encode(NO_DIGEST), digestAt);
  const found = await crypto.subtle.digest("SHA-256", plain);
  const text = Array.from(
    new Uint8Array(found), (byte) => byte.toString(16).padStart(2, "0"));
  if (text.join("") === digest) return true;
  throw new ModelError(
    "It is not what the exporter wrote: it was damaged or changed since."
    + " Download it again, or export it anew.");
}

function parse(model, start) {
  // Weights lie in the buffers: reading each one's extent finds a file whose
  // end is missing.
  const buffers = model.tables(MODEL.buffers).map(
    (buffer) => buffer.bytes(BUFFER.data));
  const [subgraph] = model.tables(MODEL.subgraphs);
  if (!subgraph) throw new ModelError("It holds no network.");
  const tensors = subgraph.tables(SUBGRAPH.tensors);
  const pick = (index) => subgraph.int32s(index).map((i) => {
    if (!tensors[i]) throw new OutOfBounds(`tensor ${i}`);
    return describe(tensors[i]);
  });
  const entry = model.tables(MODEL.metadata).find(
    (metadata) => metadata.text(METADATA.name) === FACTS_NAME);
  const content = entry && buffers[entry.uint32(METADATA.buffer)];
  const facts = content ? parseFacts(content) : null;
  // A byte is a character in this encoding, so that places are those of bytes.
  const text = facts && new TextDecoder("latin1").decode(content);
  return {
    facts,
    digestAt: facts && content.byteOffset - start + text.indexOf(facts.digest),
    inputs: pick(SUBGRAPH.inputs),
    outputs: pick(SUBGRAPH.outputs),
  };
}

function describe(tensor) {
  const shape = tensor.int32s(TENSOR.shape);
  const signature = tensor.int32s(TENSOR.signature);
  return {
    type: TYPES[tensor.int8(TENSOR.type)] ?? "unknown",
    shape,
    signature: signature.length ? signature : shape,
  };
}

function parseFacts(content) {
  try {
    const text = new TextDecoder("utf-8", {fatal: true}).decode(content);
    return JSON.parse(text) ?? {};
  } catch {
    throw new ModelError(
      `Its facts (${FACTS_NAME}) are damaged: they are no JSON. Export it`
      + " again.");
  }
}
