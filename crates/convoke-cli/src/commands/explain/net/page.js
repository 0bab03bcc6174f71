"use strict";
(() => {
  const graph = document.getElementById("graph"), map = document.getElementById("map"), seen = document.getElementById("seen");
  const [left, top, width, height] = graph.getAttribute("viewBox").split(" ").map(Number);
  graph.parentElement.classList.add("live");
  graph.setAttribute("preserveAspectRatio", "xMidYMid meet");
  map.setAttribute("viewBox", [left, top, width, height].join(" "));
  // The part that is seen: its left and top in the drawing, and units of the drawing for a pixel.
  let x = 0, y = 0, unit = 1;
  const size = () => graph.getBoundingClientRect();
  const show = () => {
    const { width: w, height: h } = size();
    graph.setAttribute("viewBox", [x, y, w * unit, h * unit].join(" "));
    for (const [name, value] of Object.entries({ x, y, width: w * unit, height: h * unit })) seen.setAttribute(name, value);
  };
  const at = (cx, cy) => { const { width: w, height: h } = size(); x = cx - w * unit / 2; y = cy - h * unit / 2; show(); };
  const fit = () => Math.max(width / size().width, height / size().height);
  const all = () => { unit = fit(); at(left + width / 2, top + height / 2); };
  const one = () => {
    unit = 1;
    const first = document.querySelector("#drawing .op rect"), box = first ? first.getBBox() : { x: left, width };
    x = width <= size().width ? left + width / 2 - size().width / 2 : box.x + box.width / 2 - size().width / 2;
    y = top;
    show();
  };
  document.getElementById("all").onclick = all;
  document.getElementById("one").onclick = one;
  graph.addEventListener("wheel", event => {
    event.preventDefault();
    const box = size(), before = unit;
    unit = Math.min(Math.max(unit * Math.exp(event.deltaY * 0.0015), 0.2), 1.5 * Math.max(fit(), 1));
    x += (event.clientX - box.left) * (before - unit);
    y += (event.clientY - box.top) * (before - unit);
    show();
  }, { passive: false });
  let from = null, moved = false;
  graph.addEventListener("pointerdown", event => { if (event.button === 0) { from = [event.clientX, event.clientY, x, y]; moved = false; } });
  window.addEventListener("pointermove", event => {
    if (!from) return;
    const dx = event.clientX - from[0], dy = event.clientY - from[1];
    if (Math.hypot(dx, dy) > 4) { moved = true; graph.classList.add("moving"); }
    if (moved) { x = from[2] - dx * unit; y = from[3] - dy * unit; show(); }
  });
  window.addEventListener("pointerup", () => { from = null; graph.classList.remove("moving"); });
  graph.addEventListener("click", event => { if (moved) { event.preventDefault(); event.stopPropagation(); } }, true);
  graph.addEventListener("dragstart", event => event.preventDefault());
  const jump = event => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    at(point.x, point.y);
  };
  map.addEventListener("pointerdown", event => { map.setPointerCapture(event.pointerId); jump(event); });
  map.addEventListener("pointermove", event => { if (event.buttons) jump(event); });
  for (const link of document.querySelectorAll("[data-op]")) link.addEventListener("click", () => {
    const op = document.getElementById("op" + link.dataset.op), box = op.getBBox();
    document.querySelectorAll(".op.found").forEach(other => other.classList.remove("found"));
    op.classList.add("found");
    unit = 1;
    at(box.x + box.width / 2, box.y + box.height / 2);
  });
  // A heading sorts the rows by its column: numbers from the largest, words from the first.
  const table = document.querySelector("table.ops"), rows = [...table.rows].slice(1);
  [...table.rows[0].cells].forEach((heading, i) => heading.addEventListener("click", () => {
    const number = row => row.cells[i].dataset.n, back = heading.dataset.sorted === "yes" ? -1 : 1;
    [...table.rows[0].cells].forEach(other => delete other.dataset.sorted);
    if (back > 0) heading.dataset.sorted = "yes";
    const order = (a, b) => number(a) === undefined ? a.cells[i].textContent.localeCompare(b.cells[i].textContent, "en", { numeric: true }) : number(b) - number(a);
    rows.slice().sort((a, b) => back * order(a, b)).forEach(row => row.parentElement.append(row));
  }));
  window.addEventListener("resize", show);
  if (fit() <= 1.25) all(); else one();
})();
