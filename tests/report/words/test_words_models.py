"""What a report says where a pull request changes a model: whose effect is whose."""

from __future__ import annotations

import pytest

from validator.checks.bands import CellVerdict
from validator.checks.loading.types import BaselineFailed, CellFailed
from validator.failure import Failure
from validator.matrix import Effect
from validator.report import html, junit, markdown
from validator.report.content import Content
from validator.report.phrases import unmarked
from validator.report.words import registered_words
from validator.report.words.run import compared, headline, summary
from validator.upgrade import ModelPart, ModelReason, PackageChange, Upgrade, UpgradeReason
from validator.verdict.results import CellResult, ModelResult, Report

CODE = ModelPart(part="code", path="net/blocks.py")
WEIGHTS = ModelPart(part="weights", path="net.weights.h5")
LOST = Failure(stage="load", error="git", message="w.h5 of the base commit is a Git LFS pointer")


def cell(where: str, effect: Effect, verdict: CellVerdict, **more: object) -> CellResult:
    fields = {"cell": f"net@{where}", "environment": where, "variant": "", "effect": effect}
    return CellResult.model_validate({**fields, "verdict": verdict, **more})


def report(*cells: CellResult, parts: tuple[ModelPart, ...] = (CODE,), keras: bool = True) -> Report:
    reasons: tuple[UpgradeReason, ...] = (ModelReason(model="net", state="changed", parts=parts),)
    changes = (PackageChange(name="keras", old="3.3.3", new="3.5.0"),) if keras else ()
    return Report(
        verdict="fail",
        reasons=(),
        baseline="base",
        upgrade=Upgrade(changes=changes, relevant=True, reasons=reasons),
        environments=(),
        models=(ModelResult(name="net", cells=cells),),
        tool="1",
    )


def text(made: Report) -> str:
    return " ".join(map(unmarked, summary(Content(made, registered_words()))))


@pytest.mark.parametrize(
    ("model", "packages", "expected"),
    [
        ("changed", "identical", "The new code alone moves net; the upgrade alone does not."),
        ("identical", "changed", "The upgrade alone moves net; the new code alone does not."),
        ("changed", "changed", "The new code alone moves net; the upgrade alone moves it, too."),
        ("changed", "rounding", "The new code alone moves net; the upgrade alone moves it by rounding only."),
        (
            "identical",
            "identical",
            "Neither the new code nor the upgrade moves net: predictions are identical, bit for bit.",
        ),
    ],
)
def test_both_effects_in_one_sentence(model: CellVerdict, packages: CellVerdict, expected: str) -> None:
    made = report(cell("base", "model", model), cell("head", "packages", packages))
    assert expected in text(made)
    content = Content(made, registered_words())
    assert unmarked(compared(content)) == "keras 3.3.3 → 3.5.0 and a change of net"


@pytest.mark.parametrize(
    ("verdict", "parts", "expected"),
    [
        (
            "changed",
            (WEIGHTS,),
            "net predicts differently with its new weights (weights net.weights.h5): this is the model's own "
            "change, not an upgrade's.",
        ),
        (
            "identical",
            (CODE, WEIGHTS),
            "net predicts the same, bit for bit, with its new code and weights (module net/blocks.py, "
            "weights net.weights.h5): no package changed.",
        ),
        (
            "identical",
            (ModelPart(part="inputs", path="x.npz"),),
            "net predicts the same, bit for bit: no file of the model and no package changed. Both sides of "
            "net used the head's inputs, which the pull request changes (inputs x.npz).",
        ),
    ],
)
def test_a_model_that_alone_changes(
    verdict: CellVerdict, parts: tuple[ModelPart, ...], expected: str
) -> None:
    made = report(cell("head", "model", verdict), parts=parts, keras=False)
    assert expected in text(made)
    assert "Models that the pull request does not touch were not run." in text(made)


def test_new_code_that_needs_new_packages() -> None:
    alone = Failure(stage="build", error="ImportError", message="no module keras.ops")
    made = report(cell("head", "both", "changed", alone=alone))
    assert (
        "The new code of net does not run with the old packages (failed to build: ImportError: no module "
        "keras.ops), so the two effects cannot be told apart. The new code, together with the upgrade, "
        "moves net."
    ) in text(made)


def test_what_is_missing_of_the_base_is_said() -> None:
    lost = BaselineFailed(failure=LOST, verdict="not-compared")
    made = report(cell("head", "model", "not-compared", findings=(lost,)), keras=False)
    assert "net could not be compared with its files of the base commit" in text(made)
    assert "w.h5 of the base commit is a Git LFS pointer" in text(made)
    unsure = text(made.model_copy(update={"verdict": "inconclusive"}))
    assert "This run says nothing about the change of the model, good or bad." in unsure


def test_a_model_that_its_own_change_breaks() -> None:
    failure = Failure(stage="build", error="NameError", message="name 'block' is not defined")
    broken = cell("base", "model", "failed", findings=(CellFailed(failure=failure, verdict="failed"),))
    made = report(broken, cell("head", "packages", "identical"))
    assert "The new code alone makes net fail: it failed to build: NameError: name 'block'" in text(made)


def test_a_file_with_markup_in_its_name_stays_text() -> None:
    hostile = ModelPart(part="weights", path="<img src=x>|`@team`\n::warning::.h5", old="[a](http://b)")
    made = report(cell("head", "model", "changed"), parts=(hostile,), keras=False)
    assert "<img" not in html.page(made)
    assert "\n::warning" not in markdown.summary(made)
    assert "](http://b)" not in markdown.summary(made).replace("`[a](http://b)`", "")


def test_every_form_says_whose_effect_a_cell_shows() -> None:
    made = report(cell("base", "model", "changed"), cell("head", "packages", "identical"))
    for form in (markdown.summary(made), html.page(made), junit.dump(made)):
        assert "base: model change alone" in form
        assert "head: packages alone" in form
    assert "The pull request changes 1 model" in markdown.summary(made)
    assert "The pull request changes <code>net</code>: module <code>net/blocks.py</code>" in html.page(made)


@pytest.mark.parametrize(("kind", "state"), [("model-added", "new"), ("model-removed", "no longer")])
def test_a_model_without_a_counterpart_is_named(kind: str, state: str) -> None:
    made = Report.model_validate(
        {
            **report().model_dump(by_alias=True),
            "models": (),
            "verdict": "warn",
            "reasons": ({"kind": kind, "model": "net"},),
        }
    )
    assert state in text(made)
    assert headline(Content(made, registered_words())) == "No model was compared: models are new or gone"
