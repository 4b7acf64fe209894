// Filters of the overview: words in the names of models and environments, and verdicts.

/** Let the filters above the matrix work on it and on the reasons. */
export function startFilters() {
  const form = document.querySelector(".filters");
  if (!form) return;
  const input = form.querySelector("input");
  const buttons = [...form.querySelectorAll("[data-filter]")];
  const told = form.querySelector("output");
  const cells = [...document.querySelectorAll(".matrix .cell")].map((cell) => ({
    cell,
    text: cell.getAttribute("aria-label").toLowerCase(),
  }));
  const lines = [...document.querySelectorAll("#overview [data-search]")].map((line) => ({
    line,
    text: line.dataset.search.toLowerCase(),
  }));

  function apply() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(buttons.filter((button) => button.ariaPressed === "true").map((b) => b.dataset.filter));
    const fits = (text) => words.every((word) => text.includes(word));
    let count = 0;
    for (const { cell, text } of cells) {
      const kept = fits(text) && (!wanted.size || wanted.has(cell.dataset.verdict));
      cell.classList.toggle("faded", !kept);
      count += kept;
    }
    for (const row of document.querySelectorAll(".matrix tbody tr")) {
      row.hidden = !row.querySelector(".cell:not(.faded)") && row.querySelector(".cell") !== null;
    }
    for (const { line, text } of lines) if (line.matches(".line")) line.hidden = !fits(text);
    for (const reason of document.querySelectorAll(".reason")) {
      const verdict = !wanted.size || wanted.has(reason.dataset.verdict);
      reason.hidden = !verdict || !reason.querySelector(".line:not([hidden])");
    }
    for (const folded of document.querySelectorAll("details.quiet")) {
      if (words.length && folded.querySelector("tbody tr:not([hidden])")) folded.open = true;
    }
    told.textContent = words.length || wanted.size ? `${count} of ${cells.length} cells` : "";
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", apply);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      button.ariaPressed = button.ariaPressed === "true" ? "false" : "true";
      apply();
    });
  }
}
