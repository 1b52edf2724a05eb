// A picture and its mask or boxes, one canvas over the other, so that opacity
// is a matter of style; and what is under the pointer.

import {boxAt, boxLabel, paintBoxes} from "./boxes.js";

const SHARP = 1280; // pixels that boxes are drawn in, of small pictures too

/** Draws results. */
export class Stage {
  #nameAt = () => ""; // of a pixel of the picture on show

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
   * @return {Promise<Blob>} a PNG file of what is shown, with all of the mask
   */
  toFile(opacity) {
    const {picture, mask} = this.elements;
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    const surface = canvas.getContext("2d");
    surface.drawImage(picture, 0, 0);
    surface.globalAlpha = opacity;
    surface.drawImage(mask, 0, 0, picture.width, picture.height);
    return canvas.convertToBlob();
  }

  /** @param {ImageBitmap} picture comes before what is shown over it */
  showPicture(picture) {
    const {frame, picture: canvas} = this.elements;
    const {width, height} = picture;
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, {width, height});
      frame.style.setProperty("--ratio", width / height);
    }
    frame.classList.add("filled");
    this.picture.drawImage(picture, 0, 0);
  }

  /**
   * @param {Uint8Array} mask class ids, of the picture's size
   * @param {{name: string, color: number[]}[]} classes
   */
  showMask(mask, classes) {
    const {width, height} = this.elements.picture;
    this.#resize(1, false);
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = this.overlay.createImageData(width, height);
    }
    paint(mask, classes, this.image);
    this.overlay.putImageData(this.image, 0, 0);
    this.#nameAt = (x, y) => classes[mask[y * width + x]]?.name;
  }

  /**
   * @param {import("./boxes.js").Found[]} found
   * @param {{name: string, color: number[]}[]} classes
   */
  showBoxes(found, classes) {
    const {width, height} = this.elements.picture;
    const scale = Math.max(1, Math.ceil(SHARP / Math.max(width, height)));
    this.#resize(scale, true);
    paintBoxes(this.overlay, found, classes, scale);
    this.#nameAt = (x, y) => {
      const pointed = boxAt(found, x, y);
      return pointed && boxLabel(pointed, classes);
    };
  }

  #resize(scale, smooth) {
    const {frame, picture, mask} = this.elements;
    const [width, height] = [scale * picture.width, scale * picture.height];
    if (mask.width !== width || mask.height !== height) {
      Object.assign(mask, {width, height});
    }
    frame.classList.toggle("smooth", smooth);
  }

  #point({clientX, clientY}) {
    const {picture} = this.elements;
    const box = picture.getBoundingClientRect();
    const x = Math.floor(((clientX - box.left) / box.width) * picture.width);
    const y = Math.floor(((clientY - box.top) / box.height) * picture.height);
    this.#tell(this.#nameAt(x, y) ?? "");
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
