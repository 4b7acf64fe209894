"""Generates docs/known-changes.md from the catalogue of known changes. From the root of the repository:

python docs/known_changes.py            writes the page
python docs/known_changes.py --check    exits with code 1 if it is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from validator.catalogue.entries import LEGACY, CatalogueEntry, changes, number  # noqa: E402

PAGE = ROOT / "docs" / "known-changes.md"
_BEGIN = """# Known changes of Keras

Some releases of Keras compute something else than the release before, mostly without a word. This page lists
what is known: who is reached, what is seen, and what to do. It is generated from
`validator/catalogue/changes` by `python docs/known_changes.py`; report a change that is missing as an issue.

**Every entry has a proof**: a few lines of Keras that run in the last release before the change and the first
after it. They must differ there, and a control beside them must not. `nox -s catalogue` runs all of them.
Candidates without a proof are not listed; `bench/catalogue/unproven.yml` says which, and why.

`keras-validator advise MODEL` prints the entries that can reach a model, without running it. A run of the
validator names an entry where what it measured is what the entry describes.

"""


def page() -> str:
    """The whole page."""
    return (
        _BEGIN + "\n".join((*_table(), "", *(line for change in changes() for line in _entry(change)))) + "\n"
    )


def _table() -> Iterator[str]:
    """Releases across areas: the numbers of the changes that begin (or end) there."""
    areas = sorted({change.area for change in changes()})
    borders: dict[str, dict[str, list[str]]] = {}
    for change in changes():
        if change.before is not None:
            borders.setdefault(change.since, {}).setdefault(change.area, []).append(_link(change))
        if change.fixed is not None:
            borders.setdefault(change.fixed, {}).setdefault(change.area, []).append(f"{_link(change)} ends")
    yield "## By release and area"
    yield ""
    yield "| Keras | area | changes |"
    yield "|---|---|---|"
    for release in sorted(borders, key=number):
        for area in areas:
            here = borders[release].get(area)
            if here:
                yield f"| {release} | {area} | {', '.join(here)} |"


def _link(change: CatalogueEntry) -> str:
    return f"[{change.id}](#{change.id.lower()})"


def _entry(change: CatalogueEntry) -> Iterator[str]:
    yield f"## {change.id}"
    yield ""
    yield f"**{change.title[:1].upper()}{change.title[1:]}** · {change.area} · {_when(change)}"
    yield ""
    yield f"{change.seen} Shows in {', '.join(change.shows)}.{_backends(change)}{_size(change)}"
    yield ""
    yield f"{_who(change)}{_inputs(change)}"
    yield ""
    yield change.workaround.text
    yield ""
    yield "```python" if not change.workaround.code.startswith("pip ") else "```console"
    yield change.workaround.code
    yield "```"
    yield ""
    yield f"{' · '.join(f'<{link}>' for link in change.links)} · proof `{change.proof.run}`"
    yield ""


def _when(change: CatalogueEntry) -> str:
    before = "" if change.before is None else f" (not in {_release(change.before)})"
    gone = f", gone in {change.fixed}" if change.fixed else ""
    return f"since {_release(change.since)}{before}{gone}"


def _release(release: str) -> str:
    return release if release == LEGACY else f"Keras {release}"


def _backends(change: CatalogueEntry) -> str:
    return f" With {' and '.join(change.backends)} only." if change.backends else ""


def _size(change: CatalogueEntry) -> str:
    return f" The proof differs by at least {change.proof.size:g}." if change.proof.size is not None else ""


def _who(change: CatalogueEntry) -> str:
    print_ = change.fingerprint
    parts = []
    if print_.layers:
        parts.append(", ".join(f"`{name}`" for name in print_.layers))
    if print_.any_layer:
        parts.append("any layer")
    if print_.custom:
        parts.append("layers of your own")
    settings = [f"`{key}` {wanted}" for key, wanted in (*print_.where.items(), *print_.optimizer.items())]
    settings += [f"`{name}`" for name in (*print_.any_setting, *print_.losses, *print_.metrics, *print_.code)]
    features = [name.replace("-", " ") for name in print_.features]
    reached = " or ".join(parts)
    conditions = ", ".join((*settings, *features))
    return f"Reaches: {reached}{' with ' if reached and conditions else ''}{conditions}."


def _inputs(change: CatalogueEntry) -> str:
    return (
        f" Inputs must hold: {', '.join(need.replace('-', ' ') for need in change.inputs)}."
        if change.inputs
        else ""
    )


def main() -> int:
    """Write the page, or check it."""
    if sys.argv[1:] == ["--check"]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
