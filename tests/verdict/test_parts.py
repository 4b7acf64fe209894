"""Parts of shards become one report: judged once, honest about a missing shard, and mixed with none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from validator.checks.bands import CellVerdict
from validator.checks.loading.types import CellFailed, ShardMissing
from validator.checks.outputs.types import OutputFinding, OutputNumbers
from validator.config.settings import Gate
from validator.errors import CannotJudgeError, ConfigurationError
from validator.failure import Failure
from validator.upgrade.types import IrrelevantReason, ModelReason, PackageReason, UnreadReason, Upgrade
from validator.verdict.acceptances import AcceptanceNote, Accepted
from validator.verdict.parts import Part, PlannedCell, merge
from validator.verdict.results import CellResult, EnvironmentResult, ModelResult, Reason, Report

PACKAGE = PackageReason(name="keras", old="3.3.3", new="3.5.0", manifest="requirements.txt")
UPGRADE = Upgrade(changes=(), relevant=True, reasons=(PACKAGE,))
DEAD = Failure(stage="load", error="ValueError", message="dead")


def planned(model: str, environment: str, effect: str | None = None) -> PlannedCell:
    return PlannedCell.model_validate(
        {
            "cell": f"{model}@{environment}",
            "model": model,
            "environment": environment,
            "variant": "",
            "effect": effect,
            "reproduce": f"keras-validator run --only {model}@{environment}",
        }
    )


SHARDS = (
    (planned("a", "k5"), planned("b", "k5")),
    (planned("a", "k6"),),
    (planned("b", "k6"),),
)


def result(cell: PlannedCell, verdict: CellVerdict = "identical", **more: object) -> CellResult:
    comparison = {
        **dict.fromkeys(("baseline_dtype", "candidate_dtype"), "float32"),
        **dict.fromkeys(("baseline_shape", "candidate_shape"), (2, 3)),
        "name": "y",
        "compared": True,
        "identical": verdict == "identical",
        "size": 6,
        "mismatched": 0 if verdict in ("identical", "rounding") else 6,
        "max_abs": 0.5,
        "tolerance": {"atol": 0.1, "rtol": 0.0},
    }
    numbers = OutputNumbers.model_validate({"name": "y", "comparison": comparison})
    rule = "bytes" if verdict == "identical" else "exact"
    findings = (OutputFinding(output="y", rule=rule, numbers=numbers, verdict=verdict),)
    return CellResult.model_validate(
        {
            "cell": cell.cell,
            "environment": cell.environment,
            "variant": cell.variant,
            "verdict": verdict,
            "findings": findings,
            **more,
        }
    )


def report(*models: ModelResult, **more: object) -> Report:
    values = {
        "verdict": "pass",
        "reasons": (),
        "baseline": "k3",
        "upgrade": UPGRADE,
        "environments": (),
        "models": models,
        "tool": "1.0",
        "configuration": "validator.yml",
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 2.0,
        "commit": "c" * 40,
        **more,
    }
    return Report.model_validate(values)


def part(
    shard: int, *cells: CellResult, shards: tuple[tuple[PlannedCell, ...], ...] = SHARDS, **more: object
) -> Part:
    models: dict[str, list[CellResult]] = {}
    for cell in cells:
        models.setdefault(cell.cell.split("@")[0], []).append(cell)
    made = report(*(ModelResult(name=name, cells=tuple(own)) for name, own in models.items()), **more)
    return Part(shard=shard, baseline="k3", settings="s", gate=Gate(), shards=shards, report=made)


FIRST = part(1, result(SHARDS[0][0]), result(SHARDS[0][1]))
SECOND = part(2, result(SHARDS[1][0], "rounding"), seconds=9.0)
THIRD = part(3, result(SHARDS[2][0]))


def cells(merged: Report) -> dict[str, str]:
    return {cell.cell: cell.verdict for model in merged.models for cell in model.cells}


def test_all_parts_in_any_order_are_one_report() -> None:
    merged = merge([THIRD, FIRST, SECOND])
    assert (merged.verdict, merged.reasons) == ("pass", ())
    assert cells(merged) == {
        "a@k6": "rounding",
        "a@k5": "identical",
        "b@k5": "identical",
        "b@k6": "identical",
    }
    assert [model.name for model in merged.models] == ["a", "b"]
    assert (merged.seconds, merged.commit, merged.upgrade) == (9.0, "c" * 40, UPGRADE)
    assert merge([FIRST, SECOND, THIRD]) == merged


def test_the_gate_is_applied_to_all_of_them_whatever_the_parts_say() -> None:
    moved = part(2, result(SHARDS[1][0], "changed", gated=()))
    merged = merge([FIRST, moved, THIRD])
    assert merged.verdict == "fail"
    assert merged.reasons == (Reason(kind="cell", cell="a@k6", rules=("changed",)),)


def test_the_cells_of_a_missing_shard_are_not_compared_and_the_run_is_inconclusive() -> None:
    merged = merge([FIRST, THIRD])
    assert merged.verdict == "inconclusive"
    assert merged.reasons == (Reason(kind="shard-missing", shard="2/3"),)
    assert merged.not_compared == ("a@k6",)
    lost = next(cell for model in merged.models for cell in model.cells if cell.cell == "a@k6")
    assert lost.findings == (ShardMissing(shard="2/3", verdict="not-compared"),)
    assert lost.reproduce == "keras-validator run --only a@k6"
    assert lost.gated == ()


def test_a_missing_shard_says_why_where_that_is_known() -> None:
    merged = merge([FIRST, THIRD], {2: "its disk is\nfull"})
    lost = next(cell for model in merged.models for cell in model.cells if cell.cell == "a@k6")
    assert lost.findings == (ShardMissing(shard="2/3", why="its disk is full", verdict="not-compared"),)
    assert merged.verdict == "inconclusive"


def test_a_cell_that_fails_the_gate_does_so_without_the_missing_shards_too() -> None:
    failed = result(SHARDS[1][0], "failed", failure=DEAD)
    failed = failed.model_copy(update={"findings": (CellFailed(failure=DEAD, verdict="failed"),)})
    merged = merge([part(2, failed)])
    assert merged.verdict == "fail"
    assert [reason.kind for reason in merged.reasons] == ["cell", "shard-missing", "shard-missing"]
    assert [reason.shard for reason in merged.reasons[1:]] == ["1/3", "3/3"]


def test_no_part_at_all_cannot_be_judged() -> None:
    with pytest.raises(CannotJudgeError, match="no shard left a part"):
        merge([])


def _other(**more: object) -> Part:
    return part(2, result(SHARDS[1][0]), **more)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (_other(commit="d" * 40), "the commit of shard 2/3 is not that of shard 1/3"),
        (_other(tool="1.1"), "the version of keras-validator"),
        (_other(configuration="other/validator.yml"), "the settings"),
        (_other(upgrade=None), "the upgrade"),
        (_other().model_copy(update={"settings": "t"}), "the settings"),
        (_other().model_copy(update={"gate": Gate(fail_on=())}), "the settings"),
        (_other().model_copy(update={"baseline": "k4"}), "the plan"),
        (_other().model_copy(update={"shards": (SHARDS[0], SHARDS[1], (planned("c", "k6"),))}), "the plan"),
        (_other().model_copy(update={"shards": SHARDS[:2]}), "shard 2/2 do not belong together"),
        (FIRST, "shard 1/3 is there twice"),
    ],
)
def test_parts_of_different_runs_are_not_mixed(other: Part, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        merge([FIRST, other])


def _with(change: Callable[[Report], dict[str, object]]) -> Part:
    return FIRST.model_copy(update={"report": FIRST.report.model_copy(update=change(FIRST.report))})


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        (part(1, result(SHARDS[0][0])), "it has no result of 'b@k5'"),
        (part(1, *(result(cell) for cell in (*SHARDS[0], *SHARDS[1]))), "'a@k6', which is not its cell"),
        (_with(lambda own: {"models": (*own.models, own.models[0])}), "two results of one cell"),
        (
            _with(lambda own: {"models": (own.models[0].model_copy(update={"name": "z"}), own.models[1])}),
            "not its cell",
        ),
        (
            part(1, result(SHARDS[0][0]), result(SHARDS[0][1]).model_copy(update={"verdict": "rounding"})),
            "not that of its findings",
        ),
        (part(1, result(SHARDS[0][0]), result(SHARDS[0][1], findings=())), "not that of its findings"),
        (FIRST.model_copy(update={"shard": 4}), "there are 3 shards"),
        (part(1, result(SHARDS[0][0]), shards=((SHARDS[0][0],), (SHARDS[0][0],))), "a cell twice"),
    ],
)
def test_a_part_that_contradicts_itself_is_refused(forged: Part, words: str) -> None:
    with pytest.raises(CannotJudgeError, match=words):
        merge([forged])


def test_a_changed_models_own_effect_may_be_part_of_another_result() -> None:
    shards = ((planned("a", "base", "model"), planned("a", "head", "packages")),)
    joined = part(1, result(shards[0][1], effect="both"), shards=shards)
    assert cells(merge([joined])) == {"a@head": "identical"}
    with pytest.raises(CannotJudgeError, match="no result of 'a@base'"):
        merge([part(1, result(shards[0][1], effect="packages"), shards=shards)])


def _environments(*sides: tuple[str, str, str]) -> tuple[EnvironmentResult, ...]:
    return tuple(
        EnvironmentResult(name=name, packages={"keras": keras} if keras else {}, cpu=cpu)
        for name, keras, cpu in sides
    )


def test_an_environment_of_several_shards_is_in_the_report_once_with_every_processor() -> None:
    first = FIRST.model_copy(
        update={
            "report": FIRST.report.model_copy(
                update={"environments": _environments(("k5", "5", "X"), ("k3", "3", "X"))}
            )
        }
    )
    second = SECOND.model_copy(
        update={
            "report": SECOND.report.model_copy(
                update={"environments": _environments(("k3", "3", "Y"), ("k6", "6", "Y"))}
            )
        }
    )
    merged = merge([first, second, THIRD])
    assert [(each.name, each.role, each.cpu) for each in merged.environments] == [
        ("k3", "baseline", "X | Y"),
        ("k5", "candidate", "X"),
        ("k6", "candidate", "Y"),
    ]


def test_an_environment_that_was_installed_with_other_packages_in_another_shard_is_refused() -> None:
    first, second = (
        each.model_copy(
            update={
                "report": each.report.model_copy(update={"environments": _environments(("k3", keras, "X"))})
            }
        )
        for each, keras in ((FIRST, "3.3.3"), (SECOND, "3.3.4"))
    )
    with pytest.raises(
        CannotJudgeError, match=r"'k3' of shard 2/3 has 'keras' '3\.3\.4' instead of '3\.3\.3'"
    ):
        merge([first, second])


@pytest.mark.parametrize(
    ("reasons", "relevant", "verdict", "kinds"),
    [
        ((IrrelevantReason(),), False, "pass", ["irrelevant"]),
        ((UnreadReason(path="setup.py", old="a", new="b"),), True, "inconclusive", ["undecided"]),
        ((ModelReason(model="m", state="added"),), True, "warn", ["model-added"]),
        ((PACKAGE,), True, "inconclusive", ["nothing-compared"]),
    ],
)
def test_where_nothing_was_run_the_upgrade_decides_and_not_the_part(
    reasons: tuple[object, ...], relevant: bool, verdict: str, kinds: list[str]
) -> None:
    upgrade = Upgrade.model_validate({"changes": (), "relevant": relevant, "reasons": reasons})
    merged = merge([part(number, shards=((), ()), upgrade=upgrade) for number in (1, 2)])
    assert merged.verdict == verdict
    assert [reason.kind for reason in merged.reasons] == kinds
    assert merged.models == ()


def test_what_a_shard_found_of_the_jobs_files_is_not_lost() -> None:
    touched = Reason(kind="step-files", files=("GITHUB_OUTPUT",))
    shard = part(2, result(SHARDS[1][0]), verdict="inconclusive", reasons=(touched,))
    merged = merge([FIRST, shard, THIRD])
    assert (merged.verdict, merged.reasons) == ("inconclusive", (touched,))


@pytest.mark.parametrize(
    ("states", "merged_state"),
    [
        (("on", "on", "on"), "on"),
        (("on", "unavailable", "on"), "unavailable"),
        (("on", None, "off"), "off"),
        ((None, None, None), None),
    ],
)
def test_models_were_confined_where_they_were_on_every_machine(
    states: tuple[str | None, ...], merged_state: str | None
) -> None:
    parts = (FIRST, SECOND, THIRD)
    merged = merge(
        [
            each.model_copy(update={"report": each.report.model_copy(update={"sandbox": state})})
            for each, state in zip(parts, states, strict=True)
        ]
    )
    assert merged.sandbox == merged_state


def note(kind: str, cell: str) -> AcceptanceNote:
    return AcceptanceNote.model_validate(
        {"kind": kind, "cell": cell, "packages": {"keras": "3.3.3 -> 3.5.0"}, "by": "Ada"}
    )


def test_an_acceptance_is_judged_by_the_shard_that_ran_its_cell() -> None:
    """The others have no use for it, and say so."""
    expired, unused = note("expired", "a@k6"), note("unused", "a@k6")
    accepted = Accepted.model_validate({"by": "Ada", "reason": "right", "created": date(2026, 11, 28)})
    covered = result(SHARDS[2][0], "changed", accepted=accepted)
    elsewhere = (unused, note("unused", "b@k6"), note("unknown-model", "gone@k6"))
    first = part(1, result(SHARDS[0][0]), result(SHARDS[0][1]), acceptances=elsewhere)
    second = part(2, result(SHARDS[1][0]), acceptances=(expired, note("unused", "b@k6")))
    merged = merge([first, second, part(3, covered, acceptances=(unused,))])
    assert merged.acceptances == (note("unknown-model", "gone@k6"), expired)
    assert (merged.verdict, merged.models[1].cells[0].accepted) == ("warn", accepted)
