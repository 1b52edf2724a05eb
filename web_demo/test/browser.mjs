// What the tests share: a server, Debian's Chromium, and the page in it.

import {access, mkdir, readFile} from "node:fs/promises";
import {createRequire} from "node:module";
import path from "node:path";
import {after} from "node:test";
import {fileURLToPath} from "node:url";

import {chromium} from "playwright-core";

import {serve} from "../serve.mjs";

// Models, pictures and masks, as `make_fixtures.py` writes them.
const FIXTURES = fileURLToPath(new URL("../../build/fixtures", import.meta.url));
const SCREENSHOTS = fileURLToPath(new URL("../screenshots", import.meta.url));
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update",
  "--disable-sync",
];
export const FAKE_CAMERA = [
  "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
];

/** @return {string} the path of a fixture, for instance `models` */
export function fixture(name) {
  return path.join(FIXTURES, name);
}

/**
 * Opens the page; browser and server end with the tests.
 *
 * @param {{models?: string, headers?: boolean, flags?: string[],
 *     context?: object, ready?: boolean}} options `models`: folder that is
 *     shipped; `ready`: whether to wait for the first model
 * @return {Promise<import("playwright-core").Page>}
 */
export async function openPage(options = {}) {
  const {models = fixture("models"), headers, flags = [], context} = options;
  const server = await serve({models, headers});
  const browser = await chromium.launch({
    executablePath: await chromiumPath(),
    args: [...QUIET, ...flags],
  });
  after(async () => {
    await browser.close();
    server.closeAllConnections();
    server.close();
  });
  const page = await browser.newPage(context);
  page.strangers = []; // requests to anywhere else
  page.faults = []; // errors that nobody caught
  const origin = `http://127.0.0.1:${server.address().port}`;
  page.on("request", (request) => {
    if (!/^(blob|data):/.test(request.url())
      && !request.url().startsWith(`${origin}/`)) {
      page.strangers.push(request.url());
    }
  });
  page.on("pageerror", (error) => page.faults.push(error.message));
  await page.goto(origin);
  if (options.ready ?? true) await page.getByText(/^Sample 1\./).waitFor();
  return page;
}

async function chromiumPath() {
  const file = process.env.CHROMIUM ?? "/usr/bin/chromium";
  await access(file).catch(() => {
    throw new Error(
      `${file} is missing: apt-get install chromium, or set CHROMIUM.`);
  });
  return file;
}

/** Opens a faulty model file by its button, as a reader does. */
export async function chooseModel(page, name) {
  await page.locator("#model-file").setInputFiles(fixture(`faults/${name}`));
}

/** @return {Promise<string>} the sentence of the next refusal */
export async function refusal(page) {
  const alert = page.getByRole("alert");
  await alert.waitFor();
  return alert.locator("p").textContent();
}

/** Writes what the page looks like, for a person. */
export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, {recursive: true});
  const file = path.join(SCREENSHOTS, `${name}.png`);
  await page.screenshot({path: file, fullPage: true});
}

/** What axe-core, which knows the rules, finds wrong. */
export async function violations(page) {
  await page.evaluate(await readFile(AXE, "utf8"));
  const found = await page.evaluate(() => axe.run());
  return found.violations.map(({id, nodes}) =>
    `${id}: ${nodes.map(({html}) => html).join(" ")}`);
}
