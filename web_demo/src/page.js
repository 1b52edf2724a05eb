// Ties the page together: a model, something to look at, and the result.

import {above, classCounts} from "./boxes.js";
import {grabFrame, startCamera, stopCamera} from "./camera.js";
import {download} from "./download.js";
import {countSummary, Legend, summary} from "./legend.js";
import {Meter} from "./meter.js";
import {
  describe, fileSource, label, openModel, shippedList, shippedSource, shippedUrl,
} from "./models.js";
import {Notices} from "./notices.js";
import {readPicture} from "./picture_file.js";
import {Stage} from "./stage.js";

const MAX_THREADS = 4; // more gain little in networks of this size
const LEAST_SCORE = 0.3; // of boxes, where the file says none
const element = (id) => document.getElementById(id);
const video = element("video");
const notices = new Notices({
  status: element("status"),
  alert: element("alert"),
  alertText: element("alert-text"),
  alertClose: element("alert-close"),
  loading: element("loading"),
  loadingLabel: element("progress-label"),
  progress: element("progress"),
});
const stage = new Stage({
  frame: element("frame"),
  picture: element("picture"),
  mask: element("mask"),
  pointed: element("pointed"),
});
const legend = new Legend(element("legend"));
const meter = new Meter({
  prepare: element("prepare"),
  infer: element("infer"),
  draw: element("draw"),
  rate: element("rate"),
});

let runner = null; // the model that runs
let source = null; // where it came from
let still = null; // the picture on show: {blob, name}
let shown = null; // what the model says of it
let live = false; // whether the camera runs
const shipped = new Map(); // name of a file -> its source
// Who began last wins: what it overtook ends without a trace.
let modelTurn = 0;
let pictureTurn = 0;

async function useModel(next) {
  const turn = ++modelTurn;
  const threads = Number(element("threads").value);
  const current = () => turn === modelTurn;
  notices.loading(`Loading ${next.name}`);
  try {
    const opened = await openModel(next, threads, (what, share) => {
      if (current()) notices.loading(what, share);
    });
    if (!current()) return opened.close();
    runner?.close();
    runner = opened;
    source = next;
    shown = null;
    element("facts").textContent = describe(runner, source);
    const boxes = runner.facts.task === "detection";
    if (boxes === element("scores").hidden) setOpacity(boxes ? 100 : 60);
    element("scores").hidden = !boxes;
    setLeastScore(Math.round(100 * (runner.facts.threshold ?? LEAST_SCORE)));
    legend.setClasses(runner.facts.classes);
    meter.reset();
    notices.clear();
    notices.status(`${next.name} is ready.`);
    if (still && !live) await showStill(still);
  } catch (error) {
    if (current()) notices.fail(error.message);
  } finally {
    if (current()) {
      notices.loading("");
      element("model").value = source?.name ?? "";
    }
  }
}

/** Shows a picture file and what the model says of it, and keeps it for the next model. */
async function showStill(next) {
  const turn = ++pictureTurn;
  setLive(false);
  try {
    const picture = await readPicture(next.blob, next.name);
    still = next;
    if (!runner) throw new Error("No model is loaded yet: choose one first.");
    const result = await runner.segment(picture);
    if (turn !== pictureTurn) return result.picture.close();
    notices.clear();
    draw(result, next.name);
    element("picture").setAttribute("aria-label", next.name);
  } catch (error) {
    if (turn === pictureTurn) notices.fail(error.message);
  }
}

function draw(result, name) {
  const start = performance.now();
  stage.showPicture(result.picture);
  result.picture.close();
  shown = {...result, name};
  explain();
  element("empty").hidden = true;
  element("save").disabled = false;
  const {latency} = result;
  const painting = performance.now() - start;
  meter.add({...latency, draw: latency.draw + painting});
}

/** Draws what the model says of the picture on show, and tells it in words. */
function explain() {
  const {classes} = runner.facts;
  let sentence;
  if (shown.found) {
    const found = above(shown.found, element("threshold").value / 100);
    const counts = classCounts(found, classes.length);
    stage.showBoxes(found, classes);
    legend.setCounts(counts);
    sentence = countSummary(classes, counts);
  } else {
    stage.showMask(shown.mask, classes);
    legend.setShares(shown.shares);
    sentence = summary(classes, shown.shares);
  }
  if (shown.name) notices.status(`${shown.name}. ${sentence}`);
}

function setOpacity(percent) {
  element("opacity").value = percent;
  element("opacity-text").textContent = `${percent} %`;
  stage.setOpacity(percent / 100);
}

function setLeastScore(percent) {
  element("threshold").value = percent;
  element("threshold-text").textContent = `${percent} %`;
  if (shown) explain();
}

async function toggleCamera() {
  if (live) return setLive(false);
  const turn = ++pictureTurn;
  try {
    if (!runner) throw new Error("No model is loaded yet: choose one first.");
    await startCamera(video);
  } catch (error) {
    return notices.fail(error.message);
  }
  if (turn !== pictureTurn) return stopCamera(video);
  setLive(true);
  notices.clear();
  notices.status("The camera is running.");
  element("picture").setAttribute("aria-label", "Live camera");
  while (live) {
    await showFrame();
    await new Promise(requestAnimationFrame);
  }
}

async function showFrame() {
  const mine = runner;
  try {
    const result = await mine.segment(await grabFrame(video, mine.facts));
    if (live && mine === runner) draw(result);
    else result.picture.close();
  } catch (error) {
    if (mine !== runner) return; // another model took over in between
    setLive(false);
    notices.fail(`The camera stopped. ${error.message}`);
  }
}

function setLive(on) {
  if (live !== on) meter.reset();
  if (live && !on) {
    stopCamera(video);
    notices.status("The camera is off.");
  }
  live = on;
  element("camera").setAttribute("aria-pressed", on);
  element("camera").textContent = on ? "Stop camera" : "Start camera";
}

async function save() {
  const file = await stage.toFile(element("opacity").value / 100);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = runner?.facts.task === "detection" ? "boxes.png" : "mask.png";
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A file that was chosen or dropped: a model by its ending, or a picture. */
function openFile(file) {
  if (!file) return;
  if (file.name.endsWith(".tflite")) useModel(fileSource(file));
  else showStill({blob: file, name: file.name});
}

function offerThreads() {
  const most = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const counts = Math.min(most, MAX_THREADS);
  for (let count = 1; count <= counts; count++) {
    element("threads").add(new Option(count, count, false, count === counts));
  }
  element("threads").disabled = counts === 1;
  element("threads-note").hidden = self.crossOriginIsolated;
}

async function offerShipped() {
  const {models, samples} = await shippedList().catch((error) => {
    notices.fail(error.message);
    return {models: [], samples: []};
  });
  const select = element("model");
  for (const model of models) {
    select.add(new Option(label(model), model.file));
    shipped.set(model.file, shippedSource(model));
  }
  select.disabled = !models.length;
  for (const [index, name] of samples.entries()) offerSample(index, name);
  const [first] = models;
  if (!first) notices.status("No models are shipped here: open a .tflite file.");
  if (first) await useModel(shippedSource(first));
  // Something to see at once, unless the reader was faster.
  if (runner && !still && !live) element("samples").firstChild?.click();
}

function offerSample(index, name) {
  const url = shippedUrl(name);
  const button = document.createElement("button");
  const image = document.createElement("img");
  Object.assign(image, {src: url, alt: `Sample ${index + 1}`});
  button.type = "button";
  button.append(image);
  button.onclick = async () => {
    try {
      const bytes = await download(url, () => {});
      await showStill({blob: new Blob([bytes]), name: image.alt});
    } catch (error) {
      notices.fail(error.message);
    }
  };
  element("samples").append(button);
}

function listen() {
  element("model").onchange = ({target}) => useModel(shipped.get(target.value));
  element("threads").onchange = () => source && useModel(source);
  element("camera").onclick = toggleCamera;
  element("opacity").oninput = ({target}) => setOpacity(target.value);
  element("before").oninput = ({target}) => {
    stage.setBefore(target.value / 100);
    element("before-text").textContent = `${target.value} %`;
  };
  element("threshold").oninput = ({target}) => setLeastScore(target.value);
  element("save").onclick = save;
  for (const id of ["model-file", "picture-file"]) {
    element(id).onchange = ({target}) => {
      openFile(target.files[0]);
      target.value = ""; // the same file may be chosen again
    };
  }
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => {
    event.preventDefault();
    openFile(event.dataTransfer.files[0]);
  };
}

listen();
offerThreads();
setOpacity(element("opacity").value);
offerShipped();
