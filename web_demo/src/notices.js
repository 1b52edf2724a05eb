// What the page tells: its state, its progress, and what went wrong.

/** The places for it; all are live regions for screen readers. */
export class Notices {
  /**
   * @param {{status: HTMLElement, alert: HTMLElement, alertText: HTMLElement,
   *     alertClose: HTMLButtonElement, loading: HTMLElement,
   *     loadingLabel: HTMLElement, progress: HTMLProgressElement}} elements
   */
  constructor(elements) {
    this.elements = elements;
    elements.alertClose.onclick = () => this.clear();
  }

  /** @param {string} sentence */
  status(sentence) {
    this.elements.status.textContent = sentence;
  }

  /** @param {string} sentence stays until closed, or until something works */
  fail(sentence) {
    this.elements.alertText.textContent = sentence;
    this.elements.alert.hidden = false;
  }

  clear() {
    this.elements.alert.hidden = true;
    this.elements.alertText.textContent = "";
  }

  /**
   * @param {string} what is loading, or "" for nothing any more
   * @param {number?} share of it, 0 to 1; null if unknown
   */
  loading(what, share = null) {
    const {loading, loadingLabel, progress} = this.elements;
    loading.hidden = !what;
    loadingLabel.textContent = what;
    if (share === null) progress.removeAttribute("value");
    else progress.value = share;
  }
}
