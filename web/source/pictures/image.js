// Numbers as a picture: a channel is grey, three are colors. Drawn as squares, so that it prints.
const SVG = "http://www.w3.org/2000/svg";

/** An image of rows × columns (× channels), from its least to its largest value. */
export function image({ shape, values }) {
  const [rows, columns, channels = 1] = shape;
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const shade = (value) => Math.round((255 * ((value ?? low) - low)) / (high - low || 1));
  const svg = document.createElementNS(SVG, "svg");
  const size = Math.max(4, Math.min(24, Math.floor(240 / Math.max(rows, columns))));
  svg.setAttribute("viewBox", `0 0 ${columns * size} ${rows * size}`);
  svg.setAttribute("width", columns * size);
  svg.setAttribute("height", rows * size);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const pixel = values.slice((y * columns + x) * channels, (y * columns + x + 1) * channels).map(shade);
      const square = document.createElementNS(SVG, "rect");
      const color = channels >= 3 ? pixel.slice(0, 3) : [pixel[0], pixel[0], pixel[0]];
      for (const [name, value] of [["x", x * size], ["y", y * size], ["width", size + 0.5], ["height", size + 0.5]]) square.setAttribute(name, value);
      square.setAttribute("fill", `rgb(${color.join(",")})`);
      svg.append(square);
    }
  }
  return svg;
}
