// Keys: `/` filters, `j` and `k` go through the cells, `Esc` back to all of them. Layers have their own arrows.

/** Listen for keys. */
export function startKeys(pages) {
  const cells = [...document.querySelectorAll("article.page")].map((page) => page.id);

  function step(by) {
    const at = cells.indexOf(pages.shown.id);
    const next = at < 0 ? (by > 0 ? 0 : -1) : at + by;
    if (next >= 0 && next < cells.length) pages.go(cells[next]);
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.matches("input, textarea, select");
    if (event.key === "Escape") {
      if (typing) event.target.blur();
      else if (pages.shown.id !== "overview") pages.go("overview");
    } else if (typing) {
      return;
    } else if (event.key === "/") {
      event.preventDefault();
      pages.go("overview");
      requestAnimationFrame(() => document.querySelector(".filters input")?.focus());
    } else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
  });
}
