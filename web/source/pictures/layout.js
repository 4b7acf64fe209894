// Rows and lanes of a model's graph: a layer a row, in the model's order; edges run at the left as in a log's graph.

/** Rows to show: a layer each, or a run of folded blocks as one; `open`: nothing is folded. */
export function rowsOf(nodes, open) {
  const kept = keptBlock(nodes);
  const rows = [];
  nodes.forEach((node, at) => {
    const folded = !open && node.block && node.block !== kept;
    const last = rows.at(-1);
    if (!folded) rows.push({ nodes: [at], first: node.first });
    else if (last?.blocks && last.nodes.at(-1) === at - 1) {
      last.nodes.push(at);
      if (last.blocks.at(-1) !== node.block) last.blocks.push(node.block);
    } else rows.push({ nodes: [at], blocks: [node.block] });
  });
  if (nodes.some((node) => node.from.includes(-1))) rows.unshift({ nodes: [-1], input: true });
  return rows;
}

/** The block that stays open: the one with the first difference, or else the one that drifts most. */
function keptBlock(nodes) {
  const first = nodes.find((node) => node.first);
  if (first) return first.block;
  return nodes.filter((node) => node.block).sort((a, b) => (b.full ?? 0) - (a.full ?? 0))[0]?.block;
}

/** Edges between rows: `steps` to the next row, and `lanes`, one for each source, with all its targets. */
export function edgesOf(nodes, rows) {
  const place = new Map(rows.flatMap((row, at) => row.nodes.map((node) => [node, at])));
  const steps = [];
  const sources = new Map();
  nodes.forEach((node, at) => {
    for (const from of node.from) {
      const [source, target] = [place.get(from), place.get(at)];
      if (source === undefined || target <= source) continue;
      if (target === source + 1) steps.push(source);
      else sources.set(source, (sources.get(source) ?? new Set()).add(target));
    }
  });
  const lanes = [...sources].map(([source, targets]) => ({ source, targets: [...targets].sort((a, b) => a - b) }));
  lanes.sort((a, b) => a.targets.at(-1) - a.source - (b.targets.at(-1) - b.source));
  const taken = [];
  for (const lane of lanes) {
    const overlaps = (other) => other.source < lane.targets.at(-1) && lane.source < other.targets.at(-1);
    let at = taken.findIndex((others) => !others.some(overlaps));
    if (at < 0) at = taken.push([]) - 1;
    taken[at].push(lane);
    lane.lane = at;
  }
  return { steps: [...new Set(steps)], lanes, width: taken.length };
}

/** A logarithmic axis for drift ÷ noise, with a rail of its own for 0. */
export function axisOf(nodes, left, right) {
  const known = nodes.flatMap((node) => [node.full, node.replayed]).filter((value) => value > 0);
  const low = -1;
  const high = Math.max(2, Math.ceil(Math.log10(Math.max(...known, 1))));
  const start = left + 34;
  const place = (value) => {
    if (value === null) return null;
    if (value <= 0) return left + 12;
    return start + ((Math.max(Math.log10(value), low) - low) / (high - low)) * (right - start - 34);
  };
  const every = Math.ceil((high - low) / 4);
  const ticks = [0];
  for (let at = low; at <= high; at += every) ticks.push(10 ** at);
  return { place, ticks };
}
