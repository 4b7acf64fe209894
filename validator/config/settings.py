"""The settings of a run, as written in validator.yml. JSON Schema and docs are generated from them."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from validator.base import Frozen
from validator.config.checks import Arguments, DecodeSettings, Function, OnOff, TrainingSettings
from validator.config.limits import LimitSettings, SandboxSettings
from validator.config.references import addresses, is_remote, may_be_folder

Precision = Literal[
    "as-saved", "float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"
]
Jit = Annotated[Literal["as-saved", "on", "off"], OnOff]
Attention = Literal["as-saved", "flash-on", "flash-off"]
Onednn = Annotated[Literal["as-is", "on", "off"], OnOff]
Backend = Literal["tensorflow", "jax", "torch"]
GateRule = Literal[
    "changed",
    "suspicious",
    "failed",
    "accuracy",
    "metric-only",
    "not-compared",
    "nondeterministic",
    "training",
    "decode",
]

Axis = Literal["keras", "tensorflow", "backend", "precision", "jit", "onednn", "attention", "setting"]
EnvironmentAxis = Literal["keras", "tensorflow", "backend", "onednn"]

#: Names of the variants of all other axes.
_VARIANT_NAMES = frozenset(
    {*get_args(Precision), *get_args(Attention), "jit-on", "jit-off", "onednn-on", "onednn-off"}
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
Module = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")]
Direction = Literal["higher", "lower"]
Keep = Literal["all", "failed", "numbers"]
IndexStrategy = Literal["first-index", "unsafe-first-match", "unsafe-best-match"]
EnvironmentVariable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=200)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]


class Matrix(Frozen):
    """The axes. Every combination of their values is a cell of every model."""

    keras: tuple[Version, ...] = Field(
        default=(), description="Keras versions; `legacy` is tf-keras with `TF_USE_LEGACY_KERAS=1`."
    )
    tensorflow: tuple[Version, ...] = Field(
        default=(), description="TensorFlow versions. Each replaces the one in `requirements`."
    )
    backend: tuple[Backend, ...] = Field(default=(), description="Keras 3 backends: tensorflow, jax, torch.")
    precision: tuple[Precision, ...] = Field(
        default=("as-saved",), description="Dtype policies of the model."
    )
    jit: tuple[Jit, ...] = Field(default=("as-saved",), description="XLA compilation of the prediction.")
    attention: tuple[Attention, ...] = Field(
        default=("as-saved",), description="The flash attention switch of Keras 3.7.0 and newer."
    )
    onednn: tuple[Onednn, ...] = Field(default=("as-is",), description="Value of `TF_ENABLE_ONEDNN_OPTS`.")
    include: tuple[dict[EnvironmentAxis, str], ...] = Field(
        default=(), description="Additional combinations, each a mapping of axis to value."
    )
    exclude: tuple[dict[Axis | Literal["model"], str], ...] = Field(
        default=(),
        description="Combinations to leave out, each a mapping of axis or `model` to value; all must match.",
    )


class ModelMatrix(Frozen):
    """The variant axes of one model, where they differ from the common matrix."""

    precision: tuple[Precision, ...] | None = Field(default=None, description="Replaces `matrix.precision`.")
    jit: tuple[Jit, ...] | None = Field(default=None, description="Replaces `matrix.jit`.")
    attention: tuple[Attention, ...] | None = Field(default=None, description="Replaces `matrix.attention`.")
    setting: tuple[str, ...] = Field(
        default=("as-saved",), description="`as-saved` and names from `settings`."
    )


#: Set by other axes or by the worker, so a model's setting must not change them.
_TAKEN = frozenset({"KERAS_BACKEND", "TF_USE_LEGACY_KERAS", "KERAS_VALIDATOR_LIFELINE"})


class OwnSetting(Frozen):
    """A custom variant of a model. Its name becomes the name of the variant."""

    builder_arguments: Arguments = Field(
        default={}, description="Keyword arguments of the builder, added to the model's `builder_arguments`."
    )
    variables: dict[str, str] = Field(default={}, description="Environment variables of a separate worker.")

    @model_validator(mode="after")
    def _free(self) -> OwnSetting:
        taken = sorted(_TAKEN & self.variables.keys())
        if taken:
            raise ValueError(
                f"a setting cannot set {taken[0]}, which belongs to the environment; use the matrix"
            )
        return self


class ParitySettings(Frozen):
    """The workaround search: settings under which a changed cell agrees with its baseline again."""

    search: bool = Field(default=True, description="Search for a workaround where a cell changed.")
    seconds: float = Field(default=300, gt=0, description="Time limit of the workaround search.")
    precision: tuple[Precision, ...] | None = Field(
        default=None, description="Precisions to try. Default: those wider than the model's own."
    )
    jit: tuple[Jit, ...] = Field(default=("off", "on"), description="XLA settings to try.")
    attention: tuple[Attention, ...] = Field(
        default=("flash-off", "flash-on"), description="Flash attention settings to try."
    )


class Tolerance(Frozen):
    """Replaces the tolerances derived from the dtype of each output."""

    rtol: float = Field(ge=0, description="Relative tolerance.")
    atol: float = Field(ge=0, description="Absolute tolerance.")


class ModelSettings(Frozen):
    """One model, its recorded inputs, and what to check."""

    name: Name = Field(description="Name of the model in reports and cell ids.")
    artifact: str | None = Field(
        default=None,
        description="A .keras or .h5 file, or the folder of a SavedModel, an unzipped .keras, an MLflow "
        "model or a KerasHub preset; or its address (docs/remote.md).",
    )
    builder: Function | None = Field(default=None, description="`package.module:function` returning a model.")
    builder_arguments: Arguments = Field(default={}, description="Keyword arguments of `builder`.")
    weights: str | None = Field(default=None, description="Weights to load into the builder's model.")
    custom_objects: tuple[Module, ...] = Field(
        default=(), description="Modules with the custom layers, functions and classes of the artifact."
    )
    files: tuple[str, ...] = Field(
        default=(),
        description="Further files and folders that the model's code reads: a pull request that changes one "
        "changes the model.",
    )
    safe_mode: bool = Field(default=True, description="Keras' `safe_mode` when the artifact is loaded.")
    compile: bool = Field(
        default=True, description="Whether to load the saved loss, metrics and optimizer of the artifact."
    )
    signature: str = Field(default="serving_default", description="Signature of a SavedModel to call.")
    inputs: str = Field(
        default="",
        description="A recording, .npz, .npy or .parquet, its address, or `package.module:function`. May be "
        "left out where the artifact is an MLflow model with an input example.",
    )
    labels: str | None = Field(default=None, description="Labels: a recording, .npz, .npy or .parquet.")
    ignore_label: int | None = Field(default=None, description="Label that metrics ignore, such as padding.")
    classes: tuple[str, ...] = Field(
        default=(), description="Names along the last axis of outputs: of classes, or of columns."
    )
    metrics: tuple[str, ...] = Field(
        default=(),
        description="Metrics of predictions and labels: accuracy, top-5, f1, auc, mae, rmse, r2, iou, wer, "
        "cer, perplexity …, or `package.module:function`, which the validator's own process calls.",
    )
    directions: dict[Function, Direction] = Field(
        default={},
        description="Which way is better for a metric of your own: `higher` or `lower`. Without it any "
        "significant move counts.",
    )
    batch_size: int = Field(default=32, ge=1, description="Prediction batch size, the same in every cell.")
    tolerance: Tolerance | None = None
    decode: DecodeSettings | None = Field(
        default=None, description="Compare greedy decoding of a model that predicts the next token."
    )
    matrix: ModelMatrix = ModelMatrix()
    settings: dict[Name, OwnSetting] = Field(
        default={}, description="Custom variants by name, for the workaround search and `matrix.setting`."
    )
    training: TrainingSettings | None = Field(
        default=None, description="Compare training; `{}` uses the defaults."
    )

    @model_validator(mode="after")
    def _loadable(self) -> ModelSettings:
        if self.artifact is None and self.builder is None:
            raise ValueError(f"model {self.name!r} needs an artifact or a builder")
        if not self.inputs and not (self.artifact and may_be_folder(self.artifact)):
            raise ValueError(f"model {self.name!r} has no inputs; `keras-validator record` records them")
        if self.weights is not None and self.builder is None:
            raise ValueError(f"model {self.name!r} has weights but no builder")
        if self.metrics and self.labels is None:
            raise ValueError(f"model {self.name!r} has metrics but no labels")
        if self.training is not None and not self.compile and not (self.builder or self.training.function):
            raise ValueError(
                f"model {self.name!r} has training but compile: false; name training.function or a builder"
            )
        unknown = [name for name in self.directions if name not in self.metrics]
        if unknown:
            raise ValueError(f"model {self.name!r}: {unknown[0]!r} of directions is not in metrics")
        return self

    @model_validator(mode="after")
    def _own_settings(self) -> ModelSettings:
        for name, setting in self.settings.items():
            if name in _VARIANT_NAMES:
                raise ValueError(
                    f"model {self.name!r}: the setting {name!r} has the name of a built-in variant; rename it"
                )
            where = f"model {self.name!r}: the setting {name!r}"
            if not setting.builder_arguments and not setting.variables:
                raise ValueError(f"{where} is empty: it needs builder_arguments or variables")
            if not setting.builder_arguments:
                continue
            where += " has builder_arguments"
            if self.builder is None:
                raise ValueError(f"{where} but the model has no builder")
            if self.artifact is not None and self.weights is None:
                raise ValueError(f"{where}, which the artifact ignores; add weights for the builder")
        unknown = [name for name in self.matrix.setting if name not in {"as-saved", *self.settings}]
        if unknown:
            known = ", ".join(self.settings) or "none"
            raise ValueError(
                f"model {self.name!r}: unknown setting {unknown[0]!r} in matrix.setting; known: {known}"
            )
        return self


class EnvironmentSettings(Frozen):
    """How one environment differs from the common requirements."""

    requirements: tuple[str, ...] = Field(
        default=(), description="Requirements that replace or extend the common ones, by package name."
    )
    python: Version | None = Field(default=None, description="Python version of this environment.")
    variables: dict[str, str] = Field(default={}, description="Environment variables of its worker.")


class Gate(Frozen):
    """What fails a run."""

    fail_on: tuple[GateRule, ...] = Field(
        default=("changed", "failed", "accuracy", "not-compared", "training", "decode"),
        description="Rules that fail the run.",
    )
    max_accuracy_drop: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Non-inferiority margin: the largest drop of accuracy that passes.",
    )
    max_negative_flips: float | None = Field(
        default=None, ge=0, le=1, description="Largest share of samples that may turn from right to wrong."
    )
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="Significance level of the accuracy rule.")
    model_changes: Literal["fail", "warn"] = Field(
        default="fail",
        description="What a broken rule does where the pull request changed the model itself: its new files "
        "against the base's, in the same packages.",
    )


class Install(Frozen):
    """How environments are resolved and installed."""

    index_url: str | None = Field(default=None, description="Package index that replaces PyPI.")
    extra_index_urls: tuple[str, ...] = Field(default=(), description="Additional package indexes.")
    find_links: tuple[str, ...] = Field(default=(), description="Directories or pages with packages.")
    no_index: bool = Field(default=False, description="Install from `find_links` only.")
    index_strategy: IndexStrategy | None = Field(
        default=None,
        description="Which index a package comes from: uv's `first-index`, `unsafe-first-match` or "
        "`unsafe-best-match`. Default: pip's best match where a requirements file names an additional index, "
        "else the first index that has the package.",
    )
    variables: tuple[EnvironmentVariable, ...] = Field(
        default=(),
        description="Environment variables that uv gets beside its own, and that `${NAME}` may stand for "
        "in an address of packages.",
    )
    prereleases: bool = Field(default=False, description="Allow pre-releases.")
    exclude_newer: str | None = Field(default=None, description="Resolve as of this date (RFC 3339).")
    build_from_source: tuple[str, ...] = Field(
        default=(),
        description="Packages that may be built from source; all others are installed from wheels.",
    )
    overrides: tuple[str, ...] = Field(default=(), description="Requirements that override all others.")
    locks: str | None = Field(default=None, description="Directory of the locks; commit it to pin versions.")


class UpgradeSettings(Frozen):
    """How the upgrade of a pull request is detected. Paths are relative to the root of the repository."""

    manifests: tuple[str, ...] | None = Field(
        default=None,
        description="Manifests to read. Default: those of the project nearest to validator.yml that names a "
        "framework. With a list, no other file counts.",
    )
    ignore: tuple[str, ...] = Field(
        default=(),
        description="Files that do not count although they install packages: `Dockerfile`, `docker/*`.",
    )
    extras: tuple[str, ...] | None = Field(
        default=None, description="Extras to install. Default: those that name a framework."
    )
    groups: tuple[str, ...] | None = Field(
        default=None, description="Dependency groups to install. Default: those that name a framework."
    )
    relevant: tuple[str, ...] = Field(
        default=(),
        description="Additional packages that can change a model's numbers; `acme-*` matches a prefix.",
    )


class OriginSettings(Frozen):
    """The search for the release, night and lines that a difference comes from (docs/origin.md)."""

    seconds: Annotated[float, BeforeValidator(lambda value: 0 if value is False else value)] = Field(
        default=180, ge=0, description="Time limit of the search, of all cells together; 0 or false: none."
    )
    repository: str | None = Field(
        default=None, description="A clone of keras-team/keras, which names commits and pull requests."
    )


class Settings(Frozen):
    """A validator.yml."""

    version: Literal[1] = Field(description="Version of this file format.")
    python: Version = Field(default="3.11", description="Python version of the environments.")
    requirements: tuple[str, ...] | str = Field(
        default=(),
        description="Requirements of every environment: a list, or the path of a requirements file.",
    )
    matrix: Matrix = Matrix()
    baseline: dict[EnvironmentAxis, str] = Field(
        default={}, description="Axis values of the baseline. Default: the first environment."
    )
    environments: dict[Name, EnvironmentSettings] = Field(
        default={}, description="Differences from the common requirements, by environment."
    )
    models: tuple[ModelSettings, ...] = Field(min_length=1)
    sha256: dict[str, Sha256] = Field(
        default={},
        description="Address → SHA-256 of what it holds; `keras-validator pin` writes them (docs/remote.md).",
    )
    history: str | None = Field(
        default=None,
        description="File that every judged run appends a line to, for `keras-validator history`.",
    )
    keep: Keep = Field(
        default="all",
        description="Tensors that stay of a finished run: of `all` models, of those with a cell that is not "
        "green (`failed`), or none (`numbers`). Reports always stay.",
    )
    gate: Gate = Gate()
    acceptances: str = Field(
        default="keras-acceptances.yml",
        min_length=1,
        description="File of known changes that are accepted; `keras-validator accept` writes it "
        "(docs/how-to/accept.md).",
    )
    parity: ParitySettings = ParitySettings()
    origin: OriginSettings = OriginSettings()
    limits: LimitSettings = LimitSettings()
    sandbox: SandboxSettings = SandboxSettings()
    install: Install = Install()
    upgrade: UpgradeSettings = UpgradeSettings()

    @field_validator("models")
    @classmethod
    def _unique(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        names = [model.name for model in models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two models are named {twice[0]!r}; rename either")
        return models

    @model_validator(mode="after")
    def _pinned(self) -> Settings:
        named = addresses(self)
        for place in self.sha256:
            if place not in named:
                what = "which no model names" if is_remote(place) else "which is no address of another place"
                raise ValueError(f"sha256 pins {place!r}, {what}; remove the line")
        return self
