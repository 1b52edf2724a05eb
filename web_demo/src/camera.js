// The camera: opened into a video element, and what to tell where it cannot be.

import {cropTo} from "./fit_picture.js";

const REASONS = {
  NotAllowedError: "The camera was refused. Allow it in the browser's settings"
    + " for this page, then start it again.",
  NotFoundError: "No camera was found. Connect one, or open a picture.",
  NotReadableError: "The camera is in use by another program. Close that, then"
    + " start it again.",
};

/**
 * Starts the camera, on a phone the one that looks away from the reader.
 *
 * @param {HTMLVideoElement} video shows it
 * @return {Promise<void>} once there is a frame
 * @throws {Error} with a sentence
 */
export async function startCamera(video) {
  if (!navigator.mediaDevices) {
    throw new Error(
      "The camera needs a secure page: https, or http://localhost.");
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: {facingMode: "environment", width: {ideal: 640}},
    });
    await video.play();
  } catch (error) {
    stopCamera(video);
    throw new Error(REASONS[error.name]
      ?? `The camera could not be started: ${error.message || error.name}.`);
  }
}

/**
 * @param {HTMLVideoElement} video that a camera runs in
 * @param {{height: number, width: number}} facts of the network
 * @return {Promise<ImageBitmap>} the part of its frame that the network takes
 */
export function grabFrame(video, facts) {
  const {videoWidth, videoHeight} = video;
  const {left, top, width, height} = cropTo(videoWidth, videoHeight, facts);
  return createImageBitmap(video, left, top, width, height);
}

/** Stops it and puts its light out. */
export function stopCamera(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}
