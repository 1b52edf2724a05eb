// The browser's masks are Python's: the same `.tflite` file, the same picture
// of any size, the same class for each pixel.

import assert from "node:assert/strict";
import {readFile} from "node:fs/promises";
import {test} from "node:test";
import {fileURLToPath} from "node:url";

import {contentSize} from "../src/fit_picture.js";
import {checkModel} from "../src/requirements.js";
import {fixture, openPage} from "./browser.mjs";

const read = async (name) => JSON.parse(await readFile(fixture(name), "utf8"));
const FITS = await read("pictures/fits.json");
// Files of every rule of fitting: those that pad, and the others.
const MASKS = {...await read("pictures/masks.json"), ...FITS.masks};
const BUILDS = new URL("../node_modules/@litertjs/core/wasm/", import.meta.url);

/**
 * Inside the page, with its own parts: pictures to what enters the network and
 * what comes out. Bytes travel as base64.
 */
async function segmentAll({model, pictures, threads}) {
  const load = (part) => import(new URL(`src/${part}.js`, document.baseURI));
  const [{Runner}, {checkModel}, {readPicture}, {fitPicture}] =
    await Promise.all(
      ["runner", "requirements", "picture_file", "fit_picture"].map(load));
  const encode = (bytes) => btoa(
    Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const bytes = decode(model);
  const facts = checkModel(bytes);
  const runner = await Runner.open(bytes, facts, threads, () => {});
  const results = [];
  for (const text of pictures) {
    const sent = await readPicture(new Blob([decode(text)]), "a picture");
    const {picture, mask} = await runner.segment(sent);
    const {width, height} = picture;
    const surface = new OffscreenCanvas(width, height).getContext("2d");
    surface.drawImage(picture, 0, 0);
    const {data} = surface.getImageData(0, 0, width, height);
    const input = fitPicture(data, height, width, facts);
    results.push({input: encode(input), mask: encode(mask)});
  }
  runner.close();
  return {results, threads: runner.threads};
}

/** The largest share of pixels that differ in one of a model's masks. */
async function largestDifference(page, name, threads) {
  const stems = MASKS[name].map(({stem}) => stem);
  const read = (ending, encoding) => Promise.all(stems.map((stem) =>
    readFile(fixture(`pictures/${stem}.${ending}`), encoding)));
  const pictures = await read("png", "base64");
  const folder = name in FITS.masks ? "others" : "models";
  const file = fixture(`${folder}/${name}.tflite`);
  const model = await readFile(file, "base64");
  const found = await page.evaluate(segmentAll, {model, pictures, threads});
  assert.equal(found.threads, threads);
  assert.equal(found.results.length, 8);
  const inputs = await read("input", "base64");
  const shares = (await read("mask")).map((expected, index) => {
    const {input, mask} = found.results[index];
    assert.ok(input === inputs[index], `${stems[index]} enters as Python's`);
    const ids = Buffer.from(mask, "base64");
    assert.equal(ids.length, expected.length);
    return expected.filter((id, i) => id !== ids[i]).length / expected.length;
  });
  return Math.max(...shares);
}

test("masks are Python's", async (t) => {
  const page = await openPage();
  for (const name of Object.keys(MASKS)) {
    for (const threads of [1, 2]) {
      await t.test(`${name}, ${threads} threads`, async () => {
        const share = await largestDifference(page, name, threads);
        // int8 arithmetic is exact. In float32, sums in another order may move
        // the few pixels that lie between two classes.
        assert.ok(share <= (name.startsWith("int8") ? 0 : 2e-3), `${share}`);
      });
    }
  }
  assert.deepEqual(page.strangers, []); // nothing comes from elsewhere
  assert.deepEqual(page.faults, []);
});

test("sizes in the network are Python's", () => {
  for (const {fit, max_side: maxSide, picture, room, size} of FITS.sizes) {
    const facts = {fit, maxSide, height: room[0], width: room[1]};
    assert.deepEqual(contentSize(...picture, facts), size, `${fit} ${picture}`);
  }
});

test("a rule that the page does not know is refused", async () => {
  const bytes = await readFile(fixture("faults/other-fit.tflite"));
  assert.throws(
    () => checkModel(new Uint8Array(bytes)),
    /by "crop"; this page knows pad, letterbox, stretch/);
});

test("masks say something", () => {
  // Constant masks would agree too.
  for (const entries of Object.values(MASKS)) {
    for (const {stem, classes} of entries) assert.ok(classes >= 3, stem);
  }
});

test("without headers: one thread, the same masks", async () => {
  const page = await openPage({headers: false});
  assert.equal(await largestDifference(page, "int8-64x96", 1), 0);
  assert.ok(await page.locator("#threads").isDisabled());
  assert.ok(await page.locator("#threads-note").isVisible());
});

test("the build for browsers without relaxed SIMD: the same masks", async () => {
  const page = await openPage({headers: false});
  let served = 0;
  await page.route(/litert_wasm_internal\.(js|wasm)$/, (route) => {
    const ending = route.request().url().split(".").pop();
    const url = new URL(`litert_wasm_compat_internal.${ending}`, BUILDS);
    served += 1;
    return route.fulfill({path: fileURLToPath(url)});
  });
  assert.equal(await largestDifference(page, "int8-64x96", 1), 0);
  assert.equal(served, 2);
});
