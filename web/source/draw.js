// Pictures are drawn when their page is shown for the first time: 300 cells open as fast as one.
import { confusion } from "./pictures/confusion.js";
import { graph } from "./pictures/graph.js";
import { histogram } from "./pictures/histogram.js";
import { image } from "./pictures/image.js";
import { interval } from "./pictures/interval.js";
import { lines } from "./pictures/lines.js";
import { row } from "./pictures/row.js";
import { scatter } from "./pictures/scatter.js";

const KINDS = { confusion, graph, histogram, image, interval, lines, row, scatter };
let pictures = null;

/** Draw what was not drawn yet inside an element. */
export function drawIn(element) {
  for (const place of element.querySelectorAll("[data-picture]:empty")) {
    pictures ??= JSON.parse(document.getElementById("pictures").textContent);
    const data = pictures[Number(place.dataset.picture)];
    const drawn = KINDS[data?.kind]?.(data, place.clientWidth || 560);
    if (!drawn) continue;
    const picture = drawn.matches("svg") ? drawn : drawn.querySelector("svg");
    if (picture && !picture.hasAttribute("role")) {
      picture.setAttribute("role", "img");
      picture.setAttribute("aria-label", place.dataset.label || place.previousElementSibling.textContent);
    }
    // Plot names its parts by labels, which elements without a role must not have.
    for (const part of drawn.querySelectorAll("g[aria-label]")) {
      part.dataset.part = part.getAttribute("aria-label");
      part.removeAttribute("aria-label");
    }
    place.append(drawn);
    place.closest(".picture").classList.add("drawn");
  }
}
