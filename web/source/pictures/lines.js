import * as Plot from "@observablehq/plot";
import { BAND, COMMON, short } from "../colors.js";

const DASHES = { noise: "4 3", look: "1 3" };

/** Series by step, each named at its end. On a logarithmic axis zeros are left out: the table has them. */
export function lines({ series, x, log, share, band, limit }, width) {
  const shown = series.map((each) => ({ ...each, points: each.points.filter(([, y]) => !log || y > 0) })).filter((each) => each.points.length);
  const named = Math.max(...shown.map((each) => each.name.length), 4);
  const format = share ? (value) => `${Math.round(100 * value)} %` : short;
  const values = shown.flatMap((each) => each.points.map(([, y]) => y));
  const low = Math.min(...values, limit ?? Infinity);
  return Plot.plot({
    ...COMMON,
    width,
    height: 220,
    marginTop: 14,
    marginRight: 14 + 7 * named,
    x: { label: x, labelArrow: "none", ticks: 6, tickFormat: "d" },
    y: { type: log ? "log" : "linear", label: null, tickFormat: format, ticks: 5, grid: true, ...(share ? { domain: [Math.min(0, ...values), 1] } : {}), nice: !share },
    marks: [
      ...(limit ? [Plot.rect([0], { y1: () => low, y2: () => limit, fill: BAND })] : []),
      ...(band?.length ? [Plot.areaY(band, { x: "0", y1: "1", y2: "2", fill: "var(--noise)", fillOpacity: 0.3 })] : []),
      ...shown.flatMap(({ name, color, points }) => [
        Plot.line(points, { x: "0", y: "1", stroke: `var(--${color})`, strokeWidth: 2, strokeDasharray: DASHES[color] }),
      ]),
      Plot.text(spread(shown, log), { x: "x", y: "y", text: "name", fill: (d) => `var(--${d.color === "noise" ? "soft" : d.color})`, dx: 6, textAnchor: "start" }),
    ],
  });
}

/** The names at the ends of the lines, apart from each other. */
function spread(shown, log) {
  const scale = log ? Math.log : (value) => value;
  const back = log ? Math.exp : (value) => value;
  const all = shown.flatMap((each) => each.points.map(([, y]) => scale(y)));
  const least = (Math.max(...all) - Math.min(...all)) / 13 || 0;
  const ends = shown.map(({ name, color, points }) => ({ name, color, x: points.at(-1)[0], at: scale(points.at(-1)[1]) }));
  ends.sort((a, b) => a.at - b.at);
  for (let i = 1; i < ends.length; i++) ends[i].at = Math.max(ends[i].at, ends[i - 1].at + least);
  return ends.map((end) => ({ ...end, y: back(end.at) }));
}
