"""How the origin of a difference reads, in the comment, on the terminal and in report.json."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from validator.origin.types import (
    Behaviour,
    ChangedLines,
    Moved,
    Nights,
    Origin,
    Packages,
    Refusal,
    Releases,
    Transition,
    Unit,
)
from validator.report import html, markdown
from validator.report import json as report_json
from validator.report.phrases import unmarked
from validator.report.terminal import show_origin
from validator.report.words import origin as words
from validator.verdict.results import CellResult, EnvironmentResult, ModelResult, Report

SINCE = Transition(before="3.4.1", after="3.5.0", like="candidate")
GONE = Transition(before="3.9.2", after="3.10.0", like="baseline")
DIFF = """--- a/keras/src/dtype_policies/dtype_policy.py
+++ b/keras/src/dtype_policies/dtype_policy.py
@@ -162,5 +163,5 @@ DTypePolicy.convert_input
             if self._should_cast(x, autocast, dtype):
-                x.dtype = dtype
+                x = ops.cast(x, dtype=dtype)
             return x
"""
UNIT = Unit(
    path="keras/src/dtype_policies/dtype_policy.py", name="DTypePolicy.convert_input", added=1, removed=1
)
NIGHTS = Nights(
    before="3.4.1.dev2024062803",
    after="3.4.1.dev2024062903",
    days=1.0,
    link="https://github.com/keras-team/keras/commits/master?since=2024-06-28T01:00:00Z&until=2024-06-29T04:00:00Z",
)
LLAMA = Origin(
    aspect="outputs",
    releases=Releases(
        first="3.3.3", last="3.15.1", transitions=(SINCE, GONE), since=SINCE, gone=GONE, runs=13
    ),
    nights=(NIGHTS,),
    lines=(
        ChangedLines(
            before=NIGHTS.before,
            after=NIGHTS.after,
            units=(UNIT,),
            proof="sufficient",
            diff=DIFF,
            changed=20,
            runs=8,
        ),
    ),
)


def report(origin: Origin) -> Report:
    cell = CellResult(
        cell="llama@keras-3.5.0",
        environment="keras-3.5.0",
        variant="",
        verdict="changed",
        origin=origin,
    )
    return Report(
        verdict="warn",
        reasons=(),
        baseline="keras-3.3.3",
        environments=(
            EnvironmentResult(name="keras-3.3.3", role="baseline"),
            EnvironmentResult(name="keras-3.5.0"),
        ),
        models=(ModelResult(name="llama", cells=(cell,)),),
        tool="0",
    )


def sentences(origin: Origin) -> list[str]:
    return [unmarked(each) for each in words.why(origin)]


def test_release_night_and_line_are_one_sentence() -> None:
    assert sentences(LLAMA) == [
        "since Keras 3.5.0 (nightly of 2024-06-28 to 29), gone in 3.10.0: DTypePolicy.convert_input, one line"
    ]


def test_the_comment_has_the_sentence_and_unfolds_the_diff() -> None:
    text = markdown.comment(report(LLAMA))
    assert "gone in 3.10.0: `DTypePolicy.convert_input`, one line." in text
    assert "```diff\n" + DIFF.rstrip("\n") in text
    assert "https://redirect.github.com/keras-team/keras/commits/master" in text


def test_the_page_and_the_report_have_it_too() -> None:
    assert "DTypePolicy.convert_input" in html.page(report(LLAMA))
    written = report_json.load(report_json.dump(report(LLAMA)))
    origin = written.models[0].cells[0].origin
    assert origin is not None
    assert origin.message.startswith("Since Keras 3.5.0")
    assert origin.model_copy(update={"message": ""}) == LLAMA


def test_the_terminal_keeps_the_indent_of_the_diff() -> None:
    console = Console(file=StringIO(), width=200, force_terminal=False)
    show_origin("llama@keras-3.5.0", LLAMA, console)
    printed = console.file.getvalue()
    assert "  -                x.dtype = dtype\n" in printed
    assert "3.9.2 → 3.10.0: behaves like the baseline." in printed


def test_nights_of_two_months_and_a_hole_are_written_out() -> None:
    hole = NIGHTS.model_copy(
        update={"before": "3.9.0.dev2025032003", "after": "3.9.0.dev2025042303", "days": 34.0, "hole": True}
    )
    origin = LLAMA.model_copy(update={"nights": (hole,)})
    assert "(nightly of 2025-03-20 to 2025-04-23)" in sentences(origin)[0]
    assert "34 days; none was published in between" in markdown.comment(report(origin))


@pytest.mark.parametrize(
    ("refused", "part"),
    [
        ("flaky", "gives other predictions when it runs again, so the difference cannot be traced"),
        ("same", "with all other packages fixed, both releases give the same predictions"),
        ("fails", "does not run over this environment: ImportError"),
        ("install", "does not run over this environment: ImportError"),
        ("unsupported", "not traced: ImportError"),
    ],
)
def test_every_refusal_says_why(refused: Refusal, part: str) -> None:
    origin = Origin(aspect="outputs", refused=refused, refused_end="keras 3.5.0", reason="ImportError")
    limits = [unmarked(each) for each in words.notes(origin)]
    assert [part in each for each in (*sentences(origin), *limits)] == [True]


def test_what_the_time_did_not_reach_is_a_note_with_the_command() -> None:
    origin = LLAMA.model_copy(
        update={"stopped": "lines", "lines": (), "command": "keras-validator origin llama"}
    )
    text = markdown.comment(report(origin))
    assert (
        "The time budget ended in the search for the lines; this goes on: `keras-validator origin llama`"
        in text
    )


def test_a_group_names_what_moved_what_did_not_and_what_only_does_so_together() -> None:
    group = Packages(
        packages=(
            Moved(name="keras", before="3.5.0", after="3.15.1"),
            Moved(name="numpy", before="1.26.4", after="2.4.6"),
            Moved(name="tensorflow-cpu", before="2.17.1", after="2.21.0"),
        ),
        alone=("tensorflow-cpu",),
        unmoved=("keras", "numpy"),
        riders=(Moved(name="ml-dtypes", before="0.4", after="0.5"),),
        corners=8,
        impossible=4,
    )
    [sentence] = sentences(Origin(aspect="outputs", packages=group))
    assert sentence == "tensorflow-cpu 2.17.1 → 2.21.0 moves the numbers; keras and numpy do not"
    since = Transition(before="2.20.0", after="2.21.0", like="candidate")
    releases = Releases(
        package="tensorflow-cpu", first="2.17.1", last="2.21.0", transitions=(since,), since=since, runs=4
    )
    origin = Origin(aspect="outputs", packages=group, package_releases=(releases,))
    assert sentences(origin)[0].startswith("tensorflow-cpu 2.17.1 → 2.21.0 (since 2.21.0) moves the numbers")
    assert "4 releases of `tensorflow-cpu` from 2.17.1 to 2.21.0" in markdown.comment(report(origin))
    together = group.model_copy(update={"alone": (), "together": (("keras", "numpy"),), "unmoved": ()})
    [sentence] = sentences(Origin(aspect="outputs", packages=together))
    assert sentence == "only together, keras 3.5.0 → 3.15.1 with numpy 1.26.4 → 2.4.6 move the numbers"


def test_progress_is_a_line() -> None:
    line = words.progress("llama@a", "releases", "keras 3.4.1", Behaviour(digest="abcdef0123", seconds=1.25))
    assert line == "llama@a  origin, releases: keras 3.4.1  abcdef01, 1.2 s"
    refused = Behaviour(digest="!uv", error="uv", stage="resolve")
    assert (
        words.progress("a", "packages", "numpy 2", refused)
        == "a  origin, packages: numpy 2  cannot be installed"
    )


def test_releases_of_keras_beside_tf_keras_are_compared_with_the_candidate() -> None:
    origin = LLAMA.model_copy(update={"legacy": True, "aspect": "reported"})
    assert sentences(origin)[0].startswith("Keras behaves like the candidate since 3.5.0 (nightly of")


def test_a_downgrade_names_the_last_release_of_the_candidates_behavior() -> None:
    assert LLAMA.releases is not None
    releases = LLAMA.releases.model_copy(update={"traced": "gone"})
    [sentence] = sentences(LLAMA.model_copy(update={"releases": releases, "nights": (), "lines": ()}))
    assert sentence == "up to Keras 3.9.2"
