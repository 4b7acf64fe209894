// Colors are CSS variables: a picture follows the theme, and prints light, without being drawn again.
export const BASELINE = "var(--baseline)";
export const CANDIDATE = "var(--candidate)";
export const NOISE = "var(--noise)";
export const TEXT = "var(--text)";
export const SOFT = "var(--soft)";
export const LINE = "var(--line)";
export const BAND = "var(--band)";

/** What every picture by Plot has in common. Plot's own style sheet is allowed by its hash for this class. */
export const COMMON = { className: "plot", marginLeft: 52, marginRight: 24, marginBottom: 36 };

/** Two digits of a number, as tables have them. */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(2)));
  return value.toExponential(0).replace("e+", "e");
}
