// The list of classes: colour, name, and share of the picture or number.

/** Fills a list element. */
export class Legend {
  #rows = [];

  /** @param {HTMLUListElement} list */
  constructor(list) {
    this.list = list;
  }

  /** @param {{name: string, color: number[]}[]} classes */
  setClasses(classes) {
    this.#rows = classes.map(({name, color}) => {
      const row = document.createElement("li");
      const [swatch, label, share] = ["swatch", "name", "share"].map((part) => {
        const element = document.createElement("span");
        element.className = part;
        row.append(element);
        return element;
      });
      row.style.setProperty("--color", `rgb(${color.join(" ")})`);
      swatch.setAttribute("aria-hidden", "true");
      label.textContent = name;
      return {row, share};
    });
    this.list.replaceChildren(...this.#rows.map(({row}) => row));
  }

  /** @param {number[]} shares 0 to 1, one per class */
  setShares(shares) {
    this.#set(shares, shares.map(percent));
  }

  /** @param {number[]} counts of objects, one per class */
  setCounts(counts) {
    const all = counts.reduce((sum, count) => sum + count, 0);
    this.#set(counts.map((count) => count / (all || 1)), counts);
  }

  #set(shares, texts) {
    this.#rows.forEach(({row, share}, id) => {
      share.textContent = texts[id];
      row.style.setProperty("--share", shares[id]);
      row.classList.toggle("absent", shares[id] === 0);
    });
  }
}

/**
 * @param {{name: string}[]} classes
 * @param {number[]} shares
 * @return {string} the largest classes in words
 */
export function summary(classes, shares) {
  const parts = largest(classes, shares).map(
    ([name, share]) => `${name} ${percent(share)}`);
  return `Largest classes: ${parts.join(", ")}.`;
}

/**
 * @param {{name: string}[]} classes
 * @param {number[]} counts of objects, one per class
 * @return {string} the most frequent classes in words
 */
export function countSummary(classes, counts) {
  const parts = largest(classes, counts).map(([name, count]) => `${count} ${name}`);
  return parts.length ? `Found: ${parts.join(", ")}.` : "Nothing found at this score.";
}

function largest(classes, amounts) {
  return classes
    .map(({name}, id) => [name, amounts[id]])
    .filter(([, amount]) => amount > 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 5);
}

function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1\u00a0%";
  const digits = share === 0 || share >= 0.1 ? 0 : 1;
  return `${(100 * share).toFixed(digits)}\u00a0%`;
}
