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

// Pictures: the original in place of the decoded one, while hovered or after a tap.
for (const button of all(".swap")) {
  const image = button.querySelector("img");
  const decoded = image.src;
  const original = button.closest(".strip").querySelector('[data-codec="original"] img').src;
  const show = (isOriginal) => {
    image.src = isOriginal ? original : decoded;
    button.classList.toggle("original", isOriginal);
  };
  button.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") show(true); });
  button.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(false); });
  button.addEventListener("click", (event) => {
    if (event.pointerType !== "mouse") show(!button.classList.contains("original"));
  });
}
