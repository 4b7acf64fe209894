"""Known changes of a cell, once the search for its origin has ended."""

from __future__ import annotations

from validator.checks.known import CHECK
from validator.checks.known.types import (
    Exposure,
    KnownChange,
    KnownChangeFinding,
    KnownComparison,
    KnownExposure,
)
from validator.checks.protocol import Earlier
from validator.origin.types import ChangedLines, Moved, Origin, Packages, Releases, Transition, Unit
from validator.pipeline.origins import explained
from validator.report.phrases import unmarked
from validator.report.words import known as words
from validator.verdict.bands import BANDS
from validator.verdict.results import CellResult, Comparisons

MERGE = KnownChange(
    change="K07",
    title="merge layers drop the mask",
    since="3.0.0",
    fixed="3.4.0",
    link="https://github.com/keras-team/keras/issues/18416",
    sure="likely",
    why=("layer", "mask"),
    layers=("merge",),
)
EXPOSURE = Exposure(baseline="3.3.3", candidate="3.5.0", seen=("K07",), not_exercised=("K36",))
CELL = CellResult(
    cell="model@keras-3.5.0",
    environment="keras-3.5.0",
    variant="",
    verdict="changed",
    checks=Comparisons.model_validate({"known": KnownComparison(matches=(MERGE,), exposure=EXPOSURE)}),
    findings=(KnownChangeFinding(known=MERGE), KnownExposure(exposure=EXPOSURE)),
)


def origin(before: str, after: str, *lines: str) -> Origin:
    """What a search came to: the border, and the files of the lines."""
    transition = Transition(before=before, after=after, like="candidate")
    releases = Releases(first="3.3.3", last="3.5.0", since=transition)
    units = tuple(Unit(path=path, name="call", added=1, removed=1) for path in lines)
    changed = ChangedLines(before=before, after=after, units=units, proof="both")
    return Origin(aspect="outputs", releases=releases, lines=(changed,) if lines else ())


def named(cell: CellResult) -> list[KnownChange]:
    return [finding.known for finding in cell.findings if isinstance(finding, KnownChangeFinding)]


def test_an_origin_that_agrees_makes_it_sure_and_is_said() -> None:
    cell = explained(CELL, origin("3.3.3", "3.4.0", "keras/src/layers/merging/base_merge.py"))
    (known,) = named(cell)
    assert (known.sure, known.why) == ("traced", ("layer", "mask", "release", "lines"))
    assert cell.origin is not None
    (finding,) = (each for each in cell.findings if isinstance(each, KnownChangeFinding))
    sentence = unmarked(words.WORDS.sentence(finding))
    assert sentence.startswith("Known: merge layers drop the mask")
    assert "what fits: the layer, the mask, the release and the lines found by the search" in sentence


def test_what_the_upgrade_ends_needs_no_workaround() -> None:
    ended = MERGE.model_copy(update={"ended": True})
    compared = KnownComparison(matches=(ended,), exposure=EXPOSURE)
    before = CELL.model_copy(update={"checks": Comparisons.model_validate({"known": compared})})
    cell = explained(before, origin("3.3.3", "3.4.0", "keras/src/layers/merging/base_merge.py"))
    said = [unmarked(words.WORDS.sentence(finding)) for finding in cell.findings if finding.check == "known"]
    assert "since Keras 3.0.0, gone in 3.4.0 (this upgrade ends it); " in said[0]
    assert said[1].endswith(
        "if you want the new numbers: the upgrade ends known change K07, which the baseline has"
    )
    whole = [
        unmarked(words.WORDS.sentence(each))
        for each in CHECK.find(KnownComparison(matches=(MERGE,)), BANDS, Earlier())
    ]
    assert "ends" not in whole[0]
    assert whole[1].endswith("(known change K07; not run here)")


def test_an_origin_at_another_release_takes_the_name_back() -> None:
    cell = explained(CELL, origin("3.4.1", "3.5.0"))
    assert named(cell) == []
    (exposure,) = (each.exposure for each in cell.findings if isinstance(each, KnownExposure))
    assert (exposure.seen, exposure.unclear, exposure.not_exercised) == ((), ("K07",), ("K36",))


def test_an_origin_in_other_files_takes_the_name_back() -> None:
    assert named(explained(CELL, origin("3.3.3", "3.4.0", "keras/src/layers/rnn/lstm.py"))) == []


def test_a_change_that_another_package_makes_is_none_of_keras() -> None:
    moved = (Moved(name="keras", before="3.3.3", after="3.5.0"), Moved(name="numpy", before="1", after="2"))
    found = Origin(aspect="outputs", packages=Packages(packages=moved, alone=("numpy",)))
    assert named(explained(CELL, found)) == []


def test_a_search_that_found_no_release_leaves_the_name() -> None:
    refused = Origin(aspect="outputs", refused="flaky")
    assert named(explained(CELL, refused)) == [MERGE]
    assert explained(CELL, refused).verdict == "changed"


def test_where_keras_alone_changes_nothing_no_change_of_keras_is_named() -> None:
    transition = Transition(before="3.3.3", after="3.4.0", like="candidate")
    releases = Releases(first="3.3.3", last="3.5.0", since=transition)
    same = Origin(aspect="outputs", refused="same", releases=releases)
    assert named(explained(CELL, same)) == []
    moved = (Moved(name="keras", before="3.3.3", after="3.5.0"), Moved(name="numpy", before="1", after="2"))
    together = Packages(packages=moved, together=(("keras", "numpy"),))
    assert named(explained(CELL, same.model_copy(update={"packages": together}))) == [MERGE]
