import * as Plot from "@observablehq/plot";
import { CANDIDATE, COMMON, TEXT } from "../colors.js";

/** Counts of pairs of classes: baseline in rows, candidate in columns. */
export function confusion({ order, counts }, width) {
  const most = Math.max(...counts.map(([, , count]) => count));
  const longest = Math.max(4, ...order.map((name) => `${name}`.length));
  const side = Math.min(width, 60 + 7 * longest + 40 * order.length);
  return Plot.plot({
    ...COMMON,
    width: side,
    height: Math.max(160, side - 7 * longest),
    marginTop: 14 + 4 * longest,
    marginBottom: 8,
    marginLeft: 16 + 7 * longest,
    marginRight: 12,
    x: { domain: order, axis: "top", label: null, tickSize: 0, tickRotate: longest > 3 ? -45 : 0 },
    y: { domain: order, label: null, tickSize: 0 },
    marks: [
      Plot.cell(order.flatMap((y) => order.map((x) => ({ x, y }))), { x: "x", y: "y", fill: "var(--panel)", inset: 1 }),
      Plot.cell(counts, { x: (d) => d[1], y: (d) => d[0], fill: CANDIDATE, fillOpacity: (d) => 0.12 + (0.48 * d[2]) / most, inset: 1 }),
      Plot.text(counts, { x: (d) => d[1], y: (d) => d[0], text: (d) => `${d[2]}`, fill: TEXT, fontSize: 10 }),
    ],
    opacity: { type: "identity" },
  });
}
