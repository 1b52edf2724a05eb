// What goes wrong becomes a sentence, and the page goes on working.

import assert from "node:assert/strict";
import {copyFile, mkdtemp, readFile, rm, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, test} from "node:test";

import {chooseModel, FAKE_CAMERA, fixture, openPage, refusal} from "./browser.mjs";

// Faulty file -> what is said of it; the phone's app is held to the same.
const REFUSED = JSON.parse(await readFile(fixture("faults/faults.json"), "utf8"));

test("each faulty file is refused in a sentence", async (t) => {
  const page = await openPage();
  const before = await page.locator("#facts").textContent();
  for (const [stem, sentence] of Object.entries(REFUSED)) {
    const name = `${stem}.tflite`;
    await t.test(name, async () => {
      await chooseModel(page, name);
      const text = await refusal(page);
      assert.match(text, new RegExp(sentence));
      assert.ok(text.startsWith(`${name} cannot be used. `), text);
      assert.match(text, /\.$/);
      await page.getByRole("button", {name: "Close"}).click();
    });
  }
  await t.test("a picture that is none", async () => {
    const file = fixture("faults/letter.png");
    await page.locator("#picture-file").setInputFiles(file);
    assert.match(await refusal(page), /letter\.png is no picture/);
  });
  await t.test("the model before still runs, and its list shows it", async () => {
    assert.equal(await page.locator("#facts").textContent(), before);
    assert.match(await page.locator("#model").inputValue(), /^int8-/);
    await page.getByAltText("Sample 2").click();
    await page.getByText(/^Sample 2\./).waitFor();
    assert.ok(await page.getByRole("alert").isHidden());
    assert.deepEqual(page.faults, []);
  });
});

test("a model that cannot be fetched", async () => {
  const page = await openPage();
  await page.route("**/float32-64x96.tflite", (route) => route.abort());
  await page.locator("#model").selectOption("float32-64x96.tflite");
  assert.match(await refusal(page), /float32-64x96\.tflite could not be fetched/);
});

test("names with signs of addresses, and a flipped bit", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "odd-names-"));
  after(() => rm(folder, {recursive: true}));
  const whole = await readFile(fixture("models/int8-64x96.tflite"));
  const names = ["a#1.tflite", "b 50%.tflite", "c what?.tflite"];
  for (const name of names) await writeFile(path.join(folder, name), whole);
  await copyFile(fixture("models/street-1.png"), path.join(folder, "street #1?.png"));
  const page = await openPage({models: folder});
  for (const name of names.slice(1)) {
    await page.locator("#model").selectOption(name);
    await page.getByText(/^Sample 1\. Largest/).waitFor();
    assert.equal(await page.locator("#model").inputValue(), name);
  }
  whole[whole.length / 2 | 0] ^= 1;
  await writeFile(path.join(folder, names[0]), whole);
  await page.locator("#model").selectOption(names[0]);
  assert.match(await refusal(page), /a#1\.tflite cannot be used.*damaged or changed/);
  assert.deepEqual(page.faults, []);
});

test("nothing shipped", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "no-models-"));
  after(() => rm(folder, {recursive: true}));
  const page = await openPage({models: folder, ready: false});
  await page.getByText("No models are shipped here").waitFor();
  await page.getByRole("button", {name: "Start camera"}).click();
  assert.match(await refusal(page), /No model is loaded yet/);
  const file = fixture("models/int8-64x96.tflite");
  await page.locator("#model-file").setInputFiles(file);
  await page.getByText("int8-64x96.tflite is ready").waitFor();
});

// The last flag of each makes Chromium such a browser; nothing is faked.
const CAMERAS = {
  "no camera": {
    flags: ["--use-fake-ui-for-media-stream"],
    sentence: /No camera was found/,
  },
  "permission refused": {
    flags: ["--use-fake-device-for-media-stream", "--deny-permission-prompts"],
    sentence: /The camera was refused/,
  },
};

for (const [name, {flags, sentence}] of Object.entries(CAMERAS)) {
  test(name, async () => {
    const page = await openPage({flags});
    const button = page.getByRole("button", {name: "Start camera"});
    await button.click();
    assert.match(await refusal(page), sentence);
    assert.equal(await button.getAttribute("aria-pressed"), "false");
    await page.getByAltText("Sample 2").click();
    await page.getByText(/^Sample 2\./).waitFor();
  });
}

test("the camera starts, survives a change of model, and stops", async () => {
  const page = await openPage({flags: FAKE_CAMERA});
  await page.getByRole("button", {name: "Start camera"}).click();
  await page.locator("#rate", {hasText: /\d/}).waitFor();
  await page.locator("#model").selectOption("float32-64x96.tflite");
  await page.locator("#facts", {hasText: "float32"}).waitFor();
  await page.locator("#rate", {hasText: /\d/}).waitFor();
  await page.getByRole("button", {name: "Stop camera"}).click();
  await page.getByText("The camera is off").waitFor();
  const tracks = await page.locator("video").evaluate((video) => video.srcObject);
  assert.equal(tracks, null);
  assert.ok(await page.getByRole("alert").isHidden());
});

test("a browser whose WebAssembly has no SIMD", async () => {
  // V8 compiles SIMD with SSE 4.1 only.
  const flags = ["--js-flags=--no-enable-sse4-1"];
  const page = await openPage({flags, ready: false});
  assert.match(await refusal(page), /no WebAssembly with SIMD/);
  assert.ok(await page.getByRole("button", {name: "Close"}).isEnabled());
});
