// Memory stays where it is over 500 camera frames.

import assert from "node:assert/strict";
import {readFile} from "node:fs/promises";
import {test} from "node:test";

import {FAKE_CAMERA, openPage} from "./browser.mjs";

const MODEL = "int8-96x192.tflite";
const WARM = 100; // frames until caches and heaps have their size
const FRAMES = 500;
// Keeping the smallest part of each frame, the network's input (55 kB), takes
// 22 MB over the frames between; repeated runs differ by a few.
const LIMIT = 12; // MB

test("memory is flat over 500 frames", {timeout: 400_000}, async (t) => {
  const flags = [...FAKE_CAMERA, "--js-flags=--expose-gc"];
  const page = await openPage({flags});
  await page.locator("#model").selectOption(MODEL);
  await page.locator("#facts", {hasText: "96 × 192"}).waitFor();
  await page.evaluate(() => {
    const {prototype} = CanvasRenderingContext2D;
    const {putImageData} = prototype;
    self.frames = 0;
    prototype.putImageData = function (...args) {
      self.frames += 1;
      return putImageData.apply(this, args);
    };
  });
  await page.getByRole("button", {name: "Start camera"}).click();
  const warm = await memoryAt(page, WARM);
  const end = await memoryAt(page, FRAMES);
  t.diagnostic(`${warm.toFixed(1)} MB, then ${end.toFixed(1)} MB`);
  assert.ok(end - warm < LIMIT, `${(end - warm).toFixed(1)} MB more`);
});

/**
 * MB of the page's process once it has drawn so many frames: its own memory,
 * the least of a few moments. Files mapped into it are left out: Chromium
 * without a graphics card keeps some 450 MB of video frames there, whoever
 * draws them.
 */
async function memoryAt(page, frames) {
  await page.waitForFunction((n) => self.frames >= n, frames, {timeout: 0});
  const engine = page.workers().find((each) => each.url().endsWith("worker.js"));
  const session = await page.context().browser().newBrowserCDPSession();
  const {processInfo} = await session.send("SystemInfo.getProcessInfo");
  const moments = [];
  for (let i = 0; i < 8; i++) {
    await page.evaluate(() => gc());
    await engine.evaluate(() => gc());
    const sizes = await Promise.all(processInfo
      .filter(({type}) => type === "renderer")
      .map(({id}) => readFile(`/proc/${id}/status`, "utf8")));
    const kilobytes = sizes.map((text) =>
      Number(text.match(/RssAnon:\s+(\d+)/)[1]));
    moments.push(Math.max(...kilobytes) / 1000);
    await page.waitForTimeout(100);
  }
  return Math.min(...moments);
}
