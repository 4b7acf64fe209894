"""What a model is made of, and which changes of a pull request are changes of a model. Nothing is run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.upgrade.conftest import Files, Repo
from validator.config.load import parse
from validator.failure import Failure
from validator.upgrade import Detected, ModelReason, Options, Requirements, Trigger, detect

SETTINGS = """version: 1
models:
  - name: waves
    builder: shapes.waves:build
    weights: stored/waves.weights.h5
    custom_objects: [extra]
    files: [tables]
    inputs: samples.npz
    labels: answers.npz
    metrics: [accuracy, scoring.own:error]
    builder_arguments: {vocabulary: words/list.txt}
"""
PROJECT: Files = {
    "validator.yml": SETTINGS,
    "requirements.txt": "keras==3.5.0\n",
    "README.md": "a",
    "shapes/__init__.py": "",
    "shapes/waves.py": "from . import mixing\nfrom .deep.rings import ring\nimport plain as p\n",
    "shapes/mixing.py": "import importlib\nblend = importlib.import_module('tools.blend')\n",
    "shapes/notes.csv": "1",
    "shapes/deep/__init__.py": "from .spiral import spin\n",
    "shapes/deep/rings.py": "try:\n    import quick\nexcept ImportError:\n    from tools import slow_ring\n",
    "shapes/deep/spiral.py": "def f():\n    from ... import nothing\n    from shapes.deep.leaf import x\n",
    "shapes/deep/leaf.py": "x = 1\n",
    "tools/blend.py": "open('constants/pi.txt')\n",
    "tools/slow_ring.py": "",
    "tools/unused.py": "",
    "constants/pi.txt": "3",
    "plain.py": "def load(name):\n    __import__(f'plugins.{name}')\n",
    "plugins/first.py": "",
    "extra.py": "",
    "tables/1.csv": "1",
    "words/list.txt": "a",
    "stored/waves.weights.h5": "1",
    "samples.npz": "1",
    "answers.npz": "1",
    "scoring/own.py": "from scoring.helper import h\n",
    "scoring/helper.py": "h = 1\n",
    "alone.py": "",
}


class Silent:
    """An installer that nothing is asked of."""

    def resolve(self, requirements: Requirements, exclude_newer: str) -> Mapping[str, str] | Failure:
        raise AssertionError(requirements)

    def export(
        self, project: Mapping[str, str], extras: tuple[str, ...], groups: tuple[str, ...]
    ) -> str | Failure:
        raise AssertionError(project)


def compared(repo: Repo, base: Files, head: Files, path: str = "validator.yml") -> Detected:
    repo.commit(base, "base")
    repo.commit(head, "head")
    settings = parse((repo.folder / path).read_text(), path)
    options = Options(configuration=path, settings=settings)
    trigger = Trigger(event="merge_group", base_sha="HEAD^", head_sha="HEAD")
    return detect(repo.folder, trigger, options, Silent())


def parts(found: Detected) -> list[tuple[str, str]]:
    return [(part.part, part.path) for reason in found.reasons for part in reason.parts]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("shapes/waves.py", "builder"),
        ("shapes/__init__.py", "builder"),
        ("shapes/mixing.py", "code"),
        ("shapes/deep/__init__.py", "code"),
        ("shapes/deep/rings.py", "code"),
        ("shapes/deep/spiral.py", "code"),
        ("shapes/deep/leaf.py", "code"),
        ("tools/blend.py", "code"),
        ("tools/slow_ring.py", "code"),
        ("plain.py", "code"),
        ("plugins/first.py", "code"),
        ("extra.py", "custom objects"),
        ("shapes/notes.csv", "file"),
        ("constants/pi.txt", "file"),
        ("words/list.txt", "file"),
        ("stored/waves.weights.h5", "weights"),
        ("samples.npz", "inputs"),
        ("answers.npz", "labels"),
        ("scoring/own.py", "metric"),
        ("scoring/helper.py", "metric"),
    ],
)
def test_a_file_of_the_model_is_a_reason(repo: Repo, name: str, part: str) -> None:
    found = compared(repo, PROJECT, {name: f"{PROJECT[name]}\n# edited"})

    assert found.upgrade.relevant
    assert parts(found) == [(part, name)]
    assert found.reasons[0].model == "waves"
    assert bool(found.reasons[0].own) is (part not in ("inputs", "labels", "metric"))


def test_a_folder_that_the_settings_name_is_reported_by_its_name(repo: Repo) -> None:
    assert parts(compared(repo, PROJECT, {"tables/1.csv": "2", "tables/2.csv": "3"})) == [("file", "tables")]


@pytest.mark.parametrize("name", ["README.md", "alone.py", "tools/unused.py"])
def test_what_no_model_is_made_of_is_no_reason(repo: Repo, name: str) -> None:
    found = compared(repo, PROJECT, {name: "edited = 1\n"})

    assert not found.upgrade.relevant
    assert found.models.models == {}


def test_code_that_this_python_cannot_parse_is_read_line_by_line(repo: Repo) -> None:
    odd = "from tools.unused import (  # all\n    a)\ndef f(: nonsense\n"
    found = compared(repo, {**PROJECT, "plain.py": odd}, {"tools/unused.py": "a = 2\n"})

    assert parts(found) == [("code", "tools/unused.py")]


@pytest.mark.parametrize(
    ("code", "name", "part"),
    [
        ("import sys\nsys.path.append('lib')\nimport buried\n", "lib/inner/buried.py", "code"),
        ("from pathlib import Path\nfor p in Path('grids').glob('*.csv'): ...\n", "grids/1.csv", "file"),
        ("def read(n):\n    return open(f'grids/{n}.csv')\n", "grids/1.csv", "file"),
        ("from pathlib import Path\nP = Path(__file__).parent / 'data' / 'pi.bin'\n", "data/pi.bin", "file"),
        (
            "import importlib\nimportlib.import_module('.unused', package='tools')\n",
            "tools/unused.py",
            "code",
        ),
        (
            "from importlib import import_module as i\nimport_module('tools.' + n)\n",
            "tools/unused.py",
            "code",
        ),
        ("exec(open('tools/unused.py').read())\n", "tools/unused.py", "file"),
        ("import importlib\nimportlib.import_module(choose())\n", "alone.py", "code"),
        ("from . import sibling\n", "sibling.py", "code"),
        ("if True:\n    import src_only\n", "src/src_only.py", "code"),
    ],
)
def test_what_code_reads_in_its_own_ways(repo: Repo, code: str, name: str, part: str) -> None:
    base = {**PROJECT, "plain.py": code, name: "x = 1\n"}
    assert parts(compared(repo, base, {name: "x = 2\n"})) == [(part, name)]


@pytest.mark.parametrize("code", ["import sys\nsys.path\nimport json, keras\n", "X = ['tools', 'alone']\n"])
def test_what_code_only_seems_to_read_is_no_part(repo: Repo, code: str) -> None:
    base = {**PROJECT, "plain.py": code, "other/json.py": "", "alone.py": ""}
    found = compared(
        repo, base, {"other/json.py": "x = 1\n", "tools/unused.py": "x = 1\n", "alone.py": "y = 1\n"}
    )
    assert not found.upgrade.relevant


def test_a_star_import_reads_the_package(repo: Repo) -> None:
    project = {**PROJECT, "plain.py": "from tools import *\n"}
    assert parts(compared(repo, project, {"tools/unused.py": "a = 2\n"})) == [("code", "tools/unused.py")]


def test_modules_are_searched_from_the_folder_of_validator_yml(repo: Repo) -> None:
    settings = "version: 1\nmodels: [{name: a, builder: 'net:build', inputs: ../in.npy}]\n"
    base: Files = {
        "ml/validator.yml": settings,
        "ml/net.py": "import part\n",
        "ml/part.py": "",
        "in.npy": "1",
    }
    found = compared(
        repo,
        {**base, "net.py": "", "part.py": "", "requirements.txt": "keras==3.5.0\n"},
        {"ml/part.py": "x = 1\n", "part.py": "x = 2\n", "in.npy": "2"},
        "ml/validator.yml",
    )

    assert parts(found) == [("code", "ml/part.py"), ("inputs", "in.npy")]


def archive(module: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("config.json", json.dumps({"config": [{"module": "keras.layers"}, {"module": module}]}))
    return file.getvalue()


def test_modules_that_an_archive_names_belong_to_it(repo: Repo) -> None:
    settings = "version: 1\nmodels: [{name: a, artifact: a.keras, inputs: in.npy}]\n"
    files: Files = {"validator.yml": settings, "a.keras": archive("tuned.layers"), "in.npy": "1"}
    files |= {"tuned/layers.py": "from tuned import base\n", "tuned/base.py": ""}
    found = compared(repo, files, {"tuned/base.py": "x = 1\n"})

    assert parts(found) == [("code", "tuned/base.py")]


def test_an_artifact_may_be_a_folder(repo: Repo) -> None:
    settings = "version: 1\nmodels: [{name: a, artifact: saved, inputs: in.npy}]\n"
    files: Files = {"validator.yml": settings, "saved/saved_model.pb": "1", "in.npy": "1"}
    found = compared(repo, {**files, "saved/variables/v.index": "1"}, {"saved/variables/v.index": "2"})

    assert parts(found) == [("artifact", "saved")]


def test_a_link_and_what_it_leads_to_belong_together(repo: Repo) -> None:
    settings = "version: 1\nmodels: [{name: a, artifact: now.keras, inputs: in.npy}]\n"
    repo.write({"validator.yml": settings, "v1.keras": "1", "in.npy": "1"})
    (repo.folder / "now.keras").symlink_to("v1.keras")
    assert parts(compared(repo, {}, {"v1.keras": "2"})) == [("artifact", "now.keras")]


def test_a_link_out_of_the_repository_is_not_followed(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.keras").write_text("1")
    settings = "version: 1\nmodels: [{name: a, artifact: now.keras, inputs: in.npy}]\n"
    repo.write({"validator.yml": settings, "in.npy": "1"})
    (repo.folder / "now.keras").symlink_to(tmp_path / "elsewhere.keras")
    assert parts(compared(repo, {}, {"in.npy": "2"})) == [("inputs", "in.npy")]


@pytest.mark.parametrize(
    ("old", "new", "part", "names"),
    [
        ("list.txt}", "list.txt, depth: 3}", "settings", ("builder_arguments",)),
        ("inputs: samples.npz", "inputs: samples.npz\n    batch_size: 8", "comparison", ("batch_size",)),
    ],
)
def test_the_section_of_the_model_is_a_part_of_it(
    repo: Repo, old: str, new: str, part: str, names: tuple[str, ...]
) -> None:
    found = compared(repo, PROJECT, {"validator.yml": SETTINGS.replace(old, new)})

    (reason,) = found.upgrade.reasons
    assert isinstance(reason, ModelReason)
    assert [(each.part, each.names) for each in reason.parts] == [(part, names)]
    assert "depth" not in found.models.models["waves"].builder_arguments
    assert found.only_models


def test_other_settings_are_a_reason_of_their_own(repo: Repo) -> None:
    found = compared(repo, PROJECT, {"validator.yml": SETTINGS + "gate: {alpha: 0.01}\n"})

    assert [reason.kind for reason in found.upgrade.reasons] == ["file"]
    assert not found.only_models


def test_a_comment_in_validator_yml_is_no_reason(repo: Repo) -> None:
    assert not compared(repo, PROJECT, {"validator.yml": f"# ours\n{SETTINGS}"}).upgrade.relevant


def test_models_come_and_go(repo: Repo) -> None:
    more = SETTINGS + "  - {name: second, builder: 'alone:build', inputs: samples.npz}\n"
    found = compared(repo, PROJECT, {"validator.yml": more})
    assert [(each.model, each.state) for each in found.reasons] == [("second", "added")]
    again = compared(repo, {"validator.yml": more}, {"validator.yml": SETTINGS})
    assert [(each.model, each.state) for each in again.reasons] == [("second", "removed")]
    assert found.models.models == again.models.models == {}


def test_a_validator_yml_that_the_base_lacks_is_of_models_that_it_has(repo: Repo) -> None:
    """Whoever adds the validator.yml in the pull request that it is to judge compares them all the same."""
    more = SETTINGS + "  - {name: second, builder: 'recent:build', inputs: samples.npz}\n"
    lacking = ("validator.yml", "samples.npz")
    base: Files = {name: text for name, text in PROJECT.items() if name not in lacking}
    head: Files = {
        "validator.yml": more,
        "samples.npz": "1",
        "recent.py": "",
        "requirements.txt": "keras==3.10.0\n",
    }
    found = compared(repo, base, head)
    assert [(each.model, each.state) for each in found.reasons if isinstance(each, ModelReason)] == [
        ("waves", "changed"),
        ("second", "added"),
    ]
    assert parts(found) == [("inputs", "samples.npz")]
    assert "waves" not in found.models.models or found.models.models["waves"].builder == "shapes.waves:build"
    assert "file" in {reason.kind for reason in found.upgrade.reasons}


def test_a_model_with_another_name_is_the_same_model(repo: Repo) -> None:
    found = compared(repo, PROJECT, {"validator.yml": SETTINGS.replace("name: waves", "name: tides")})
    assert not found.reasons
    found = compared(
        repo, {}, {"validator.yml": SETTINGS.replace("name: waves", "name: x"), "extra.py": "y = 1"}
    )
    assert [(each.model, each.state) for each in found.reasons] == [("x", "changed")]


def test_a_renamed_file_is_one_part(repo: Repo) -> None:
    code = "".join(f"def f{number}(): return {number}\n" for number in range(30))
    base = {**PROJECT, "extra.py": code}
    head: Files = {"extra.py": None, "more.py": f"{code}x = 1\n"}
    head["validator.yml"] = SETTINGS.replace("[extra]", "[more]")
    found = compared(repo, base, head)

    assert [(part.part, part.path, part.old) for part in found.reasons[0].parts] == [
        ("settings", "validator.yml", ""),
        ("custom objects", "more.py", "extra.py"),
    ]


def test_a_moved_validator_yml_is_compared_with_what_it_was(repo: Repo) -> None:
    settings = "version: 1\nmodels: [{name: a, builder: 'net:build', inputs: in.npy}]\n"
    base: Files = {
        "validator.yml": settings,
        "net.py": "",
        "in.npy": "1",
        "requirements.txt": "keras==3.5.0\n",
    }
    head: Files = {"validator.yml": None, "net.py": None, "in.npy": None, "ml/validator.yml": settings}
    found = compared(repo, base, {**head, "ml/net.py": "x = 1\n", "ml/in.npy": "1"}, "ml/validator.yml")

    assert found.models.folder == ""
    assert ("builder", "ml/net.py") in parts(found)
    assert [each.state for each in found.reasons] == ["changed"]


def test_a_submodule_that_moves_is_a_part(repo: Repo, tmp_path: Path) -> None:
    inner = Repo(tmp_path / "vendor")
    inner.git("init", "--quiet", "-b", "main")
    older = inner.commit({"layers.py": ""})
    newer = inner.commit({"layers.py": "x = 1\n"})
    settings = "version: 1\nmodels: [{name: a, builder: 'vendored.layers:build', inputs: in.npy}]\n"
    repo.git("submodule", "--quiet", "add", f"file://{inner.folder}", "vendored")
    repo.git("-C", "vendored", "checkout", "--quiet", older)
    repo.commit({"validator.yml": settings, "in.npy": "1"})
    repo.git("-C", "vendored", "checkout", "--quiet", newer)
    repo.commit({})

    options = Options(configuration="validator.yml", settings=parse(settings, "validator.yml"))
    trigger = Trigger(event="merge_group", base_sha="HEAD^", head_sha="HEAD")
    assert parts(detect(repo.folder, trigger, options, Silent())) == [("builder", "vendored")]


def test_what_is_edited_but_not_committed_counts(repo: Repo) -> None:
    repo.commit(PROJECT)
    repo.commit({"README.md": "b"})
    repo.write({"shapes/deep/leaf.py": "x = 7\n"})
    options = Options(configuration="validator.yml", settings=parse(SETTINGS, "validator.yml"))
    found = detect(repo.folder, Trigger(event="push", base_sha="HEAD^", head_sha="HEAD"), options, Silent())

    assert parts(found) == [("code", "shapes/deep/leaf.py")]


REMOTE = """version: 1
models:
  - {{name: waves, artifact: "https://example.org/waves.keras", inputs: "https://example.org/in.npz"}}
sha256: {{"https://example.org/waves.keras": "{model}", "https://example.org/in.npz": "{inputs}"}}
"""


@pytest.mark.parametrize(
    ("moved", "part", "name"),
    [
        ("model", "settings", "sha256 of artifact"),
        ("inputs", "comparison", "sha256 of inputs"),
    ],
)
def test_another_digest_of_the_same_address_is_another_model(
    repo: Repo, moved: str, part: str, name: str
) -> None:
    pins = {"model": "a" * 64, "inputs": "b" * 64}
    other = {**pins, moved: "c" * 64}
    common = {"requirements.txt": "keras==3.5.0\n"}
    detected = compared(
        repo,
        {**common, "validator.yml": REMOTE.format(**pins)},
        {**common, "validator.yml": REMOTE.format(**other)},
    )
    (reason,) = detected.reasons
    assert [(each.part, each.names) for each in reason.parts] == [(part, (name,))]
    assert detected.only_models
    assert detected.models.pins["https://example.org/waves.keras"] == "a" * 64
