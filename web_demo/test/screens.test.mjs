// What the page looks like, for a person; and whether everybody can use it.

import assert from "node:assert/strict";
import {readFile} from "node:fs/promises";
import {test} from "node:test";

import {
  chooseModel, FAKE_CAMERA, openPage, refusal, screenshot, violations,
} from "./browser.mjs";

const phone = {
  viewport: {width: 390, height: 844},
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};
const desktop = {viewport: {width: 1360, height: 900}};
const CONTEXTS = {
  desktop,
  phone,
  "desktop-dark": {...desktop, colorScheme: "dark"},
  "phone-dark": {...phone, colorScheme: "dark"},
};

for (const [name, context] of Object.entries(CONTEXTS)) {
  test(`${name}: accessible, and no wider than the screen`, async () => {
    const page = await openPage({context});
    await screenshot(page, name);
    assert.deepEqual(await violations(page), []);
    await chooseModel(page, "int8-input.tflite");
    await refusal(page);
    await screenshot(page, `${name}-refusal`);
    assert.deepEqual(await violations(page), []);
    const wider = await page.evaluate(() =>
      document.documentElement.scrollWidth - innerWidth);
    assert.ok(wider <= 0, `${wider} pixels too wide`);
  });
}

test("everything is reached by keyboard", async () => {
  const page = await openPage({flags: FAKE_CAMERA});
  const reached = [];
  for (let i = 0; i < 14; i++) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() =>
      document.activeElement.id || document.activeElement.firstChild?.alt));
  }
  assert.deepEqual(reached.slice(0, 10), [
    "picture-file", "camera", "save", "Sample 1", "Sample 2", "opacity",
    "before", "model", "model-file", "threads",
  ]);
  await page.locator("#opacity").focus();
  await page.keyboard.press("Home");
  assert.equal(await page.locator("#opacity-text").textContent(), "0 %");
  assert.equal(await page.locator("#mask").evaluate((mask) => mask.style.opacity), "0");
  await page.locator("#camera").focus();
  await page.keyboard.press("Enter");
  await page.locator("#rate", {hasText: /\d/}).waitFor();
  await page.locator("#opacity").fill("60");
  await screenshot(page, "desktop-camera");
});

test("what is saved is the picture under its mask", async () => {
  const page = await openPage();
  assert.ok(await page.locator("#rate").isHidden()); // nothing moves
  assert.ok(await page.locator("#infer").isVisible());
  await page.locator("#before").fill("40");
  const clip = await page.locator("#mask").evaluate((mask) => mask.style.clipPath);
  assert.equal(clip, "inset(0px 0px 0px 40%)");
  await page.locator("#opacity").fill("100");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", {name: "Save"}).click(),
  ]);
  const saved = (await readFile(await download.path())).toString("base64");
  const same = await page.evaluate(async (text) => {
    const png = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([png]));
    const surface = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    surface.drawImage(bitmap, 0, 0);
    const mask = document.getElementById("mask");
    const area = [0, 0, mask.width, mask.height];
    const found = surface.getImageData(...area).data;
    const wanted = mask.getContext("2d").getImageData(...area).data;
    return found.every((level, i) => level === wanted[i]);
  }, saved);
  assert.ok(same);
});

test("the class under the pointer is named", async () => {
  const page = await openPage();
  const box = await page.locator("#frame").boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height - 4);
  const name = await page.locator("#pointed").textContent();
  const classes = await page.locator("#legend .name").allTextContents();
  assert.ok(classes.includes(name), name);
});

test("shares add up, and loading shows its progress", async () => {
  const page = await openPage();
  const shares = await page.locator("#legend li").evaluateAll((rows) =>
    rows.map((row) => Number(row.style.getPropertyValue("--share"))));
  const sum = shares.reduce((total, share) => total + share, 0);
  assert.ok(Math.abs(sum - 1) < 1e-9, `${sum}`);
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/float32-64x96.tflite", async (route) => {
    await held;
    await route.continue();
  });
  await page.locator("#model").selectOption("float32-64x96.tflite");
  await page.getByLabel("Loading float32-64x96.tflite").waitFor();
  release();
  await page.locator("#facts", {hasText: "float32"}).waitFor();
  // The picture on show goes through the new model first.
  await page.locator("#loading").waitFor({state: "hidden"});
});
