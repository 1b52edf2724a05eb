// Live frames are cropped to the network's proportions, never squashed.

import assert from "node:assert/strict";
import {readFile} from "node:fs/promises";
import {test} from "node:test";

import {cropTo} from "../src/fit_picture.js";
import {FAKE_CAMERA, fixture, openPage} from "./browser.mjs";

const CROPS = JSON.parse(await readFile(fixture("frames/crops.json"), "utf8"));

test("crops are those of the phone's app", () => {
  for (const [width, height, toWidth, toHeight, ...box] of CROPS) {
    const facts = {width: toWidth, height: toHeight};
    assert.deepEqual(Object.values(cropTo(width, height, facts)), box);
  }
});

test("a live square stays a square", () => {
  // A phone held upright; squashed, 120 x 120 pixels would be 96 x 36.
  const {width, height} = cropTo(480, 640, {width: 384, height: 192});
  assert.equal((120 * 384) / width, (120 * 192) / height);
});

test("the camera's picture has the network's proportions", async () => {
  const page = await openPage({flags: FAKE_CAMERA});
  await page.getByRole("button", {name: "Start camera"}).click();
  await page.locator("#rate", {hasText: /\d/}).waitFor();
  const {width, height} = await page.locator("#picture").evaluate(
    ({width, height}) => ({width, height}));
  // The first model is of 64 x 96 pixels, or of 96 x 192.
  const [tall, wide] = (await page.locator("#facts").textContent())
    .match(/(\d+) × (\d+) pixels/).slice(1).map(Number);
  assert.ok(Math.abs(width / height - wide / tall) < 0.01, `${width} ${height}`);
});
