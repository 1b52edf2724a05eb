// Picture and mask, one canvas over the other, so that opacity is a matter of
// style; and the class under the pointer.

/** Draws results. */
export class Stage {
  #mask; // of the picture on show
  #classes = [];

  /**
   * @param {{frame: HTMLElement, picture: HTMLCanvasElement,
   *     mask: HTMLCanvasElement, pointed: HTMLElement}} elements
   */
  constructor(elements) {
    this.elements = elements;
    this.picture = elements.picture.getContext("2d");
    this.overlay = elements.mask.getContext("2d");
    elements.frame.onpointermove = (event) => this.#point(event);
    elements.frame.onpointerdown = (event) => this.#point(event);
    elements.frame.onpointerleave = () => this.#tell("");
  }

  /** @param {number} share 0 to 1 */
  setOpacity(share) {
    this.elements.mask.style.opacity = share;
  }

  /** @param {number} share of the width, from the left, without a mask */
  setBefore(share) {
    this.elements.mask.style.clipPath = `inset(0 0 0 ${100 * share}%)`;
  }

  /**
   * @param {number} opacity of the mask, 0 to 1
   * @return {Promise<Blob>} a PNG file of what is shown, all of it masked
   */
  toFile(opacity) {
    const {picture, mask} = this.elements;
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    const surface = canvas.getContext("2d");
    surface.drawImage(picture, 0, 0);
    surface.globalAlpha = opacity;
    surface.drawImage(mask, 0, 0);
    return canvas.convertToBlob();
  }

  /**
   * @param {ImageBitmap} picture
   * @param {Uint8Array} mask class ids, of the picture's size
   * @param {{name: string, color: number[]}[]} classes
   */
  show(picture, mask, classes) {
    const {frame, picture: canvas, mask: overlay} = this.elements;
    const {width, height} = picture;
    if (canvas.width !== width || canvas.height !== height) {
      for (const each of [canvas, overlay]) Object.assign(each, {width, height});
      frame.style.setProperty("--ratio", width / height);
      this.image = this.overlay.createImageData(width, height);
    }
    frame.classList.add("filled");
    this.picture.drawImage(picture, 0, 0);
    paint(mask, classes, this.image);
    this.overlay.putImageData(this.image, 0, 0);
    this.#mask = mask;
    this.#classes = classes;
  }

  #point({clientX, clientY}) {
    const {picture} = this.elements;
    const box = picture.getBoundingClientRect();
    const x = Math.floor(((clientX - box.left) / box.width) * picture.width);
    const y = Math.floor(((clientY - box.top) / box.height) * picture.height);
    const id = this.#mask?.[y * picture.width + x];
    this.#tell(this.#classes[id]?.name ?? "");
  }

  #tell(text) {
    this.elements.pointed.textContent = text;
  }
}

/** Fills an image with the classes' colours. */
function paint(mask, classes, image) {
  const colors = new Uint32Array(256); // those beyond the classes: transparent
  const bytes = new Uint8Array(colors.buffer);
  classes.forEach(({color}, id) => bytes.set([...color, 255], 4 * id));
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < mask.length; i++) pixels[i] = colors[mask[i]];
}
