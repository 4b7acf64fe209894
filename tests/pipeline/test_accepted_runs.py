"""The whole way of an acceptance with a real Keras: a change fails, is accepted, and fails when worse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.small_project import run, write_project
from validator.verdict.acceptance_file import read

pytestmark = pytest.mark.environment

NAMES = ("covered", "worse", "expired", "elsewhere")
CONFIG = """
version: 1
origin: {{seconds: 0}}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {{keras: ["3.3.3", "3.5.0"]}}
parity: {{search: false}}
models:
{models}
"""
MODEL = (
    '  - {{name: {0}, builder: "little:{0}", inputs: inputs.npz, labels: labels.npz, metrics: [accuracy]}}'
)
#: A layer that scales by another factor in the newer release, for each model.
CODE = """
import keras

NEW = keras.__version__ == "3.5.0"

def _model(factor):
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "tanh", name="hidden"),
                             Scaled(factor, name="scaled"), keras.layers.Dense(3, name="top")])

class Scaled(keras.layers.Layer):
    def __init__(self, factor, **more):
        super().__init__(**more)
        self.factor = factor
    def call(self, inputs):
        return inputs * (self.factor if NEW else 1.0)

def covered():
    return _model(1.5)

def worse():
    return _model(1.5)

def expired():
    return _model(1.5)

def elsewhere():
    return _model(1.5)
"""


class Story:
    """One project and what its runs came to, in their order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_project(folder)
        (folder / "little.py").write_text(CODE)
        (folder / "validator.yml").write_text(CONFIG.format(models="\n".join(map(MODEL.format, NAMES))))
        self.first = self.run()
        self.accepted = self.command("review", "--all", "--reason", "the new scale is right", "--by", "Ada")
        self.second = self.run()
        self.later()
        self.third = self.run()

    @property
    def file(self) -> Path:
        return self.folder / "keras-acceptances.yml"

    def run(self) -> tuple[int, dict[str, dict[str, object]], str]:
        """The exit code of a run, its cells by model, and what it prints."""
        code, text = self.command("run")
        report = json.loads((self.folder / ".keras-validator" / "run" / "report.json").read_text())
        cells = {model["name"]: cell for model in report["models"] for cell in model["cells"]}
        return code, cells, " ".join(text.split())

    def command(self, *arguments: str) -> tuple[int, str]:
        done = run(self.folder / "validator.yml", ROOT, *arguments)
        return done.returncode, done.stdout + done.stderr

    def later(self) -> None:
        """A model moves further, an acceptance ends, and one turns out to be of another upgrade."""
        code, further = (self.folder / "little.py").read_text(), "def worse():\n    return _model(3.0)"
        (self.folder / "little.py").write_text(code.replace("def worse():\n    return _model(1.5)", further))
        text, expired = self.file.read_text(), "- cell: expired@keras-3.5.0\n"
        text = text.replace(expired, f"{expired}  until: 2026-01-01\n")
        before, cell, after = text.partition("- cell: elsewhere@keras-3.5.0\n")
        self.file.write_text(before + cell + after.replace("3.3.3 -> 3.5.0", "3.3.3 -> 3.4.1", 1))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("accepted"))


def test_a_change_fails_and_says_how_to_accept_it(story: Story) -> None:
    code, cells, text = story.first
    assert code == 1, text
    assert {cell["verdict"] for cell in cells.values()} == {"changed"}
    assert 'keras-validator accept covered@keras-3.5.0 --reason "…"' in text


def test_once_it_is_accepted_the_run_warns_and_says_who_accepted_it(story: Story) -> None:
    assert story.accepted[0] == 0, story.accepted
    code, cells, text = story.second
    assert code == 0, text
    assert {cell["verdict"] for cell in cells.values()} == {"changed"}
    assert all(cell["accepted"] for cell in cells.values())
    assert "accepted by Ada: the new scale is right" in text
    assert "WARN" in text


def test_an_entry_holds_to_the_layer_the_drift_and_the_upgrade(story: Story) -> None:
    entry = next(each for each in read(story.file) if each.model == "covered")
    assert entry.packages == {"keras": "3.3.3 -> 3.5.0"}
    findings = {each.kind: each for each in entry.findings}
    assert findings["value"].of == ("scaled (Scaled)",)
    assert (findings["noise"].drift or 0) > 100
    assert "accuracy" in entry.metrics


def test_a_worse_result_an_expired_acceptance_and_another_upgrade_fail(story: Story) -> None:
    code, cells, text = story.third
    assert code == 1, text
    assert {name for name, cell in cells.items() if cell["accepted"]} == {"covered"}
    assert {name for name, cell in cells.items() if cell["gated"]} == {"worse", "expired", "elsewhere"}
    assert "The acceptance of worse@keras-3.5.0 by Ada does not cover this result: output drifts" in text
    assert "The acceptance of expired@keras-3.5.0 by Ada expired on 2026-01-01" in text
    assert "The acceptance of elsewhere@keras-3.5.0 by Ada is of another upgrade: keras 3.3.3 → 3.4.1" in text
