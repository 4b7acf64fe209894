"""Reports of every kind a reader can meet, as values. The numbers are invented, the shapes are real."""

from __future__ import annotations

from typing import Literal

from validator.results import (
    Accuracy,
    CellResult,
    CellVerdict,
    DecodeDivergence,
    DecodeResult,
    DecodeStatistics,
    DecodeStep,
    Element,
    EnvironmentResult,
    Failure,
    Finding,
    FirstDifference,
    LayerResult,
    MetricResult,
    ModelResult,
    OutputResult,
    PackageChange,
    Report,
    ReportedMetric,
    Stage,
    TrainingCause,
    TrainingResult,
    Upgrade,
    Verdict,
    WayOut,
)

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
) -> Accuracy:
    """An accuracy before and after, and what the framework reports if that is given."""
    told = reported or (before, after)
    return Accuracy(
        metrics=(
            MetricResult(
                metric="accuracy",
                output="output",
                samples=360,
                baseline=before,
                candidate=after,
                delta=after - before,
                worse=worse,
                units=360,
                low=after - before - 0.02,
                high=after - before + 0.02,
                p=0.0002 if worse else 0.5,
                decision="worse" if worse else "not-worse",
                message="14 right before and wrong after, 2 the reverse" if worse else "",
            ),
        ),
        reported=(
            ReportedMetric(name="accuracy", baseline=told[0], candidate=told[1], differs=told[0] != told[1]),
        ),
    )


def output(verdict: CellVerdict, max_abs: float, noise: float | None = None, flips: int = 0) -> OutputResult:
    """One output with that verdict; `noise` is drift ÷ noise."""
    rules = {
        "identical": "bytes equal",
        "rounding": "drift below 2× the measured noise",
        "suspicious": "drift between 2× and 4× the measured noise",
    }
    return OutputResult(
        name="output",
        verdict=verdict,
        rule=rules.get(verdict, "drift above 4× the measured noise"),
        dtype="float32",
        shape=(360, 10),
        max_abs=max_abs,
        max_rel=max_abs * 3,
        rms=max_abs / 4,
        noise_rms=None if noise is None else max_abs / 4 / noise if noise else 1e-8,
        noise_ratio=noise,
        cosine=1.0,
        mismatched=0 if verdict in ("identical", "rounding") else 1203,
        size=3600,
        flips=flips,
        rows=360,
        worst=Element(index=(17, 3), baseline=0.1234567, candidate=0.1234567 + max_abs) if max_abs else None,
    )


def identical(model: str, where: str = HEAD, variant: str = "", score: float = 0.983) -> CellResult:
    return _cell(model, where, "identical", variant).model_copy(
        update={"outputs": (output("identical", 0.0, 0.0),), "accuracy": accuracy(score, score)}
    )


def rounding(model: str, where: str = HEAD, max_abs: float = 1.5e-7, noise: float = 0.5) -> CellResult:
    return _cell(model, where, "rounding").model_copy(
        update={"outputs": (output("rounding", max_abs, noise),), "accuracy": accuracy(0.983, 0.983)}
    )


LAYERS = (
    LayerResult(layer="embedding", class_name="Embedding", by_itself=0.0, inherited=0.0, kind="same"),
    LayerResult(
        layer="causal_mask",
        class_name="Lambda",
        by_itself=0.0,
        inherited=0.0,
        kind="dtype",
        message="`causal_mask` gives bfloat16 where it gave bool",
    ),
    LayerResult(
        layer="block_0/attention",
        class_name="GroupedQueryAttention",
        by_itself=398.2,
        inherited=398.2,
        kind="value",
        message="causal mask ignored",
    ),
    LayerResult(
        layer="block_0/mlp",
        class_name="SwiGLU",
        by_itself=0.9,
        inherited=391.0,
        valid=0.6,
        padded=412.0,
        kind="inherited",
    ),
)
TRAINING = TrainingResult(
    verdict="changed",
    message="training differs; optimiser: epsilon is 1e-8 here",
    causes=(
        TrainingCause(cause="initial weights", verdict="rounding", message="other draws"),
        TrainingCause(cause="optimiser", verdict="changed", step=0, message="epsilon is 1e-8 here"),
    ),
)


def decoded(kl: tuple[float | None, ...] = (0.02, 0.04, 0.11, 0.6, 0.41)) -> DecodeResult:
    """A decode that goes on otherwise at step 3; `kl` is the divergence of each step."""
    steps = (
        DecodeStep(
            step=at,
            samples=8,
            kl=one,
            kl_error=0.01,
            noise_kl=1e-6,
            delta_p=None,
            delta_p_rms=None,
            same_top=None,
        )
        for at, one in enumerate(kl)
    )
    return DecodeResult(
        verdict="changed",
        message="decode: prefill KL 2.1; steps KL 0.02 → 0.41 over 5 steps",
        samples=8,
        prefill=DecodeStatistics(positions=32, kl=2.1),
        steps=tuple(steps),
        noise_kl=8.6e-5,
        diverged=8,
        ties=1,
        first=DecodeDivergence(
            sample=2,
            step=3,
            baseline_token=282,
            candidate_token=332,
            margin=1.7,
            noise_margin=0.1,
            tie=False,
            baseline_tokens=(282,),
            candidate_tokens=(332,),
            prompt_text="john put the",
            baseline_text="red hat",
            candidate_text="red ring",
        ),
    )


def changed(model: str, where: str = HEAD) -> CellResult:
    """The causal mask of a decoder is ignored in bfloat16."""
    return _cell(model, where, "changed").model_copy(
        update={
            "message": "output `output` changed by 0.53 at [17, 3]; 1,203 of 3,600 elements are outside",
            "outputs": (output("changed", 0.53, 412.3, flips=87),),
            "accuracy": accuracy(0.613, 0.341, worse=True),
            "gated": ("changed", "accuracy"),
            "first_difference": FirstDifference(
                layer="block_0/attention",
                class_name="GroupedQueryAttention",
                kind="value",
                message="causal mask ignored",
            ),
            "layers": LAYERS,
            "decode": decoded(),
            "training": TRAINING,
            "ways_out": (
                WayOut(
                    axis="setting",
                    value="keras>=3.10",
                    setting="keras>=3.10",
                    cell=f"{model}@keras-3.10.0",
                    verdict="identical",
                    message="`keras>=3.10` (tried here: restores parity)",
                ),
            ),
            "findings": (
                Finding(kind="layers", message="1 of 14 layers differs by itself, 11 inherit"),
                Finding(kind="training", message="training, initial weights: other draws"),
                Finding(kind="training", message="training, optimiser: epsilon is 1e-8 here"),
                Finding(kind="decode", message=decoded().message),
                Finding(
                    kind="cause",
                    message="since 3.5.0 the dtype policy casts every layer input to bfloat16 "
                    "(https://github.com/keras-team/keras/issues/19920). Your boolean mask `causal_mask` "
                    "(Lambda) arrives as bfloat16, and `block_0/attention` only applies boolean masks. "
                    "Gone in 3.10.0.",
                ),
                Finding(kind="way-out", message="`keras>=3.10` (tried here: restores parity)"),
                Finding(kind="way-out", message="cast the mask back to bool in `block_0/attention`"),
            ),
        }
    )


def metric_only(model: str, where: str = "legacy") -> CellResult:
    return _cell(model, where, "metric-only").model_copy(
        update={
            "message": "same predictions, but `accuracy` as reported is 0.099 here and 0.610 in the baseline",
            "outputs": (output("rounding", 2.4e-7, 0.6),),
            "accuracy": accuracy(0.610, 0.610, reported=(0.610, 0.099)),
            "findings": (
                Finding(
                    kind="cause",
                    message="Keras 3.0 to 3.11.3 ignores the mask in compiled metrics "
                    "(https://github.com/keras-team/keras/pull/21569), so padding counts as wrong.",
                ),
                Finding(kind="way-out", message="judge by the predictions, or pass `sample_weight`"),
            ),
        }
    )


def failed(model: str, where: str, stage: Stage, error: str, message: str) -> CellResult:
    failure = Failure(stage=stage, error=error, message=message, log=f"{GPU_LOG}\n{error}: {message}")
    return _cell(model, where, "failed").model_copy(update={"failure": failure, "gated": ("failed",)})


def not_compared(model: str, where: str = HEAD, message: str = "") -> CellResult:
    said = message or "the baseline failed at import: ImportError: DLL load failed"
    return _cell(model, where, "not-compared").model_copy(
        update={"message": said, "findings": (Finding(kind="baseline", message=said),)}
    )


def _cell(model: str, where: str, verdict: CellVerdict, variant: str = "") -> CellResult:
    name = f"{model}@{where}" + (f"+{variant}" if variant else "")
    return CellResult(
        cell=name,
        environment=where,
        variant=variant,
        verdict=verdict,
        message="",
        seconds=1.2,
        reproduce=f"nox -s validate -- --config validator.yml --only {name}",
    )


def report(
    verdict: Verdict,
    *models: ModelResult,
    environments: tuple[EnvironmentResult, ...] = (),
    reasons: tuple[str, ...] = (),
    upgrade: Upgrade | None = None,
) -> Report:
    """A run of these models, by default of the upgrade keras 3.3.3 → 3.5.0."""
    change = PackageChange(name="keras", old="3.3.3", new="3.5.0", manifest="requirements.txt", line=3)
    ran = environments or (environment(BASE, "baseline"), environment(HEAD))
    return Report(
        verdict=verdict,
        reasons=reasons,
        baseline=BASE,
        upgrade=upgrade or Upgrade(changes=(change,), relevant=True, source="dependabot"),
        environments=ran,
        models=models,
        not_compared=tuple(
            cell.cell for model in models for cell in model.cells if cell.verdict == "not-compared"
        ),
        tool="0.1.0",
        configuration="validator.yml",
        started="2024-06-01T12:00:00Z",
        seconds=41.3,
        commit=COMMIT,
    )


def model(name: str, *cells: CellResult) -> ModelResult:
    return ModelResult(name=name, cells=cells)


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
        reasons=("llama@keras-3.5.0 changed.", "The accuracy of llama@keras-3.5.0 falls by 0.272."),
    )


def metrics_only() -> Report:
    return report(
        "warn",
        model("translator", metric_only("translator")),
        model("digits", identical("digits", "legacy")),
        environments=(environment(BASE, "baseline"), environment("legacy")),
        reasons=("translator@legacy reports another metric.",),
    )


NO_SOLUTION = (
    "No solution found when resolving dependencies:\n"
    "  ╰─▶ Because tensorflow-cpu==2.17.1 depends on numpy<2.0.0 and you require numpy==2.1.0,\n"
    "      we can conclude that your requirements are unsatisfiable."
)


def failed_to_install() -> Report:
    failure = Failure(stage="resolve", error="uv", message=NO_SOLUTION)
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
        reasons=("keras-3.5.0 failed to resolve.",),
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
        reasons=("translator@keras-3.5.0 failed to load.",),
    )


def accuracy_fell() -> Report:
    cell = _cell("digits", HEAD, "changed").model_copy(
        update={
            "message": "output `output` changed by 0.041 at [17, 3]; 1,203 of 3,600 elements are outside",
            "outputs": (output("changed", 0.041, 9.7, flips=16),),
            "accuracy": accuracy(0.983, 0.950, worse=True),
            "gated": ("accuracy",),
        }
    )
    return report(
        "fail",
        model("digits", cell),
        model("translator", rounding("translator")),
        reasons=("The accuracy of digits@keras-3.5.0 falls by 0.033 (allowed 0.01).",),
    )


def far_too_much(models: int = 40) -> Report:
    """40 models × 6 cells, a third of them with something to say, and long logs."""
    names = [f"recommender-tower-{at:02d}-production" for at in range(models)]
    where = [f"keras-3.{minor}.0" for minor in range(5, 11)]
    return report(
        "fail",
        *(model(name, *(_some(name, at, place) for place in where)) for at, name in enumerate(names)),
        environments=(environment(BASE, "baseline"), *(environment(place) for place in where)),
        reasons=tuple(f"{name} changed." for name in names[::3]),
    )


def _some(name: str, at: int, where: str) -> CellResult:
    if at % 3:
        return rounding(name, where) if at % 2 else identical(name, where)
    if at % 4 == 0:
        log = f"step {at}\n" * 400
        return failed(
            name, where, "predict", "InvalidArgumentError", f"Graph execution error in {name}\n{log}"
        )
    return changed(name, where).model_copy(update={"first_difference": None})


def nothing_relevant() -> Report:
    changes = (
        PackageChange(name="requests", old="2.32.3", new="2.32.4", manifest="requirements.txt", line=7),
        PackageChange(name="certifi", old="2024.6.2", new="2024.8.30", direct=False, manifest="uv.lock"),
    )
    upgrade = Upgrade(changes=changes, relevant=False, source="dependabot")
    return report("pass", upgrade=upgrade, environments=()).model_copy(
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
        reasons=("The baseline keras-3.3.3 failed to import Keras: nothing can be compared with it.",),
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
