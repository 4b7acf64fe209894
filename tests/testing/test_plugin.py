"""The plugin in a real pytest, in a real environment with Keras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import share_environments
from tests.testing.user import KERAS, UserEnvironment, user_environment

pytestmark = pytest.mark.environment

CONFIG = """
version: 1
origin: {seconds: 0}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3"]}
models:
  - {name: same, builder: "little:same", inputs: inputs.npz}
  - {name: moved, builder: "little:moved", inputs: inputs.npz}
"""
MODELS = f"""
import keras

def same():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "tanh", name="hidden"),
                             keras.layers.Dense(3, name="top")])

class Scaled(keras.layers.Layer):
    def call(self, inputs):
        return inputs * (1.5 if keras.__version__ == "{KERAS}" else 1.0)

def moved():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "tanh", name="hidden"),
                             Scaled(name="scaled"), keras.layers.Dense(3, name="top")])
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> UserEnvironment:
    return user_environment(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "validator.yml").write_text(CONFIG)
    (tmp_path / "little.py").write_text(MODELS)
    inputs = np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", x=inputs)
    share_environments(tmp_path)
    return tmp_path


@pytest.mark.matrix
def test_check_holds_a_model_against_its_baseline(user: UserEnvironment, project: Path) -> None:
    (project / "test_upgrade.py").write_text(
        "def test_same(keras_validator):\n"
        "    outcome = keras_validator.check('same', baseline='3.3.3')\n"
        "    assert [cell.cell for cell in outcome.cells] == ['same@current']\n"
        f"    assert any(each.keras.endswith('{KERAS}') for each in outcome.report.environments)\n"
        "    assert outcome.report_html.is_file()\n"
        "def test_moved(keras_validator):\n"
        "    keras_validator.check('moved', baseline='3.3.3')\n"
        "def test_allowed(keras_validator):\n"
        "    keras_validator.check('moved', against='keras-3.3.3', baseline='current')\n"
    )
    done = user.pytest(project, "-q", "test_upgrade.py")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 1 passed" in done.stdout
    # What moved, by how much, in which layer, and the command to look further.
    for told in (
        "moved is not validated",
        "moved@current: changed",
        "max abs diff",
        "scaled",
        "python -m validator run --config validator.yml --baseline 3.3.3 --against current --only moved@cu",
        f"Full report: {project / '.keras-validator' / 'tests' / 'moved-3.3.3-current' / 'report.html'}",
        "moved@keras-3.3.3: changed",
    ):
        assert told in done.stdout, done.stdout
    assert "validator/testing/checker.py" not in done.stdout  # the traceback ends in the user's own test
    reproduced = user.run(
        project, "-m", "validator", "run", "--baseline", "3.3.3", "--against", "current",
        "--only", "moved@current", "--json",
    )  # fmt: skip
    assert reproduced.returncode == 1, reproduced.stderr
    assert json.loads(reproduced.stdout)["models"][0]["cells"][0]["verdict"] == "changed"


def test_what_cannot_be_asked_for_is_an_error_in_a_sentence(user: UserEnvironment, project: Path) -> None:
    (project / "test_wrong.py").write_text(
        "def test_model(keras_validator):\n    keras_validator.check('smae')\n"
        "def test_version(keras_validator):\n    keras_validator.check('same', against='newest')\n"
        "def test_alone(keras_validator):\n    keras_validator.check('same', baseline='current')\n"
        "def test_config(keras_validator):\n    keras_validator.check('same', config='nowhere.yml')\n"
    )
    done = user.pytest(project, "-q", "test_wrong.py")
    assert "4 failed" in done.stdout
    for told in (
        "no model is called 'smae': did you mean 'same'?",
        "'newest' is neither an environment nor a version of Keras; the matrix has keras-3.3.3",
        "there is nothing to compare with the baseline current; name another",
        "nowhere.yml does not exist; write it with `keras-validator init`",
    ):
        assert told in done.stdout, done.stdout


NOISE = """
import keras
import numpy as np
import pytest
from validator.errors import CannotJudgeError, ConfigurationError
from validator.testing import assert_within_noise

INPUTS = np.random.default_rng(0).normal(size=(70, 8)).astype(np.float32)

@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((8,)), keras.layers.Dense(64, "tanh"), keras.layers.Dropout(0.5),
              keras.layers.Dense(3, activation="softmax")]
    return keras.Sequential(layers)

def test_rounding(keras_validator, model):
    weights = [value.copy() for value in model.get_weights()]
    state, expected = np.random.get_state()[1].copy(), model.predict(INPUTS, verbose=0)
    rounded = np.nextafter(expected, 1, dtype=np.float32)
    comparison = keras_validator.assert_within_noise(rounded, expected, model, INPUTS)
    noise = comparison.noise
    assert (noise.method, noise.members, noise.samples) == ("operations", 8, 70)
    assert comparison.noise.keras == f"keras {keras.__version__}"
    assert (comparison.verdict, comparison.predicted) == ("rounding", "baseline")
    for before, after in zip(weights, model.get_weights()):
        assert (before == after).all()
    assert (np.random.get_state()[1] == state).all()
    assert (model.predict(INPUTS, verbose=0) == expected).all()

def test_the_model_may_predict_the_other_side(model):
    actual = model.predict(INPUTS, verbose=0)
    comparison = assert_within_noise(actual, np.nextafter(actual, 1, dtype=np.float32), model, INPUTS)
    assert comparison.predicted == "candidate"

def test_a_change_that_allclose_would_pass(model):
    expected = model.predict(INPUTS, verbose=0)
    wrong = expected.copy()
    wrong[:, 1] += 1e-5
    np.testing.assert_allclose(wrong, expected, atol=1e-4)
    with pytest.raises(AssertionError, match="outputs are not within noise") as failed:
        assert_within_noise(wrong, expected, model, INPUTS)
    assert "column 1" in str(failed.value) and "× the noise" in str(failed.value)

def test_an_unsteady_model_judges_nothing():
    class Unsteady(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.draws = keras.random.SeedGenerator(1)
        def call(self, inputs):
            return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.draws)
    model = keras.Sequential([keras.layers.Input((8,)), Unsteady()])
    with pytest.raises(AssertionError, match="nondeterministic"):
        first = model.predict(INPUTS, verbose=0)
        assert_within_noise(first + 1e-3, first, model, INPUTS)

def test_a_model_of_another_prediction(model):
    with pytest.raises(CannotJudgeError, match="the model predicts neither side"):
        assert_within_noise(np.zeros((70, 3), np.float32), np.ones((70, 3), np.float32), model, INPUTS)

def test_inputs_that_do_not_fit(model):
    expected = model.predict(INPUTS, verbose=0)
    with pytest.raises(ConfigurationError, match="does not fit the input"):
        assert_within_noise(expected + 1, expected, model, INPUTS[:, :3])

def test_a_model_that_fails():
    class Broken(keras.layers.Layer):
        def call(self, inputs):
            raise RuntimeError("no such kernel")
        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape, inputs.dtype)
    model = keras.Sequential([keras.layers.Input((8,)), Broken()])
    with pytest.raises(CannotJudgeError, match="no such kernel"):
        assert_within_noise(INPUTS, INPUTS + 1, model, INPUTS)

def test_several_outputs_by_name():
    x = keras.layers.Input((8,), name="x")
    y = keras.layers.Dense(4, name="y")(x)
    model = keras.Model(x, {"a": y, "b": keras.layers.Dense(2, name="z")(y)})
    expected = model.predict({"x": INPUTS}, verbose=0)
    moved = {"a": expected["a"], "b": expected["b"] + 1e-3}
    with pytest.raises(AssertionError, match="changed: 1 of 2 outputs") as failed:
        assert_within_noise(moved, expected, model, {"x": INPUTS})
    assert "output b" in str(failed.value).lower()
    with pytest.raises(ConfigurationError, match="the model predicts a, b"):
        assert_within_noise({"c": moved["a"]}, {"c": moved["b"]}, model, {"x": INPUTS})

def test_where_operations_cannot_be_moved_the_weights_are():
    class Eager(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.convert_to_tensor(np.sort(inputs.numpy()))
        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape, inputs.dtype)
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(8), Eager()])
    model.compile(run_eagerly=True)
    expected = model.predict(INPUTS, verbose=0)
    comparison = assert_within_noise(np.nextafter(expected, 1, dtype=np.float32), expected, model, INPUTS)
    assert comparison.noise.method == "weights", comparison.noise
    assert comparison.noise.reason
    assert "weights moved by one unit in the last place" in str(comparison)
"""


def test_assert_within_noise_measures_in_the_process_of_the_test(
    user: UserEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "test_noise.py").write_text(NOISE)
    done = user.pytest(tmp_path, "-q", "test_noise.py")
    assert done.returncode == 0, done.stdout[-6000:]


def test_where_it_is_not_used_it_costs_nothing(user: UserEnvironment, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import sys\n"
        "def pytest_sessionfinish(session):\n"
        "    assert session.config.pluginmanager.has_plugin('keras_validator')\n"
        "    heavy = {'numpy', 'tensorflow', 'keras', 'pydantic', 'rich', 'scipy', 'keras_capture'}\n"
        "    print('heavy:', sorted(heavy & sys.modules.keys()), 'ours:', sorted(\n"
        "        name for name in sys.modules if name.split('.')[0] == 'validator'))\n"
    )
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    done = user.pytest(tmp_path, "-q", "-s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "heavy: [] ours: ['validator', 'validator.testing', 'validator.testing.plugin']" in done.stdout
