// The browser's boxes are Python's, by every rule of fitting; and what the page
// shows of them.

import assert from "node:assert/strict";
import {mkdtemp, copyFile, readFile, rm} from "node:fs/promises";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, test} from "node:test";

import {boxAt, classCounts} from "../src/boxes.js";
import {describe} from "../src/models.js";
import {checkModel} from "../src/requirements.js";
import {FAKE_CAMERA, fixture, openPage, screenshot, violations} from "./browser.mjs";

// Name of a file -> picture -> class, score and sides of each box.
const BOXES = JSON.parse(await readFile(fixture("pictures/boxes.json"), "utf8"));
const file = (name) => fixture(`others/${name}.tflite`);

/** Inside the page: what a model finds in pictures, as Python's rows are. */
async function findAll({model, pictures}) {
  const load = (part) => import(new URL(`src/${part}.js`, document.baseURI));
  const [{Runner}, {checkModel}, {readPicture}] =
    await Promise.all(["runner", "requirements", "picture_file"].map(load));
  const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const bytes = decode(model);
  const runner = await Runner.open(bytes, checkModel(bytes), 1, () => {});
  const rows = [];
  for (const text of pictures) {
    const sent = await readPicture(new Blob([decode(text)]), "a picture");
    const {found} = await runner.segment(sent);
    rows.push(found.map(({box, id, score}) => [id, score, ...box]));
  }
  runner.close();
  return rows;
}

/** Whether a row is of the same class, nearly as sure, and nearly there. */
const near = (one) => ([id, score, ...box]) => id === one[0]
  && Math.abs(score - one[1]) < 1e-3
  && box.every((side, i) => Math.abs(side - one[2 + i]) < 0.05);

test("boxes are Python's", async (t) => {
  const page = await openPage();
  for (const [name, expected] of Object.entries(BOXES)) {
    await t.test(name, async () => {
      const model = await readFile(file(name), "base64");
      const pictures = await Promise.all(Object.keys(expected).map((stem) =>
        readFile(fixture(`pictures/${stem}.png`), "base64")));
      const found = await page.evaluate(findAll, {model, pictures});
      assert.equal(found.length, 8);
      for (const [index, [stem, rows]] of Object.entries(expected).entries()) {
        assert.ok(rows.filter(([, score]) => score > 0.3).length > 20, stem);
        // Integers leave no doubt about maps; of floats the order of sums is
        // another one. Scores of both are of a sigmoid in float.
        if (name.includes("int8")) {
          const without = (table) => table.map(([id, , ...box]) => [id, ...box]);
          assert.deepEqual(without(found[index]), without(rows), stem);
          for (const [at, [, score]] of rows.entries()) {
            assert.ok(Math.abs(score - found[index][at][1]) < 1e-6, stem);
          }
        }
        for (const row of rows.filter(([, score]) => score > 0)) {
          const [twins, expected] = [found[index], rows].map(
            (table) => table.filter(near(row)).length);
          assert.equal(twins, expected, `${stem}: ${row}`);
        }
      }
    });
  }
  assert.deepEqual(page.faults, []);
});

test("a detector's file shows boxes, their numbers, and how sure they are", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "boxes-"));
  after(() => rm(folder, {recursive: true}));
  const name = "boxes-int8-pad";
  await copyFile(file(name), path.join(folder, "boxes.tflite"));
  const picture = fixture("pictures/int8-64x96-0.png");
  await copyFile(picture, path.join(folder, "street.png"));
  const page = await openPage({models: folder, flags: FAKE_CAMERA});
  const rows = BOXES[name]["int8-64x96-0"];
  const shown = (least) => rows.filter(([, score]) => score >= least).length;
  const counts = async () => {
    const texts = await page.locator("#legend .share").allTextContents();
    return texts.map(Number).reduce((sum, count) => sum + count);
  };
  assert.equal(await counts(), shown(0.3)); // the file says no better score
  assert.match(await page.locator("#status").textContent(), /^Sample 1\. Found: \d+ /);
  assert.equal(await page.locator("#opacity").inputValue(), "100");
  assert.deepEqual(await violations(page), []);
  await screenshot(page, "boxes");
  await page.locator("#threshold").fill("80");
  assert.ok(shown(0.8) < shown(0.3));
  assert.equal(await counts(), shown(0.8));
  // Over the middle of the surest box there is one, maybe a smaller one.
  const frame = await page.locator("#frame").boundingBox();
  const [, , top, left, bottom, right] = rows[0];
  const [x, y] = [(left + right) / 2 / 96, (top + bottom) / 2 / 64];
  await page.mouse.move(frame.x + x * frame.width, frame.y + y * frame.height);
  assert.match(
    await page.locator("#pointed").textContent(), /^(car|person|light) [01]\.\d\d$/);
  // What is drawn is gone with the scores.
  const drawn = () => page.locator("#mask").evaluate((mask) =>
    mask.getContext("2d").getImageData(0, 0, mask.width, mask.height).data
      .filter((level, at) => at % 4 === 3 && level).length);
  const many = await drawn();
  await page.locator("#threshold").fill("95");
  assert.ok(await drawn() < many);
  // Frames are looked at like pictures.
  await page.getByRole("button", {name: "Start camera"}).click();
  await page.locator("#rate", {hasText: /\d/}).waitFor();
  await page.locator("#threshold").fill("10");
  assert.equal(await page.locator("#status").textContent(), "The camera is running.");
  await page.getByRole("button", {name: "Stop camera"}).click();
  await page.getByAltText("Sample 1").click();
  await page.getByText(/Found/).waitFor();
  assert.equal(await counts(), shown(0.1));
  // A mask's file after it has no such control.
  await page.locator("#model-file").setInputFiles(fixture("models/int8-64x96.tflite"));
  await page.getByText(/Largest classes/).waitFor();
  assert.ok(await page.locator("#threshold").isHidden());
  assert.equal(await page.locator("#opacity").inputValue(), "60");
});

test("the smallest box is pointed at, and classes are counted", () => {
  const found = [
    {box: [0, 0, 50, 50], id: 2, score: 0.9},
    {box: [10, 10, 20, 20], id: 0, score: 0.4},
  ];
  assert.equal(boxAt(found, 12, 15), found[1]);
  assert.equal(boxAt(found, 20, 15), found[0]);
  assert.equal(boxAt(found, 60, 15), undefined);
  assert.deepEqual(classCounts(found, 3), [1, 0, 1]);
});

test("facts of a detector that differ from its network are refused", async () => {
  const bytes = await readFile(file("boxes-int8-pad"));
  const facts = checkModel(Uint8Array.from(bytes));
  assert.deepEqual([facts.task, facts.outputs.length], ["detection", 3]);
  assert.doesNotMatch(describe({facts, threads: 1}), /AP50/);
  const scored = {...facts, ap50: 0.886};
  assert.match(describe({facts: scored, threads: 1}), /AP50 0\.886 before export/);
  // Of the same length, so that the file stays whole.
  for (const [before, now, words] of [
    ['"box_scores"', '"box_mcores"', /box_mcores.*draws boxes, box_classes, box_scores\.$/],
    ['"kind": "box_count"', '"kind":"box_scores"', /differ: box_scores of \(1, 100\)/],
    ['"task": "detection"', '"task": "detectiom"', /for detectiom; this page draws masks and boxes/],
    ['"name": "car"', '"name": "\\u0"', /damaged/],
    ['[57, 230, 108]', '[57, 230, 308]', /classes\[2\]\.color/],
  ]) {
    const changed = Uint8Array.from(bytes);
    const at = bytes.indexOf(before);
    assert.ok(at > 0 && before.length === now.length, before);
    changed.set(Buffer.from(now), at);
    assert.throws(() => checkModel(changed), words);
  }
});
