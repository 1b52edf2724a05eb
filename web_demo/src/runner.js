// The page's side of a worker that holds one model. Each model has a worker of
// its own: whatever goes wrong inside is gone with it, memory too, and the
// model before stays until the new one runs.

/** A model that runs in a worker. */
export class Runner {
  #worker = new Worker(new URL("worker.js", import.meta.url));
  #waiting = new Map(); // id of a request -> {resolve, reject, onProgress}
  #lastId = 0;

  constructor() {
    this.#worker.onmessage = ({data}) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(`The model's worker stopped: ${event.message ?? "unknown"}`);
    };
  }

  /**
   * Starts a worker and opens a model in it.
   *
   * @param {Uint8Array} bytes of the file; they move to the worker
   * @param {import("./requirements.js").ModelFacts} facts
   * @param {number} threads how many at most
   * @param {(share: number?) => void} onProgress of the runtime's download
   * @return {Promise<Runner>}
   * @throws {Error} with a sentence
   */
  static async open(bytes, facts, threads, onProgress) {
    const runner = new Runner();
    try {
      const message = {request: "open", bytes, facts, threads};
      const transfer = [bytes.buffer];
      const answer = await runner.#ask(message, transfer, onProgress);
      runner.threads = answer.threads;
    } catch (error) {
      runner.close();
      throw error;
    }
    runner.facts = facts;
    return runner;
  }

  /**
   * @param {ImageBitmap} picture goes to the worker and comes back
   * @return {Promise<{picture: ImageBitmap, mask: Uint8Array?,
   *     shares: number[]?, found: import("./boxes.js").Found[]?,
   *     latency: {prepare: number, infer: number, draw: number}}>} times in
   *     ms; a mask and its shares, or what was found
   */
  segment(picture) {
    return this.#ask({request: "segment", picture}, [picture]);
  }

  /** Ends the worker; what was asked for is never answered. */
  close() {
    this.#worker.terminate();
    this.#fail("The model was closed.");
  }

  #ask(message, transfer = [], onProgress = () => {}) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {resolve, reject, onProgress});
      this.#worker.postMessage({id, ...message}, transfer);
    });
  }

  #receive({id, answer, error, progress}) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    if (progress !== undefined) return waiting.onProgress(progress);
    this.#waiting.delete(id);
    if (error === undefined) waiting.resolve(answer);
    else waiting.reject(new Error(error));
  }

  #fail(message) {
    for (const {reject} of this.#waiting.values()) reject(new Error(message));
    this.#waiting.clear();
  }
}
