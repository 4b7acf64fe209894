// One page at a time, by the link: `#llama@keras-3.5.0/layers` is a page and a section of it.

/** The page that a hash names, and the section or null; the overview where there is no such page. */
function find(hash) {
  let name = hash.slice(1);
  try {
    name = decodeURIComponent(name);
  } catch {
    // Not encoded: it stands for itself.
  }
  const section = document.getElementById(name);
  const page = section?.closest(".page");
  if (page) return { page, section: section === page ? null : section };
  const [id] = name.split("/");
  const named = document.getElementById(id);
  return { page: named?.classList.contains("page") ? named : document.getElementById("overview"), section: null };
}

/** Follow the link in the address bar, now and whenever it changes. Returns how to go somewhere. */
export function startPages(drawIn) {
  let shown = null;
  const places = new Map();

  function show(moved) {
    const { page, section } = find(location.hash);
    const other = page !== shown;
    if (other) {
      shown?.classList.remove("shown");
      page.classList.add("shown");
      shown = page;
      document.title = page.querySelector("h1").textContent.trim();
      drawIn(page);
    }
    if (section) {
      section.scrollIntoView({ behavior: other ? "instant" : "auto" });
      (section.querySelector("h2") ?? section).focus({ preventScroll: true });
    } else if (other && moved) {
      scrollTo({ top: places.get(page.id) ?? 0, behavior: "instant" });
      page.querySelector("h1").focus({ preventScroll: true });
    }
    mark(page, section);
  }

  function mark(page, section) {
    for (const link of page.querySelectorAll(".contents a")) {
      const current = section && link.getAttribute("href") === `#${section.id}`;
      link.toggleAttribute("aria-current", Boolean(current));
      if (current) link.setAttribute("aria-current", "true");
    }
  }

  history.scrollRestoration = "auto";
  document.addEventListener("click", (event) => {
    if (event.target.closest('a[href^="#"]') && shown) places.set(shown.id, scrollY);
  });
  addEventListener("hashchange", () => show(true));
  show(false);

  return {
    get shown() {
      return shown;
    },
    go: (id) => (location.hash = id),
  };
}
