import * as Plot from "@observablehq/plot";
import { CANDIDATE, COMMON, NOISE, short } from "../colors.js";

/** Sizes of the differences and of the noise: shares by logarithmic bin. */
export function histogram({ first, per_decade: per, drift, noise }, width) {
  const edge = (at) => 10 ** ((first + at) / per);
  const bins = (shares) => shares.map((share, at) => ({ low: edge(at), high: edge(at + 1), share }));
  const outline = (shares) => bins(shares).flatMap(({ low, high, share }) => [{ x: low, y: share }, { x: high, y: share }]);
  const mark = (shares, color, fill) => [
    Plot.rect(bins(shares), { x1: "low", x2: "high", y1: 0, y2: "share", fill: color, fillOpacity: fill }),
    Plot.line(outline(shares), { x: "x", y: "y", stroke: color, strokeWidth: 1.6 }),
  ];
  const top = (shares) => shares.indexOf(Math.max(...shares));
  const label = (shares, text, color, dx) =>
    Plot.text([{ x: edge(top(shares) + 0.5), y: shares[top(shares)] }], { x: "x", y: "y", text: () => text, fill: color, dy: -9, dx });
  const apart = noise.length ? Math.sign(top(drift) - top(noise)) * 18 : 0;
  return Plot.plot({
    ...COMMON,
    width,
    height: 220,
    marginTop: 26,
    x: { type: "log", tickFormat: short, label: null, ticks: 6, tickSize: 4 },
    y: { label: null, tickFormat: (share) => `${+(100 * share).toFixed(1)} %`, ticks: 4, grid: true },
    marks: [
      ...(noise.length ? [...mark(noise, NOISE, 0.35), label(noise, "noise", "var(--soft)", -apart)] : []),
      ...mark(drift, CANDIDATE, 0.2),
      label(drift, "candidate − baseline", CANDIDATE, apart),
      Plot.ruleY([0]),
    ],
  });
}
