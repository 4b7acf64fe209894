"""Variants: what they are called, and which of them a plan refuses to run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from validator.config.load import parse
from validator.config.settings import Settings
from validator.errors import ConfigurationError
from validator.matrix import Environment, Plan, Variant, make_plan
from validator.matrix.variants import impossible, own_setting, written
from validator.upgrade import Requirements

MODEL = """
models:
  - name: m
    artifact: m.keras
    builder: a:b
    weights: m.weights.h5
    inputs: i.npz
    settings:
      causal: {builder_arguments: {attention: causal, use_cache: false}}
      plain: {variables: {XLA_FLAGS: "--xla_cpu_enable_fast_math=false"}}
"""
SAVEDMODEL = "\nmodels: [{name: m, artifact: exported, inputs: i.npz}]\n"


def settings_of(text: str) -> Settings:
    return parse("version: 1\n" + text, "validator.yml")


def plan_of(text: str) -> Plan:
    return make_plan(settings_of(text), Requirements())


def left_out(text: str) -> dict[str, str]:
    return {one.what: one.reason for one in plan_of(text).left_out}


def test_a_name_tells_every_axis_that_is_not_as_saved() -> None:
    assert Variant().name == ""
    assert Variant("float32", "on", "flash-off", "causal").name == "float32+jit-on+flash-off+causal"
    assert Variant(jit="off").name == "jit-off"
    assert Variant(setting="causal").name == "causal"


def test_own_settings_and_attention_are_axes() -> None:
    text = (
        'matrix: {keras: ["3.3.3", "3.5.0"]}' + MODEL + "    matrix: {setting: [as-saved, causal, plain]}\n"
    )
    assert [cell.id for cell in plan_of(text).cells] == [
        "m@keras-3.3.3",
        "m@keras-3.3.3+causal",
        "m@keras-3.3.3+plain",
        "m@keras-3.5.0",
        "m@keras-3.5.0+causal",
        "m@keras-3.5.0+plain",
    ]
    jax = 'matrix: {keras: ["3.9.0"], backend: [jax], attention: [as-saved, flash-off]}'
    assert [cell.id for cell in plan_of(jax + MODEL).cells] == [
        "m@keras-3.9.0-jax",
        "m@keras-3.9.0-jax+flash-off",
    ]


def test_variants_can_be_excluded() -> None:
    text = 'matrix: {keras: ["3.3.3", "3.5.0"], exclude: [{setting: plain}]}'
    text += MODEL + "    matrix: {setting: [causal, plain]}\n"
    assert [cell.variant.setting for cell in plan_of(text).cells] == ["causal", "causal"]


def test_a_variant_is_written_down_as_in_a_validator_yml() -> None:
    model = settings_of('matrix: {keras: ["3.3.3"]}' + MODEL).models[0]
    variant = Variant("float32", "off", "flash-off", "causal")
    assert written(model, variant) == (
        "precision: float32, jit: off, attention: flash-off, attention: causal, use_cache: false"
    )
    assert written(model, Variant(setting="plain")) == "XLA_FLAGS=--xla_cpu_enable_fast_math=false"
    assert own_setting(model, Variant()).variables == {}


@pytest.mark.parametrize(
    ("matrix", "what", "why"),
    [
        ("keras: ['3.3.3', legacy], backend: [tensorflow, jax]", "legacy-jax", "tf-keras runs on TensorFlow"),
        ("keras: ['3.3.3', legacy], backend: [tensorflow, torch]", "legacy-torch", "not on torch"),
        ("keras: ['3.3.3', '2.15.0'], backend: [tensorflow, jax]", "keras-2.15.0-jax", "Keras 2.15.0 runs"),
        (
            "keras: ['3.5.0'], backend: [tensorflow, torch], jit: ['off', 'on']",
            "m@keras-3.5.0-torch+jit-on",
            "the torch backend does not have",
        ),
        (
            "keras: ['3.5.0', '3.9.0'], backend: [jax], attention: [as-saved, flash-on]",
            "m@keras-3.5.0-jax+flash-on",
            "Keras 3.5.0 has no switch for flash attention; it came with 3.7.0",
        ),
        (
            "keras: ['3.5.0', '3.9.0'], backend: [jax], attention: [as-saved, flash-on]",
            "m@keras-3.9.0-jax+flash-on",
            "its baseline m@keras-3.5.0-jax+flash-on cannot be run: Keras 3.5.0 has no switch",
        ),
        (
            "keras: ['3.9.0'], attention: [as-saved, flash-off]",
            "m@keras-3.9.0+flash-off",
            "no flash attention on TensorFlow",
        ),
        (
            "keras: [legacy], attention: [as-saved, flash-off]",
            "m@legacy+flash-off",
            "tf-keras has no switch",
        ),
        (
            "keras: ['3.5.0'], backend: [tensorflow, jax], precision: [as-saved, float64]",
            "m@keras-3.5.0-jax+float64",
            "set JAX_ENABLE_X64: '1' under environments.keras-3.5.0-jax.variables",
        ),
    ],
)
def test_what_cannot_be_run_is_left_out_with_the_reason(matrix: str, what: str, why: str) -> None:
    text = f"matrix: {{{matrix}}}\nbaseline: {{}}" + MODEL
    assert why in left_out(text)[what]
    plan = plan_of(text)
    assert what not in {cell.id for cell in plan.cells}
    assert what not in {environment.name for environment in plan.environments}


def test_what_can_be_run_is_not_left_out() -> None:
    text = "matrix: {keras: ['3.5.0'], precision: [float32, mixed_float16, float64], jit: ['on']}"
    assert left_out(text + MODEL) == {}
    wide = "matrix: {keras: ['3.5.0'], backend: [jax], precision: [float64]}\n"
    wide += "environments: {keras-3.5.0-jax: {variables: {JAX_ENABLE_X64: '1'}}}"
    assert left_out(wide + MODEL) == {}


def test_a_setting_may_turn_on_what_a_precision_needs() -> None:
    model = settings_of(
        "matrix: {keras: ['3.5.0']}"
        + MODEL.replace("XLA_FLAGS: ", "JAX_ENABLE_X64: ").replace("--xla_cpu_enable_fast_math=false", "1")
    ).models[0]
    jax = Environment("keras-3.5.0-jax", "3.11", ("keras==3.5.0",), backend="jax")
    assert impossible(jax, model, Variant("float64"))
    assert not impossible(jax, model, Variant("float64", setting="plain"))


@pytest.mark.parametrize("axis", ["precision: [as-saved, float32]", "attention: [as-saved, flash-off]"])
def test_a_savedmodel_is_frozen_unless_there_is_a_builder(axis: str) -> None:
    matrix = f"matrix: {{keras: ['3.9.0', '3.10.0'], backend: [jax], {axis}}}"
    assert all("frozen when it is exported" in why for why in left_out(matrix + SAVEDMODEL).values())
    assert len(left_out(matrix + SAVEDMODEL)) == 2
    built = SAVEDMODEL.replace("exported,", "exported, builder: 'a:b', weights: w.h5,")
    assert left_out(matrix + built) == {}
    # jit is no part of the export
    assert left_out("matrix: {keras: ['3.9.0'], jit: ['on']}" + SAVEDMODEL) == {}


def test_where_keras_is_not_pinned_the_worker_decides() -> None:
    model = settings_of('matrix: {keras: ["3.3.3"]}' + MODEL).models[0]
    flash = Variant(attention="flash-off")
    head = Environment("head", "3.11", ("keras>=3.5",), backend="jax")
    assert head.keras is None
    assert not impossible(head, model, flash)
    assert impossible(replace(head, constraints=("Keras==3.5.0",)), model, flash)
    assert impossible(replace(head, requirements=("keras ==3.6.0 ; python_version > '3'",)), model, flash)
    assert not impossible(replace(head, requirements=("keras==3.*", "-r other.txt")), model, flash)


def test_an_included_combination_that_cannot_be_run_is_a_mistake() -> None:
    text = 'matrix: {keras: ["3.3.3"], include: [{keras: legacy, backend: jax}]}'
    with pytest.raises(ConfigurationError, match="cannot be run: tf-keras runs on TensorFlow alone"):
        plan_of(text + MODEL)


def test_a_model_of_which_nothing_can_be_run_says_why() -> None:
    text = 'matrix: {keras: ["3.3.3", "3.5.0"], precision: [float32]}' + SAVEDMODEL
    with pytest.raises(
        ConfigurationError, match=r"every cell cannot be run: m@keras-3\.3\.3\+float32: the prec"
    ):
        plan_of(text)


def test_only_says_why_a_cell_is_not_there() -> None:
    plan = plan_of('matrix: {keras: ["3.9.0"], attention: [as-saved, flash-off]}' + MODEL)
    with pytest.raises(
        ConfigurationError, match=r"--only m@keras-3\.9\.0\+flash-off: it cannot be run: Keras"
    ):
        plan.only(["m@keras-3.9.0+flash-off"])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "plain: {variables:",
            "float32: {variables:",
            "the setting 'float32' has the name of a built-in variant",
        ),
        (
            "plain: {variables:",
            "jit-on: {variables:",
            "the setting 'jit-on' has the name of a built-in variant",
        ),
        (
            "plain: {variables:",
            "as-saved: {variables:",
            "the setting 'as-saved' has the name of a built-in variant",
        ),
        ("plain: {variables:", "a+b: {variables:", "settings.a+b"),
        (
            '{variables: {XLA_FLAGS: "--xla_cpu_enable_fast_math=false"}}',
            "{}",
            "the setting 'plain' is empty",
        ),
        ("XLA_FLAGS", "KERAS_BACKEND", "cannot set KERAS_BACKEND, which belongs to the environment"),
        ("XLA_FLAGS", "TF_USE_LEGACY_KERAS", "cannot set TF_USE_LEGACY_KERAS"),
        ('"--xla_cpu_enable_fast_math=false"', "1", "1 is a number; put it in quotes"),
        ("plain: {variables:", "plain: {varables:", "did you mean 'variables'?"),
        ("    builder: a:b\n    weights: m.weights.h5\n", "", "but the model has no builder"),
        ("    weights: m.weights.h5\n", "", "which the artifact ignores; add weights for the builder"),
        (
            "    settings:",
            "    matrix: {setting: [casual]}\n    settings:",
            "unknown setting 'casual'",
        ),
        (
            "    settings:",
            "    matrix: {attention: [flash]}\n    settings:",
            "'flash' is not one of as-saved",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused(old: str, new: str, expected: str) -> None:
    assert old in MODEL
    with pytest.raises(ConfigurationError) as caught:
        settings_of('matrix: {keras: ["3.3.3"]}' + MODEL.replace(old, new))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parity: {seconds: 0}", "parity.seconds: input should be greater than 0"),
        ("parity: {search: maybe}", "parity.search"),
        ("parity: {precision: [float8]}", "'float8' is not one of"),
        ("parity: {serch: false}", "did you mean 'search'?"),
    ],
)
def test_a_search_that_cannot_be_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_of('matrix: {keras: ["3.3.3"]}\n' + text + MODEL)
    assert expected in str(caught.value)
