"""Reports of every kind a reader can meet, as values. The numbers are invented, the shapes are real."""

from __future__ import annotations

from typing import Any, Literal

from tests.report.toy import (
    ToyCellResult,
    ToyComparison,
    ToyComparisons,
    ToyFinding,
    ToyModelResult,
    ToyReport,
)
from validator.checks.accuracy.types import AccuracyComparison, MetricResult, ReportedMetric
from validator.checks.bands import CellVerdict
from validator.checks.outputs.types import OutputNumbers, OutputsComparison
from validator.config.settings import Tolerance
from validator.failure import Failure, Stage
from validator.numbers.distance import TensorComparison, Worst
from validator.numbers.drift import Drift, GrainDrift
from validator.report.words import Place
from validator.upgrade.types import IrrelevantReason, PackageChange, Upgrade
from validator.verdict.results import CellResult, EnvironmentResult, ModelResult, Reason, Report, Verdict

BASE = "keras-3.3.3"
HEAD = "keras-3.5.0"
COMMIT = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
LIBRARIES = (
    "absl-py astunparse certifi charset-normalizer flatbuffers gast google-pasta grpcio h5py idna libclang "
    "markdown markdown-it-py markupsafe mdurl ml-dtypes namex opt-einsum optree packaging protobuf pygments "
    "requests rich setuptools six tensorboard tensorboard-data-server tensorflow-io-gcs-filesystem termcolor "
    "typing-extensions urllib3 werkzeug wheel wrapt"
)
PACKAGES = {"tensorflow-cpu": "2.17.1", "numpy": "1.26.4"} | dict.fromkeys(LIBRARIES.split(), "1.0.0")

GPU_LOG = "\n".join(
    f"2024-06-0{day} 12:00:00.{day}00000: I tensorflow/core/util/port.cc:153] oneDNN operations are on."
    for day in range(1, 6)
)


def environment(
    name: str, role: Literal["baseline", "candidate"] = "candidate", failure: Failure | None = None
) -> EnvironmentResult:
    """An environment of that name, `keras-VERSION` or `legacy`."""
    if failure is not None:
        return EnvironmentResult(name=name, role=role, failure=failure)
    keras = "tf_keras 2.17.0" if name == "legacy" else name.replace("-", " ")
    module, version = keras.split(" ")
    own = {module.replace("_", "-"): version}
    return EnvironmentResult(
        name=name,
        role=role,
        packages=PACKAGES | {"keras": "3.3.3"} | own,
        python="3.11.7",
        cpu="Intel Xeon, avx2 avx512f",
        keras=keras,
        backend="tensorflow",
        seconds=4.1,
    )


def accuracy(
    before: float, after: float, *, worse: bool = False, reported: tuple[float, float] | None = None
) -> AccuracyComparison:
    """An accuracy before and after, and what the framework reports if that is given."""
    reports = reported or (before, after)
    return AccuracyComparison(
        metrics=(
            MetricResult(
                metric="accuracy",
                output="output",
                samples=360,
                units=360,
                baseline=before,
                candidate=after,
                delta=after - before,
                worse=worse,
                low=after - before - 0.02,
                high=after - before + 0.02,
                p=0.0002 if worse else 0.5,
                decision="worse" if worse else "not-worse",
                reason="significant" if worse else "within-margin",
            ),
        ),
        reported=(ReportedMetric(name="accuracy", baseline=reports[0], candidate=reports[1]),),
    )


def moved(times: float, size: float = 1e-6) -> Drift:
    """A drift that is so many times the noise in all elements together."""
    grain = GrainDrift(grain="all", ratio=times, times=times, reach=1.0, size=size)
    return Drift(method="operations", members=8, rows=360, ratio=times, grains=(grain,))


def output(
    max_abs: float, noise: float | None = None, flips: int = 0, output_name: str = "output"
) -> OutputsComparison:
    """One output that moved so far; `noise` is drift ÷ noise."""
    rms = max_abs / 4
    comparison = TensorComparison(
        name=output_name,
        baseline_dtype="float32",
        candidate_dtype="float32",
        baseline_shape=(360, 10),
        candidate_shape=(360, 10),
        compared=True,
        identical=not max_abs,
        problems=(),
        size=3600,
        mismatched=1203 if flips else 0,
        tolerance=Tolerance(rtol=1e-5, atol=1e-6),
        max_abs=max_abs,
        max_rel=max_abs * 3,
        rms=rms,
        flips=flips,
        rows=360,
        worst=Worst(index=(17, 3), baseline=0.1234567, candidate=0.1234567 + max_abs) if max_abs else None,
    )
    drift = None if noise is None else moved(noise, rms)
    return OutputsComparison(
        samples=(360, 360),
        outputs=(OutputNumbers(name=output_name, comparison=comparison, drift=drift),),
    )


def remark(place: Place, says: str, subject: str = "", **more: Any) -> ToyFinding:
    """A finding that has its place."""
    return ToyFinding(place=place, says=says, subject=subject, **more)


def _cell(model: str, where: str, verdict: CellVerdict, variant: str = "", **more: Any) -> CellResult:
    cell_name = f"{model}@{where}" + (f"+{variant}" if variant else "")
    return ToyCellResult(
        cell=cell_name,
        environment=where,
        variant=variant,
        verdict=verdict,
        seconds=1.2,
        reproduce=f"nox -s validate -- --config validator.yml --only {cell_name}",
        **more,
    )


def identical(model: str, where: str = HEAD, variant: str = "", score: float = 0.983) -> CellResult:
    checks = ToyComparisons(outputs=output(0.0, 0.0), accuracy=accuracy(score, score))
    return _cell(model, where, "identical", variant, checks=checks)


def rounding(model: str, where: str = HEAD, max_abs: float = 1.5e-7, noise: float = 0.5) -> CellResult:
    checks = ToyComparisons(outputs=output(max_abs, noise), accuracy=accuracy(0.983, 0.983))
    return _cell(model, where, "rounding", checks=checks)


def changed(model: str, where: str = HEAD, **more: Any) -> CellResult:
    """The causal mask of a decoder is ignored in bfloat16."""
    values: dict[str, Any] = {
        "checks": ToyComparisons(
            outputs=output(0.53, 412.3, flips=87),
            accuracy=accuracy(0.613, 0.341, worse=True),
            toy=ToyComparison(rows=tuple(f"layer_{at}" for at in range(50))),
        ),
        "gated": ("changed", "accuracy"),
        "findings": (
            remark("lead", "attention is not causal", verdict="changed"),
            remark("hidden", "never shown in the comment"),
            remark("note", "ten training steps are identical", verdict="identical"),
            remark("note", "the artifact was loaded by its builder"),
            remark("note", "continuation diverges at step 3", verdict="changed"),
            remark("why", "casts boolean inputs since 3.5.0", "DTypePolicy", issue=19920),
            remark("why", "ignores a mask that is not boolean", "block_0/attention"),
            remark("do", "restores parity in this run", "keras>=3.10"),
        ),
    }
    return _cell(model, where, "changed", **(values | more))


def metric_only(model: str, where: str = "legacy") -> CellResult:
    reports = accuracy(0.610, 0.610, reported=(0.610, 0.099))
    return _cell(
        model,
        where,
        "metric-only",
        checks=ToyComparisons(outputs=output(2.4e-7, 0.6), accuracy=reports),
        findings=(
            remark("lead", "the framework reports 0.099 instead of 0.610", verdict="metric-only"),
            remark("why", "ignores the mask in compiled metrics", "Keras 3.0 to 3.11.3", issue=21569),
        ),
    )


def failed(model: str, where: str, stage: Stage, error: str, message: str) -> CellResult:
    failure = Failure(stage=stage, error=error, message=message, log=f"{GPU_LOG}\n{error}: {message}")
    return _cell(model, where, "failed", failure=failure, gated=("failed",))


def not_compared(model: str, where: str = HEAD, message: str = "DLL load failed") -> CellResult:
    """Its baseline failed."""
    failure = Failure(stage="import", error="ImportError", message=message)
    return _cell(model, where, "not-compared", failure=failure)


def suspicious(model: str, where: str = HEAD, **more: Any) -> CellResult:
    return _cell(model, where, "suspicious", checks=ToyComparisons(outputs=output(3e-6, 2.9)), **more)


def report(
    verdict: Verdict,
    *models: ModelResult,
    environments: tuple[EnvironmentResult, ...] = (),
    reasons: tuple[Reason, ...] = (),
    upgrade: Upgrade | None = None,
) -> Report:
    """A run of these models, by default of the upgrade keras 3.3.3 → 3.5.0."""
    change = PackageChange(name="keras", old="3.3.3", new="3.5.0", manifest="requirements.txt", line=3)
    ran = environments or (environment(BASE, "baseline"), environment(HEAD))
    cells = [cell for model in models for cell in model.cells]
    return ToyReport(
        verdict=verdict,
        reasons=reasons
        or tuple(Reason(kind="cell", cell=cell.cell, rules=cell.gated) for cell in cells if cell.gated),
        baseline=BASE,
        upgrade=upgrade or Upgrade(changes=(change,), relevant=True, source="dependabot"),
        environments=ran,
        models=models,
        not_compared=tuple(cell.cell for cell in cells if cell.verdict == "not-compared"),
        tool="0.1.0",
        configuration="validator.yml",
        started="2024-06-01T12:00:00Z",
        seconds=41.3,
        commit=COMMIT,
    )


def model(model_name: str, *cells: CellResult) -> ModelResult:
    return ToyModelResult(name=model_name, cells=cells)


MATRIX = (environment(BASE, "baseline"), environment(HEAD), environment("legacy"))


def all_identical() -> Report:
    return report("pass", *(model(name, identical(name)) for name in ("digits", "translator", "llama")))


def only_rounding() -> Report:
    return report(
        "pass",
        model("digits", identical("digits"), rounding("digits", "legacy")),
        model(
            "translator", rounding("translator", max_abs=9e-8, noise=0.31), identical("translator", "legacy")
        ),
        environments=MATRIX,
    )


def something_changed() -> Report:
    """The comment at its best: every kind of cell, with causes and ways out."""
    return report(
        "fail",
        model("llama", changed("llama"), identical("llama", HEAD, "float32", 0.615)),
        model("translator", identical("translator", score=0.610), metric_only("translator")),
        model("digits", identical("digits"), rounding("digits", "legacy")),
        environments=MATRIX,
    )


def metrics_only() -> Report:
    return report(
        "warn",
        model("translator", metric_only("translator")),
        model("digits", identical("digits", "legacy")),
        environments=(environment(BASE, "baseline"), environment("legacy")),
        reasons=(Reason(kind="cell", cell="translator@legacy"),),
    )


NO_SOLUTION = (
    "No solution found when resolving dependencies: Because tensorflow-cpu==2.17.1 depends on numpy<2.0.0 "
    "and you require numpy==2.1.0, we can conclude that your requirements are unsatisfiable."
)


def failed_to_install() -> Report:
    failure = Failure(stage="resolve", error="uv", message=NO_SOLUTION, hint="requirements")
    names = ("digits", "translator", "llama")
    lost = {name: failed(name, HEAD, "resolve", "uv", NO_SOLUTION) for name in names}
    return report(
        "fail",
        *(
            model(name, lost[name].model_copy(update={"failure": failure}), identical(name, "legacy"))
            for name in names
        ),
        environments=(
            environment(BASE, "baseline"),
            environment(HEAD, failure=failure),
            environment("legacy"),
        ),
    )


def failed_to_load() -> Report:
    message = (
        "Could not locate class 'BahdanauAttention'. Make sure custom classes are decorated with "
        "`@keras.saving.register_keras_serializable()`. Full object config: {'module': 'my_model.layers'}"
    )
    return report(
        "fail",
        model("translator", failed("translator", HEAD, "load", "TypeError", message)),
        model("digits", identical("digits")),
    )


def accuracy_fell() -> Report:
    checks = ToyComparisons(outputs=output(0.041, 9.7, flips=16), accuracy=accuracy(0.983, 0.950, worse=True))
    cell = _cell("digits", HEAD, "changed", checks=checks, gated=("accuracy",))
    return report(
        "fail",
        model("digits", cell),
        model("translator", rounding("translator")),
    )


def far_too_much(models: int = 40) -> Report:
    """40 models × 6 cells, a third of them with something to say, and long logs."""
    names = [f"recommender-tower-{at:02d}-production" for at in range(models)]
    where = [f"keras-3.{minor}.0" for minor in range(5, 11)]
    return report(
        "fail",
        *(model(name, *(_some(name, at, place) for place in where)) for at, name in enumerate(names)),
        environments=(environment(BASE, "baseline"), *(environment(place) for place in where)),
    )


def _some(name: str, at: int, where: str) -> CellResult:
    if at % 3:
        return rounding(name, where) if at % 2 else identical(name, where)
    if at % 4 == 0:
        log = f"step {at}\n" * 400
        return failed(
            name, where, "predict", "InvalidArgumentError", f"Graph execution error in {name}\n{log}"
        )
    return changed(name, where)


def nothing_relevant() -> Report:
    changes = (
        PackageChange(name="requests", old="2.32.3", new="2.32.4", manifest="requirements.txt", line=7),
        PackageChange(name="certifi", old="2024.6.2", new="2024.8.30", direct=False, manifest="uv.lock"),
    )
    reasons = (IrrelevantReason(packages=2),)
    upgrade = Upgrade(changes=changes, relevant=False, source="dependabot", reasons=reasons)
    return report("pass", upgrade=upgrade, reasons=(Reason(kind="irrelevant"),)).model_copy(
        update={"environments": (), "baseline": "", "seconds": 0.4}
    )


def baseline_unusable() -> Report:
    message = "DLL load failed\nImportError: libcudart.so.12: cannot open shared object file"
    failure = Failure(stage="import", error="ImportError", message=message, log=f"{GPU_LOG}\n{message}")
    return report(
        "inconclusive",
        model("digits", not_compared("digits")),
        model("translator", not_compared("translator")),
        environments=(environment(BASE, "baseline", failure), environment(HEAD)),
        reasons=(Reason(kind="cell", cell="digits@keras-3.5.0"),),
    )


CASES = {
    "all-identical": all_identical,
    "rounding": only_rounding,
    "changed": something_changed,
    "metric-only": metrics_only,
    "failed-to-install": failed_to_install,
    "failed-to-load": failed_to_load,
    "accuracy-fell": accuracy_fell,
    "too-much": far_too_much,
    "nothing-relevant": nothing_relevant,
    "baseline-unusable": baseline_unusable,
}
