import * as Plot from "@observablehq/plot";
import { BAND, CANDIDATE, COMMON, SOFT, TEXT, short } from "../colors.js";

/** The difference of a metric with its interval, beside no change and what the gate accepts. */
export function interval({ low, high, delta, margin }, width) {
  const ends = [low, high, delta, margin, 0];
  const spread = Math.max(...ends) - Math.min(...ends) || 1;
  const domain = [Math.min(...ends) - 0.15 * spread, Math.max(...ends) + 0.15 * spread];
  const beyond = margin < 0 ? [domain[0], margin] : [margin, domain[1]];
  return Plot.plot({
    ...COMMON,
    width,
    height: 96,
    marginTop: 26,
    marginBottom: 26,
    marginLeft: 24,
    x: { domain, label: null, tickFormat: (value) => (value > 0 ? "+" : "") + short(value), ticks: 5 },
    y: { domain: [0, 1], axis: null },
    marks: [
      Plot.rect([beyond], { x1: "0", x2: "1", y1: 0, y2: 1, fill: BAND }),
      Plot.text(["worse than accepted"], { x: () => (beyond[0] + beyond[1]) / 2, y: () => 0.12, fill: SOFT, fontSize: 9 }),
      Plot.ruleX([0], { stroke: SOFT }),
      Plot.text(["no change"], { x: () => 0, frameAnchor: "top", dy: -14, fill: SOFT }),
      Plot.link([0], { x1: () => low, x2: () => high, y1: () => 0.55, y2: () => 0.55, stroke: TEXT, strokeWidth: 2 }),
      Plot.dot([0], { x: () => delta, y: () => 0.55, fill: CANDIDATE, r: 5 }),
      Plot.text(delta ? [delta] : [], { x: () => delta, y: () => 0.55, text: () => (delta > 0 ? "+" : "") + Number(delta.toPrecision(3)), dy: -15, fill: TEXT, fontWeight: 600 }),
    ],
  });
}
