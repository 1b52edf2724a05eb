// Decodes picture files into bitmaps.

// A canvas of a phone's browser holds no more than 16.7 million pixels.
const MAX_PIXELS = 12.5e6; // 4032 x 3024, as phones have it, is less

/**
 * @param {Blob} blob a file of any kind that the browser knows
 * @param {string} name for the error
 * @return {Promise<ImageBitmap>} upright, its colours untouched; pictures of
 *     more than 12.5 million pixels are shrunk to that
 * @throws {Error} with a sentence
 */
export async function readPicture(blob, name) {
  const exact = {colorSpaceConversion: "none", premultiplyAlpha: "none"};
  const picture = await createImageBitmap(blob, exact).catch(() => {
    throw new Error(`${name} is no picture that this browser can read.`);
  });
  const scale = Math.sqrt(MAX_PIXELS / (picture.width * picture.height));
  if (scale >= 1) return picture;
  const smaller = await createImageBitmap(picture, {
    resizeWidth: Math.floor(picture.width * scale),
    resizeHeight: Math.floor(picture.height * scale),
    resizeQuality: "high",
  });
  picture.close();
  return smaller;
}
