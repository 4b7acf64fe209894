"""The decode block of a model."""

from __future__ import annotations

import pytest

from validator.config.load import parse
from validator.errors import ConfigurationError

TEXT = """
version: 1
matrix: {{keras: ["3.3.3", "3.5.0"]}}
models:
  - name: m
    builder: "a:b"
    inputs: i.npz
    decode: {decode}
"""


def test_defaults() -> None:
    decode = parse(TEXT.format(decode="{prompt_length: 4}"), "validator.yml").models[0].decode
    assert decode is not None
    assert (decode.steps, decode.samples, decode.eos, decode.protocol) == (16, 8, None, None)


@pytest.mark.parametrize(
    ("decode", "says"),
    [
        ("{}", "either prompt_length or prompts"),
        ("{prompt_length: 4, prompts: p.npz}", "either prompt_length or prompts"),
        ("{prompt_length: 0}", "prompt_length"),
        ("{prompt_length: 4, steps: 65}", "steps"),
        ("{prompt_length: 4, samples: 0}", "samples"),
        ("{prompt_length: 4, eos: -1}", "eos"),
        ("{prompt_length: 4, protocol: not a function}", "protocol"),
        ("{prompt_lenght: 4}", "prompt_length"),
    ],
)
def test_mistakes_are_named(decode: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse(TEXT.format(decode=decode), "validator.yml")
