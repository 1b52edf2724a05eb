// How long the steps of a picture take, and how many come in a second.

const WINDOW = 15; // frames whose median is shown
const REFRESH = 250; // ms; digits that change faster cannot be read

/** Fills the elements with medians over the last frames. */
export class Meter {
  #frames = []; // {prepare, infer, draw, at} in ms
  #shownAt = 0;

  /** @param {Record<string, HTMLElement>} elements prepare, infer, draw, rate */
  constructor(elements) {
    this.elements = elements;
  }

  /** Forgets what was: another model or source begins. */
  reset() {
    this.#frames = [];
    this.#shownAt = 0;
    for (const step of Object.keys(this.elements)) this.#tell(step, "");
  }

  /** @param {{prepare: number, infer: number, draw: number}} latency in ms */
  add(latency) {
    const at = performance.now();
    this.#frames = [...this.#frames, {...latency, at}].slice(-WINDOW);
    if (at - this.#shownAt < REFRESH) return;
    this.#shownAt = at;
    for (const step of ["prepare", "infer", "draw"]) {
      const typical = median(this.#frames.map((frame) => frame[step]));
      this.#tell(step, `${typical.toFixed(1)} ms`);
    }
    const {length} = this.#frames;
    const rate = (1000 * (length - 1)) / (at - this.#frames[0].at);
    this.#tell("rate", length > 1 ? rate.toFixed(1) : "");
  }

  /** A box is there once it has a figure. */
  #tell(step, text) {
    this.elements[step].textContent = text;
    this.elements[step].parentElement.hidden = !text;
  }
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
