// The page is complete without this script. It shows one page at a time, draws pictures, filters, follows keys.
import { drawIn } from "./draw.js";
import { startFilters } from "./filters.js";
import { startKeys } from "./keys.js";
import { startPages } from "./pages.js";
import { startTheme } from "./theme.js";

for (const element of document.querySelectorAll("#theme, .filters, .copy, .keys")) element.hidden = false;
startTheme();
startFilters();
const pages = startPages(drawIn);
startKeys(pages);

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  const text = button.parentElement.querySelector("pre").textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
});

addEventListener("beforeprint", () => {
  for (const page of document.querySelectorAll(".page:not(.green)")) {
    drawIn(page);
    for (const folded of page.querySelectorAll("details")) folded.open = true;
  }
});
