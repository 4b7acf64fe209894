"""`pin`: digests in a validator.yml, whose comments and everything else stay."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.adoption.commands import command, refused
from tests.remote.servers import Web
from validator.adoption.elsewhere import name_of, with_pins
from validator.config import load, parse
from validator.errors import ConfigurationError

MODELS = """# ours
version: 1   # the only one
matrix: {keras: ["3.3.3", "3.5.0"]}
models:
  - name: digits # the small one
    artifact: hf://acme/digits@main/m.keras
    inputs: "https://example.com/a b.npz"
"""
PINS = {"hf://acme/digits@main/m.keras": "a" * 64, "https://example.com/a b.npz": "b" * 64}


def test_a_file_without_pins_gets_them_at_its_end() -> None:
    text = with_pins(MODELS, PINS, "validator.yml")
    assert text.startswith(MODELS)
    assert parse(text, "x").sha256 == PINS


@pytest.mark.parametrize(
    "block",
    [
        "sha256: {}\n",
        "sha256: {hf://acme/digits@main/m.keras: " + "c" * 64 + "}  # by hand\n",
        "sha256:\n    hf://acme/digits@main/m.keras: " + "c" * 64 + "  # since May\n",
        "sha256:\n  # the bucket\n  'https://example.com/a b.npz': " + "c" * 64 + "\n\n",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_pins_are_changed_where_they_stand(block: str, first: bool) -> None:
    text = block + MODELS if first else MODELS + block.rstrip()
    changed = with_pins(text, PINS, "validator.yml")
    assert parse(changed, "x").sha256 == PINS
    assert MODELS.rstrip() in changed
    for comment in ("# since May", "# the bucket", "# by hand"):
        assert (comment in changed) == (comment in text)
    assert with_pins(changed, PINS, "validator.yml") == changed


def test_a_file_that_cannot_be_extended() -> None:
    flow = (
        '{version: 1, matrix: {keras: ["3.3.3"]}, models: [{name: m, artifact: "s3://b/m.keras", inputs: i}]}'
    )
    with pytest.raises(ConfigurationError, match=r"add sha256: \{s3://b/m.keras: a+\}"):
        with_pins(flow, {"s3://b/m.keras": "a" * 64}, "validator.yml")


@pytest.mark.parametrize(
    ("pins", "sentence"),
    [
        (
            "{hf://acme/cats: " + "a" * 64 + "}",
            "sha256 pins 'hf://acme/cats', which no model names; remove the line",
        ),
        ("{m.keras: " + "a" * 64 + "}", "sha256 pins 'm.keras', which is no address of another place"),
        ("{'https://u:geheim@h/x?sig=geheim': " + "a" * 64 + "}", "sha256 pins 'https://***@h/x?***'"),
        ("{hf://acme/digits@main/m.keras: abc}", "should match pattern"),
    ],
)
def test_pins_that_pin_nothing(pins: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(f"{MODELS}sha256: {pins}\n", "validator.yml")
    assert sentence in str(raised.value)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("hf://acme/digits@main", "digits"),
        ("hf://acme/digits@main/model.keras", "digits"),
        ("s3://models/2024/churn.keras", "churn"),
        ("https://example.com/models/cats.h5?X-Sig=abc", "cats"),
        ("mlflow:models:/fraud/3", "fraud"),
        ("mlflow:models:/fraud@champion", "fraud"),
    ],
)
def test_the_name_of_a_model_elsewhere(address: str, name: str) -> None:
    assert name_of(address) == name


def test_the_command(tmp_path: Path, web: Web) -> None:
    web.files = {"/m.keras": b"first", "/inputs.npz": b"inputs"}
    config = tmp_path / "validator.yml"
    text = MODELS.replace("hf://acme/digits@main/m.keras", f"{web.url}/m.keras")
    config.write_text(text.replace("https://example.com/a b.npz", f"{web.url}/inputs.npz"))
    done = command(tmp_path, "pin")
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256(b"first").hexdigest()
    assert f"{web.url}/m.keras has the SHA-256 {digest}\n" in done.stdout
    assert load(config).sha256[f"{web.url}/m.keras"] == digest
    assert "# the small one" in config.read_text()
    web.files["/m.keras"] = b"second"
    assert (
        f"has the SHA-256 {hashlib.sha256(b'second').hexdigest()} (was {digest})"
        in command(tmp_path, "pin").stdout
    )
    del web.files["/m.keras"]
    kept = config.read_text()
    assert f"model digits: artifact: {web.url}/m.keras answers 404" in refused(command(tmp_path, "pin"))
    assert config.read_text() == kept


def test_nothing_to_pin(tmp_path: Path) -> None:
    local = MODELS.replace("hf://acme/digits@main/", "").replace("https://example.com/", "")
    (tmp_path / "validator.yml").write_text(local)
    assert "names nothing that lies elsewhere" in command(tmp_path, "pin").stdout
    assert (tmp_path / "validator.yml").read_text() == local
