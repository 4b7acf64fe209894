"""Texts of a run with many cells: nothing twice, one reason in one place, versions in their order."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from rich.console import Console

from tests.report import cases, rendering
from tests.report.examples import examples
from tests.report.large import renamed
from tests.report.toy import WORDS
from validator.checks.layers.types import FirstDifference
from validator.matrix import HEAD, by_version
from validator.report import html, json, markdown
from validator.report.causes import alike, cause_of
from validator.report.content import Content
from validator.report.markdown import Links
from validator.report.phrases import unmarked
from validator.report.reproduce import CodeSource, whole_way
from validator.report.terminal import show
from validator.report.words import registered_words
from validator.report.words.titles import cell_title, run_title
from validator.verdict.gate import worst_first
from validator.verdict.results import CellResult, ModelResult, Reason, Report

SOURCE = CodeSource("https://github.com", "acme/widget", 123)
RELEASES = ("keras-3.10.0", "keras-3.9.2", "legacy", "keras-3.10.0rc1", "keras-3.3.3")
SORTED = ["keras-3.3.3", "keras-3.9.2", "keras-3.10.0rc1", "keras-3.10.0", "legacy"]


def content(report: Report) -> Content:
    return Content(report, WORDS if type(report) is not Report else registered_words())


def said(report: Report, links: Links | None = None) -> str:
    checks = WORDS if type(report) is not Report else None
    shown = markdown.comment(report, links=links, checks=checks)
    return re.sub(r"\s+", " ", BeautifulSoup(rendering.html(shown), "html.parser").get_text())


def moved(model: str, layer: str, **cause: str) -> CellResult:
    """The decoder of the examples under another name, with the layer where it begins."""
    cell = renamed(f"llama@{cases.HEAD}", model, cases.HEAD)
    findings = tuple(
        each.model_copy(
            update={"cause": each.cause.model_copy(update={"layer": layer, **cause}), "alike": ()}
        )
        if isinstance(each, FirstDifference)
        else each
        for each in cell.findings
    )
    return cell.model_copy(update={"findings": findings, "gated": ("changed", "accuracy")})


def many(alike: int = 12, others: int = 2) -> Report:
    """So many models that move for one reason, each at a layer of its own, and some that hold."""
    same = [moved(f"decoder-{at}", f"block_{at}/attention") for at in range(alike)]
    held = [renamed(f"digits@{cases.HEAD}", f"digits-{at}", cases.HEAD) for at in range(others)]
    models = tuple(ModelResult(name=cell.cell.partition("@")[0], cells=(cell,)) for cell in (*same, *held))
    reasons = tuple(Reason(kind="cell", cell=cell.cell, rules=cell.gated) for cell in same)
    update = {"models": models, "reasons": reasons, "environments": cases.MATRIX[:2]}
    return examples("fail").model_copy(update=update)


def test_models_with_one_reason_are_one_paragraph_and_one_line() -> None:
    shown = said(many())
    assert shown.count("12 of 14 models predict differently in keras-3.5.0 for one reason: input") == 1
    assert "(in decoder-0, the worst: accuracy 0.725 → 0.592, max abs diff 19" in shown
    assert "The others are decoder-1, decoder-2, decoder-3 and 8 more." in shown
    assert shown.count("Why 12 models change") == 1
    assert shown.count("What to do about") == 1
    assert shown.count("Details of") == 1
    table = BeautifulSoup(rendering.html(markdown.comment(many())), "html.parser").find_all("table")[0]
    rows = [row.get_text() for row in table.tbody.find_all("tr")]
    assert len(rows) == 1
    assert "decoder-0, decoder-1, decoder-2 and 9 more" in rows[0]
    assert "Each of the 12 models by itself" in shown


def test_a_group_says_whose_numbers_it_has_and_no_place_that_the_title_says() -> None:
    text = many().model_dump_json(by_alias=True).replace(cases.HEAD, HEAD)
    report = type(many()).model_validate_json(text)
    shown = said(report)
    assert "12 of 14 models predict differently for one reason: input" in shown
    assert "Why 12 models change (numbers of decoder-0)" in shown
    row = BeautifulSoup(rendering.html(markdown.comment(report)), "html.parser").find_all("table")[0].tbody.tr
    assert "0.592worst" in row.find_all("td")[-1].get_text().replace("\xa0", " ")


def test_of_the_samples_that_became_wrong_all_are_counted() -> None:
    cell = moved("decoder-0", "block_0/attention")
    numbers = cell.checks.accuracy
    assert numbers is not None
    named = tuple(str(at) for at in range(20))
    metric = numbers.metrics[0].model_copy(update={"flipped": named, "negative_flips": 353})
    checks = cell.checks.model_copy(update={"accuracy": numbers.model_copy(update={"metrics": (metric,)})})
    cell = cell.model_copy(update={"checks": checks})
    report = many(0, 1)
    models = (ModelResult(name="decoder-0", cells=(cell,)),)
    assert "samples that became wrong: 0, 1, 2, 3, 4, 5, 6, 7, 8 and 344 more" in said(
        report.model_copy(update={"models": models})
    )


def test_another_reason_is_another_paragraph() -> None:
    report = many(3, 1)
    other = moved("encoder", "pool", class_name="MaxPooling2D")
    models = (*report.models, ModelResult(name="encoder", cells=(other,)))
    report = report.model_copy(update={"models": models})
    groups = alike([row for row in content(report).rows if not row.green])
    assert [sorted(each.models) for each in groups] == [["decoder-0", "decoder-1", "decoder-2"], ["encoder"]]
    shown = said(report)
    assert "3 of 5 models predict differently" in shown
    assert "encoder predicts differently in keras-3.5.0" in shown
    assert shown.count("Details of") == 2


def test_two_models_with_one_reason_keep_their_lines() -> None:
    shown = said(many(2, 1))
    assert "2 of 3 models predict differently in keras-3.5.0 for one reason" in shown
    assert "The other is decoder-1." in shown
    assert "by itself" not in shown


def test_cells_without_a_known_reason_are_not_one() -> None:
    rows = content(cases.accuracy_fell()).rows
    assert [cause_of(row) for row in rows if not row.green] == [None]


def test_why_says_nothing_that_the_table_says() -> None:
    for report in (examples(), many(), cases.something_changed(), cases.metrics_only()):
        shown = said(report)
        assert "Why " in shown
        why = " ".join(part.partition("What to do")[0] for part in shown.split("Why ")[1:])
        for row in content(report).rows:
            if row.lead and not row.green:
                assert unmarked(row.lead)[1:] not in why.partition("Unchanged")[0]


def test_names_are_sorted_by_version() -> None:
    assert sorted(RELEASES, key=by_version) == SORTED
    assert sorted(("a@k-3.10.0", "a@k-3.9.2+float32", "a@k-3.9.2"), key=by_version)[-1] == "a@k-3.10.0"
    assert sorted(("9" * 5000, "", "1rc2rc3", "1.post1.dev2", "x"), key=by_version)


def releases() -> Report:
    cells = tuple(cases.identical("digits", where) for where in RELEASES)
    ran = tuple(cases.environment(where) for where in RELEASES)
    environments = (cases.environment("keras-3.0.5", "baseline"), *ran)
    report = cases.report("pass", cases.model("digits", *cells), environments=environments)
    return report.model_copy(update={"baseline": "keras-3.0.5", "upgrade": None})


def order(text: str) -> list[str]:
    """The releases in the order of their first appearance."""
    named = re.findall("|".join(sorted(map(re.escape, RELEASES), key=len, reverse=True)), text)
    return list(dict.fromkeys(named))


def test_versions_stand_in_their_order_everywhere() -> None:
    report = releases()
    assert [cell.environment for cell in worst_first(report.models[0].cells)] == SORTED
    assert order(said(report).partition("Unchanged")[2]) == SORTED
    page = BeautifulSoup(html.page(report, checks=WORDS), "html.parser")
    matrix = page.find(class_="matrix")
    assert matrix is not None
    assert order(matrix.get_text()) == SORTED
    assert order(terminal(report, everything=True)) == SORTED


def terminal(report: Report, *, everything: bool = False) -> str:
    stream = io.StringIO()
    checks = WORDS if type(report) is not Report else None
    show(report, Console(file=stream, width=140), everything=everything, checks=checks)
    return stream.getvalue()


def test_a_terminal_folds_the_cells_that_hold() -> None:
    folded = terminal(many(1, 9))
    assert "… and 9 identical (keras-validator report --all lists them)" in folded
    assert "digits-3" not in folded
    assert "decoder-0" in folded
    whole = terminal(many(1, 9), everything=True)
    assert "report --all" not in whole
    assert all(f"digits-{at}" in whole for at in range(9))


def test_a_terminal_shows_a_few_cells_that_hold() -> None:
    assert "digits-2" in terminal(many(1, 3))


def test_titles_name_model_layer_and_numbers() -> None:
    rows = {row.cell.cell: row for row in content(examples()).rows}
    assert cell_title(rows[f"llama@{cases.HEAD}"]) == (
        "llama changed: accuracy 0.725 → 0.592, max abs diff 19, first in attention_0 (keras-3.5.0)"
    )
    assert (
        cell_title(rows["translator@legacy"]) == "translator holds: reported accuracy 0.270 → 0.898 (legacy)"
    )
    failed = content(cases.failed_to_load()).rows[0]
    assert cell_title(failed) == "translator failed to load: TypeError (keras-3.5.0)"


def test_the_title_of_a_run_is_its_worst_cell() -> None:
    report = json.worded(examples("fail"))
    worst = "llama changed: accuracy 0.725 → 0.592, max abs diff 19, first in attention_0 (keras-3.5.0)"
    assert run_title(content(report), 140) == f"{worst} and 1 more"
    assert run_title(content(cases.all_identical()), 140) == "Predictions are identical"
    unusable = json.worded(cases.baseline_unusable(), checks=WORDS)
    assert run_title(content(unusable), 140).startswith("Inconclusive: the baseline cannot be used: digits@")


@pytest.mark.parametrize("longest", [60, 140])
def test_a_title_fits_and_is_one_line(longest: int) -> None:
    nasty = "m\n\x1b[31m\u202e" + "x" * 500
    report = many(3, 0)
    models = tuple(model.model_copy(update={"name": nasty}) for model in report.models)
    title = run_title(content(report.model_copy(update={"models": models})), longest)
    assert len(title) <= longest
    assert title.isprintable()
    assert title.endswith("and 2 more")


def test_the_commands_begin_at_the_clone() -> None:
    shown = markdown.comment(examples(), links=Links(source=SOURCE))
    block = re.search(r"```console\n(.*?)\n```", shown, re.DOTALL)
    assert block is not None
    assert block[1].splitlines() == [
        "gh repo clone acme/widget && cd widget",
        "gh pr checkout 123",
        "python3 -m venv ../keras-validator && . ../keras-validator/bin/activate",
        "python -m pip install keras-upgrade-validator==0.1.0",
        "keras-validator run --config examples/validator.yml --only llama@keras-3.5.0",
        "keras-validator run --config examples/validator.yml --only translator@legacy",
    ]


def lines(report: Report, source: CodeSource | None) -> list[str]:
    return whole_way(report, [row.cell for row in content(report).rows if not row.green], source, 1)


def test_without_a_pull_request_the_commit_is_fetched() -> None:
    first, second, *_ = lines(examples(), CodeSource("https://git.acme.example", "acme/widget"))
    assert first == "git clone https://git.acme.example/acme/widget && cd widget"
    assert second == f"git fetch origin {cases.COMMIT} && git checkout {cases.COMMIT}"
    assert lines(examples(), None)[0] == f"git checkout {cases.COMMIT}"
    enterprise = lines(examples(), CodeSource("https://git.acme.example/", "acme/widget", 7))
    assert enterprise[0] == "gh repo clone git.acme.example/acme/widget && cd widget"


@pytest.mark.parametrize(
    "source",
    [
        CodeSource("https://github.com", "acme/$(evil)", 1),
        CodeSource("https://github.com", "acme/-rf", 1),
        CodeSource("https://evil;x", "acme/widget", 1),
        CodeSource("file:///etc", "acme/widget", 1),
    ],
)
def test_a_source_that_is_none_is_left_out(source: CodeSource) -> None:
    report = examples().model_copy(update={"tool": "1; evil", "commit": "x; evil"})
    shown = lines(report, source)
    assert not re.search("evil|-rf|etc", " ".join(shown))
    assert "python -m pip install keras-upgrade-validator" in shown


def test_the_users_own_python_gets_no_environment() -> None:
    cell = examples().models[2].cells[0]
    cell = cell.model_copy(update={"reproduce": "python -m validator run --against current"})
    assert whole_way(examples(), [cell], SOURCE, 9)[2:] == [
        "python -m pip install keras-upgrade-validator==0.1.0",
        "python -m validator run --against current",
    ]


def test_the_commands_run_when_they_are_pasted(tmp_path: Path) -> None:
    """In a fresh shell with a real git and a real venv; gh, pip's index and the tool are stand-ins."""
    origin, home, tools = tmp_path / "acme" / "widget", tmp_path / "home", tmp_path / "bin"
    for folder in (origin, home, tools):
        folder.mkdir(parents=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-C", str(origin)]
    subprocess.run(["git", "init", "-q", str(origin)], check=True)
    (origin / "validator.yml").write_text("models: []\n")
    for arguments in (
        ["add", "."],
        ["commit", "-qm", "first"],
        ["config", "uploadpack.allowAnySHA1InWant", "true"],
    ):
        subprocess.run([*git, *arguments], check=True)
    _program(tools / "gh", f'[ "$2" = clone ] && git clone -q {origin} || echo "gh $*" >> {home}/calls')
    pasted = "\n".join(lines(examples(), SOURCE)).replace(
        "python -m pip install",
        f"printf '#!/bin/sh\\ntest -f validator.yml && echo run \"$@\" >> {home}/calls\\n' "
        "> ../keras-validator/bin/keras-validator && chmod +x ../keras-validator/bin/keras-validator && echo",
    )
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home)}
    subprocess.run(["bash", "-eu"], input=pasted, cwd=home, env=environment, check=True, text=True)
    assert (home / "calls").read_text().splitlines() == [
        "gh pr checkout 123",
        "run run --config examples/validator.yml --only llama@keras-3.5.0",
    ]


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
