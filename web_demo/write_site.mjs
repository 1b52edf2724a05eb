// Writes everything a static host needs into a folder.
//
// node write_site.mjs FOLDER

import {copyFile, mkdir, readdir, writeFile} from "node:fs/promises";
import path from "node:path";
import {fileURLToPath} from "node:url";

import {siteFiles} from "./site.mjs";

/**
 * @param {string} folder that is empty or not there
 * @param {string} models folder of `.tflite` files and sample pictures
 * @throws {Error} with a sentence, where the folder holds something
 */
export async function writeSite(folder, models) {
  const there = await readdir(folder).catch(() => []);
  if (there.length) {
    throw new Error(`${folder} is not empty. Remove it, or pass another one.`);
  }
  for (const [name, {file, content}] of await siteFiles(models)) {
    const target = path.join(folder, name);
    await mkdir(path.dirname(target), {recursive: true});
    if (file) await copyFile(file, target);
    else await writeFile(target, await content());
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder] = process.argv.slice(2);
  const models = fileURLToPath(new URL("models", import.meta.url));
  const written = folder
    ? writeSite(folder, models)
    : Promise.reject(new Error("Pass the folder: node write_site.mjs FOLDER"));
  await written.catch((error) => {
    console.error(`error: ${error.message}`);
    process.exitCode = 2;
  });
}
