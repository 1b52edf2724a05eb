// What the site consists of: one table from a URL's path to a file or to
// content. `serve.mjs` answers from it and `write_site.mjs` writes it out, so
// that nothing else can be reached.

import {readFileSync} from "node:fs";
import {access, readdir, readFile, stat} from "node:fs/promises";
import path from "node:path";
import {fileURLToPath} from "node:url";

import {checkModel} from "./src/requirements.js";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const LITERT = "node_modules/@litertjs/core";
const LITERT_BUILDS = ["internal", "compat_internal", "threaded_internal"];

/** Ending -> media type; WebAssembly and modules are refused without it. */
export const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".tflite": "application/octet-stream",
  ".wasm": "application/wasm",
};

/** What the page may load, as its own first lines say to any host. */
const [, POLICY] = readFileSync(path.join(HERE, "index.html"), "utf8").match(
  /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/);
export {POLICY};

/**
 * @param {string} models folder of `.tflite` files and sample pictures
 * @return {Promise<Map<string, {file?: string,
 *     content?: () => Promise<string>}>>} path in the site, without a leading
 *     slash -> where it comes from
 * @throws {Error} with a sentence, where a part or the folder is missing
 */
export async function siteFiles(models) {
  const site = new Map();
  for (const name of ["index.html", "style.css", "icon.svg"]) {
    site.set(name, {file: path.join(HERE, name)});
  }
  for (const name of await readdir(path.join(HERE, "src"))) {
    site.set(`src/${name}`, {file: path.join(HERE, "src", name)});
  }
  await addLiteRt(site);
  await addModels(site, models);
  return site;
}

async function addLiteRt(site) {
  const folder = path.join(HERE, LITERT);
  const vendor = "vendor/litert";
  await access(folder).catch(() => {
    throw new Error(`${LITERT} is missing: run npm ci in web_demo.`);
  });
  site.set(`${vendor}/index.js`, {content: litertModule});
  site.set(`${vendor}/wasm_utils.js`, {
    file: path.join(HERE, "node_modules/@litertjs/wasm-utils/dist/index.js"),
  });
  for (const build of LITERT_BUILDS) {
    for (const ending of ["js", "wasm"]) {
      const name = `litert_wasm_${build}.${ending}`;
      site.set(`${vendor}/${name}`, {file: `${folder}/wasm/${name}`});
    }
  }
}

/** LiteRT's entry, as a worker can load it. */
async function litertModule() {
  const module = await readFile(path.join(HERE, LITERT, "dist/index.js"), "utf8");
  // Workers know no import maps, so the one import by name becomes a path.
  const byName = '"@litertjs/wasm-utils"';
  if (module.split(byName).length !== 2) {
    throw new Error(`${LITERT}/dist/index.js should import ${byName} once.`);
  }
  return module.replace(byName, '"./wasm_utils.js"');
}

async function addModels(site, folder) {
  const names = (await readdir(folder).catch(() => {
    throw new Error(
      `There is no folder of models at ${folder}: run make_models.py, or pass`
      + " --models FOLDER; an empty folder will do.");
  })).sort();
  const files = [];
  for (const name of names) {
    const found = await stat(path.join(folder, name)).catch(() => null);
    if (found?.isFile()) files.push(name);
  }
  const pick = (ending) => files.filter((name) => name.endsWith(ending));
  const models = pick(".tflite");
  const samples = pick(".png");
  for (const name of [...models, ...samples]) {
    site.set(`models/${name}`, {file: path.join(folder, name)});
  }
  const content = async () => {
    const labels = models.map((name) => label(folder, name));
    // The page opens the first one: the smallest.
    const sorted = (await Promise.all(labels)).sort((a, b) => a.bytes - b.bytes);
    return JSON.stringify({models: sorted, samples}, null, 2);
  };
  site.set("models/list.json", {content});
}

/** The score of the file itself, as make_models.py leaves it beside. */
async function score(folder, file) {
  const text = await readFile(path.join(folder, `${file}.json`), "utf8").catch(() => "{}");
  const {miou} = JSON.parse(text);
  return typeof miou === "number" ? {miou} : {};
}

/** What the page shows of a model before it is loaded. */
async function label(folder, file) {
  const data = await readFile(path.join(folder, file));
  const label = {file, bytes: data.length};
  try {
    const {name, precision} = checkModel(data);
    return {...label, name, precision, ...await score(folder, file)};
  } catch {
    return label; // the page says why when it is chosen
  }
}
