// Fetches a file and tells how far it is.

/**
 * @param {string | URL} url
 * @param {(share: number?) => void} onProgress 0 to 1, or null where the
 *     server does not say how long the file is
 * @return {Promise<Uint8Array>}
 * @throws {Error} with a sentence, if it cannot be had whole
 */
export async function download(url, onProgress) {
  const name = new URL(url, self.location.href).pathname.split("/").pop();
  const response = await fetch(url).catch(() => {
    throw new Error(`${name} could not be fetched: the server is out of reach.`);
  });
  if (!response.ok) {
    throw new Error(`${name} could not be fetched: ${response.status}`
      + ` ${response.statusText}.`);
  }
  // What is compressed on its way is longer here than its header says.
  const compressed = response.headers.has("content-encoding");
  const total = !compressed && Number(response.headers.get("content-length"));
  const chunks = [];
  let received = 0;
  try {
    for (const reader = response.body.getReader(); ;) {
      const {done, value} = await reader.read();
      if (done) break;
      chunks.push(value);
      received += value.length;
      onProgress(total ? received / total : null);
    }
  } catch {
    throw new Error(`${name} could not be fetched: the connection broke off.`);
  }
  return joined(chunks, received);
}

function joined(chunks, length) {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
