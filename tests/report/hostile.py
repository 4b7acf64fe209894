"""Reports whose every text was written by somebody who means harm."""

from __future__ import annotations

from tests.report import cases
from validator.results import (
    DecodeResult,
    Failure,
    Finding,
    FirstDifference,
    LayerResult,
    ModelResult,
    Report,
)

NASTY = (
    "<!-- keras-validator:default --></details></td>|`@octocat #1 [x](https://evil.example) "
    "![](https://evil.example/x.png) <img src=x onerror=alert(1)> \x1b[31m\u202e www.evil.example\n"
    "\n# heading\n"
)


def hostile_report(name: str = NASTY, models: int = 3, log: str = NASTY * 50) -> Report:
    """A failed run of `models` models; `name` stands wherever a name or message can."""
    return cases.report(
        "fail",
        *(_model(f"{name}{at}", name, log) for at in range(models)),
        environments=(
            cases.environment(cases.BASE, "baseline"),
            cases.environment(cases.HEAD).model_copy(
                update={"name": name, "packages": {name: name, "numpy": "2"}, "cpu": name, "keras": name}
            ),
        ),
        reasons=(name,) * 5,
    ).model_copy(update={"commit": name, "tool": name, "not_compared": (name,) * 9, "configuration": name})


def _layer(name: str, at: int) -> LayerResult:
    return LayerResult(
        layer=f"{name}{at}",
        class_name=name,
        by_itself=at,
        inherited=at * 2.0,
        valid=0.0,
        padded=9.0,
        kind="value" if at % 2 else "inherited",
        message=f"{name}{chr(65 + at)}",
    )


def _decoded(name: str) -> DecodeResult:
    decoded = cases.decoded()
    assert decoded.first is not None
    texts = {"prompt_text": name, "baseline_text": name, "candidate_text": name}
    return decoded.model_copy(
        update={"message": name, "notes": (name,), "first": decoded.first.model_copy(update=texts)}
    )


def _model(model: str, name: str, log: str) -> ModelResult:
    failure = Failure(stage="load", error=name, message=f"{name}\n{log}", log=log)
    changed = cases.changed(model).model_copy(
        update={
            "cell": name,
            "environment": name,
            "variant": name,
            "message": name,
            "reproduce": name,
            "gated": (name,),
            "first_difference": FirstDifference(layer=name, class_name=name, kind="value", message=name),
            "findings": tuple(Finding(kind=kind, message=name) for kind in ("cause", "way-out", "other")),
            "layers": tuple(_layer(name, at) for at in range(50)),
            "decode": _decoded(name),
            "outputs": tuple(
                output.model_copy(update={"name": name, "rule": name, "message": name, "dtype": name})
                for output in cases.changed(model).outputs
            ),
            "accuracy": cases.accuracy(0.9, 0.1, worse=True).model_copy(
                update={
                    "metrics": tuple(
                        one.model_copy(update={"metric": name, "message": name, "output": name})
                        for one in cases.accuracy(0.9, 0.1, worse=True).metrics
                    )
                }
            ),
        }
    )
    failed = changed.model_copy(update={"verdict": "failed", "failure": failure})
    return ModelResult(name=model, cells=(changed, failed))
