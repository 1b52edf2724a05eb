// Serves the page on 127.0.0.1.
//
// node serve.mjs [--port 8000] [--without-headers] [--models FOLDER]
//
// Threads in WebAssembly need two headers; `--without-headers` leaves them
// out, as many static hosts do, and the page runs on one thread.

import {readFile} from "node:fs/promises";
import {createServer} from "node:http";
import path from "node:path";
import {fileURLToPath} from "node:url";
import {parseArgs} from "node:util";

import {POLICY, siteFiles, TYPES} from "./site.mjs";

const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};
const HEADERS = {
  // A worker follows its own file's headers; no page can say for itself that
  // it is not to be framed.
  "Content-Security-Policy": `${POLICY}; frame-ancestors 'none'`,
  "Cache-Control": "no-cache",
  "X-Content-Type-Options": "nosniff",
};

/**
 * @param {{models: string, headers?: boolean, port?: number}} options
 *     `headers`: whether threads are possible, by default true; `port`: 0, the
 *     default, is any free one
 * @return {Promise<import("node:http").Server>} once it listens
 */
export async function serve({models, headers = true, port = 0}) {
  await siteFiles(models); // what is missing is told before a browser asks
  const isolation = headers ? ISOLATION : {};
  const server = createServer(async (request, response) => {
    const {status, type, body} = await answer(request, models);
    response.writeHead(status, {
      ...HEADERS,
      ...isolation,
      "Content-Type": type,
      "Content-Length": body.length,
    });
    response.end(request.method === "HEAD" ? undefined : body);
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}

async function answer({method, url}, models) {
  const name = decode(url.split("?")[0].slice(1)) || "index.html";
  try {
    const found = ["GET", "HEAD"].includes(method)
      && (await siteFiles(models)).get(name);
    if (found) {
      const content = await (found.content ?? (() => readFile(found.file)))();
      const type = TYPES[path.extname(name)];
      return {status: 200, type, body: Buffer.from(content)};
    }
  } catch (error) {
    console.error(`error: ${error.message}`);
  }
  const body = Buffer.from("There is nothing here.\n");
  return {status: 404, type: "text/plain; charset=utf-8", body};
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // and is not found
  }
}

async function main() {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const {values} = parseArgs({
    options: {
      port: {type: "string", default: "8000"},
      "without-headers": {type: "boolean", default: false},
      models: {type: "string", default: path.join(here, "models")},
    },
  });
  const headers = !values["without-headers"];
  const port = Number(values.port);
  await serve({models: values.models, headers, port});
  const threads = headers ? "with threads" : "single-threaded";
  console.log(`http://127.0.0.1:${port} (${threads}; Ctrl+C ends it)`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`error: ${error.message}`);
    process.exitCode = 2;
  });
}
