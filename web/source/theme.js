// The system's theme, or the one that was chosen; pictures follow by CSS variables.
const THEMES = ["auto", "light", "dark"];

/** Let the button go through the themes. */
export function startTheme() {
  const button = document.getElementById("theme");
  let at = 0;
  button.addEventListener("click", () => {
    at = (at + 1) % THEMES.length;
    const theme = THEMES[at];
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  });
}
