// The worker's first lines. It is a classic worker, not a module: LiteRT loads
// its WebAssembly with `importScripts`, which modules lack. The engine, a
// module, is imported from here; messages that arrive before it wait.

const engine = import("./engine.js");

self.onmessage = async ({data}) => {
  try {
    (await engine).receive(data);
  } catch (error) {
    self.postMessage({id: data.id, error: `The page is incomplete: ${error.message}`});
  }
};
