"use strict";
const all = (selector) => [...document.querySelectorAll(selector)];

// Compared: one table for each reference.
const reference = document.getElementById("reference");
const showTable = () => {
  for (const table of all("[data-reference]")) table.hidden = table.dataset.reference !== reference.value;
};
if (reference) {
  reference.addEventListener("change", showTable);
  showTable();
}
for (const dash of all("button.why")) {
  dash.addEventListener("click", () => {
    const known = dash.parentElement.querySelector(".reason");
    if (known) { known.remove(); return; }
    const reason = document.createElement("span");
    reason.className = "reason quiet";
    reason.textContent = dash.dataset.why;
    dash.parentElement.append(reason);
  });
}

// Curves: boxes hide them, marks tell their figures.
const showCurve = (box) => {
  for (const curve of all("[data-curve]")) {
    if (curve.dataset.curve === box.dataset.toggles) curve.toggleAttribute("hidden", !box.checked);
  }
};
for (const box of all("[data-toggles]")) {
  box.addEventListener("change", () => showCurve(box));
  showCurve(box);
}
for (const point of all(".point")) {
  const read = () => {
    const figure = point.closest("figure");
    for (const other of figure.querySelectorAll(".point.read")) other.classList.remove("read");
    point.classList.add("read");
    figure.querySelector(".readout").textContent = point.querySelector("title").textContent;
  };
  point.addEventListener("pointerenter", read);
  point.addEventListener("click", read);
}

// Pictures: zoom, differences, and the original in place of the decoded one.
const GAIN = 4;
const pixelsOf = (image) => {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return [canvas, context, context.getImageData(0, 0, canvas.width, canvas.height)];
};
const loaded = async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
};
const differenceOf = async (decoded, original) => {
  const [canvas, context, ours] = pixelsOf(await loaded(decoded));
  const theirs = pixelsOf(await loaded(original))[2].data;
  for (let k = 0; k < ours.data.length; k += 1) {
    if (k % 4 !== 3) ours.data[k] = 128 + GAIN * (ours.data[k] - theirs[k]);
  }
  context.putImageData(ours, 0, 0);
  return canvas.toDataURL();
};

for (const exhibit of all(".exhibit")) {
  const tools = exhibit.querySelector(".tools");
  if (!tools) continue;
  tools.hidden = false;
  const strip = exhibit.querySelector(".strip");
  const original = strip.querySelector('[data-codec="original"] img').src;
  const tiles = [...strip.querySelectorAll(".swap")].map((button) => {
    const image = button.querySelector("img");
    return { button, image, decoded: image.src, shown: image.src, difference: null };
  });
  const isZoomed = () => strip.classList.contains("zoomed");

  const choose = (button) => {
    const kind = "zoom" in button.dataset ? "[data-zoom]" : "[data-view]";
    for (const other of tools.querySelectorAll(kind)) other.classList.toggle("on", other === button);
  };
  for (const button of tools.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      choose(button);
      strip.style.setProperty("--zoom", button.dataset.zoom);
      strip.classList.toggle("zoomed", button.dataset.zoom !== "1");
    });
  }
  for (const button of tools.querySelectorAll("[data-view]")) {
    button.addEventListener("click", async () => {
      choose(button);
      for (const tile of tiles) {
        if (button.dataset.view === "difference") {
          tile.difference ??= await differenceOf(tile.decoded, original);
        }
        tile.shown = button.dataset.view === "difference" ? tile.difference : tile.decoded;
        tile.image.src = tile.shown;
        tile.button.classList.remove("original");
      }
    });
  }

  // All tiles move together; the place under the pointer is the one that stays.
  const move = (event) => {
    if (!isZoomed() || (event.pointerType !== "mouse" && event.buttons === 0)) return;
    const frame = event.currentTarget.getBoundingClientRect();
    const share = (place, start, length) => Math.min(100, Math.max(0, (100 * (place - start)) / length));
    strip.style.setProperty("--x", `${share(event.clientX, frame.left, frame.width)}%`);
    strip.style.setProperty("--y", `${share(event.clientY, frame.top, frame.height)}%`);
  };
  for (const view of strip.querySelectorAll(".window")) {
    view.addEventListener("pointermove", move);
  }

  for (const tile of tiles) {
    const show = (isOriginal) => {
      tile.image.src = isOriginal ? original : tile.shown;
      tile.button.classList.toggle("original", isOriginal);
    };
    const hover = (isOriginal) => (event) => {
      if (event.pointerType === "mouse" && !isZoomed()) show(isOriginal);
    };
    tile.button.addEventListener("pointerenter", hover(true));
    tile.button.addEventListener("pointerleave", hover(false));
    tile.button.addEventListener("click", (event) => {
      const isMouse = event.pointerType === "mouse";
      if (isMouse ? isZoomed() : true) show(!tile.button.classList.contains("original"));
    });
  }
}
