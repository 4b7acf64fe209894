import * as Plot from "@observablehq/plot";
import { BASELINE, CANDIDATE, COMMON, LINE } from "../colors.js";

/** One row of an output: a column a line, both sides as dots. */
export function row({ names, sides }, width) {
  const [before, after] = sides;
  const rows = names.map((name, at) => ({ name: `${name}`, before: before[at], after: after[at] }));
  const known = rows.filter((each) => each.before !== null && each.after !== null);
  const side = (field) => rows.filter((each) => each[field] !== null);
  return Plot.plot({
    ...COMMON,
    width,
    height: 46 + 20 * rows.length,
    marginTop: 28,
    marginBottom: 18,
    marginLeft: 16 + 7 * Math.max(4, ...rows.map((each) => each.name.length)),
    x: { axis: "top", label: null, ticks: 5, grid: true },
    y: { domain: rows.map((each) => each.name), label: null, tickSize: 0 },
    marks: [
      Plot.ruleY(known, { y: "name", x1: "before", x2: "after", stroke: LINE, strokeWidth: 3 }),
      Plot.dot(side("before"), { x: "before", y: "name", fill: BASELINE, r: 4 }),
      Plot.dot(side("after"), { x: "after", y: "name", fill: "var(--back)", stroke: CANDIDATE, strokeWidth: 2, r: 4 }),
      Plot.text(["● baseline"], { frameAnchor: "bottom-left", dy: 16, fill: BASELINE, lineAnchor: "top" }),
      Plot.text(["○ candidate"], { frameAnchor: "bottom-left", dx: 80, dy: 16, fill: CANDIDATE, lineAnchor: "top" }),
    ],
  });
}
