import pytest

from validator.config.load import parse
from validator.errors import ConfigurationError
from validator.matrix import Environment, Plan, make_plan
from validator.upgrade import Requirements

COMMON = ("tensorflow-cpu==2.17.1", "numpy==1.26.4")


def plan_of(text: str, common: tuple[str, ...] = COMMON) -> Plan:
    return make_plan(parse("version: 1\n" + text, "validator.yml"), Requirements(requirements=common))


MODELS = """
models:
  - {name: digits, artifact: d.keras, inputs: d.npz}
  - {name: llama, artifact: l.keras, inputs: l.npz, matrix: {precision: [as-saved, float32]}}
"""
CASES = 'matrix: {keras: ["3.3.3", "3.5.0", legacy], exclude: [{keras: legacy, model: llama}]}' + MODELS


def test_cells_have_readable_stable_ids() -> None:
    assert [cell.id for cell in plan_of(CASES).cells] == [
        "digits@keras-3.3.3",
        "llama@keras-3.3.3",
        "llama@keras-3.3.3+float32",
        "digits@keras-3.5.0",
        "llama@keras-3.5.0",
        "llama@keras-3.5.0+float32",
        "digits@legacy",
    ]


def test_keras_is_the_only_variable_and_legacy_takes_the_tf_keras_of_its_tensorflow() -> None:
    by_name = {environment.name: environment for environment in plan_of(CASES).environments}
    assert by_name["keras-3.5.0"].requirements == (*COMMON, "keras==3.5.0")
    assert by_name["legacy"].requirements == (*COMMON, "tf-keras~=2.17.0", "keras==3.3.3")
    assert dict(by_name["legacy"].variables)["TF_USE_LEGACY_KERAS"] == "1"
    # tf-keras depends on `tensorflow`, which would overwrite tensorflow-cpu
    assert by_name["legacy"].overrides == ("tensorflow ; sys_platform == 'never'",)


def test_each_cell_is_compared_with_the_same_variant_of_the_baseline() -> None:
    plan = plan_of(CASES)
    cell = next(cell for cell in plan.cells if cell.id == "llama@keras-3.5.0+float32")
    assert plan.baseline_of(cell).id == "llama@keras-3.3.3+float32"


def test_only_keeps_the_baseline_it_needs() -> None:
    cut = plan_of(CASES).only(["digits@legacy"])
    assert [cell.id for cell in cut.cells] == ["digits@keras-3.3.3", "digits@legacy"]
    assert [environment.name for environment in cut.environments] == ["keras-3.3.3", "legacy"]


def test_an_environment_may_replace_and_add_requirements() -> None:
    text = """
matrix: {keras: ["3.3.3", "3.15.1"]}
environments:
  keras-3.15.1: {requirements: [tensorflow-cpu==2.21.0, numpy>=2, extra], variables: {A: b}, python: "3.12"}
"""
    newest = plan_of(text + MODELS).environment("keras-3.15.1")
    assert newest.requirements == ("tensorflow-cpu==2.21.0", "numpy>=2", "extra", "keras==3.15.1")
    assert newest.python == "3.12"
    assert dict(newest.variables)["A"] == "b"


def test_axes_multiply_and_name_environments() -> None:
    text = """
matrix: {keras: ["3.3.3", legacy], tensorflow: ["2.16.2", "2.17.1"], backend: [tensorflow, jax]}
baseline: {keras: "3.3.3", tensorflow: "2.17.1", backend: tensorflow}
"""
    plan = plan_of(text + MODELS)
    assert [environment.name for environment in plan.environments] == [
        "keras-3.3.3-tf-2.16.2",
        "keras-3.3.3-tf-2.16.2-jax",
        "keras-3.3.3-tf-2.17.1",
        "keras-3.3.3-tf-2.17.1-jax",
        "legacy-tf-2.16.2",
        "legacy-tf-2.17.1",
    ]
    assert plan.baseline == "keras-3.3.3-tf-2.17.1"
    jax = plan.environment("keras-3.3.3-tf-2.16.2-jax")
    assert "jax" in jax.requirements
    assert dict(jax.variables)["KERAS_BACKEND"] == "jax"


def test_include_adds_a_combination() -> None:
    plan = plan_of('matrix: {keras: ["3.3.3"], include: [{keras: "3.5.0", onednn: "off"}]}' + MODELS)
    assert [environment.name for environment in plan.environments] == [
        "keras-3.3.3",
        "keras-3.5.0-onednn-off",
    ]
    assert dict(plan.environments[1].variables)["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_the_sides_of_a_pull_request_stand_beside_the_matrix_and_the_base_is_the_baseline() -> None:
    base = Environment("base", "3.11", ("keras==3.3.3",))
    head = Environment("head", "3.11", ("keras==3.5.0",))
    settings = parse("version: 1\n" + CASES, "validator.yml")
    plan = make_plan(settings, Requirements(requirements=COMMON), (base, head))
    assert plan.baseline == "base"
    assert [environment.name for environment in plan.environments[:3]] == ["base", "head", "keras-3.3.3"]
    # without a matrix the two sides are enough
    alone = make_plan(parse("version: 1\n" + MODELS, "validator.yml"), Requirements(), (base, head))
    assert [cell.id for cell in alone.cells][:2] == ["digits@base", "llama@base"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("matrix: {keras: []}", "matrix.keras is empty"),
        (
            'matrix: {keras: ["3.3.3"]}\nbaseline: {keras: "3.4.0"}',
            "is not in the matrix, which has keras-3.3.3",
        ),
        (
            'matrix: {keras: ["3.3.3"], backend: [tensorflow, jax]}\nbaseline: {keras: "3.3.3"}',
            "fits keras-3.3.3 and keras-3.3.3-jax",
        ),
        ('matrix: {keras: ["3.3.3"], exclude: [{model: digits}]}', "model digits: every cell is excluded"),
        (
            'matrix: {keras: ["3.3.3", "3.5.0"], exclude: [{keras: "3.3.3", model: digits}]}',
            "its baseline digits@keras-3.3.3 is excluded",
        ),
        ('matrix: {keras: ["3.3.3", nightly]}', "'nightly' is neither a version nor `legacy`"),
        (
            'matrix: {keras: ["3.3.3"]}\nenvironments: {keras-3.5: {python: "3.12"}}',
            "environments.keras-3.5: no such environment; the matrix has keras-3.3.3",
        ),
    ],
)
def test_a_plan_that_cannot_be_judged_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan_of(text + MODELS)
    assert expected in str(caught.value)


def test_unreadable_requirement() -> None:
    with pytest.raises(ConfigurationError, match="requirement 'tensorflow==' cannot be read"):
        plan_of(CASES, ("tensorflow==",))


def test_unknown_cell_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="no such cell; `keras-validator plan` lists them"):
        plan_of(CASES).only(["digits@keras-9"])
