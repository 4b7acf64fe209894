import jsonschema
import pytest
import yaml

from tests.conftest import ROOT
from validator.config import schema


def check(text: str) -> None:
    jsonschema.Draft202012Validator(yaml.safe_load(schema.schema())).validate(yaml.safe_load(text))


def test_the_published_schema_is_what_the_settings_say() -> None:
    assert schema.PATH.read_text(encoding="utf-8") == schema.schema()


def test_it_accepts_the_examples() -> None:
    check((ROOT / "examples" / "validator.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text", ["version: 2\nmodels: []", "version: 1\nmodels: [{name: a, artefact: b, inputs: c}]"]
)
def test_it_refuses_what_the_loader_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(text)
