import * as Plot from "@observablehq/plot";
import { CANDIDATE, COMMON, LINE } from "../colors.js";

/** Values of both sides; what lies on the line did not change. */
export function scatter({ points }, width) {
  const values = points.flat();
  const domain = [Math.min(...values), Math.max(...values)];
  return Plot.plot({
    ...COMMON,
    width,
    height: 300,
    grid: true,
    x: { domain, label: "baseline" },
    y: { domain, label: "candidate" },
    marks: [
      Plot.line([[domain[0], domain[0]], [domain[1], domain[1]]], { stroke: LINE }),
      Plot.dot(points, { x: "0", y: "1", stroke: CANDIDATE, r: 2.5 }),
    ],
  });
}
