// What is known of the layer that was chosen: its numbers, and its inputs on both sides.

const KINDS = {
  value: "Different output for identical input",
  dtype: "Receives another dtype",
  mask: "Receives another mask",
  structure: "Another structure",
  weights: "Other weights",
  propagated: "Propagates the difference",
};

function element(name, text, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function tableRow(cells) {
  const row = element("tr");
  cells.forEach((cell, at) => row.append(element(at ? "td" : "th", cell, at ? "number" : "")));
  return row;
}

/** Fill the panel with a layer. */
export function fill(panel, node) {
  const said = KINDS[node.kind] ?? "Within noise";
  const numbers = element("table");
  const head = element("tr");
  head.append(element("td"), element("th", "÷ noise", "number"));
  numbers.append(
    head,
    tableRow(["replayed", node.texts[0]]),
    tableRow(["full pass", node.texts[1]]),
    tableRow(["difference, rms", node.rms[0]]),
    tableRow(["noise, rms", node.rms[1]]),
  );
  const inputs = element("dl");
  for (const [name, before, after] of node.inputs) {
    const entry = element("div");
    entry.append(element("dt", name));
    if (before === after) entry.append(element("dd", `${before} on both sides`));
    else entry.append(element("dd", before || "nothing", "baseline"), element("dd", after || "nothing", "candidate"));
    inputs.append(entry);
  }
  panel.replaceChildren(
    element("p", node.name, "name"),
    element("p", `${node.class} · ${node.result}`, "soft"),
    element("p", `${said}${node.first ? ", first in the model" : ""}`, node.kind && node.kind !== "propagated" ? "candidate strong" : "strong"),
    numbers,
    ...(node.inputs.length ? [element("p", "Received, baseline and candidate", "soft"), inputs] : []),
  );
}
