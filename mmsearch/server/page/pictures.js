/** Pictures of items, and pictures that people drop. */

import { accessKey, credentials } from "./api.js";

const KEPT = 400; // pictures of a server with keys that are held in memory
const LARGEST = 1024; // a side of a dropped picture that is sent: more than any encoder looks at
const fetched = new Map();
const dropped = new Map();

/** The address of an item's thumbnail, at most `size` pixels a side. */
export const thumbnail = (url, size) => `${url}?size=${size}`;

/**
 * Lets `image` show the picture at `url`. Settles when it is decoded; rejects where it cannot be.
 *
 * An <img> sends no key, so with one the bytes are fetched here.
 */
export async function show(image, url) {
  image.src = accessKey() ? await withKey(url) : url;
  await image.decode();
}

async function withKey(url) {
  if (!fetched.has(url)) {
    const response = await fetch(url, { headers: credentials() });
    if (!response.ok) throw new Error(`no picture: ${response.status}`);
    fetched.set(url, URL.createObjectURL(await response.blob()));
    if (fetched.size > KEPT) {
      const [oldest, address] = fetched.entries().next().value;
      fetched.delete(oldest);
      URL.revokeObjectURL(address);
    }
  }
  return fetched.get(url);
}

/** Keeps a dropped picture, made smaller where the browser can, and gives it a number. */
export async function keep(file) {
  const small = await shrunk(file);
  const number = dropped.size + 1;
  dropped.set(number, { file: small, url: URL.createObjectURL(small), name: file.name || "pasted picture" });
  return number;
}

/** `{file, url, name}` of a dropped picture; undefined after the page was loaded anew. */
export const droppedPicture = (number) => dropped.get(number);

async function shrunk(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file; // the server reads formats that browsers do not, and says what is wrong otherwise
  }
  const scale = LARGEST / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind what is transparent, as the server has it
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return blob ?? file;
}
