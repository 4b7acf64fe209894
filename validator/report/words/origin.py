"""What is said about where a difference comes from: release, night, lines and package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from validator.origin.types import (
    Aspect,
    Behaviour,
    ChangedLines,
    Likeness,
    Missing,
    Moved,
    Nights,
    Origin,
    Packages,
    Phase,
    Releases,
    Transition,
    Unit,
)
from validator.report.document import Block, Bullets, Code, Paragraph
from validator.report.phrases import Piece, Words, joined, keras_link, listed, name, plural, strong, words

_ASPECTS: dict[Aspect, str] = {
    "outputs": "predictions",
    "reported": "reported metrics",
    "training": "training losses",
    "decode": "decoded tokens",
}
_PHASES: dict[Phase, str] = {
    "ends": "measuring both ends",
    "releases": "the search among releases",
    "packages": "the search among packages",
    "nights": "the search among nightly builds",
    "lines": "the search for the lines",
}
_LIKE: dict[Likeness, str] = {
    "baseline": "behaves like the baseline",
    "candidate": "behaves like the candidate",
    "other": "behaves like neither",
    "failure": "fails",
}
_MISSING: dict[Missing, str] = {
    "index": "The package index was not reached: only the two releases of this cell were run",
    "nights": "The package index lists no nightly builds of Keras: the answer ends at releases",
    "branch": "No nightly build behaves like these releases: the change was made on a release branch, or no "
    "night could be run",
    "unexplained": "No change between these two versions of Keras carries the difference: the model's own "
    "code may depend on the version",
    "repository": "The clone that `origin.repository` names could not be read for these commits",
    "cache": "Results could not be kept, so that another run begins anew",
    "beside": "What some releases of Keras import could not be installed: they may fail for want of it",
    "lines": "The changed lines were not searched: a version could not be installed again",
}
_PROOFS = {
    "sufficient": "sufficient: applied to the older version, this change gives the newer behavior",
    "necessary": "necessary: without this change, the newer version behaves like the older",
    "both": "sufficient and necessary: applied or taken back, this change switches the behavior",
}
_MOST_UNITS = 3


def progress(cell: str, phase: Phase, subject: str, outcome: Behaviour) -> str:
    """One line while the search runs."""
    took = f", {outcome.seconds:.1f} s" if outcome.seconds else ""
    ended = "cannot be installed" if outcome.stage in ("resolve", "install") else outcome.error
    return f"{cell}  origin, {phase}: {subject}  {ended or outcome.digest[:8] + took}"


def why(origin: Origin) -> tuple[Words, ...]:
    """What explains the difference of a cell: one sentence, and more where more is known."""
    return tuple(sentence for sentence in _why(origin) if sentence)


def _why(origin: Origin) -> Iterator[Words]:
    if origin.packages is not None:
        yield _packages(origin)
    where = _where(origin)
    if where:
        yield where
    elif origin.refused == "same":
        yield _refused(origin)


def _where(origin: Origin) -> Words:
    """`since Keras 3.5.0 (nightly of 2024-06-28 to 29), gone in 3.10.0: `f`, one line`."""
    transition = begins(origin)
    if transition is None or origin.refused == "same":
        return ()
    since = origin.releases is not None and origin.releases.traced == "since"
    lead = f"since Keras {transition.after}" if since else f"up to Keras {transition.before}"
    if origin.legacy:
        lead = f"Keras behaves like the candidate since {transition.after}"
    parts: list[str | Piece | Words] = [lead]
    days = [_days(each) for each in origin.nights]
    parts.append(f" (nightly of {' and '.join(days)})" if days else "")
    gone = origin.releases.gone if origin.releases else None
    if gone is not None and transition is not gone:
        parts.append(f", gone in {gone.after}")
    units = list(dict.fromkeys(unit for lines in origin.lines for unit in lines.units))
    if units:
        parts += [": ", _units(units)]
    return words(*parts)


def begins(origin: Origin) -> Transition | None:
    """The transition that was traced."""
    releases = origin.releases
    if releases is None:
        return None
    return releases.since if releases.traced == "since" else releases.gone


def _days(nights: Nights) -> str:
    """`2024-06-28 to 29`."""
    first, last = (_day(version) for version in (nights.before, nights.after))
    if first is None or last is None:
        return f"{nights.before} to {nights.after}"
    same_month = (first.year, first.month) == (last.year, last.month)
    return f"{first:%Y-%m-%d} to {last:%d}" if same_month else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _day(version: str) -> datetime | None:
    try:
        return datetime.strptime(version.rpartition(".dev")[2], "%Y%m%d%H")
    except ValueError:
        return None


def _units(units: Sequence[Unit]) -> Words:
    size = sum(max(unit.added, unit.removed) for unit in units)
    lines = "one line" if size == 1 else f"{size} lines"
    names = listed([name(unit.name) for unit in units], most=_MOST_UNITS)
    return words(names, f", {lines}")


def _refused(origin: Origin) -> Words:
    where = words(name(origin.refused_end)) if origin.refused_end else words("an end")
    what = _ASPECTS[origin.aspect]
    match origin.refused:
        case "flaky":
            again = f" gives other {what} when it runs again, so the difference cannot be traced"
            return words(where, again)
        case "same":
            return words(f"not from Keras: with all other packages fixed, both releases give the same {what}")
        case "install" | "fails":
            return words("not traced: ", where, f" does not run over this environment: {origin.reason}")
    return words(f"not traced: {origin.reason}")


def _packages(origin: Origin) -> Words:
    outcome = origin.packages or Packages(packages=())
    known = {package.name: package for package in outcome.packages}
    since = {releases.package: _since(releases) for releases in origin.package_releases}
    movers = [words(_moved(known[each]), since.get(each, "")) for each in outcome.alone]
    together = [
        words(joined([_moved(known[each]) for each in group], " with ")) for group in outcome.together
    ]
    if not movers and not together:
        return words("no partial upgrade of ", listed([name(each) for each in known]), " moves the numbers")
    parts: list[Words] = []
    if movers:
        parts.append(
            words(joined(movers, ", "), " moves the numbers" if len(movers) == 1 else " move the numbers")
        )
    parts += [words("only together, ", each, " move the numbers") for each in together]
    if outcome.unmoved:
        not_moving = " does not" if len(outcome.unmoved) == 1 else " do not"
        parts.append(words(listed([name(each) for each in outcome.unmoved]), not_moving))
    return joined(parts, "; ")


def _since(releases: Releases) -> str:
    """` (since 2.19.0)`: the first release that behaves like the candidate; of a downgrade, the last."""
    if releases.traced == "since":
        return f" (since {releases.since.after})" if releases.since else ""
    return f" (up to {releases.gone.before})" if releases.gone else ""


def _moved(package: Moved) -> Words:
    return words(name(package.name), f" {package.before} → {package.after}")


def notes(origin: Origin) -> tuple[Words, ...]:
    """What limits the answer: a sentence each, without a full stop."""
    sentences = [words(_MISSING[each]) for each in origin.missing]
    if origin.stopped is not None:
        time = f"The time budget ended in {_PHASES[origin.stopped]}; this goes on: "
        sentences.append(
            words(time, name(origin.command)) if origin.command else words(time.partition(";")[0])
        )
    if origin.refused not in (None, "same"):
        sentences.append(_refused(origin))
    return tuple(sentences)


def blocks(origin: Origin) -> tuple[Block, ...]:
    """The diff, the releases and the commits, to unfold."""
    return tuple(_blocks(origin))


def _blocks(origin: Origin) -> Iterator[Block]:
    for lines in origin.lines:
        yield Paragraph(_proof(lines))
        if lines.diff:
            yield Code(lines.diff.rstrip("\n"), "diff")
    for releases in (*origin.package_releases, *([origin.releases] if origin.releases else [])):
        yield Bullets(tuple(_releases(releases)))
    for nights in origin.nights:
        yield Paragraph(_nights(nights))
        if nights.commits:
            yield Bullets(tuple(_commit(each.subject, each.pull_request) for each in nights.commits))
    if origin.packages is not None:
        yield from _lattice(origin.packages)
    limits = notes(origin)
    if limits:
        yield Bullets(limits)


def _proof(lines: ChangedLines) -> Words:
    units = listed([name(unit.name) for unit in lines.units], most=_MOST_UNITS)
    least = "" if lines.smallest else " A smaller part may do: the time ended before all were tried."
    counted = f" Found among {plural(lines.changed, 'changed function')} in {plural(lines.runs, 'run')}."
    return words(
        f"From {lines.before} to {lines.after}: ",
        units,
        f". {_sentence(_PROOFS[lines.proof])}.{counted}{least}",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _releases(releases: Releases) -> Iterator[Words]:
    package = words() if releases.package == "keras" else words(name(releases.package), " ")
    for transition in releases.transitions:
        error = f" with {transition.error}" if transition.error else ""
        step = strong(f"{transition.before} → {transition.after}")
        yield words(package, step, f": {_LIKE[transition.like]}{error}")
    counted = f"No other change was seen: {plural(releases.runs, 'release')} of "
    package = package or words("Keras ")
    yield words(counted, package, f"from {releases.first} to {releases.last} were run")
    if releases.unknown:
        unknown = ", ".join(releases.unknown)
        yield words(f"Not known, since they cannot be installed or did not end in time: {unknown}")


def _nights(nights: Nights) -> Words:
    parts: list[str | Piece] = [
        f"Nightly builds {nights.before} to {nights.after}",
        f" ({nights.days:g} days; none was published in between)" if nights.hole else "",
        f"; {plural(len(nights.broken), 'night')} in between does not run" if nights.broken else "",
        ": ",
        Piece("commits on GitHub", "link", nights.link.replace("https://github.com/", _REDIRECT)),
    ]
    return words(*(part for part in parts if part), ".")


#: GitHub lists a link to its own pages in the thread it points to, but not one through its redirector.
_REDIRECT = "https://redirect.github.com/"


def _commit(subject: str, pull_request: int | None) -> Words:
    return words(keras_link(pull_request), f" {subject}") if pull_request else words(subject)


def _lattice(outcome: Packages) -> Iterator[Block]:
    resolved = outcome.corners - outcome.impossible
    yield Paragraph(
        words(f"{resolved} of {plural(outcome.corners, 'partial upgrade')} can be installed and were run.")
    )
    if outcome.riders:
        yield Paragraph(
            words("These packages move along: ", joined([_moved(each) for each in outcome.riders], ", "), ".")
        )


def headline(cell: str, origin: Origin) -> Words:
    """The whole answer of one search in a line, for the command line."""
    sentences = why(origin)
    if not sentences:
        reason = "was not traced to a release"
        return words(name(cell), f": the change of its {_ASPECTS[origin.aspect]} {reason}")
    return words(name(cell), ": ", joined(sentences, ". "))
