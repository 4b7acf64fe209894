"""Reports whose every text was written by somebody who means harm."""

from __future__ import annotations

from tests.report import cases
from tests.report.toy import ToyComparison, ToyComparisons
from validator.failure import Failure
from validator.report.words import Place
from validator.upgrade.types import PackageChange, Upgrade
from validator.verdict.results import CellResult, ModelResult, Reason, Report

NASTY = (
    "<!-- keras-validator:default --></details></td>|`@octocat #1 [x](https://evil.example) "
    "![](https://evil.example/x.png) <img src=x onerror=alert(1)> \x1b[31m\u202e www.evil.example\n"
    "\n# heading\n"
)
_PLACES: tuple[Place, ...] = ("lead", "why", "do", "note", "hidden")


def hostile_report(name: str = NASTY, models: int = 3, log: str = NASTY * 50) -> Report:
    """A failed run of `models` models; `name` stands wherever a name or message can."""
    facts = {"name": name, "packages": {name: name, "numpy": "2"}, "cpu": name, "keras": name}
    change = PackageChange(name=name, old=name, new=name, manifest=name)
    return cases.report(
        "fail",
        *(_model(f"{name}{at}", name, log) for at in range(models)),
        environments=(
            cases.environment(cases.BASE, "baseline"),
            cases.environment(cases.HEAD).model_copy(update=facts),
        ),
        reasons=(Reason(kind="cell", cell=name), Reason(kind="error", error=name)) * 3,
        upgrade=Upgrade(changes=(change,) * 3, relevant=True),
    ).model_copy(update={"commit": name, "tool": name, "not_compared": (name,) * 9, "configuration": name})


def _model(model: str, name: str, log: str) -> ModelResult:
    failure = Failure(stage="load", error=name, message=f"{name}\n{log}", log=log)
    short = Failure(stage="import", error=name, message=name)
    score = cases.accuracy(0.9, 0.1, worse=True)
    metrics = tuple(each.model_copy(update={"metric": name, "output": name}) for each in score.metrics)
    checks = ToyComparisons(
        outputs=cases.output(0.53, 412.3, flips=87, output_name=name),
        accuracy=score.model_copy(update={"metrics": metrics}),
        toy=ToyComparison(rows=tuple(f"{name}{at}" for at in range(50))),
    )
    texts = {"cell": name, "environment": name, "variant": name, "reproduce": name, "message": name}
    remarks = tuple(cases.remark(place, name, name) for place in _PLACES)
    changed = _copied(cases.changed(model, checks=checks, findings=remarks), texts)
    failed = _copied(changed, {"verdict": "failed", "failure": failure})
    lost = _copied(changed, {"verdict": "not-compared", "failure": short, "gated": ()})
    return cases.model(model, changed, failed, lost)


def _copied(cell: CellResult, update: dict[str, object]) -> CellResult:
    return cell.model_copy(update=update)
