// Prints how long the shipped models take in Chromium and in Python.
//
// node latency.mjs [FRAMES]     on a machine that does nothing else
//
// The same sample picture through the same files: median of the frames, ms.

import {execFileSync} from "node:child_process";
import {fileURLToPath} from "node:url";

import {chromium} from "playwright-core";

import {serve} from "./serve.mjs";

const models = fileURLToPath(new URL("models", import.meta.url));
const frames = Number(process.argv[2] ?? 50);
const PYTHON = fileURLToPath(new URL("../.venv/bin/python", import.meta.url));
const PYTHON_CODE = `
import statistics, sys, time
import numpy as np
from PIL import Image
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.tflite_model import LiteModel
path, picture, threads, frames = sys.argv[1:]
model = LiteModel(path, num_threads=int(threads))
image = np.asarray(Image.open(picture).convert("RGB"))
image = fit_picture(image, *model.input_shape[1:3])
times = []
for _ in range(int(frames) + 5):
    start = time.perf_counter()
    model(image)
    times.append(1000 * (time.perf_counter() - start))
print(statistics.median(times[5:]))
`;

/** Inside the page: medians of each step. */
async function measure({file, sample, threads, frames}) {
  const load = (part) => import(new URL(`src/${part}.js`, document.baseURI));
  const [{Runner}, {checkModel}] =
    await Promise.all(["runner", "requirements"].map(load));
  const bytes = new Uint8Array(
    await (await fetch(`models/${file}`)).arrayBuffer());
  const facts = checkModel(bytes);
  const runner = await Runner.open(bytes, facts, threads, () => {});
  let picture = await createImageBitmap(
    await (await fetch(`models/${sample}`)).blob());
  const all = [];
  for (let i = 0; i < frames + 5; i++) {
    const result = await runner.segment(picture);
    picture = result.picture;
    all.push(result.latency);
  }
  runner.close();
  const median = (step) => all.slice(5).map((times) => times[step])
    .sort((a, b) => a - b)[Math.floor(frames / 2)];
  return {
    prepare: median("prepare"), infer: median("infer"), draw: median("draw"),
  };
}

const server = await serve({models});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage();
// Once its own first picture is done, the page does nothing.
const origin = `http://127.0.0.1:${server.address().port}`;
const list = await (await fetch(`${origin}/models/list.json`)).json();
await page.goto(origin);
await page.getByText(/^Sample 1\./).waitFor();
const [sample] = list.samples;
console.log("| model | where | threads | prepare | inference | mask |");
console.log("| --- | --- | ---: | ---: | ---: | ---: |");
for (const {file, name, precision} of list.models) {
  for (const threads of [1, 2]) {
    const row = await page.evaluate(measure, {file, sample, threads, frames});
    const steps = Object.values(row).map((ms) => ms.toFixed(1));
    console.log(`| ${name}, ${precision} | browser | ${threads} | ${steps.join(" | ")} |`);
  }
  for (const threads of [1, 2]) {
    const args = ["-c", PYTHON_CODE, `${models}/${file}`, `${models}/${sample}`,
      `${threads}`, `${frames}`];
    const ms = Number(execFileSync(PYTHON, args, {stdio: ["ignore", "pipe", "ignore"]}));
    console.log(`| ${name}, ${precision} | Python | ${threads} | | ${ms.toFixed(1)} | |`);
  }
}
console.log(`\n${browser.version()} (Chromium), sample ${sample}, ${frames} frames.`);
await browser.close();
server.close();
