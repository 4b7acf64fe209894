"""`init`: what it finds, what it writes, what it asks, and what it refuses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.adoption.commands import command, refused
from tests.inputs.files import entry, functional, layer, write_keras, write_saved_model
from validator.adoption.init import Talk, Wish, initialise
from validator.adoption.recordings import read_csv
from validator.config import load
from validator.errors import ConfigurationError
from validator.storage import recording

PLAIN = functional(
    entry("image", [None, 8, 8, 1]), compile_config={"loss": "sparse_categorical_crossentropy"}
)
CUSTOM = functional(
    entry("x", [None, 4]),
    {**layer("Scale", "scale", ["x"]), "module": "net.layers", "registered_name": "acme>Scale"},
    {**layer("Lambda", "free", ["scale"], function={"class_name": "__lambda__", "config": {}})},
)


def write(folder: Path, **wish: Any) -> tuple[Any, Talk, list[str]]:
    """Run `init`; returns the parsed validator.yml, the talk and the lines."""
    lines: list[str] = []
    talk = Talk(lambda _, default: default, lines.append)
    initialise(Wish(folder / "validator.yml", **wish), talk)
    load(folder / "validator.yml")
    return yaml.safe_load((folder / "validator.yml").read_text()), talk, lines


def test_a_model_alone_gets_synthetic_inputs(tmp_path: Path) -> None:
    write_keras(tmp_path / "model" / "digits.keras", PLAIN)
    settings, talk, lines = write(tmp_path)
    (model,) = settings["models"]
    assert model == {"name": "digits", "artifact": "model/digits.keras", "inputs": "validator-inputs/digits"}
    assert settings["matrix"] == {"keras": ["3.3.3", "3.15.1"]}
    assert settings["baseline"] == {"keras": "3.3.3"}
    assert recording.load(tmp_path / "validator-inputs" / "digits").synthetic
    assert talk.questions == 1
    assert any("accuracy is not known" in line for line in lines)


def test_recorded_inputs_and_labels_beside_the_model(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", PLAIN)
    np.savez(tmp_path / "inputs.npz", image=np.zeros((4, 8, 8, 1), np.float32))
    np.save(tmp_path / "labels.npy", np.zeros(4, np.int64))
    settings, talk, _ = write(tmp_path)
    (model,) = settings["models"]
    assert (model["inputs"], model["labels"], model["metrics"]) == ("inputs.npz", "labels.npy", ["accuracy"])
    assert talk.questions == 0


def test_the_only_file_that_fits_is_found_whatever_its_name(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", PLAIN)
    np.savez(tmp_path / "eval_images.npz", image=np.zeros((4, 8, 8, 1), np.float32))
    np.save(tmp_path / "eval_labels.npy", np.zeros(4, np.int64))
    np.save(tmp_path / "other_labels.npy", np.zeros(5, np.int64))
    np.save(tmp_path / "weights.npy", np.zeros((3, 3), np.float32))
    settings, talk, lines = write(tmp_path)
    (model,) = settings["models"]
    assert (model["inputs"], model["labels"]) == ("eval_images.npz", "eval_labels.npy")
    assert talk.questions == 0
    assert "    labels: eval_labels.npy, scored by accuracy" in lines


def test_nothing_is_guessed_where_several_files_fit(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", PLAIN)
    for name in ("january", "february"):
        np.save(tmp_path / f"{name}.npy", np.zeros((4, 8, 8, 1), np.float32))
    settings, talk, _ = write(tmp_path)
    assert settings["models"][0]["inputs"].startswith("validator-inputs/")
    assert talk.questions == 1


def test_inputs_that_are_named_bring_their_labels(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", PLAIN)
    np.save(tmp_path / "january.npy", np.zeros((4, 8, 8, 1), np.float32))
    settings, _, lines = write(tmp_path, inputs=str(tmp_path / "january.npy"))
    assert "labels" not in settings["models"][0]
    assert any("no labels: outputs are compared" in line for line in lines)
    np.save(tmp_path / "y_january.npy", np.zeros(4, np.int64))
    settings, _, _ = write(tmp_path, inputs=str(tmp_path / "january.npy"), force=True)
    assert settings["models"][0]["labels"] == "y_january.npy"


def test_without_a_terminal_a_question_is_an_error_that_says_what_to_pass(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", PLAIN)
    assert "no terminal to ask on: pass --yes, or name --inputs" in refused(command(tmp_path, "init"))
    assert not (tmp_path / "validator.yml").exists()


def test_a_pin_of_numpy_is_common_to_both_sides(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", PLAIN)
    (tmp_path / "requirements.txt").write_text("keras==3.3.3\ntensorflow-cpu==2.17.1\nnumpy==1.26.4\n")
    settings, _, _ = write(tmp_path)
    assert settings["requirements"] == ["tensorflow-cpu==2.17.1", "numpy==1.26.4"]


def test_own_modules_are_found_by_reading(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", CUSTOM)
    (tmp_path / "net").mkdir()
    source = "import pandas, keras\nfrom net import other\nclass Scale(keras.layers.Layer): pass\n"
    (tmp_path / "net" / "layers.py").write_text(source)
    (tmp_path / "train.py").write_text("import keras\nclass Scale: pass\nmodel.fit(1)\n")
    (tmp_path / "requirements.txt").write_text("keras==3.4.1\ntensorflow==2.17.1\npandas==2.2.0\n")
    settings, _, _ = write(tmp_path)
    (model,) = settings["models"]
    assert model["custom_objects"] == ["net.layers"]
    assert model["safe_mode"] is False
    assert settings["requirements"] == ["tensorflow==2.17.1", "pandas==2.2.0"]
    assert settings["baseline"] == {"keras": "3.4.1"}
    assert "environments" not in settings  # one TensorFlow runs both, so that only Keras differs


def test_a_module_that_trains_on_import_is_named(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", CUSTOM)
    (tmp_path / "train.py").write_text("class Scale: pass\nmodel.fit(1)\n")
    write(tmp_path)
    text = (tmp_path / "validator.yml").read_text()
    assert "# importing train trains a model: put that behind" in text


def test_custom_objects_of_nowhere_are_named(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.keras", CUSTOM)
    _, _, lines = write(tmp_path)
    assert any("no module of this repository defines Scale" in line for line in lines)


def test_inputs_that_were_made_before_stay(tmp_path: Path) -> None:
    write_keras(tmp_path / "m.keras", PLAIN)
    write(tmp_path)
    manifest = tmp_path / "validator-inputs" / "m" / "manifest.json"
    before = manifest.stat().st_mtime_ns
    (tmp_path / "validator.yml").unlink()
    settings, talk, _ = write(tmp_path)
    assert settings["models"][0]["inputs"] == "validator-inputs/m"
    assert (manifest.stat().st_mtime_ns, talk.questions) == (before, 0)


def test_several_models_keep_their_inputs_apart(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write_keras(tmp_path / name / "model.keras", PLAIN)
        np.savez(tmp_path / name / "inputs.npz", image=np.zeros((4, 8, 8, 1), np.float32))
    np.savez(tmp_path / "inputs.npz", image=np.zeros((9, 8, 8, 1), np.float32))
    settings, _, _ = write(tmp_path)
    assert {model["name"]: model["inputs"] for model in settings["models"]} == {
        "cats": "cats/inputs.npz",
        "dogs": "dogs/inputs.npz",
    }


def test_an_mlflow_folder(tmp_path: Path) -> None:
    folder = tmp_path / "churn"
    write_keras(folder / "data" / "model.keras", functional(entry("x", [None, 3])))
    about = {
        "flavors": {"tensorflow": {"data": "data"}},
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "ndarray"},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(about))
    (folder / "input_example.json").write_text(json.dumps({"inputs": [[1, 2, 3], [4, 5, 6]]}))
    settings, talk, _ = write(tmp_path)
    (model,) = settings["models"]
    assert (model["name"], model["artifact"]) == ("churn", "churn/data/model.keras")
    recorded = recording.load(tmp_path / model["inputs"])
    assert (recorded.samples, recorded.synthetic) == (2, False)
    assert recorded.manifest.tensors[0].dtype == "float32"
    assert talk.questions == 0


def test_a_saved_model_brings_its_tensorflow(tmp_path: Path) -> None:
    write_saved_model(tmp_path / "export", {"x": (1, [-1, 6])}, "2.17.0")
    settings, _, _ = write(tmp_path)
    assert settings["models"][0]["artifact"] == "export"
    assert settings["requirements"][0].endswith("==2.17.0")
    assert settings["matrix"]["keras"] == ["3.3.3", "3.15.1"]


def test_an_unzipped_model_is_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(PLAIN))
    (folder / "metadata.json").write_text(json.dumps({"keras_version": "3.5.0"}))
    (folder / "model.weights.h5").write_bytes(b"weights")
    (folder / "README.md").write_text("a card")
    settings, _, _ = write(tmp_path)
    assert settings["models"][0]["artifact"] == "hub"
    assert settings["baseline"] == {"keras": "3.5.0"}


def test_a_preset_needs_keras_hub_and_inputs(tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    folder.mkdir()
    config = {"module": "keras_hub.src.models.bert", "class_name": "BertBackbone", "config": {}}
    (folder / "config.json").write_text(json.dumps({**config, "registered_name": "keras_hub>BertBackbone"}))
    (folder / "metadata.json").write_text('{"keras_version": "3.15.0", "keras_hub_version": "0.32.0"}')
    (folder / "model.weights.h5").write_bytes(b"weights")
    with pytest.raises(ConfigurationError, match="record them"):
        write(tmp_path)
    np.savez(folder.parent / "inputs.npz", token_ids=np.zeros((4, 8), np.int32))
    settings, _, _ = write(tmp_path)
    assert "keras-hub" in settings["requirements"]
    assert settings["models"] == [{"name": "bert", "artifact": "bert", "inputs": "inputs.npz"}]


def test_what_mlflow_logged_is_the_baseline(tmp_path: Path) -> None:
    write_keras(tmp_path / "churn" / "data" / "model.keras", functional(entry("x", [None, 3])))
    (tmp_path / "churn" / "MLmodel").write_text("flavors: {keras: {data: data}}")
    (tmp_path / "churn" / "requirements.txt").write_text("keras==3.4.1\ntensorflow==2.17.1\n")
    settings, _, _ = write(tmp_path)
    assert settings["baseline"] == {"keras": "3.4.1"}


def test_only_the_model_that_is_named(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write_keras(tmp_path / f"{name}.keras", PLAIN)
    settings, _, _ = write(tmp_path, model=str(tmp_path / "dogs.keras"))
    assert [model["name"] for model in settings["models"]] == ["dogs"]
    with pytest.raises(ConfigurationError, match=r"--model absent\.keras: there is no such file below"):
        write(tmp_path, model="absent.keras", force=True)


def test_a_csv_becomes_a_recording(tmp_path: Path) -> None:
    write_keras(tmp_path / "m.keras", functional(entry("age", [None, 1]), entry("town", [None, 1], "string")))
    (tmp_path / "rows.csv").write_text("id,age,town\n1,30.5,Bonn\n2,,Ulm\n")
    settings, _, _ = write(tmp_path, inputs=str(tmp_path / "rows.csv"))
    recorded = recording.load(tmp_path / settings["models"][0]["inputs"])
    assert {tensor.name: tensor.dtype for tensor in recorded.manifest.tensors} == {
        "age": "float32",
        "town": "string",
    }
    assert recorded.manifest.ids == ("rows.csv:2", "rows.csv:3")


def test_texts_and_numbers_of_a_csv_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(
        b'text,number\r\n"two\nlines\x0b",1\r\nplain,99999999999999999999\r\n'
    )
    columns = read_csv(tmp_path / "rows.csv")
    assert columns["text"].tolist() == ["two\nlines\x0b", "plain"]
    assert columns["number"].dtype == np.float32


def test_a_column_of_a_csv_holds_the_labels(tmp_path: Path) -> None:
    """Whether or not `record` was run before: the question about accuracy is half of the question."""
    write_keras(
        tmp_path / "m.keras",
        functional(entry("age", [None, 1]), compile_config={"loss": "binary_crossentropy"}),
    )
    (tmp_path / "rows.csv").write_text("age,label\n1.5,0\n2.5,1\n")
    settings, _, lines = write(tmp_path, inputs=str(tmp_path / "rows.csv"))
    assert "labels" not in settings["models"][0]
    assert "--labels scores a column of rows.csv that the model does not take: label" in "".join(lines)
    settings, _, lines = write(tmp_path, inputs=str(tmp_path / "rows.csv"), labels="label", force=True)
    (model,) = settings["models"]
    assert (model["inputs"], model["labels"]) == ("validator-inputs/m", "validator-inputs/m/labels")
    assert model["metrics"] == ["accuracy"]
    labels = recording.load(tmp_path / "validator-inputs" / "m" / "labels")
    assert (labels.samples, labels.manifest.ids) == (2, ("rows.csv:2", "rows.csv:3"))
    with pytest.raises(ConfigurationError, match=r"rows.csv: it has no column 'town', named by --labels"):
        write(tmp_path, inputs=str(tmp_path / "rows.csv"), labels="town", force=True)


def test_labels_are_never_dropped(tmp_path: Path) -> None:
    write_keras(tmp_path / "m.keras", functional(entry("age", [None, 1])))
    with pytest.raises(ConfigurationError, match="--labels belong to inputs"):
        write(tmp_path, labels="labels.npz")
    settings, _, _ = write(tmp_path, inputs="data:inputs", labels="data:labels")
    (model,) = settings["models"]
    assert (model["inputs"], model["labels"]) == ("data:inputs", "data:labels")


def test_labels_within_a_recording_are_its_own(tmp_path: Path) -> None:
    write_keras(tmp_path / "m.keras", functional(entry("age", [None, 1])))
    (tmp_path / "rows.csv").write_text("age,label\n1.5,0\n2.5,1\n")
    assert command(tmp_path, "record", "rows.csv", "kept", "--labels", "label").returncode == 0
    settings, _, _ = write(tmp_path, inputs=str(tmp_path / "kept"))
    assert settings["models"][0]["labels"] == "kept/labels"


def _git(folder: Path, *arguments: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_branch_that_moves_keras_is_what_is_compared(tmp_path: Path) -> None:
    """As on the branch of a pull request of Dependabot."""
    write_keras(tmp_path / "model.keras", PLAIN)
    place = tmp_path / "serving" / "requirements.txt"
    place.parent.mkdir()
    place.write_text("keras==3.3.3\ntensorflow-cpu==2.17.1\n")
    _git(tmp_path, "init", "-q", "-b", "main")
    _git(tmp_path, "add", "-A")
    _git(tmp_path, "commit", "-qm", "base")
    settings, _, lines = write(tmp_path)
    assert settings["matrix"] == {"keras": ["3.3.3", "3.15.1"]}  # on main itself nothing moves
    assert not any("--base" in line for line in lines)
    _git(tmp_path, "checkout", "-qb", "dependabot/keras-3.10.0")
    place.write_text("keras==3.10.0\ntensorflow-cpu==2.17.1\n")
    _git(tmp_path, "commit", "-qam", "Bump keras")
    settings, _, lines = write(tmp_path, force=True)
    assert settings["matrix"] == {"keras": ["3.3.3", "3.10.0"]}
    assert settings["baseline"] == {"keras": "3.3.3"}
    assert "what serving/requirements.txt pinned before this branch" in "".join(lines)
    assert lines[-1].endswith("--base main")
    settings, _, lines = write(tmp_path, force=True, until="3.12.0")
    assert settings["matrix"] == {"keras": ["3.10.0", "3.12.0"]}  # whoever names releases means them


@pytest.mark.parametrize(
    ("saved", "manifest", "keras", "common"),
    [
        ("3.5.0", "", ["3.5.0", "3.15.1"], "2.17.1"),
        ("3.15.1", "", ["3.15.1", "3.15.0"], "2.21.0"),
        ("2.15.0", "", ["2.15.0", "legacy", "3.15.1"], "2.15.1"),
        ("3.5.0", "tf-keras==2.17.0\n", ["legacy", "3.15.1"], "2.17.1"),
        ("3.5.0", "keras==3.6.0\njax==0.4.34\n", ["3.6.0", "3.15.1"], "0.4.34"),
        ("3.5.0", "keras>=3\ntensorflow-cpu==2.16.2\n", ["3.5.0", "3.15.1"], "2.16.2"),
    ],
)
def test_the_baseline(tmp_path: Path, saved: str, manifest: str, keras: list[str], common: str) -> None:
    write_keras(tmp_path / "m.keras", PLAIN, saved)
    (tmp_path / "requirements.txt").write_text(manifest)
    settings, _, _ = write(tmp_path)
    assert settings["matrix"]["keras"] == keras
    assert settings["requirements"][0].endswith(f"=={common}")
    assert settings["matrix"].get("backend") == (["jax"] if "jax" in manifest else None)


def test_workflow_and_dependabot(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    write_keras(tmp_path / "ml" / "m.keras", PLAIN)
    _, _, lines = write(tmp_path / "ml", workflow=True, dependabot=True)
    workflow = yaml.safe_load((tmp_path / ".github" / "workflows" / "keras.yml").read_text())
    action = workflow["jobs"]["validate"]["steps"][1]
    assert action["with"] == {"config": "ml/validator.yml"}
    dependabot = yaml.safe_load((tmp_path / ".github" / "dependabot.yml").read_text())
    assert "keras*" in dependabot["updates"][0]["groups"]["keras"]["patterns"]
    assert any("replace OWNER" in line for line in lines)


def test_automation_leaves_the_configuration_alone(tmp_path: Path) -> None:
    (tmp_path / "validator.yml").write_text("mine")
    lines: list[str] = []
    wish = Wish(tmp_path / "validator.yml", workflow=True)
    initialise(wish, Talk(lambda _, default: default, lines.append))
    assert (tmp_path / "validator.yml").read_text() == "mine"
    assert (tmp_path / ".github" / "workflows" / "keras.yml").is_file()
    with pytest.raises(ConfigurationError, match=r"keras\.yml exists; pass --force"):
        initialise(wish, Talk(lambda _, default: default, lines.append))


def test_an_existing_dependabot_file_stays(tmp_path: Path) -> None:
    write_keras(tmp_path / "m.keras", PLAIN)
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "dependabot.yml").write_text("version: 2\nupdates: []\n")
    _, _, lines = write(tmp_path, dependabot=True)
    assert (tmp_path / ".github" / "dependabot.yml").read_text() == "version: 2\nupdates: []\n"
    assert any("add to its entry" in line for line in lines)


def test_the_templates_are_those_of_the_documentation() -> None:
    root = Path(__file__).resolve().parents[2]
    guide = (root / "docs" / "github.md").read_text(encoding="utf-8")
    templates = sorted((root / "validator" / "adoption" / "templates").glob("*.yml"))
    assert len(templates) == 2
    for template in templates:
        assert f"```yaml\n{template.read_text(encoding='utf-8')}```" in guide


Prepare = Callable[[Path], object]


def _model(folder: Path) -> None:
    write_keras(folder / "m.keras", PLAIN)


def _subclassed(folder: Path) -> None:
    config = {"module": "a", "class_name": "Net", "config": {}, "registered_name": "a>Net"}
    write_keras(folder / "m.keras", config)


def _existing(folder: Path) -> None:
    _model(folder)
    (folder / "validator.yml").write_text("mine")


def _csv(text: str) -> Prepare:
    def prepare(folder: Path) -> None:
        _model(folder)
        (folder / "rows.csv").write_text(text)

    return prepare


@pytest.mark.parametrize(
    ("prepare", "arguments", "sentence"),
    [
        (lambda _: None, (), "no model is in it: no .keras, .h5, SavedModel or MLflow folder"),
        (_subclassed, (), "Net is subclassed); record them"),
        (_existing, (), "validator.yml exists; pass --force"),
        (_model, ("--to", "newest"), "--to 'newest': no release"),
        (_model, ("--to", "3.3.3"), "--to 3.3.3 is the baseline itself"),
        (_model, ("--inputs", "absent.npz"), "absent.npz: there is no such file"),
        (_csv("a,b\n1,2\n"), ("--inputs", "rows.csv"), "it has no column 'image'"),
        (_csv("a,b\n1\n"), ("--inputs", "rows.csv"), "rows.csv line 2: 1 values, the header has 2"),
        (_csv("a,b\n"), ("--inputs", "rows.csv"), "it has a header and no rows"),
        (_csv(""), ("--inputs", "rows.csv"), "no CSV with a header"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, prepare: Prepare, arguments: tuple[str, ...], sentence: str
) -> None:
    prepare(tmp_path)
    assert sentence in refused(command(tmp_path, "init", "--yes", *arguments))
    kept = (tmp_path / "validator.yml").read_text() if (tmp_path / "validator.yml").exists() else "mine"
    assert kept == "mine"


def test_broken_models_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    _model(tmp_path)
    (tmp_path / "torn.keras").write_bytes(b"PK torn")
    _, _, lines = write(tmp_path)
    assert any(line.startswith("left out: ") and "torn.keras: not a .keras file" in line for line in lines)


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    _model(tmp_path)
    (tmp_path / "large.keras").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    _, _, lines = write(tmp_path)
    assert f"left out: {tmp_path}/large.keras is a pointer of Git LFS; run `git lfs pull`" in lines


def test_a_question_takes_a_path(tmp_path: Path) -> None:
    _model(tmp_path)
    (tmp_path / "kept").mkdir()
    np.savez(tmp_path / "kept" / "mine.npz", image=np.zeros((4, 8, 8, 1), np.float32))
    done = command(tmp_path, "init", answers="kept/mine.npz\n")
    assert done.returncode == 0, done.stderr
    assert "questions: 1" in done.stdout
    assert yaml.safe_load((tmp_path / "validator.yml").read_text())["models"][0]["inputs"] == "kept/mine.npz"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        write(tmp_path / "absent")
