// The model as rows: lanes and boxes at the left, the drift of each layer on the same row at the right.
import { axisOf, edgesOf, rowsOf } from "./layout.js";
import { fill } from "./panel.js";

const SVG = "http://www.w3.org/2000/svg";
const [ROW, TOP, LANE] = [24, 34, 9];
const STEPS = [4, 20, 200];

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);

/** The class of a fill: how far the full pass drifts. */
function level(value, band) {
  if (value === null) return "unknown";
  if (value <= 0) return "d0";
  if (value < band) return "d1";
  return `d${2 + STEPS.filter((step) => value >= step).length}`;
}

const largest = (values) => values.reduce((most, value) => (value !== null && (most === null || value > most) ? value : most), null);

/** The graph with its rows as buttons, and a panel for the chosen layer. */
export function graph(data, width) {
  const root = document.createElement("div");
  root.className = "graph";
  const tools = document.createElement("div");
  tools.className = "tools soft";
  const blocks = new Set(data.nodes.map((node) => node.block).filter(Boolean)).size;
  tools.append("◆ replayed on the baseline's inputs   ○ in the full forward pass   thick border: a difference starts here ");
  const drawing = document.createElement("div");
  drawing.className = "drawing";
  const panel = document.createElement("div");
  panel.className = "panel";
  panel.setAttribute("aria-live", "polite");
  const beside = width >= 860;
  root.append(tools, drawing, panel, legend(data.band));
  root.classList.toggle("beside", beside);
  const room = Math.min(beside ? width - 270 : width, 900);
  let open = false;
  const draw = () => drawing.replaceChildren(...picture(data, room, open, panel));
  if (blocks > 1 && rowsOf(data.nodes, false).length < rowsOf(data.nodes, true).length) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Unfold ${blocks} blocks`;
    button.addEventListener("click", () => {
      open = !open;
      button.textContent = open ? "Fold repeated blocks" : `Unfold ${blocks} blocks`;
      draw();
    });
    tools.append(button);
  }
  draw();
  fill(panel, data.nodes.find((node) => node.first) ?? data.nodes[0]);
  return root;
}

function legend(band) {
  const list = document.createElement("ul");
  list.className = "legend fills";
  const names = ["0", `< ${band} × noise`, `${band}–4`, "4–20", "20–200", "≥ 200 ×"];
  names.forEach((name, at) => {
    const item = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = `swatch d${at}`;
    item.append(swatch, ` ${name}`);
    list.append(item);
  });
  return list;
}

function picture({ nodes, band }, width, open, panel) {
  const rows = rowsOf(nodes, open);
  const edges = edgesOf(nodes, rows);
  const lanes = Math.min(edges.width * LANE, width * 0.2) + 10;
  const narrow = width < 560;
  const box = { x: lanes, width: narrow ? 128 : 176 };
  const left = box.x + box.width + (narrow ? 8 : 150);
  const axis = axisOf(nodes, left, width);
  const height = TOP + rows.length * ROW + 8;
  const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "presentation", "aria-hidden": "true" });
  const y = (at) => TOP + at * ROW + ROW / 2;
  drawAxis(svg, axis, band, { left, height });
  drawEdges(svg, edges, { lanes, box, y });
  const curve = [];
  rows.forEach((row, at) => {
    const shown = row.nodes.map((node) => nodes[node]).filter(Boolean);
    const full = largest(shown.map((node) => node.full));
    const replayed = largest(shown.map((node) => node.replayed));
    drawBox(svg, row, shown, { full, band, box, y: y(at), narrow, left });
    if (row.input) return;
    if (full !== null) curve.push([axis.place(full), y(at)]);
    drawMarks(svg, row, shown, { axis, full, replayed, y: y(at), width, narrow });
  });
  if (curve.length > 1) svg.querySelector(".curve").setAttribute("points", curve.map((point) => point.join(",")).join(" "));
  return [svg, buttons(nodes, rows, panel)];
}

function drawAxis(svg, axis, band, { left, height }) {
  svg.append(shape("rect", { class: "band", x: left, y: TOP - 4, width: axis.place(band) - left, height: height - TOP }));
  for (const tick of axis.ticks) {
    const x = axis.place(tick);
    svg.append(shape("line", { class: "tick", x1: x, x2: x, y1: TOP - 4, y2: height - 4 }));
    svg.append(shape("text", { class: "soft", x, y: TOP - 10, "text-anchor": "middle" }, `${tick >= 1e4 ? tick.toExponential().replace("e+", "e") : +tick.toPrecision(1)}`));
  }
  svg.append(shape("text", { class: "soft", x: left, y: 10 }, "drift ÷ noise; grey: rounding"));
  svg.append(shape("polyline", { class: "curve", points: "" }));
}

function drawEdges(svg, { steps, lanes: runs }, { lanes, box, y }) {
  for (const source of steps) {
    svg.append(shape("path", { class: "edge", d: `M${box.x + 14},${y(source) + 9}V${y(source + 1) - 11}` }));
    svg.append(arrow(box.x + 14, y(source + 1) - 9, "down"));
  }
  const most = Math.max(1, ...runs.map((run) => run.lane + 1));
  for (const { source, targets, lane } of runs) {
    const x = lanes - 6 - ((lane + 1) * (lanes - 8)) / (most + 0.5);
    const down = y(targets.at(-1)) + 2;
    svg.append(shape("path", { class: "edge", d: `M${box.x},${y(source) + 4}H${x + 3}Q${x},${y(source) + 4} ${x},${y(source) + 7}V${down}` }));
    for (const target of targets) {
      svg.append(shape("path", { class: "edge", d: `M${x},${y(target) + 2}H${box.x - 3}` }));
      svg.append(arrow(box.x - 1, y(target) + 2, "right"));
    }
  }
}

function arrow(x, y, way) {
  const points = way === "down" ? `${x - 3},${y - 4} ${x + 3},${y - 4} ${x},${y}` : `${x - 4},${y - 3} ${x - 4},${y + 3} ${x},${y}`;
  return shape("polygon", { class: "arrow", points });
}

function drawBox(svg, row, shown, { full, band, box, y, narrow, left }) {
  if (row.input) {
    svg.append(shape("rect", { class: "node input", x: box.x, y: y - 9, width: 58, height: 18, rx: 9 }));
    svg.append(shape("text", { class: "name", x: box.x + 10, y: y + 4 }, "input"));
    return;
  }
  const own = shown.some((node) => node.kind && node.kind !== "propagated");
  const fillClass = level(full, band);
  if (row.blocks) svg.append(shape("rect", { class: `node ${fillClass}`, x: box.x + 3, y: y - 6, width: box.width, height: 18, rx: 3 }));
  svg.append(shape("rect", { class: `node ${fillClass}${own ? " own" : ""}`, x: box.x, y: y - 9, width: box.width, height: 18, rx: 3 }));
  const [first, last] = [row.blocks?.[0], row.blocks?.at(-1)];
  const name = row.blocks ? `${first === last ? first : `${first} … ${last}`} · ${shown.length}` : shown[0].name;
  svg.append(shape("text", { class: `name on-${fillClass}`, x: box.x + 8, y: y + 4 }, cut(name, Math.floor((box.width - 12) / 6.7))));
  if (!narrow && !row.blocks) svg.append(shape("text", { class: "soft", x: box.x + box.width + 9, y: y + 4 }, cut(shown[0].class, Math.floor((left - box.x - box.width - 14) / 6.3))));
}

function drawMarks(svg, row, shown, { axis, full, replayed, y, width, narrow }) {
  if (row.blocks) {
    const known = shown.map((node) => node.full).filter((value) => value !== null).map(axis.place);
    svg.append(shape("line", { class: "range", x1: Math.min(...known), x2: Math.max(...known), y1: y, y2: y }));
  }
  const [ring, diamond] = [axis.place(full), axis.place(replayed)];
  if (ring !== null) svg.append(shape("circle", { class: "ring", cx: ring, cy: y, r: row.first ? 7 : 5 }));
  if (diamond !== null) {
    const own = shown.some((node) => node.kind && node.kind !== "propagated");
    const points = `${diamond},${y - 4} ${diamond + 4},${y} ${diamond},${y + 4} ${diamond - 4},${y}`;
    svg.append(shape("polygon", { class: own ? "diamond own" : "diamond", points }));
  }
  if (row.first && ring !== null) {
    const right = ring + 60 > width;
    if (!narrow) svg.append(shape("text", { class: "first", x: ring - 12, y: y + 4, "text-anchor": "end" }, "first divergent layer"));
    svg.append(shape("text", { class: "first", x: right ? ring : ring + 11, y: right ? y - 10 : y + 4, "text-anchor": right ? "middle" : "start" }, shown[0].texts[1]));
  }
}

/** A button for each layer over its row: the arrow keys go from one to the next. */
function buttons(nodes, rows, panel) {
  const list = document.createElement("div");
  list.className = "rows";
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", "Layers: the arrow keys go from one to the next");
  const made = [];
  rows.forEach((row, at) => {
    if (row.input) return;
    const node = nodes[row.nodes[0]];
    const button = document.createElement("button");
    button.type = "button";
    button.style.top = `${TOP + at * ROW}px`;
    button.tabIndex = -1;
    const what = row.blocks ? `${row.nodes.length} layers of folded blocks, first ` : "";
    button.setAttribute("aria-label", `${what}${node.name}, ${node.class}: replayed ${node.texts[0]}, full pass ${node.texts[1]}`);
    button.addEventListener("focus", () => choose(made.indexOf(button)));
    button.addEventListener("click", () => button.focus());
    list.append(button);
    made.push(button);
    button.node = node;
  });
  function choose(at) {
    for (const each of made) each.tabIndex = -1;
    made[at].tabIndex = 0;
    for (const each of made) each.classList.toggle("chosen", each === made[at]);
    fill(panel, made[at].node);
  }
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = made.indexOf(document.activeElement);
    if (!by || at < 0) return;
    event.preventDefault();
    made[Math.max(0, Math.min(made.length - 1, at + by))].focus();
  });
  const first = Math.max(0, made.findIndex((button) => button.node.first));
  if (made.length) {
    made[first].tabIndex = 0;
    made[first].classList.add("chosen");
  }
  return list;
}
