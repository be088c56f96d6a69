// Runs the model, so that the page stays alive meanwhile.

import * as ort from "./ort.wasm.min.mjs";

const STALLED = "The model did not load";

async function unpacked(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  const stream = answer.body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load() {
  postMessage({ status: "Loading the model ..." });
  const [runtime, model] = await Promise.all(["runtime.wasm.gzip", "model.onnx.gzip"].map(unpacked));
  ort.env.wasm.wasmBinary = runtime;
  ort.env.wasm.numThreads = 1; // more need headers that plain web servers do not send
  const session = await ort.InferenceSession.create(model);
  postMessage({ status: "" });
  return session;
}

/** RGB pixels [1, height, width, 3], upright, in sRGB. */
async function decode(file) {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    colorSpaceConversion: "default",
    premultiplyAlpha: "none",
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const rgb = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return new ort.Tensor("uint8", rgb, [1, height, width, 3]);
}

/**
 * What the model says of one photo.
 * score: first as it is, then with the local view cut from one region alone, for each corner.
 * detail, holds: of the photo at 100 %, NaN where nothing in it has structure; none with corners, nor of some models.
 * strengths: of each of the card's faults; none with corners, nor of some models.
 * low, high: between which the mean of thirty people is nine times in ten; like them.
 * novelty: above 0 it is no photograph; like them.
 */
async function judge(photos, corners) {
  const session = await loading;
  const tensor = new ort.Tensor("int32", Int32Array.from(corners.flat()), [corners.length, 2]);
  const said = await session.run({ photos, corners: tensor });
  const one = (name) => said[name]?.data[0];
  const strengths = said.strengths && [...said.strengths.data];
  const sure = { low: one("low"), high: one("high"), novelty: one("novelty") };
  return { scores: [...said.score.data], detail: one("detail"), holds: one("holds"), strengths, ...sure };
}

async function explain(number, photos, offsets) {
  const scores = [];
  for (const top of offsets) {
    postMessage({ number, waiting: scores.length / offsets.length ** 2 });
    const said = await judge(photos, offsets.map((left) => [top, left]));
    scores.push(...said.scores.slice(1));
  }
  return scores;
}

const loading = load();
loading.catch((error) => postMessage({ status: `${STALLED}: ${error.message}` }));

let before = Promise.resolve();
onmessage = ({ data: { number, file, offsets } }) => {
  // One after the other: a session computes one photo at a time.
  before = before.then(async () => {
    try {
      const photos = await decode(file);
      if (offsets) postMessage({ number, map: await explain(number, photos, offsets) });
      else {
        const { scores, ...others } = await judge(photos, []);
        const [, height, width] = photos.dims;
        postMessage({ number, score: scores[0], ...others, pixels: height * width });
      }
    } catch (error) {
      postMessage({ number, error: error.message });
    }
  });
};
