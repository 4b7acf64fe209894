"""The command `advise`, on real files."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.advise import LAYERS, model_file
from tests.catalogue.samples import archive, layer, model, residual
from validator.catalogue.entries import newest
from validator.errors import ConfigurationError
from validator.pipeline.advise import Question, answer, lines

ROOT = Path(__file__).resolve().parents[2]


def numbers(question: Question) -> list[str]:
    return [each.change.id for each in answer(question).reached]


def advised(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "validator", "advise", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_llama_is_told_of_the_cast() -> None:
    told = answer(Question(ROOT / "examples/llama/model.keras", until="3.5.0"))
    assert told.pair.baseline == "3.3.3"
    assert "K37" in [each.change.id for each in told.reached]
    assert any("causal_mask" in each.layers for each in told.reached)


def test_the_command_prints_layers_and_workarounds() -> None:
    done = advised("examples/translator/model.keras", "--inputs", "examples/translator/inputs.npz")
    assert done.returncode == 0
    assert done.stdout.startswith(f"3 known changes between Keras 3.3.3 and Keras {newest()} can reach")
    assert "K01 compiled metrics ignore the mask" in done.stdout
    assert "K75" not in done.stdout  # its Attention is the user's own, and no layer of Keras
    assert "no id above 256" in done.stdout


def test_json() -> None:
    done = advised("examples/digits/model.keras", "--from", "legacy", "--to", "3.5.0", "--json")
    told = json.loads(done.stdout)
    assert (told["from"], told["to"]) == ("tf-keras", "3.5.0")
    assert {"K04", "K05"} <= {each["id"] for each in told["changes"]}


def test_a_model_of_300_layers(tmp_path: Path) -> None:
    told = answer(Question(model_file(tmp_path)))
    assert (told.pair.baseline, len(told.model.layers)) == ("3.3.3", LAYERS)
    assert {"K01", "K07", "K91"} <= {each.change.id for each in told.reached}


def test_what_costs_time_and_is_not_needed_is_not_imported(tmp_path: Path) -> None:
    code = f"import sys; sys.argv = ['v', 'advise', {str(model_file(tmp_path))!r}]\n"
    code += "from validator.cli import _guarded\n_guarded()\n"
    code += "heavy = {'numpy', 'scipy', 'sklearn', 'jinja2', 'requests', 'validator.config.settings'}\n"
    code += "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_neither_keras_nor_tensorflow_is_imported(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", residual())
    code = f"import sys; sys.argv = ['v', 'advise', {str(path)!r}]\n"
    code += "from validator.cli import _guarded\n_guarded()\n"
    code += "assert not {'keras', 'tensorflow', 'tf_keras', 'h5py', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_three_hundred_layers(tmp_path: Path) -> None:
    names = ["ids", *(f"dense_{number}" for number in range(299))]
    chain = [layer(name, "Dense", before) for before, name in itertools.pairwise(names)]
    path = archive(tmp_path / "deep.keras", model(layer("ids", "InputLayer"), *chain))
    assert len(answer(Question(path)).model.layers) == 300


def test_a_folder(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", residual())
    with zipfile.ZipFile(path) as file:
        file.extractall(tmp_path / "folder")
    assert numbers(Question(tmp_path / "folder")) == numbers(Question(path))


def test_an_hdf5_file_without_h5py(tmp_path: Path) -> None:
    saved = json.dumps(residual()).encode()
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100) + b"keras_version\0\0\0003.3.3\0" + saved + bytes(500))
    assert "K07" in numbers(Question(path))
    assert answer(Question(path)).pair.baseline == "3.3.3"


def test_a_builder(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        "import keras\n\n\ndef build():\n"
        "    x = keras.layers.Embedding(9, 4, mask_zero=True)(keras.Input((3,)))\n"
        "    x = keras.layers.Add()([x, keras.layers.Dense(4)(x)])\n"
        "    return keras.Model(x, keras.layers.experimental.SyncBatchNormalization()(x))\n"
    )
    told = answer(Question(path, "legacy", "3.3.3"))
    assert "K07" in [each.change.id for each in told.reached]
    assert [(name.name, name.line) for name in told.gone] == [
        ("keras.layers.experimental.SyncBatchNormalization", 7)
    ]
    assert any(line.endswith("is not in Keras 3.0.0 and later") for line in lines(told))


def test_a_saved_model_says_that_it_has_no_layers(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    told = answer(Question(tmp_path, "3.3.3"))
    assert not told.model.complete
    assert "holds a graph of operations and no layers" in next(iter(lines(told)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no-such.keras",), "there is no such file"),
        (("README.md",), "not a .keras file"),
        (("examples/digits/model.weights.h5",), "no configuration of a model"),
        (("examples/digits/model.keras", "--to", "9.9.9"), "the catalogue ends at Keras"),
        (("examples/digits/model.keras", "--to", "three"), "not a release"),
        (("examples/digits/model.keras", "--from", "3.5.0", "--to", "3.3.3"), "exchange the two"),
        (("examples/digits/model.keras", "--source", "gone.py"), "name a Python file"),
        (("examples/digits/model.keras", "--backend", "theano"), "use tensorflow, jax, torch"),
        (("examples/digits/model.keras", "--inputs", "gone.npz"), "gone.npz"),
        (("examples/digits/model.py",), "name the releases"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = advised(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_describes_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "[1, 2]")
    with pytest.raises(ConfigurationError, match="describes no model"):
        answer(Question(path))
    shutil.rmtree(tmp_path)


def test_inputs_that_hold_too_little(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", residual())
    np.savez(tmp_path / "inputs.npz", ids=np.ones((4, 6), "int32"))
    told = answer(Question(path, until="3.5.0", inputs=tmp_path / "inputs.npz"))
    assert any(line.startswith("  no padded row: cannot show K07") for line in lines(told))
