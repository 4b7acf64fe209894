"""The settings of a run, as written in validator.yml. JSON Schema and docs are made from these classes."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from validator.base import Frozen

Precision = Literal[
    "as-saved", "float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"
]
#: YAML reads a bare `on` as true; what people mean by it here is the word.
_OnOff = BeforeValidator(
    lambda value: {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
)
Jit = Annotated[Literal["as-saved", "on", "off"], _OnOff]
Attention = Literal["as-saved", "flash-on", "flash-off"]
Onednn = Annotated[Literal["as-is", "on", "off"], _OnOff]
Backend = Literal["tensorflow", "jax", "torch"]
Rule = Literal[
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

#: What other axes call their variants.
_VARIANT_NAMES = frozenset(
    {*get_args(Precision), *get_args(Attention), "jit-on", "jit-off", "onednn-on", "onednn-off"}
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
Function = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Module = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")]
Version = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]


class Matrix(Frozen):
    """The axes. Each combination is a cell of every model."""

    keras: tuple[Version, ...] = Field(
        default=(), description="Keras versions, and `legacy` for tf-keras under TF_USE_LEGACY_KERAS=1."
    )
    tensorflow: tuple[Version, ...] = Field(
        default=(), description="TensorFlow versions; each replaces the one in `requirements`."
    )
    backend: tuple[Backend, ...] = Field(default=(), description="Keras 3 backends.")
    precision: tuple[Precision, ...] = Field(default=("as-saved",), description="Dtype policy of the model.")
    jit: tuple[Jit, ...] = Field(default=("as-saved",), description="XLA compilation of the prediction.")
    attention: tuple[Attention, ...] = Field(
        default=("as-saved",), description="Keras' switch for flash attention, from 3.7.0 on."
    )
    onednn: tuple[Onednn, ...] = Field(default=("as-is",), description="TF_ENABLE_ONEDNN_OPTS.")
    include: tuple[dict[EnvironmentAxis, str], ...] = Field(
        default=(), description="Further combinations: a mapping of axis to value each."
    )
    exclude: tuple[dict[Axis | Literal["model"], str], ...] = Field(
        default=(),
        description="Combinations left out: a mapping of axis (or `model`) to value each. All must match.",
    )


class ModelMatrix(Frozen):
    """The variant axes of one model, where they differ from the matrix of all."""

    precision: tuple[Precision, ...] | None = None
    jit: tuple[Jit, ...] | None = None
    attention: tuple[Attention, ...] | None = None
    setting: tuple[str, ...] = Field(
        default=("as-saved",), description="`as-saved`, and names of the model's own `settings`."
    )


#: Set by other axes, or by us: a setting of a model must not touch them.
_TAKEN = frozenset({"KERAS_BACKEND", "TF_USE_LEGACY_KERAS", "KERAS_VALIDATOR_LIFELINE"})


class OwnSetting(Frozen):
    """Another way of running a model that its owner knows of. Its name is a variant's."""

    builder_arguments: dict[str, str | int | float | bool] = Field(
        default={}, description="Keyword arguments of the builder, on top of the model's own."
    )
    variables: dict[str, str] = Field(
        default={}, description="Environment variables; a worker of its own is started with them."
    )

    @model_validator(mode="after")
    def _free(self) -> OwnSetting:
        taken = sorted(_TAKEN & self.variables.keys())
        if taken:
            raise ValueError(
                f"a setting cannot set {taken[0]}, which belongs to the environment; use the matrix"
            )
        return self


class Parity(Frozen):
    """The search for settings under which a cell that changed agrees with its baseline again."""

    search: bool = Field(default=True, description="Look for a way out where a cell changed.")
    seconds: float = Field(default=300, gt=0, description="Wall time of the whole search.")
    precision: tuple[Precision, ...] | None = Field(
        default=None, description="Precisions to try; default those wider than the model's own."
    )
    jit: tuple[Jit, ...] = Field(default=("off", "on"), description="Compilations to try.")
    attention: tuple[Attention, ...] = Field(
        default=("flash-off", "flash-on"), description="Positions of the flash attention switch to try."
    )


class Tolerance(Frozen):
    """Replaces the tolerances of the output's dtype."""

    rtol: float = Field(ge=0)
    atol: float = Field(ge=0)


class Training(Frozen):
    """The first steps of a training, compared with the baseline's from the same weights and batches."""

    steps: int = Field(default=10, ge=1, le=1000, description="Steps whose every number is compared.")
    epochs: int = Field(default=0, ge=0, le=1000, description="Epochs of the loss curve after them.")
    batch_size: int | None = Field(default=None, ge=1, description="Samples of a step; default the model's.")
    function: Function | None = Field(
        default=None,
        description="`package.module:function` that returns the compiled model and, if it likes, the data.",
    )
    arguments: dict[str, str | int | float | bool] = Field(
        default={}, description="Keyword arguments of the function."
    )
    inputs: str | None = Field(default=None, description="Recorded inputs to train on; default the model's.")
    labels: str | None = Field(default=None, description="Their labels; default the model's.")
    start: Literal["shared", "own"] = Field(
        default="shared", description="The same initial weights everywhere, or those of each builder."
    )
    dropout: Annotated[Literal["off", "on"], _OnOff] = Field(
        default="off", description="Random layers are off, since generators differ from Keras to Keras."
    )
    members: int = Field(
        default=3, ge=0, le=20, description="Trainings of the baseline from weights moved by one ULP."
    )
    seeds: int = Field(default=3, ge=0, le=20, description="Fresh initialisations whose spread is compared.")


class DecodeSettings(Frozen):
    """How a model that predicts the next token is decoded, step by step (docs/decode.md)."""

    prompt_length: int | None = Field(
        default=None, ge=1, description="The first so many recorded tokens of a sample are its prompt."
    )
    prompts: str | None = Field(
        default=None, description="Prompts instead: a recording, .npz, .npy, or `package.module:function`."
    )
    steps: int = Field(default=16, ge=1, le=64, description="Tokens that are decoded after a prompt.")
    samples: int = Field(default=8, ge=1, le=64, description="How many samples, from the first on.")
    input: str | None = Field(
        default=None, description="The input that holds the token ids, where the model has several."
    )
    pad: int | None = Field(default=None, ge=0, description="The id of the padding.")
    eos: int | None = Field(default=None, ge=0, description="The id that ends a text.")
    protocol: Function | None = Field(
        default=None, description="Takes the model and returns an object with `prefill` and `step`."
    )
    detokenise: Function | None = Field(default=None, description="Takes a list of ids and returns the text.")

    @model_validator(mode="after")
    def _prompted(self) -> DecodeSettings:
        if (self.prompt_length is None) == (self.prompts is None):
            raise ValueError("decode needs either prompt_length or prompts")
        return self


class ModelSettings(Frozen):
    """One model, its recorded inputs and what is known about it."""

    name: Name
    artifact: str | None = Field(default=None, description="A .keras or .h5 file, or a SavedModel folder.")
    builder: Function | None = Field(
        default=None, description="`package.module:function` that returns the model."
    )
    builder_arguments: dict[str, str | int | float | bool] = Field(
        default={}, description="Keyword arguments of the builder."
    )
    weights: str | None = Field(default=None, description="Weights for the builder's model.")
    custom_objects: tuple[Module, ...] = Field(
        default=(), description="Modules whose layers, functions and classes the artifact names."
    )
    safe_mode: bool = Field(default=True, description="Keras' safe_mode when an artifact is loaded.")
    signature: str = Field(default="serving_default", description="The signature of a SavedModel.")
    inputs: str = Field(description="A recording, .npz, .npy, .parquet, or `package.module:function`.")
    labels: str | None = Field(default=None, description="Labels: a recording, .npz, .npy or .parquet.")
    ignore_label: int | None = Field(
        default=None, description="A label that does not count, for example the id of the padding."
    )
    metrics: tuple[str, ...] = Field(
        default=(),
        description="Metrics computed from the predictions: accuracy, top-5, f1, auc, mae, rmse, r2, iou, "
        "wer, cer, perplexity …, or `package.module:function`, which the tool itself calls with arrays.",
    )
    batch_size: int = Field(default=32, ge=1, description="The same batch boundaries in every cell.")
    tolerance: Tolerance | None = None
    decode: DecodeSettings | None = Field(default=None, description="For models that predict the next token.")
    matrix: ModelMatrix = ModelMatrix()
    settings: dict[Name, OwnSetting] = Field(
        default={}, description="Other ways to run it, by name: tried where it changed, or for the matrix."
    )
    training: Training | None = Field(default=None, description="Compare training too; `{}` takes defaults.")

    @model_validator(mode="after")
    def _loadable(self) -> ModelSettings:
        if self.artifact is None and self.builder is None:
            raise ValueError(f"model {self.name!r} needs an artifact or a builder")
        if self.weights is not None and self.builder is None:
            raise ValueError(f"model {self.name!r} has weights but no builder to load them into")
        if self.metrics and self.labels is None:
            raise ValueError(f"model {self.name!r} has metrics but no labels")
        return self

    @model_validator(mode="after")
    def _own_settings(self) -> ModelSettings:
        for name, setting in self.settings.items():
            if name in _VARIANT_NAMES:
                raise ValueError(f"model {self.name!r}: a setting cannot be called {name!r}, a variant is")
            where = f"model {self.name!r}: the setting {name!r}"
            if not setting.builder_arguments and not setting.variables:
                raise ValueError(f"{where} is empty: it needs builder_arguments or variables")
            if not setting.builder_arguments:
                continue
            where += " has builder_arguments"
            if self.builder is None:
                raise ValueError(f"{where} but there is no builder to take them")
            if self.artifact is not None and self.weights is None:
                raise ValueError(f"{where}, so it cannot use the artifact; give the weights as well")
        unknown = [name for name in self.matrix.setting if name not in {"as-saved", *self.settings}]
        if unknown:
            known = ", ".join(self.settings) or "it has none"
            raise ValueError(
                f"model {self.name!r}: matrix.setting {unknown[0]!r} is none of its settings: {known}"
            )
        return self


class EnvironmentSettings(Frozen):
    """What one environment has otherwise than the common requirements."""

    requirements: tuple[str, ...] = Field(
        default=(), description="Each replaces the common requirement of the same name, or is added."
    )
    python: Version | None = None
    variables: dict[str, str] = Field(default={}, description="Environment variables of the worker.")


class Gate(Frozen):
    """What makes a run fail."""

    fail_on: tuple[Rule, ...] = Field(default=("changed", "failed", "accuracy", "not-compared"))
    max_accuracy_drop: float = Field(
        default=0.01, ge=0, le=1, description="The margin: a smaller loss does not fail the gate."
    )
    max_negative_flips: float | None = Field(
        default=None, ge=0, le=1, description="Share of samples that may turn from right to wrong."
    )
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="False alarms of the accuracy rule.")


class Limits(Frozen):
    """Bounds of one job (one cell) in a worker."""

    seconds: float = Field(default=600, gt=0, description="Wall time of one job.")
    start_seconds: float = Field(default=300, gt=0, description="Wall time until Keras is imported.")
    memory_gib: float | None = Field(
        default=None, gt=0, description="Resident memory of the worker; default 90 % of the machine's."
    )


class Install(Frozen):
    """How environments are resolved and installed."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = Field(default=False, description="Install from `find_links` alone.")
    prereleases: bool = Field(default=False, description="Take pre-releases where a range allows them.")
    exclude_newer: str | None = Field(default=None, description="Resolve as of this date (RFC 3339).")
    build_from_source: tuple[str, ...] = Field(
        default=(), description="Packages that may be built; everything else is installed from wheels only."
    )
    overrides: tuple[str, ...] = Field(default=(), description="Requirements that win over everybody else's.")
    locks: str | None = Field(
        default=None, description="Folder of the locks; commit it to fix every version."
    )


class UpgradeSettings(Frozen):
    """How a pull request's upgrade is found. Paths are relative to the root of the repository."""

    manifests: tuple[str, ...] | None = Field(
        default=None, description="The manifests that are read; default: those that change, with their locks."
    )
    extras: tuple[str, ...] | None = Field(
        default=None, description="Extras that are installed; default: those that name a framework."
    )
    groups: tuple[str, ...] | None = Field(
        default=None, description="Dependency groups that are installed; default: those with a framework."
    )
    relevant: tuple[str, ...] = Field(
        default=(),
        description="Further packages that can move a model's numbers; `acme-*` is all that begin so.",
    )


class Settings(Frozen):
    """A validator.yml."""

    version: Literal[1]
    python: Version = Field(default="3.11", description="Python of the environments.")
    requirements: tuple[str, ...] | str = Field(
        default=(), description="Common to every environment: a list, or a requirements file."
    )
    matrix: Matrix = Matrix()
    baseline: dict[EnvironmentAxis, str] = Field(default={}, description="Axis values of the baseline.")
    environments: dict[Name, EnvironmentSettings] = Field(
        default={}, description="Deviations from the common requirements, by environment."
    )
    models: tuple[ModelSettings, ...] = Field(min_length=1)
    gate: Gate = Gate()
    parity: Parity = Parity()
    limits: Limits = Limits()
    install: Install = Install()
    upgrade: UpgradeSettings = UpgradeSettings()

    @field_validator("models")
    @classmethod
    def _unique(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        names = [model.name for model in models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two models are named {twice[0]!r}; each name must be unique")
        return models
