from pathlib import Path

import pytest

from validator import config
from validator.config.load import parse
from validator.errors import ConfigurationError

MINIMAL = """\
version: 1
matrix: {keras: ["3.3.3", "3.5.0"]}
models:
  - name: digits
    artifact: model.keras
    inputs: inputs.npz
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "validator.yml")
    return str(caught.value)


def test_minimal_has_the_documented_defaults() -> None:
    settings = parse(MINIMAL, "validator.yml")
    assert settings.python == "3.11"
    assert settings.gate.fail_on == ("changed", "failed", "accuracy", "not-compared", "training", "decode")
    assert settings.models[0].batch_size == 32


@pytest.mark.parametrize(
    ("written", "instead", "expected"),
    [
        ("artifact:", "artefact:", "line 5: unknown key 'models[0].artefact'; did you mean 'artifact'?"),
        ("matrix:", "matrx:", "line 2: unknown key 'matrx'; did you mean 'matrix'?"),
        ('"3.3.3"', "3.10", "line 2: matrix.keras[0]: 3.1 is a number; put it in quotes"),
        ("version: 1", "version: 2", "line 1: version: 2 is not one of 1"),
        (
            "    inputs: inputs.npz\n",
            "",
            "line 4: model 'digits' has no inputs; `keras-validator record` records them",
        ),
        ('keras: ["3.3.3", "3.5.0"]', "keras: 3", "line 2: matrix.keras: must be a list, not 3"),
        ("    artifact: model.keras\n", "", "model 'digits' needs an artifact or a builder"),
        ("name: digits", "name: ../digits", "models[0].name"),
        (
            "inputs: inputs.npz",
            "inputs: inputs.npz\n    metrics: [accuracy]",
            "model 'digits' has metrics but no labels",
        ),
        (
            "inputs: inputs.npz",
            "inputs: inputs.npz\n    compile: false\n    training: {}",
            "model 'digits' has training but compile: false; name training.function or a builder",
        ),
        (
            'keras: ["3.3.3", "3.5.0"]',
            'keras: ["3.3.3"], exclude: [{kears: legacy}]',
            "line 2: matrix.exclude[0].kears",
        ),
    ],
)
def test_a_mistake_is_answered_with_line_and_nearest_name(written: str, instead: str, expected: str) -> None:
    assert written in MINIMAL
    assert expected in refusal(MINIMAL.replace(written, instead, 1))


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = MINIMAL.replace("matrix", "matrx").replace("artifact", "artefact")
    lines = refusal(text).splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["validator.yml line 2", "validator.yml line 5"]


def test_gate_typo_names_the_choices() -> None:
    message = refusal(MINIMAL + "gate: {fail_on: [change]}\n")
    assert "'change' is not one of" in message
    assert "did you mean 'changed'?" in message


def test_yaml_on_and_off_are_words_where_they_are_meant_as_words() -> None:
    settings = parse(MINIMAL.replace("{keras", "{jit: [on, off], onednn: [off], keras"), "v")
    assert settings.matrix.jit == ("on", "off")
    assert settings.matrix.onednn == ("off",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("- a\n", "must be a mapping"),
        ("version: 1\nmodels: [\n", "line 3: not valid YAML"),
        ("version: 1\nversion: 1\n", "line 2: not valid YAML: duplicate key 'version'"),
        ("a: &x [1]\nb: *x\n", "line 2: not valid YAML: anchors and aliases are not supported"),
        ("version: !!python/object:os.system {}\n", "not valid YAML"),
        ("version: 1\x00\n", "not valid YAML"),
    ],
)
def test_unusable_yaml(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_a_date_needs_no_quotes() -> None:
    for written in ("2026-11-28", "2026-11-28T15:40:18Z"):
        assert parse(f"{MINIMAL}install: {{exclude_newer: {written}}}", "x").install.exclude_newer == written


def test_two_models_of_one_name() -> None:
    again = MINIMAL + "  - {name: digits, artifact: b.keras, inputs: c.npz}\n"
    assert "two models are named 'digits'" in refusal(again)


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file; `keras-validator init` writes one"):
        config.load(tmp_path / "validator.yml")


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "validator.yml"
    path.write_bytes(b"version: 1 # \xff\n")
    with pytest.raises(ConfigurationError, match="not UTF-8 at byte 13"):
        config.load(path)


@pytest.mark.parametrize(
    ("models", "said"),
    [("", "models: must be a list, not None"), ("[]", "models: must have at least one item, not []")],
)
def test_a_file_without_models_says_what_it_has_to_have(models: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(f'version: 1\nmatrix: {{keras: ["3.3.3"]}}\nmodels: {models}\n', "validator.yml")
    assert said in str(raised.value)
