/** Pictures that are dropped, pasted or picked. */

import { byId } from "./dom.js";

const MOST = 8; // pictures of one query, as the server has it

/** `onPictures` takes the picture files, `onOther` is told of files that are none. */
export function takePictures(onPictures, onOther) {
  const [curtain, file, pick] = ["drop", "file", "pick"].map(byId);
  const take = (files) => {
    const pictures = [...files].filter(isPicture).slice(0, MOST);
    if (pictures.length) onPictures(pictures);
    else if (files.length) onOther(files[0].name);
  };
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // of nested elements that are dragged over: each enter has its leave

  window.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    curtain.hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    curtain.hidden = depth === 0;
  });
  window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    depth = 0;
    curtain.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
  pick.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    take(file.files);
    file.value = ""; // so that the same file can be picked again
  });
}

// Browsers know no type for HEIC on many systems.
function isPicture(file) {
  return file.type.startsWith("image/") || /\.(heic|heif|avif|jxl|tiff?)$/i.test(file.name);
}
