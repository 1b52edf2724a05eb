// The server, the written site and the reader of files, without a browser.

import assert from "node:assert/strict";
import {copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile} from "node:fs/promises";
import {request} from "node:http";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, before, test} from "node:test";

import {serve} from "../serve.mjs";
import {describe} from "../src/models.js";
import {checkModel} from "../src/requirements.js";
import {isIntact, ModelError} from "../src/tflite_facts.js";
import {writeSite} from "../write_site.mjs";
import {fixture} from "./browser.mjs";

const MODEL = "int8-64x96.tflite";
const models = fixture("models");
let server;

before(async () => { server = await serve({models}); });
after(() => server.close());

/** A request as it is written, without what `fetch` puts right. */
function get(url, {method = "GET", port = server.address().port} = {}) {
  return new Promise((resolve, reject) => {
    const options = {host: "127.0.0.1", port, path: url, method, agent: false};
    request(options, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({
        status: response.statusCode,
        headers: response.headers,
        body: Buffer.concat(chunks),
      }));
    }).on("error", reject).end();
  });
}

test("types that browsers insist on", async () => {
  const types = {
    "/": "text/html; charset=utf-8",
    "/src/page.js": "text/javascript; charset=utf-8",
    "/style.css?x=1": "text/css; charset=utf-8",
    "/vendor/litert/litert_wasm_internal.wasm": "application/wasm",
    "/models/list.json": "application/json",
    [`/models/${MODEL}`]: "application/octet-stream",
  };
  for (const [url, type] of Object.entries(types)) {
    const {status, headers, body} = await get(url, {method: "HEAD"});
    assert.deepEqual([status, headers["content-type"]], [200, type], url);
    assert.ok(Number(headers["content-length"]) > 0);
    assert.equal(body.length, 0);
  }
});

test("headers for threads, and without", async () => {
  const names = ["cross-origin-opener-policy", "cross-origin-embedder-policy"];
  const {headers} = await get("/src/worker.js");
  assert.deepEqual(names.map((name) => headers[name]), ["same-origin", "require-corp"]);
  const bare = await serve({models, headers: false});
  after(() => bare.close());
  const without = await get("/src/worker.js", {port: bare.address().port});
  assert.deepEqual(names.map((name) => without.headers[name]), [undefined, undefined]);
});

test("nothing but the site is served", async () => {
  for (const url of [
    "/../package.json", "/src/../package.json", "/%2e%2e/package.json",
    "/src/%2e%2e%2fserve.mjs", "/models/../../Makefile", "/..%5cpackage.json",
    "/package.json", "/node_modules/@litertjs/core/package.json", "//", "/%",
    "/models/", "/models/none.tflite", "/etc/passwd", "//etc/passwd",
  ]) {
    assert.equal((await get(url)).status, 404, url);
  }
  assert.equal((await get("/", {method: "POST"})).status, 404);
});

test("the list names what is shipped, the smallest model first", async () => {
  const list = JSON.parse((await get("/models/list.json")).body);
  const sizes = list.models.map(({bytes}) => bytes);
  assert.equal(list.models.length, 4);
  assert.deepEqual(sizes, sizes.toSorted((a, b) => a - b));
  assert.deepEqual(list.samples, ["street-1.png", "street-2.png"]);
  assert.equal(list.models[0].name, "DLA-46-C-Up");
  assert.equal(list.models[0].precision, "int8");
});

test("a written site is what is served, and overwrites nothing", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "site-"));
  after(() => rm(folder, {recursive: true}));
  await writeSite(folder, models);
  const files = (await readdir(folder, {recursive: true, withFileTypes: true}))
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  assert.ok(files.length > 25);
  for (const name of files) {
    const served = await get(`/${name}`);
    const written = await readFile(path.join(folder, name));
    assert.ok(served.body.equals(written), name);
  }
  await assert.rejects(writeSite(folder, models), /is not empty/);
});

test("facts come from the file", async () => {
  const facts = checkModel(await readFile(path.join(models, MODEL)));
  assert.deepEqual([facts.height, facts.width, ...facts.outputs], [64, 96, 0]);
  assert.deepEqual(facts.classes[0], {name: "road", color: [128, 64, 128]});
  assert.equal(facts.classes.length, 19);
});

test("bad facts are refused, each for its own reason", async () => {
  const file = await readFile(fixture("faults/facts.tflite"));
  const {good, bad, room} = JSON.parse(await readFile(fixture("faults/facts.json")));
  const at = file.indexOf(good);
  const check = (text) => {
    const bytes = Uint8Array.from(file).fill(32, at, at + room);
    bytes.set(Buffer.from(text), at);
    return checkModel(bytes);
  };
  assert.equal(check(good).classes.length, 3);
  assert.ok(Object.keys(bad).length >= 25);
  for (const [name, [text, word]] of Object.entries(bad)) {
    assert.throws(() => check(text), (error) => {
      assert.ok(error instanceof ModelError, `${name}: ${error}`);
      assert.match(error.message, new RegExp(word), name);
      return /\.$/.test(error.message);
    }, name);
  }
});

test("a flipped bit is told by the digest in the facts", async () => {
  const bytes = Uint8Array.from(await readFile(path.join(models, MODEL)));
  const facts = checkModel(bytes);
  assert.equal(await isIntact(bytes, facts), true);
  for (const place of [bytes.length / 4, bytes.length / 2]) { // weights
    bytes[Math.floor(place)] ^= 1;
    await assert.rejects(isIntact(bytes, checkModel(bytes)), /damaged or changed/);
    bytes[Math.floor(place)] ^= 1;
  }
  assert.equal(await isIntact(bytes, {digest: null}), true);
  // As on a page over plain http from another machine.
  const before = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  Object.defineProperty(globalThis, "crypto", {value: {}, configurable: true});
  assert.equal(await isIntact(bytes, facts), false);
  Object.defineProperty(globalThis, "crypto", before);
  assert.match(describe({facts, threads: 1}), /not checked for damage/);
});

test("a score is the file's own, or says that it is older", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "scored-"));
  const bytes = await readFile(path.join(models, MODEL));
  await writeFile(path.join(folder, MODEL), bytes);
  await writeFile(path.join(folder, `${MODEL}.json`), '{"miou": 0.25}');
  const server = await serve({models: folder});
  after(() => server.close());
  const {port} = server.address();
  const list = JSON.parse((await get("/models/list.json", {port})).body);
  assert.deepEqual(list.models.map(({file, miou}) => [file, miou]), [[MODEL, 0.25]]);
  const facts = {...checkModel(bytes), miou: 0.5};
  assert.match(describe({facts, threads: 1}, list.models[0]), /mIoU 0\.250 ·/);
  assert.match(describe({facts, threads: 1}), /mIoU 0\.500 before export/);
  assert.doesNotMatch(describe({facts: {...facts, miou: null}, threads: 1}), /mIoU/);
});

test("a folder of any names is listed; none at all is told", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "odd-names-"));
  after(() => rm(folder, {recursive: true}));
  const odd = ["a#1.tflite", "50%.tflite", "what?.tflite"];
  for (const name of odd) await copyFile(path.join(models, MODEL), path.join(folder, name));
  await mkdir(path.join(folder, "folder.tflite"));
  const other = await serve({models: folder});
  after(() => other.close());
  const {port} = other.address();
  const list = JSON.parse((await get("/models/list.json", {port})).body);
  assert.deepEqual(list.models.map(({file}) => file).toSorted(), odd.toSorted());
  for (const name of odd) {
    const found = await get(`/models/${encodeURIComponent(name)}`, {port});
    assert.equal(found.status, 200, name);
  }
  await assert.rejects(serve({models: "/nope"}), /no folder of models at \/nope/);
});

test("the page itself says what it may load, for hosts without headers", async () => {
  const {body, headers} = await get("/");
  const [, policy] = body.toString().match(/Security-Policy"\s+content="([^"]+)"/);
  for (const part of ["default-src 'self'", "base-uri 'none'", "form-action 'none'"]) {
    assert.ok(policy.includes(part), policy);
  }
  assert.ok(headers["content-security-policy"].startsWith(policy));
  assert.match(headers["content-security-policy"], /frame-ancestors 'none'/);
});

test("a file cut anywhere is refused, never a crash", async () => {
  const whole = await readFile(path.join(models, MODEL));
  // Behind the FlatBuffer lies a zip with labels.txt, which nobody here reads.
  const end = whole.lastIndexOf(Buffer.from("PK\x03\x04"));
  for (let share = 0; share < 1; share += 0.01) {
    const cut = whole.subarray(0, Math.floor(share * (end - 8)));
    assert.throws(() => checkModel(cut), ModelError, `${cut.length} bytes`);
  }
});

test("a file with any byte wrong is read or refused, never a crash", async () => {
  const whole = await readFile(path.join(models, MODEL));
  for (let at = 0; at < 4000; at += 7) {
    const damaged = Uint8Array.from(whole);
    damaged[at] ^= 255;
    try {
      checkModel(damaged);
    } catch (error) {
      assert.ok(error instanceof ModelError, `byte ${at}: ${error}`);
    }
  }
});
